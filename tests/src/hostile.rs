//! Hostile clients against the real broker: whatever they send, hold back or refuse to read, the broker lives, stays
//! below its memory ceiling, serves others, and is as before when they have left. `stage` judges; the scenarios stand
//! in one file per kind of attack. Those named after a CVE are the classes of bugs that hit other brokers.
//!
//! Attacks on authentication, TLS, WebSocket and the store aren't here: these tests know plain TCP alone.
//! With `DUNLIN_SOAK=1` the attacks are larger and longer.

mod crowds;
mod floods;
mod malformed;
mod packets;
mod retained;
mod sessions;
mod socket;
mod stage;
mod topics;

pub use stage::{CEILING, Stage};

use crate::raw::Outcome;

/// An attack.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Unique, `kind::what_is_tried`.
    pub name: &'static str,
    /// Lines of the table `[limits]` of the broker's configuration, without `memory_bytes`.
    limits: &'static str,
    /// Lines before that table.
    config: &'static str,
    /// Connections at once, as far as they aren't few.
    connections: u64,
    /// Whether it may bring the broker to its ceiling, where new messages of anybody are refused.
    refusals: bool,
    /// How often it's repeated, to tell a leak from slack.
    rounds: usize,
    run: fn(&Stage) -> Outcome,
}

const fn scenario(name: &'static str, run: fn(&Stage) -> Outcome) -> Scenario {
    Scenario {
        name,
        limits: "",
        config: "",
        connections: 100,
        refusals: false,
        rounds: 1,
        run,
    }
}

impl Scenario {
    const fn limits(mut self, limits: &'static str) -> Self {
        self.limits = limits;
        self
    }

    const fn config(mut self, config: &'static str) -> Self {
        self.config = config;
        self
    }

    const fn connections(mut self, connections: u64) -> Self {
        self.connections = connections;
        self
    }

    const fn may_refuse(mut self) -> Self {
        self.refusals = true;
        self
    }

    const fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Starts a broker, attacks it, judges.
    ///
    /// # Errors
    /// When the broker didn't stand it.
    pub fn play(&self) -> Outcome {
        Stage::play(self)
    }
}

/// All attacks.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    [
        malformed::SCENARIOS,
        packets::SCENARIOS,
        topics::SCENARIOS,
        retained::SCENARIOS,
        floods::SCENARIOS,
        crowds::SCENARIOS,
        sessions::SCENARIOS,
    ]
    .concat()
}

/// The first number, or the second in a soak.
fn sized(usual: usize, soak: usize) -> usize {
    match std::env::var_os("DUNLIN_SOAK") {
        Some(value) if value != "0" => soak,
        _ => usual,
    }
}

/// The same pseudo-random numbers in each run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `bound`, which isn't 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() >> 16).unwrap_or(0) % bound
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let one = |_| self.roll().to_be_bytes()[3];
        (0..count).map(one).collect()
    }
}

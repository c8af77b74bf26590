//! What the engine's larger tests share: a disk that forgets what wasn't synced, a link between a
//! client and the broker, and a client that keeps the rules and complains when the broker doesn't.
//!
//! No sockets, no threads, no clock: all of it runs under a simulator and under shuttle.

#![allow(dead_code)] // each test program uses a part of it

pub(crate) mod checks;
pub(crate) mod client;
pub(crate) mod disk;
pub(crate) mod link;
pub(crate) mod random;
pub(crate) mod world;

pub(crate) use client::{Client, Plan};
pub(crate) use disk::{Disk, Honesty};
pub(crate) use link::Link;
#[allow(unused_imports)] // as above
pub(crate) use random::Random;

use dunlin_engine::hub::{DurableState, Hub};
use dunlin_engine::journal::Journal;
use dunlin_engine::limits::Limits;
use dunlin_engine::routing::AllowAll;
use dunlin_engine::sync::Arc;
use dunlin_engine::time::{Instant, Now};

/// A moment, in seconds since the beginning.
pub(crate) const fn at(secs: u64) -> Now {
    Now {
        monotonic: Instant::ZERO.plus_secs(secs),
        wall_ms: 1_700_000_000_000 + secs * 1000,
    }
}

/// A hub with the state that `disk` kept.
pub(crate) fn start(limits: &Limits, disk: &Arc<Disk>, now: Now) -> Hub {
    let journal = Journal::new(
        Box::new(disk::Handle(Arc::clone(disk))),
        disk.watermark().clone(),
    );
    let state = DurableState::from_frames(disk.frames());
    Hub::recover(limits.clone(), journal, Arc::new(AllowAll), 7, now, state)
}

/// Fails unless the hub's state is what its journal says.
pub(crate) fn assert_journal_tells_the_state(hub: &Hub, disk: &Disk) {
    let state = hub.durable_state();
    assert!(
        disk.tells(&state),
        "the journal doesn't add up to the state\n  journal: {:#?}\n  state: {state:#?}",
        disk.replayed()
    );
}

/// How many times as much a test does when there's time: `DUNLIN_SOAK=1`.
pub(crate) fn soak(times: usize) -> usize {
    if setting("DUNLIN_SOAK").is_some_and(|value| value != "0") {
        times
    } else {
        1
    }
}

/// The seed that a failed run printed: `DUNLIN_SEED`.
pub(crate) fn seed_to_replay() -> Option<u64> {
    setting("DUNLIN_SEED").map(|value| value.parse().expect("DUNLIN_SEED is a number"))
}

#[allow(clippy::disallowed_methods)] // the engine takes no settings from outside; its tests do
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

//! Where a scenario plays: a broker of its own with a small memory ceiling, a pair of well-behaved clients whose round
//! trips are timed all the while, and the judgment at the end.
//!
//! Judged are: the broker lives, no connection's task panicked, its memory never passed the bound, the pair was always
//! served within `PATIENCE`, and once everybody has left, open files and memory are back where they were.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Scenario;
use crate::broker::Broker;
use crate::process::{self, memory, open_files};
use crate::raw::build::{self, Connect, Publish};
use crate::raw::frame::Frame;
use crate::raw::{Client, Failure, Outcome, Version, ensure};

/// `limits.memory_bytes` of every scenario: what the broker accounts for.
pub const CEILING: u64 = 32 * MIB;
/// Threads that serve connections. The system's allocator keeps an arena for each, and what one of them freed another
/// can't use: at worst each has had the ceiling's worth once.
const WORKERS: u64 = 2;
/// What may come on top of the broker's memory before the attack and of what the threads had: stacks and buffers.
pub(super) const BASE: u64 = 24 * MIB;
/// What a connection may cost that the account doesn't know: task, socket's state, places in lists.
pub(super) const PER_CONNECTION: u64 = 4 * 1024;
/// What may be left over when everybody is gone, if the attack isn't one that brings the broker to its ceiling. One that
/// does may leave as much as the ceiling: the system's allocator keeps for its next user what it once had to get.
pub(super) const LEFT_OVER: u64 = 16 * MIB;
/// What may be added from the second round of an attack to its last: the difference between slack and a leak. Where the
/// broker was at its ceiling only that bound holds: what the allocator keeps differs from round to round.
pub(super) const GROWTH: u64 = 4 * MIB;
/// The longest round trip that a well-behaved pair may see. Generous: the machine may be busy with other things.
const ROUND_TRIP: Duration = Duration::from_secs(5);
/// How long the broker may take to notice that clients are gone.
const LEAVING: Duration = Duration::from_secs(15);
/// Time between two round trips of the pair.
const PACE: Duration = Duration::from_millis(4);
/// The topic of the pair.
const TOPIC: &str = "well-behaved/pair";

const MIB: u64 = 1024 * 1024;

/// A scenario's broker, as the attackers see it.
#[derive(Debug)]
pub struct Stage {
    broker: Broker,
}

impl Stage {
    /// Plays a scenario and judges it.
    ///
    /// # Errors
    /// When the broker didn't stand it.
    pub fn play(scenario: &Scenario) -> Outcome {
        let started = Instant::now();
        let broker = Broker::start_with(&format!(
            "{}\n[limits]\nmemory_bytes = {CEILING}\n{}\n[runtime]\nworkers = {WORKERS}\n",
            scenario.config, scenario.limits
        ))?;
        let stage = Self { broker };
        let pair = Pair::start(stage.address())?;
        std::thread::sleep(Duration::from_millis(100));
        let before = Usage::of(&stage.broker)?;
        let mut rounds = Vec::new();
        let mut played = Ok(());
        for _ in 0..scenario.rounds.max(1) {
            played = (scenario.run)(&stage);
            if played.is_err() {
                break;
            }
            stage.wait_until_left(before.files)?;
            rounds.push(Usage::of(&stage.broker)?.memory.resident);
        }
        let log = stage.broker.log()?;
        let panics: Vec<_> = log
            .lines()
            .filter(|line| line.contains("panicked"))
            .collect();
        ensure(panics.is_empty(), || panics.join("\n"))?;
        let trips = pair.finish();
        played?;
        let trips = trips?;
        let after = memory(stage.broker.process_id())?;
        println!(
            "  {:38} {trips}; resident MiB: {:.1} before, {:.1} at most, after each round{}; {:.1} s",
            scenario.name,
            mib(before.memory.resident),
            mib(after.peak),
            rounds
                .iter()
                .map(|bytes| format!(" {:.1}", mib(*bytes)))
                .collect::<String>(),
            started.elapsed().as_secs_f64(),
        );
        let ceilings = if scenario.refusals {
            WORKERS * CEILING
        } else {
            CEILING
        };
        let bound =
            before.memory.resident + ceilings + BASE + scenario.connections * PER_CONNECTION;
        ensure(after.peak <= bound, || {
            format!(
                "{:.1} MiB at most, more than {:.1}",
                mib(after.peak),
                mib(bound)
            )
        })?;
        let (left_over, growth) = if scenario.refusals {
            (ceilings + BASE, ceilings)
        } else {
            (LEFT_OVER, GROWTH)
        };
        let end = rounds.last().copied().unwrap_or(after.resident);
        ensure(end <= before.memory.resident + left_over, || {
            let (end, before) = (mib(end), mib(before.memory.resident));
            format!("{end:.1} MiB when everybody had left, {before:.1} before")
        })?;
        if let Some(warm) = rounds.get(1).filter(|_| rounds.len() > 2) {
            ensure(end <= warm + growth, || {
                let rounds: Vec<_> = rounds.iter().map(|bytes| mib(*bytes)).collect();
                format!("memory grows round by round: {rounds:.1?} MiB")
            })?;
        }
        trips.judge(scenario.refusals)
    }

    /// Where the broker listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    /// The broker's process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.broker.process_id()
    }

    /// A well-behaved client that is let in.
    ///
    /// # Errors
    /// When it isn't.
    #[track_caller]
    pub fn client(&self, version: Version, client_id: &str) -> Outcome<Client> {
        let (client, _) = Client::connect(self.address(), &Connect::new(version, client_id))?;
        Ok(client)
    }

    /// A broker that still lets clients in and carries a message at each QoS, as soon as it has noticed that those who
    /// filled its memory are gone.
    ///
    /// # Errors
    /// When it doesn't.
    #[track_caller]
    pub fn still_serves(&self) -> Outcome {
        let deadline = Instant::now() + LEAVING;
        loop {
            match self.serves() {
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                outcome => return outcome,
            }
        }
    }

    fn serves(&self) -> Outcome {
        for version in [Version::V311, Version::V5] {
            let mut subscriber = self.client(version, "still-served")?;
            subscriber.subscribe("still/served", 2)?;
            let mut publisher = self.client(version, "still-serving")?;
            for qos in 0..3 {
                publisher.publish("still/served", qos, "yes")?;
                let publish = subscriber.expect_message("still/served", "yes")?;
                subscriber.accept(&publish)?;
                if qos == 2 {
                    subscriber.ping()?;
                }
            }
        }
        Ok(())
    }

    /// Waits until the broker has no more files open than before.
    fn wait_until_left(&self, files: usize) -> Outcome {
        let deadline = Instant::now() + LEAVING;
        loop {
            let now = open_files(self.process_id())?;
            if now <= files {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Failure::new(format!(
                    "{now} files open when everybody had left, {files} before"
                )));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What a broker uses.
struct Usage {
    memory: process::Memory,
    files: usize,
}

impl Usage {
    fn of(broker: &Broker) -> Outcome<Self> {
        Ok(Self {
            memory: memory(broker.process_id())?,
            files: open_files(broker.process_id())?,
        })
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

/// Two well-behaved clients: one publishes at QoS 1 and pings, the other receives.
struct Pair {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome<Trips>>,
}

impl Pair {
    fn start(address: SocketAddr) -> Outcome<Self> {
        let connect = |id| Client::connect(address, &Connect::new(Version::V5, id));
        let (mut subscriber, _) = connect("well-behaved-subscriber")?;
        subscriber.subscribe(TOPIC, 1)?;
        let (publisher, _) = connect("well-behaved-publisher")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || go_round(&stopped, publisher, subscriber));
        Ok(Self { stop, thread })
    }

    fn finish(self) -> Outcome<Trips> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(Failure::new("the well-behaved pair panicked")))
    }
}

fn go_round(stop: &AtomicBool, mut publisher: Client, mut subscriber: Client) -> Outcome<Trips> {
    let mut trips = Trips::default();
    while !stop.load(Ordering::Relaxed) || trips.times.is_empty() {
        let started = Instant::now();
        let payload = format!("{}", trips.times.len() + trips.refused);
        let id = publisher.fresh_id();
        publisher.send(
            Publish::new(Version::V5, TOPIC, &payload)
                .qos(1, id)
                .bytes(),
        )?;
        let puback = served(publisher.frame())?.ack(build::PUBACK, Version::V5)?;
        publisher.ping()?;
        if puback.code == 0 {
            let publish = served(subscriber.expect_message(TOPIC, &payload))?;
            subscriber.accept(&publish)?;
            trips.times.push(started.elapsed());
        } else {
            // At the memory ceiling new messages are refused; that must be said quickly too.
            ensure(puback.code == 0x97, || format!("refused: {puback:02X?}"))?;
            trips.refused += 1;
            trips.slowest_refusal = trips.slowest_refusal.max(started.elapsed());
            if stop.load(Ordering::Relaxed) {
                return Err(Failure::new("refused although everybody has left"));
            }
        }
        std::thread::sleep(PACE);
    }
    trips.times.sort_unstable();
    Ok(trips)
}

fn served<T>(outcome: Outcome<T>) -> Outcome<T> {
    outcome.map_err(|failure| failure.in_case("the well-behaved pair"))
}

/// What the pair saw.
#[derive(Debug, Default)]
struct Trips {
    /// Sorted, shortest first.
    times: Vec<Duration>,
    refused: usize,
    slowest_refusal: Duration,
}

impl Trips {
    fn share(&self, thousandth: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        let at = (self.times.len() * thousandth / 1000).min(last);
        self.times.get(at).copied().unwrap_or_default()
    }

    fn judge(&self, may_refuse: bool) -> Outcome {
        let slowest = self.share(1000).max(self.slowest_refusal);
        ensure(slowest < ROUND_TRIP, || {
            format!("a round trip took {slowest:?}")
        })?;
        ensure(may_refuse || self.refused == 0, || {
            format!(
                "{} messages of the well-behaved pair were refused",
                self.refused
            )
        })
    }
}

impl std::fmt::Display for Trips {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            formatter,
            "{} round trips, ms: median {:.2}, p99 {:.2}, max {:.2}",
            self.times.len(),
            ms(self.share(500)),
            ms(self.share(990)),
            ms(self.share(1000)),
        )?;
        if self.refused > 0 {
            write!(formatter, "; {} refused", self.refused)?;
        }
        Ok(())
    }
}

/// The bytes of a frame whose first byte is this, from a client that may be disconnected: `None` when it was.
///
/// # Errors
/// When another frame comes.
#[track_caller]
pub(super) fn frame_or_closed(client: &mut Client, first: u8) -> Outcome<Option<Frame>> {
    use crate::raw::{PATIENCE, Received};
    match client.receive(PATIENCE)? {
        Received::Frame(frame) if frame.first == first => Ok(Some(frame)),
        Received::Frame(frame) if frame.first == 0xE0 => Ok(None),
        Received::Closed => Ok(None),
        other => Err(Failure::new(format!(
            "expected {first:02X}, saw {other:02X?}"
        ))),
    }
}

//! How the interleavings are explored, and what all scenarios share.

mod journal;
mod publishing;
mod sessions;
mod shares;

use dunlin_codec::QoS;
use dunlin_engine::hub::Hub;
use dunlin_engine::limits::Limits;
use dunlin_engine::sync::Arc;
use dunlin_engine::time::Now;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

use crate::sim::client::at_qos;
use crate::sim::{Client, Disk, Honesty, Plan, assert_journal_tells_the_state, at, soak, start};

/// Interleavings of each scenario from the random scheduler, and half as many from PCT.
const ROUNDS: usize = 1000;
/// A fixed seed: the same change is judged the same way on every machine. More rounds go further.
const SEED: u64 = 0x0DD5_EED5;
/// How many switches at the worst moment a bug needs, at most.
const DEPTH: usize = 3;

/// Runs `scenario` in many interleavings.
fn explore(scenario: fn()) {
    let rounds = ROUNDS * soak(50);
    run(RandomScheduler::new_from_seed(SEED, rounds), scenario);
    run(
        PctScheduler::new_from_seed(SEED, DEPTH, rounds / 2),
        scenario,
    );
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(scenario);
}

/// One moment for all that happens at once.
const NOW: Now = at(10);

/// A broker that every thread can reach.
struct World {
    disk: Arc<Disk>,
    limits: Limits,
    hub: Arc<Hub>,
}

impl World {
    fn new(honesty: Honesty) -> Self {
        Self::with(honesty, Limits::default())
    }

    fn with(honesty: Honesty, limits: Limits) -> Self {
        let disk = Disk::new(honesty);
        let hub = Arc::new(start(&limits, &disk, NOW));
        Self { disk, limits, hub }
    }

    fn connected(&self, plan: Plan) -> Client {
        let mut client = Client::new(plan);
        client.connect(NOW, &self.hub, false);
        self.settle(&mut [&mut client]);
        assert!(client.open);
        client
    }

    fn persistent(&self, name: &str) -> Client {
        self.connected(Plan::persistent(name))
    }

    fn subscriber(&self, plan: Plan, filter: &str, qos: QoS) -> Client {
        let mut client = self.connected(plan);
        client.subscribe(filter, at_qos(qos));
        self.settle(&mut [&mut client]);
        assert!(client.subscribed.contains(filter));
        client
    }

    /// Nobody else runs now: the disk syncs, and each connection is polled as long as its bell
    /// rings or it has bytes. A connection whose bell should have rung stays as it is.
    fn settle(&self, clients: &mut [&mut Client]) {
        loop {
            if self.disk.unsynced() > 0 {
                self.disk.sync_all();
            }
            let mut quiet = true;
            for client in clients.iter_mut() {
                if client
                    .link()
                    .is_some_and(|link| link.rings() || link.is_busy())
                {
                    quiet = false;
                    client.exchange(NOW, &self.hub);
                }
            }
            if quiet && self.disk.unsynced() == 0 {
                return;
            }
        }
    }

    /// As [`World::settle`], with clients that answer.
    fn settle_and_answer(&self, clients: &mut [&mut Client]) {
        loop {
            self.settle(clients);
            if clients.iter().all(|client| client.owed.is_empty()) {
                return;
            }
            for client in clients.iter_mut() {
                client.answer_all();
            }
        }
    }

    /// What must hold when all threads are done: the journal adds up to the state, and so does what
    /// a crash leaves of it at any place.
    fn check(&self) {
        assert_journal_tells_the_state(&self.hub, &self.disk);
        for kept in 0..=self.disk.frames().len() {
            let mut frames = self.disk.frames();
            frames.truncate(kept);
            let disk = Disk::with(frames, Honesty::Immediate);
            let hub = start(&self.limits, &disk, NOW);
            assert_journal_tells_the_state(&hub, &disk);
        }
    }
}

/// Starts a thread of the scenario.
fn spawn<R: Send + 'static>(
    world: &World,
    task: impl FnOnce(&Hub) -> R + Send + 'static,
) -> shuttle::thread::JoinHandle<R> {
    let hub = Arc::clone(&world.hub);
    shuttle::thread::spawn(move || task(&hub))
}

/// The numbers that one publisher gave its messages, in the order of their first arrival.
fn numbers(client: &Client, publisher: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    for payload in client.payloads() {
        let (name, number) = payload.split_once('#').unwrap();
        let number = number.parse().unwrap();
        if name == publisher && !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

//! The hand-over of the journal: who waits for the watermark is woken, whatever happens between.

use dunlin_codec::QoS;
use dunlin_engine::journal::{Seq, Watermark};
use dunlin_engine::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use dunlin_engine::sync::{Arc, Mutex, Wake};

use super::{NOW, World, explore, run, spawn};
use crate::sim::{Honesty, Plan};

#[derive(Default)]
struct Rung(AtomicBool);

impl Wake for Rung {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_for_the_watermark_is_woken() {
    explore(|| {
        let watermark = Arc::new(Watermark::default());
        let rung = Arc::new(Rung::default());
        let log = {
            let watermark = Arc::clone(&watermark);
            shuttle::thread::spawn(move || {
                watermark.advance(Seq(1));
                watermark.advance(Seq(2));
            })
        };
        let wake: Arc<dyn Wake> = rung.clone();
        watermark.wake_at(Seq(2), &wake);
        log.join().unwrap();
        assert!(rung.0.load(Ordering::SeqCst), "nobody was woken");
    });
}

/// A watermark with the bug that the real one must not have: it looks before it enlists.
#[derive(Default)]
struct Hasty {
    durable: AtomicU64,
    waiting: Mutex<Vec<(Seq, Arc<dyn Wake>)>>,
}

impl Hasty {
    fn advance(&self, seq: Seq) {
        self.durable.fetch_max(seq.0, Ordering::SeqCst);
        let due = core::mem::take(&mut *self.waiting.lock());
        for (wanted, wake) in due {
            assert!(wanted <= seq, "the canary has one frame");
            wake.wake();
        }
    }

    fn wake_at(&self, seq: Seq, wake: &Arc<dyn Wake>) {
        if self.durable.load(Ordering::SeqCst) >= seq.0 {
            wake.wake();
        } else {
            self.waiting.lock().push((seq, Arc::clone(wake)));
        }
    }
}

fn canary() {
    let watermark = Arc::new(Hasty::default());
    let rung = Arc::new(Rung::default());
    let log = {
        let watermark = Arc::clone(&watermark);
        shuttle::thread::spawn(move || watermark.advance(Seq(1)))
    };
    let wake: Arc<dyn Wake> = rung.clone();
    watermark.wake_at(Seq(1), &wake);
    log.join().unwrap();
    assert!(rung.0.load(Ordering::SeqCst), "nobody was woken");
}

#[test]
fn a_lost_wake_up_is_found_by_both_schedulers() {
    let random = std::panic::catch_unwind(|| {
        run(
            shuttle::scheduler::RandomScheduler::new_from_seed(1, 1000),
            canary,
        );
    });
    assert!(random.is_err(), "the random scheduler found nothing");
    let pct = std::panic::catch_unwind(|| {
        run(
            shuttle::scheduler::PctScheduler::new_from_seed(1, 3, 1000),
            canary,
        );
    });
    assert!(pct.is_err(), "PCT found nothing");
}

#[test]
fn a_gated_delivery_leaves_once_its_entry_is_durable() {
    explore(|| {
        let world = World::new(Honesty::Synced);
        let mut subscriber = world.subscriber(Plan::persistent("s"), "t", QoS::ExactlyOnce);
        let mut publisher = world.persistent("p");
        let polling = spawn(&world, move |hub| {
            for _ in 0..2 {
                subscriber.exchange(NOW, hub);
            }
            subscriber
        });
        let disk = Arc::clone(&world.disk);
        let syncing = shuttle::thread::spawn(move || {
            disk.sync(1);
            disk.sync_all();
        });
        publisher.publish("t", QoS::ExactlyOnce, false);
        publisher.publish("t", QoS::ExactlyOnce, false);
        publisher.exchange(NOW, &world.hub);
        syncing.join().unwrap();
        let mut subscriber = polling.join().unwrap();
        world.settle_and_answer(&mut [&mut subscriber, &mut publisher]);
        assert_eq!(subscriber.payloads(), ["p#1", "p#2"]);
        assert_eq!(publisher.in_flight(), 0);
        world.check();
    });
}

//! Publishers against subscribers: nothing is lost, nothing comes twice at QoS 2, the order holds.

use dunlin_codec::QoS;
use dunlin_engine::limits::Limits;
use dunlin_engine::sync::Arc;

use super::{NOW, World, explore, numbers, spawn};
use crate::sim::client::at_qos;
use crate::sim::{Honesty, Plan};

#[test]
fn publish_subscribe_and_unsubscribe_at_once() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let mut publisher = world.persistent("p");
        let mut joining = world.persistent("joining");
        let mut leaving = world.subscriber(Plan::persistent("leaving"), "t", QoS::AtLeastOnce);
        let join = spawn(&world, move |hub| {
            joining.subscribe("t", at_qos(QoS::AtLeastOnce));
            joining.exchange(NOW, hub);
            joining
        });
        let leave = spawn(&world, move |hub| {
            leaving.unsubscribe("t");
            leaving.exchange(NOW, hub);
            leaving
        });
        for _ in 0..3 {
            publisher.publish("t", QoS::AtLeastOnce, false);
            publisher.exchange(NOW, &world.hub);
        }
        let (mut joining, mut leaving) = (join.join().unwrap(), leave.join().unwrap());
        world.settle(&mut [&mut joining, &mut leaving, &mut publisher]);
        // Those after the subscription, those before its end; no hole.
        let after = numbers(&joining, "p");
        assert_eq!(after, (4 - after.len()..=3).collect::<Vec<_>>());
        let before = numbers(&leaving, "p");
        assert_eq!(before, (1..=before.len()).collect::<Vec<_>>());
        assert_eq!(world.hub.figures().subscriptions, 1);
        assert_eq!(publisher.in_flight(), 0);
        world.check();
    });
}

#[test]
fn two_publishers_lose_no_wake_up_of_a_subscriber_that_polls() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let plan = Plan {
            receive_maximum: 1,
            ..Plan::persistent("s")
        };
        let mut subscriber = world.subscriber(plan, "t", QoS::AtLeastOnce);
        let publishers = ["p", "q"].map(|name| {
            let mut publisher = world.persistent(name);
            spawn(&world, move |hub| {
                for _ in 0..2 {
                    publisher.publish("t", QoS::AtLeastOnce, false);
                    publisher.exchange(NOW, hub);
                }
            })
        });
        for _ in 0..2 {
            if subscriber.link().is_some_and(|link| link.rings()) {
                subscriber.exchange(NOW, &world.hub);
                subscriber.answer_all();
            }
        }
        for publisher in publishers {
            publisher.join().unwrap();
        }
        world.settle_and_answer(&mut [&mut subscriber]);
        assert_eq!(numbers(&subscriber, "p"), [1, 2]);
        assert_eq!(numbers(&subscriber, "q"), [1, 2]);
        assert_eq!(subscriber.arrivals.len(), 4);
        world.check();
    });
}

#[test]
fn an_acknowledgement_may_overtake_its_message_on_the_way_to_the_journal() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let mut first = world.subscriber(Plan::persistent("a"), "t", QoS::AtLeastOnce);
        let second = world.subscriber(Plan::persistent("b"), "t", QoS::AtLeastOnce);
        let mut publisher = world.persistent("p");
        let acknowledging = spawn(&world, move |hub| {
            first.exchange(NOW, hub);
            first.answer_all();
            first.exchange(NOW, hub);
            first
        });
        publisher.publish("t", QoS::AtLeastOnce, false);
        publisher.exchange(NOW, &world.hub);
        drop((acknowledging.join().unwrap(), second));
        world.check();
        // A crash between the two, and life goes on in the same journal.
        for kept in 0..=world.disk.frames().len() {
            let mut frames = world.disk.frames();
            frames.truncate(kept);
            go_on(frames);
        }
    });
}

/// A broker that starts with these frames, takes another message for the same clients, and crashes
/// once more.
fn go_on(frames: Vec<dunlin_engine::journal::Frame>) {
    let disk = crate::sim::Disk::with(frames, Honesty::Immediate);
    let limits = Limits::default();
    let hub = Arc::new(crate::sim::start(&limits, &disk, NOW));
    let world = World { disk, limits, hub };
    let mut publisher = world.persistent("r");
    publisher.publish("t", QoS::AtLeastOnce, false);
    publisher.exchange(NOW, &world.hub);
    world.check();
}

#[test]
fn a_retained_value_is_never_followed_by_an_older_one() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let mut publisher = world.persistent("p");
        publisher.publish("t", QoS::AtLeastOnce, true);
        publisher.exchange(NOW, &world.hub);
        let mut subscriber = world.persistent("s");
        let subscribing = spawn(&world, move |hub| {
            subscriber.subscribe("+", at_qos(QoS::AtLeastOnce));
            subscriber.exchange(NOW, hub);
            subscriber
        });
        for _ in 0..2 {
            publisher.publish("t", QoS::AtLeastOnce, true);
            publisher.exchange(NOW, &world.hub);
        }
        let mut subscriber = subscribing.join().unwrap();
        world.settle(&mut [&mut subscriber, &mut publisher]);
        let seen = subscriber.payloads();
        assert!(seen.is_sorted(), "an old value after a newer one: {seen:?}");
        assert_eq!(seen.last(), Some(&"p#3"), "{seen:?}");
        let mut once = seen.clone();
        once.dedup();
        assert_eq!(once, seen, "twice");
        world.check();
    });
}

#[test]
fn limits_are_changed_under_traffic() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let mut offline = world.subscriber(Plan::persistent("s"), "t", QoS::AtLeastOnce);
        offline.disconnect(NOW, &world.hub);
        let mut publisher = world.persistent("p");
        let smaller = Limits {
            queue_messages: 1,
            memory_bytes: 1024 * 1024,
            ..Limits::default()
        };
        let publishing = spawn(&world, move |hub| {
            for _ in 0..3 {
                publisher.publish("t", QoS::AtLeastOnce, false);
                publisher.exchange(NOW, hub);
            }
            publisher
        });
        let connecting = spawn(&world, move |hub| {
            offline.connect(NOW, hub, false);
            offline.exchange(NOW, hub);
            offline
        });
        world.hub.set_limits(smaller);
        let (mut publisher, mut offline) = (publishing.join().unwrap(), connecting.join().unwrap());
        world.settle_and_answer(&mut [&mut publisher, &mut offline]);
        assert_eq!(publisher.in_flight(), 0, "everything is answered");
        let arrived = numbers(&offline, "p");
        let dropped = world
            .hub
            .drops()
            .count(dunlin_engine::drops::DropReason::QueueFull);
        assert_eq!(arrived.len() + usize::try_from(dropped).unwrap(), 3);
        assert!(arrived.is_sorted());
        world.check();
    });
}

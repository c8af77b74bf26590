//! Sessions that are taken over, expire or end while messages come for them.

use dunlin_codec::QoS;
use dunlin_engine::connection::CloseReason;

use super::{NOW, World, explore, numbers, spawn};
use crate::sim::client::at_qos;
use crate::sim::{Client, Honesty, Plan, at};

#[test]
fn publish_and_takeover_at_once() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        explore(match qos {
            QoS::ExactlyOnce => || takeover(QoS::ExactlyOnce),
            _ => || takeover(QoS::AtLeastOnce),
        });
    }
}

fn takeover(qos: QoS) {
    let world = World::new(Honesty::Synced);
    let mut old = world.subscriber(Plan::persistent("s"), "t", qos);
    let mut publisher = world.persistent("p");
    let polling = spawn(&world, move |hub| {
        old.exchange(NOW, hub);
        old.exchange(NOW, hub);
        old
    });
    let taking = spawn(&world, move |hub| {
        let mut new = Client::new(Plan::persistent("s"));
        new.connect(NOW, hub, false);
        new.exchange(NOW, hub);
        new
    });
    for _ in 0..2 {
        publisher.publish("t", qos, false);
        publisher.exchange(NOW, &world.hub);
    }
    let (mut old, mut new) = (polling.join().unwrap(), taking.join().unwrap());
    world.settle_and_answer(&mut [&mut new, &mut publisher]);
    // The old one acknowledged nothing, so all of it is the new one's, and only once.
    assert_eq!(new.payloads(), ["p#1", "p#2"]);
    world.settle(&mut [&mut old]);
    assert_eq!(old.closed, Some(CloseReason::SessionTakenOver));
    assert_eq!(world.hub.figures().sessions, 2);
    world.check();
}

#[test]
fn publish_expiry_and_return_at_once() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let plan = Plan {
            expiry_s: 5,
            will: Some("will"),
            ..Plan::persistent("s")
        };
        let mut subscriber = world.subscriber(plan, "t", QoS::AtLeastOnce);
        subscriber.disconnect(NOW, &world.hub);
        let mut publisher = world.persistent("p");
        let expiring = spawn(&world, move |hub| {
            let mut batch = dunlin_engine::hub::Batch::default();
            hub.handle_timeout(at(15), &mut batch);
            batch.wake_all();
        });
        let returning = spawn(&world, move |hub| {
            // By its own clock it's just in time.
            subscriber.connect(at(14), hub, false);
            subscriber.exchange(at(14), hub);
            subscriber
        });
        publisher.publish("t", QoS::AtLeastOnce, false);
        publisher.exchange(NOW, &world.hub);
        expiring.join().unwrap();
        let mut subscriber = returning.join().unwrap();
        world.settle(&mut [&mut subscriber, &mut publisher]);
        assert_eq!(world.hub.figures().sessions, 2);
        if subscriber.session == 1 {
            assert_eq!(
                numbers(&subscriber, "p"),
                [1],
                "kept, and so is the message"
            );
            assert_eq!(world.hub.figures().subscriptions, 1);
        } else {
            assert!(subscriber.arrivals.is_empty(), "another session's message");
            assert_eq!(world.hub.figures().subscriptions, 0);
        }
        world.check();
    });
}

#[test]
fn a_subscription_and_its_end_are_written_down_in_their_order() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let mut old = world.persistent("s");
        let subscribing = spawn(&world, move |hub| {
            old.subscribe("t", at_qos(QoS::AtLeastOnce));
            old.push(NOW, hub, usize::MAX);
        });
        let mut new = Client::new(Plan::persistent("s"));
        new.connect(NOW, &world.hub, false);
        new.exchange(NOW, &world.hub);
        new.unsubscribe("t");
        new.exchange(NOW, &world.hub);
        subscribing.join().unwrap();
        world.settle(&mut [&mut new]);
        world.check();
    });
}

#[test]
fn a_session_that_ends_leaves_no_route() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let mut old = world.persistent("s");
        let subscribing = spawn(&world, move |hub| {
            old.subscribe("t", at_qos(QoS::AtLeastOnce));
            old.subscribe("$share/g/t", at_qos(QoS::AtLeastOnce));
            old.push(NOW, hub, usize::MAX);
        });
        let mut new = Client::new(Plan::persistent("s"));
        new.connect(NOW, &world.hub, true);
        new.exchange(NOW, &world.hub);
        subscribing.join().unwrap();
        world.settle(&mut [&mut new]);
        assert_eq!(new.session, 1);
        assert_eq!(world.hub.figures().subscriptions, 0);
        assert_eq!(world.hub.figures().sessions, 1);
        world.check();
    });
}

#[test]
fn a_will_and_the_return_of_its_client_at_once() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let mut watcher = world.subscriber(Plan::persistent("w"), "will", QoS::AtLeastOnce);
        let plan = Plan {
            will: Some("will"),
            ..Plan::persistent("s")
        };
        let mut lost = world.connected(plan.clone());
        let losing = spawn(&world, move |hub| lost.cut(NOW, hub));
        let mut back = Client::new(plan);
        back.connect(NOW, &world.hub, false);
        back.exchange(NOW, &world.hub);
        losing.join().unwrap();
        world.settle(&mut [&mut back, &mut watcher]);
        assert_eq!(watcher.payloads(), ["s#0"], "once, whoever came first");
        world.check();
    });
}

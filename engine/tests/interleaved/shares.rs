//! Shared subscriptions: members come, go and make room while messages come.

use dunlin_codec::QoS;

use super::{NOW, World, explore, numbers, spawn};
use crate::sim::{Client, Honesty, Plan};

const SHARE: &str = "$share/g/t";

fn member(name: &str) -> Plan {
    Plan {
        receive_maximum: 1,
        ..Plan::persistent(name)
    }
}

#[test]
fn a_message_that_found_no_room_is_taken_when_there_is() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let mut taker = world.subscriber(member("m"), SHARE, QoS::AtLeastOnce);
        let mut publisher = world.persistent("p");
        publisher.publish("t", QoS::AtLeastOnce, false);
        publisher.exchange(NOW, &world.hub);
        taker.exchange(NOW, &world.hub);
        assert_eq!(taker.owed.len(), 1, "its window is closed");
        let acknowledging = spawn(&world, move |hub| {
            taker.answer_all();
            taker.exchange(NOW, hub);
            taker
        });
        publisher.publish("t", QoS::AtLeastOnce, false);
        publisher.exchange(NOW, &world.hub);
        let mut taker = acknowledging.join().unwrap();
        world.settle(&mut [&mut taker, &mut publisher]);
        assert_eq!(numbers(&taker, "p"), [1, 2]);
        world.check();
    });
}

#[test]
fn a_member_goes_while_messages_come() {
    explore(|| goes(QoS::AtLeastOnce, false));
}

#[test]
fn a_member_goes_while_messages_of_qos_2_come() {
    explore(|| goes(QoS::ExactlyOnce, false));
}

#[test]
fn the_session_of_a_member_ends_while_messages_come() {
    explore(|| goes(QoS::AtLeastOnce, true));
}

fn goes(qos: QoS, for_good: bool) {
    let world = World::new(Honesty::Synced);
    let mut going = world.subscriber(member("a"), SHARE, qos);
    let mut staying = world.subscriber(member("b"), SHARE, qos);
    let mut publisher = world.persistent("p");
    let leaving = spawn(&world, move |hub| {
        going.exchange(NOW, hub);
        going.cut(NOW, hub);
        if for_good {
            let mut other = Client::new(Plan::persistent("a"));
            other.connect(NOW, hub, true);
            other.exchange(NOW, hub);
        }
        going
    });
    let polling = spawn(&world, move |hub| {
        staying.exchange(NOW, hub);
        staying.answer_all();
        staying.exchange(NOW, hub);
        staying
    });
    for _ in 0..3 {
        publisher.publish("t", qos, false);
    }
    publisher.exchange(NOW, &world.hub);
    let (mut going, mut staying) = (leaving.join().unwrap(), polling.join().unwrap());
    world.settle_and_answer(&mut [&mut staying, &mut publisher]);
    let mut seen = numbers(&staying, "p");
    if qos == QoS::ExactlyOnce {
        // What was sent to the one that went stays with it.
        let by_staying = seen.len();
        going.connect(NOW, &world.hub, false);
        world.settle_and_answer(&mut [&mut going, &mut staying]);
        let arrivals = going.arrivals.len() + staying.arrivals.len();
        assert_eq!(arrivals, 3, "once each");
        assert!(staying.arrivals.len() >= by_staying);
        seen = numbers(&staying, "p");
        seen.extend(numbers(&going, "p"));
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(publisher.in_flight(), 0);
    world.check();
}

#[test]
fn the_last_member_leaves_while_a_message_comes() {
    explore(|| {
        let world = World::new(Honesty::Immediate);
        let mut last = world.subscriber(member("a"), SHARE, QoS::AtLeastOnce);
        let mut publisher = world.persistent("p");
        let leaving = spawn(&world, move |hub| {
            last.unsubscribe(SHARE);
            last.exchange(NOW, hub);
            last
        });
        for _ in 0..2 {
            publisher.publish("t", QoS::AtLeastOnce, false);
            publisher.exchange(NOW, &world.hub);
        }
        let mut last = leaving.join().unwrap();
        world.settle_and_answer(&mut [&mut last, &mut publisher]);
        assert_eq!(world.hub.figures().subscriptions, 0);
        world.check();
        // The same share again is another one.
        let mut again = world.subscriber(member("c"), SHARE, QoS::AtLeastOnce);
        publisher.publish("t", QoS::AtLeastOnce, false);
        world.settle_and_answer(&mut [&mut again, &mut publisher]);
        assert_eq!(numbers(&again, "p"), [3]);
        world.check();
    });
}

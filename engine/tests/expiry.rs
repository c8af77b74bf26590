//! Message Expiry: the rest of the interval on delivery, and what becomes of a message whose time is
//! up, wherever it waits.
//!
//! MQTT 5 sections 3.3.2.3.3, 4.4. Session expiry stands in `session.rs`, that of Wills in `will.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use dunlin_codec::{PacketType, Property, QoS, SubscriptionOptions, Version};
use dunlin_engine::drops::DropReason;
use dunlin_engine::limits::Limits;

use support::{Broker, Client, Opening};

use PacketType::{PubAck, PubComp, PubRec, PubRel};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const NOTHING: [&str; 0] = [];
const SHARE: &str = "$share/g/t";

fn at(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        ..SubscriptionOptions::default()
    }
}

/// A client that keeps its session for longer than any message lives here.
fn opening(name: &str) -> Opening<'_> {
    Opening::v5(name).kept(u32::MAX)
}

fn subscriber(broker: &Broker, filter: &str) -> Client {
    let mut client = opening("s").client(broker);
    client.subscribe(broker, filter, ExactlyOnce);
    client
}

/// Publishes to `t` what lives so many seconds.
fn publish(broker: &Broker, qos: QoS, payload: &str, secs: u32, marks: &str) {
    let mut publisher = Opening::v5("p").client(broker);
    let properties = [Property::MessageExpiryInterval(secs)];
    let number = qos.bits().into();
    publisher.publish_with(broker, "t", qos, number, payload, marks, &properties);
    if qos == ExactlyOnce {
        assert_eq!(publisher.ack(broker, PubRel, number), ["PUBCOMP 2"]);
    }
}

/// Time goes on; if it's `attended`, what is due is done.
fn pass_ms(broker: &mut Broker, millis: u64, attended: bool) {
    if attended {
        broker.pass_ms(millis);
    } else {
        broker.now.monotonic = broker.now.monotonic.plus_millis(millis);
    }
}

#[test]
fn what_is_delivered_says_how_long_it_still_lives() {
    // Whole seconds, rounded up: a message that lives has at least one. [MQTT-3.3.2-6]
    for (waits_ms, rest_s) in [(0, 10), (1, 10), (3000, 7), (3001, 7), (9000, 1), (9999, 1)] {
        for is_restarted in [false, true] {
            for qos in [AtLeastOnce, ExactlyOnce] {
                let mut broker = Broker::new();
                subscriber(&broker, "t").lose(&broker);
                publish(&broker, qos, "x", 10, "");
                pass_ms(&mut broker, waits_ms / 2, true);
                if is_restarted {
                    broker.restart();
                }
                pass_ms(&mut broker, waits_ms - waits_ms / 2, true);
                let (_, received) = opening("s").open(&broker);
                let mark = if is_restarted { " dup" } else { "" };
                let expected = format!(
                    "PUBLISH t=x q{} 2{mark} MessageExpiryInterval({rest_s})",
                    qos.bits()
                );
                assert_eq!(received[1..], [expected], "after {waits_ms}");
            }
        }
    }
}

#[test]
fn a_connected_subscriber_is_told_the_whole_interval_and_an_old_one_nothing() {
    for secs in [1, 3600, u32::MAX] {
        let broker = Broker::new();
        let mut subscriber = subscriber(&broker, "t");
        let mut old = Opening::v4("old").client(&broker);
        old.subscribe(&broker, "t", AtMostOnce);
        publish(&broker, AtMostOnce, "x", secs, "");
        let expected = format!("PUBLISH t=x q0 - MessageExpiryInterval({secs})");
        assert_eq!(subscriber.receive(&broker), [expected]);
        assert_eq!(old.receive(&broker), ["PUBLISH t=x q0 -"]);
    }
}

#[test]
fn what_has_no_interval_lives_for_ever() {
    let mut broker = Broker::new();
    subscriber(&broker, "t").lose(&broker);
    let mut publisher = Opening::v4("p").client(&broker);
    publisher.publish(&broker, "t", AtLeastOnce, 1, "x", "");
    assert_eq!(broker.hub.poll_timeout(), None);
    broker.pass(10_000_000_000);
    let (_, received) = opening("s").open(&broker);
    assert_eq!(received, ["CONNACK present", "PUBLISH t=x q1 2"]);
}

#[test]
fn what_expires_in_a_queue_is_gone_and_counted_once() {
    for attended in [true, false] {
        for version in [Version::V4, Version::V5] {
            let mut broker = Broker::with(Limits {
                queue_qos0: true,
                ..Limits::default()
            });
            let opening = || Opening::new(version, "s").kept(u32::MAX);
            let mut client = opening().client(&broker);
            client.subscribe(&broker, "t", ExactlyOnce);
            client.lose(&broker);
            for (qos, secs) in [
                (AtMostOnce, 10),
                (AtLeastOnce, 10),
                (ExactlyOnce, 10),
                (AtLeastOnce, 11),
                (ExactlyOnce, 11),
            ] {
                publish(&broker, qos, "x", secs, "");
            }
            pass_ms(&mut broker, 10_000, attended);
            if attended {
                // [MQTT-3.3.2-5]
                assert_eq!(broker.drops(), [(DropReason::Expired, 3)]);
            }
            let (client, received) = opening().open(&broker);
            assert_eq!(received.len(), 3, "{received:?}");
            assert_eq!(broker.drops(), [(DropReason::Expired, 3)]);
            let sample = broker.hub.drops().samples()[0].clone();
            assert_eq!((sample.client_id.as_str(), &*sample.topic), ("s", "t"));
            client.lose(&broker);
            // Neither comes back.
            broker.restart();
            assert_eq!(opening().open(&broker).1.len(), 3);
        }
    }
}

#[test]
fn the_broker_asks_to_be_called_when_something_expires() {
    let mut broker = Broker::new();
    subscriber(&broker, "t").lose(&broker);
    let start = broker.now.monotonic;
    publish(&broker, AtLeastOnce, "later", 20, "");
    assert_eq!(broker.hub.poll_timeout(), Some(start.plus_secs(20)));
    publish(&broker, AtLeastOnce, "sooner", 10, "");
    assert_eq!(broker.hub.poll_timeout(), Some(start.plus_secs(10)));
    broker.pass(10);
    assert_eq!(broker.drops(), [(DropReason::Expired, 1)]);
    assert_eq!(broker.hub.poll_timeout(), Some(start.plus_secs(20)));
    broker.pass(10);
    assert_eq!(broker.drops(), [(DropReason::Expired, 2)]);
    assert_eq!(broker.hub.poll_timeout(), None);
}

#[test]
fn a_message_of_no_time_reaches_nobody() {
    let mut broker = Broker::new();
    let mut subscriber = subscriber(&broker, "t");
    publish(&broker, AtLeastOnce, "x", 0, "retain");
    assert_eq!(subscriber.receive(&broker), NOTHING);
    assert_eq!(broker.drops(), [(DropReason::Expired, 1)]);
    broker.pass(0);
    assert_eq!(broker.hub.figures().retained_messages, 0);
}

#[test]
fn what_expires_while_it_waits_for_a_window_is_passed_over() {
    for attended in [true, false] {
        let mut broker = Broker::new();
        let mut client = opening("s")
            .with(Property::ReceiveMaximum(1))
            .client(&broker);
        client.subscribe(&broker, "t", AtLeastOnce);
        for (payload, secs) in [("1", 100), ("2", 10), ("3", 100)] {
            publish(&broker, AtLeastOnce, payload, secs, "");
        }
        let expected = "PUBLISH t=1 q1 2 MessageExpiryInterval(100)";
        assert_eq!(client.receive(&broker), [expected]);
        pass_ms(&mut broker, 10_000, attended);
        let expected = "PUBLISH t=3 q1 4 MessageExpiryInterval(90)";
        assert_eq!(client.ack(&broker, PubAck, 2), [expected]);
        assert_eq!(broker.drops(), [(DropReason::Expired, 1)]);
    }
}

#[test]
fn what_was_sent_is_finished_though_its_time_is_up() {
    let mut broker = Broker::new();
    let mut client = subscriber(&broker, "t");
    publish(&broker, AtLeastOnce, "1", 10, "");
    publish(&broker, ExactlyOnce, "2", 10, "");
    publish(&broker, ExactlyOnce, "3", 10, "");
    assert_eq!(client.receive(&broker).len(), 3);
    assert_eq!(client.ack(&broker, PubRec, 4), ["PUBREL 4"]);
    client.lose(&broker);
    broker.pass(20);
    // Its delivery has begun: the identifier is in use until it's complete. [MQTT-4.4.0-1]
    let (mut client, received) = opening("s").open(&broker);
    assert_eq!(
        received[1..],
        [
            "PUBLISH t=1 q1 2 dup MessageExpiryInterval(0)",
            "PUBLISH t=2 q2 3 dup MessageExpiryInterval(0)",
            "PUBREL 4"
        ]
    );
    for (packet_type, number) in [(PubAck, 2), (PubRec, 3), (PubComp, 3), (PubComp, 4)] {
        client.ack(&broker, packet_type, number);
    }
    assert_eq!(broker.drops(), []);
    client.lose(&broker);
    assert_eq!(opening("s").open(&broker).1, ["CONNACK present"]);
}

#[test]
fn after_a_restart_only_what_the_client_is_known_to_have_is_finished() {
    for attended in [true, false] {
        let mut broker = Broker::new();
        let mut client = subscriber(&broker, "t");
        for payload in ["1", "2", "3"] {
            publish(&broker, ExactlyOnce, payload, 10, "");
        }
        assert_eq!(client.receive(&broker).len(), 3);
        assert_eq!(client.ack(&broker, PubRec, 3), ["PUBREL 3"]);
        broker.restart();
        pass_ms(&mut broker, 10_000, attended);
        let (_, received) = opening("s").open(&broker);
        assert_eq!(received, ["CONNACK present", "PUBREL 3"]);
        assert_eq!(broker.drops(), [(DropReason::Expired, 2)]);
    }
}

#[test]
fn what_a_restart_found_expires_while_it_waits_to_be_sent_again() {
    for attended in [true, false] {
        let mut broker = Broker::new();
        subscriber(&broker, "t").lose(&broker);
        for (payload, secs) in [("1", 100), ("2", 10), ("3", 100)] {
            publish(&broker, AtLeastOnce, payload, secs, "");
        }
        broker.restart();
        let (mut client, received) = opening("s").with(Property::ReceiveMaximum(1)).open(&broker);
        let expected = "PUBLISH t=1 q1 2 dup MessageExpiryInterval(100)";
        assert_eq!(received[1..], [expected]);
        pass_ms(&mut broker, 10_000, attended);
        let expected = "PUBLISH t=3 q1 4 dup MessageExpiryInterval(90)";
        assert_eq!(client.ack(&broker, PubAck, 2), [expected], "{attended}");
        assert_eq!(broker.drops(), [(DropReason::Expired, 1)]);
    }
}

#[test]
fn what_expires_in_a_shares_queue_is_gone_and_counted_once() {
    for attended in [true, false] {
        for is_restarted in [false, true] {
            let mut broker = Broker::new();
            subscriber(&broker, SHARE).lose(&broker);
            for (payload, secs) in [("1", 10), ("2", 20), ("3", 10)] {
                publish(&broker, AtLeastOnce, payload, secs, "");
            }
            if is_restarted {
                broker.restart();
            }
            pass_ms(&mut broker, 10_000, attended);
            if attended {
                assert_eq!(broker.drops(), [(DropReason::Expired, 2)], "{is_restarted}");
                // The publisher's: it was nobody else's yet.
                assert_eq!(broker.hub.drops().samples()[0].client_id.as_str(), "p");
            }
            let (mut client, received) = opening("s").open(&broker);
            let expected = "PUBLISH t=2 q1 2 MessageExpiryInterval(10)";
            assert_eq!(received[1..], [expected]);
            client.ack(&broker, PubAck, 2);
            assert_eq!(client.receive(&broker), NOTHING);
            broker.pass(100);
            assert_eq!(broker.drops(), [(DropReason::Expired, 2)]);
            assert_eq!(broker.hub.poll_timeout(), None);
        }
    }
}

#[test]
fn what_a_member_gave_back_expires_too() {
    for is_kept in [false, true] {
        let mut broker = Broker::new();
        subscriber(&broker, SHARE).lose(&broker);
        let mut member = if is_kept {
            opening("m")
        } else {
            Opening::v5("m")
        }
        .client(&broker);
        member.subscribe(&broker, SHARE, AtLeastOnce);
        publish(&broker, AtLeastOnce, "1", 10, "");
        publish(&broker, AtLeastOnce, "2", 20, "");
        let received = member.receive(&broker);
        assert_eq!(received.len(), 2, "{received:?}");
        member.lose(&broker);
        broker.pass(10);
        assert_eq!(broker.drops(), [(DropReason::Expired, 1)], "{is_kept}");
        broker.pass(5);
        let (_, received) = opening("s").open(&broker);
        let expected = "PUBLISH t=2 q1 2 MessageExpiryInterval(5)";
        assert_eq!(received[1..], [expected]);
    }
}

#[test]
fn what_expires_in_a_members_queue_leaves_its_place_in_the_share() {
    for is_kept in [false, true] {
        let mut broker = Broker::new();
        subscriber(&broker, SHARE).lose(&broker);
        let mut member = if is_kept {
            opening("m")
        } else {
            Opening::v5("m")
        }
        .client(&broker);
        member.subscribe(&broker, SHARE, AtLeastOnce);
        publish(&broker, AtLeastOnce, "1", 10, "");
        // It was given to the member, which hasn't looked.
        broker.pass(10);
        assert_eq!(member.receive(&broker), NOTHING);
        assert_eq!(broker.drops(), [(DropReason::Expired, 1)]);
        assert_eq!(broker.hub.drops().samples()[0].client_id.as_str(), "m");
        member.lose(&broker);
        broker.restart();
        assert_eq!(opening("s").open(&broker).1, ["CONNACK present"]);
    }
}

#[test]
fn a_retained_message_says_how_long_it_still_lives_and_ends() {
    for is_restarted in [false, true] {
        for attended in [true, false] {
            let mut broker = Broker::new();
            publish(&broker, AtLeastOnce, "x", 10, "retain");
            broker.pass_ms(3500);
            if is_restarted {
                broker.restart();
            }
            let mut client = Opening::v5("s").client(&broker);
            let received = client.subscribe_with(&broker, "t", at(AtMostOnce), 0);
            let expected = "PUBLISH t=x q0 - retain MessageExpiryInterval(7)";
            assert_eq!(received[1..], [expected]);
            pass_ms(&mut broker, 6499, attended);
            let received = client.subscribe_with(&broker, "t", at(AtMostOnce), 0);
            let expected = "PUBLISH t=x q0 - retain MessageExpiryInterval(1)";
            assert_eq!(received[1..], [expected]);
            pass_ms(&mut broker, 1, attended);
            let received = client.subscribe_with(&broker, "t", at(AtMostOnce), 0);
            assert_eq!(received, ["SUBACK 0x00"]);
            broker.pass(0);
            let figures = broker.hub.figures();
            assert_eq!((figures.retained_messages, figures.retained_bytes), (0, 0));
            assert_eq!(broker.drops(), [], "it was nobody's");
            assert_eq!(broker.hub.poll_timeout(), None);
            broker.restart();
            assert_eq!(broker.hub.figures().retained_messages, 0);
        }
    }
}

#[test]
fn the_interval_of_a_retained_message_ends_with_the_message() {
    let mut broker = Broker::new();
    publish(&broker, AtLeastOnce, "short", 10, "retain");
    publish(&broker, AtLeastOnce, "long", 20, "retain");
    broker.pass(10);
    assert_eq!(broker.hub.figures().retained_messages, 1);
    let mut publisher = Opening::v5("p").client(&broker);
    publisher.publish(&broker, "t", AtLeastOnce, 1, "endless", "retain");
    broker.pass(100);
    let mut client = Opening::v5("s").client(&broker);
    let received = client.subscribe_with(&broker, "t", at(AtMostOnce), 0);
    assert_eq!(received[1..], ["PUBLISH t=endless q0 - retain"]);
    // And the other way round.
    publish(&broker, AtLeastOnce, "short", 10, "retain");
    broker.pass(10);
    assert_eq!(broker.hub.figures().retained_messages, 0);
}

#[test]
fn a_copy_of_a_retained_message_expires_in_the_queue() {
    let mut broker = Broker::new();
    let mut client = opening("s")
        .with(Property::ReceiveMaximum(1))
        .client(&broker);
    let mut publisher = Opening::v5("p").client(&broker);
    publisher.publish(&broker, "first", AtLeastOnce, 1, "x", "retain");
    publish(&broker, AtLeastOnce, "x", 10, "retain");
    let received = client.subscribe_with(&broker, "#", at(AtLeastOnce), 0);
    assert_eq!(received[1..], ["PUBLISH first=x q1 2 retain"]);
    broker.pass(10);
    assert_eq!(broker.drops(), [(DropReason::Expired, 1)]);
    assert_eq!(client.ack(&broker, PubAck, 2), NOTHING);
}

#[test]
fn many_that_expire_at_once_are_all_gone() {
    let mut broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    let properties = [Property::MessageExpiryInterval(10)];
    // More than are handled in one call.
    for number in 0..300 {
        let topic = format!("many/{number}");
        publisher.publish_with(&broker, &topic, AtMostOnce, 0, "x", "retain", &properties);
    }
    assert_eq!(broker.hub.figures().retained_messages, 300);
    broker.pass(10);
    assert_eq!(broker.hub.figures().retained_messages, 0);
}

//! What a restart of the broker leaves as it was: each test runs a broker, loses the process, and
//! goes on with a broker recovered from the frames that were durable.
//!
//! MQTT 5 sections 3.1.2.4, 3.1.2.5, 3.1.2.11, 3.3.1, 4.1, 4.3, 4.4, 4.5; MQTT 3.1.1 the same.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod support;

use dunlin_codec::{
    Ack, Packet, Properties, Property, QoS, Subscribe, Subscription, SubscriptionOptions, Version,
    Will,
};
use dunlin_engine::time::Instant;

use support::{Broker, connect, id, packet_id};

const VERSIONS: [Version; 2] = [Version::V4, Version::V5];

#[test]
fn a_session_survives_a_restart() {
    for version in VERSIONS {
        let mut broker = Broker::new();
        let (mut subscriber, received) = connect(&broker, version, "sub", 1000, None);
        assert_eq!(received, ["CONNACK new"]);
        subscriber.subscribe(&broker, "a/+", QoS::AtLeastOnce);
        broker.restart();
        let (mut subscriber, received) = connect(&broker, version, "sub", 1000, None);
        assert_eq!(received, ["CONNACK present"], "{version:?}");
        let (mut publisher, _) = connect(&broker, version, "pub", 0, None);
        publisher.publish(&broker, "a/b", QoS::AtMostOnce, 0, "x", "");
        assert_eq!(
            subscriber.receive(&broker),
            ["PUBLISH a/b=x q0 -"],
            "{version:?}"
        );
    }
}

#[test]
fn queued_messages_survive_a_restart() {
    for version in VERSIONS {
        let mut broker = Broker::new();
        let (mut subscriber, _) = connect(&broker, version, "sub", 1000, None);
        subscriber.subscribe(&broker, "a/#", QoS::ExactlyOnce);
        subscriber.lose(&broker);
        let (mut publisher, _) = connect(&broker, version, "pub", 1000, None);
        for (number, qos) in [
            (1, QoS::AtLeastOnce),
            (2, QoS::ExactlyOnce),
            (3, QoS::AtLeastOnce),
        ] {
            let payload = number.to_string();
            let received = publisher.publish(&broker, "a/b", qos, number, &payload, "");
            assert_eq!(received.len(), 1, "{version:?}: acknowledged: {received:?}");
        }
        broker.restart();
        let (_, received) = connect(&broker, version, "sub", 1000, None);
        let messages: Vec<&str> = received
            .iter()
            .filter_map(|words| words.get(..15))
            .collect();
        assert_eq!(
            messages,
            [
                "CONNACK present",
                "PUBLISH a/b=1 q",
                "PUBLISH a/b=2 q",
                "PUBLISH a/b=3 q"
            ],
            "{version:?}"
        );
    }
}

#[test]
fn retained_messages_survive_a_restart() {
    for version in VERSIONS {
        let mut broker = Broker::new();
        let (mut publisher, _) = connect(&broker, version, "pub", 0, None);
        publisher.publish(&broker, "a/kept", QoS::AtLeastOnce, 1, "old", "retain");
        publisher.publish(&broker, "a/kept", QoS::AtLeastOnce, 1, "new", "retain");
        publisher.publish(&broker, "a/gone", QoS::AtLeastOnce, 1, "x", "retain");
        publisher.publish(&broker, "a/gone", QoS::AtLeastOnce, 1, "", "retain");
        broker.restart();
        let (mut subscriber, _) = connect(&broker, version, "sub", 0, None);
        let list = [Subscription {
            filter: "a/#",
            options: SubscriptionOptions::default(),
        }];
        let received = subscriber.exchange(
            &broker,
            &Packet::Subscribe(Subscribe::new(id(1), Properties::EMPTY, &list)),
        );
        assert_eq!(
            received,
            ["SUBACK 0x00", "PUBLISH a/kept=new q0 - retain"],
            "{version:?}"
        );
    }
}

#[test]
fn wills_of_connected_sessions_are_published_after_a_restart() {
    for (version, delay_s) in [(Version::V4, 0), (Version::V5, 0), (Version::V5, 20)] {
        let mut broker = Broker::new();
        let (mut watcher, _) = connect(&broker, version, "watch", 1000, None);
        watcher.subscribe(&broker, "wills/#", QoS::AtLeastOnce);
        let properties = [Property::WillDelayInterval(delay_s)];
        let will = Will {
            topic: "wills/lamp",
            payload: b"gone",
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::from_list(&properties),
        };
        let (lamp, _) = connect(&broker, version, "lamp", 1000, Some(will));
        drop(lamp);
        broker.restart();
        broker.pass(u64::from(delay_s / 2));
        let (mut watcher, mut received) = connect(&broker, version, "watch", 1000, None);
        if delay_s > 0 {
            assert_eq!(received.len(), 1, "before its delay: {received:?}");
            broker.pass(u64::from(delay_s));
            received.extend(watcher.receive(&broker));
        }
        assert_eq!(
            received.len(),
            2,
            "{version:?}, delay {delay_s}: {received:?}"
        );
        assert!(received[1].starts_with("PUBLISH wills/lamp=gone q1"));
        // Once, not again at the next restart.
        let number = packet_id(&received[1]);
        watcher.exchange(&broker, &Packet::PubAck(Ack::new(number)));
        broker.restart();
        broker.pass(100);
        let (_, received) = connect(&broker, version, "watch", 1000, None);
        assert_eq!(
            received,
            ["CONNACK present"],
            "{version:?}, delay {delay_s}"
        );
    }
}

#[test]
fn session_expiry_keeps_its_deadline_across_a_restart() {
    for (waits, present) in [(55, true), (65, false)] {
        let mut broker = Broker::new();
        let (mut client, _) = connect(&broker, Version::V5, "lamp", 60, None);
        client.subscribe(&broker, "a", QoS::AtLeastOnce);
        client.lose(&broker);
        broker.pass(30);
        broker.restart();
        broker.pass(waits - 30);
        let (_, received) = connect(&broker, Version::V5, "lamp", 60, None);
        assert_eq!(
            received,
            [if present {
                "CONNACK present"
            } else {
                "CONNACK new"
            }]
        );
        assert_eq!(broker.now.monotonic, Instant::ZERO.plus_secs(waits));
    }
}

#[test]
fn a_repeated_qos_2_publish_is_known_after_a_restart() {
    for version in VERSIONS {
        let mut broker = Broker::new();
        let (mut subscriber, _) = connect(&broker, version, "sub", 1000, None);
        subscriber.subscribe(&broker, "a", QoS::ExactlyOnce);
        let (mut publisher, _) = connect(&broker, version, "pub", 1000, None);
        let received = publisher.publish(&broker, "a", QoS::ExactlyOnce, 9, "once", "");
        assert_eq!(received, ["PUBREC 9"]);
        let first = subscriber.receive(&broker);
        assert_eq!(first.len(), 1);
        broker.restart();
        // PUBREC was lost with the process: the publisher sends it again.
        let (mut publisher, _) = connect(&broker, version, "pub", 1000, None);
        let received = publisher.publish(&broker, "a", QoS::ExactlyOnce, 9, "once", "dup");
        assert_eq!(received, ["PUBREC 9"], "{version:?}");
        assert_eq!(
            publisher.exchange(&broker, &Packet::PubRel(Ack::new(id(9)))),
            ["PUBCOMP 9"]
        );
        let (mut subscriber, received) = connect(&broker, version, "sub", 1000, None);
        // The same message under the same identifier: a repetition, not a second message.
        assert_eq!(
            received,
            ["CONNACK present".to_owned(), format!("{} dup", first[0])],
            "{version:?}"
        );
        assert!(subscriber.receive(&broker).is_empty());
        // After PUBREL the identifier stands for a new message, also after another restart.
        broker.restart();
        let (mut publisher, _) = connect(&broker, version, "pub", 1000, None);
        publisher.publish(&broker, "a", QoS::ExactlyOnce, 9, "next", "");
        let (_, received) = connect(&broker, version, "sub", 1000, None);
        assert_eq!(received.len(), 3, "{version:?}: {received:?}");
        assert!(
            received[2].starts_with("PUBLISH a=next q2"),
            "{version:?}: {received:?}"
        );
    }
}

#[test]
fn what_was_in_flight_is_sent_again_after_a_restart() {
    for version in VERSIONS {
        let mut broker = Broker::new();
        let (mut subscriber, _) = connect(&broker, version, "sub", 1000, None);
        subscriber.subscribe(&broker, "a", QoS::ExactlyOnce);
        let (mut publisher, _) = connect(&broker, version, "pub", 1000, None);
        let mut sent = Vec::new();
        for (number, qos) in [
            (1, QoS::AtLeastOnce),
            (2, QoS::ExactlyOnce),
            (3, QoS::AtLeastOnce),
        ] {
            publisher.publish(&broker, "a", qos, number, &number.to_string(), "");
            sent.extend(subscriber.receive(&broker));
        }
        assert_eq!(sent.len(), 3);
        subscriber.exchange(&broker, &Packet::PubAck(Ack::new(packet_id(&sent[0]))));
        broker.restart();
        let (mut subscriber, received) = connect(&broker, version, "sub", 1000, None);
        let again = sent[1..].iter().map(|words| format!("{words} dup"));
        let expected: Vec<String> = ["CONNACK present".to_owned()]
            .into_iter()
            .chain(again)
            .collect();
        assert_eq!(
            received, expected,
            "{version:?}: same order, same identifiers, marked"
        );
        assert!(subscriber.receive(&broker).is_empty());
    }
}

#[test]
fn pubrel_is_sent_again_after_a_restart() {
    for version in VERSIONS {
        let mut broker = Broker::new();
        let (mut subscriber, _) = connect(&broker, version, "sub", 1000, None);
        subscriber.subscribe(&broker, "a", QoS::ExactlyOnce);
        let (mut publisher, _) = connect(&broker, version, "pub", 1000, None);
        publisher.publish(&broker, "a", QoS::ExactlyOnce, 1, "x", "");
        let sent = subscriber.receive(&broker);
        let number = packet_id(&sent[0]);
        let expected = format!("PUBREL {number}");
        let received = subscriber.exchange(&broker, &Packet::PubRec(Ack::new(number)));
        assert_eq!(received, [expected.as_str()]);
        broker.restart();
        let (mut subscriber, received) = connect(&broker, version, "sub", 1000, None);
        assert_eq!(
            received,
            ["CONNACK present", expected.as_str()],
            "{version:?}: not the PUBLISH"
        );
        subscriber.exchange(&broker, &Packet::PubComp(Ack::new(number)));
        broker.restart();
        let (_, received) = connect(&broker, version, "sub", 1000, None);
        assert_eq!(received, ["CONNACK present"], "{version:?}: completed");
    }
}

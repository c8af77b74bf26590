//! The flows of QoS 1 and 2 in both directions: acknowledgements, repetition, windows, identifiers.
//!
//! MQTT 5 sections 2.2.1, 3.3 to 3.7, 4.3, 4.4, 4.6, 4.9; MQTT 3.1.1 the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use dunlin_codec::{PacketType, Property, QoS, ReasonCode, Version};
use dunlin_engine::drops::DropReason;
use dunlin_engine::limits::Limits;

use support::{Broker, Client, Opening, packet_id};

use PacketType::{PubAck, PubComp, PubRec, PubRel};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const NOTHING: [&str; 0] = [];
const VERSIONS: [Version; 2] = [Version::V4, Version::V5];

/// A client that keeps its session, subscribed to `t`.
fn subscriber(broker: &Broker, version: Version, qos: QoS) -> Client {
    let mut client = Opening::new(version, "s").kept(1000).client(broker);
    client.subscribe(broker, "t", qos);
    client
}

fn again(broker: &Broker, version: Version) -> (Client, Vec<String>) {
    Opening::new(version, "s").kept(1000).open(broker)
}

fn publisher(broker: &Broker, version: Version) -> Client {
    Opening::new(version, "p").kept(1000).client(broker)
}

#[test]
fn qos_1_is_acknowledged_once_and_sent_once_per_connection() {
    for version in VERSIONS {
        let mut broker = Broker::new();
        let mut subscriber = subscriber(&broker, version, AtLeastOnce);
        let mut publisher = publisher(&broker, version);
        assert_eq!(
            publisher.publish(&broker, "t", AtLeastOnce, 5, "x", ""),
            ["PUBACK 5"]
        );
        assert_eq!(subscriber.receive(&broker), ["PUBLISH t=x q1 2"]);
        // [MQTT-4.4.0-1] Not again while the connection lasts, however long.
        broker.pass(100_000);
        assert_eq!(subscriber.tick(&broker), NOTHING);
        assert_eq!(subscriber.ack(&broker, PubAck, 2), NOTHING);
        subscriber.lose(&broker);
        assert_eq!(
            again(&broker, version).1,
            ["CONNACK present"],
            "{version:?}"
        );
    }
}

#[test]
fn qos_2_takes_four_steps_in_each_direction() {
    for version in VERSIONS {
        let broker = Broker::new();
        let mut subscriber = subscriber(&broker, version, ExactlyOnce);
        let mut publisher = publisher(&broker, version);
        assert_eq!(
            publisher.publish(&broker, "t", ExactlyOnce, 5, "x", ""),
            ["PUBREC 5"]
        );
        assert_eq!(publisher.ack(&broker, PubRel, 5), ["PUBCOMP 5"]);
        assert_eq!(subscriber.receive(&broker), ["PUBLISH t=x q2 2"]);
        assert_eq!(subscriber.ack(&broker, PubRec, 2), ["PUBREL 2"]);
        assert_eq!(subscriber.ack(&broker, PubComp, 2), NOTHING);
        subscriber.lose(&broker);
        assert_eq!(again(&broker, version).1, ["CONNACK present"]);
    }
}

#[test]
fn a_repeated_qos_2_publish_is_acknowledged_and_not_delivered() {
    for version in VERSIONS {
        let broker = Broker::new();
        let mut subscriber = subscriber(&broker, version, ExactlyOnce);
        let mut publisher = publisher(&broker, version);
        publisher.publish(&broker, "t", ExactlyOnce, 5, "x", "");
        assert_eq!(subscriber.receive(&broker).len(), 1);
        // On the same connection, and on the next.
        let repeat =
            |publisher: &mut Client| publisher.publish(&broker, "t", ExactlyOnce, 5, "x", "dup");
        assert_eq!(repeat(&mut publisher), ["PUBREC 5"]);
        publisher.lose(&broker);
        let (mut publisher, _) = Opening::new(version, "p").kept(1000).open(&broker);
        assert_eq!(repeat(&mut publisher), ["PUBREC 5"]);
        assert_eq!(subscriber.receive(&broker), NOTHING);
        assert_eq!(publisher.ack(&broker, PubRel, 5), ["PUBCOMP 5"]);
        // After PUBREL the identifier means another message, whatever DUP says. [MQTT-4.3.3-13]
        publisher.publish(&broker, "t", ExactlyOnce, 5, "y", "dup");
        assert_eq!(
            subscriber.receive(&broker),
            ["PUBLISH t=y q2 3"],
            "{version:?}"
        );
    }
}

#[test]
fn a_repeated_qos_1_publish_is_another_message() {
    let broker = Broker::new();
    let mut subscriber = subscriber(&broker, Version::V5, AtLeastOnce);
    let mut publisher = publisher(&broker, Version::V5);
    for mark in ["", "dup"] {
        assert_eq!(
            publisher.publish(&broker, "t", AtLeastOnce, 5, "x", mark),
            ["PUBACK 5"]
        );
    }
    // DUP is not forwarded. [MQTT-3.3.1-3]
    assert_eq!(
        subscriber.receive(&broker),
        ["PUBLISH t=x q1 2", "PUBLISH t=x q1 3"]
    );
}

#[test]
fn a_reconnect_brings_everything_again_in_its_order_marked_under_its_identifier() {
    for version in VERSIONS {
        let broker = Broker::new();
        let mut subscriber = subscriber(&broker, version, ExactlyOnce);
        let mut publisher = publisher(&broker, version);
        for (number, qos) in [
            (1, AtLeastOnce),
            (2, ExactlyOnce),
            (3, AtLeastOnce),
            (4, ExactlyOnce),
            (5, ExactlyOnce),
        ] {
            publisher.publish(&broker, "t", qos, number, &number.to_string(), "");
        }
        assert_eq!(subscriber.receive(&broker).len(), 5);
        // The second arrived, the third is done, the fifth was received and not released.
        assert_eq!(subscriber.ack(&broker, PubRec, 3), ["PUBREL 3"]);
        subscriber.ack(&broker, PubAck, 4);
        assert_eq!(subscriber.ack(&broker, PubRec, 6), ["PUBREL 6"]);
        subscriber.lose(&broker);
        publisher.publish(&broker, "t", AtLeastOnce, 6, "6", "");
        let expected = [
            "CONNACK present",
            "PUBLISH t=1 q1 2 dup",
            "PUBREL 3",
            "PUBLISH t=4 q2 5 dup",
            "PUBREL 6",
            "PUBLISH t=6 q1 7",
        ];
        let (subscriber, received) = again(&broker, version);
        assert_eq!(received, expected, "{version:?}");
        // Once more, with the one that is new marked as well by now.
        subscriber.lose(&broker);
        let (mut subscriber, received) = again(&broker, version);
        assert_eq!(received[..5], expected[..5]);
        assert_eq!(received[5], "PUBLISH t=6 q1 7 dup");
        for (packet_type, number) in [(PubAck, 2), (PubComp, 3), (PubRec, 5), (PubComp, 5)] {
            subscriber.ack(&broker, packet_type, number);
        }
        subscriber.ack(&broker, PubComp, 6);
        subscriber.ack(&broker, PubAck, 7);
        subscriber.lose(&broker);
        assert_eq!(again(&broker, version).1, ["CONNACK present"]);
    }
}

#[test]
fn pubrel_of_an_unknown_identifier_is_completed() {
    for (version, words) in [(Version::V4, "PUBCOMP 9"), (Version::V5, "PUBCOMP 9 0x92")] {
        let broker = Broker::new();
        let mut client = publisher(&broker, version);
        assert_eq!(client.ack(&broker, PubRel, 9), [words]);
    }
}

#[test]
fn pubrec_of_an_unknown_identifier_is_released() {
    for (version, words) in [(Version::V4, "PUBREL 9"), (Version::V5, "PUBREL 9 0x92")] {
        let broker = Broker::new();
        let mut client = subscriber(&broker, version, ExactlyOnce);
        assert_eq!(client.ack(&broker, PubRec, 9), [words]);
        // A refusal of what isn't there asks for nothing.
        client.ack(&broker, PubComp, 9);
        client.ack(&broker, PubAck, 9);
        assert_eq!(client.receive(&broker), NOTHING);
    }
}

#[test]
fn a_repeated_pubrec_is_answered_by_the_same_pubrel() {
    let broker = Broker::new();
    let mut subscriber = subscriber(&broker, Version::V5, ExactlyOnce);
    publisher(&broker, Version::V5).publish(&broker, "t", ExactlyOnce, 1, "x", "");
    subscriber.receive(&broker);
    for _ in 0..3 {
        assert_eq!(subscriber.ack(&broker, PubRec, 2), ["PUBREL 2"]);
    }
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_is_a_protocol_error() {
    for (qos, wrong) in [
        (AtLeastOnce, PubRec),
        (AtLeastOnce, PubComp),
        (ExactlyOnce, PubAck),
        (ExactlyOnce, PubComp),
    ] {
        let broker = Broker::new();
        let mut subscriber = subscriber(&broker, Version::V5, qos);
        publisher(&broker, Version::V5).publish(&broker, "t", qos, 1, "x", "");
        subscriber.receive(&broker);
        let received = subscriber.ack(&broker, wrong, 2);
        assert_eq!(
            received[0], "DISCONNECT 0x82",
            "{qos:?} {wrong:?}: {received:?}"
        );
    }
}

#[test]
fn what_a_client_refuses_is_not_sent_again() {
    for (qos, packet_type) in [(AtLeastOnce, PubAck), (ExactlyOnce, PubRec)] {
        let broker = Broker::new();
        let mut subscriber = subscriber(&broker, Version::V5, qos);
        publisher(&broker, Version::V5).publish(&broker, "t", qos, 1, "x", "");
        subscriber.receive(&broker);
        let code = ReasonCode::PayloadFormatInvalid;
        // No PUBREL after a refusal.
        assert_eq!(subscriber.ack_with(&broker, packet_type, 2, code), NOTHING);
        assert_eq!(broker.drops(), [(DropReason::Refused, 1)]);
        subscriber.lose(&broker);
        assert_eq!(again(&broker, Version::V5).1, ["CONNACK present"]);
    }
}

#[test]
fn no_matching_subscribers_in_an_acknowledgement_is_no_refusal() {
    let broker = Broker::new();
    let mut subscriber = subscriber(&broker, Version::V5, ExactlyOnce);
    publisher(&broker, Version::V5).publish(&broker, "t", ExactlyOnce, 1, "x", "");
    subscriber.receive(&broker);
    let received = subscriber.ack_with(&broker, PubRec, 2, ReasonCode::NoMatchingSubscribers);
    assert_eq!(received, ["PUBREL 2"]);
    assert_eq!(broker.drops(), []);
}

#[test]
fn a_clients_receive_maximum_is_kept() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s")
        .kept(1000)
        .with(Property::ReceiveMaximum(2))
        .client(&broker);
    subscriber.subscribe(&broker, "t", ExactlyOnce);
    let mut publisher = publisher(&broker, Version::V5);
    for number in 1..=5 {
        publisher.publish(&broker, "t", ExactlyOnce, number, &number.to_string(), "");
    }
    assert_eq!(
        subscriber.receive(&broker),
        ["PUBLISH t=1 q2 2", "PUBLISH t=2 q2 3"]
    );
    // PUBREC gives nothing back yet, PUBCOMP does.
    assert_eq!(subscriber.ack(&broker, PubRec, 2), ["PUBREL 2"]);
    assert_eq!(subscriber.ack(&broker, PubComp, 2), ["PUBLISH t=3 q2 4"]);
    // A refusal does.
    let received = subscriber.ack_with(&broker, PubRec, 3, ReasonCode::UnspecifiedError);
    assert_eq!(received, ["PUBLISH t=4 q2 5"]);
}

#[test]
fn the_window_of_a_new_connection_holds_for_what_is_sent_again() {
    let broker = Broker::new();
    let mut subscriber = subscriber(&broker, Version::V5, AtLeastOnce);
    let mut publisher = publisher(&broker, Version::V5);
    for number in 1..=4 {
        publisher.publish(&broker, "t", AtLeastOnce, number, &number.to_string(), "");
    }
    assert_eq!(subscriber.receive(&broker).len(), 4);
    subscriber.lose(&broker);
    publisher.publish(&broker, "t", AtLeastOnce, 5, "5", "");
    let (mut subscriber, received) = Opening::v5("s")
        .kept(1000)
        .with(Property::ReceiveMaximum(1))
        .open(&broker);
    assert_eq!(received, ["CONNACK present", "PUBLISH t=1 q1 2 dup"]);
    for (number, next) in [
        (2, "PUBLISH t=2 q1 3 dup"),
        (3, "PUBLISH t=3 q1 4 dup"),
        (4, "PUBLISH t=4 q1 5 dup"),
        (5, "PUBLISH t=5 q1 6"),
    ] {
        assert_eq!(subscriber.ack(&broker, PubAck, number), [next]);
    }
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_again_yet_counts() {
    let broker = Broker::new();
    let mut subscriber = subscriber(&broker, Version::V5, ExactlyOnce);
    let mut publisher = publisher(&broker, Version::V5);
    for number in 1..=3 {
        publisher.publish(&broker, "t", ExactlyOnce, number, &number.to_string(), "");
    }
    subscriber.receive(&broker);
    subscriber.lose(&broker);
    let (mut subscriber, received) = Opening::v5("s")
        .kept(1000)
        .with(Property::ReceiveMaximum(1))
        .open(&broker);
    assert_eq!(received, ["CONNACK present", "PUBLISH t=1 q2 2 dup"]);
    // It has the second from before.
    assert_eq!(subscriber.ack(&broker, PubRec, 3), ["PUBREL 3"]);
    subscriber.ack(&broker, PubComp, 3);
    subscriber.ack(&broker, PubRec, 2);
    assert_eq!(
        subscriber.ack(&broker, PubComp, 2),
        ["PUBLISH t=3 q2 4 dup"]
    );
}

#[test]
fn a_client_beyond_our_receive_maximum_is_disconnected() {
    let limits = || Limits {
        receive_maximum: 2,
        ..Limits::default()
    };
    let broker = Broker::with(limits());
    let mut client = publisher(&broker, Version::V5);
    for number in 1..=2 {
        let received = client.publish(&broker, "t", ExactlyOnce, number, "x", "");
        assert_eq!(received.len(), 1);
    }
    // A repetition and QoS 0 take no place.
    client.publish(&broker, "t", ExactlyOnce, 2, "x", "dup");
    client.publish(&broker, "t", AtMostOnce, 0, "x", "");
    let received = client.publish(&broker, "t", AtLeastOnce, 3, "x", "");
    assert_eq!(
        received,
        ["DISCONNECT 0x93", "end: receive maximum exceeded"]
    );

    // PUBCOMP gives the place back.
    let broker = Broker::with(limits());
    let mut client = publisher(&broker, Version::V5);
    for number in 1..=10 {
        client.publish(&broker, "t", ExactlyOnce, number, "x", "");
        assert_eq!(client.ack(&broker, PubRel, number).len(), 1);
        client.publish(&broker, "t", AtLeastOnce, number, "x", "");
    }
    // A refused QoS 2 message is complete.
    let broker = Broker::with(Limits {
        retained_messages: 0,
        ..limits()
    });
    let mut client = publisher(&broker, Version::V5);
    for number in 1..=10 {
        let received = client.publish(&broker, "t", ExactlyOnce, number, "x", "retain");
        assert_eq!(received, [format!("PUBREC {number} 0x97")]);
    }
}

#[test]
fn unacknowledged_messages_of_a_former_connection_take_no_place_in_the_window() {
    let broker = Broker::with(Limits {
        receive_maximum: 2,
        ..Limits::default()
    });
    let mut client = publisher(&broker, Version::V5);
    for number in 1..=2 {
        client.publish(&broker, "t", ExactlyOnce, number, "x", "");
    }
    client.lose(&broker);
    let mut client = Opening::v5("p").kept(1000).client(&broker);
    // The standard starts counting at each connection; what is repeated is known.
    for number in 1..=2 {
        let received = client.publish(&broker, "t", ExactlyOnce, number, "x", "dup");
        assert_eq!(received, [format!("PUBREC {number}")]);
    }
    for number in 1..=2 {
        let received = client.ack(&broker, PubRel, number);
        assert_eq!(received, [format!("PUBCOMP {number}")]);
    }
    let received = client.publish(&broker, "t", AtLeastOnce, 1, "x", "");
    assert_eq!(received, ["PUBACK 1 0x10"]);
}

#[test]
fn waiting_acknowledgements_fill_the_window_of_a_publisher() {
    let broker = Broker::with_slow_disk();
    broker.hub.set_limits(Limits {
        receive_maximum: 2,
        ..Limits::default()
    });
    let (mut sub, _) = again(&broker, Version::V5);
    broker.log.make_durable();
    sub.receive(&broker);
    sub.send_bytes(&broker, &[0x82, 7, 0, 1, 0, 0, 1, b't', 1]);
    sub.lose(&broker);
    let (mut client, _) = Opening::v5("p").open(&broker);
    for number in 1..=2 {
        assert_eq!(
            client.publish(&broker, "t", AtLeastOnce, number, "x", ""),
            NOTHING
        );
    }
    let received = client.publish(&broker, "t", AtLeastOnce, 3, "x", "");
    assert_eq!(received[0], "DISCONNECT 0x93", "{received:?}");
}

#[test]
fn identifiers_do_not_collide_however_long_one_message_is_unacknowledged() {
    let broker = Broker::without_disk(Limits::default());
    let mut subscriber = subscriber(&broker, Version::V5, ExactlyOnce);
    let mut publisher = publisher(&broker, Version::V5);
    publisher.publish(&broker, "t", ExactlyOnce, 1, "slow", "");
    let slow = packet_id(&subscriber.receive(&broker)[0]);
    let mut delivered = 0u32;
    let mut waiting = 0u32;
    for _ in 0..65_600 {
        publisher.publish(&broker, "t", AtLeastOnce, 2, "x", "");
        let received = subscriber.receive(&broker);
        let Some(words) = received.first() else {
            waiting += 1;
            continue;
        };
        let number = packet_id(words);
        assert_ne!(number, slow, "after {delivered}");
        subscriber.ack(&broker, PubAck, number.get());
        delivered += 1;
    }
    // Every other identifier was used once; the rest waits for the slow one.
    assert_eq!((delivered, waiting), (65_534, 66));
    assert_eq!(subscriber.ack(&broker, PubRec, slow.get()).len(), 1);
    let rest = subscriber.ack(&broker, PubComp, slow.get());
    assert_eq!(rest.len(), 66);
    assert_eq!(packet_id(&rest[0]), slow, "its identifier comes next");
}

#[test]
fn qos_0_is_not_held_back_by_a_full_window() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s")
        .with(Property::ReceiveMaximum(1))
        .client(&broker);
    subscriber.subscribe(&broker, "#", AtLeastOnce);
    let mut publisher = publisher(&broker, Version::V5);
    publisher.publish(&broker, "t", AtLeastOnce, 1, "1", "");
    publisher.publish(&broker, "u", AtMostOnce, 0, "2", "");
    assert_eq!(
        subscriber.receive(&broker),
        ["PUBLISH t=1 q1 2", "PUBLISH u=2 q0 -"]
    );
}

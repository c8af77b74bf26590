//! Shared subscriptions: which member gets a message, where it waits while none has room, and where
//! it goes when its member does.
//!
//! MQTT 5 section 4.8.2; what a crash makes of them stands in `crash.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::collections::{BTreeSet, VecDeque};

use dunlin_codec::{
    Ack, Packet, PacketType, Properties, Property, QoS, ReasonCode, Subscribe, Subscription,
    SubscriptionOptions, Version,
};
use dunlin_engine::drops::DropReason;
use dunlin_engine::limits::{DropPolicy, Limits};

use support::{Broker, Client, Opening, id, packet_id};

use PacketType::{PubAck, PubComp, PubRec};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const NOTHING: [&str; 0] = [];
const SHARE: &str = "$share/g/t";

fn at(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        ..SubscriptionOptions::default()
    }
}

/// A member that keeps its session and takes so many messages at a time.
fn opening(name: &str, window: u16) -> Opening<'_> {
    Opening::v5(name)
        .kept(1000)
        .with(Property::ReceiveMaximum(window))
}

fn member(broker: &Broker, name: &str, window: u16, qos: QoS) -> Client {
    let mut member = opening(name, window).client(broker);
    member.subscribe(broker, SHARE, qos);
    member
}

/// A member whose session ends with its connection.
fn passing(broker: &Broker, name: &str, qos: QoS) -> Client {
    let mut member = Opening::v5(name).client(broker);
    member.subscribe(broker, SHARE, qos);
    member
}

/// Publishes the numbers of a range to `t`, each as its payload; all are acknowledged with success.
fn publish(broker: &Broker, publisher: &mut Client, qos: QoS, numbers: std::ops::Range<u16>) {
    for number in numbers {
        let packet_id = if qos == AtMostOnce { 0 } else { number + 1 };
        let payload = number.to_string();
        let received = publisher.publish(broker, "t", qos, packet_id, &payload, "");
        let expected: Vec<String> = match qos {
            AtMostOnce => vec![],
            AtLeastOnce => vec![format!("PUBACK {packet_id}")],
            ExactlyOnce => vec![format!("PUBREC {packet_id}")],
        };
        assert_eq!(received, expected, "{number}");
        if qos == ExactlyOnce {
            publisher.ack(broker, PacketType::PubRel, packet_id);
        }
    }
}

/// The payloads of what came.
fn payloads(received: &[String]) -> Vec<&str> {
    received
        .iter()
        .filter_map(|words| words.split_once('=')?.1.split(' ').next())
        .collect()
}

#[test]
fn members_take_turns_whatever_their_version() {
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        let broker = Broker::new();
        let mut members = [
            ("a", Version::V5, 1000),
            ("b", Version::V4, 0),
            ("c", Version::V5, 0),
        ]
        .map(|(name, version, expiry_s)| {
            let mut member = Opening::new(version, name).kept(expiry_s).client(&broker);
            member.subscribe(&broker, SHARE, qos);
            member
        });
        let mut publisher = Opening::v5("p").client(&broker);
        // Who subscribes again stays one member.
        members[0].subscribe(&broker, SHARE, qos);
        publish(&broker, &mut publisher, qos, 0..6);
        let received = members.each_mut().map(|member| member.receive(&broker));
        let received = received.each_ref().map(|received| payloads(received));
        assert_eq!(received, [["0", "3"], ["1", "4"], ["2", "5"]], "{qos:?}");
    }
}

#[test]
fn each_member_is_sent_at_the_qos_that_it_was_granted() {
    let broker = Broker::new();
    let mut low = member(&broker, "a", 9, AtMostOnce);
    let mut middle = member(&broker, "b", 9, AtLeastOnce);
    let mut high = member(&broker, "c", 9, ExactlyOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, ExactlyOnce, 0..3);
    assert_eq!(low.receive(&broker), ["PUBLISH t=0 q0 -"]);
    assert_eq!(middle.receive(&broker), ["PUBLISH t=1 q1 2"]);
    assert_eq!(high.receive(&broker), ["PUBLISH t=2 q2 2"]);
    // Another SUBSCRIBE changes it. [MQTT-3.8.4-3]
    low.subscribe(&broker, SHARE, ExactlyOnce);
    publish(&broker, &mut publisher, AtLeastOnce, 3..4);
    assert_eq!(low.receive(&broker), ["PUBLISH t=3 q1 2"]);
}

#[test]
fn a_member_is_given_no_more_than_its_window_and_the_rest_waits_in_order() {
    for is_kept in [false, true] {
        let broker = Broker::new();
        let open = |name, window| {
            let opening = Opening::v5(name).with(Property::ReceiveMaximum(window));
            let opening = if is_kept { opening.kept(1000) } else { opening };
            let mut member = opening.client(&broker);
            member.subscribe(&broker, SHARE, AtLeastOnce);
            member
        };
        let (mut narrow, mut wide) = (open("a", 1), open("b", 2));
        let mut publisher = Opening::v5("p").client(&broker);
        publish(&broker, &mut publisher, AtLeastOnce, 0..7);
        assert_eq!(payloads(&narrow.receive(&broker)), ["0"]);
        assert_eq!(payloads(&wide.receive(&broker)), ["1", "2"]);
        assert_eq!(narrow.ack(&broker, PubAck, 2), ["PUBLISH t=3 q1 3"]);
        assert_eq!(wide.ack(&broker, PubAck, 3), ["PUBLISH t=4 q1 4"]);
        assert_eq!(wide.ack(&broker, PubAck, 2), ["PUBLISH t=5 q1 5"]);
        // What is new waits behind what is old, though there is room at this moment.
        narrow.send(&broker, &Packet::PubAck(Ack::new(id(3))));
        publish(&broker, &mut publisher, AtLeastOnce, 7..8);
        assert_eq!(narrow.receive(&broker), ["PUBLISH t=6 q1 4"]);
        assert_eq!(wide.ack(&broker, PubAck, 4), ["PUBLISH t=7 q1 6"]);
        assert_eq!(wide.ack(&broker, PubAck, 5), NOTHING);
        assert_eq!(broker.drops(), []);
    }
}

#[test]
fn a_slow_member_takes_nothing_from_the_others() {
    let broker = Broker::new();
    let mut slow = member(&broker, "slow", 2, ExactlyOnce);
    let mut quick = member(&broker, "quick", 9, ExactlyOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    let mut came = Vec::new();
    for number in 0..20 {
        publish(&broker, &mut publisher, AtLeastOnce, number..number + 1);
        for words in quick.receive(&broker) {
            quick.ack(&broker, PubAck, packet_id(&words).get());
            came.push(words);
        }
    }
    assert_eq!(came.len(), 18, "the slow one holds its window, no more");
    assert_eq!(slow.receive(&broker).len(), 2);
}

#[test]
fn what_a_lost_member_did_not_acknowledge_at_qos_1_goes_to_another_in_its_order() {
    for is_kept in [false, true] {
        let broker = Broker::new();
        let mut lost = Opening::v5("lost");
        if is_kept {
            lost = lost.kept(1000);
        }
        let mut lost = lost.client(&broker);
        lost.subscribe(&broker, SHARE, AtLeastOnce);
        let mut publisher = Opening::v5("p").client(&broker);
        publish(&broker, &mut publisher, AtLeastOnce, 0..3);
        assert_eq!(lost.receive(&broker).len(), 3);
        publish(&broker, &mut publisher, AtLeastOnce, 3..5);
        lost.ack(&broker, PubAck, 3);
        let mut other = member(&broker, "other", 3, AtLeastOnce);
        lost.lose(&broker);
        // A delivery to another client is a first one: no DUP, an identifier of its own.
        assert_eq!(
            other.receive(&broker),
            ["PUBLISH t=0 q1 2", "PUBLISH t=2 q1 3", "PUBLISH t=3 q1 4"]
        );
        assert_eq!(other.ack(&broker, PubAck, 2), ["PUBLISH t=4 q1 5"]);
        let (_, received) = Opening::v5("lost").kept(1000).open(&broker);
        let expected = if is_kept { "present" } else { "new" };
        assert_eq!(received, [format!("CONNACK {expected}")]);
        assert_eq!(broker.drops(), []);
    }
}

#[test]
fn what_comes_back_goes_before_what_waits() {
    let broker = Broker::new();
    let mut first = member(&broker, "first", 2, AtLeastOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 0..4);
    assert_eq!(payloads(&first.receive(&broker)), ["0", "1"]);
    first.lose(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 4..5);
    let mut second = Opening::v5("second").client(&broker);
    let received = second.subscribe_with(&broker, SHARE, at(AtLeastOnce), 0);
    assert_eq!(payloads(&received), ["0", "1", "2", "3", "4"]);
}

#[test]
fn what_was_sent_at_qos_2_stays_with_its_member() {
    let broker = Broker::new();
    let mut first = member(&broker, "first", 2, ExactlyOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, ExactlyOnce, 0..3);
    assert_eq!(payloads(&first.receive(&broker)), ["0", "1"]);
    assert_eq!(first.ack(&broker, PubRec, 2), ["PUBREL 2"]);
    first.lose(&broker);
    let mut second = Opening::v5("second").client(&broker);
    let received = second.subscribe_with(&broker, SHARE, at(ExactlyOnce), 0);
    // [MQTT-4.8.2-4] The third was never sent.
    assert_eq!(payloads(&received), ["2"]);
    let (mut first, received) = opening("first", 2).open(&broker);
    assert_eq!(
        received,
        ["CONNACK present", "PUBREL 2", "PUBLISH t=1 q2 3 dup"]
    );
    first.ack(&broker, PubComp, 2);
    assert_eq!(first.ack(&broker, PubRec, 3), ["PUBREL 3"]);
    first.ack(&broker, PubComp, 3);
    assert_eq!(broker.drops(), []);
}

#[test]
fn the_end_of_a_session_discards_what_was_sent_at_qos_2_and_gives_back_the_rest() {
    for by_clean_start in [false, true] {
        let mut broker = Broker::new();
        let mut first = member(&broker, "first", 9, ExactlyOnce);
        let mut second = member(&broker, "second", 9, ExactlyOnce);
        let mut publisher = Opening::v5("p").client(&broker);
        publish(&broker, &mut publisher, ExactlyOnce, 0..2);
        publish(&broker, &mut publisher, AtLeastOnce, 2..4);
        assert_eq!(payloads(&first.receive(&broker)), ["0", "2"]);
        assert_eq!(payloads(&second.receive(&broker)), ["1", "3"]);
        // Queued for it, and never sent.
        publish(&broker, &mut publisher, ExactlyOnce, 4..5);
        if by_clean_start {
            opening("first", 9).clean().client(&broker);
        } else {
            first.lose(&broker);
            broker.pass(1000);
        }
        // [MQTT-4.8.2-5]
        assert_eq!(payloads(&second.receive(&broker)), ["2", "4"]);
        assert_eq!(broker.drops(), [(DropReason::SessionEnded, 1)]);
        assert_eq!(broker.hub.drops().samples()[0].client_id.as_str(), "first");
    }
}

#[test]
fn without_any_member_nothing_is_kept() {
    let mut broker = Broker::new();
    let mut only = member(&broker, "only", 1, AtLeastOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 0..3);
    assert_eq!(only.receive(&broker).len(), 1);
    only.lose(&broker);
    assert_eq!(broker.drops(), []);
    broker.pass(1000);
    assert_eq!(broker.drops(), [(DropReason::SessionEnded, 3)]);
    let received = publisher.publish(&broker, "t", AtLeastOnce, 1, "x", "");
    assert_eq!(received, ["PUBACK 1 0x10"]);
    let mut next = member(&broker, "next", 9, AtLeastOnce);
    assert_eq!(next.receive(&broker), NOTHING);
}

#[test]
fn messages_wait_for_members_that_are_away_and_survive_a_restart() {
    let mut broker = Broker::new();
    for name in ["a", "b"] {
        member(&broker, name, 9, ExactlyOnce).lose(&broker);
    }
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 0..2);
    publish(&broker, &mut publisher, ExactlyOnce, 2..4);
    broker.restart();
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 4..5);
    let (mut b, received) = opening("b", 3).open(&broker);
    assert_eq!(payloads(&received), ["0", "1", "2"]);
    let (_, received) = opening("a", 9).open(&broker);
    assert_eq!(payloads(&received), ["3", "4"]);
    for (packet_type, number) in [(PubAck, 2), (PubAck, 3), (PubRec, 4), (PubComp, 4)] {
        b.ack(&broker, packet_type, number);
    }
    broker.restart();
    let (_, received) = opening("b", 9).open(&broker);
    // The QoS 2 message was with `a`, and stays there; the last one is free again.
    assert_eq!(payloads(&received), ["4"]);
    let (_, received) = opening("a", 9).open(&broker);
    assert_eq!(received[1..], ["PUBLISH t=3 q2 2 dup"]);
    assert_eq!(broker.drops(), []);
}

#[test]
fn qos_0_goes_to_a_connected_member_or_is_dropped() {
    let broker = Broker::new();
    let mut busy = member(&broker, "busy", 1, AtLeastOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 0..2);
    // A full window doesn't concern it, nor do those that wait for one.
    publish(&broker, &mut publisher, AtMostOnce, 2..3);
    assert_eq!(
        busy.receive(&broker),
        ["PUBLISH t=0 q1 2", "PUBLISH t=2 q0 -"]
    );
    busy.lose(&broker);
    publish(&broker, &mut publisher, AtMostOnce, 3..4);
    assert_eq!(broker.drops(), [(DropReason::NoMember, 1)]);
    assert_eq!(broker.hub.drops().samples()[0].client_id.as_str(), "p");
}

#[test]
fn a_message_that_a_member_refuses_goes_to_nobody_else() {
    for (qos, packet_type) in [(AtLeastOnce, PubAck), (ExactlyOnce, PubRec)] {
        for is_kept in [false, true] {
            let broker = Broker::new();
            let mut first = if is_kept {
                member(&broker, "first", 9, qos)
            } else {
                passing(&broker, "first", qos)
            };
            let mut second = member(&broker, "second", 9, qos);
            let mut publisher = Opening::v5("p").client(&broker);
            publish(&broker, &mut publisher, qos, 0..1);
            assert_eq!(first.receive(&broker).len(), 1);
            // [MQTT-4.8.2-6]
            let code = ReasonCode::ImplementationSpecificError;
            assert_eq!(first.ack_with(&broker, packet_type, 2, code), NOTHING);
            assert_eq!(broker.drops(), [(DropReason::Refused, 1)]);
            first.lose(&broker);
            assert_eq!(second.receive(&broker), NOTHING, "{qos:?}");
        }
    }
}

#[test]
fn a_refusal_makes_room_for_what_waits() {
    for (qos, packet_type) in [(AtLeastOnce, PubAck), (ExactlyOnce, PubRec)] {
        let broker = Broker::new();
        let mut only = member(&broker, "only", 1, qos);
        let mut publisher = Opening::v5("p").client(&broker);
        publish(&broker, &mut publisher, qos, 0..2);
        assert_eq!(payloads(&only.receive(&broker)), ["0"]);
        let received = only.ack_with(&broker, packet_type, 2, ReasonCode::QuotaExceeded);
        assert_eq!(payloads(&received), ["1"], "{qos:?}");
    }
}

#[test]
fn the_last_member_that_unsubscribes_leaves_nobody_to_wait_for() {
    for is_kept in [false, true] {
        let mut broker = Broker::new();
        let opening = || {
            let opening = Opening::v5("only").with(Property::ReceiveMaximum(1));
            if is_kept { opening.kept(1000) } else { opening }
        };
        let mut only = opening().client(&broker);
        only.subscribe(&broker, SHARE, AtLeastOnce);
        let mut publisher = Opening::v5("p").client(&broker);
        publish(&broker, &mut publisher, AtLeastOnce, 0..3);
        assert_eq!(payloads(&only.receive(&broker)), ["0"]);
        assert_eq!(only.unsubscribe(&broker, SHARE), ["UNSUBACK 0x00"]);
        assert_eq!(broker.drops(), [(DropReason::SessionEnded, 2)]);
        // What was sent is its own to finish.
        assert_eq!(only.ack(&broker, PubAck, 2), NOTHING);
        only.subscribe(&broker, SHARE, AtLeastOnce);
        publish(&broker, &mut publisher, AtLeastOnce, 3..4);
        assert_eq!(only.receive(&broker), ["PUBLISH t=3 q1 3"]);
        broker.restart();
        let (_, received) = opening().open(&broker);
        assert_eq!(received.len(), if is_kept { 2 } else { 1 }, "{received:?}");
    }
}

#[test]
fn what_waits_stays_for_the_members_that_remain() {
    let broker = Broker::new();
    let mut leaving = member(&broker, "leaving", 1, AtLeastOnce);
    let mut staying = member(&broker, "staying", 1, AtLeastOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 0..4);
    assert_eq!(payloads(&leaving.receive(&broker)), ["0"]);
    assert_eq!(payloads(&staying.receive(&broker)), ["1"]);
    assert_eq!(leaving.unsubscribe(&broker, SHARE), ["UNSUBACK 0x00"]);
    assert_eq!(staying.ack(&broker, PubAck, 2), ["PUBLISH t=2 q1 3"]);
    // It has left, so the message in its hands stays there when it's lost.
    leaving.lose(&broker);
    assert_eq!(staying.ack(&broker, PubAck, 3), ["PUBLISH t=3 q1 4"]);
    assert_eq!(staying.ack(&broker, PubAck, 4), NOTHING);
    let (_, received) = opening("leaving", 1).open(&broker);
    assert_eq!(received[1..], ["PUBLISH t=0 q1 2 dup"]);
    assert_eq!(broker.drops(), []);
}

#[test]
fn no_local_on_a_share_refuses_the_whole_packet() {
    let broker = Broker::new();
    let mut client = Opening::v5("c").kept(1000).client(&broker);
    let no_local = SubscriptionOptions {
        no_local: true,
        ..at(AtLeastOnce)
    };
    let list = [("first", at(AtLeastOnce)), (SHARE, no_local)]
        .map(|(filter, options)| Subscription { filter, options });
    let subscribe = Subscribe::new(id(1), Properties::EMPTY, &list);
    let received = client.exchange(&broker, &Packet::Subscribe(subscribe));
    // [MQTT-3.8.3-4]
    assert_eq!(received[0], "DISCONNECT 0x82", "{received:?}");
    assert_eq!(broker.hub.figures().subscriptions, 0);
}

#[test]
fn a_member_is_given_its_own_messages_too() {
    let broker = Broker::new();
    let mut only = passing(&broker, "only", AtLeastOnce);
    let received = only.publish(&broker, "t", AtLeastOnce, 1, "x", "");
    assert_eq!(received, ["PUBACK 1", "PUBLISH t=x q1 2"]);
}

#[test]
fn a_full_share_drops_what_is_new_and_says_whose_it_was() {
    for (share_queue_messages, share_queue_bytes) in [(2, 1000), (1000, 4)] {
        for drop_policy in [DropPolicy::Newest, DropPolicy::Oldest] {
            let broker = Broker::with(Limits {
                share_queue_messages,
                share_queue_bytes,
                drop_policy,
                ..Limits::default()
            });
            let mut only = member(&broker, "only", 1, AtLeastOnce);
            let mut publisher = Opening::v5("p").client(&broker);
            // One is sent, two wait (of two bytes each: topic and payload), the rest is too much.
            publish(&broker, &mut publisher, AtLeastOnce, 0..5);
            assert_eq!(broker.drops(), [(DropReason::ShareQueueFull, 2)]);
            let sample = broker.hub.drops().samples()[0].clone();
            assert_eq!((sample.client_id.as_str(), &*sample.topic), ("p", "t"));
            assert_eq!(payloads(&only.receive(&broker)), ["0"]);
            assert_eq!(only.ack(&broker, PubAck, 2), ["PUBLISH t=1 q1 3"]);
            // There is room for one again.
            publish(&broker, &mut publisher, AtLeastOnce, 5..6);
            assert_eq!(only.ack(&broker, PubAck, 3), ["PUBLISH t=2 q1 4"]);
            assert_eq!(only.ack(&broker, PubAck, 4), ["PUBLISH t=5 q1 5"]);
            assert_eq!(only.ack(&broker, PubAck, 5), NOTHING);
        }
    }
}

#[test]
fn what_comes_back_to_a_full_share_is_kept() {
    let broker = Broker::with(Limits {
        share_queue_messages: 1,
        ..Limits::default()
    });
    let mut first = member(&broker, "first", 2, AtLeastOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 0..3);
    assert_eq!(first.receive(&broker).len(), 2);
    first.lose(&broker);
    assert_eq!(broker.drops(), [], "it was acknowledged");
    let mut second = Opening::v5("second").client(&broker);
    let received = second.subscribe_with(&broker, SHARE, at(AtLeastOnce), 0);
    assert_eq!(payloads(&received), ["0", "1", "2"]);
}

#[test]
fn a_full_share_may_refuse_its_publishers() {
    let broker = Broker::with(Limits {
        share_queue_messages: 1,
        drop_policy: DropPolicy::RefusePublisher,
        ..Limits::default()
    });
    let mut only = member(&broker, "only", 1, ExactlyOnce);
    // Who else would get the message doesn't get it either: all or nobody.
    let mut plain = Opening::v5("plain").client(&broker);
    plain.subscribe(&broker, "t", AtMostOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 0..2);
    let received = publisher.publish(&broker, "t", AtLeastOnce, 3, "x", "");
    assert_eq!(received, ["PUBACK 3 0x97"]);
    let received = publisher.publish(&broker, "t", ExactlyOnce, 4, "x", "");
    assert_eq!(received, ["PUBREC 4 0x97"]);
    assert_eq!(payloads(&plain.receive(&broker)), ["0", "1"]);
    assert_eq!(broker.drops(), []);
    only.receive(&broker);
    assert_eq!(payloads(&only.ack(&broker, PubAck, 2)), ["1"]);
    publish(&broker, &mut publisher, AtLeastOnce, 2..3);
}

#[test]
fn a_plain_subscription_beside_a_share_gets_a_copy_of_its_own() {
    let broker = Broker::new();
    let mut both = Opening::v5("both").client(&broker);
    both.subscribe_with(&broker, "t", at(AtMostOnce), 1);
    both.subscribe_with(&broker, SHARE, at(AtLeastOnce), 2);
    both.subscribe_with(&broker, "$share/h/+", at(ExactlyOnce), 3);
    let mut other = passing(&broker, "other", AtLeastOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 0..2);
    let mut received = both.receive(&broker);
    received.sort_unstable();
    // One of each share for the first message; the other member's turn for the second.
    assert_eq!(
        received,
        [
            "PUBLISH t=0 q0 - SubscriptionIdentifier(1)",
            "PUBLISH t=0 q1 2 SubscriptionIdentifier(2)",
            "PUBLISH t=0 q1 3 SubscriptionIdentifier(3)",
            "PUBLISH t=1 q0 - SubscriptionIdentifier(1)",
            "PUBLISH t=1 q1 4 SubscriptionIdentifier(3)",
        ]
    );
    assert_eq!(other.receive(&broker), ["PUBLISH t=1 q1 2"]);
    // Each is given up for itself.
    assert_eq!(both.unsubscribe(&broker, "t"), ["UNSUBACK 0x00"]);
    assert_eq!(both.unsubscribe(&broker, "$share/h/t"), ["UNSUBACK 0x11"]);
    assert_eq!(both.unsubscribe(&broker, "$share/h/+"), ["UNSUBACK 0x00"]);
    publish(&broker, &mut publisher, AtLeastOnce, 2..3);
    let expected = ["PUBLISH t=2 q1 5 SubscriptionIdentifier(2)"];
    assert_eq!(both.receive(&broker), expected);
}

#[test]
fn a_takeover_keeps_what_is_in_flight_with_the_member() {
    let broker = Broker::new();
    let mut first = member(&broker, "first", 2, AtLeastOnce);
    let mut second = member(&broker, "second", 9, AtLeastOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, 0..2);
    assert_eq!(first.receive(&broker).len(), 1);
    assert_eq!(second.receive(&broker).len(), 1);
    let (_, received) = opening("first", 2).open(&broker);
    assert_eq!(received, ["CONNACK present", "PUBLISH t=0 q1 2 dup"]);
    assert_eq!(first.receive(&broker)[0], "DISCONNECT 0x8e");
    assert_eq!(second.receive(&broker), NOTHING);
}

#[test]
fn retained_messages_are_for_plain_subscriptions() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    publisher.publish(&broker, "t", AtLeastOnce, 1, "old", "retain");
    let mut only = Opening::v5("only").client(&broker);
    let as_published = SubscriptionOptions {
        retain_as_published: true,
        ..at(AtLeastOnce)
    };
    let received = only.subscribe_with(&broker, SHARE, as_published, 0);
    assert_eq!(received, ["SUBACK 0x01"]);
    publisher.publish(&broker, "t", AtLeastOnce, 1, "new", "retain");
    assert_eq!(only.receive(&broker), ["PUBLISH t=new q1 2 retain"]);
    only.subscribe_with(&broker, SHARE, at(AtLeastOnce), 0);
    publisher.publish(&broker, "t", AtLeastOnce, 1, "newer", "retain");
    assert_eq!(only.receive(&broker), ["PUBLISH t=newer q1 3"]);
}

#[test]
fn each_member_gets_its_part_in_the_order_of_publishing() {
    let broker = Broker::new();
    let mut members = ["a", "b", "c"].map(|name| member(&broker, name, 3, ExactlyOnce));
    let mut publisher = Opening::v5("p").client(&broker);
    let mut came: [Vec<u16>; 3] = Default::default();
    for round in 0..12 {
        let qos = [AtLeastOnce, ExactlyOnce][usize::from(round % 2)];
        publish(&broker, &mut publisher, qos, round * 5..round * 5 + 5);
        // One of the three looks, in turns, and completes everything.
        let who = usize::from(round % 3);
        let mut received: VecDeque<String> = members[who].receive(&broker).into();
        while let Some(words) = received.pop_front() {
            let number = packet_id(&words).get();
            came[who].push(payloads(std::slice::from_ref(&words))[0].parse().unwrap());
            if words.contains(" q1 ") {
                received.extend(members[who].ack(&broker, PubAck, number));
            } else {
                members[who].ack(&broker, PubRec, number);
                received.extend(members[who].ack(&broker, PubComp, number));
            }
        }
    }
    for came in &came {
        assert!(came.is_sorted(), "{came:?}");
    }
    let all: BTreeSet<u16> = came.concat().into_iter().collect();
    assert!(all.len() > 50, "{}", all.len());
    assert_eq!(all.len(), came.concat().len(), "each to one member");
}

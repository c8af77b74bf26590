//! What happens at each bound of the broker: what a client is told, in MQTT 5 and before, and what
//! is counted as dropped.
//!
//! Elsewhere: the bounds of CONNECT in `handshake.rs`, of sessions and QoS 0 without connection in
//! `session.rs`, Receive Maximum in `qos.rs`, aliases of clients in `publish.rs`, shares in
//! `shared.rs`; how much is queued for whom, and memory, in `overload.rs`. Connections are counted by
//! the listeners.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use dunlin_codec::{
    Packet, PacketType, Properties, Property, QoS, Subscribe, Subscription, SubscriptionOptions,
    Unsubscribe, Version, Will,
};
use dunlin_engine::connection::{AuthOutcome, CloseReason};
use dunlin_engine::drops::DropReason;
use dunlin_engine::limits::Limits;

use support::{Broker, Client, Opening, id};

use PacketType::{PubAck, PubComp, PubRec};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const NOTHING: [&str; 0] = [];
const VERSIONS: [Version; 2] = [Version::V4, Version::V5];

fn at(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        ..SubscriptionOptions::default()
    }
}

/// The end of a connection that MQTT 5 has a DISCONNECT for.
fn end(version: Version, code: &str, text: &str) -> Vec<String> {
    let mut end = vec![format!("DISCONNECT {code}"), format!("end: {text}")];
    if version == Version::V4 {
        end.remove(0);
    }
    end
}

/// A reason code of SUBACK; before MQTT 5 there is one for all refusals.
fn suback(version: Version, code: &str) -> String {
    match version {
        Version::V5 => format!("SUBACK {code}"),
        _ => "SUBACK 0x80".into(),
    }
}

#[test]
fn a_packet_may_be_as_long_as_the_limit() {
    for version in VERSIONS {
        let broker = Broker::with(Limits {
            packet_bytes: 100,
            ..Limits::default()
        });
        let mut client = Opening::new(version, "c").client(&broker);
        // Fixed header, topic and, in MQTT 5, the length of no properties.
        let rest = if version == Version::V5 { 94 } else { 95 };
        let longest = "x".repeat(rest);
        let received = client.publish(&broker, "t", AtMostOnce, 0, &longest, "");
        assert_eq!(received, NOTHING);
        let longer = "x".repeat(rest + 1);
        let received = client.publish(&broker, "t", AtMostOnce, 0, &longer, "");
        let expected = end(version, "0x95", received.last().unwrap().get(5..).unwrap());
        assert_eq!(received, expected, "{version:?}");
    }
}

#[test]
fn a_packet_that_will_be_too_long_is_not_waited_for() {
    for version in VERSIONS {
        let broker = Broker::new();
        let mut client = Opening::new(version, "c").client(&broker);
        // Only its first bytes have come.
        let received = client.exchange_bytes(&broker, &[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
        let expected = end(version, "0x95", received.last().unwrap().get(5..).unwrap());
        assert_eq!(received, expected, "{version:?}");
    }
}

#[test]
fn a_connect_has_a_bound_of_its_own() {
    for version in VERSIONS {
        let limits = Limits {
            connect_packet_bytes: 60,
            ..Limits::default()
        };
        let broker = Broker::with(limits);
        let (_, received) = Opening::new(version, &"x".repeat(40)).open(&broker);
        assert_eq!(received, ["CONNACK new"]);
        let (_, received) = Opening::new(version, &"x".repeat(60)).open(&broker);
        let told = received.iter().any(|words| words == "CONNACK 0x95");
        assert_eq!(told, version == Version::V5, "{received:?}");
        assert!(received.last().unwrap().starts_with("end: "));
    }
}

#[test]
fn a_client_identifier_may_be_as_long_as_the_limit_in_every_version() {
    for version in VERSIONS {
        let broker = Broker::with(Limits {
            client_id_bytes: 23,
            ..Limits::default()
        });
        let (_, received) = Opening::new(version, &"x".repeat(23)).open(&broker);
        assert_eq!(received, ["CONNACK new"]);
        let (_, received) = Opening::new(version, &"x".repeat(24)).open(&broker);
        assert_eq!(received[0], "CONNACK 0x85", "{version:?}");
    }
}

/// Bounds of topics, the longest topic within them, and one beyond.
fn topic_bounds() -> [(Limits, &'static str, &'static str); 2] {
    let levels = Limits {
        topic_levels: 3,
        ..Limits::default()
    };
    let bytes = Limits {
        topic_bytes: 20,
        ..Limits::default()
    };
    [
        (levels, "a/b/", "a/b/c/d"),
        (bytes, "twenty/bytes/of/text", "twenty-one/bytes/long"),
    ]
}

#[test]
fn a_topic_name_beyond_the_limits_ends_the_connection() {
    for version in VERSIONS {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            for (limits, within, beyond) in topic_bounds() {
                let broker = Broker::with(limits);
                let mut client = Opening::new(version, "c").client(&broker);
                client.subscribe(&broker, "#", AtMostOnce);
                let number = qos.bits().into();
                let received = client.publish(&broker, within, qos, number, "x", "");
                let delivered = format!("PUBLISH {within}=x q0 -");
                assert_eq!(received.last(), Some(&delivered));
                let received = client.publish(&broker, beyond, qos, number, "x", "");
                let text = CloseReason::TopicNameInvalid.text();
                assert_eq!(received, end(version, "0x90", text), "{version:?} {qos:?}");
            }
        }
    }
}

#[test]
fn a_topic_filter_beyond_the_limits_is_refused_alone() {
    for version in VERSIONS {
        for (limits, within, beyond) in topic_bounds() {
            let broker = Broker::with(limits);
            let mut client = Opening::new(version, "c").client(&broker);
            client.subscribe(&broker, within, AtMostOnce);
            let received = client.subscribe_with(&broker, beyond, at(AtMostOnce), 0);
            assert_eq!(received, [suback(version, "0x8f")], "{version:?}");
            assert_eq!(broker.hub.figures().subscriptions, 1);
        }
    }
    // The prefix of a shared subscription is no level of its filter, but its bytes are kept.
    let [(levels, _, _), (bytes, _, _)] = topic_bounds();
    let broker = Broker::with(levels);
    let mut client = Opening::v5("c").client(&broker);
    client.subscribe(&broker, "$share/g/a/b/c", AtMostOnce);
    let broker = Broker::with(bytes);
    let mut client = Opening::v5("c").client(&broker);
    client.subscribe(&broker, "$share/group/a/bytes", AtMostOnce);
    let received = client.subscribe_with(&broker, "$share/group/the/bytes", at(AtMostOnce), 0);
    assert_eq!(received, ["SUBACK 0x8f"]);
}

#[test]
fn a_will_topic_beyond_the_limits_is_refused_with_its_connect() {
    for (version, code) in [(Version::V5, "0x90"), (Version::V4, "0x88")] {
        for (limits, within, beyond) in topic_bounds() {
            let broker = Broker::with(limits);
            let will = |topic| Will {
                topic,
                payload: b"x",
                qos: AtMostOnce,
                retain: false,
                properties: Properties::EMPTY,
            };
            let (_, received) = Opening::new(version, "c").will(will(within)).open(&broker);
            assert_eq!(received, ["CONNACK new"]);
            let (_, received) = Opening::new(version, "d").will(will(beyond)).open(&broker);
            assert_eq!(received[0], format!("CONNACK {code}"), "{version:?}");
            assert_eq!(broker.hub.figures().sessions, 1);
        }
    }
}

#[test]
fn filters_beyond_the_limit_of_a_packet_are_refused() {
    for version in VERSIONS {
        let broker = Broker::with(Limits {
            filters_per_packet: 2,
            ..Limits::default()
        });
        let mut client = Opening::new(version, "c").client(&broker);
        let filters = ["a", "b", "c", "d"];
        let list = filters.map(|filter| Subscription {
            filter,
            options: at(AtLeastOnce),
        });
        let subscribe = Subscribe::new(id(1), Properties::EMPTY, &list);
        let received = client.exchange(&broker, &Packet::Subscribe(subscribe));
        let code = if version == Version::V5 {
            "0x97"
        } else {
            "0x80"
        };
        assert_eq!(received, [format!("SUBACK 0x01 0x01 {code} {code}")]);
        client.subscribe(&broker, "c", AtMostOnce);
        // To give up subscriptions there is no bound: nobody could be told before MQTT 5.
        let unsubscribe = Unsubscribe::new(id(2), Properties::EMPTY, &filters);
        let received = client.exchange(&broker, &Packet::Unsubscribe(unsubscribe));
        let codes = if version == Version::V5 {
            " 0x00 0x00 0x00 0x11"
        } else {
            ""
        };
        assert_eq!(received, [format!("UNSUBACK{codes}")]);
        assert_eq!(broker.hub.figures().subscriptions, 0);
    }
}

#[test]
fn subscriptions_beyond_the_limits_are_refused_and_those_that_exist_are_not() {
    let limits = [
        Limits {
            subscriptions_per_session: 2,
            ..Limits::default()
        },
        Limits {
            subscriptions: 3,
            ..Limits::default()
        },
    ];
    for version in VERSIONS {
        for (limits, of_other) in limits.clone().into_iter().zip([2, 1]) {
            let broker = Broker::with(limits);
            let mut other = Opening::new(version, "o").client(&broker);
            for number in 0..of_other {
                other.subscribe(&broker, &format!("o/{number}"), AtMostOnce);
            }
            let mut client = Opening::new(version, "c").kept(1000).client(&broker);
            client.subscribe(&broker, "a", AtMostOnce);
            client.subscribe(&broker, "$share/g/b", AtMostOnce);
            for filter in ["c", "$share/g/c"] {
                let received = client.subscribe_with(&broker, filter, at(AtMostOnce), 0);
                assert_eq!(received, [suback(version, "0x97")]);
            }
            client.subscribe(&broker, "a", ExactlyOnce);
            client.unsubscribe(&broker, "$share/g/b");
            client.subscribe(&broker, "c", AtMostOnce);
        }
    }
}

#[test]
fn user_properties_beyond_the_limit_end_the_connection() {
    let limits = || Limits {
        user_properties: 2,
        ..Limits::default()
    };
    let list = [Property::UserProperty("k", "v"); 3];
    let within = Properties::from_list(&list[..2]);
    let beyond = Properties::from_list(&list);
    let subscription = [Subscription {
        filter: "t",
        options: at(AtMostOnce),
    }];
    let publish = |properties| {
        Packet::Publish(dunlin_codec::Publish {
            dup: false,
            qos: AtLeastOnce,
            retain: false,
            topic: "t",
            packet_id: Some(id(1)),
            properties,
            payload: b"x",
        })
    };
    let subscribe =
        |properties| Packet::Subscribe(Subscribe::new(id(1), properties, &subscription));
    let unsubscribe = |properties| Packet::Unsubscribe(Unsubscribe::new(id(1), properties, &["t"]));
    for (good, bad) in [
        (publish(within), publish(beyond)),
        (subscribe(within), subscribe(beyond)),
        (unsubscribe(within), unsubscribe(beyond)),
    ] {
        let broker = Broker::with(limits());
        let mut client = Opening::v5("c").client(&broker);
        assert_eq!(client.exchange(&broker, &good).len(), 1);
        let received = client.exchange(&broker, &bad);
        assert_eq!(
            received,
            end(Version::V5, "0x97", CloseReason::QuotaExceeded.text())
        );
    }
    // CONNECT and its Will count together.
    for (of_connect, of_will, code) in
        [(2, 0, "new"), (1, 1, "new"), (1, 2, "0x97"), (3, 0, "0x97")]
    {
        let broker = Broker::with(limits());
        let mut opening = Opening::v5("c").will(Will {
            topic: "t",
            payload: b"x",
            qos: AtMostOnce,
            retain: false,
            properties: Properties::from_list(&list[..of_will]),
        });
        opening.properties.extend(&list[..of_connect]);
        let (_, received) = opening.open(&broker);
        assert_eq!(received[0], format!("CONNACK {code}"));
    }
}

#[test]
fn no_more_is_in_flight_than_the_operator_allows() {
    for version in VERSIONS {
        let broker = Broker::with(Limits {
            inflight: 2,
            ..Limits::default()
        });
        let mut client = Opening::new(version, "s")
            .with(Property::ReceiveMaximum(100))
            .client(&broker);
        client.subscribe(&broker, "t", ExactlyOnce);
        let mut publisher = Opening::v5("p").client(&broker);
        for number in 1..=4 {
            publisher.publish(&broker, "t", ExactlyOnce, number, "x", "");
        }
        assert_eq!(client.receive(&broker).len(), 2);
        assert_eq!(client.ack(&broker, PubRec, 2), ["PUBREL 2"]);
        assert_eq!(client.ack(&broker, PubComp, 2), ["PUBLISH t=x q2 4"]);
    }
}

#[test]
fn topic_aliases_have_a_bound_in_each_direction() {
    for topic_aliases_in in [0, 2] {
        let broker = Broker::with(Limits {
            topic_aliases_in,
            topic_aliases_out: 1,
            ..Limits::default()
        });
        let mut client = Opening::v5("c")
            .with(Property::TopicAliasMaximum(9))
            .client(&broker);
        let announced = format!("TopicAliasMaximum({topic_aliases_in})");
        assert_eq!(client.connack.contains(&announced), topic_aliases_in > 0);
        client.subscribe(&broker, "#", AtMostOnce);
        for (topic, properties) in [("first/topic", " TopicAlias(1)"), ("second/topic", "")] {
            let received = client.publish(&broker, topic, AtMostOnce, 0, "x", "");
            assert_eq!(received, [format!("PUBLISH {topic}=x q0 -{properties}")]);
        }
        let beyond = [Property::TopicAlias(topic_aliases_in + 1)];
        let received = client.publish_with(&broker, "t", AtMostOnce, 0, "x", "", &beyond);
        let text = CloseReason::TopicAliasInvalid.text();
        assert_eq!(received, end(Version::V5, "0x94", text));
    }
}

/// A broker that has retained what its limits allow, topic `a` with three bytes, and a subscriber.
fn full_of_retained(limits: Limits) -> (Broker, Client) {
    let broker = Broker::with(limits);
    let mut client = Opening::v5("s").kept(1000).client(&broker);
    let received = client.publish(&broker, "a", AtLeastOnce, 1, "xx", "retain");
    assert_eq!(received, ["PUBACK 1 0x10"]);
    client.subscribe(&broker, "#", AtLeastOnce);
    client.ack(&broker, PubAck, 2);
    (broker, client)
}

fn retained_bounds() -> [Limits; 2] {
    [
        Limits {
            retained_messages: 1,
            ..Limits::default()
        },
        Limits {
            retained_bytes: 4,
            ..Limits::default()
        },
    ]
}

#[test]
fn a_retained_message_beyond_the_limits_is_refused_and_reaches_nobody() {
    for limits in retained_bounds() {
        let (mut broker, mut subscriber) = full_of_retained(limits);
        let mut publisher = Opening::v5("p").client(&broker);
        let received = publisher.publish(&broker, "b", AtLeastOnce, 1, "x", "retain");
        assert_eq!(received, ["PUBACK 1 0x97"]);
        let received = publisher.publish(&broker, "b", ExactlyOnce, 2, "x", "retain");
        assert_eq!(received, ["PUBREC 2 0x97"]);
        assert_eq!(broker.drops(), [], "the publisher knows");
        publisher.publish(&broker, "b", AtMostOnce, 0, "x", "retain");
        assert_eq!(broker.drops(), [(DropReason::Quota, 1)]);
        assert_eq!(broker.hub.drops().samples()[0].client_id.as_str(), "p");
        // Before MQTT 5 nobody can be told: who publishes waits, and is let go in the end.
        let mut old = Opening::v4("o").client(&broker);
        let received = old.publish(&broker, "b", AtLeastOnce, 1, "x", "retain");
        assert_eq!(received, NOTHING);
        broker.pass_ms(29_999);
        assert_eq!(old.tick(&broker), NOTHING);
        broker.pass_ms(101);
        let refused = end(Version::V4, "", CloseReason::Refused.text());
        assert_eq!(old.tick(&broker), refused);
        assert_eq!(subscriber.receive(&broker), NOTHING);
        assert_eq!(broker.hub.figures().retained_messages, 1);
    }
}

#[test]
fn what_is_retained_may_be_replaced_and_removed_at_the_limits() {
    for limits in retained_bounds() {
        let (broker, mut subscriber) = full_of_retained(limits.clone());
        let mut publisher = Opening::v5("p").client(&broker);
        for payload in ["yyy", "yy"] {
            let received = publisher.publish(&broker, "a", AtLeastOnce, 1, payload, "retain");
            assert_eq!(received, ["PUBACK 1"]);
        }
        let grown = publisher.publish(&broker, "a", AtLeastOnce, 1, "yyyy", "retain");
        let is_bytes = limits.retained_bytes == 4;
        assert_eq!(grown == ["PUBACK 1 0x97"], is_bytes, "{grown:?}");
        // Without RETAIN nothing is kept, so there's nothing to refuse.
        let received = publisher.publish(&broker, "b", AtLeastOnce, 1, "x", "");
        assert_eq!(received, ["PUBACK 1"]);
        let received = publisher.publish(&broker, "a", AtLeastOnce, 1, "", "retain");
        assert_eq!(received, ["PUBACK 1"]);
        let received = publisher.publish(&broker, "b", AtLeastOnce, 1, "x", "retain");
        assert_eq!(received, ["PUBACK 1"]);
        let expected = if is_bytes { 5 } else { 6 };
        assert_eq!(subscriber.receive(&broker).len(), expected);
    }
}

#[test]
fn a_retained_message_that_does_not_grow_is_replaced_though_the_limit_was_lowered() {
    let (broker, _) = full_of_retained(Limits::default());
    broker.hub.set_limits(Limits {
        retained_messages: 0,
        retained_bytes: 1,
        ..Limits::default()
    });
    let mut publisher = Opening::v5("p").client(&broker);
    for (payload, code) in [("yy", ""), ("y", ""), ("yyy", " 0x97"), ("", "")] {
        let received = publisher.publish(&broker, "a", AtLeastOnce, 1, payload, "retain");
        assert_eq!(received, [format!("PUBACK 1{code}")], "{payload}");
    }
}

#[test]
fn what_is_larger_than_a_client_takes_is_left_out_and_counted() {
    for version in [Version::V4, Version::V5] {
        let mut broker = Broker::new();
        let opening = || {
            let packet_bytes = Property::MaximumPacketSize(40);
            Opening::v5("s").kept(1000).with(packet_bytes)
        };
        let mut client = opening().client(&broker);
        client.subscribe(&broker, "t", ExactlyOnce);
        let mut publisher = Opening::new(version, "p").client(&broker);
        let large = "x".repeat(40);
        for (number, qos) in [(0, AtMostOnce), (1, AtLeastOnce), (2, ExactlyOnce)] {
            publisher.publish(&broker, "t", qos, number, &large, "");
            publisher.publish(&broker, "t", AtLeastOnce, number + 10, "small", "");
        }
        // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
        let received = client.receive(&broker);
        assert_eq!(
            received,
            [
                "PUBLISH t=small q1 2",
                "PUBLISH t=small q1 4",
                "PUBLISH t=small q1 6"
            ]
        );
        assert_eq!(broker.drops(), [(DropReason::TooLarge, 3)]);
        assert_eq!(broker.hub.drops().samples()[0].client_id.as_str(), "s");
        broker.restart();
        assert_eq!(opening().open(&broker).1.len(), 4);
    }
}

#[test]
fn what_was_sent_and_is_larger_than_the_next_connection_takes_is_left_out_too() {
    let broker = Broker::new();
    let mut client = Opening::v5("s").kept(1000).client(&broker);
    client.subscribe(&broker, "t", ExactlyOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    let large = "x".repeat(40);
    publisher.publish(&broker, "t", AtLeastOnce, 1, &large, "");
    publisher.publish(&broker, "t", ExactlyOnce, 2, &large, "");
    publisher.publish(&broker, "t", ExactlyOnce, 3, "small", "");
    assert_eq!(client.receive(&broker).len(), 3);
    client.lose(&broker);
    let opening = Opening::v5("s")
        .kept(1000)
        .with(Property::MaximumPacketSize(40));
    let (_, received) = opening.open(&broker);
    assert_eq!(received, ["CONNACK present", "PUBLISH t=small q2 4 dup"]);
    assert_eq!(broker.drops(), [(DropReason::TooLarge, 2)]);
}

#[test]
fn samples_of_drops_are_few_and_a_flood_washes_no_others_away() {
    for (drop_samples, kept) in [(256, 1 + 64 + 3), (10, 10), (0, 0)] {
        let broker = Broker::with(Limits {
            drop_samples,
            queue_messages: 0,
            ..Limits::default()
        });
        let mut subscriber = Opening::v5("s").client(&broker);
        subscriber.subscribe(&broker, "t/#", AtLeastOnce);
        let mut publisher = Opening::v5("p").client(&broker);
        publisher.publish(&broker, "$SYS/x", AtMostOnce, 0, "x", "");
        let topic = format!("t/{}", "ä".repeat(100));
        for _ in 0..200 {
            publisher.publish(&broker, &topic, AtMostOnce, 0, "x", "");
        }
        let expected = [(DropReason::QueueFull, 200), (DropReason::NotAuthorized, 1)];
        assert_eq!(broker.drops(), expected);
        let samples = broker.hub.drops().samples();
        assert_eq!(samples.len(), kept);
        if drop_samples == 256 {
            assert_eq!(samples[0].reason, DropReason::NotAuthorized);
            // Cut where a character ends.
            assert_eq!(samples[1].topic.len(), 128);
            assert!(topic.starts_with(&*samples[1].topic));
        }
    }
}

#[test]
fn a_refused_client_costs_no_session() {
    let broker = Broker::new();
    let mut opening = Opening::v5("c");
    opening.outcome = AuthOutcome::Refused(dunlin_codec::ReasonCode::Banned);
    let before = broker.hub.account().used();
    let (client, received) = opening.open(&broker);
    assert_eq!(received[0], "CONNACK 0x8a");
    drop(client);
    assert_eq!(broker.hub.account().used(), before);
}

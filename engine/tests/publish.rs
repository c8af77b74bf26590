//! What a PUBLISH may look like and whom it reaches: filters, options, properties, aliases.
//!
//! MQTT 5 sections 3.3, 3.8.3, 3.8.4, 4.5, 4.6, 4.7; MQTT 3.1.1 the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use dunlin_codec::{
    Packet, Properties, Property, QoS, RetainHandling, Subscribe, Subscription,
    SubscriptionOptions, Version,
};
use dunlin_engine::connection::OnDeny;
use dunlin_engine::drops::DropReason;
use dunlin_engine::limits::Limits;
use dunlin_engine::message::Origin;
use dunlin_engine::routing::{Action, Authorize, Decision};

use support::{Broker, Opening, id};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const NOTHING: [&str; 0] = [];

fn at(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        ..SubscriptionOptions::default()
    }
}

#[test]
fn a_message_goes_out_at_the_lower_of_both_qos() {
    for version in [Version::V4, Version::V5] {
        for published in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            for granted in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
                let broker = Broker::new();
                let mut subscriber = Opening::new(version, "s").client(&broker);
                subscriber.subscribe(&broker, "t", granted);
                let mut publisher = Opening::new(version, "p").client(&broker);
                publisher.publish(&broker, "t", published, published.bits().into(), "x", "");
                let received = subscriber.receive(&broker);
                let expected = format!("PUBLISH t=x q{} ", published.min(granted).bits());
                assert_eq!(received.len(), 1);
                assert!(received[0].starts_with(&expected), "{received:?}");
            }
        }
    }
}

#[test]
fn overlapping_subscriptions_give_one_copy_with_everything_of_theirs() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s").client(&broker);
    subscriber.subscribe_with(&broker, "a/b", at(AtMostOnce), 1);
    subscriber.subscribe_with(&broker, "a/+", at(ExactlyOnce), 2);
    let retain_as_published = SubscriptionOptions {
        retain_as_published: true,
        ..at(AtLeastOnce)
    };
    subscriber.subscribe_with(&broker, "#", retain_as_published, 0);
    subscriber.subscribe_with(&broker, "a/#", at(AtLeastOnce), 7);
    subscriber.subscribe_with(&broker, "other", at(ExactlyOnce), 9);
    let mut publisher = Opening::v5("p").client(&broker);
    publisher.publish(&broker, "a/b", ExactlyOnce, 1, "x", "retain");
    let mut received = subscriber.receive(&broker);
    assert_eq!(received.len(), 1, "{received:?}");
    let mut identifiers: Vec<&str> = received[0]
        .split(' ')
        .filter(|word| word.starts_with("SubscriptionIdentifier"))
        .collect();
    identifiers.sort_unstable();
    assert_eq!(
        identifiers,
        [1, 2, 7].map(|number| format!("SubscriptionIdentifier({number})"))
    );
    received[0].truncate("PUBLISH a/b=x q2 2 retain".len());
    assert_eq!(received, ["PUBLISH a/b=x q2 2 retain"]);
}

#[test]
fn overlapping_subscriptions_of_an_old_client_give_one_copy_too() {
    let broker = Broker::new();
    let mut subscriber = Opening::v4("s").client(&broker);
    subscriber.subscribe(&broker, "a/b", AtMostOnce);
    subscriber.subscribe(&broker, "a/#", AtLeastOnce);
    let mut publisher = Opening::v4("p").client(&broker);
    publisher.publish(&broker, "a/b", ExactlyOnce, 1, "x", "");
    assert_eq!(subscriber.receive(&broker), ["PUBLISH a/b=x q1 2"]);
}

#[test]
fn a_subscription_is_replaced_by_one_with_the_same_filter() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s").kept(100).client(&broker);
    subscriber.subscribe_with(&broker, "a", at(ExactlyOnce), 1);
    subscriber.subscribe_with(&broker, "a", at(AtMostOnce), 2);
    assert_eq!(broker.hub.figures().subscriptions, 1);
    let mut publisher = Opening::v5("p").client(&broker);
    publisher.publish(&broker, "a", ExactlyOnce, 1, "x", "");
    assert_eq!(
        subscriber.receive(&broker),
        ["PUBLISH a=x q0 - SubscriptionIdentifier(2)"]
    );
}

#[test]
fn suback_answers_each_filter_in_its_place() {
    let broker = Broker::with(Limits {
        topic_levels: 4,
        ..Limits::default()
    });
    let mut client = Opening::v5("c").client(&broker);
    let list = [
        ("a", at(ExactlyOnce)),
        ("a/b/c/d/e", at(AtMostOnce)),
        ("$share/g/a", at(AtLeastOnce)),
        ("b/#", at(AtMostOnce)),
    ]
    .map(|(filter, options)| Subscription { filter, options });
    let subscribe = Subscribe::new(id(3), Properties::EMPTY, &list);
    let received = client.exchange(&broker, &Packet::Subscribe(subscribe));
    assert_eq!(received, ["SUBACK 0x02 0x8f 0x01 0x00"]);
}

#[test]
fn a_share_without_name_or_filter_of_an_old_client_is_refused_alone() {
    let broker = Broker::new();
    let mut client = Opening::v4("c").client(&broker);
    for filter in ["$share/", "$share/g", "$share//a", "$share/g/"] {
        let received = client.subscribe_with(&broker, filter, at(AtMostOnce), 0);
        assert_eq!(received, ["SUBACK 0x80"], "{filter}");
    }
    client.subscribe(&broker, "a", AtMostOnce);
}

#[test]
fn unsuback_says_what_was_there() {
    let broker = Broker::new();
    let mut client = Opening::v5("c").kept(100).client(&broker);
    client.subscribe(&broker, "a", AtMostOnce);
    assert_eq!(client.unsubscribe(&broker, "b"), ["UNSUBACK 0x11"]);
    assert_eq!(client.unsubscribe(&broker, "a"), ["UNSUBACK 0x00"]);
    assert_eq!(client.unsubscribe(&broker, "a"), ["UNSUBACK 0x11"]);
    let received = client.publish(&broker, "a", AtMostOnce, 0, "x", "");
    assert_eq!(received, NOTHING);
    assert_eq!(broker.hub.figures().subscriptions, 0);
}

#[test]
fn what_is_on_its_way_is_delivered_after_unsubscribe() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s")
        .kept(100)
        .with(Property::ReceiveMaximum(1))
        .client(&broker);
    subscriber.subscribe(&broker, "a", AtLeastOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    for number in 1..=2 {
        publisher.publish(&broker, "a", AtLeastOnce, number, "x", "");
    }
    assert_eq!(subscriber.receive(&broker).len(), 1);
    assert_eq!(subscriber.unsubscribe(&broker, "a"), ["UNSUBACK 0x00"]);
    publisher.publish(&broker, "a", AtLeastOnce, 3, "late", "");
    let received = subscriber.ack(&broker, dunlin_codec::PacketType::PubAck, 2);
    assert_eq!(received, ["PUBLISH a=x q1 3"]);
    subscriber.ack(&broker, dunlin_codec::PacketType::PubAck, 3);
    assert_eq!(subscriber.receive(&broker), NOTHING);
}

#[test]
fn no_local_keeps_a_clients_own_messages_from_it() {
    let broker = Broker::new();
    let no_local = SubscriptionOptions {
        no_local: true,
        ..at(ExactlyOnce)
    };
    let mut client = Opening::v5("c").client(&broker);
    let mut other = Opening::v5("d").client(&broker);
    client.subscribe_with(&broker, "a/#", no_local, 1);
    other.subscribe_with(&broker, "a/#", no_local, 0);
    let received = client.publish(&broker, "a/b", ExactlyOnce, 1, "x", "");
    assert_eq!(received, ["PUBREC 1"]);
    assert_eq!(other.receive(&broker), ["PUBLISH a/b=x q2 2"]);
    // Another subscription of its own counts, with its own QoS and identifier alone.
    client.subscribe_with(&broker, "a/b", at(AtMostOnce), 2);
    client.send_bytes(&broker, &[0x30, 7, 0, 3, b'a', b'/', b'b', 0, b'y']);
    let expected = ["PUBLISH a/b=y q0 - SubscriptionIdentifier(2)"];
    assert_eq!(client.receive(&broker), expected);
    // What others publish comes through both.
    other.publish(&broker, "a/b", AtMostOnce, 0, "z", "");
    let expected = ["PUBLISH a/b=z q0 - SubscriptionIdentifier(1) SubscriptionIdentifier(2)"];
    assert_eq!(client.receive(&broker), expected);
}

#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let broker = Broker::new();
    let no_local = SubscriptionOptions {
        no_local: true,
        ..at(AtMostOnce)
    };
    let mut client = Opening::v5("c").client(&broker);
    let received = client.subscribe_with(&broker, "$share/g/a", no_local, 0);
    assert_eq!(received[0], "DISCONNECT 0x82", "{received:?}");
}

#[test]
fn retain_is_forwarded_as_published_only_if_asked() {
    let broker = Broker::new();
    for (retain_as_published, mark, words) in [
        (false, "retain", "PUBLISH t=x q0 -"),
        (true, "retain", "PUBLISH t=x q0 - retain"),
        (true, "", "PUBLISH t=x q0 -"),
    ] {
        let mut subscriber = Opening::v5("s").clean().client(&broker);
        let options = SubscriptionOptions {
            retain_as_published,
            retain_handling: RetainHandling::DontSend,
            ..at(AtMostOnce)
        };
        subscriber.subscribe_with(&broker, "t", options, 0);
        let mut publisher = Opening::v5("p").client(&broker);
        publisher.publish(&broker, "t", AtMostOnce, 0, "x", mark);
        assert_eq!(subscriber.receive(&broker), [words]);
    }
}

#[test]
fn properties_are_forwarded_unaltered_and_in_order() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s").client(&broker);
    let mut old = Opening::v4("o").client(&broker);
    for client in [&mut subscriber, &mut old] {
        client.subscribe(&broker, "t", AtMostOnce);
    }
    let mut publisher = Opening::v5("p").client(&broker);
    let properties = [
        Property::UserProperty("b", "1"),
        Property::CorrelationData(&[0, 255]),
        Property::UserProperty("a", "2"),
        Property::PayloadFormatIndicator(true),
        Property::ResponseTopic("answers"),
        Property::UserProperty("b", "1"),
        Property::ContentType("text"),
        Property::TopicAlias(1),
    ];
    publisher.publish_with(&broker, "t", AtMostOnce, 0, "x", "", &properties);
    assert_eq!(
        subscriber.receive(&broker),
        [
            "PUBLISH t=x q0 - UserProperty(\"b\", \"1\") CorrelationData([0, 255]) \
          UserProperty(\"a\", \"2\") PayloadFormatIndicator(true) ResponseTopic(\"answers\") \
          UserProperty(\"b\", \"1\") ContentType(\"text\")"
        ]
    );
    assert_eq!(old.receive(&broker), ["PUBLISH t=x q0 -"]);
}

#[test]
fn a_subscription_identifier_from_a_client_is_a_protocol_error() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    let properties = [Property::SubscriptionIdentifier(1)];
    let received = publisher.publish_with(&broker, "t", AtMostOnce, 0, "x", "", &properties);
    assert_eq!(received[0], "DISCONNECT 0x82", "{received:?}");
}

#[test]
fn a_client_may_abbreviate_topics_by_aliases() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s").client(&broker);
    subscriber.subscribe(&broker, "#", AtMostOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    let alias = |number| [Property::TopicAlias(number)];
    for (topic, number) in [
        ("a", 1),
        ("", 1),
        ("b", 32),
        ("", 1),
        ("c", 1),
        ("", 1),
        ("", 32),
    ] {
        publisher.publish_with(&broker, topic, AtMostOnce, 0, "x", "", &alias(number));
    }
    let topics = ["a", "a", "b", "a", "c", "c", "b"];
    let expected = topics.map(|topic| format!("PUBLISH {topic}=x q0 -"));
    assert_eq!(subscriber.receive(&broker), expected);
    // An alias lives as long as its connection.
    let mut publisher = Opening::v5("p").client(&broker);
    let received = publisher.publish_with(&broker, "", AtMostOnce, 0, "x", "", &alias(1));
    assert_eq!(received[0], "DISCONNECT 0x82", "{received:?}");
}

#[test]
fn an_alias_above_the_maximum_is_refused() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    let received = publisher.publish_with(
        &broker,
        "t",
        AtMostOnce,
        0,
        "x",
        "",
        &[Property::TopicAlias(33)],
    );
    assert_eq!(received[0], "DISCONNECT 0x94", "{received:?}");
}

#[test]
fn an_alias_is_set_by_a_message_that_is_refused_too() {
    let broker = Broker::with(Limits {
        retained_messages: 0,
        ..Limits::default()
    });
    let mut publisher = Opening::v5("p").client(&broker);
    let alias = [Property::TopicAlias(1)];
    let received = publisher.publish_with(&broker, "t", AtLeastOnce, 1, "x", "retain", &alias);
    assert_eq!(received, ["PUBACK 1 0x97"]);
    let received = publisher.publish_with(&broker, "", AtLeastOnce, 1, "x", "", &alias);
    assert_eq!(received, ["PUBACK 1 0x10"]);
}

#[test]
fn topics_are_abbreviated_towards_clients_that_allow_it() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s")
        .with(Property::TopicAliasMaximum(1))
        .client(&broker);
    let mut plain = Opening::v5("t").client(&broker);
    for client in [&mut subscriber, &mut plain] {
        client.subscribe(&broker, "#", AtMostOnce);
    }
    let mut publisher = Opening::v5("p").client(&broker);
    for topic in ["first/topic", "first/topic", "second/topic"] {
        publisher.publish(&broker, topic, AtMostOnce, 0, "x", "");
    }
    assert_eq!(
        subscriber.receive(&broker),
        [
            "PUBLISH first/topic=x q0 - TopicAlias(1)",
            "PUBLISH =x q0 - TopicAlias(1)",
            "PUBLISH second/topic=x q0 -"
        ]
    );
    assert_eq!(
        plain.receive(&broker),
        [
            "PUBLISH first/topic=x q0 -",
            "PUBLISH first/topic=x q0 -",
            "PUBLISH second/topic=x q0 -"
        ]
    );
}

#[test]
fn a_message_sent_again_names_its_topic_on_the_new_connection() {
    let broker = Broker::new();
    let opening = || {
        Opening::v5("s")
            .kept(100)
            .with(Property::TopicAliasMaximum(9))
    };
    let mut subscriber = opening().client(&broker);
    subscriber.subscribe(&broker, "#", AtLeastOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    for number in 1..=2 {
        publisher.publish(&broker, "some/topic", AtLeastOnce, number, "x", "");
    }
    assert_eq!(
        subscriber.receive(&broker),
        [
            "PUBLISH some/topic=x q1 2 TopicAlias(1)",
            "PUBLISH =x q1 3 TopicAlias(1)"
        ]
    );
    subscriber.ack(&broker, dunlin_codec::PacketType::PubAck, 2);
    subscriber.lose(&broker);
    let (_, received) = opening().open(&broker);
    assert_eq!(
        received,
        [
            "CONNACK present",
            "PUBLISH some/topic=x q1 3 dup TopicAlias(1)"
        ]
    );
}

#[test]
fn a_publisher_learns_that_nobody_is_there() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    assert_eq!(
        publisher.publish(&broker, "t", AtLeastOnce, 1, "x", ""),
        ["PUBACK 1 0x10"]
    );
    assert_eq!(
        publisher.publish(&broker, "t", ExactlyOnce, 2, "x", ""),
        ["PUBREC 2 0x10"]
    );
    let mut subscriber = Opening::v5("s").kept(100).client(&broker);
    subscriber.subscribe(&broker, "t", AtLeastOnce);
    subscriber.lose(&broker);
    assert_eq!(
        publisher.publish(&broker, "t", AtLeastOnce, 1, "x", ""),
        ["PUBACK 1"]
    );
}

#[test]
fn order_holds_for_each_publisher_topic_and_qos() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s").kept(100).client(&broker);
    subscriber.subscribe(&broker, "+/+", ExactlyOnce);
    let mut publishers: Vec<_> = ["p", "q"]
        .map(|name| Opening::v5(name).kept(100).client(&broker))
        .into();
    let mut sent = 0u16;
    for round in 0..10 {
        for (who, publisher) in publishers.iter_mut().enumerate() {
            for (topic, qos) in [("0", AtMostOnce), ("1", AtLeastOnce), ("2", ExactlyOnce)] {
                sent += 1;
                let number = if qos == AtMostOnce { 0 } else { sent };
                let topic = format!("{who}/{topic}");
                publisher.publish(&broker, &topic, qos, number, &round.to_string(), "");
            }
        }
    }
    let received = subscriber.receive(&broker);
    assert_eq!(received.len(), usize::from(sent));
    for who in 0..2 {
        for topic in 0..3 {
            let rounds: Vec<String> = received
                .iter()
                .filter_map(|words| words.strip_prefix(&format!("PUBLISH {who}/{topic}=")))
                .filter_map(|rest| Some(rest.split(' ').next()?.to_owned()))
                .collect();
            let expected: Vec<String> = (0..10).map(|round| round.to_string()).collect();
            assert_eq!(rounds, expected, "{who}/{topic}");
        }
    }
}

/// Nobody may touch what starts with "secret".
struct NoSecrets;

impl Authorize for NoSecrets {
    fn authorize(&self, _: &Origin, _: Action, topic: &str) -> Decision {
        if topic.starts_with("secret") {
            Decision::Deny
        } else {
            Decision::Allow
        }
    }
}

#[test]
fn what_is_not_allowed_is_answered_counted_and_not_delivered() {
    let broker = Broker::with_rights(NoSecrets);
    let mut subscriber = Opening::v5("s").client(&broker);
    subscriber.subscribe(&broker, "#", AtLeastOnce);
    let received = subscriber.subscribe_with(&broker, "secret/a", at(AtLeastOnce), 0);
    assert_eq!(received, ["SUBACK 0x87"]);
    let received = subscriber.subscribe_with(&broker, "$share/g/secret/a", at(AtLeastOnce), 0);
    assert_eq!(received, ["SUBACK 0x87"]);
    let mut publisher = Opening::v5("p").client(&broker);
    let mut old = Opening::v4("o").client(&broker);
    assert_eq!(
        publisher.publish(&broker, "secret", AtLeastOnce, 1, "x", ""),
        ["PUBACK 1 0x87"]
    );
    assert_eq!(
        publisher.publish(&broker, "secret", ExactlyOnce, 2, "x", "retain"),
        ["PUBREC 2 0x87"]
    );
    publisher.publish(&broker, "secret", AtMostOnce, 0, "x", "");
    // MQTT 3.1.1 has no way to say no.
    assert_eq!(
        old.publish(&broker, "secret", AtLeastOnce, 1, "x", ""),
        ["PUBACK 1"]
    );
    assert_eq!(broker.drops(), [(DropReason::NotAuthorized, 4)]);
    assert_eq!(subscriber.receive(&broker), NOTHING);
    assert_eq!(broker.hub.figures().retained_messages, 0);
    // The refused identifier is free.
    let received = publisher.publish(&broker, "a", ExactlyOnce, 2, "x", "");
    assert_eq!(received, ["PUBREC 2"]);
}

#[test]
fn who_publishes_where_it_may_not_can_be_sent_away() {
    for version in [Version::V4, Version::V5] {
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let broker = Broker::with_rights(NoSecrets);
            let mut opening = Opening::new(version, "p");
            opening.settings.on_deny = OnDeny::Disconnect;
            let mut publisher = opening.client(&broker);
            let number = qos.bits().into();
            let received = publisher.publish(&broker, "secret", qos, number, "x", "");
            let mut expected = vec!["DISCONNECT 0x87", "end: not authorized to publish"];
            if version == Version::V4 {
                expected.remove(0);
            }
            assert_eq!(received, expected, "{version:?} {qos:?}");
        }
    }
}

#[test]
fn nobody_publishes_below_sys() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    for topic in ["$SYS", "$SYS/broker/uptime"] {
        let received = publisher.publish(&broker, topic, AtLeastOnce, 1, "x", "retain");
        assert_eq!(received, ["PUBACK 1 0x87"], "{topic}");
    }
    let received = publisher.publish(&broker, "$SYSTEM", AtLeastOnce, 1, "x", "");
    assert_eq!(received, ["PUBACK 1 0x10"]);
}

#[test]
fn a_wildcard_in_front_does_not_reach_dollar_topics() {
    let broker = Broker::new();
    let mut subscriber = Opening::v5("s").client(&broker);
    for filter in ["#", "+/a", "$x/+"] {
        subscriber.subscribe(&broker, filter, AtMostOnce);
    }
    let mut publisher = Opening::v5("p").client(&broker);
    publisher.publish(&broker, "$x/a", AtMostOnce, 0, "x", "");
    publisher.publish(&broker, "$y/a", AtMostOnce, 0, "x", "");
    assert_eq!(subscriber.receive(&broker), ["PUBLISH $x/a=x q0 -"]);
}

//! Retained messages: what is kept, what replaces it, what a subscription is sent of it and when.
//!
//! MQTT 5 sections 3.3.1.3, 3.3.4, 3.8.3.1, 3.8.4, 4.7.2; MQTT 3.1.1 section 3.3.1.3. Their expiry
//! stands in `expiry.rs` and, with what a new value does to a full store, in `limits.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::fmt::Write as _;

use dunlin_codec::{
    Packet, PacketType, Properties, Property, QoS, RetainHandling, Subscribe, Subscription,
    SubscriptionOptions, Version,
};
use dunlin_engine::limits::{DropPolicy, Limits};

use support::{Broker, Client, Opening, id, packet_id};

use PacketType::PubAck;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const NOTHING: [&str; 0] = [];

fn at(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        ..SubscriptionOptions::default()
    }
}

fn handling(retain_handling: RetainHandling) -> SubscriptionOptions {
    SubscriptionOptions {
        retain_handling,
        ..at(AtLeastOnce)
    }
}

/// Retains a message.
fn retain(broker: &Broker, publisher: &mut Client, topic: &str, payload: &str) {
    let received = publisher.publish(broker, topic, AtLeastOnce, 1, payload, "retain");
    assert!(received[0].starts_with("PUBACK 1"), "{received:?}");
}

/// Retains so many messages: `many/000` and so on, each with its number.
fn retain_many(broker: &Broker, publisher: &mut Client, count: u16) {
    for number in 0..count {
        let topic = format!("many/{number:03}");
        retain(broker, publisher, &topic, &number.to_string());
    }
}

/// The payloads of what came.
fn payloads(received: &[String]) -> Vec<&str> {
    received
        .iter()
        .filter_map(|words| words.split_once('=')?.1.split(' ').next())
        .collect()
}

fn numbers(numbers: std::ops::Range<u16>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[test]
fn a_subscriber_is_sent_the_last_message_of_each_topic() {
    for version in [Version::V4, Version::V5] {
        for (qos, granted) in [
            (AtMostOnce, ExactlyOnce),
            (AtLeastOnce, AtLeastOnce),
            (ExactlyOnce, ExactlyOnce),
            (ExactlyOnce, AtMostOnce),
        ] {
            let broker = Broker::new();
            let mut publisher = Opening::new(version, "p").client(&broker);
            for (topic, payload) in [("a", "old"), ("b", "x"), ("a", "new")] {
                publisher.publish(&broker, topic, qos, qos.bits().into(), payload, "retain");
                publisher.ack(&broker, PacketType::PubRel, 2);
            }
            let mut subscriber = Opening::new(version, "s").client(&broker);
            let received = subscriber.subscribe_with(&broker, "a", at(granted), 0);
            // [MQTT-3.3.1-5] [MQTT-3.3.1-9] At the lower of both QoS, with RETAIN set.
            let qos = qos.min(granted);
            let number = if qos == AtMostOnce { "-" } else { "2" };
            let expected = format!("PUBLISH a=new q{} {number} retain", qos.bits());
            assert_eq!(received[1..], [expected], "{version:?}");
        }
    }
}

#[test]
fn a_message_without_retain_changes_nothing_that_is_retained() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    retain(&broker, &mut publisher, "t", "kept");
    // [MQTT-3.3.1-8]
    for payload in ["x", ""] {
        publisher.publish(&broker, "t", AtLeastOnce, 1, payload, "");
    }
    let mut subscriber = Opening::v5("s").client(&broker);
    let received = subscriber.subscribe_with(&broker, "t", at(AtMostOnce), 0);
    assert_eq!(received, ["SUBACK 0x00", "PUBLISH t=kept q0 - retain"]);
    assert_eq!(broker.hub.figures().retained_messages, 1);
}

#[test]
fn an_empty_payload_removes_the_message_and_is_delivered_as_any_other() {
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        let mut broker = Broker::new();
        let mut publisher = Opening::v5("p").client(&broker);
        retain(&broker, &mut publisher, "t", "x");
        retain(&broker, &mut publisher, "u", "y");
        let mut subscriber = Opening::v5("s").client(&broker);
        let as_published = SubscriptionOptions {
            retain_as_published: true,
            retain_handling: RetainHandling::DontSend,
            ..at(AtMostOnce)
        };
        subscriber.subscribe_with(&broker, "t", as_published, 0);
        // [MQTT-3.3.1-6] [MQTT-3.3.1-7]
        publisher.publish(&broker, "t", qos, qos.bits().into(), "", "retain");
        assert_eq!(subscriber.receive(&broker), ["PUBLISH t= q0 - retain"]);
        let figures = broker.hub.figures();
        assert_eq!((figures.retained_messages, figures.retained_bytes), (1, 2));
        // To remove what isn't there is no error.
        publisher.publish(&broker, "t", qos, qos.bits().into(), "", "retain");
        broker.restart();
        let mut subscriber = Opening::v5("s").client(&broker);
        let received = subscriber.subscribe_with(&broker, "+", at(AtMostOnce), 0);
        assert_eq!(received[1..], ["PUBLISH u=y q0 - retain"]);
    }
}

#[test]
fn retain_handling_says_when_they_are_sent() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    retain(&broker, &mut publisher, "t", "x");
    let mut subscriber = Opening::v5("s").kept(1000).client(&broker);
    let mut subscribe = |retain_handling| {
        let received = subscriber.subscribe_with(&broker, "t", handling(retain_handling), 0);
        assert_eq!(received[0], "SUBACK 0x01");
        received.len() == 2
    };
    // [MQTT-3.3.1-11]
    assert!(!subscribe(RetainHandling::DontSend));
    // [MQTT-3.3.1-10] It's there already, however it was made.
    assert!(!subscribe(RetainHandling::SendIfNew));
    // [MQTT-3.3.1-9] [MQTT-3.8.4-4]
    assert!(subscribe(RetainHandling::Send));
    assert!(subscribe(RetainHandling::Send));
    assert_eq!(subscriber.unsubscribe(&broker, "t"), ["UNSUBACK 0x00"]);
    let received = subscriber.subscribe_with(&broker, "t", handling(RetainHandling::SendIfNew), 0);
    assert_eq!(received.len(), 2, "it's new again");
}

#[test]
fn a_resumed_session_is_sent_no_retained_messages_again() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    retain(&broker, &mut publisher, "t", "x");
    for version in [Version::V4, Version::V5] {
        let opening = || Opening::new(version, "s").kept(1000);
        let mut subscriber = opening().client(&broker);
        let received = subscriber.subscribe_with(&broker, "t", at(AtMostOnce), 0);
        assert_eq!(received.len(), 2);
        subscriber.lose(&broker);
        let (mut subscriber, received) = opening().open(&broker);
        assert_eq!(received, ["CONNACK present"]);
        // The subscription is there, but SendIfNew finds it so.
        if version == Version::V5 {
            let options = handling(RetainHandling::SendIfNew);
            let received = subscriber.subscribe_with(&broker, "t", options, 0);
            assert_eq!(received, ["SUBACK 0x01"]);
        }
    }
}

#[test]
fn retain_as_published_is_about_new_messages_alone() {
    for retain_as_published in [false, true] {
        let broker = Broker::new();
        let mut publisher = Opening::v5("p").client(&broker);
        retain(&broker, &mut publisher, "t", "old");
        let mut subscriber = Opening::v5("s").client(&broker);
        let options = SubscriptionOptions {
            retain_as_published,
            ..at(AtMostOnce)
        };
        let received = subscriber.subscribe_with(&broker, "t", options, 0);
        assert_eq!(received[1..], ["PUBLISH t=old q0 - retain"]);
        retain(&broker, &mut publisher, "t", "new");
        let received = subscriber.receive(&broker);
        // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
        let mark = if retain_as_published { " retain" } else { "" };
        assert_eq!(received, [format!("PUBLISH t=new q0 -{mark}")]);
    }
}

#[test]
fn each_subscription_is_sent_its_own() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    retain(&broker, &mut publisher, "a/b", "x");
    let mut subscriber = Opening::v5("s").client(&broker);
    let list = [
        ("a/b", AtMostOnce),
        ("a/+", AtLeastOnce),
        ("other", AtMostOnce),
    ]
    .map(|(filter, qos)| Subscription {
        filter,
        options: at(qos),
    });
    let identifier = [Property::SubscriptionIdentifier(7)];
    let subscribe = Subscribe::new(id(1), Properties::from_list(&identifier), &list);
    let received = subscriber.exchange(&broker, &Packet::Subscribe(subscribe));
    assert_eq!(
        received,
        [
            "SUBACK 0x00 0x01 0x00",
            "PUBLISH a/b=x q0 - retain SubscriptionIdentifier(7)",
            "PUBLISH a/b=x q1 2 retain SubscriptionIdentifier(7)"
        ]
    );
    // One that overlaps with those brings its own identifier alone.
    let received = subscriber.subscribe_with(&broker, "#", at(ExactlyOnce), 9);
    let expected = ["PUBLISH a/b=x q1 3 retain SubscriptionIdentifier(9)"];
    assert_eq!(received[1..], expected);
}

#[test]
fn a_filter_finds_the_topics_that_it_would_be_sent_live() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    let topics = [
        "a", "a/", "a/b", "a/b/c", "/a", "b", "$x", "$x/a", "a-b", "ä/b",
    ];
    for topic in topics {
        retain(&broker, &mut publisher, topic, "x");
    }
    for filter in [
        "#", "a", "a/#", "a/+", "+", "+/+", "/+", "+/b/#", "$x/#", "+/a", "ä/+",
    ] {
        let mut subscriber = Opening::v5("s").clean().client(&broker);
        let received = subscriber.subscribe_with(&broker, filter, at(AtMostOnce), 0);
        let replayed: Vec<&str> = received[1..]
            .iter()
            .filter_map(|words| words.strip_suffix("=x q0 - retain"))
            .collect();
        assert_eq!(replayed.len() + 1, received.len(), "{received:?}");
        // What it's sent live is the other way to find out.
        let mut publisher = Opening::v5("p2").client(&broker);
        for topic in topics {
            publisher.publish(&broker, topic, AtMostOnce, 0, "live", "");
        }
        let received = subscriber.receive(&broker);
        let mut live: Vec<&str> = received
            .iter()
            .filter_map(|words| words.strip_suffix("=live q0 -"))
            .collect();
        live.sort_unstable();
        assert!(!live.is_empty());
        assert_eq!(replayed, live, "{filter}");
        // [MQTT-4.7.2-1]
        let reaches_dollar = live.iter().any(|words| words.starts_with("PUBLISH $"));
        assert_eq!(reaches_dollar, filter.starts_with('$'), "{filter}");
    }
}

#[test]
fn no_local_holds_for_retained_messages_too() {
    let broker = Broker::new();
    let mut client = Opening::v5("c").client(&broker);
    let mut other = Opening::v5("o").client(&broker);
    retain(&broker, &mut client, "t/own", "x");
    retain(&broker, &mut other, "t/other", "x");
    let no_local = SubscriptionOptions {
        no_local: true,
        ..at(AtMostOnce)
    };
    let received = client.subscribe_with(&broker, "t/#", no_local, 0);
    assert_eq!(received[1..], ["PUBLISH t/other=x q0 - retain"]);
}

#[test]
fn what_no_local_leaves_out_of_a_replay_is_done_with() {
    let mut broker = Broker::new();
    let opening = || {
        Opening::v5("s")
            .kept(1000)
            .with(Property::ReceiveMaximum(1))
    };
    let mut subscriber = opening().client(&broker);
    retain_many(&broker, &mut subscriber, 150);
    let mut other = Opening::v5("o").client(&broker);
    for topic in ["many/000", "many/149"] {
        retain(&broker, &mut other, topic, "x");
    }
    let no_local = SubscriptionOptions {
        no_local: true,
        ..at(AtLeastOnce)
    };
    let received = subscriber.subscribe_with(&broker, "many/#", no_local, 0);
    assert_eq!(received[1..], ["PUBLISH many/000=x q1 2 retain"]);
    broker.restart();
    let (mut subscriber, received) = opening().open(&broker);
    assert_eq!(received[1..], ["PUBLISH many/000=x q1 2 dup retain"]);
    let received = drain(&broker, &mut subscriber, 2);
    assert_eq!(received, ["PUBLISH many/149=x q1 3 retain"]);
}

#[test]
fn their_properties_are_kept_and_forwarded() {
    let mut broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    let properties = [
        Property::UserProperty("k", "v"),
        Property::ContentType("text"),
        Property::TopicAlias(3),
    ];
    publisher.publish_with(&broker, "t", AtLeastOnce, 1, "x", "retain", &properties);
    for _ in 0..2 {
        let mut subscriber = Opening::v5("s").client(&broker);
        let received = subscriber.subscribe_with(&broker, "t", at(AtMostOnce), 0);
        let expected = ["PUBLISH t=x q0 - retain UserProperty(\"k\", \"v\") ContentType(\"text\")"];
        assert_eq!(received[1..], expected);
        broker.restart();
    }
}

#[test]
fn many_are_sent_once_each_in_the_order_of_their_topics() {
    for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
        for expiry_s in [0, 1000] {
            let broker = Broker::new();
            let mut publisher = Opening::v5("p").client(&broker);
            retain_many(&broker, &mut publisher, 200);
            let mut subscriber = Opening::v5("s").kept(expiry_s).client(&broker);
            let received = subscriber.subscribe_with(&broker, "many/#", at(qos), 0);
            assert_eq!(payloads(&received), numbers(0..200), "{qos:?} {expiry_s}");
            assert_eq!(subscriber.receive(&broker), NOTHING);
        }
    }
}

#[test]
fn a_small_window_is_waited_for_and_others_are_not_held_back() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    retain_many(&broker, &mut publisher, 150);
    let mut subscriber = Opening::v5("s")
        .kept(1000)
        .with(Property::ReceiveMaximum(3))
        .client(&broker);
    let mut received = subscriber.subscribe_with(&broker, "many/#", at(AtLeastOnce), 0);
    assert_eq!(received.len(), 4);
    // What is still to come waits in the store: a slice at most is queued.
    let copies = broker.log.frames().len();
    let mut came = numbers(0..0);
    received.remove(0);
    while let Some(words) = (!received.is_empty()).then(|| received.remove(0)) {
        came.extend(
            payloads(std::slice::from_ref(&words))
                .iter()
                .map(ToString::to_string),
        );
        received.extend(subscriber.ack(&broker, PubAck, packet_id(&words).get()));
    }
    assert_eq!(came, numbers(0..150));
    assert!(broker.log.frames().len() > copies);
    assert_eq!(broker.drops(), []);
}

#[test]
fn a_replay_does_not_overflow_a_small_queue() {
    let bounds = [(10, 1_000_000), (1, 1_000_000), (10_000, 3000)];
    for (queue_messages, queue_bytes) in bounds {
        for drop_policy in [DropPolicy::Newest, DropPolicy::Oldest] {
            for window in [2, 1000] {
                let broker = Broker::with(Limits {
                    queue_messages,
                    queue_bytes,
                    drop_policy,
                    ..Limits::default()
                });
                let mut publisher = Opening::v5("p").client(&broker);
                retain_many(&broker, &mut publisher, 70);
                let mut subscriber = Opening::v5("s")
                    .kept(1000)
                    .with(Property::ReceiveMaximum(window))
                    .client(&broker);
                let mut received = subscriber.subscribe_with(&broker, "many/#", at(AtLeastOnce), 0);
                let mut came = Vec::new();
                received.remove(0);
                while let Some(words) = (!received.is_empty()).then(|| received.remove(0)) {
                    let payload = payloads(std::slice::from_ref(&words))[0].to_owned();
                    came.push(payload);
                    received.extend(subscriber.ack(&broker, PubAck, packet_id(&words).get()));
                }
                assert_eq!(
                    broker.drops(),
                    [],
                    "{queue_messages} {queue_bytes} {window}"
                );
                assert_eq!(came, numbers(0..70));
            }
        }
    }
}

/// A subscriber that has got the first of 150 messages, with a slice in its queue.
fn in_the_middle(broker: &Broker, qos: QoS) -> (Client, Client) {
    let mut publisher = Opening::v5("p").client(broker);
    retain_many(broker, &mut publisher, 150);
    let mut subscriber = Opening::v5("s")
        .kept(1000)
        .with(Property::ReceiveMaximum(1))
        .client(broker);
    let received = subscriber.subscribe_with(broker, "many/#", at(qos), 0);
    assert_eq!(received.len(), 2, "{received:?}");
    (publisher, subscriber)
}

/// Acknowledges everything; gives what comes, topics and payloads.
fn drain(broker: &Broker, subscriber: &mut Client, first: u16) -> Vec<String> {
    let mut all = Vec::new();
    let mut next = Some(first);
    while let Some(number) = next.take() {
        for words in subscriber.ack(broker, PubAck, number) {
            next = Some(packet_id(&words).get());
            all.push(words);
        }
    }
    all
}

#[test]
fn a_message_that_is_replaced_or_removed_during_the_replay_is_sent_live_alone() {
    let broker = Broker::new();
    let (mut publisher, mut subscriber) = in_the_middle(&broker, AtLeastOnce);
    // One that was sent, one that is queued, two that the replay hasn't come to.
    for (topic, payload) in [
        ("many/000", "again"),
        ("many/010", "again"),
        ("many/140", "again"),
        ("many/145", ""),
        ("many/999", "new"),
    ] {
        retain(&broker, &mut publisher, topic, payload);
    }
    let received = drain(&broker, &mut subscriber, 2);
    let of = |topic: &str| -> Vec<String> {
        let prefix = format!("PUBLISH {topic}=");
        let of_topic = received.iter().filter(|words| words.starts_with(&prefix));
        of_topic
            .map(|words| {
                let mut shown = payloads(std::slice::from_ref(words))[0].to_owned();
                if words.contains(" retain") {
                    shown.write_str(" retained").unwrap();
                }
                shown
            })
            .collect()
    };
    assert_eq!(of("many/000"), ["again"], "the old one came before");
    assert_eq!(of("many/010"), ["10 retained", "again"]);
    assert_eq!(
        of("many/140"),
        ["again"],
        "not the old one, nor the new one twice"
    );
    assert_eq!(of("many/145"), [""]);
    assert_eq!(of("many/999"), ["new"]);
    assert_eq!(of("many/149"), ["149 retained"]);
    // 149 of the replay less two, and the five.
    assert_eq!(received.len(), 149 - 2 + 5);
}

#[test]
fn a_replay_goes_on_after_a_reconnect_and_after_a_restart() {
    for qos in [AtMostOnce, AtLeastOnce] {
        for is_restarted in [false, true] {
            let mut broker = Broker::new();
            let mut publisher = Opening::v5("p").client(&broker);
            retain_many(&broker, &mut publisher, 150);
            let opening = || {
                Opening::v5("s")
                    .kept(1000)
                    .with(Property::ReceiveMaximum(1))
            };
            let mut subscriber = opening().client(&broker);
            // A message in flight closes the window, and so stops the replay.
            subscriber.subscribe(&broker, "stop", AtLeastOnce);
            publisher.publish(&broker, "stop", AtLeastOnce, 1, "x", "");
            subscriber.receive(&broker);
            let received = subscriber.subscribe_with(&broker, "many/#", at(qos), 0);
            assert_eq!(received, [format!("SUBACK 0x{:02x}", qos.bits())]);
            if is_restarted {
                broker.restart();
            } else {
                subscriber.lose(&broker);
            }
            let (mut subscriber, received) = opening().open(&broker);
            assert_eq!(received, ["CONNACK present", "PUBLISH stop=x q1 2 dup"]);
            let received = if qos == AtMostOnce {
                subscriber.ack(&broker, PubAck, 2)
            } else {
                drain(&broker, &mut subscriber, 2)
            };
            assert_eq!(
                payloads(&received),
                numbers(0..150),
                "{qos:?} {is_restarted}"
            );
        }
    }
}

#[test]
fn a_restart_in_the_middle_of_a_replay_loses_nothing_of_qos_1() {
    let mut broker = Broker::new();
    let (_, mut subscriber) = in_the_middle(&broker, AtLeastOnce);
    for number in 2..82 {
        let received = subscriber.ack(&broker, PubAck, number);
        assert_eq!(payloads(&received), [(number - 1).to_string()]);
    }
    broker.restart();
    let (mut subscriber, received) = Opening::v5("s")
        .kept(1000)
        .with(Property::ReceiveMaximum(1))
        .open(&broker);
    assert_eq!(received[1..], ["PUBLISH many/080=80 q1 82 dup retain"]);
    let received = drain(&broker, &mut subscriber, 82);
    assert_eq!(payloads(&received), numbers(81..150));
}

#[test]
fn unsubscribe_ends_a_replay() {
    let broker = Broker::new();
    let (_, mut subscriber) = in_the_middle(&broker, AtLeastOnce);
    assert_eq!(subscriber.unsubscribe(&broker, "many/#"), ["UNSUBACK 0x00"]);
    let received = drain(&broker, &mut subscriber, 2);
    // [MQTT-3.10.4-3] What was queued may still come.
    assert!(received.len() < 100, "{}", received.len());
}

#[test]
fn a_subscription_that_is_made_again_begins_its_replay_anew() {
    let broker = Broker::new();
    let (_, mut subscriber) = in_the_middle(&broker, AtLeastOnce);
    let received = subscriber.subscribe_with(&broker, "many/#", at(AtLeastOnce), 0);
    assert_eq!(received, ["SUBACK 0x01"]);
    let received = drain(&broker, &mut subscriber, 2);
    let received = payloads(&received);
    let again = received
        .iter()
        .rposition(|payload| *payload == "0")
        .unwrap();
    assert_eq!(received[again..], numbers(0..150));
}

#[test]
fn a_client_that_does_not_read_costs_the_others_nothing() {
    let broker = Broker::new();
    let mut publisher = Opening::v5("p").client(&broker);
    retain_many(&broker, &mut publisher, 300);
    let mut idle = Opening::v5("idle").client(&broker);
    let list = [Subscription {
        filter: "#",
        options: at(AtMostOnce),
    }];
    let before = broker.hub.account().used();
    // It never asks for what is to be sent.
    idle.send(
        &broker,
        &Packet::Subscribe(Subscribe::new(id(1), Properties::EMPTY, &list)),
    );
    assert!(
        broker.hub.account().used() < before + 1000,
        "nothing is copied"
    );
    let mut other = Opening::v5("other").client(&broker);
    let received = other.subscribe_with(&broker, "#", at(AtMostOnce), 0);
    assert_eq!(received.len(), 301);
}

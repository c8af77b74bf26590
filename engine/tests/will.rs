//! When a Will is published, with what, and when it isn't.
//!
//! MQTT 5 sections 3.1.2.5, 3.1.3.2, 3.14.4; MQTT 3.1.1 sections 3.1.2.5, 3.14.4.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use dunlin_codec::{Properties, Property, QoS, ReasonCode, Version, Will};
use dunlin_engine::connection::CloseReason;
use dunlin_engine::drops::DropReason;

use support::{Broker, Client, Opening};

const NOTHING: [&str; 0] = [];

fn will<'a>(properties: &'a [Property<'a>]) -> Will<'a> {
    Will {
        topic: "will",
        payload: b"x",
        qos: QoS::AtMostOnce,
        retain: false,
        properties: Properties::from_list(properties),
    }
}

/// How a client leaves.
type End = fn(Client, &Broker);

fn watcher(broker: &Broker) -> Client {
    let mut watcher = Opening::v5("watcher").kept(u32::MAX).client(broker);
    watcher.subscribe(broker, "#", QoS::ExactlyOnce);
    watcher
}

#[test]
fn every_end_but_a_normal_disconnect_publishes_the_will() {
    let ends: [(&str, bool, End); 6] = [
        ("lost", true, |client, broker| client.lose(broker)),
        ("normal", false, |client, broker| {
            client.disconnect(broker, ReasonCode::Success, &[]);
        }),
        ("with will", true, |client, broker| {
            client.disconnect(broker, ReasonCode::DisconnectWithWill, &[]);
        }),
        ("with an error", true, |client, broker| {
            client.disconnect(broker, ReasonCode::UnspecifiedError, &[]);
        }),
        ("malformed", true, |mut client, broker| {
            let received = client.exchange_bytes(broker, &[0x36, 0]);
            assert_eq!(received[0], "DISCONNECT 0x81");
        }),
        ("by an operator", true, |client, broker| {
            client.close(broker, CloseReason::AdministrativeAction);
        }),
    ];
    for (name, is_published, end) in ends {
        for expiry_s in [0, 100] {
            let mut broker = Broker::new();
            let mut watcher = watcher(&broker);
            let client = Opening::v5("c")
                .kept(expiry_s)
                .will(will(&[]))
                .client(&broker);
            end(client, &broker);
            let expected: &[&str] = if is_published {
                &["PUBLISH will=x q0 -"]
            } else {
                &[]
            };
            assert_eq!(watcher.receive(&broker), expected, "{name}, {expiry_s}");
            // Never again.
            broker.pass(1000);
            broker.restart();
            let (_, received) = Opening::v5("watcher").kept(u32::MAX).open(&broker);
            assert_eq!(received, ["CONNACK present"], "{name}, {expiry_s}");
        }
    }
}

#[test]
fn an_old_clients_will_follows_the_same_rules() {
    for clean in [false, true] {
        let broker = Broker::new();
        let mut watcher = watcher(&broker);
        let opening = || {
            let mut opening = Opening::v4("c").will(will(&[]));
            opening.connect.clean_start = clean;
            opening
        };
        opening()
            .client(&broker)
            .disconnect(&broker, ReasonCode::Success, &[]);
        assert_eq!(watcher.receive(&broker), NOTHING);
        opening().client(&broker).lose(&broker);
        assert_eq!(watcher.receive(&broker), ["PUBLISH will=x q0 -"]);
    }
}

#[test]
fn silence_publishes_the_will() {
    let mut broker = Broker::new();
    let mut watcher = watcher(&broker);
    let mut client = Opening::v5("c")
        .keep_alive(10)
        .will(will(&[]))
        .client(&broker);
    broker.pass(15);
    assert_eq!(client.tick(&broker)[0], "DISCONNECT 0x8d");
    assert_eq!(watcher.receive(&broker), ["PUBLISH will=x q0 -"]);
}

#[test]
fn a_will_is_published_as_it_was_given() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let broker = Broker::new();
        let mut watcher = watcher(&broker);
        let properties = [
            Property::UserProperty("k", "v"),
            Property::WillDelayInterval(0),
            Property::MessageExpiryInterval(7),
            Property::ContentType("text"),
            Property::ResponseTopic("answers"),
            Property::CorrelationData(&[1]),
            Property::PayloadFormatIndicator(true),
        ];
        let given = Will {
            qos,
            retain: true,
            ..will(&properties)
        };
        Opening::v5("c").will(given).client(&broker).lose(&broker);
        let number = if qos == QoS::AtMostOnce { "-" } else { "2" };
        let forwarded = "UserProperty(\"k\", \"v\") ContentType(\"text\") \
                         ResponseTopic(\"answers\") CorrelationData([1]) \
                         PayloadFormatIndicator(true) MessageExpiryInterval(7)";
        let expected = format!("PUBLISH will=x q{} {number} {forwarded}", qos.bits());
        assert_eq!(watcher.receive(&broker), [expected]);
        let mut late = Opening::v5("late").client(&broker);
        late.subscribe_with(
            &broker,
            "other",
            dunlin_codec::SubscriptionOptions::default(),
            0,
        );
        let options = dunlin_codec::SubscriptionOptions::default();
        let received = late.subscribe_with(&broker, "will", options, 0);
        assert_eq!(
            received[1],
            format!("PUBLISH will=x q0 - retain {forwarded}")
        );
    }
}

#[test]
fn a_retained_will_without_payload_removes_what_was_retained() {
    let broker = Broker::new();
    let mut client = Opening::v5("p").client(&broker);
    client.publish(&broker, "will", QoS::AtLeastOnce, 1, "old", "retain");
    assert_eq!(broker.hub.figures().retained_messages, 1);
    let given = Will {
        payload: b"",
        retain: true,
        ..will(&[])
    };
    Opening::v5("c").will(given).client(&broker).lose(&broker);
    assert_eq!(broker.hub.figures().retained_messages, 0);
}

#[test]
fn a_delayed_will_waits_for_its_delay_or_the_sessions_end() {
    for (delay_s, expiry_s, published_after) in [
        (5, 100, 5),
        (5, u32::MAX, 5),
        (100, 10, 10),
        (10, 10, 10),
        (u32::MAX, 10, 10),
        (5, 0, 0),
    ] {
        for is_restarted in [false, true] {
            let mut broker = Broker::new();
            let mut watcher = watcher(&broker);
            let properties = [Property::WillDelayInterval(delay_s)];
            let opening = Opening::v5("c").kept(expiry_s).will(will(&properties));
            opening.client(&broker).lose(&broker);
            if published_after > 0 {
                broker.pass(published_after - 1);
                assert_eq!(watcher.receive(&broker), NOTHING, "{delay_s} {expiry_s}");
                if is_restarted {
                    broker.restart();
                    watcher = Opening::v5("watcher").kept(u32::MAX).client(&broker);
                }
                broker.pass(1);
            }
            let expected = ["PUBLISH will=x q0 -"];
            assert_eq!(watcher.receive(&broker), expected, "{delay_s} {expiry_s}");
            broker.pass(1000);
            assert_eq!(watcher.receive(&broker), NOTHING, "once");
        }
    }
}

#[test]
fn a_client_that_returns_in_time_takes_its_delayed_will_back() {
    for (clean, is_published) in [(false, false), (true, true)] {
        let mut broker = Broker::new();
        let mut watcher = watcher(&broker);
        let properties = [Property::WillDelayInterval(10)];
        let opening = Opening::v5("c").kept(100).will(will(&properties));
        opening.client(&broker).lose(&broker);
        broker.pass(9);
        let mut opening = Opening::v5("c").kept(100);
        opening.connect.clean_start = clean;
        let client = opening.client(&broker);
        // Clean Start ends the session, and with it the delay.
        let expected: &[&str] = if is_published {
            &["PUBLISH will=x q0 -"]
        } else {
            &[]
        };
        assert_eq!(watcher.receive(&broker), expected);
        broker.pass(100);
        client.lose(&broker);
        broker.pass(1000);
        assert_eq!(watcher.receive(&broker), NOTHING, "it has none any more");
    }
}

#[test]
fn a_disconnect_that_ends_the_session_ends_the_delay() {
    for (reason_code, is_published) in [
        (ReasonCode::DisconnectWithWill, true),
        (ReasonCode::Success, false),
    ] {
        let mut broker = Broker::new();
        let mut watcher = watcher(&broker);
        let properties = [Property::WillDelayInterval(10)];
        let client = Opening::v5("c")
            .kept(100)
            .will(will(&properties))
            .client(&broker);
        client.disconnect(&broker, reason_code, &[Property::SessionExpiryInterval(0)]);
        let expected: &[&str] = if is_published {
            &["PUBLISH will=x q0 -"]
        } else {
            &[]
        };
        assert_eq!(watcher.receive(&broker), expected);
        broker.pass(100);
        assert_eq!(watcher.receive(&broker), NOTHING);
    }
}

#[test]
fn a_normal_disconnect_leaves_no_will_behind_for_a_restart() {
    let mut broker = Broker::new();
    watcher(&broker);
    for version in [Version::V4, Version::V5] {
        let opening = Opening::new(version, "c").kept(100).will(will(&[]));
        let client = opening.client(&broker);
        client.disconnect(&broker, ReasonCode::Success, &[]);
        broker.restart();
        broker.pass(1000);
        let (_, received) = Opening::v5("watcher").kept(u32::MAX).open(&broker);
        assert_eq!(received, ["CONNACK present"], "{version:?}");
    }
}

#[test]
fn message_expiry_of_a_will_begins_with_its_publication() {
    let mut broker = Broker::new();
    let mut watcher = watcher(&broker);
    let properties = [
        Property::WillDelayInterval(20),
        Property::MessageExpiryInterval(5),
    ];
    let opening = Opening::v5("c").kept(100).will(will(&properties));
    opening.client(&broker).lose(&broker);
    broker.pass(20);
    let expected = ["PUBLISH will=x q0 - MessageExpiryInterval(5)"];
    assert_eq!(watcher.receive(&broker), expected);
}

#[test]
fn a_will_where_its_client_may_not_publish_is_dropped_and_counted_once() {
    let broker = Broker::new();
    let mut watcher = Opening::v5("watcher").client(&broker);
    watcher.subscribe(&broker, "$SYS/#", QoS::AtMostOnce);
    let given = Will {
        topic: "$SYS/fake",
        ..will(&[])
    };
    Opening::v5("c")
        .kept(100)
        .will(given)
        .client(&broker)
        .lose(&broker);
    assert_eq!(watcher.receive(&broker), NOTHING);
    assert_eq!(broker.drops(), [(DropReason::NotAuthorized, 1)]);
}

#[test]
fn a_refused_connect_leaves_no_will() {
    let broker = Broker::new();
    let mut watcher = watcher(&broker);
    let mut opening = Opening::v5("c").will(will(&[]));
    opening.outcome = dunlin_engine::connection::AuthOutcome::Refused(ReasonCode::NotAuthorized);
    let (client, received) = opening.open(&broker);
    assert_eq!(received[0], "CONNACK 0x87");
    client.lose(&broker);
    assert_eq!(watcher.receive(&broker), NOTHING);
}

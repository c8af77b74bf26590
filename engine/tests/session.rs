//! How long a session lives, and what a client finds of it when it returns.
//!
//! MQTT 5 sections 3.1.2.4, 3.1.2.11.2, 3.14.2.2.2, 4.1; MQTT 3.1.1 sections 3.1.2.4, 4.1.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use dunlin_codec::{PacketType, Property, QoS, ReasonCode, Version};
use dunlin_engine::drops::DropReason;
use dunlin_engine::limits::Limits;

use support::{Broker, Opening};

use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const NOTHING: [&str; 0] = [];
const NEVER: u32 = u32::MAX;

#[test]
fn a_clean_session_of_an_old_client_ends_with_its_connection() {
    let broker = Broker::new();
    let mut client = Opening::v4("c").clean().client(&broker);
    client.subscribe(&broker, "t", AtLeastOnce);
    client.lose(&broker);
    assert_eq!(broker.hub.figures().sessions, 0);
    assert_eq!(broker.hub.figures().subscriptions, 0);
    let (_, received) = Opening::v4("c").open(&broker);
    assert_eq!(received, ["CONNACK new"]);
}

#[test]
fn a_kept_session_of_an_old_client_never_expires() {
    let mut broker = Broker::new();
    let mut client = Opening::v4("c").client(&broker);
    client.subscribe(&broker, "t", AtLeastOnce);
    client.disconnect(&broker, ReasonCode::Success, &[]);
    broker.pass(10 * 365 * 86_400);
    let (mut client, received) = Opening::v4("c").open(&broker);
    assert_eq!(received, ["CONNACK present"]);
    let received = client.publish(&broker, "t", AtMostOnce, 0, "x", "");
    assert_eq!(received, ["PUBLISH t=x q0 -"]);
}

#[test]
fn a_session_expires_after_its_interval_and_not_before() {
    for (expiry_s, waits, present) in [
        (0, 0, false),
        (60, 59, true),
        (60, 60, false),
        (NEVER - 1, 4_000_000_000, true),
        (NEVER, 5_000_000_000, true),
    ] {
        for is_attended in [true, false] {
            let mut broker = Broker::new();
            let client = Opening::v5("c").kept(expiry_s).client(&broker);
            client.lose(&broker);
            if is_attended {
                broker.pass(waits);
                assert_eq!(broker.hub.figures().sessions, usize::from(present));
            } else {
                // Nobody has looked at the deadlines when the client comes back.
                broker.now.monotonic = broker.now.monotonic.plus_secs(waits);
            }
            let (_, received) = Opening::v5("c").open(&broker);
            let expected = if present {
                "CONNACK present"
            } else {
                "CONNACK new"
            };
            assert_eq!(received, [expected], "{expiry_s} after {waits}");
        }
    }
}

#[test]
fn the_interval_runs_only_without_a_connection() {
    let mut broker = Broker::new();
    let mut client = Opening::v5("c").kept(60).client(&broker);
    broker.pass(1000);
    client.subscribe(&broker, "t", AtMostOnce);
    client.lose(&broker);
    broker.pass(59);
    let (client, received) = Opening::v5("c").kept(60).open(&broker);
    assert_eq!(received, ["CONNACK present"]);
    broker.pass(59);
    client.lose(&broker);
    broker.pass(59);
    assert_eq!(broker.hub.figures().sessions, 1);
    broker.pass(1);
    assert_eq!(broker.hub.figures().sessions, 0);
}

#[test]
fn disconnect_may_change_the_interval() {
    for (connect_s, disconnect_s, lives_s) in [(60, 10, 10), (60, 600, 600), (60, 0, 0)] {
        let mut broker = Broker::new();
        let client = Opening::v5("c").kept(connect_s).client(&broker);
        let properties = [Property::SessionExpiryInterval(disconnect_s)];
        let received = client.disconnect(&broker, ReasonCode::Success, &properties);
        assert_eq!(received, ["end: disconnected by the client"]);
        if lives_s > 0 {
            broker.pass(lives_s - 1);
            assert_eq!(broker.hub.figures().sessions, 1, "{disconnect_s}");
            broker.restart();
            broker.pass(1);
        }
        assert_eq!(broker.hub.figures().sessions, 0, "{disconnect_s}");
    }
}

#[test]
fn disconnect_may_not_keep_a_session_that_was_to_end() {
    let broker = Broker::new();
    for interval in [None, Some(0)] {
        let mut opening = Opening::v5("c");
        opening
            .properties
            .extend(interval.map(Property::SessionExpiryInterval));
        let client = opening.client(&broker);
        let properties = [Property::SessionExpiryInterval(10)];
        let received = client.disconnect(&broker, ReasonCode::Success, &properties);
        assert_eq!(received[0], "DISCONNECT 0x82", "{received:?}");
        assert_eq!(broker.hub.figures().sessions, 0);
    }
}

#[test]
fn the_operators_longest_interval_holds() {
    let mut broker = Broker::with(Limits {
        session_expiry_s: 100,
        ..Limits::default()
    });
    for opening in [Opening::v5("c").kept(NEVER), Opening::v4("c")] {
        let client = opening.client(&broker);
        client.lose(&broker);
        broker.pass(99);
        assert_eq!(broker.hub.figures().sessions, 1);
        broker.pass(1);
        assert_eq!(broker.hub.figures().sessions, 0);
    }
}

#[test]
fn clean_start_discards_everything() {
    let broker = Broker::new();
    let mut client = Opening::v5("c").kept(100).client(&broker);
    client.subscribe(&broker, "t", ExactlyOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    publisher.publish(&broker, "t", ExactlyOnce, 1, "sent", "");
    assert_eq!(client.receive(&broker).len(), 1);
    client.publish(&broker, "other", ExactlyOnce, 9, "x", "");
    client.lose(&broker);
    publisher.publish(&broker, "t", AtLeastOnce, 2, "queued", "");
    let (mut client, received) = Opening::v5("c").kept(100).clean().open(&broker);
    assert_eq!(received, ["CONNACK new"]);
    assert_eq!(broker.drops(), [(DropReason::SessionEnded, 2)]);
    assert_eq!(broker.hub.figures().subscriptions, 0);
    // Identifier 9 stands for a new message.
    client.subscribe(&broker, "other", AtMostOnce);
    let received = client.publish(&broker, "other", ExactlyOnce, 9, "y", "");
    assert_eq!(received, ["PUBREC 9", "PUBLISH other=y q0 -"]);
}

#[test]
fn a_session_resumed_without_interval_ends_with_that_connection() {
    for is_restarted in [false, true] {
        let mut broker = Broker::new();
        let mut client = Opening::v5("c").kept(100).client(&broker);
        client.subscribe(&broker, "t", AtLeastOnce);
        client.lose(&broker);
        let mut publisher = Opening::v5("p").client(&broker);
        publisher.publish(&broker, "t", AtLeastOnce, 1, "x", "");
        let (client, received) = Opening::v5("c").open(&broker);
        assert_eq!(received, ["CONNACK present", "PUBLISH t=x q1 2"]);
        if is_restarted {
            broker.restart();
        } else {
            client.lose(&broker);
        }
        let (_, received) = Opening::v5("c").kept(100).open(&broker);
        assert_eq!(received, ["CONNACK new"], "restarted: {is_restarted}");
    }
}

#[test]
fn a_session_taken_up_with_an_interval_is_kept_though_it_began_without_one() {
    let mut broker = Broker::new();
    let mut first = Opening::v5("c").client(&broker);
    first.subscribe(&broker, "t", AtLeastOnce);
    // Taken over while it's connected: a session without interval ends with its connection.
    let (mut second, received) = Opening::v5("c").kept(100).open(&broker);
    assert_eq!(received, ["CONNACK new"]);
    second.subscribe(&broker, "u", AtLeastOnce);
    broker.restart();
    let (_, received) = Opening::v5("c").kept(100).open(&broker);
    assert_eq!(received, ["CONNACK present"]);
    assert!(broker.hub.subscription("c", "t").is_none());
    assert!(broker.hub.subscription("c", "u").is_some());
}

#[test]
fn a_session_goes_from_version_to_version() {
    let broker = Broker::new();
    let mut client = Opening::v4("c").client(&broker);
    client.subscribe(&broker, "t", AtLeastOnce);
    client.lose(&broker);
    let mut publisher = Opening::v5("p").client(&broker);
    let properties = [Property::UserProperty("k", "v")];
    publisher.publish_with(&broker, "t", AtLeastOnce, 1, "x", "", &properties);
    let (client, received) = Opening::v5("c").kept(100).open(&broker);
    assert_eq!(
        received,
        [
            "CONNACK present",
            "PUBLISH t=x q1 2 UserProperty(\"k\", \"v\")"
        ]
    );
    client.lose(&broker);
    let (_, received) = Opening::v4("c").open(&broker);
    assert_eq!(received, ["CONNACK present", "PUBLISH t=x q1 2 dup"]);
}

#[test]
fn messages_wait_for_a_client_in_their_order() {
    for version in [Version::V4, Version::V5] {
        let broker = Broker::new();
        let mut client = Opening::new(version, "c").kept(100).client(&broker);
        client.subscribe(&broker, "t", ExactlyOnce);
        client.lose(&broker);
        let mut publisher = Opening::v5("p").client(&broker);
        for (number, qos) in [
            (1, AtLeastOnce),
            (2, ExactlyOnce),
            (0, AtMostOnce),
            (3, AtLeastOnce),
        ] {
            publisher.publish(&broker, "t", qos, number, &number.to_string(), "");
        }
        // QoS 0 isn't kept unless the operator wants it.
        assert_eq!(broker.drops(), [(DropReason::Offline, 1)]);
        let (_, received) = Opening::new(version, "c").kept(100).open(&broker);
        let expected = [
            "CONNACK present",
            "PUBLISH t=1 q1 2",
            "PUBLISH t=2 q2 3",
            "PUBLISH t=3 q1 4",
        ];
        assert_eq!(received, expected, "{version:?}");
    }
}

#[test]
fn qos_0_waits_as_well_if_the_operator_wants_it() {
    let broker = Broker::with(Limits {
        queue_qos0: true,
        ..Limits::default()
    });
    let mut client = Opening::v5("c").kept(100).client(&broker);
    client.subscribe(&broker, "t", ExactlyOnce);
    client.lose(&broker);
    let mut publisher = Opening::v5("p").client(&broker);
    publisher.publish(&broker, "t", AtLeastOnce, 1, "1", "");
    publisher.publish(&broker, "t", AtMostOnce, 0, "2", "");
    let (_, received) = Opening::v5("c").kept(100).open(&broker);
    assert_eq!(
        received,
        ["CONNACK present", "PUBLISH t=1 q1 2", "PUBLISH t=2 q0 -"]
    );
}

#[test]
fn what_a_publisher_began_at_qos_2_is_remembered_with_its_session() {
    for (expiry_s, is_known) in [(100, true), (0, false)] {
        let broker = Broker::new();
        let mut subscriber = Opening::v5("s").client(&broker);
        subscriber.subscribe(&broker, "t", AtMostOnce);
        let mut publisher = Opening::v5("p").kept(expiry_s).client(&broker);
        publisher.publish(&broker, "t", ExactlyOnce, 1, "x", "");
        publisher.lose(&broker);
        let mut publisher = Opening::v5("p").kept(expiry_s).client(&broker);
        publisher.publish(&broker, "t", ExactlyOnce, 1, "x", "dup");
        let received = subscriber.receive(&broker);
        assert_eq!(received.len(), if is_known { 1 } else { 2 });
    }
}

#[test]
fn too_many_sessions_are_refused_and_those_that_exist_are_not() {
    let broker = Broker::with(Limits {
        sessions: 2,
        ..Limits::default()
    });
    for name in ["a", "b"] {
        Opening::v5(name).kept(100).client(&broker).lose(&broker);
    }
    let (_, received) = Opening::v5("c").open(&broker);
    assert_eq!(received, ["CONNACK 0x97", "end: quota exceeded"]);
    let (_, received) = Opening::v4("c").open(&broker);
    // Before MQTT 5 there are five codes; "server unavailable" is the nearest.
    assert_eq!(received[0], "CONNACK 0x88", "{received:?}");
    let (_, received) = Opening::v5("a").open(&broker);
    assert_eq!(received, ["CONNACK present"]);
}

#[test]
fn nothing_is_left_of_sessions_that_ended() {
    let mut broker = Broker::new();
    let mut clients: Vec<_> = ["a", "b", "c"]
        .map(|name| Opening::v5(name).kept(10).client(&broker))
        .into();
    for client in &mut clients {
        for filter in ["t", "t/#", "$share/g/t"] {
            client.subscribe(&broker, filter, ExactlyOnce);
        }
    }
    let mut publisher = Opening::v5("p").kept(10).client(&broker);
    for number in 1..=30 {
        publisher.publish(&broker, "t", ExactlyOnce, number, "x", "");
    }
    for client in &mut clients {
        let received = client.receive(&broker);
        assert!(received.len() >= 30, "{}", received.len());
        client.ack(&broker, PacketType::PubRec, 2);
    }
    for client in clients {
        client.lose(&broker);
    }
    publisher.lose(&broker);
    assert!(broker.hub.account().used() > 0);
    broker.pass(10);
    let figures = broker.hub.figures();
    assert_eq!(figures.sessions, 0);
    assert_eq!(figures.subscriptions, 0);
    assert_eq!(broker.hub.poll_timeout(), None);
    // The journal's frames are the test's: without them nothing holds a message.
    broker.restart();
    assert_eq!(broker.hub.account().used(), 0);
    let (mut client, _) = Opening::v5("a").open(&broker);
    assert_eq!(client.receive(&broker), NOTHING);
}

//! CONNECT to CONNACK, takeover, keep alive, AUTH: what a client may open, and what it's told.
//!
//! MQTT 5 sections 3.1, 3.2, 3.12, 3.15, 4.12; MQTT 3.1.1 the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use dunlin_codec::{
    Auth, Connect, Packet, Properties, Property, QoS, ReasonCode, SubscriptionOptions, Version,
    Will,
};
use dunlin_engine::connection::{AuthOutcome, CloseReason};
use dunlin_engine::limits::Limits;

use support::{Broker, Client, Opening};

/// A connection on which nothing was said yet.
fn stranger(broker: &Broker) -> Client {
    let opening = Opening::v5("");
    Client::accept(broker, Version::V5, opening.settings, opening.outcome)
}

fn connect_bytes(name: &[u8], level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut body = vec![0, u8::try_from(name.len()).unwrap()];
    body.extend(name);
    body.extend([level, flags, 0, 0]);
    body.extend(rest);
    let mut bytes = vec![0x10, u8::try_from(body.len()).unwrap()];
    bytes.extend(body);
    bytes
}

#[test]
fn the_three_versions_are_spoken() {
    let broker = Broker::new();
    let rows: [(&[u8], u8, &[u8], Version); 3] = [
        (b"MQIsdp", 3, b"\0\x02v3", Version::V3),
        (b"MQTT", 4, b"\0\x02v4", Version::V4),
        (b"MQTT", 5, b"\0\0\x02v5", Version::V5),
    ];
    for (name, level, rest, version) in rows {
        let mut client = stranger(&broker);
        client.version = version;
        let received = client.exchange_bytes(&broker, &connect_bytes(name, level, 2, rest));
        assert_eq!(received, ["CONNACK new"], "{version:?}");
    }
    assert_eq!(broker.hub.figures().sessions, 3);
}

#[test]
fn a_version_that_is_not_spoken_is_told_so() {
    let broker = Broker::new();
    for level in [6, 2] {
        let mut client = stranger(&broker);
        client.version = if level > 5 { Version::V5 } else { Version::V4 };
        let received = client.exchange_bytes(&broker, &connect_bytes(b"MQTT", level, 2, b"\0\0"));
        // Before MQTT 5 its code is 1, which has the same meaning.
        assert_eq!(
            received,
            ["CONNACK 0x84", "end: unsupported protocol version"],
            "{level}"
        );
    }
}

#[test]
fn what_is_no_connect_ends_the_connection_without_an_answer() {
    let broker = Broker::new();
    let rows: [&[u8]; 4] = [
        &[0xC0, 0],
        &[0x30, 3, 0, 1, b'a'],
        b"GET / HTTP/1.1\r\n",
        &[0xF0, 0],
    ];
    for bytes in rows {
        let received = stranger(&broker).exchange_bytes(&broker, bytes);
        assert_eq!(received, ["end: first packet is not CONNECT"]);
    }
    let wrong_name = connect_bytes(b"MQQT", 5, 2, b"\0\0\0");
    let received = stranger(&broker).exchange_bytes(&broker, &wrong_name);
    assert!(
        received.last().unwrap().starts_with("end: "),
        "{received:?}"
    );
    assert_eq!(broker.hub.figures().sessions, 0);
}

#[test]
fn a_reserved_flag_in_connect_is_malformed() {
    let broker = Broker::new();
    let mut client = stranger(&broker);
    let received = client.exchange_bytes(&broker, &connect_bytes(b"MQTT", 5, 3, b"\0\0\x01c"));
    assert_eq!(received[0], "CONNACK 0x81", "{received:?}");
    // MQTT 3.1.1 has no code for it. [3:MQTT-3.1.2-3]
    let mut client = stranger(&broker);
    client.version = Version::V4;
    let received = client.exchange_bytes(&broker, &connect_bytes(b"MQTT", 4, 3, b"\0\x01c"));
    assert_eq!(received.len(), 1, "{received:?}");
    assert!(received[0].starts_with("end: "));
}

#[test]
fn a_connect_may_come_in_pieces() {
    let broker = Broker::new();
    let bytes = connect_bytes(b"MQTT", 5, 2, b"\0\0\x01c");
    let mut client = stranger(&broker);
    for byte in &bytes[..bytes.len() - 1] {
        assert!(client.exchange_bytes(&broker, &[*byte]).is_empty());
    }
    let last = &bytes[bytes.len() - 1..];
    assert_eq!(client.exchange_bytes(&broker, last), ["CONNACK new"]);
}

#[test]
fn who_says_nothing_is_let_go() {
    let mut broker = Broker::new();
    let mut silent = stranger(&broker);
    let mut slow = stranger(&broker);
    slow.send_bytes(&broker, &[0x10, 20, 0]);
    broker.pass_ms(9_999);
    assert!(silent.tick(&broker).is_empty());
    assert!(slow.tick(&broker).is_empty());
    broker.pass_ms(1);
    assert_eq!(silent.tick(&broker), ["end: no CONNECT in time"]);
    assert_eq!(slow.tick(&broker), ["end: no CONNECT in time"]);
}

#[test]
fn a_connect_that_is_too_long_is_not_waited_for() {
    let broker = Broker::new();
    let mut client = stranger(&broker);
    // 268,435,455 bytes are announced.
    let mut bytes = vec![0x10, 0xFF, 0xFF, 0xFF, 0x7F];
    bytes.extend(b"\0\x04MQTT\x05\x02");
    let received = client.exchange_bytes(&broker, &bytes);
    assert_eq!(received[0], "CONNACK 0x95", "{received:?}");
    assert!(received[1].starts_with("end: "));
}

#[test]
fn a_second_connect_is_a_protocol_error() {
    let broker = Broker::new();
    for version in [Version::V4, Version::V5] {
        let mut client = Opening::new(version, "c").client(&broker);
        let connect = Connect {
            version,
            clean_start: true,
            keep_alive_s: 0,
            client_id: "c",
            will: None,
            user_name: None,
            password: None,
            properties: Properties::EMPTY,
        };
        let mut expected = vec!["DISCONNECT 0x82", "end: second CONNECT"];
        if version == Version::V4 {
            expected.remove(0);
        }
        let received = client.exchange(&broker, &Packet::Connect(connect));
        assert_eq!(received, expected, "{version:?}");
    }
}

#[test]
fn a_client_without_identifier_is_given_one_where_the_version_allows_it() {
    let broker = Broker::new();
    let (client, received) = Opening::v5("").open(&broker);
    assert_eq!(received, ["CONNACK new"]);
    let assigned = "AssignedClientIdentifier(\"auto-07070707070707070707070707070707\")";
    assert!(client.connack.contains(assigned), "{}", client.connack);
    let origin = client.connection.origin().unwrap();
    assert_eq!(origin.client_id.as_str().len(), 5 + 32);

    let (_, received) = Opening::v4("").clean().open(&broker);
    assert_eq!(received, ["CONNACK new"]);
    let rows = [Opening::v4(""), Opening::new(Version::V3, "").clean()];
    for opening in rows {
        let (_, received) = opening.open(&broker);
        assert_eq!(received[0], "CONNACK 0x85", "{received:?}");
    }
}

#[test]
fn an_identifier_may_be_as_long_as_the_limit() {
    let broker = Broker::new();
    let longest = "x".repeat(broker.hub.limits().client_id_bytes);
    let (_, received) = Opening::v5(&longest).open(&broker);
    assert_eq!(received, ["CONNACK new"]);
    let longer = format!("{longest}x");
    let (_, received) = Opening::v5(&longer).open(&broker);
    assert_eq!(received[0], "CONNACK 0x85");
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let broker = Broker::new();
    for version in [Version::V4, Version::V5] {
        let mut opening = Opening::new(version, "c");
        opening.outcome = AuthOutcome::Refused(ReasonCode::BadUserNameOrPassword);
        let (_, received) = opening.open(&broker);
        let end = "end: bad user name or password";
        assert_eq!(received, ["CONNACK 0x86", end], "{version:?}");
    }
    assert_eq!(broker.hub.figures().sessions, 0);
}

#[test]
fn an_authentication_method_is_refused_while_none_is_configured() {
    let broker = Broker::new();
    let opening = Opening::v5("c").with(Property::AuthenticationMethod("SCRAM-SHA-256"));
    let (_, received) = opening.open(&broker);
    assert_eq!(received, ["CONNACK 0x8c", "end: bad authentication method"]);
}

#[test]
fn auth_that_was_not_agreed_on_is_a_protocol_error() {
    let broker = Broker::new();
    let mut client = Opening::v5("c").client(&broker);
    let properties = [Property::AuthenticationMethod("SCRAM-SHA-256")];
    let received = client.exchange(
        &broker,
        &Packet::Auth(Auth {
            reason_code: ReasonCode::ReAuthenticate,
            properties: Properties::from_list(&properties),
        }),
    );
    assert_eq!(received[0], "DISCONNECT 0x82", "{received:?}");
    assert!(received[1].starts_with("end: "));
}

#[test]
fn packets_that_only_servers_send_are_protocol_errors() {
    let broker = Broker::new();
    let rows: [&[u8]; 4] = [
        &[0x20, 3, 0, 0, 0],
        &[0x90, 4, 0, 1, 0, 0],
        &[0xB0, 4, 0, 1, 0, 0],
        &[0xD0, 0],
    ];
    for bytes in rows {
        let mut client = Opening::v5("c").client(&broker);
        let received = client.exchange_bytes(&broker, bytes);
        assert_eq!(received[0], "DISCONNECT 0x82", "{bytes:?}: {received:?}");
    }
}

#[test]
fn what_follows_connect_at_once_is_answered_after_connack() {
    let broker = Broker::new();
    let mut client = stranger(&broker);
    let mut bytes = connect_bytes(b"MQTT", 5, 2, b"\0\0\x01c");
    bytes.extend([0xC0, 0, 0x32, 6, 0, 1, b'a', 0, 9, 0]);
    let received = client.exchange_bytes(&broker, &bytes);
    assert_eq!(received, ["CONNACK new", "PINGRESP", "PUBACK 9 0x10"]);
}

#[test]
fn connack_names_what_differs_from_the_standard_or_the_wish() {
    let limits = Limits {
        receive_maximum: 7,
        packet_bytes: 50_000,
        topic_aliases_in: 3,
        session_expiry_s: 60,
        keep_alive_s: 30,
        ..Limits::default()
    };
    let broker = Broker::with(limits);
    let client = Opening::v5("c").kept(61).keep_alive(31).client(&broker);
    assert_eq!(
        client.connack,
        " SessionExpiryInterval(60) ReceiveMaximum(7) MaximumPacketSize(50000) \
         TopicAliasMaximum(3) ServerKeepAlive(30)"
    );
    let client = Opening::v5("d").kept(60).keep_alive(30).client(&broker);
    assert_eq!(
        client.connack,
        " ReceiveMaximum(7) MaximumPacketSize(50000) TopicAliasMaximum(3)"
    );
}

#[test]
fn response_information_is_given_to_those_who_ask() {
    let broker = Broker::new();
    for (asked, told) in [(None, false), (Some(false), false), (Some(true), true)] {
        let mut opening = Opening::v5("c");
        opening.settings.response_information = Some("answers/".into());
        opening
            .properties
            .extend(asked.map(Property::RequestResponseInformation));
        let client = opening.client(&broker);
        let has = client.connack.contains("ResponseInformation(\"answers/\")");
        assert_eq!(has, told, "{asked:?}: {}", client.connack);
    }
}

#[test]
fn reasons_are_given_in_words_unless_the_client_does_without() {
    for wanted in [true, false] {
        let broker = Broker::with(Limits {
            retained_messages: 0,
            ..Limits::default()
        });
        let mut client = Opening::v5("c")
            .with(Property::RequestProblemInformation(wanted))
            .client(&broker);
        client.send_bytes(&broker, &[0x33, 7, 0, 1, b'a', 0, 9, 0, b'x']);
        let mut out = dunlin_engine::connection::Transmit::default();
        let mut batch = dunlin_engine::hub::Batch::default();
        client
            .connection
            .poll_transmit(broker.now, &broker.hub, &mut batch, &mut out)
            .unwrap();
        assert_eq!(out.bytes[4], 0x97);
        let has_words = out.bytes.len() > 6;
        assert_eq!(has_words, wanted, "{:?}", out.bytes);
    }
}

#[test]
fn a_taken_over_connection_is_told_and_ends() {
    let broker = Broker::new();
    for version in [Version::V4, Version::V5] {
        let mut first = Opening::new(version, "c").kept(60).client(&broker);
        let mut watcher = Opening::v5("watcher").client(&broker);
        watcher.subscribe(&broker, "t", QoS::AtMostOnce);
        first.subscribe(&broker, "t", QoS::AtMostOnce);
        assert!(!first.connection.is_taken_over());
        let (mut second, received) = Opening::new(version, "c").kept(60).open(&broker);
        assert_eq!(received, ["CONNACK present"]);
        assert!(first.connection.is_taken_over());
        let mut expected = vec![
            "DISCONNECT 0x8e",
            "end: session taken over by another connection",
        ];
        if version == Version::V4 {
            expected.remove(0);
        }
        assert_eq!(first.receive(&broker), expected, "{version:?}");
        // The end of the old connection is not the end of the session.
        let received = second.publish(&broker, "t", QoS::AtMostOnce, 0, "x", "");
        assert_eq!(received, ["PUBLISH t=x q0 -"]);
        assert_eq!(watcher.receive(&broker), ["PUBLISH t=x q0 -"]);
    }
}

#[test]
fn a_taken_over_connection_does_nothing_more_for_the_session() {
    let broker = Broker::new();
    let rows: [&[u8]; 6] = [
        &[0x34, 6, 0, 1, b'a', 0, 9, 0],
        &[0x40, 2, 0, 1],
        &[0x50, 2, 0, 1],
        &[0x62, 2, 0, 1],
        &[0x82, 7, 0, 1, 0, 0, 1, b'b', 0],
        &[0xA2, 6, 0, 1, 0, 0, 1, b'a'],
    ];
    for bytes in rows {
        let mut first = Opening::v5("c").kept(60).client(&broker);
        first.subscribe(&broker, "a", QoS::AtMostOnce);
        let _second = Opening::v5("c").kept(60).client(&broker);
        let received = first.exchange_bytes(&broker, bytes);
        assert_eq!(received[0], "DISCONNECT 0x8e", "{bytes:?}");
        assert!(broker.hub.subscription("c", "a").is_some());
        assert!(broker.hub.subscription("c", "b").is_none());
    }
}

#[test]
fn a_takeover_publishes_a_will_without_delay_and_no_other() {
    for (delay_s, clean, published) in [
        (0, false, true),
        (5, false, false),
        // The session ends, and its Will goes out at the latest then.
        (5, true, true),
    ] {
        let mut broker = Broker::new();
        let mut watcher = Opening::v5("watcher").client(&broker);
        watcher.subscribe(&broker, "will", QoS::AtMostOnce);
        let properties = [Property::WillDelayInterval(delay_s)];
        let will = Will {
            topic: "will",
            payload: b"x",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: Properties::from_list(&properties),
        };
        let _first = Opening::v5("c").kept(60).will(will).client(&broker);
        let mut again = Opening::v5("c").kept(60);
        again.connect.clean_start = clean;
        let _second = again.client(&broker);
        broker.pass(10);
        let expected: &[&str] = if published {
            &["PUBLISH will=x q0 -"]
        } else {
            &[]
        };
        assert_eq!(watcher.receive(&broker), expected, "{delay_s} {clean}");
    }
}

#[test]
fn silence_for_one_and_a_half_times_keep_alive_ends_the_connection() {
    let mut broker = Broker::new();
    for version in [Version::V4, Version::V5] {
        let mut client = Opening::new(version, "c").keep_alive(10).client(&broker);
        broker.pass_ms(14_999);
        assert!(client.tick(&broker).is_empty());
        assert_eq!(client.exchange_bytes(&broker, &[0xC0, 0]), ["PINGRESP"]);
        broker.pass_ms(14_999);
        assert!(client.tick(&broker).is_empty());
        broker.pass_ms(1);
        let mut expected = vec!["DISCONNECT 0x8d", "end: keep alive timeout"];
        if version == Version::V4 {
            expected.remove(0);
        }
        assert_eq!(client.tick(&broker), expected, "{version:?}");
    }
}

#[test]
fn every_whole_packet_counts_for_keep_alive_and_what_goes_out_does_not() {
    let mut broker = Broker::new();
    let mut client = Opening::v5("c").keep_alive(10).client(&broker);
    client.subscribe(&broker, "t", QoS::AtMostOnce);
    let mut publisher = Opening::v5("p").client(&broker);
    for _ in 0..3 {
        broker.pass(10);
        publisher.publish(&broker, "t", QoS::AtMostOnce, 0, "x", "");
        assert_eq!(client.tick(&broker), ["PUBLISH t=x q0 -"]);
        client.publish(&broker, "u", QoS::AtMostOnce, 0, "x", "");
    }
    broker.pass(10);
    publisher.publish(&broker, "t", QoS::AtMostOnce, 0, "x", "");
    client.receive(&broker);
    // Half a packet is none.
    client.send_bytes(&broker, &[0x30, 9, 0]);
    broker.pass(5);
    assert_eq!(client.tick(&broker)[0], "DISCONNECT 0x8d");
}

#[test]
fn keep_alive_zero_never_ends_a_connection() {
    let mut broker = Broker::new();
    let mut client = Opening::v5("c").client(&broker);
    broker.pass(1_000_000);
    assert_eq!(client.connection.poll_timeout(), None);
    assert!(client.tick(&broker).is_empty());
}

#[test]
fn the_servers_keep_alive_is_the_one_that_counts() {
    let mut broker = Broker::with(Limits {
        keep_alive_s: 10,
        ..Limits::default()
    });
    for asked in [0, 100] {
        let mut client = Opening::v5("c").keep_alive(asked).client(&broker);
        assert!(client.connack.contains("ServerKeepAlive(10)"));
        broker.pass(15);
        assert_eq!(client.tick(&broker)[0], "DISCONNECT 0x8d");
    }
    // MQTT 3.1.1 can't be told.
    let (_, received) = Opening::v4("c").keep_alive(100).open(&broker);
    assert!(received[0].starts_with("CONNACK 0x"), "{received:?}");
    let (_, received) = Opening::v4("c").keep_alive(10).open(&broker);
    assert_eq!(received, ["CONNACK new"]);
}

#[test]
fn a_stop_of_the_broker_is_told_and_keeps_sessions_and_wills() {
    let mut broker = Broker::new();
    let mut watcher = Opening::v5("watcher").kept(100).client(&broker);
    watcher.subscribe(&broker, "will", QoS::AtLeastOnce);
    let will = Will {
        topic: "will",
        payload: b"x",
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::EMPTY,
    };
    let client = Opening::v5("c").kept(100).will(will).client(&broker);
    let told = client.close(&broker, CloseReason::ServerShuttingDown);
    assert_eq!(told, ["DISCONNECT 0x8b"]);
    assert!(watcher.receive(&broker).is_empty());
    broker.restart();
    let (_, received) = Opening::v5("watcher").kept(100).open(&broker);
    assert_eq!(received, ["CONNACK present", "PUBLISH will=x q1 2"]);
}

#[test]
fn a_message_of_the_past_reaches_no_new_session() {
    let broker = Broker::new();
    let mut client = Opening::v5("c").kept(100).client(&broker);
    let options = SubscriptionOptions::default();
    client.subscribe_with(&broker, "t", options, 0);
    client.lose(&broker);
    let (mut client, received) = Opening::v5("c").clean().open(&broker);
    assert_eq!(received, ["CONNACK new"]);
    let received = client.publish(&broker, "t", QoS::AtMostOnce, 0, "x", "");
    assert!(received.is_empty(), "{received:?}");
}

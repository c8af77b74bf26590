//! CONNECT, CONNACK, DISCONNECT.

use dunlin_codec::{Auth, Connect, Disconnect};

use super::*;

#[test]
fn connect_says_what_the_options_say() {
    let options = Options {
        clean_start: true,
        session_expiry_s: 7,
        keep_alive_s: 11,
        user_name: Some("u"),
        password: Some(b"p"),
        will: Some(Will {
            topic: "w",
            payload: b"gone",
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::from_list(&[Property::WillDelayInterval(3)]),
        }),
        properties: &[Property::UserProperty("a", "b")],
        maximum_packet_size: 1000,
        ..Options::new("c")
    };
    let mut dialogue = Dialogue::open(&options);
    dialogue.expect(&[Packet::Connect(Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 11,
        client_id: "c",
        will: options.will,
        user_name: Some("u"),
        password: Some(b"p"),
        properties: Properties::from_list(&[
            Property::SessionExpiryInterval(7),
            Property::ReceiveMaximum(3),
            Property::MaximumPacketSize(1000),
            Property::UserProperty("a", "b"),
        ]),
    })]);
    assert!(!dialogue.session.is_connected());
}

#[test]
fn connect_before_mqtt_5_has_no_properties() {
    let mut dialogue = Dialogue::open(&options(Version::V4));
    dialogue.expect(&[Packet::Connect(Connect {
        version: Version::V4,
        clean_start: true,
        keep_alive_s: 60,
        client_id: "c",
        will: None,
        user_name: None,
        password: None,
        properties: Properties::EMPTY,
    })]);
    dialogue.accept(false, &[]);
    assert!(dialogue.session.is_connected());
}

#[test]
fn options_that_no_server_may_see_are_refused() {
    let refused = |options: &Options<'_>| TestSession::new([0; 512], options).unwrap_err();
    let v4 = options(Version::V4);
    let v5 = options(Version::V5);
    let expected = [
        (options(Version::V3), OptionsError::Version),
        (
            Options {
                session_expiry_s: 1,
                ..v4
            },
            OptionsError::NotInThisVersion,
        ),
        (
            Options {
                password: Some(b"p"),
                ..v4
            },
            OptionsError::NotInThisVersion,
        ),
        (
            Options {
                client_id: "",
                clean_start: false,
                ..v4
            },
            OptionsError::ClientIdNeeded,
        ),
        (
            Options {
                properties: &[Property::TopicAliasMaximum(5)],
                ..v5
            },
            OptionsError::Property,
        ),
        (
            Options {
                properties: &[Property::TopicAlias(5)],
                ..v5
            },
            OptionsError::Malformed(Malformed::PropertyNotAllowed),
        ),
        (
            Options {
                client_id: "a\0b",
                ..v5
            },
            OptionsError::Malformed(Malformed::NulInString),
        ),
    ];
    for (options, error) in expected {
        assert_eq!(refused(&options), error, "{options:?}");
    }
    let small = Session::<_, 1, 1>::new([0; 10], &v5);
    assert_eq!(small.unwrap_err(), OptionsError::BufferTooSmall);
}

#[test]
fn a_password_is_not_shown() {
    let options = Options {
        user_name: Some("u"),
        password: Some(b"hunter2"),
        ..Options::new("c")
    };
    let dialogue = Dialogue::open(&options);
    let shown = std::format!("{options:?} {:?}", dialogue.session);
    assert!(!shown.contains("104, 117"), "{shown}");
}

#[test]
fn a_refusal_is_an_event_and_the_end() {
    for version in BOTH {
        let mut dialogue = Dialogue::open(&options(version));
        dialogue.drain();
        let event = dialogue.hear(Packet::ConnAck(ConnAck {
            session_present: false,
            reason_code: ReasonCode::NotAuthorized,
            properties: Properties::EMPTY,
        }));
        let expected = Event::Refused {
            reason_code: ReasonCode::NotAuthorized,
            properties: Properties::EMPTY,
        };
        assert_eq!(event, Some(expected));
        assert!(dialogue.session.is_closed());
        assert_eq!(dialogue.drain(), []);
        assert_eq!(dialogue.session.poll_timeout(), None);
    }
}

#[test]
fn the_servers_keep_alive_counts() {
    let mut dialogue = Dialogue::open(&options(Version::V5));
    dialogue.drain();
    let connected = dialogue.accept(false, &[Property::ServerKeepAlive(10)]);
    assert_eq!(connected.keep_alive_s, 10);
    let (deadline, _) = dialogue.session.poll_timeout().unwrap();
    assert_eq!(deadline.since(dialogue.now).as_secs(), 9);
}

#[test]
fn a_session_that_must_not_be_there_is_a_violation() {
    let mut dialogue = Dialogue::open(&options(Version::V5));
    dialogue.drain();
    let outcome = dialogue.try_hear(Packet::ConnAck(ConnAck {
        session_present: true,
        reason_code: ReasonCode::Success,
        properties: Properties::EMPTY,
    }));
    assert_eq!(outcome, Err(Violation::SessionPresent.into()));
    assert_eq!(dialogue.drain(), []);
}

#[test]
fn only_the_first_connection_of_mqtt_5_starts_clean() {
    let clean_starts = |options: &Options<'_>| {
        let mut dialogue = Dialogue::connected(options);
        dialogue.session.handle_disconnected();
        dialogue.session.handle_connected(dialogue.now);
        let sent = dialogue.drain();
        match decoded(&sent, options.version)[..] {
            [Packet::Connect(connect)] => connect.clean_start,
            ref other => panic!("{other:?}"),
        }
    };
    let expiring = Options {
        session_expiry_s: 60,
        ..options(Version::V5)
    };
    assert!(!clean_starts(&expiring));
    assert!(clean_starts(&options(Version::V5)));
    assert!(clean_starts(&options(Version::V4)));
}

#[test]
fn what_a_server_may_not_send_ends_the_connection() {
    let auth = Packet::Auth(Auth {
        reason_code: ReasonCode::Success,
        properties: Properties::EMPTY,
    });
    let forbidden = [
        Packet::PingReq,
        auth,
        Packet::ConnAck(ConnAck {
            session_present: false,
            reason_code: ReasonCode::Success,
            properties: Properties::EMPTY,
        }),
    ];
    for packet in forbidden {
        let mut dialogue = Dialogue::connected(&options(Version::V5));
        let violation = Violation::UnexpectedPacket(packet.packet_type());
        assert_eq!(dialogue.try_hear(packet), Err(violation.into()));
        assert!(!dialogue.session.is_connected());
        dialogue.expect(&[Packet::Disconnect(Disconnect {
            reason_code: ReasonCode::ProtocolError,
            properties: Properties::EMPTY,
        })]);
        assert!(dialogue.session.is_closed());
    }
    for packet in [auth, Packet::PingResp, puback(1)] {
        let mut dialogue = Dialogue::open(&options(Version::V5));
        dialogue.drain();
        let violation = Violation::UnexpectedPacket(packet.packet_type());
        assert_eq!(dialogue.try_hear(packet), Err(violation.into()));
        assert_eq!(dialogue.drain(), [], "nothing is said before CONNACK");
    }
}

#[test]
fn malformed_bytes_are_answered_with_their_reason_in_mqtt_5_alone() {
    for version in BOTH {
        let mut dialogue = Dialogue::connected(&options(version));
        let outcome = dialogue.try_hear_bytes(&[0x31, 0x03, 0x00, 0x01, b'#']);
        let (malformed, reason_code) = match version {
            Version::V5 => (Malformed::Truncated, ReasonCode::MalformedPacket),
            _ => (Malformed::TopicNameWildcard, ReasonCode::MalformedPacket),
        };
        assert_eq!(outcome, Err(Error::Malformed(malformed)));
        let disconnect = Packet::Disconnect(Disconnect {
            reason_code,
            properties: Properties::EMPTY,
        });
        let said: &[Packet<'_>] = if version.is_v5() { &[disconnect] } else { &[] };
        dialogue.expect(said);
        assert!(dialogue.session.is_closed());
    }
}

#[test]
fn a_packet_above_our_maximum_is_refused_by_its_header() {
    let options = Options {
        maximum_packet_size: 100,
        ..options(Version::V5)
    };
    let mut dialogue = Dialogue::connected(&options);
    assert!(dialogue.session.has_packet(&[0x30, 0x80, 0x01]));
    let outcome = dialogue
        .session
        .handle_bytes(dialogue.now, &[0x30, 0x80, 0x01]);
    assert_eq!(outcome, Err(Error::Malformed(Malformed::PacketTooLarge)));
    dialogue.expect(&[Packet::Disconnect(Disconnect {
        reason_code: ReasonCode::PacketTooLarge,
        properties: Properties::EMPTY,
    })]);
}

#[test]
fn the_servers_disconnect_is_an_event_of_mqtt_5() {
    let disconnect = Packet::Disconnect(Disconnect {
        reason_code: ReasonCode::SessionTakenOver,
        properties: Properties::EMPTY,
    });
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let event = dialogue.hear(disconnect);
    let expected = Event::Disconnected {
        reason_code: ReasonCode::SessionTakenOver,
        properties: Properties::EMPTY,
    };
    assert_eq!(event, Some(expected));
    assert!(dialogue.session.is_closed());
    assert_eq!(dialogue.drain(), []);

    let mut dialogue = Dialogue::connected(&options(Version::V4));
    assert!(dialogue.try_hear(disconnect).is_err());
}

#[test]
fn disconnect_lets_what_is_due_go_first() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    dialogue
        .session
        .publish(&Message::new("t", b"last"))
        .unwrap();
    let with_will = ReasonCode::DisconnectWithWill;
    dialogue
        .session
        .disconnect(dialogue.now, with_will)
        .unwrap();
    dialogue.expect(&[
        publish(QoS::AtMostOnce, 0, b"last", false),
        Packet::Disconnect(Disconnect {
            reason_code: with_will,
            properties: Properties::EMPTY,
        }),
    ]);
    assert!(dialogue.session.is_closed());
    let again = dialogue.session.disconnect(dialogue.now, with_will);
    assert_eq!(again, Err(CommandError::NotConnected));
}

#[test]
fn disconnect_takes_only_the_codes_of_its_version() {
    let mut dialogue = Dialogue::connected(&options(Version::V4));
    let with_will = ReasonCode::DisconnectWithWill;
    let outcome = dialogue.session.disconnect(dialogue.now, with_will);
    assert_eq!(outcome, Err(CommandError::NotInThisVersion));
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let servers = ReasonCode::ServerShuttingDown;
    let outcome = dialogue.session.disconnect(dialogue.now, servers);
    assert_eq!(outcome, Err(CommandError::ReasonCode));
    assert!(dialogue.session.is_connected());
}

#[test]
fn nothing_is_read_after_disconnect() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let success = ReasonCode::Success;
    dialogue.session.disconnect(dialogue.now, success).unwrap();
    assert_eq!(
        dialogue.hear(publish(QoS::AtLeastOnce, 1, b"", false)),
        None
    );
    dialogue.expect(&[Packet::Disconnect(Disconnect {
        reason_code: success,
        properties: Properties::EMPTY,
    })]);
}

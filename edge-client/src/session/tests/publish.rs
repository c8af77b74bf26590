//! Messages to the server: acknowledgement, repetition, order, windows, room.

use super::*;

#[test]
fn qos_0_is_sent_and_forgotten() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let packet_id = dialogue.session.publish(&Message::new("t", b"x"));
    assert_eq!(packet_id, Ok(None));
    assert_eq!(dialogue.session.unacknowledged(), 1);
    dialogue.expect(&[publish(QoS::AtMostOnce, 0, b"x", false)]);
    assert_eq!(dialogue.session.unacknowledged(), 0);
}

#[test]
fn qos_1_ends_with_puback() {
    for version in BOTH {
        let mut dialogue = Dialogue::connected(&options(version));
        assert_eq!(dialogue.publish(QoS::AtLeastOnce, b"x"), id(1));
        dialogue.expect(&[publish(QoS::AtLeastOnce, 1, b"x", false)]);
        assert_eq!(dialogue.session.unacknowledged(), 1);
        assert_eq!(dialogue.hear(puback(1)), published(1));
        assert_eq!(dialogue.session.unacknowledged(), 0);
    }
}

#[test]
fn qos_2_ends_with_pubcomp() {
    for version in BOTH {
        let mut dialogue = Dialogue::connected(&options(version));
        dialogue.publish(QoS::ExactlyOnce, b"x");
        dialogue.expect(&[publish(QoS::ExactlyOnce, 1, b"x", false)]);
        assert_eq!(dialogue.hear(pubrec(1)), None);
        dialogue.expect(&[pubrel(1)]);
        assert_eq!(dialogue.hear(pubcomp(1)), published(1));
        assert_eq!(dialogue.session.unacknowledged(), 0);
    }
}

#[test]
fn a_refusal_by_the_server_is_a_failure_of_the_message() {
    let refusal = Ack::with_reason(id(1), ReasonCode::QuotaExceeded);
    let cases = [
        (QoS::AtLeastOnce, Packet::PubAck(refusal)),
        (QoS::ExactlyOnce, Packet::PubRec(refusal)),
    ];
    for (qos, packet) in cases {
        let mut dialogue = Dialogue::connected(&options(Version::V5));
        dialogue.publish(qos, b"x");
        dialogue.drain();
        let refused = Failure::Refused(ReasonCode::QuotaExceeded);
        assert_eq!(dialogue.hear(packet), not_published(1, refused));
        assert_eq!(dialogue.drain(), [], "no PUBREL after a refusal");
        assert_eq!(dialogue.session.unacknowledged(), 0);
    }
}

#[test]
fn a_resumed_session_sends_again_in_order_what_was_not_acknowledged() {
    for version in BOTH {
        let mut dialogue = Dialogue::connected(&kept(version));
        dialogue.publish(QoS::ExactlyOnce, b"a");
        dialogue.publish(QoS::AtLeastOnce, b"b");
        dialogue.publish(QoS::ExactlyOnce, b"c");
        dialogue.publish(QoS::AtLeastOnce, b"d");
        dialogue.drain();
        dialogue.hear(pubrec(3));
        dialogue.hear(puback(2));
        dialogue.session.handle_disconnected();
        dialogue.publish(QoS::AtLeastOnce, b"e");
        dialogue.reconnect(true);
        dialogue.expect(&[
            pubrel(3),
            publish(QoS::ExactlyOnce, 1, b"a", true),
            publish(QoS::AtLeastOnce, 4, b"d", true),
            publish(QoS::AtLeastOnce, 5, b"e", false),
        ]);
        assert_eq!(dialogue.hear(pubcomp(3)), published(3));
        assert_eq!(dialogue.hear(puback(4)), published(4));
        assert_eq!(dialogue.session.poll_event(), None);
    }
}

#[test]
fn pubrels_keep_the_order_of_pubrecs_across_connections() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    for payload in [b"a", b"b", b"c"] {
        dialogue.publish(QoS::ExactlyOnce, payload);
    }
    dialogue.drain();
    for packet_id in [2, 3, 1] {
        dialogue.hear(pubrec(packet_id));
    }
    dialogue.expect(&[pubrel(2), pubrel(3), pubrel(1)]);
    dialogue.reconnect(true);
    dialogue.expect(&[pubrel(2), pubrel(3), pubrel(1)]);
}

#[test]
fn a_lost_session_is_told_of_every_message_that_may_have_arrived() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    dialogue.publish(QoS::ExactlyOnce, b"a");
    dialogue.publish(QoS::AtLeastOnce, b"b");
    dialogue.drain();
    dialogue.hear(pubrec(1));
    // Not whole, so the server can't have it.
    dialogue.publish(QoS::AtLeastOnce, b"c");
    assert!(dialogue.session.poll_transmit().is_some());
    dialogue.session.handle_transmitted(dialogue.now, 2);
    dialogue.reconnect(false);
    let lost = |packet_id| not_published(packet_id, Failure::SessionLost);
    assert_eq!(dialogue.session.poll_event(), lost(1));
    assert_eq!(dialogue.session.poll_event(), lost(2));
    assert_eq!(dialogue.session.poll_event(), None);
    dialogue.expect(&[publish(QoS::AtLeastOnce, 3, b"c", false)]);
}

#[test]
fn what_was_half_sent_is_sent_again_as_a_whole() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    dialogue.publish(QoS::AtLeastOnce, b"a");
    let whole = dialogue.session.poll_transmit().unwrap().len();
    dialogue.session.handle_transmitted(dialogue.now, 3);
    assert_eq!(dialogue.session.poll_transmit().unwrap().len(), whole - 3);
    assert!(
        dialogue.try_hear(puback(1)).is_err(),
        "it can't have arrived"
    );
    dialogue.reconnect(true);
    dialogue.expect(&[publish(QoS::AtLeastOnce, 1, b"a", true)]);
}

#[test]
fn receive_maximum_is_kept_and_delays_nothing_else() {
    let mut dialogue = Dialogue::open(&options(Version::V5));
    dialogue.drain();
    dialogue.accept(false, &[Property::ReceiveMaximum(1)]);
    dialogue.publish(QoS::ExactlyOnce, b"a");
    dialogue.publish(QoS::AtLeastOnce, b"b");
    dialogue.session.publish(&Message::new("t", b"c")).unwrap();
    dialogue.expect(&[
        publish(QoS::ExactlyOnce, 1, b"a", false),
        publish(QoS::AtMostOnce, 0, b"c", false),
    ]);
    dialogue.hear(pubrec(1));
    dialogue.expect(&[pubrel(1)]);
    dialogue.hear(pubcomp(1));
    dialogue.expect(&[publish(QoS::AtLeastOnce, 2, b"b", false)]);
}

#[test]
fn a_window_that_shrank_is_kept_for_repetitions_too() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    dialogue.publish(QoS::AtLeastOnce, b"a");
    dialogue.publish(QoS::AtLeastOnce, b"b");
    dialogue.drain();
    dialogue.session.handle_disconnected();
    dialogue.session.handle_connected(dialogue.now);
    dialogue.drain();
    dialogue.accept(true, &[Property::ReceiveMaximum(1)]);
    dialogue.expect(&[publish(QoS::AtLeastOnce, 1, b"a", true)]);
    dialogue.hear(puback(1));
    dialogue.expect(&[publish(QoS::AtLeastOnce, 2, b"b", true)]);
}

#[test]
fn acknowledgements_must_fit() {
    let wrong = |packet: Packet<'_>| {
        let mut dialogue = Dialogue::connected(&options(Version::V5));
        dialogue.publish(QoS::AtLeastOnce, b"a");
        dialogue.publish(QoS::ExactlyOnce, b"b");
        dialogue.drain();
        dialogue.try_hear(packet).unwrap_err()
    };
    for packet in [puback(2), puback(9), pubrec(1), pubcomp(1), pubcomp(2)] {
        let violation = Violation::UnexpectedAcknowledgement(packet.packet_type());
        assert_eq!(wrong(packet), violation.into());
    }
}

#[test]
fn an_unknown_pubrec_is_answered() {
    for version in BOTH {
        let mut dialogue = Dialogue::connected(&options(version));
        assert_eq!(dialogue.hear(pubrec(9)), None);
        let reason_code = match version {
            Version::V5 => ReasonCode::PacketIdentifierNotFound,
            _ => ReasonCode::Success,
        };
        dialogue.expect(&[Packet::PubRel(Ack::with_reason(id(9), reason_code))]);
        assert_eq!(dialogue.hear(pubcomp(9)), None);
    }
}

#[test]
fn identifiers_in_use_are_passed_over() {
    let options = Options {
        first_packet_id: PacketId::MAX,
        ..options(Version::V5)
    };
    let mut dialogue = Dialogue::connected(&options);
    assert_eq!(dialogue.publish(QoS::ExactlyOnce, b"a"), PacketId::MAX);
    assert_eq!(dialogue.publish(QoS::AtLeastOnce, b"b"), id(1));
    dialogue.drain();
    dialogue.hear(pubrec(u16::MAX));
    for _ in 0..65_533 {
        dialogue.publish(QoS::AtLeastOnce, b"c");
        dialogue.session.outbox.pop();
    }
    let taken = [u16::MAX, 1];
    let next = dialogue.publish(QoS::AtLeastOnce, b"d").get();
    assert!(!taken.contains(&next), "{next}");
}

#[test]
fn a_full_outbox_says_so_and_recovers() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    for _ in 0..OUTGOING {
        dialogue.publish(QoS::AtLeastOnce, b"a");
    }
    let message = Message {
        qos: QoS::AtLeastOnce,
        ..Message::new("t", b"b")
    };
    let full = Err(CommandError::OutboxFull);
    assert_eq!(dialogue.session.publish(&message), full);
    dialogue.drain();
    assert_eq!(dialogue.session.publish(&message), full);
    dialogue.hear(puback(2));
    assert!(dialogue.session.publish(&message).is_ok());
}

#[test]
fn room_in_the_middle_is_used() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    let large = [b'x'; 130];
    for _ in 0..3 {
        dialogue.publish(QoS::AtLeastOnce, &large);
    }
    let message = Message {
        qos: QoS::AtLeastOnce,
        ..Message::new("t", &large)
    };
    let full = Err(CommandError::OutboxFull);
    assert_eq!(dialogue.session.publish(&message), full);
    dialogue.drain();
    dialogue.hear(puback(2));
    let packet_id = dialogue.session.publish(&message).unwrap().unwrap();
    dialogue.reconnect(true);
    dialogue.expect(&[
        publish(QoS::AtLeastOnce, 1, &large, true),
        publish(QoS::AtLeastOnce, 3, &large, true),
        publish(QoS::AtLeastOnce, packet_id.get(), &large, false),
    ]);
}

#[test]
fn what_never_fits_is_told_from_what_does_not_fit_now() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let outcome = dialogue.session.publish(&Message::new("t", &[0; 600]));
    assert_eq!(outcome, Err(CommandError::TooLargeForOutbox));
    assert!(!CommandError::TooLargeForOutbox.is_temporary());
    assert!(CommandError::OutboxFull.is_temporary());
}

#[test]
fn what_the_server_does_not_take_is_refused_here() {
    let refused = |lack: Property<'_>, message: &Message<'_>| {
        let mut dialogue = Dialogue::open(&options(Version::V5));
        dialogue.drain();
        dialogue.accept(false, &[lack]);
        let outcome = dialogue.session.publish(message);
        assert_eq!(dialogue.drain(), []);
        outcome.unwrap_err()
    };
    let mut message = Message::new("t", b"0123456789");
    assert_eq!(
        refused(Property::MaximumPacketSize(10), &message),
        CommandError::TooLargeForServer
    );
    message.qos = QoS::ExactlyOnce;
    assert_eq!(
        refused(Property::MaximumQos(true), &message),
        CommandError::QosNotSupported
    );
    message.retain = true;
    assert_eq!(
        refused(Property::RetainAvailable(false), &message),
        CommandError::RetainNotSupported
    );
}

#[test]
fn what_waited_for_a_server_that_does_not_take_it_fails() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    dialogue.session.handle_disconnected();
    dialogue.publish(QoS::ExactlyOnce, b"a");
    dialogue.publish(QoS::AtLeastOnce, b"0123456789");
    dialogue.publish(QoS::AtLeastOnce, b"b");
    dialogue.session.handle_connected(dialogue.now);
    dialogue.drain();
    let limits = [Property::MaximumQos(true), Property::MaximumPacketSize(12)];
    dialogue.accept(true, &limits);
    let expected = [
        not_published(1, Failure::QosNotSupported),
        not_published(2, Failure::TooLargeForServer),
        None,
    ];
    for event in expected {
        assert_eq!(dialogue.session.poll_event(), event);
    }
    dialogue.expect(&[publish(QoS::AtLeastOnce, 3, b"b", false)]);
}

#[test]
fn messages_that_break_the_standard_stay_here() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let mut refused = |message: &Message<'_>| dialogue.session.publish(message).unwrap_err();
    let malformed = CommandError::Malformed;
    assert_eq!(
        refused(&Message::new("a/#", b"")),
        malformed(Malformed::TopicNameWildcard)
    );
    assert_eq!(
        refused(&Message::new("", b"")),
        malformed(Malformed::TopicNameEmpty)
    );
    assert_eq!(
        refused(&Message::new("a\0", b"")),
        malformed(Malformed::NulInString)
    );
    for property in [Property::TopicAlias(1), Property::SubscriptionIdentifier(1)] {
        let list = [property];
        let message = Message {
            properties: Properties::from_list(&list),
            ..Message::new("t", b"")
        };
        assert_eq!(refused(&message), CommandError::Property);
    }
    assert_eq!(dialogue.session.unacknowledged(), 0);
    assert_eq!(dialogue.drain(), []);

    let mut dialogue = Dialogue::connected(&options(Version::V4));
    let message = Message {
        properties: Properties::from_list(&[Property::ContentType("text")]),
        ..Message::new("t", b"")
    };
    let outcome = dialogue.session.publish(&message);
    assert_eq!(outcome, Err(CommandError::NotInThisVersion));
}

#[test]
fn qos_0_needs_a_connection_and_ends_with_it() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    dialogue.session.publish(&Message::new("t", b"a")).unwrap();
    dialogue.session.handle_disconnected();
    let outcome = dialogue.session.publish(&Message::new("t", b"b"));
    assert_eq!(outcome, Err(CommandError::NotConnected));
    dialogue.reconnect(true);
    assert_eq!(dialogue.drain(), []);
}

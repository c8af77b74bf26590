//! Messages from the server.

use super::*;

fn message(qos: QoS, payload: &'static [u8]) -> Option<Event<'static>> {
    Some(Event::Message(Message {
        qos,
        ..Message::new("t", payload)
    }))
}

#[test]
fn messages_are_answered_as_their_qos_demands() {
    for version in BOTH {
        let mut dialogue = Dialogue::connected(&options(version));
        let event = dialogue.hear(publish(QoS::AtMostOnce, 0, b"a", false));
        assert_eq!(event, message(QoS::AtMostOnce, b"a"));
        assert_eq!(dialogue.drain(), []);
        let event = dialogue.hear(publish(QoS::AtLeastOnce, 7, b"b", false));
        assert_eq!(event, message(QoS::AtLeastOnce, b"b"));
        dialogue.expect(&[puback(7)]);
        let event = dialogue.hear(publish(QoS::ExactlyOnce, 8, b"c", false));
        assert_eq!(event, message(QoS::ExactlyOnce, b"c"));
        dialogue.expect(&[pubrec(8)]);
        assert_eq!(dialogue.hear(pubrel(8)), None);
        dialogue.expect(&[pubcomp(8)]);
    }
}

#[test]
fn a_repeat_before_pubrel_is_no_message() {
    let mut dialogue = Dialogue::connected(&kept(Version::V4));
    dialogue.hear(publish(QoS::ExactlyOnce, 8, b"c", false));
    dialogue.reconnect(true);
    assert_eq!(
        dialogue.hear(publish(QoS::ExactlyOnce, 8, b"c", true)),
        None
    );
    dialogue.expect(&[pubrec(8)]);
    dialogue.hear(pubrel(8));
    dialogue.expect(&[pubcomp(8)]);
    let event = dialogue.hear(publish(QoS::ExactlyOnce, 8, b"d", false));
    assert_eq!(event, message(QoS::ExactlyOnce, b"d"));
}

#[test]
fn a_new_session_knows_no_repeats() {
    let mut dialogue = Dialogue::connected(&kept(Version::V5));
    dialogue.hear(publish(QoS::ExactlyOnce, 8, b"c", false));
    dialogue.reconnect(false);
    let event = dialogue.hear(publish(QoS::ExactlyOnce, 8, b"d", false));
    assert_eq!(event, message(QoS::ExactlyOnce, b"d"));
}

#[test]
fn an_unknown_pubrel_is_answered() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    assert_eq!(dialogue.hear(pubrel(9)), None);
    let not_found = ReasonCode::PacketIdentifierNotFound;
    dialogue.expect(&[Packet::PubComp(Ack::with_reason(id(9), not_found))]);
}

#[test]
fn answers_keep_the_order_of_the_messages() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    dialogue.hear(publish(QoS::ExactlyOnce, 3, b"", false));
    dialogue.hear(publish(QoS::AtLeastOnce, 1, b"", false));
    dialogue.hear(publish(QoS::ExactlyOnce, 2, b"", false));
    dialogue.expect(&[pubrec(3), puback(1), pubrec(2)]);
}

#[test]
fn more_than_receive_maximum_is_a_violation() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    for packet_id in 1..=3 {
        dialogue.hear(publish(QoS::ExactlyOnce, packet_id, b"", false));
        dialogue.drain();
    }
    let outcome = dialogue.try_hear(publish(QoS::AtLeastOnce, 4, b"", false));
    assert_eq!(outcome, Err(Violation::ReceiveMaximum.into()));
    dialogue.expect(&[Packet::Disconnect(dunlin_codec::Disconnect {
        reason_code: ReasonCode::ReceiveMaximumExceeded,
        properties: Properties::EMPTY,
    })]);
}

#[test]
fn before_mqtt_5_only_qos_2_has_a_bound() {
    let mut dialogue = Dialogue::connected(&options(Version::V4));
    for packet_id in 1..=3 {
        dialogue.hear(publish(QoS::ExactlyOnce, packet_id, b"", false));
        dialogue.drain();
    }
    let event = dialogue.hear(publish(QoS::AtLeastOnce, 4, b"a", false));
    assert_eq!(event, message(QoS::AtLeastOnce, b"a"));
    let outcome = dialogue.try_hear(publish(QoS::ExactlyOnce, 5, b"", false));
    assert_eq!(outcome, Err(Error::TooManyReceived));
    // What was taken is answered still, so that the next connection goes on from there.
    dialogue.expect(&[puback(4)]);
    assert!(dialogue.session.is_closed());
}

#[test]
fn without_room_for_an_answer_nothing_is_taken() {
    let mut dialogue = Dialogue::connected(&options(Version::V4));
    for packet_id in 1..=3 {
        dialogue.hear(publish(QoS::AtLeastOnce, packet_id, b"", false));
    }
    let ping = [0xD0, 0];
    assert!(!dialogue.session.has_packet(&ping));
    let received = dialogue.session.handle_bytes(dialogue.now, &ping);
    assert_eq!(received, Ok(Received::Blocked));
    dialogue.expect(&[puback(1), puback(2), puback(3)]);
    assert!(dialogue.session.has_packet(&ping));
}

#[test]
fn a_topic_alias_is_a_violation() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let list = [Property::TopicAlias(1)];
    let Packet::Publish(mut packet) = publish(QoS::AtMostOnce, 0, b"", false) else {
        panic!("a PUBLISH");
    };
    packet.properties = Properties::from_list(&list);
    let outcome = dialogue.try_hear(Packet::Publish(packet));
    assert_eq!(outcome, Err(Violation::TopicAlias.into()));
}

#[test]
fn packets_are_taken_one_by_one_from_what_came() {
    let mut dialogue = Dialogue::connected(&options(Version::V5));
    let input = [0x30, 4, 0, 1, b't', 0, 0xD0, 0, 0x30];
    let now = dialogue.now;
    let session = &mut dialogue.session;
    let received = session.handle_bytes(now, &input).unwrap();
    let Received::Packet { length: 6, event } = received else {
        panic!("{received:?}");
    };
    assert_eq!(event, message(QoS::AtMostOnce, b""));
    let received = session.handle_bytes(now, &input[6..]);
    let pingresp = Received::Packet {
        length: 2,
        event: None,
    };
    assert_eq!(received, Ok(pingresp));
    let received = session.handle_bytes(now, &input[8..]);
    assert_eq!(received, Ok(Received::Incomplete { needed: 2 }));
}

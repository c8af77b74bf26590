//! What the encoders refuse, what they leave out for an older version, and where lengths end.
//! Not here: the bytes of ordinary packets (`wire.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)] // a test that stumbles fails

use dunlin_codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, EncodeError, Packet, PacketId, Properties, Property,
    Publish, QoS, ReasonCode, RetainHandling, Sink, SliceWriter, SubAck, Subscribe, Subscription,
    SubscriptionOptions, UnsubAck, Unsubscribe, Version,
};

fn encoded(packet: &Packet<'_>, version: Version) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = [0; 1024];
    let mut writer = SliceWriter::new(&mut buffer);
    packet.encode(version, &mut writer)?;
    let written = writer.written();
    Ok(buffer[..written].to_vec())
}

#[test]
fn what_has_no_form_is_not_written() {
    let id = PacketId::MIN;
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_id: None,
        properties: Properties::EMPTY,
        payload: b"",
    };
    let with = |list: &'static [Property<'static>]| Properties::from_list(list);
    let auth = Packet::Auth(Auth {
        reason_code: ReasonCode::Success,
        properties: Properties::EMPTY,
    });
    let password_alone = Packet::Connect(Connect {
        version: Version::V4,
        clean_start: true,
        keep_alive_s: 0,
        client_id: "",
        will: None,
        user_name: None,
        password: Some(b"p"),
        properties: Properties::EMPTY,
    });
    let long = "x".repeat(65_536);
    let (v4, v5) = (Version::V4, Version::V5);
    let cases = [
        (v4, auth, EncodeError::NotInThisVersion),
        (v4, password_alone, EncodeError::NotInThisVersion),
        (
            v5,
            Packet::Publish(Publish {
                qos: QoS::AtLeastOnce,
                ..publish
            }),
            EncodeError::NotInThisVersion,
        ),
        (
            v5,
            Packet::Publish(Publish {
                packet_id: Some(id),
                ..publish
            }),
            EncodeError::NotInThisVersion,
        ),
        (
            v4,
            Packet::Publish(Publish {
                topic: "",
                properties: with(&[Property::TopicAlias(1)]),
                ..publish
            }),
            EncodeError::NotInThisVersion,
        ),
        (
            v5,
            Packet::Publish(Publish {
                topic: &long,
                ..publish
            }),
            EncodeError::FieldTooLong,
        ),
        (
            v4,
            Packet::Subscribe(Subscribe::new(id, Properties::EMPTY, &[])),
            EncodeError::NoTopicFilter,
        ),
        (
            v5,
            Packet::Unsubscribe(Unsubscribe::new(id, Properties::EMPTY, &[])),
            EncodeError::NoTopicFilter,
        ),
    ];
    for (version, packet, error) in cases {
        assert_eq!(encoded(&packet, version), Err(error), "{packet:.100?}");
    }
}

#[test]
fn what_an_older_version_cannot_say_is_left_out() {
    let id = PacketId::MIN;
    let properties = Properties::from_list(&[Property::ReasonString("s")]);
    let ack = Ack {
        packet_id: id,
        reason_code: ReasonCode::QuotaExceeded,
        properties,
    };
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DontSend,
    };
    let subscriptions = [Subscription {
        filter: "a",
        options,
    }];
    let identifier = Properties::from_list(&[Property::SubscriptionIdentifier(1)]);
    let cases: &[(Packet<'_>, &[u8])] = &[
        (
            Packet::ConnAck(ConnAck {
                session_present: false,
                reason_code: ReasonCode::Banned,
                properties,
            }),
            b"\x20\x02\0\x05",
        ),
        (
            Packet::Publish(Publish {
                dup: false,
                qos: QoS::AtMostOnce,
                retain: false,
                topic: "t",
                packet_id: None,
                properties: identifier,
                payload: b"x",
            }),
            b"\x30\x04\0\x01tx",
        ),
        (Packet::PubAck(ack), b"\x40\x02\0\x01"),
        (Packet::PubRec(ack), b"\x50\x02\0\x01"),
        (
            Packet::Subscribe(Subscribe::new(id, identifier, &subscriptions)),
            b"\x82\x06\0\x01\0\x01a\x01",
        ),
        (
            Packet::SubAck(SubAck {
                packet_id: id,
                properties,
                reason_codes: b"\x02\x80\x87\xA2",
            }),
            b"\x90\x06\0\x01\x02\x80\x80\x80",
        ),
        (
            Packet::UnsubAck(UnsubAck {
                packet_id: id,
                properties,
                reason_codes: b"\x11",
            }),
            b"\xB0\x02\0\x01",
        ),
        (
            Packet::Disconnect(Disconnect {
                reason_code: ReasonCode::ServerBusy,
                properties,
            }),
            b"\xE0\0",
        ),
    ];
    for (packet, bytes) in cases {
        for version in [Version::V3, Version::V4] {
            assert_eq!(
                encoded(packet, version).as_deref(),
                Ok(*bytes),
                "{packet:?}"
            );
        }
    }
    let resumed = Packet::ConnAck(ConnAck {
        session_present: true,
        reason_code: ReasonCode::Success,
        properties,
    });
    assert_eq!(
        encoded(&resumed, Version::V3).as_deref(),
        Ok(&b"\x20\x02\0\0"[..])
    );
    assert_eq!(
        encoded(&resumed, Version::V4).as_deref(),
        Ok(&b"\x20\x02\x01\0"[..])
    );
}

#[test]
fn a_refusal_never_says_that_a_session_is_present() {
    for version in [Version::V4, Version::V5] {
        let refusal = Packet::ConnAck(ConnAck {
            session_present: true,
            reason_code: ReasonCode::NotAuthorized,
            properties: Properties::EMPTY,
        });
        assert_eq!(encoded(&refusal, version).unwrap()[2], 0);
    }
}

/// Counts what would be written.
struct Count(usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0 += bytes.len();
        Ok(())
    }
}

#[test]
fn remaining_length_grows_at_its_borders_and_ends_at_268_435_455() {
    // Zeroed pages are only promised until someone writes to them, so this takes no memory.
    let zeros = vec![0; 268_435_456];
    let publish = |remaining: usize| Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_id: None,
        properties: Properties::EMPTY,
        payload: &zeros[..remaining - 3],
    };
    for (remaining, header) in [
        (127, 2),
        (128, 3),
        (16_383, 3),
        (16_384, 4),
        (2_097_151, 4),
        (2_097_152, 5),
        (268_435_455, 5),
    ] {
        let publish = publish(remaining);
        let mut count = Count(0);
        publish.encode(Version::V4, &mut count).unwrap();
        assert_eq!(count.0, header + remaining);
        assert_eq!(publish.packet_length(Version::V4), header + remaining);
    }
    let too_large = publish(268_435_456).encode(Version::V4, &mut Count(0));
    assert_eq!(too_large, Err(EncodeError::PacketTooLarge));
}

//! The codec against mqttbytes, where that is sound: framing, MQTT 3.1.1 for valid packets, and of
//! MQTT 5 CONNECT, PUBLISH and SUBSCRIBE without Subscription Identifiers and the reason codes.
//!
//! One-way use: what one of them writes the other reads as the same. What mqttbytes accepts beyond
//! valid packets means nothing. `mqttbytes::matches` isn't called: its slip on names outside ASCII
//! would end the test.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)] // a test that stumbles fails

mod generate;
mod stranger;

use bytes::BytesMut;
use dunlin_codec::{
    Connect, DecodeError, Malformed, Packet, Properties, Property, ReasonCode, SliceWriter,
    Subscribe, Version, decode,
};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 20];
    let mut writer = SliceWriter::new(&mut buffer);
    packet.encode(version, &mut writer).unwrap();
    let written = writer.written();
    buffer.truncate(written);
    buffer
}

const MAX: usize = 268_435_455;

/// Moves a packet into the intersection: mqttbytes takes passwords for text, has no empty user
/// name or password, and counts Subscription Identifiers wrong.
fn sound(packet: Packet<'static>) -> Packet<'static> {
    match packet {
        Packet::Connect(connect) => Packet::Connect(Connect {
            user_name: connect
                .user_name
                .map(|name| if name.is_empty() { "u" } else { name }),
            password: connect.password.map(|password| {
                let text = !password.is_empty() && std::str::from_utf8(password).is_ok();
                if text { password } else { b"password" }
            }),
            ..connect
        }),
        Packet::Publish(mut publish) => {
            publish.properties = without_identifiers(publish.properties);
            Packet::Publish(publish)
        }
        Packet::Subscribe(subscribe) => {
            let list: Vec<_> = subscribe.subscriptions().collect();
            let properties = without_identifiers(subscribe.properties);
            Packet::Subscribe(Subscribe::new(subscribe.packet_id, properties, list.leak()))
        }
        other => other,
    }
}

fn without_identifiers(properties: Properties<'static>) -> Properties<'static> {
    let list: Vec<Property<'static>> = properties
        .iter()
        .filter(|property| !matches!(property, Property::SubscriptionIdentifier(_)))
        .collect();
    Properties::from_list(list.leak())
}

/// mqttbytes keeps the order of User Properties alone, and writes the others in an order of its own.
fn sorted(properties: Properties<'_>) -> Vec<Property<'_>> {
    let mut list: Vec<Property<'_>> = properties.iter().collect();
    list.sort_by_key(Property::identifier);
    list
}

fn assert_same_but_for_order(one: &Packet<'_>, other: &Packet<'_>) {
    match (one, other) {
        (Packet::Connect(one), Packet::Connect(other)) => {
            assert_eq!(sorted(one.properties), sorted(other.properties));
            let wills = (one.will, other.will);
            if let (Some(one), Some(other)) = wills {
                assert_eq!(sorted(one.properties), sorted(other.properties));
            }
            let bare = |connect: &Connect<'_>| {
                let mut will = connect.will;
                if let Some(will) = &mut will {
                    will.properties = Properties::EMPTY;
                }
                format!(
                    "{:?}",
                    Connect {
                        properties: Properties::EMPTY,
                        will,
                        ..*connect
                    }
                )
            };
            assert_eq!(bare(one), bare(other));
        }
        (Packet::Publish(one), Packet::Publish(other)) => {
            assert_eq!(sorted(one.properties), sorted(other.properties));
            let (mut one, mut other) = (*one, *other);
            (one.properties, other.properties) = (Properties::EMPTY, Properties::EMPTY);
            assert_eq!(one, other);
        }
        (Packet::Subscribe(one), Packet::Subscribe(other)) => {
            assert_eq!(sorted(one.properties), sorted(other.properties));
            assert_eq!(one.packet_id, other.packet_id);
            assert!(one.subscriptions().eq(other.subscriptions()));
        }
        (one, other) => panic!("{one:?} and {other:?}"),
    }
}

fn v5_packet() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        generate::connect(Version::V5).boxed(),
        generate::publish(Version::V5).boxed(),
        generate::subscribe(Version::V5).boxed(),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mqtt_3_1_1_is_written_alike_and_read_alike(packet in generate::packet_of(Version::V4)) {
        let packet = sound(packet);
        let theirs = stranger::v4(&packet);
        let our_bytes = encoded(Version::V4, &packet);
        let read = mqttbytes::v4::read(&mut BytesMut::from(&our_bytes[..]), MAX);
        prop_assert_eq!(read.as_ref(), Ok(&theirs));
        let their_bytes = stranger::write_v4(&theirs);
        prop_assert_eq!(&their_bytes[..], &our_bytes[..]);
        let decoded = decode(&their_bytes, Version::V4, u32::MAX);
        prop_assert_eq!(decoded, Ok((packet, our_bytes.len())));
    }

    #[test]
    fn mqtt_5_is_read_alike(packet in v5_packet()) {
        let packet = sound(packet);
        let theirs = stranger::v5(&packet);
        let our_bytes = encoded(Version::V5, &packet);
        let read = mqttbytes::v5::read(&mut BytesMut::from(&our_bytes[..]), MAX);
        prop_assert_eq!(read.as_ref(), Ok(&theirs));
        let their_bytes = stranger::write_v5(&theirs);
        prop_assert_eq!(their_bytes.len(), our_bytes.len());
        let (decoded, length) = decode(&their_bytes, Version::V5, u32::MAX).unwrap();
        prop_assert_eq!(length, our_bytes.len());
        assert_same_but_for_order(&decoded, &packet);
    }

    #[test]
    fn frames_end_alike((version, packet) in generate::packet(), more in 0..4_usize) {
        let mut bytes = encoded(version, &packet);
        let length = bytes.len();
        bytes.resize(length + more, 0xAA);
        let frame = mqttbytes::check(bytes.iter(), MAX).map(|header| header.frame_length());
        prop_assert_eq!(frame, Ok(length));
        for cut in [0, 1, 2, 3, length - 1] {
            let cut = cut.min(length - 1);
            let theirs = mqttbytes::check(bytes[..cut].iter(), MAX);
            let ours = decode(&bytes[..cut], version, u32::MAX);
            let Err(DecodeError::Incomplete { needed }) = ours else {
                return Err(TestCaseError::fail(format!("{ours:?} at {cut}")));
            };
            // Both say the least they know to be missing.
            let expected = Err(mqttbytes::Error::InsufficientBytes(needed - cut));
            prop_assert_eq!(theirs.map(|header| header.frame_length()), expected);
        }
    }
}

#[test]
fn remaining_lengths_end_alike() {
    let lengths = [
        &[0x30, 0][..],
        &[0x30, 0x7F],
        &[0x30, 0x80, 0x01],
        &[0x30, 0xFF, 0x7F],
        &[0x30, 0x80, 0x80, 0x01],
        &[0x30, 0xFF, 0xFF, 0x7F],
        &[0x30, 0xFF, 0xFF, 0xFF, 0x7F],
        &[0x30, 0x80, 0x80, 0x80, 0x80],
        &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
    ];
    for header in lengths {
        let ours = dunlin_codec::FixedHeader::decode(header, Version::V4, u32::MAX);
        let theirs = mqttbytes::check(header.iter(), MAX);
        match ours {
            Ok(found) if found.remaining_length == 0 => {
                assert_eq!(theirs.map(|header| header.frame_length()), Ok(2));
            }
            Ok(found) => {
                let missing = found.packet_length() - header.len();
                let expected = Err(mqttbytes::Error::InsufficientBytes(missing));
                assert_eq!(theirs.map(|header| header.frame_length()), expected);
            }
            Err(error) => {
                let too_long = DecodeError::Malformed(Malformed::VariableByteIntegerTooLong);
                assert_eq!(error, too_long);
                assert_eq!(
                    theirs.map(|header| header.frame_length()),
                    Err(mqttbytes::Error::MalformedRemainingLength)
                );
            }
        }
    }
}

/// The reason codes of MQTT 5 that both know, packet by packet, from the bytes of a packet that
/// has every field and so a form that mqttbytes reads.
#[test]
fn reason_codes_of_mqtt_5_are_the_same() {
    use dunlin_codec::PacketType as T;
    type Form = fn(u8) -> Vec<u8>;
    let forms: &[(T, Form)] = &[
        (T::ConnAck, |code| vec![0x20, 3, 0, code, 0]),
        (T::PubAck, |code| vec![0x40, 4, 0, 1, code, 0]),
        (T::PubRec, |code| vec![0x50, 4, 0, 1, code, 0]),
        (T::SubAck, |code| vec![0x90, 4, 0, 1, 0, code]),
        (T::UnsubAck, |code| vec![0xB0, 4, 0, 1, 0, code]),
        (T::Disconnect, |code| vec![0xE0, 2, code, 0]),
    ];
    for (packet_type, form) in forms {
        for code in 0..=0xFF {
            let bytes = form(code);
            let ours = decode(&bytes, Version::V5, u32::MAX).is_ok();
            let theirs = mqttbytes::v5::read(&mut BytesMut::from(&bytes[..]), MAX).is_ok();
            // Table 2-6 gives 0x8C to DISCONNECT, the table of DISCONNECT itself leaves it out.
            let disputed = (*packet_type, code) == (T::Disconnect, 0x8C);
            assert!(
                ours == theirs || disputed,
                "{packet_type:?} {code:02X}: {ours} {theirs}"
            );
            if ours {
                assert!(ReasonCode::from_u8(code).is_some());
            }
        }
    }
}

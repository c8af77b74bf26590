//! Reason codes: every value in every packet, against the tables of both standards.
//! MQTT 5 section 2.4, MQTT 3.1.1 sections 3.2.2.3 and 3.9.3.

#![allow(clippy::panic, missing_docs)] // a test that stumbles fails

use dunlin_codec::PacketType::{
    self as T, Auth, ConnAck, Disconnect, PubAck, PubComp, PubRec, PubRel, SubAck, UnsubAck,
};
use dunlin_codec::{DecodeError, Malformed, Packet, ReasonCode, Version, decode};

/// Table 2-6 of MQTT 5, row by row.
#[rustfmt::skip]
const TABLE: &[(u8, &[T])] = &[
    (0x00, &[ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth]),
    (0x01, &[SubAck]),
    (0x02, &[SubAck]),
    (0x04, &[Disconnect]),
    (0x10, &[PubAck, PubRec]),
    (0x11, &[UnsubAck]),
    (0x18, &[Auth]),
    (0x19, &[Auth]),
    (0x80, &[ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect]),
    (0x81, &[ConnAck, Disconnect]),
    (0x82, &[ConnAck, Disconnect]),
    (0x83, &[ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect]),
    (0x84, &[ConnAck]),
    (0x85, &[ConnAck]),
    (0x86, &[ConnAck]),
    (0x87, &[ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect]),
    (0x88, &[ConnAck]),
    (0x89, &[ConnAck, Disconnect]),
    (0x8A, &[ConnAck]),
    (0x8B, &[Disconnect]),
    (0x8C, &[ConnAck, Disconnect]),
    (0x8D, &[Disconnect]),
    (0x8E, &[Disconnect]),
    (0x8F, &[SubAck, UnsubAck, Disconnect]),
    (0x90, &[ConnAck, PubAck, PubRec, Disconnect]),
    (0x91, &[PubAck, PubRec, SubAck, UnsubAck]),
    (0x92, &[PubRel, PubComp]),
    (0x93, &[Disconnect]),
    (0x94, &[Disconnect]),
    (0x95, &[ConnAck, Disconnect]),
    (0x96, &[Disconnect]),
    (0x97, &[ConnAck, PubAck, PubRec, SubAck, Disconnect]),
    (0x98, &[Disconnect]),
    (0x99, &[ConnAck, PubAck, PubRec, Disconnect]),
    (0x9A, &[ConnAck, Disconnect]),
    (0x9B, &[ConnAck, Disconnect]),
    (0x9C, &[ConnAck, Disconnect]),
    (0x9D, &[ConnAck, Disconnect]),
    (0x9E, &[SubAck, Disconnect]),
    (0x9F, &[ConnAck, Disconnect]),
    (0xA0, &[Disconnect]),
    (0xA1, &[SubAck, Disconnect]),
    (0xA2, &[SubAck, Disconnect]),
];

/// A packet of MQTT 5 that carries `code`.
fn carrier(packet_type: T, code: u8) -> Vec<u8> {
    match packet_type {
        ConnAck => vec![0x20, 3, 0, code, 0],
        PubAck => vec![0x40, 3, 0, 1, code],
        PubRec => vec![0x50, 3, 0, 1, code],
        PubRel => vec![0x62, 3, 0, 1, code],
        PubComp => vec![0x70, 3, 0, 1, code],
        SubAck => vec![0x90, 4, 0, 1, 0, code],
        UnsubAck => vec![0xB0, 4, 0, 1, 0, code],
        Disconnect => vec![0xE0, 1, code],
        Auth => vec![0xF0, 6, code, 4, 0x15, 0, 1, b'm'],
        other => panic!("{other:?} has no reason code"),
    }
}

fn carried(packet: &Packet<'_>) -> u8 {
    match packet {
        Packet::ConnAck(packet) => packet.reason_code.value(),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.reason_code.value()
        }
        Packet::SubAck(packet) => packet.reason_codes.first().copied().unwrap_or(0xFF),
        Packet::UnsubAck(packet) => packet.reason_codes.first().copied().unwrap_or(0xFF),
        Packet::Disconnect(packet) => packet.reason_code.value(),
        Packet::Auth(packet) => packet.reason_code.value(),
        other => panic!("{other:?} has no reason code"),
    }
}

#[test]
fn every_value_in_every_packet_of_mqtt_5() {
    for packet_type in [
        ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth,
    ] {
        for code in 0..=0xFF {
            let listed = TABLE
                .iter()
                .any(|(value, packets)| *value == code && packets.contains(&packet_type));
            let bytes = carrier(packet_type, code);
            let decoded = decode(&bytes, Version::V5, 100).map(|(packet, _)| {
                assert_eq!(packet.packet_type(), packet_type);
                carried(&packet)
            });
            let expected = if listed {
                Ok(code)
            } else {
                Err(DecodeError::Malformed(Malformed::ReasonCode))
            };
            assert_eq!(decoded, expected, "{packet_type:?} {code:02X}");
            let known = ReasonCode::from_u8(code);
            assert_eq!(
                known.is_some_and(|known| known.is_allowed_in(packet_type)),
                listed
            );
        }
    }
}

#[test]
fn the_vocabulary_is_the_standards() {
    let values: Vec<u8> = ReasonCode::ALL.iter().map(|code| code.value()).collect();
    let table: Vec<u8> = TABLE.iter().map(|(value, _)| *value).collect();
    assert_eq!(values, table);
    for &code in ReasonCode::ALL {
        assert_eq!(ReasonCode::from_u8(code.value()), Some(code));
        assert_eq!(code.is_failure(), code.value() >= 0x80);
        for silent in [
            T::Connect,
            T::Publish,
            T::Subscribe,
            T::Unsubscribe,
            T::PingReq,
            T::PingResp,
        ] {
            assert!(!code.is_allowed_in(silent), "{code} {silent:?}");
        }
    }
}

#[test]
fn return_codes_before_mqtt_5() {
    for version in [Version::V3, Version::V4] {
        for code in 0..=0xFF {
            let connack = decode(&[0x20, 2, 0, code], version, 100).is_ok();
            assert_eq!(connack, code <= 5, "CONNACK {code:02X}");
            let suback = decode(&[0x90, 3, 0, 1, code], version, 100).is_ok();
            assert_eq!(suback, matches!(code, 0..=2 | 0x80), "SUBACK {code:02X}");
        }
    }
    for code in 0..=5 {
        let reason = ReasonCode::from_v3_connect_return_code(code);
        assert_eq!(
            reason.map(ReasonCode::to_v3_connect_return_code),
            Some(code)
        );
    }
    for &reason in ReasonCode::ALL {
        let code = reason.to_v3_connect_return_code();
        assert_eq!(code == 0, reason == ReasonCode::Success, "{reason}");
        assert!(code <= 5);
    }
}

//! The wire format at byte level: every packet type both ways, every cut, every wrong length.
//! Chapters 1.5, 2 and 3 of both standards. Not here: what each malformation is called
//! (`malformed.rs`), properties (`properties.rs`), reason codes (`reason_codes.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)] // a test that stumbles fails

mod samples;

use dunlin_codec::reader::variable_byte_integer;
use dunlin_codec::writer::{put_variable_byte_integer, variable_byte_integer_len};
use dunlin_codec::{
    Ack, Auth, DecodeError, Disconnect, EncodeError, FixedHeader, Malformed, Packet, PacketId,
    PacketType, Properties, ReasonCode, SliceWriter, Version, decode,
};

const NO_LIMIT: u32 = u32::MAX;

fn encoded(packet: &Packet<'_>, version: Version) -> Result<Vec<u8>, EncodeError> {
    let mut buffer = [0; 1024];
    let mut writer = SliceWriter::new(&mut buffer);
    packet.encode(version, &mut writer)?;
    let written = writer.written();
    Ok(buffer[..written].to_vec())
}

#[test]
fn samples_cover_every_packet_type_in_every_version() {
    let mut missing = Vec::new();
    for version in [Version::V3, Version::V4, Version::V5] {
        for bits in 1..=15 {
            let Ok(packet_type) = PacketType::from_bits(bits, version) else {
                assert_eq!((bits, version.is_v5()), (15, false));
                continue;
            };
            let covered = samples::SAMPLES.iter().any(|sample| {
                sample.versions.contains(&version) && sample.packet.packet_type() == packet_type
            });
            if !covered {
                missing.push((version, packet_type));
            }
        }
    }
    // MQTT 3.1 and 3.1.1 share all forms but these, which have samples of their own.
    assert_eq!(missing, []);
}

#[test]
fn every_sample_is_encoded_to_its_bytes() {
    samples::each(|sample, version| {
        let bytes = encoded(&sample.packet, version);
        assert_eq!(
            bytes.as_deref(),
            Ok(sample.bytes),
            "{} {version:?}",
            sample.name
        );
    });
}

#[test]
fn every_sample_is_decoded_from_its_bytes() {
    samples::each(|sample, version| {
        let decoded = decode(sample.bytes, version, NO_LIMIT);
        let expected = Ok((sample.packet, sample.bytes.len()));
        assert_eq!(decoded, expected, "{} {version:?}", sample.name);
    });
}

#[test]
fn a_connect_names_its_own_version() {
    samples::each(|sample, _| {
        if let Packet::Connect(_) = sample.packet {
            for version in [Version::V3, Version::V4, Version::V5] {
                let decoded = decode(sample.bytes, version, NO_LIMIT);
                assert_eq!(decoded, Ok((sample.packet, sample.bytes.len())));
            }
        }
    });
}

#[test]
fn bytes_behind_the_packet_are_left_alone() {
    samples::each(|sample, version| {
        for tail in [&b"\0"[..], b"\xFF\xFF\xFF\xFF\xFF", sample.bytes] {
            let stream = [sample.bytes, tail].concat();
            let decoded = decode(&stream, version, NO_LIMIT);
            let expected = Ok((sample.packet, sample.bytes.len()));
            assert_eq!(decoded, expected, "{} {version:?}", sample.name);
        }
    });
}

#[test]
fn every_cut_of_every_sample_is_incomplete_and_nothing_else() {
    samples::each(|sample, version| {
        let whole = sample.bytes.len();
        for cut in 0..whole {
            let Err(DecodeError::Incomplete { needed }) =
                decode(&sample.bytes[..cut], version, NO_LIMIT)
            else {
                panic!("{} {version:?} cut at {cut}", sample.name);
            };
            assert!(
                needed > cut && needed <= whole,
                "{needed} of {whole} at {cut}"
            );
            if cut >= 2 {
                assert_eq!(needed, whole, "{} {version:?} cut at {cut}", sample.name);
            }
        }
    });
}

/// The sample's bytes with a body that differs and a Remaining Length that agrees with it.
fn with_body(sample: &samples::Sample, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    assert!(length < 128);
    [&[sample.bytes[0], length], body].concat()
}

/// What is still a packet when its last byte is missing or one more is there: a payload or a list
/// of codes that ends where the packet ends, and forms in which trailing fields may be left out.
fn length_is_free(packet: &Packet<'_>, version: Version) -> bool {
    match packet {
        Packet::Publish(_) | Packet::SubAck(_) => true,
        Packet::UnsubAck(_) => version.is_v5(),
        _ => false,
    }
}

#[test]
fn a_body_cut_short_is_truncated() {
    samples::each(|sample, version| {
        let body = &sample.bytes[2..];
        for length in 0..body.len() {
            match decode(&with_body(sample, &body[..length]), version, NO_LIMIT) {
                Err(DecodeError::Malformed(reason)) => {
                    let expected = match sample.packet {
                        Packet::Subscribe(_) | Packet::Unsubscribe(_) => Malformed::NoTopicFilter,
                        Packet::SubAck(_) | Packet::UnsubAck(_) => Malformed::NoReasonCode,
                        _ => Malformed::Truncated,
                    };
                    assert!(
                        reason == expected || reason == Malformed::Truncated,
                        "{} {version:?} at {length}: {reason:?}",
                        sample.name
                    );
                }
                Ok((packet, _)) => {
                    // Whole filters may be missing; reason code and properties may be left out.
                    let shorter = match packet {
                        Packet::Subscribe(subscribe) => subscribe.subscriptions().count() == 1,
                        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters().count() == 1,
                        Packet::PubAck(ack)
                        | Packet::PubRec(ack)
                        | Packet::PubRel(ack)
                        | Packet::PubComp(ack) => version.is_v5() && ack.properties.is_empty(),
                        Packet::Disconnect(end) => version.is_v5() && end.properties.is_empty(),
                        Packet::Auth(auth) => length == 0 && auth.properties.is_empty(),
                        other => length_is_free(&other, version),
                    };
                    assert!(
                        shorter,
                        "{} {version:?} at {length}: {packet:?}",
                        sample.name
                    );
                }
                other => panic!("{} {version:?} at {length}: {other:?}", sample.name),
            }
        }
    });
}

#[test]
fn a_byte_too_many_is_refused() {
    samples::each(|sample, version| {
        let longer = with_body(sample, &[&sample.bytes[2..], b"\0"].concat());
        let decoded = decode(&longer, version, NO_LIMIT);
        let v5 = version.is_v5();
        let body = sample.bytes.len() - 2;
        match sample.packet {
            // A Property Length of zero or a reason code of zero: the longer form of the same.
            Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_)
                if v5 && body <= 3 =>
            {
                assert_eq!(decoded, Ok((sample.packet, longer.len())));
            }
            Packet::Disconnect(_) if v5 && body <= 1 => {
                assert_eq!(decoded, Ok((sample.packet, longer.len())));
            }
            Packet::Auth(_) if body == 0 => {
                assert_eq!(decoded, Err(DecodeError::Malformed(Malformed::Truncated)));
            }
            Packet::Subscribe(_) | Packet::Unsubscribe(_) => {
                assert_eq!(decoded, Err(DecodeError::Malformed(Malformed::Truncated)));
            }
            packet if length_is_free(&packet, version) => {
                assert_eq!(decoded.map(|(_, length)| length), Ok(longer.len()));
            }
            _ => assert_eq!(
                decoded,
                Err(DecodeError::Malformed(Malformed::TrailingBytes)),
                "{} {version:?}",
                sample.name
            ),
        }
    });
}

#[test]
fn every_inner_length_that_is_too_long_is_truncated() {
    // Packets of MQTT 5 and where their lengths stand; each is set to more than the packet holds.
    let cases: &[(&[u8], &[usize])] = &[
        (
            b"\x10\x10\0\x04MQTT\x05\x40\0\0\0\0\0\0\x01p",
            &[12, 13, 15],
        ),
        (b"\x30\x0C\0\x01t\x07\x26\0\x01k\0\x01vx", &[2, 5, 7, 10]),
        (b"\x50\x0B\x01\x02\x97\x07\x1F\0\x04full", &[5, 7]),
        (b"\x82\x08\0\x0A\x02\x0B\x01\0\x00\x00", &[4]),
        (b"\x82\x07\0\x0A\0\0\x01a\x01", &[4, 5]),
        (b"\xA2\x06\0\x0A\0\0\x01a", &[4, 5]),
        (b"\xE0\x06\x9D\x04\x1C\0\x01h", &[3, 5]),
        (b"\xF0\x06\x18\x04\x15\0\x01m", &[3, 5]),
    ];
    for (bytes, positions) in cases {
        for &position in *positions {
            let mut wrong = bytes.to_vec();
            wrong[position] = 0x7F;
            let decoded = decode(&wrong, Version::V5, NO_LIMIT);
            let expected = Err(DecodeError::Malformed(Malformed::Truncated));
            assert_eq!(decoded, expected, "{bytes:02X?} at {position}");
        }
    }
}

#[test]
fn longer_forms_mean_the_same() {
    let id = PacketId::MIN;
    let disconnect = |reason_code| {
        Packet::Disconnect(Disconnect {
            reason_code,
            properties: Properties::EMPTY,
        })
    };
    let cases: &[(&[u8], Packet<'_>)] = &[
        (b"\x40\x03\0\x01\0", Packet::PubAck(Ack::new(id))),
        (b"\x40\x04\0\x01\0\0", Packet::PubAck(Ack::new(id))),
        (
            b"\x50\x04\0\x01\x80\0",
            Packet::PubRec(Ack::with_reason(id, ReasonCode::UnspecifiedError)),
        ),
        (b"\x62\x04\0\x01\0\0", Packet::PubRel(Ack::new(id))),
        (b"\x70\x03\0\x01\0", Packet::PubComp(Ack::new(id))),
        (b"\xE0\x01\0", disconnect(ReasonCode::Success)),
        (b"\xE0\x02\0\0", disconnect(ReasonCode::Success)),
        (
            b"\xE0\x02\x8B\0",
            disconnect(ReasonCode::ServerShuttingDown),
        ),
        (
            b"\xF0\x02\0\0",
            Packet::Auth(Auth {
                reason_code: ReasonCode::Success,
                properties: Properties::EMPTY,
            }),
        ),
    ];
    for (bytes, packet) in cases {
        let decoded = decode(bytes, Version::V5, NO_LIMIT);
        assert_eq!(decoded, Ok((*packet, bytes.len())), "{bytes:02X?}");
    }
}

#[test]
fn mqtt_3_1_is_read_as_its_own_standard_says() {
    // DUP on what is sent again.
    for bytes in [
        &b"\x6A\x02\0\x01"[..],
        b"\x8A\x06\0\x01\0\x01a\0",
        b"\xAA\x05\0\x01\0\x01a",
    ] {
        assert!(decode(bytes, Version::V3, NO_LIMIT).is_ok(), "{bytes:02X?}");
        for version in [Version::V4, Version::V5] {
            let expected = Err(DecodeError::Malformed(Malformed::FixedHeaderFlags));
            assert_eq!(decode(bytes, version, NO_LIMIT), expected, "{bytes:02X?}");
        }
    }
    // A user name and a password that the flags announce and the packet's length leaves out.
    let connect = |bytes: &'static [u8]| match decode(bytes, Version::V3, NO_LIMIT) {
        Ok((Packet::Connect(connect), _)) => connect,
        other => panic!("{bytes:02X?}: {other:?}"),
    };
    let nobody = connect(b"\x10\x0F\0\x06MQIsdp\x03\xC0\0\x3C\0\x01c");
    assert_eq!((nobody.user_name, nobody.password), (None, None));
    let no_password = connect(b"\x10\x12\0\x06MQIsdp\x03\xC0\0\x3C\0\x01c\0\x01u");
    assert_eq!(
        (no_password.user_name, no_password.password),
        (Some("u"), None)
    );
    // Will QoS and Will Retain without a Will.
    assert_eq!(
        connect(b"\x10\x0F\0\x06MQIsdp\x03\x38\0\x3C\0\x01c").will,
        None
    );
    // Session Present is a later invention.
    let expected = Err(DecodeError::Malformed(Malformed::ConnAckFlags));
    assert_eq!(decode(b"\x20\x02\x01\0", Version::V3, NO_LIMIT), expected);
}

#[test]
fn variable_byte_integers_at_their_borders() {
    let cases: &[(u32, &[u8])] = &[
        (0, b"\0"),
        (127, b"\x7F"),
        (128, b"\x80\x01"),
        (16_383, b"\xFF\x7F"),
        (16_384, b"\x80\x80\x01"),
        (2_097_151, b"\xFF\xFF\x7F"),
        (2_097_152, b"\x80\x80\x80\x01"),
        (268_435_455, b"\xFF\xFF\xFF\x7F"),
    ];
    for &(value, bytes) in cases {
        let mut buffer = [0; 4];
        let mut writer = SliceWriter::new(&mut buffer);
        put_variable_byte_integer(&mut writer, value).unwrap();
        let written = writer.written();
        assert_eq!(&buffer[..written], bytes);
        assert_eq!(variable_byte_integer_len(value), bytes.len());
        assert_eq!(variable_byte_integer(bytes), Ok((value, bytes.len())));
        for cut in 0..bytes.len() {
            let expected = Err(DecodeError::Incomplete { needed: cut + 1 });
            assert_eq!(variable_byte_integer(&bytes[..cut]), expected);
        }
    }
    let mut buffer = [0; 8];
    let too_large = put_variable_byte_integer(&mut SliceWriter::new(&mut buffer), 268_435_456);
    assert_eq!(too_large, Err(EncodeError::PacketTooLarge));
    for (bytes, reason) in [
        (&b"\x80\0"[..], Malformed::VariableByteIntegerNotMinimal),
        (b"\xFF\x80\0", Malformed::VariableByteIntegerNotMinimal),
        (b"\x80\x80\x80\0", Malformed::VariableByteIntegerNotMinimal),
        (b"\x80\x80\x80\x80", Malformed::VariableByteIntegerTooLong),
        (
            b"\xFF\xFF\xFF\xFF\x7F",
            Malformed::VariableByteIntegerTooLong,
        ),
    ] {
        assert_eq!(
            variable_byte_integer(bytes),
            Err(reason.into()),
            "{bytes:02X?}"
        );
    }
}

#[test]
fn the_size_limit_counts_the_whole_packet_and_needs_only_the_header() {
    let header = b"\x30\xFF\xFF\xFF\x7F";
    let needed = 268_435_455 + 5;
    let limit = u32::try_from(needed).unwrap();
    assert_eq!(
        decode(header, Version::V5, limit),
        Err(DecodeError::Incomplete { needed })
    );
    let too_large = Err(DecodeError::Malformed(Malformed::PacketTooLarge));
    assert_eq!(decode(header, Version::V5, limit - 1), too_large);
    let ping = FixedHeader::decode(b"\xC0\0", Version::V4, 2).unwrap();
    assert_eq!(
        (
            ping.header_length,
            ping.remaining_length,
            ping.packet_length()
        ),
        (2, 0, 2)
    );
    assert_eq!(decode(b"\xC0\0", Version::V4, 1), too_large);
}

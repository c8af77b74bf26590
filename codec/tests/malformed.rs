//! Every way in which bytes can break the standard: what it is called and which reason code the
//! peer is told. MQTT 5 sections 2.4 and 4.13, and the rules of chapters 1.5 to 3 and 4.7.

#![allow(clippy::panic, missing_docs)] // a test that stumbles fails

use dunlin_codec::topic::{self, Filter};
use dunlin_codec::{DecodeError, Malformed, Malformed as M, ReasonCode, Version, decode};

const V3: &[Version] = &[Version::V3];
const V4: &[Version] = &[Version::V4];
const V5: &[Version] = &[Version::V5];
const BEFORE_5: &[Version] = &[Version::V3, Version::V4];
const ALL: &[Version] = &[Version::V3, Version::V4, Version::V5];

type Case = (M, &'static [Version], &'static [u8]);

/// What the fixed header alone shows. Chapter 2.1.
#[rustfmt::skip]
const FIXED_HEADER: &[Case] = &[
    (M::ReservedPacketType, ALL, b"\x00\x00"),
    (M::ReservedPacketType, ALL, b"\x0F"),
    (M::ReservedPacketType, BEFORE_5, b"\xF0\x00"),
    (M::PublishQos3, ALL, b"\x36"),
    (M::PublishQos3, ALL, b"\x3E\xFF\xFF\xFF\x7F"),
    (M::DupAtQos0, ALL, b"\x39"),
    (M::VariableByteIntegerTooLong, ALL, b"\x30\x80\x80\x80\x80"),
    (M::VariableByteIntegerTooLong, ALL, b"\x30\xFF\xFF\xFF\xFF\x01"),
    (M::VariableByteIntegerNotMinimal, ALL, b"\xC0\x80\x00"),
    (M::VariableByteIntegerNotMinimal, ALL, b"\x30\x83\x00\0\x01t"),
    (M::VariableByteIntegerNotMinimal, ALL, b"\x30\x83\x80\x80\x00\0\x01t"),
    // The tests below allow packets of 1,000 bytes.
    (M::PacketTooLarge, ALL, b"\x30\xE6\x07"),
    (M::PacketTooLarge, ALL, b"\x30\xFF\xFF\xFF\x7F"),
];

#[rustfmt::skip]
const CONNECT: &[Case] = &[
    (M::ProtocolName, ALL, b"\x10\x0D\0\x04MQTt\x04\x02\0\x3C\0\x01c"),
    (M::ProtocolName, ALL, b"\x10\x0C\0\x03MQT\x04\x02\0\x3C\0\x01c"),
    (M::ProtocolName, ALL, b"\x10\x09\0\0\x04\x02\0\x3C\0\x01c"),
    (M::ProtocolName, ALL, b"\x10\x0D\0\x04\xFF\xFF\xFF\xFF\x04\x02\0\x3C\0\x01c"),
    (M::ProtocolLevel, ALL, b"\x10\x0D\0\x04MQTT\x06\x02\0\x3C\0\x01c"),
    (M::ProtocolLevel, ALL, b"\x10\x0D\0\x04MQTT\x03\x02\0\x3C\0\x01c"),
    (M::ProtocolLevel, ALL, b"\x10\x0D\0\x04MQTT\x84\x02\0\x3C\0\x01c"),
    (M::ProtocolLevel, ALL, b"\x10\x0F\0\x06MQIsdp\x04\x02\0\x3C\0\x01c"),
    (M::ConnectReservedFlag, ALL, b"\x10\x0D\0\x04MQTT\x04\x03\0\x3C\0\x01c"),
    (M::ConnectReservedFlag, ALL, b"\x10\x0E\0\x04MQTT\x05\x01\0\x3C\0\0\x01c"),
    (M::ConnectReservedFlag, ALL, b"\x10\x0F\0\x06MQIsdp\x03\x01\0\x3C\0\x01c"),
    (M::WillFlags, ALL, b"\x10\x0D\0\x04MQTT\x04\x08\0\x3C\0\x01c"),
    (M::WillFlags, ALL, b"\x10\x0D\0\x04MQTT\x04\x10\0\x3C\0\x01c"),
    (M::WillFlags, ALL, b"\x10\x0E\0\x04MQTT\x05\x20\0\x3C\0\0\x01c"),
    (M::WillFlags, ALL, b"\x10\x12\0\x04MQTT\x04\x1C\0\x3C\0\x01c\0\x01w\0\0"),
    (M::WillFlags, ALL, b"\x10\x13\0\x06MQIsdp\x03\x1C\0\x3C\0\x01c\0\x01w\0\0"),
    (M::PasswordWithoutUserName, ALL, b"\x10\x10\0\x04MQTT\x04\x40\0\x3C\0\x01c\0\x01p"),
    (M::PasswordWithoutUserName, ALL, b"\x10\x12\0\x06MQIsdp\x03\x40\0\x3C\0\x01c\0\x01p"),
    // Clean Session, then no client identifier at all. [MQTT-3.1.3-3]
    (M::Truncated, ALL, b"\x10\x0A\0\x04MQTT\x04\x02\0\x3C"),
    // The flags promise a user name or a password. [MQTT-3.1.2-17] [MQTT-3.1.2-19]
    (M::Truncated, ALL, b"\x10\x0D\0\x04MQTT\x04\x80\0\x3C\0\x01c"),
    (M::Truncated, ALL, b"\x10\x10\0\x04MQTT\x04\xC0\0\x3C\0\x01c\0\x01u"),
    // They promise none. [MQTT-3.1.2-16]
    (M::TrailingBytes, ALL, b"\x10\x10\0\x04MQTT\x04\x02\0\x3C\0\x01c\0\x01u"),
    (M::TopicNameEmpty, ALL, b"\x10\x11\0\x04MQTT\x04\x04\0\x3C\0\x01c\0\0\0\0"),
    (M::TopicNameWildcard, ALL, b"\x10\x12\0\x04MQTT\x04\x04\0\x3C\0\x01c\0\x01+\0\0"),
    (M::InvalidUtf8, ALL, b"\x10\x0E\0\x04MQTT\x04\x02\0\x3C\0\x02c\xFF"),
    (M::InvalidUtf8, ALL, b"\x10\x10\0\x04MQTT\x04\x80\0\x3C\0\x01c\0\x01\x80"),
    (M::NulInString, ALL, b"\x10\x0D\0\x04MQTT\x04\x02\0\x3C\0\x01\0"),
];

#[rustfmt::skip]
const CONNACK: &[Case] = &[
    (M::ConnAckFlags, ALL, b"\x20\x02\x02\0"),
    (M::ConnAckFlags, V5, b"\x20\x03\x81\0\0"),
    (M::ConnAckFlags, V3, b"\x20\x02\x01\0"),
    (M::SessionPresentOnRefusal, V4, b"\x20\x02\x01\x05"),
    (M::SessionPresentOnRefusal, V5, b"\x20\x03\x01\x87\0"),
    (M::ReasonCode, BEFORE_5, b"\x20\x02\0\x06"),
    (M::ReasonCode, V5, b"\x20\x03\0\x01\0"),
    // MQTT 5 demands the Property Length even when it is zero.
    (M::Truncated, V5, b"\x20\x02\0\0"),
    (M::TrailingBytes, BEFORE_5, b"\x20\x03\0\0\0"),
];

#[rustfmt::skip]
const PUBLISH: &[Case] = &[
    (M::PublishQos3, ALL, b"\x36\x05\0\x01t\0\x01"),
    (M::PublishQos3, ALL, b"\x3F\x00"),
    (M::DupAtQos0, ALL, b"\x38\x03\0\x01t"),
    (M::PacketIdZero, BEFORE_5, b"\x32\x05\0\x01t\0\0"),
    (M::PacketIdZero, V5, b"\x34\x06\0\x01t\0\0\0"),
    (M::TopicNameEmpty, BEFORE_5, b"\x30\x02\0\0"),
    (M::TopicNameEmpty, V5, b"\x30\x03\0\0\0"),
    (M::TopicNameEmpty, V5, b"\x30\x05\0\0\x02\x01\0"),
    (M::TopicNameWildcard, BEFORE_5, b"\x30\x05\0\x03a/#"),
    (M::TopicNameWildcard, V5, b"\x30\x05\0\x02a+\0"),
    // Also where the alias makes the name unnecessary.
    (M::TopicNameWildcard, V5, b"\x30\x07\0\x01#\x03\x23\0\x01"),
    (M::NulInString, ALL, b"\x30\x05\0\x03a\0b"),
    // A surrogate, an overlong form, a value above U+10FFFF, a sequence cut off.
    (M::InvalidUtf8, ALL, b"\x30\x05\0\x03\xED\xA0\x80"),
    (M::InvalidUtf8, ALL, b"\x30\x04\0\x02\xC0\xAF"),
    (M::InvalidUtf8, ALL, b"\x30\x06\0\x04\xF4\x90\x80\x80"),
    (M::InvalidUtf8, ALL, b"\x30\x04\0\x02\xE2\x82"),
    (M::Truncated, ALL, b"\x30\x03\0\x02t"),
    (M::Truncated, ALL, b"\x30\x00"),
    (M::Truncated, ALL, b"\x32\x04\0\x01t\0"),
    (M::Truncated, V5, b"\x30\x03\0\x01t"),
    (M::VariableByteIntegerNotMinimal, V5, b"\x30\x05\0\x01t\x80\0"),
    (M::VariableByteIntegerTooLong, V5, b"\x30\x07\0\x01t\xFF\xFF\xFF\xFF"),
];

#[rustfmt::skip]
const ACKS: &[Case] = &[
    (M::PacketIdZero, ALL, b"\x40\x02\0\0"),
    (M::PacketIdZero, ALL, b"\x50\x02\0\0"),
    (M::PacketIdZero, ALL, b"\x62\x02\0\0"),
    (M::PacketIdZero, ALL, b"\x70\x02\0\0"),
    (M::Truncated, ALL, b"\x40\x00"),
    (M::Truncated, ALL, b"\x62\x01\0"),
    (M::TrailingBytes, BEFORE_5, b"\x40\x03\0\x01\0"),
    (M::TrailingBytes, V5, b"\x40\x05\0\x01\0\0\0"),
    (M::ReasonCode, V5, b"\x40\x03\0\x01\x01"),
    (M::ReasonCode, V5, b"\x62\x03\0\x01\x10"),
];

#[rustfmt::skip]
const SUBSCRIBE_UNSUBSCRIBE: &[Case] = &[
    (M::PacketIdZero, BEFORE_5, b"\x82\x06\0\0\0\x01a\0"),
    (M::PacketIdZero, V5, b"\xA2\x06\0\0\0\0\x01a"),
    (M::NoTopicFilter, BEFORE_5, b"\x82\x02\0\x01"),
    (M::NoTopicFilter, V5, b"\x82\x03\0\x01\0"),
    (M::NoTopicFilter, BEFORE_5, b"\xA2\x02\0\x01"),
    (M::NoTopicFilter, V5, b"\xA2\x03\0\x01\0"),
    (M::SubscriptionOptionsReserved, BEFORE_5, b"\x82\x06\0\x01\0\x01a\x04"),
    (M::SubscriptionOptionsReserved, BEFORE_5, b"\x82\x06\0\x01\0\x01a\x80"),
    (M::SubscriptionOptionsReserved, V5, b"\x82\x07\0\x01\0\0\x01a\x40"),
    (M::SubscriptionOptionsReserved, V5, b"\x82\x07\0\x01\0\0\x01a\x80"),
    (M::SubscriptionQos3, BEFORE_5, b"\x82\x06\0\x01\0\x01a\x03"),
    (M::SubscriptionQos3, V5, b"\x82\x07\0\x01\0\0\x01a\x03"),
    (M::RetainHandling3, V5, b"\x82\x07\0\x01\0\0\x01a\x30"),
    (M::NoLocalOnShared, V5, b"\x82\x10\0\x01\0\0\x0A$share/g/a\x04"),
    // The second filter is looked at like the first.
    (M::SubscriptionQos3, V5, b"\x82\x0B\0\x01\0\0\x01a\0\0\x01b\x03"),
    (M::TopicFilterEmpty, BEFORE_5, b"\x82\x05\0\x01\0\0\0"),
    (M::TopicFilterEmpty, V5, b"\xA2\x05\0\x01\0\0\0"),
    (M::TopicFilterWildcard, BEFORE_5, b"\x82\x07\0\x01\0\x02a+\0"),
    (M::TopicFilterWildcard, V5, b"\xA2\x08\0\x01\0\0\x03#/a"),
    (M::TopicFilterWildcard, V5, b"\x82\x11\0\x01\0\0\x0B$share/g/a#\0"),
    (M::ShareName, V5, b"\x82\x0D\0\x01\0\0\x07$share/\0"),
    (M::ShareName, V5, b"\x82\x0E\0\x01\0\0\x08$share/g\0"),
    (M::ShareName, V5, b"\xA2\x0E\0\x01\0\0\x09$share//a"),
    (M::NulInString, V5, b"\x82\x07\0\x01\0\0\x01\0\0"),
    (M::InvalidUtf8, V5, b"\xA2\x06\0\x01\0\0\x01\xFF"),
    (M::Truncated, BEFORE_5, b"\x82\x05\0\x01\0\x01a"),
];

#[rustfmt::skip]
const SUBACK_UNSUBACK: &[Case] = &[
    (M::PacketIdZero, ALL, b"\x90\x03\0\0\0"),
    (M::PacketIdZero, ALL, b"\xB0\x02\0\0"),
    (M::NoReasonCode, BEFORE_5, b"\x90\x02\0\x01"),
    (M::NoReasonCode, V5, b"\x90\x03\0\x01\0"),
    (M::NoReasonCode, V5, b"\xB0\x03\0\x01\0"),
    (M::ReasonCode, BEFORE_5, b"\x90\x04\0\x01\0\x03"),
    (M::ReasonCode, BEFORE_5, b"\x90\x03\0\x01\x87"),
    (M::ReasonCode, V5, b"\x90\x05\0\x01\0\0\x03"),
    (M::ReasonCode, V5, b"\xB0\x04\0\x01\0\x01"),
    (M::TrailingBytes, BEFORE_5, b"\xB0\x03\0\x01\0"),
];

#[rustfmt::skip]
const THE_REST: &[Case] = &[
    (M::TrailingBytes, ALL, b"\xC0\x01\0"),
    (M::TrailingBytes, ALL, b"\xD0\x01\0"),
    (M::TrailingBytes, BEFORE_5, b"\xE0\x01\0"),
    (M::TrailingBytes, V5, b"\xE0\x03\0\0\0"),
    (M::ReasonCode, V5, b"\xE0\x01\x01"),
    (M::ReasonCode, V5, b"\xF0\x02\x01\0"),
    (M::Truncated, V5, b"\xF0\x01\x18"),
    (M::Truncated, V5, b"\xF0\x01\0"),
    (M::AuthenticationMethodMissing, V5, b"\xF0\x02\x18\0"),
    (M::AuthenticationMethodMissing, V5, b"\xF0\x02\x19\0"),
    (M::AuthenticationMethodMissing, V5, b"\xF0\x06\0\x04\x1F\0\x01s"),
    (M::AuthenticationDataAlone, V5, b"\xF0\x06\x18\x04\x16\0\x01d"),
    (M::PropertyUnknown, V5, b"\xE0\x03\0\x01\0"),
    (M::PropertyUnknown, V5, b"\xE0\x04\0\x02\x80\x01"),
    (M::PropertyNotAllowed, V5, b"\xE0\x05\0\x03\x23\0\x01"),
    (M::PropertyRepeated, V5, b"\xE0\x0A\0\x08\x1F\0\x01s\x1F\0\x01t"),
    (M::PropertyValue, V5, b"\x10\x10\0\x04MQTT\x05\x02\0\x3C\x03\x21\0\0\0\0"),
    (M::TopicAliasZero, V5, b"\x30\x07\0\x01t\x03\x23\0\0"),
    (M::Truncated, V5, b"\xE0\x03\0\x05\x1F"),
];

fn all() -> impl Iterator<Item = &'static Case> {
    [
        FIXED_HEADER,
        CONNECT,
        CONNACK,
        PUBLISH,
        ACKS,
        SUBSCRIBE_UNSUBSCRIBE,
        SUBACK_UNSUBACK,
        THE_REST,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn every_case_is_refused_for_its_reason() {
    for &(reason, versions, bytes) in all() {
        for &version in versions {
            let decoded = decode(bytes, version, 1000);
            let expected = Err(DecodeError::Malformed(reason));
            assert_eq!(decoded, expected, "{version:?} {bytes:02X?}");
        }
    }
}

/// [MQTT-2.1.3-1] Table 2-2 of MQTT 5: every packet type but PUBLISH, every wrong value.
#[test]
fn every_wrong_fixed_header_flag_is_refused() {
    for version in [Version::V3, Version::V4, Version::V5] {
        for first in 0x10..=0xFF_u8 {
            let (packet_type, flags) = (first >> 4, first & 0x0F);
            let right = match packet_type {
                3 => continue,
                15 if version != Version::V5 => continue,
                6 | 8 | 10 => flags == 2 || (flags == 10 && version == Version::V3),
                _ => flags == 0,
            };
            // Seen as soon as the first byte is there.
            let refused = Err(DecodeError::Malformed(M::FixedHeaderFlags));
            let start = [first];
            let decoded = decode(&start, version, 1000);
            assert_eq!(
                decoded == refused,
                !right,
                "{version:?} {first:02X}: {decoded:?}"
            );
        }
    }
}

#[test]
fn some_bytes_produce_every_reason() {
    let produced: Vec<M> = all()
        .map(|&(reason, ..)| reason)
        .chain([M::FixedHeaderFlags]) // by the test above
        .collect();
    let missing: Vec<&M> = M::ALL
        .iter()
        .filter(|reason| !produced.contains(reason))
        .collect();
    assert_eq!(missing, Vec::<&M>::new());
}

/// Which reason the standard gives: Malformed Packet for what can't be read, Protocol Error and
/// others where it names them.
#[test]
fn each_reason_has_the_standards_reason_code() {
    let protocol_errors = [
        M::DupAtQos0,
        M::PacketIdZero,
        M::NoTopicFilter,
        M::SubscriptionQos3,
        M::RetainHandling3,
        M::NoLocalOnShared,
        M::TopicNameEmpty,
        M::PropertyRepeated,
        M::PropertyValue,
        M::AuthenticationDataAlone,
        M::AuthenticationMethodMissing,
        M::NoReasonCode,
        M::ReasonCode,
        M::SessionPresentOnRefusal,
    ];
    for &reason in M::ALL {
        let expected = match reason {
            M::PacketTooLarge => ReasonCode::PacketTooLarge,
            M::ProtocolName | M::ProtocolLevel => ReasonCode::UnsupportedProtocolVersion,
            M::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            reason if protocol_errors.contains(&reason) => ReasonCode::ProtocolError,
            _ => ReasonCode::MalformedPacket,
        };
        assert_eq!(reason.reason_code(), expected, "{reason:?}");
        assert!(!reason.text().is_empty());
    }
}

#[test]
fn topic_names() {
    for name in [
        "a", "/", "//", " ", "$SYS/x", "a/\u{e9}", "\u{feff}", "\u{1}", "a b/c",
    ] {
        assert_eq!(topic::check_name(name), Ok(()), "{name:?}");
    }
    for name in ["+", "#", "a/+", "a/#", "a+b", "a#", "#/a"] {
        assert_eq!(
            topic::check_name(name),
            Err(M::TopicNameWildcard),
            "{name:?}"
        );
    }
    assert_eq!(topic::check_name(""), Err(M::TopicNameEmpty));
    assert_eq!(["a", "/", "a/b/c"].map(topic::levels), [1, 2, 3]);
}

#[test]
fn topic_filters() {
    for filter in [
        "a", "/", "+", "#", "+/+", "/+", "+/", "/#", "a/#", "+/#", "a//b", "$SYS/#",
    ] {
        assert_eq!(topic::check_filter(filter), Ok(()), "{filter:?}");
    }
    for filter in [
        "a#", "#a", "##", "#/", "#/a", "a/#/b", "a+", "+a", "++", "a/+b", "+#", "/a#",
    ] {
        let expected = Err(Malformed::TopicFilterWildcard);
        assert_eq!(topic::check_filter(filter), expected, "{filter:?}");
    }
    assert_eq!(topic::check_filter(""), Err(M::TopicFilterEmpty));
}

/// MQTT 3.1.1 knows no shared subscriptions: the connection isn't closed for a filter it allows.
#[test]
fn before_mqtt_5_share_is_an_ordinary_level() {
    let accepted: [&[u8]; 3] = [
        b"\x82\x0C\0\x01\0\x07$share/\0",
        b"\x82\x0E\0\x01\0\x09$share/+/\0",
        b"\xA2\x0C\0\x01\0\x08$share/g",
    ];
    for version in [Version::V3, Version::V4] {
        for bytes in accepted {
            let decoded = decode(bytes, version, 1000);
            assert!(decoded.is_ok(), "{version:?} {bytes:02X?}: {decoded:?}");
        }
        let refused = Err(DecodeError::Malformed(M::TopicFilterWildcard));
        let misplaced = b"\x82\x0E\0\x01\0\x09$share/g+\0";
        assert_eq!(decode(misplaced, version, 1000), refused);
    }
}

#[test]
fn shared_subscriptions() {
    let parts = |text| Filter::parse(text).map(|parsed| (parsed.share_name, parsed.filter));
    for (text, name, filter) in [
        ("$share/g/a", Some("g"), "a"),
        ("$share/g//", Some("g"), "/"),
        ("$share/g/+/#", Some("g"), "+/#"),
        ("$share/g/$share/h/a", Some("g"), "$share/h/a"),
        // Not shared: ordinary filters.
        ("$share", None, "$share"),
        ("$sharex/g/a", None, "$sharex/g/a"),
        ("/$share/g/a", None, "/$share/g/a"),
        ("$SHARE/g/a", None, "$SHARE/g/a"),
    ] {
        assert_eq!(parts(text), Ok((name, filter)), "{text:?}");
    }
    for text in [
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/+/a",
        "$share/a#/b",
    ] {
        assert_eq!(parts(text), Err(M::ShareName), "{text:?}");
    }
    assert_eq!(parts("$share/g/a#"), Err(M::TopicFilterWildcard));
}

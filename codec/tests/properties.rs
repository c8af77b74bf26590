//! Properties: every one at every place, twice, cut, and at the borders of its range.
//! MQTT 5 section 2.2.2 and the property sections of chapter 3.

#![allow(clippy::panic, clippy::indexing_slicing, missing_docs)] // a test that stumbles fails

use dunlin_codec::PropertyPlace::{self, *};
use dunlin_codec::{
    DecodeError, Malformed, Packet, Properties, Property, SliceWriter, Version, decode,
};

const PLACES: [PropertyPlace; 14] = [
    Connect,
    Will,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    Disconnect,
    Auth,
];

/// Table 2-4 of MQTT 5: bytes of a property with a fair value, what they say, where it may stand.
#[rustfmt::skip]
const TABLE: &[(&[u8], Property<'_>, &[PropertyPlace])] = &[
    (b"\x01\x01", Property::PayloadFormatIndicator(true), &[Publish, Will]),
    (b"\x02\0\0\x01\0", Property::MessageExpiryInterval(256), &[Publish, Will]),
    (b"\x03\0\x01x", Property::ContentType("x"), &[Publish, Will]),
    (b"\x08\0\x03r/s", Property::ResponseTopic("r/s"), &[Publish, Will]),
    (b"\x09\0\x02\0\xFF", Property::CorrelationData(b"\0\xFF"), &[Publish, Will]),
    (b"\x0B\x80\x01", Property::SubscriptionIdentifier(128), &[Publish, Subscribe]),
    (b"\x11\0\0\0\x05", Property::SessionExpiryInterval(5), &[Connect, ConnAck, Disconnect]),
    (b"\x12\0\x01a", Property::AssignedClientIdentifier("a"), &[ConnAck]),
    (b"\x13\x01\0", Property::ServerKeepAlive(256), &[ConnAck]),
    (b"\x15\0\x01m", Property::AuthenticationMethod("m"), &[Connect, ConnAck, Auth]),
    (b"\x16\0\x01\x80", Property::AuthenticationData(b"\x80"), &[Connect, ConnAck, Auth]),
    (b"\x17\0", Property::RequestProblemInformation(false), &[Connect]),
    (b"\x18\0\0\0\0", Property::WillDelayInterval(0), &[Will]),
    (b"\x19\x01", Property::RequestResponseInformation(true), &[Connect]),
    (b"\x1A\0\0", Property::ResponseInformation(""), &[ConnAck]),
    (b"\x1C\0\x01h", Property::ServerReference("h"), &[ConnAck, Disconnect]),
    (b"\x1F\0\x01s", Property::ReasonString("s"),
        &[ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth]),
    (b"\x21\xFF\xFF", Property::ReceiveMaximum(65_535), &[Connect, ConnAck]),
    (b"\x22\0\0", Property::TopicAliasMaximum(0), &[Connect, ConnAck]),
    (b"\x23\0\x01", Property::TopicAlias(1), &[Publish]),
    (b"\x24\x01", Property::MaximumQos(true), &[ConnAck]),
    (b"\x25\0", Property::RetainAvailable(false), &[ConnAck]),
    (b"\x26\0\x01k\0\x01v", Property::UserProperty("k", "v"), &PLACES),
    (b"\x27\0\0\0\x01", Property::MaximumPacketSize(1), &[Connect, ConnAck]),
    (b"\x28\x01", Property::WildcardSubscriptionAvailable(true), &[ConnAck]),
    (b"\x29\0", Property::SubscriptionIdentifierAvailable(false), &[ConnAck]),
    (b"\x2A\x01", Property::SharedSubscriptionAvailable(true), &[ConnAck]),
];

const METHOD: &[u8] = b"\x15\0\x01m";

/// A packet of MQTT 5 with `properties` at `place`.
fn packet_with(place: PropertyPlace, properties: &[u8]) -> Vec<u8> {
    let (first, before, behind): (u8, &[u8], &[u8]) = match place {
        Connect => (0x10, b"\0\x04MQTT\x05\x02\0\x3C", b"\0\x01c"),
        Will => (0x10, b"\0\x04MQTT\x05\x06\0\x3C\0\0\x01c", b"\0\x01w\0\0"),
        ConnAck => (0x20, b"\0\0", b""),
        Publish => (0x30, b"\0\x01t", b"payload"),
        PubAck => (0x40, b"\0\x01\0", b""),
        PubRec => (0x50, b"\0\x01\0", b""),
        PubRel => (0x62, b"\0\x01\0", b""),
        PubComp => (0x70, b"\0\x01\0", b""),
        Subscribe => (0x82, b"\0\x01", b"\0\x01f\0"),
        SubAck => (0x90, b"\0\x01", b"\0"),
        Unsubscribe => (0xA2, b"\0\x01", b"\0\x01f"),
        UnsubAck => (0xB0, b"\0\x01", b"\0"),
        Disconnect => (0xE0, b"\0", b""),
        Auth => (0xF0, b"\x18", b""),
    };
    let length = |bytes: usize| u8::try_from(bytes).ok().filter(|&length| length < 128);
    let body = [
        before,
        &[length(properties.len()).unwrap_or(0)],
        properties,
        behind,
    ]
    .concat();
    [&[first, length(body.len()).unwrap_or(0)], &body[..]].concat()
}

/// The property's bytes, with the Authentication Method it needs at `place` in front.
fn with_method(place: PropertyPlace, identifier: u8, bytes: &[u8]) -> Vec<u8> {
    let needs_method = place == Auth || (identifier == 0x16 && matches!(place, Connect | ConnAck));
    if needs_method && identifier != 0x15 {
        [METHOD, bytes].concat()
    } else {
        bytes.to_vec()
    }
}

fn properties_of<'a>(packet: &Packet<'a>, place: PropertyPlace) -> Properties<'a> {
    match packet {
        Packet::Connect(packet) => match packet.will {
            Some(will) if place == Will => will.properties,
            _ => packet.properties,
        },
        Packet::ConnAck(packet) => packet.properties,
        Packet::Publish(packet) => packet.properties,
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.properties
        }
        Packet::Subscribe(packet) => packet.properties,
        Packet::SubAck(packet) => packet.properties,
        Packet::Unsubscribe(packet) => packet.properties,
        Packet::UnsubAck(packet) => packet.properties,
        Packet::Disconnect(packet) => packet.properties,
        Packet::Auth(packet) => packet.properties,
        Packet::PingReq | Packet::PingResp => Properties::EMPTY,
    }
}

fn refused(bytes: &[u8]) -> Option<Malformed> {
    match decode(bytes, Version::V5, 1000) {
        Ok(_) => None,
        Err(DecodeError::Malformed(reason)) => Some(reason),
        Err(incomplete) => panic!("{bytes:02X?}: {incomplete}"),
    }
}

#[test]
fn the_table_has_all_27() {
    let identifiers: Vec<u8> = TABLE.iter().map(|(bytes, ..)| bytes[0]).collect();
    assert_eq!(identifiers.len(), 27);
    for identifier in 0..=0x7F {
        if !identifiers.contains(&identifier) {
            let bytes = packet_with(Connect, &[identifier, 0, 0, 0, 0]);
            assert_eq!(
                refused(&bytes),
                Some(Malformed::PropertyUnknown),
                "{identifier}"
            );
        }
    }
}

#[test]
fn every_property_at_every_place() {
    for (bytes, property, allowed) in TABLE {
        for place in PLACES {
            let packet = packet_with(place, &with_method(place, bytes[0], bytes));
            if !allowed.contains(&place) {
                let expected = Some(Malformed::PropertyNotAllowed);
                assert_eq!(refused(&packet), expected, "{property:?} at {place:?}");
                continue;
            }
            let decoded = decode(&packet, Version::V5, 1000);
            let Ok((decoded, _)) = decoded else {
                panic!("{property:?} at {place:?}: {decoded:?}");
            };
            let found = properties_of(&decoded, place).iter().last();
            assert_eq!(found, Some(*property), "at {place:?}");
        }
    }
}

#[test]
fn every_property_twice() {
    for (bytes, property, allowed) in TABLE {
        for &place in *allowed {
            let twice = [*bytes, bytes].concat();
            let repeatable = match property {
                Property::UserProperty(..) => true,
                Property::SubscriptionIdentifier(_) => place == Publish,
                _ => false,
            };
            let expected = if repeatable {
                None
            } else {
                Some(Malformed::PropertyRepeated)
            };
            let packet = packet_with(place, &with_method(place, bytes[0], &twice));
            assert_eq!(refused(&packet), expected, "{property:?} at {place:?}");
        }
    }
}

#[test]
fn every_property_cut_at_every_byte() {
    for (bytes, property, allowed) in TABLE {
        for &place in *allowed {
            for cut in 1..bytes.len() {
                let packet = packet_with(place, &with_method(place, bytes[0], &bytes[..cut]));
                let expected = Some(Malformed::Truncated);
                assert_eq!(
                    refused(&packet),
                    expected,
                    "{property:?} at {place:?}, {cut}"
                );
            }
        }
    }
}

#[test]
fn every_property_is_written_as_it_is_read() {
    for (bytes, property, _) in TABLE {
        let mut buffer = [0; 64];
        let mut writer = SliceWriter::new(&mut buffer);
        assert_eq!(property.encode(&mut writer), Ok(()));
        let written = writer.written();
        assert_eq!(&buffer[..written], *bytes, "{property:?}");
        assert_eq!(property.encoded_len(), bytes.len(), "{property:?}");
        assert_eq!(property.identifier(), bytes[0]);
        let forwarded = matches!(bytes[0], 0x01 | 0x03 | 0x08 | 0x09 | 0x26);
        assert_eq!(property.is_forwarded(), forwarded, "{property:?}");
    }
}

#[test]
fn values_at_their_borders() {
    use Malformed::{
        NulInString, PropertyValue, TopicAliasZero, TopicNameEmpty, TopicNameWildcard,
        VariableByteIntegerNotMinimal, VariableByteIntegerTooLong,
    };
    let flags = [
        (0x01, Publish),
        (0x17, Connect),
        (0x19, Connect),
        (0x24, ConnAck),
        (0x25, ConnAck),
        (0x28, ConnAck),
        (0x29, ConnAck),
        (0x2A, ConnAck),
    ];
    for (identifier, place) in flags {
        for value in 0..=0xFF {
            let expected = if value > 1 { Some(PropertyValue) } else { None };
            let packet = packet_with(place, &[identifier, value]);
            assert_eq!(refused(&packet), expected, "{identifier:02X} {value:02X}");
        }
    }
    let cases: &[(PropertyPlace, &[u8], Option<Malformed>)] = &[
        (Connect, b"\x21\0\0", Some(PropertyValue)),
        (ConnAck, b"\x21\0\x01", None),
        (Connect, b"\x27\0\0\0\0", Some(PropertyValue)),
        (ConnAck, b"\x27\xFF\xFF\xFF\xFF", None),
        (Publish, b"\x23\0\0", Some(TopicAliasZero)),
        (Publish, b"\x23\xFF\xFF", None),
        (Subscribe, b"\x0B\0", Some(PropertyValue)),
        (Publish, b"\x0B\0", Some(PropertyValue)),
        (Subscribe, b"\x0B\xFF\xFF\xFF\x7F", None),
        (
            Subscribe,
            b"\x0B\x81\0",
            Some(VariableByteIntegerNotMinimal),
        ),
        (
            Subscribe,
            b"\x0B\xFF\xFF\xFF\xFF\x01",
            Some(VariableByteIntegerTooLong),
        ),
        // The identifier is a Variable Byte Integer too.
        (Publish, b"\x81\0\x01", Some(VariableByteIntegerNotMinimal)),
        (Publish, b"\x08\0\0", Some(TopicNameEmpty)),
        (Will, b"\x08\0\x03a/#", Some(TopicNameWildcard)),
        (Publish, b"\x08\0\x01+", Some(TopicNameWildcard)),
        (Publish, b"\x26\0\x01\0\0\0", Some(NulInString)),
        (Publish, b"\x26\0\0\0\x01\0", Some(NulInString)),
        (Publish, b"\x03\0\x01\xFF", Some(Malformed::InvalidUtf8)),
        (Publish, b"\x09\0\0", None),
        (Connect, b"\x11\xFF\xFF\xFF\xFF", None),
        (
            Connect,
            b"\x16\0\0",
            Some(Malformed::AuthenticationDataAlone),
        ),
        (
            ConnAck,
            b"\x16\0\0",
            Some(Malformed::AuthenticationDataAlone),
        ),
        // In either order.
        (Connect, b"\x16\0\0\x15\0\0", None),
    ];
    for (place, bytes, expected) in cases {
        let found = refused(&packet_with(*place, bytes));
        assert_eq!(found, *expected, "{bytes:02X?} at {place:?}");
    }
}

#[test]
fn order_is_kept_and_checked_bytes_can_be_sent_on() {
    let bytes = b"\x26\0\x01b\0\x012\x01\x01\x26\0\x01a\0\x011\x26\0\x01b\0\x012";
    let packet = packet_with(Publish, bytes);
    let Ok((Packet::Publish(publish), _)) = decode(&packet, Version::V5, 1000) else {
        panic!("{packet:02X?}");
    };
    let received: Vec<Property<'_>> = publish.properties.iter().collect();
    let expected = [
        Property::UserProperty("b", "2"),
        Property::PayloadFormatIndicator(true),
        Property::UserProperty("a", "1"),
        Property::UserProperty("b", "2"),
    ];
    assert_eq!(received, expected);
    assert_eq!(publish.properties.raw(), bytes);

    let added = [
        Property::SubscriptionIdentifier(7),
        Property::SubscriptionIdentifier(8),
    ];
    let forwarded = Properties::from_checked(publish.properties.raw(), &added);
    assert!(forwarded.iter().eq(expected.into_iter().chain(added)));
    assert_eq!(forwarded.content_len(), bytes.len() + 4);
    let mut buffer = [0; 128];
    let mut writer = SliceWriter::new(&mut buffer);
    assert_eq!(forwarded.encode(&mut writer), Ok(()));
    let written = writer.written();
    assert_eq!(written, forwarded.encoded_len());
    assert_eq!(
        buffer[..written],
        [&[27][..], bytes, b"\x0B\x07\x0B\x08"].concat()
    );
}

/// Bytes that no decoder gave: what comes before the first flaw, then the list.
#[test]
fn unchecked_bytes_end_at_the_first_flaw() {
    let added = [Property::SubscriptionIdentifier(7)];
    for flawed in [
        &b"\x01\x01\x01\x02\x25\x01"[..],
        b"\x01\x01\x21\0\0\x25\x01",
        b"\x01\x01\x1F\0\xFF\x25\x01",
        b"\x01\x01\x7F",
    ] {
        let found: Vec<Property<'_>> = Properties::from_checked(flawed, &added).iter().collect();
        let expected = [Property::PayloadFormatIndicator(true), added[0]];
        assert_eq!(found, expected, "{flawed:02X?}");
    }
}

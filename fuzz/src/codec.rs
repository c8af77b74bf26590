//! The promises of the codec on any bytes: no panic, and what was read can be written and read again.
//!
//! Answers for nothing but these; what is legal is shown by the tests of the codec itself.

use dunlin_codec::topic::{self, Filter};
use dunlin_codec::{DecodeError, FixedHeader, Packet, Properties, SliceWriter, Version, decode};

/// Reads `bytes` as a stream of packets of each version, and as the smaller things a packet is
/// made of.
///
/// # Panics
/// When the codec breaks a promise.
pub fn codec(bytes: &[u8]) {
    for version in [Version::V3, Version::V4, Version::V5] {
        stream(bytes, version);
    }
    // Bytes that nobody has checked: the iterator ends at the first flaw.
    let unchecked = Properties::from_checked(bytes, &[]);
    assert!(unchecked.iter().count() <= bytes.len());
    if let Ok(text) = core::str::from_utf8(bytes) {
        topics(text);
    }
}

fn stream(mut bytes: &[u8], version: Version) {
    loop {
        match decode(bytes, version, u32::MAX) {
            Ok((packet, length)) => {
                let Some((whole, rest)) = bytes.split_at_checked(length) else {
                    unreachable!("a packet of {length} bytes out of {}", bytes.len());
                };
                one_packet(&packet, whole, version);
                bytes = rest;
            }
            Err(DecodeError::Incomplete { needed }) => {
                assert!(needed > bytes.len(), "{needed} needed of {}", bytes.len());
                return;
            }
            Err(DecodeError::Malformed(reason)) => {
                // More bytes never make it right, nor wrong in another way.
                let longer = [bytes, &[0; 8]].concat();
                assert_eq!(decode(&longer, version, u32::MAX), Err(reason.into()));
                return;
            }
        }
    }
}

/// `packet` was read from exactly the bytes of `whole`.
fn one_packet(packet: &Packet<'_>, whole: &[u8], version: Version) {
    let header = FixedHeader::decode(whole, version, u32::MAX);
    assert_eq!(header.map(|header| header.packet_length()), Ok(whole.len()));
    for cut in [0, 1, 2, whole.len() / 2, whole.len() - 1] {
        let beginning = whole.get(..cut.min(whole.len() - 1)).unwrap_or_default();
        let decoded = decode(beginning, version, u32::MAX);
        assert!(
            matches!(decoded, Err(DecodeError::Incomplete { .. })),
            "{decoded:?} at {cut}"
        );
    }

    let mut written = Vec::new();
    assert_eq!(packet.encode(version, &mut written), Ok(()));
    assert!(
        written.len() <= whole.len(),
        "the shortest form is longer than what was read"
    );
    let again = decode(&written, version, u32::MAX);
    assert_eq!(again, Ok((*packet, written.len())));

    let mut buffer = vec![0; written.len()];
    let mut writer = SliceWriter::new(&mut buffer);
    assert_eq!(packet.encode(version, &mut writer), Ok(()));
    assert_eq!(buffer, written);
    buffer.pop();
    assert!(
        packet
            .encode(version, &mut SliceWriter::new(&mut buffer))
            .is_err()
    );

    contents(packet, version);
}

/// What a reader of the packet relies on without looking.
fn contents(packet: &Packet<'_>, version: Version) {
    match packet {
        Packet::Publish(publish) => {
            assert!(publish.topic_alias().is_some() || topic::check_name(publish.topic).is_ok());
            assert!(publish.properties.is_empty() || version.is_v5());
        }
        Packet::Subscribe(subscribe) => {
            assert_ne!(subscribe.subscriptions().count(), 0);
            for subscription in subscribe.subscriptions() {
                assert!(is_filter(subscription.filter, version));
            }
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert_ne!(unsubscribe.filters().count(), 0);
            assert!(
                unsubscribe
                    .filters()
                    .all(|filter| is_filter(filter, version))
            );
        }
        Packet::Connect(connect) => {
            if let Some(will) = connect.will {
                assert_eq!(topic::check_name(will.topic), Ok(()));
            }
        }
        _ => {}
    }
}

fn is_filter(text: &str, version: Version) -> bool {
    if version.is_v5() {
        Filter::parse(text).is_ok()
    } else {
        topic::check_filter(text).is_ok()
    }
}

fn topics(text: &str) {
    let filter = Filter::parse(text);
    if let Ok(Filter { share_name, filter }) = filter {
        assert_eq!(topic::check_filter(filter), Ok(()));
        let whole = match share_name {
            Some(name) => format!("$share/{name}/{filter}"),
            None => filter.to_owned(),
        };
        assert_eq!(whole, text);
    }
    // A name without wildcards is a filter that matches itself alone.
    if topic::check_name(text).is_ok() {
        assert_eq!(topic::check_filter(text), Ok(()));
    }
    assert_eq!(topic::levels(text), text.split('/').count());
}

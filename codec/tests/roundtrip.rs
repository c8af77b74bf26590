//! What holds for every legal packet: what is written is read again as it was, lengths agree,
//! a buffer too small says so, and bytes that come later change nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)] // a test that stumbles fails

mod generate;

use dunlin_codec::{
    DecodeError, EncodeError, FixedHeader, Packet, Properties, Sink, SliceWriter, Version, decode,
};
use proptest::prelude::*;

/// A sink that grows, for a crate that is tested without its `alloc` feature.
#[derive(Default)]
struct Grow(Vec<u8>);

impl Sink for Grow {
    fn put(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut sink = Grow::default();
    packet.encode(version, &mut sink).unwrap();
    sink.0
}

/// Enough cases for every type and version; the packets are leaked, so not too many.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read_again((version, packet) in generate::packet()) {
        let bytes = encoded(version, &packet);
        let header = FixedHeader::decode(&bytes, version, u32::MAX);
        prop_assert_eq!(header.map(|header| header.packet_length()), Ok(bytes.len()));
        let decoded = decode(&bytes, version, u32::MAX);
        prop_assert_eq!(decoded, Ok((packet, bytes.len())));
        // What was read is written as it came.
        prop_assert_eq!(encoded(version, &decoded.unwrap().0), bytes);
    }

    #[test]
    fn a_publish_knows_its_length_and_can_go_in_two_parts(version in generate::version(), packets in generate::version().prop_flat_map(generate::publish)) {
        // One of another version has properties that this version leaves out.
        let Packet::Publish(publish) = packets else { unreachable!() };
        let mut head = Grow::default();
        match publish.encode_head(version, &mut head) {
            Ok(()) => {
                let bytes = encoded(version, &packets);
                prop_assert_eq!(publish.packet_length(version), bytes.len());
                prop_assert_eq!([&head.0[..], publish.payload].concat(), bytes);
            }
            Err(error) => {
                prop_assert_eq!(error, EncodeError::NotInThisVersion);
                prop_assert!(publish.topic.is_empty() && !version.is_v5());
            }
        }
    }

    #[test]
    fn a_buffer_too_small_says_so((version, packet) in generate::packet()) {
        let bytes = encoded(version, &packet);
        let mut buffer = vec![0xAA; bytes.len()];
        // All sizes of a short packet, the ends and some of the middle of a long one.
        let step = bytes.len() / 300 + 1;
        for size in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            let mut writer = SliceWriter::new(&mut buffer[..size]);
            prop_assert_eq!(packet.encode(version, &mut writer), Err(EncodeError::BufferFull));
            prop_assert!(writer.written() <= size);
        }
        let mut writer = SliceWriter::new(&mut buffer);
        prop_assert_eq!(packet.encode(version, &mut writer), Ok(()));
        prop_assert_eq!(writer.written(), bytes.len());
        prop_assert_eq!(buffer, bytes);
    }

    #[test]
    fn every_beginning_is_incomplete_and_nothing_behind_matters(
        (version, packet) in generate::packet(),
        behind in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let bytes = encoded(version, &packet);
        let step = bytes.len() / 300 + 1;
        for cut in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            let decoded = decode(&bytes[..cut], version, u32::MAX);
            let Err(DecodeError::Incomplete { needed }) = decoded else {
                return Err(TestCaseError::fail(format!("{decoded:?} at {cut}")));
            };
            prop_assert!(needed > cut && needed <= bytes.len());
        }
        let stream = [&bytes[..], &behind].concat();
        prop_assert_eq!(decode(&stream, version, u32::MAX), Ok((packet, bytes.len())));
    }

    #[test]
    fn the_size_limit_is_the_length_of_the_packet((version, packet) in generate::packet()) {
        let bytes = encoded(version, &packet);
        let length = u32::try_from(bytes.len()).unwrap();
        prop_assert!(decode(&bytes, version, length).is_ok());
        let too_large = decode(&bytes, version, length - 1);
        prop_assert_eq!(too_large, Err(dunlin_codec::Malformed::PacketTooLarge.into()));
    }

    #[test]
    fn properties_are_forwarded_byte_for_byte(packet in generate::publish(Version::V5)) {
        let bytes = encoded(Version::V5, &packet);
        let Ok((Packet::Publish(publish), _)) = decode(&bytes, Version::V5, u32::MAX) else { unreachable!() };
        let again = Properties::from_checked(publish.properties.raw(), &[]);
        prop_assert_eq!(again, publish.properties);
        let mut sink = Grow::default();
        prop_assert_eq!(again.encode(&mut sink), Ok(()));
        prop_assert_eq!(sink.0.len(), again.encoded_len());
        prop_assert!(sink.0.ends_with(publish.properties.raw()));
    }
}

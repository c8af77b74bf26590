//! The codec target under proptest: noise, noise that looks like packets, and packets with damage.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)] // a test that stumbles fails

#[path = "../../codec/tests/generate/mod.rs"]
mod generate;

use dunlin_codec::{Packet, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index),
    Repeat(Index, Index),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    // The bytes that lengths, counts and strings turn on.
    let telling = prop_oneof![
        proptest::sample::select(&[
            0, 1, 2, 0x7F, 0x80, 0xFF, b'#', b'+', b'/', b'$', 0xC0, 0xED
        ]),
        any::<u8>(),
    ];
    prop_oneof![
        3 => (any::<Index>(), telling).prop_map(|(at, byte)| Damage::Set(at, byte)),
        3 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (any::<Index>(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        2 => any::<Index>().prop_map(Damage::Remove),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        1 => any::<Index>().prop_map(Damage::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match damage {
        Damage::Set(at, byte) => bytes[at.index(length)] = *byte,
        Damage::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Damage::Insert(at, more) => {
            let at = at.index(length);
            bytes.splice(at..at, more.iter().copied());
        }
        Damage::Remove(at) => {
            bytes.remove(at.index(length));
        }
        Damage::Repeat(from, to) => {
            let (from, to) = (from.index(length), to.index(length));
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.extend(part);
        }
        Damage::Cut(at) => bytes.truncate(at.index(length)),
    }
}

/// First byte, a Remaining Length that agrees, and the body.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let length = u32::try_from(body.len()).unwrap();
    dunlin_codec::writer::put_variable_byte_integer(&mut bytes, length).unwrap();
    bytes.extend_from_slice(body);
    bytes
}

fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn noise(bytes in vec(any::<u8>(), 0..80)) {
        dunlin_fuzz::codec(&bytes);
    }

    #[test]
    fn noise_in_a_frame(first in any::<u8>(), body in vec(prop_oneof![Just(0), 0..8_u8, any::<u8>()], 0..40)) {
        dunlin_fuzz::codec(&framed(first, &body));
    }

    #[test]
    fn text(text in any::<String>()) {
        dunlin_fuzz::codec(text.as_bytes());
    }

    #[test]
    fn filters(levels in vec(proptest::sample::select(&["", "a", "+", "#", "$share", "b#", "\u{e9}"]), 1..6)) {
        dunlin_fuzz::codec(levels.join("/").as_bytes());
    }
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn damaged_streams(
        packets in vec(generate::packet(), 1..4),
        damages in vec(damage(), 0..4),
    ) {
        let mut bytes: Vec<u8> =
            packets.iter().flat_map(|(version, packet)| encoded(*version, packet)).collect();
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        dunlin_fuzz::codec(&bytes);
    }

    /// As above, but the Remaining Length agrees, so that the damage is found behind it.
    #[test]
    fn damaged_bodies(
        (version, packet) in generate::packet(),
        damages in vec(damage(), 1..4),
    ) {
        let bytes = encoded(version, &packet);
        let header = dunlin_codec::FixedHeader::decode(&bytes, version, u32::MAX).unwrap();
        let mut body = bytes[header.header_length..].to_vec();
        for damage in &damages {
            apply(&mut body, damage);
        }
        dunlin_fuzz::codec(&framed(bytes[0], &body));
    }
}

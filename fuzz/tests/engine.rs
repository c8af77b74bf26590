//! The connection and trie targets under proptest.

#![allow(missing_docs)] // the names say it

use proptest::collection::vec;
use proptest::prelude::*;

fn config(cases: u32) -> ProptestConfig {
    let soak = std::env::var_os("DUNLIN_SOAK").is_some();
    ProptestConfig {
        cases: if soak { cases * 50 } else { cases },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Packets that a client of this version may send, with small damage now and then.
fn packet(v5: bool) -> impl Strategy<Value = Vec<u8>> {
    let name = proptest::sample::select(vec!["a/b", "a", "b/c", "$SYS/x"]);
    let filter = proptest::sample::select(vec!["a/b", "$share/s/a/#", "#", "+/b", "a/+"]);
    let id = 1..6_u8;
    // An empty set of properties, or Message Expiry, or Topic Alias.
    let properties = proptest::sample::select(vec![&[0][..], &[5, 2, 0, 0, 0, 20], &[3, 35, 0, 1]]);
    let flags = proptest::sample::select(vec![0_u8, 1, 2, 3, 4, 5, 10, 12]);
    let publish = (flags, name, id.clone(), properties, vec(any::<u8>(), 0..3)).prop_map(
        move |(flags, name, id, properties, payload)| {
            let mut body = text(name);
            if flags & 6 != 0 {
                body.extend_from_slice(&[0, id]);
            }
            if v5 {
                body.extend_from_slice(properties);
            }
            body.extend(payload);
            framed(0x30 | flags, &body)
        },
    );
    let options = proptest::sample::select(if v5 {
        vec![0_u8, 1, 2, 0x0A, 0x15, 0x2E]
    } else {
        vec![0, 1, 2]
    });
    let subscribe =
        (0..4_u8, filter, id.clone(), options).prop_map(move |(kind, filter, id, options)| {
            let mut body = vec![0, id];
            if v5 {
                body.push(0);
            }
            body.extend(text(filter));
            if kind == 0 {
                return framed(0xA2, &body);
            }
            body.push(if filter.starts_with("$share") {
                options & !4
            } else {
                options
            });
            framed(0x82, &body)
        });
    let ack = (proptest::sample::select(vec![0x40, 0x50, 0x62, 0x70]), id)
        .prop_map(|(first, id)| vec![first, 2, 0, id]);
    prop_oneof![
        40 => publish,
        20 => subscribe,
        40 => ack,
        4 => Just(vec![0xC0, 0]),
        2 => Just(vec![0xE0, 0]),
        2 => vec(any::<u8>(), 0..12),
    ]
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![0, text.len() as u8];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, body.len() as u8];
    bytes.extend_from_slice(body);
    bytes
}

/// A step of the program: see the target.
fn step(v5: bool) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => (0..96_u8, packet(v5)).prop_map(|(step, packet)| {
            let mut bytes = vec![step, packet.len() as u8];
            bytes.extend(packet);
            bytes
        }),
        4 => connect(v5),
        1 => (160..192_u8).prop_map(|step| vec![step]),
        1 => (192..224_u8, any::<u8>()).prop_map(|(step, secs)| vec![step, secs % 8]),
        1 => (224..=255_u8).prop_map(|step| vec![step]),
    ]
}

/// The choice modulo 3 is the version.
fn connect(v5: bool) -> impl Strategy<Value = Vec<u8>> {
    (96..160_u8, 0..84_u8)
        .prop_map(move |(step, choice)| vec![step, choice * 3 + if v5 { 2 } else { 1 }])
}

/// A line of the trie's program.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let level = prop_oneof![
        Just(""),
        Just("+"),
        Just("#"),
        Just("a"),
        Just("b"),
        Just("$x"),
        Just("é"),
        Just("a+")
    ];
    (any::<u8>(), vec(level, 1..6)).prop_map(|(step, levels)| {
        let mut bytes = vec![if step == b'\n' { 0 } else { step }];
        bytes.extend_from_slice(levels.join("/").as_bytes());
        bytes
    })
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn connections_stand_noise(bytes in vec(any::<u8>(), 0..300)) {
        dunlin_fuzz::connection(&bytes);
    }

    #[test]
    fn connections_stand_packets_in_any_order(
        steps in any::<bool>().prop_flat_map(|v5| (vec(connect(v5), 3), vec(step(v5), 0..80)))
    ) {
        dunlin_fuzz::connection(&[steps.0.concat(), steps.1.concat()].concat());
    }

    #[test]
    fn the_trie_agrees_with_the_plain_matcher(lines in vec(line(), 0..80)) {
        dunlin_fuzz::trie(&lines.join(&b'\n'));
    }
}

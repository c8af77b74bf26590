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

/// Packets that reach far into the rules, as raw bytes: the damage comes from around them.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let topic = proptest::sample::select(vec![
        "a/b",
        "a",
        "b/c",
        "$SYS/x",
        "$share/s/a/#",
        "#",
        "+/b",
    ]);
    let id = 0..4_u8;
    prop_oneof![
        // PUBLISH of 3.1.1 and 5
        4 => (0..16_u8, topic.clone(), id.clone(), vec(any::<u8>(), 0..6)).prop_map(|(flags, topic, id, tail)| {
            let mut body = vec![0, topic.len() as u8];
            body.extend_from_slice(topic.as_bytes());
            if flags & 6 != 0 {
                body.extend_from_slice(&[0, id]);
            }
            body.extend(tail);
            framed(0x30 | flags, &body)
        }),
        // SUBSCRIBE, UNSUBSCRIBE
        3 => (any::<bool>(), topic, id.clone(), 0..64_u8, any::<bool>()).prop_map(|(subscribe, topic, id, options, v5)| {
            let mut body = vec![0, id];
            if v5 {
                body.push(0);
            }
            body.extend_from_slice(&[0, topic.len() as u8]);
            body.extend_from_slice(topic.as_bytes());
            if subscribe {
                body.push(options);
            }
            framed(if subscribe { 0x82 } else { 0xA2 }, &body)
        }),
        // PUBACK, PUBREC, PUBREL, PUBCOMP
        4 => (proptest::sample::select(vec![0x40, 0x50, 0x62, 0x70]), id)
            .prop_map(|(first, id)| vec![first, 2, 0, id]),
        1 => Just(vec![0xC0, 0]),
        1 => Just(vec![0xE0, 0]),
        1 => vec(any::<u8>(), 0..12),
    ]
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, body.len() as u8];
    bytes.extend_from_slice(body);
    bytes
}

/// A step of the program: see the target.
fn step() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..96_u8, packet()).prop_map(|(step, packet)| {
            let mut bytes = vec![step, packet.len() as u8];
            bytes.extend(packet);
            bytes
        }),
        3 => (96..160_u8, any::<u8>()).prop_map(|(step, choice)| vec![step, choice]),
        1 => (160..192_u8).prop_map(|step| vec![step]),
        1 => (192..224_u8, any::<u8>()).prop_map(|(step, secs)| vec![step, secs]),
        1 => (224..=255_u8).prop_map(|step| vec![step]),
    ]
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
    fn connections_stand_packets_in_any_order(steps in vec(step(), 0..60)) {
        dunlin_fuzz::connection(&steps.concat());
    }

    #[test]
    fn the_trie_agrees_with_the_plain_matcher(lines in vec(line(), 0..80)) {
        dunlin_fuzz::trie(&lines.join(&b'\n'));
    }
}

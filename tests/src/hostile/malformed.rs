//! Bytes that are no packets: random, cut short, longer than they say, or announced and never sent. MQTT 5 chapter 2.

use std::time::Duration;

use super::socket::{Socket, closed_within};
use super::{Dice, Scenario, Stage, scenario, sized};
use crate::raw::build::{self, Connect, Publish, property};
use crate::raw::{Outcome, PATIENCE, Version, ensure};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("malformed::random_bytes", random_bytes).rounds(3),
    scenario("malformed::truncated_packets", truncated_packets),
    scenario("malformed::flipped_bits", flipped_bits),
    scenario("malformed::cve_2017_7651_lengths_of_256_mib", lengths).rounds(3),
    scenario(
        "malformed::cve_2023_0809_large_first_packet",
        large_first_packet,
    )
    .rounds(3),
    scenario(
        "malformed::cve_2026_21888_five_byte_length",
        five_byte_length,
    ),
    scenario(
        "malformed::cve_2021_33175_lengths_that_disagree",
        lengths_disagree,
    )
    .rounds(3),
];

/// How long a flood may be refused before it gives up.
const SHORT: Duration = Duration::from_millis(50);

/// One well-formed packet of each kind that a client may send, and of each that it may not.
pub(super) fn packets(version: Version) -> Vec<Vec<u8>> {
    let publish = |qos| Publish::new(version, "hostile/a", "payload").qos(qos, 7);
    let mut packets = vec![
        Connect::new(version, "hostile")
            .will("hostile/will", "gone", 1, true)
            .user_name("user")
            .password("password")
            .bytes(),
        publish(0).bytes(),
        publish(1).bytes(),
        publish(2).retain().bytes(),
        build::ack(build::PUBACK, 7),
        build::ack(build::PUBREC, 7),
        build::ack(build::PUBREL, 7),
        build::ack(build::PUBCOMP, 7),
        build::subscribe(version, 7, &[("hostile/+", 1), ("hostile/b/#", 2)]),
        build::unsubscribe(version, 7, &["hostile/+", "hostile/b/#"]),
        build::PINGREQ.to_vec(),
        build::DISCONNECT.to_vec(),
    ];
    packets.extend(of_the_server(version));
    if version == Version::V5 {
        let will_properties = property::four(property::WILL_DELAY, 5);
        packets.push(
            Connect::new(version, "hostile-5")
                .property(property::four(property::SESSION_EXPIRY, 1))
                .property(property::two(property::RECEIVE_MAXIMUM, 9))
                .property(property::user("name", "value"))
                .will("hostile/will", "gone", 1, false)
                .will_property(will_properties)
                .bytes(),
        );
        packets.push(
            publish(1)
                .property(property::two(property::TOPIC_ALIAS, 3))
                .property(property::four(property::MESSAGE_EXPIRY, 60))
                .property(property::text(property::RESPONSE_TOPIC, "hostile/r"))
                .property(property::text(property::CORRELATION_DATA, [0, 255]))
                .bytes(),
        );
        let identifier = property::varint(property::SUBSCRIPTION_ID, 268_435_455);
        packets.push(build::subscribe_with(
            version,
            8,
            &identifier,
            &[("$share/s/hostile/#", 1)],
        ));
        packets.push(build::ack_with(build::PUBREC, 7, 0x80));
        packets.push(build::disconnect_with(
            4,
            &property::four(property::SESSION_EXPIRY, 0),
        ));
        packets.push(build::auth(
            0x18,
            &property::text(property::AUTH_METHOD, "m"),
        ));
    }
    packets
}

/// Packets that only a server sends.
pub(super) fn of_the_server(version: Version) -> Vec<Vec<u8>> {
    let connack = [&[0, 0][..], &build::properties(version, &[])].concat();
    vec![
        build::packet(0x20, connack),
        build::suback(0x90, version, 7, &[0, 1]),
        build::suback(0xB0, version, 7, &[0]),
        build::PINGRESP.to_vec(),
    ]
}

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

fn random_bytes(stage: &Stage) -> Outcome {
    let mut dice = Dice(0x5EED_0001);
    for number in 0..sized(400, 20_000) {
        let mut bytes = Vec::new();
        let version = VERSIONS[number % 2];
        if number % 4 < 2 {
            bytes.extend(Connect::new(version, "random").bytes());
        }
        let count = dice.below(2000);
        bytes.extend(dice.bytes(count));
        if number % 8 < 4 {
            // A length that is plausible, so that the garbage behind it is looked at as a packet's body.
            let body = dice.below(126);
            let kind = dice.roll().to_be_bytes()[0];
            let garbage = dice.bytes(body);
            bytes.splice(bytes.len() - count.., build::packet(kind, garbage));
        }
        let mut socket = Socket::open(stage.address())?;
        socket.push(bytes, SHORT);
        socket.drain();
    }
    stage.still_serves()
}

fn truncated_packets(stage: &Stage) -> Outcome {
    for version in VERSIONS {
        for packet in packets(version) {
            for length in 1..packet.len() {
                let cut = packet.get(..length).unwrap_or_default();
                let connect = Connect::new(version, "truncated").bytes();
                let mut socket = Socket::with(stage, [connect.as_slice(), cut].concat())?;
                if length % 2 == 0 {
                    socket.half_close();
                    ensure(socket.closes(PATIENCE), || {
                        format!("still open after the end of {cut:02X?}")
                    })?;
                } else {
                    socket.reset();
                }
                Socket::with(stage, cut)?.reset();
            }
        }
    }
    stage.still_serves()
}

fn flipped_bits(stage: &Stage) -> Outcome {
    for version in VERSIONS {
        for packet in packets(version) {
            for bit in (0..packet.len() * 8).step_by(sized(3, 1)) {
                let mut flipped = packet.clone();
                if let Some(byte) = flipped.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
                let connect = Connect::new(version, "flipped").bytes();
                let bytes = [connect, flipped, build::PINGREQ.to_vec()].concat();
                let mut socket = Socket::with(stage, bytes)?;
                socket.drain();
            }
        }
    }
    stage.still_serves()
}

/// Every packet type announces 256 MiB, sends a little of it and holds the line: before CONNECT, as CONNECT, after it.
fn lengths(stage: &Stage) -> Outcome {
    let mut sockets = Vec::new();
    for first in 0..=255_u8 {
        let head = [first, 0xFF, 0xFF, 0xFF, 0x7F];
        let bytes = [&head[..], &[0; 3000]].concat();
        sockets.push(Socket::with(stage, &bytes)?);
        for version in VERSIONS {
            let connect = Connect::new(version, format!("long-{first}")).bytes();
            sockets.push(Socket::with(stage, [connect.as_slice(), &bytes].concat())?);
        }
    }
    // None of them is a packet that the broker takes: it needn't wait for the rest.
    let closed = closed_within(&mut sockets, PATIENCE);
    ensure(closed == sockets.len(), || {
        format!(
            "{} of {} wait for 256 MiB",
            sockets.len() - closed,
            sockets.len()
        )
    })?;
    stage.still_serves()
}

fn large_first_packet(stage: &Stage) -> Outcome {
    let mut sockets = Vec::new();
    for kind in (0..16_u8).filter(|kind| *kind != 1) {
        let packet = build::packet(kind << 4, vec![0; 200 * 1024]);
        for _ in 0..sized(6, 60) {
            let mut socket = Socket::open(stage.address())?;
            socket.push(&packet, SHORT);
            sockets.push(socket);
        }
    }
    let closed = closed_within(&mut sockets, PATIENCE);
    ensure(closed == sockets.len(), || {
        format!(
            "{} of {} are listened to",
            sockets.len() - closed,
            sockets.len()
        )
    })
}

fn five_byte_length(stage: &Stage) -> Outcome {
    for first in [0x10, 0x30, 0x82, 0xC0, 0xE0] {
        for tail in [0x00, 0x01, 0x7F, 0x80, 0xFF] {
            let bytes = [first, 0x80, 0x80, 0x80, 0x80, tail, 0, 0];
            for connect in [Vec::new(), Connect::new(Version::V5, "five").bytes()] {
                let mut socket = Socket::with(stage, [connect.as_slice(), &bytes].concat())?;
                ensure(socket.closes(PATIENCE), || format!("taken: {bytes:02X?}"))?;
            }
        }
    }
    stage.still_serves()
}

/// Lengths inside a packet (of strings, of properties) that lead far beyond its end.
fn lengths_disagree(stage: &Stage) -> Outcome {
    for version in VERSIONS {
        for packet in packets(version) {
            for at in 2..packet.len() {
                let mut bytes = Connect::new(version, "disagree").bytes();
                let start = bytes.len();
                bytes.extend(&packet);
                for lie in [&[0xFF, 0xFF][..], &[0xFF, 0xFF, 0xFF, 0x7F]] {
                    let mut bytes = bytes.clone();
                    for (byte, lie) in bytes.iter_mut().skip(start + at).zip(lie) {
                        *byte = *lie;
                    }
                    Socket::with(stage, bytes)?.drain();
                }
            }
        }
    }
    stage.still_serves()
}

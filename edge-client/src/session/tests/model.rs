//! Random dialogues: any bytes never panic; with a simple server and connections that are lost at any byte,
//! no message of QoS 1 or 2 is lost and none of QoS 2 doubled.

use std::collections::VecDeque;

use dunlin_codec::{DecodeError, SliceWriter};
use proptest::prelude::*;

use super::*;

/// What the server's side knows of a message it sends.
#[derive(Clone, Debug)]
struct Sending {
    packet_id: u16,
    qos: QoS,
    payload: Vec<u8>,
    sent: bool,
    /// PUBREC came.
    released: bool,
}

/// A server of one Session: as simple as can be.
#[derive(Default)]
struct Server {
    /// Bytes from the client that aren't a whole packet yet.
    input: Vec<u8>,
    /// Bytes for the client.
    output: Vec<u8>,
    has_session: bool,
    connected: bool,
    /// QoS 2 identifiers awaiting PUBREL.
    received: Vec<PacketId>,
    /// What was published, without repeats of QoS 2.
    published: Vec<(QoS, Vec<u8>)>,
    sending: VecDeque<Sending>,
    next_packet_id: u16,
}

impl Server {
    fn say(&mut self, version: Version, packet: Packet<'_>) {
        let mut buffer = [0; 256];
        let mut writer = SliceWriter::new(&mut buffer);
        packet.encode(version, &mut writer).unwrap();
        let written = writer.written();
        self.output.extend_from_slice(&buffer[..written]);
    }

    fn hear(&mut self, version: Version) {
        let input = core::mem::take(&mut self.input);
        let mut rest = &input[..];
        loop {
            match decode(rest, version, u32::MAX) {
                Ok((packet, length)) => {
                    self.on_packet(version, packet);
                    rest = &rest[length..];
                }
                Err(DecodeError::Incomplete { .. }) => break,
                Err(error) => panic!("the client sent {error}: {rest:?}"),
            }
        }
        self.input = rest.to_vec();
        self.send_due(version);
    }

    fn on_packet(&mut self, version: Version, packet: Packet<'_>) {
        match packet {
            Packet::Connect(_) => {
                let connack = ConnAck {
                    session_present: self.has_session,
                    reason_code: ReasonCode::Success,
                    properties: Properties::from_list(if version.is_v5() {
                        &[Property::ReceiveMaximum(2)]
                    } else {
                        &[]
                    }),
                };
                self.has_session = true;
                self.connected = true;
                self.say(version, Packet::ConnAck(connack));
                self.sending
                    .iter_mut()
                    .for_each(|sending| sending.sent = false);
            }
            Packet::Publish(packet) => {
                let message = (packet.qos, packet.payload.to_vec());
                match (packet.qos, packet.packet_id) {
                    (QoS::AtLeastOnce, Some(packet_id)) => {
                        self.published.push(message);
                        self.say(version, Packet::PubAck(Ack::new(packet_id)));
                    }
                    (QoS::ExactlyOnce, Some(packet_id)) => {
                        if !self.received.contains(&packet_id) {
                            assert!(!packet.dup || self.has_session);
                            self.received.push(packet_id);
                            self.published.push(message);
                        }
                        assert!(!version.is_v5() || self.received.len() <= 2, "window");
                        self.say(version, Packet::PubRec(Ack::new(packet_id)));
                    }
                    _ => self.published.push(message),
                }
            }
            Packet::PubRel(ack) => {
                self.received
                    .retain(|packet_id| *packet_id != ack.packet_id);
                self.say(version, Packet::PubComp(Ack::new(ack.packet_id)));
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => self
                .sending
                .retain(|sending| sending.packet_id != ack.packet_id.get()),
            Packet::PubRec(ack) => {
                let id = ack.packet_id.get();
                let sending = self.sending.iter_mut().find(|entry| entry.packet_id == id);
                sending.expect("a PUBREC for what was sent").released = true;
                self.say(version, Packet::PubRel(Ack::new(ack.packet_id)));
            }
            other => panic!("{other:?}"),
        }
    }

    /// Sends within the client's window, in order.
    fn send_due(&mut self, version: Version) {
        if !self.connected {
            return;
        }
        let due: Vec<Sending> = self
            .sending
            .iter_mut()
            .take(INCOMING)
            .filter(|sending| !sending.sent)
            .map(|sending| {
                sending.sent = true;
                sending.clone()
            })
            .collect();
        for sending in due {
            let packet_id = sending.packet_id;
            if sending.released {
                self.say(version, pubrel(packet_id));
            } else {
                let packet = publish(sending.qos, packet_id, &sending.payload, false);
                self.say(version, packet);
            }
        }
    }

    fn give(&mut self, qos: QoS, payload: Vec<u8>) {
        self.next_packet_id += 1;
        self.sending.push_back(Sending {
            packet_id: self.next_packet_id,
            qos,
            payload,
            sent: false,
            released: false,
        });
    }
}

/// Both sides and what is on the way between them.
struct World {
    version: Version,
    /// With room for three messages, so that it's gathered often.
    session: Session<[u8; 80], OUTGOING, INCOMING>,
    server: Server,
    now: Instant,
    /// What reached the client and isn't taken.
    input: Vec<u8>,
    given: Vec<(PacketId, QoS, Vec<u8>)>,
    acknowledged: Vec<PacketId>,
    messages: Vec<(QoS, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Operation {
    Publish(QoS),
    Serve(QoS),
    /// At most so many bytes reach the server.
    Up(usize),
    /// At most so many bytes reach the client.
    Down(usize),
    Cut,
}

fn operation() -> impl Strategy<Value = Operation> {
    let qos = || prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    prop_oneof![
        4 => qos().prop_map(Operation::Publish),
        4 => qos().prop_map(Operation::Serve),
        6 => (1_usize..60).prop_map(Operation::Up),
        6 => (1_usize..60).prop_map(Operation::Down),
        1 => Just(Operation::Cut),
    ]
}

impl World {
    fn new(version: Version) -> Self {
        let mut session = Session::new([0; 80], &kept(version)).unwrap();
        session.handle_connected(Instant::ZERO);
        Self {
            version,
            session,
            server: Server::default(),
            now: Instant::ZERO,
            input: Vec::new(),
            given: Vec::new(),
            acknowledged: Vec::new(),
            messages: Vec::new(),
        }
    }

    fn apply(&mut self, operation: &Operation, number: usize) {
        match *operation {
            Operation::Publish(qos) => self.publish(qos, number),
            Operation::Serve(qos) => self.server.give(qos, number.to_be_bytes().to_vec()),
            Operation::Up(bytes) => self.up(bytes),
            Operation::Down(bytes) => self.down(bytes),
            Operation::Cut => {
                self.session.handle_disconnected();
                self.session.handle_connected(self.now);
                self.server.connected = false;
                self.server.input.clear();
                self.server.output.clear();
                self.input.clear();
            }
        }
    }

    fn publish(&mut self, qos: QoS, number: usize) {
        let payload = number.to_be_bytes().to_vec();
        let message = Message {
            qos,
            ..Message::new("t", &payload)
        };
        match self.session.publish(&message) {
            Ok(packet_id) => self.given.push((packet_id.unwrap(), qos, payload)),
            Err(error) => assert_eq!(error, CommandError::OutboxFull),
        }
    }

    fn up(&mut self, mut bytes: usize) {
        while bytes > 0
            && let Some(transmit) = self.session.poll_transmit()
        {
            let count = transmit.len().min(bytes);
            self.server.input.extend_from_slice(&transmit[..count]);
            self.session.handle_transmitted(self.now, count);
            bytes -= count;
        }
        self.server.hear(self.version);
    }

    fn down(&mut self, bytes: usize) {
        let count = bytes.min(self.server.output.len());
        self.input.extend(self.server.output.drain(..count));
        loop {
            match self.session.handle_bytes(self.now, &self.input).unwrap() {
                Received::Incomplete { .. } | Received::Blocked => break,
                Received::Packet { length, event } => {
                    match event {
                        Some(Event::Published { packet_id, .. }) => {
                            self.acknowledged.push(packet_id);
                        }
                        Some(Event::Message(message)) => {
                            let payload = message.payload.to_vec();
                            self.messages.push((message.qos, payload));
                        }
                        Some(Event::Connected(_)) | None => {}
                        Some(other) => panic!("{other:?}"),
                    }
                    self.input.drain(..length);
                }
            }
        }
        assert_eq!(self.session.poll_event(), None);
    }

    /// Without further cuts everything arrives.
    fn finish(&mut self) {
        for _ in 0..1000 {
            self.up(1000);
            self.down(1000);
            if self.session.unacknowledged() == 0 && self.server.sending.is_empty() {
                return;
            }
        }
        panic!("the dialogue doesn't end");
    }
}

fn of_qos(messages: &[(QoS, Vec<u8>)], qos: QoS) -> Vec<Vec<u8>> {
    let of_qos = messages.iter().filter(|message| message.0 == qos);
    of_qos.map(|message| message.1.clone()).collect()
}

/// The first of each, in order.
fn without_repeats(messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut firsts = Vec::new();
    for message in messages {
        if !firsts.contains(&message) {
            firsts.push(message);
        }
    }
    firsts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_doubled(
        v5: bool,
        operations in proptest::collection::vec(operation(), 1..120),
    ) {
        let mut world = World::new(if v5 { Version::V5 } else { Version::V4 });
        let mut served = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            if let Operation::Serve(qos) = operation {
                served.push((*qos, number.to_be_bytes().to_vec()));
            }
            world.apply(operation, number);
        }
        world.finish();
        let given: Vec<_> = world.given.iter().map(|(_, qos, payload)| (*qos, payload.clone())).collect();
        prop_assert_eq!(world.acknowledged.len(), given.len());
        for (sent, arrived) in [(&given, &world.server.published), (&served, &world.messages)] {
            prop_assert_eq!(of_qos(sent, QoS::ExactlyOnce), of_qos(arrived, QoS::ExactlyOnce));
            let arrived = without_repeats(of_qos(arrived, QoS::AtLeastOnce));
            prop_assert_eq!(of_qos(sent, QoS::AtLeastOnce), arrived);
        }
    }

    #[test]
    fn any_bytes_never_panic(
        v5: bool,
        accepted: bool,
        inputs in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..12),
    ) {
        let options = kept(if v5 { Version::V5 } else { Version::V4 });
        let mut dialogue = if accepted { Dialogue::connected(&options) } else { Dialogue::open(&options) };
        dialogue.publish(QoS::ExactlyOnce, b"x");
        for input in inputs {
            let _ = dialogue.session.publish(&Message::new("t", &input));
            dialogue.drain();
            let mut rest = &input[..];
            while let Ok(Received::Packet { length, .. }) = dialogue.session.handle_bytes(dialogue.now, rest) {
                prop_assert!(length > 0);
                rest = &rest[length..];
            }
            dialogue.pass_millis(20_000);
            let _ = dialogue.session.handle_timeout(dialogue.now);
        }
    }

    /// As above, but bytes that often are packets.
    #[test]
    fn any_packets_never_panic(
        v5: bool,
        packets in proptest::collection::vec(
            (0_u8..16, 0_u8..16, proptest::collection::vec(0_u8..6, 0..8)), 1..40),
    ) {
        let options = kept(if v5 { Version::V5 } else { Version::V4 });
        let mut dialogue = Dialogue::connected(&options);
        for (packet_type, flags, body) in packets {
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let _ = dialogue.session.publish(&Message { qos, ..Message::new("t", b"x") });
            }
            dialogue.drain();
            let mut bytes = std::vec![packet_type << 4 | flags, u8::try_from(body.len()).unwrap()];
            bytes.extend(body);
            let outcome = dialogue.session.handle_bytes(dialogue.now, &bytes);
            if outcome.is_err() {
                dialogue.drain();
                prop_assert!(dialogue.session.is_closed());
                dialogue.reconnect(true);
            }
            prop_assert!(dialogue.session.unacknowledged() <= 2 * OUTGOING);
        }
    }
}

//! Dialogues of a session with a server that the test plays, in virtual time.

mod connect;
mod keep_alive;
mod model;
mod publish;
mod receive;
mod subscribe;

use std::vec::Vec;

use dunlin_codec::{Ack, ConnAck, Packet, Publish, SubAck, UnsubAck, decode};

use crate::*;

const OUTGOING: usize = 4;
const INCOMING: usize = 3;

type TestSession = Session<[u8; 512], OUTGOING, INCOMING>;

/// A session, the time, and what the server says and hears.
struct Dialogue {
    session: TestSession,
    now: Instant,
    version: Version,
}

impl Dialogue {
    /// A session whose transport is open; CONNECT is due.
    fn open(options: &Options<'_>) -> Self {
        let session = Session::new([0; 512], options).unwrap();
        let mut dialogue = Self {
            session,
            now: Instant::from_millis(1_000_000),
            version: options.version,
        };
        dialogue.session.handle_connected(dialogue.now);
        dialogue
    }

    /// A session whose new connection the server has accepted.
    fn connected(options: &Options<'_>) -> Self {
        let mut dialogue = Self::open(options);
        dialogue.drain();
        dialogue.accept(false, &[]);
        dialogue
    }

    /// The server accepts; nothing else is transmitted before.
    fn accept(&mut self, session_present: bool, properties: &[Property<'_>]) -> Connected<'static> {
        let event = self.hear(Packet::ConnAck(ConnAck {
            session_present,
            reason_code: ReasonCode::Success,
            properties: Properties::from_list(properties),
        }));
        match event {
            Some(Event::Connected(connected)) => connected,
            other => panic!("no Connected but {other:?}"),
        }
    }

    /// The connection is lost and another one opened and accepted.
    fn reconnect(&mut self, session_present: bool) {
        self.session.handle_disconnected();
        self.session.handle_connected(self.now);
        let sent = self.drain();
        assert!(matches!(
            decoded(&sent, self.version)[..],
            [Packet::Connect(_)]
        ));
        self.accept(session_present, &[]);
    }

    /// The server sends a packet that breaks nothing.
    fn hear(&mut self, packet: Packet<'_>) -> Option<Event<'static>> {
        self.try_hear(packet).unwrap()
    }

    fn try_hear(&mut self, packet: Packet<'_>) -> Result<Option<Event<'static>>, Error> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 1024];
        let mut writer = dunlin_codec::SliceWriter::new(&mut buffer);
        packet.encode(self.version, &mut writer).unwrap();
        let written = writer.written();
        bytes.extend_from_slice(&buffer[..written]);
        self.try_hear_bytes(bytes.leak())
    }

    fn try_hear_bytes(&mut self, bytes: &'static [u8]) -> Result<Option<Event<'static>>, Error> {
        match self.session.handle_bytes(self.now, bytes)? {
            Received::Packet { length, event } => {
                assert_eq!(length, bytes.len());
                Ok(event)
            }
            other => panic!("{other:?}"),
        }
    }

    /// All that is to be transmitted.
    fn drain(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        while let Some(bytes) = self.session.poll_transmit() {
            assert!(!bytes.is_empty());
            sent.extend_from_slice(bytes);
            let count = bytes.len();
            self.session.handle_transmitted(self.now, count);
        }
        sent
    }

    /// The client sends exactly these packets.
    #[track_caller]
    fn expect(&mut self, expected: &[Packet<'_>]) {
        let sent = self.drain();
        assert_eq!(decoded(&sent, self.version), expected);
    }

    /// Up to the next deadline, which is for this reason.
    #[track_caller]
    fn wait_for(&mut self, expected: TimeoutReason) -> Result<(), Error> {
        let (deadline, reason) = self.session.poll_timeout().unwrap();
        assert_eq!(reason, expected);
        assert!(deadline >= self.now);
        self.now = deadline;
        self.session.handle_timeout(self.now)
    }

    fn pass_millis(&mut self, millis: u64) {
        self.now = self.now.plus(core::time::Duration::from_millis(millis));
    }

    fn publish(&mut self, qos: QoS, payload: &[u8]) -> PacketId {
        let message = Message {
            qos,
            ..Message::new("t", payload)
        };
        self.session.publish(&message).unwrap().unwrap()
    }
}

fn decoded(mut bytes: &[u8], version: Version) -> Vec<Packet<'_>> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (packet, length) = decode(bytes, version, u32::MAX).unwrap();
        packets.push(packet);
        bytes = &bytes[length..];
    }
    packets
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

fn options(version: Version) -> Options<'static> {
    Options {
        version,
        ..Options::new("c")
    }
}

/// A session that the server keeps.
fn kept(version: Version) -> Options<'static> {
    Options {
        clean_start: false,
        session_expiry_s: if version.is_v5() { 3600 } else { 0 },
        ..options(version)
    }
}

/// A PUBLISH as the tests' client sends it and their server too.
fn publish(qos: QoS, packet_id: u16, payload: &[u8], dup: bool) -> Packet<'_> {
    Packet::Publish(Publish {
        dup,
        qos,
        retain: false,
        topic: "t",
        packet_id: PacketId::new(packet_id),
        properties: Properties::EMPTY,
        payload,
    })
}

fn puback(packet_id: u16) -> Packet<'static> {
    Packet::PubAck(Ack::new(id(packet_id)))
}

fn pubrec(packet_id: u16) -> Packet<'static> {
    Packet::PubRec(Ack::new(id(packet_id)))
}

fn pubrel(packet_id: u16) -> Packet<'static> {
    Packet::PubRel(Ack::new(id(packet_id)))
}

fn pubcomp(packet_id: u16) -> Packet<'static> {
    Packet::PubComp(Ack::new(id(packet_id)))
}

fn suback(packet_id: u16, reason_codes: &[u8]) -> Packet<'_> {
    Packet::SubAck(SubAck {
        packet_id: id(packet_id),
        properties: Properties::EMPTY,
        reason_codes,
    })
}

fn unsuback(packet_id: u16, reason_codes: &[u8]) -> Packet<'_> {
    Packet::UnsubAck(UnsubAck {
        packet_id: id(packet_id),
        properties: Properties::EMPTY,
        reason_codes,
    })
}

fn published(packet_id: u16) -> Option<Event<'static>> {
    Some(Event::Published {
        packet_id: id(packet_id),
        reason_code: ReasonCode::Success,
        properties: Properties::EMPTY,
    })
}

fn not_published(packet_id: u16, failure: Failure) -> Option<Event<'static>> {
    Some(Event::NotPublished {
        packet_id: id(packet_id),
        failure,
        properties: Properties::EMPTY,
    })
}

const BOTH: [Version; 2] = [Version::V4, Version::V5];

/// A board has room for so much. The figures are of this machine; a 32-bit one needs less.
#[test]
fn a_session_is_small() {
    let without_buffer = size_of::<Session<[u8; 0], 4, 4>>();
    assert!(without_buffer <= 408, "{without_buffer} bytes");
}

//! What goes out, and in which order. MQTT 5 sections 4.4, 4.6 and 4.9.

use dunlin_codec::{Ack, Disconnect, EncodeError, PacketType, Properties, ReasonCode, SliceWriter};

use super::outbox::{Content, Entry, State};
use super::{PacketId, Phase, Ping, ReleaseState, Session};
use crate::time::Instant;

/// An acknowledgement to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) packet_type: PacketType,
    pub(super) packet_id: PacketId,
    pub(super) reason_code: ReasonCode,
}

/// A packet on its way to the transport.
#[derive(Debug)]
pub(super) struct Transmission {
    packet: Outgoing,
    /// How many of its bytes the transport has taken.
    offset: usize,
}

#[derive(Debug)]
enum Outgoing {
    Connect,
    /// The one of the outbox that is in state `Sending`.
    Outbox,
    Control(Control),
}

/// A packet that is made when it is sent.
#[derive(Debug)]
struct Control {
    bytes: [u8; Self::LENGTH_MAX],
    length: usize,
    meaning: Meaning,
}

/// What is to be done when a control packet has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Acknowledgement,
    Ping,
    /// Nothing may follow.
    Disconnect,
}

impl Control {
    /// An acknowledgement with a reason code has 5 bytes, DISCONNECT with one 3.
    const LENGTH_MAX: usize = 5;

    fn new(
        meaning: Meaning,
        encode: impl FnOnce(&mut SliceWriter<'_>) -> Result<(), EncodeError>,
    ) -> Self {
        let mut bytes = [0; Self::LENGTH_MAX];
        let mut writer = SliceWriter::new(&mut bytes);
        let encoded = encode(&mut writer);
        debug_assert_eq!(encoded, Ok(()), "control packets without properties fit");
        let length = writer.written();
        Self {
            bytes,
            length,
            meaning,
        }
    }
}

impl Transmission {
    pub(super) const fn connect() -> Self {
        Self::new(Outgoing::Connect)
    }

    const fn new(packet: Outgoing) -> Self {
        Self { packet, offset: 0 }
    }
}

impl<B, const OUTGOING: usize, const INCOMING: usize> Session<B, OUTGOING, INCOMING>
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    /// Bytes for the transport: the rest of one packet. Say with
    /// [`handle_transmitted`](Self::handle_transmitted) how many it took, and ask again.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        if self.transmission.is_none() {
            self.transmission = self.next_packet().map(Transmission::new);
        }
        self.rest()
    }

    /// The transport has taken the first `count` of the bytes that [`poll_transmit`](Self::poll_transmit)
    /// gave.
    pub fn handle_transmitted(&mut self, now: Instant, count: usize) {
        let Some(rest) = self.rest().map(<[u8]>::len) else {
            return;
        };
        // A PINGREQ that waits behind a large packet isn't late as long as that goes on.
        if let Ping::Due { since } = &mut self.ping {
            *since = now;
        }
        if let Some(transmission) = &mut self.transmission
            && count < rest
        {
            transmission.offset += count;
            return;
        }
        self.last_sent = now;
        let meaning = match self.transmission.take().map(|done| done.packet) {
            Some(Outgoing::Control(control)) => control.meaning,
            Some(Outgoing::Outbox) => return self.outbox.sent(),
            Some(Outgoing::Connect) | None => return,
        };
        match (meaning, &mut self.ping) {
            (Meaning::Disconnect, _) => self.phase = Phase::Closed,
            (Meaning::Ping, Ping::Awaited { since }) => *since = now,
            _ => {}
        }
    }

    fn rest(&self) -> Option<&[u8]> {
        // A server that ended the connection, or is dead, isn't sent anything more.
        if self.is_closed() {
            return None;
        }
        let transmission = self.transmission.as_ref()?;
        let bytes = match &transmission.packet {
            Outgoing::Connect => self.outbox.connect(),
            Outgoing::Outbox => self.outbox.bytes(self.outbox.sending()?),
            Outgoing::Control(control) => control.bytes.get(..control.length)?,
        };
        bytes.get(transmission.offset..)
    }

    fn next_packet(&mut self) -> Option<Outgoing> {
        let (orderly, ending) = match self.phase {
            Phase::Connected => (true, None),
            Phase::Closing {
                reason_code,
                orderly,
                ..
            } => (orderly, Some(reason_code)),
            Phase::Disconnected | Phase::AwaitConnack { .. } | Phase::Closed => return None,
        };
        if let Ping::Due { since } = self.ping {
            self.ping = Ping::Awaited { since };
            return Some(Outgoing::Control(Control::new(Meaning::Ping, |sink| {
                dunlin_codec::Packet::PingReq.encode(self.version, sink)
            })));
        }
        // [MQTT-4.6.0-2] [MQTT-4.6.0-3] Acknowledgements keep the order of what they answer.
        if let Some(answer) = self.answers.pop_front() {
            return Some(self.acknowledgement(answer));
        }
        if orderly {
            // [MQTT-4.9.0-3] Neither these nor requests wait for a window.
            if let Some(packet) = self.next_release() {
                return Some(packet);
            }
            if let Some(index) = self.next_in_outbox() {
                self.outbox.begin(index);
                return Some(Outgoing::Outbox);
            }
        }
        match ending? {
            Some(reason_code) => {
                let disconnect = Disconnect {
                    reason_code,
                    properties: Properties::EMPTY,
                };
                // [MQTT-3.14.4-1]
                let control = Control::new(Meaning::Disconnect, |sink| {
                    disconnect.encode(self.version, sink)
                });
                Some(Outgoing::Control(control))
            }
            None => {
                self.phase = Phase::Closed;
                None
            }
        }
    }

    fn acknowledgement(&self, answer: Answer) -> Outgoing {
        let ack = Ack::with_reason(answer.packet_id, answer.reason_code);
        Outgoing::Control(Control::new(Meaning::Acknowledgement, |sink| {
            ack.encode(answer.packet_type, self.version, sink)
        }))
    }

    /// [MQTT-4.6.0-4] PUBRELs keep the order of the PUBRECs.
    fn next_release(&mut self) -> Option<Outgoing> {
        let release = self
            .releases
            .iter_mut()
            .find(|release| release.state == ReleaseState::DuePubrel)?;
        release.state = ReleaseState::AwaitPubcomp;
        let packet_id = release.packet_id;
        Some(self.acknowledgement(Answer {
            packet_type: PacketType::PubRel,
            packet_id,
            reason_code: ReasonCode::Success,
        }))
    }

    /// [MQTT-4.6.0-1] [MQTT-4.6.0-5] Messages keep their order; requests and QoS 0 may pass those that wait
    /// for room in the window.
    fn next_in_outbox(&self) -> Option<usize> {
        let window_open = self.in_flight() < self.window();
        self.outbox.entries().iter().position(|entry| {
            entry.state == State::Due && (window_open || !entry.is_acknowledged_publish())
        })
    }

    /// [MQTT-4.9.0-1] How many messages above QoS 0 may be under way.
    fn window(&self) -> usize {
        OUTGOING.min(usize::from(self.server.receive_maximum))
    }

    /// [MQTT-4.9.0-2] [MQTT-3.3.4-7] How many are. A message counts until PUBACK, a failure, or PUBCOMP.
    fn in_flight(&self) -> usize {
        let under_way = |entry: &&Entry| {
            matches!(entry.content, Content::Publish { .. })
                && entry.is_acknowledged_publish()
                && entry.is_under_way()
        };
        self.releases.len() + self.outbox.entries().iter().filter(under_way).count()
    }
}

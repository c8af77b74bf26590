//! Control packets on their way out: what may leave now, and what waits for the journal.
//!
//! Acknowledgements leave in the order of arrival, type by type; a type doesn't wait for another.
//! MQTT 5 section 4.6.

use std::collections::VecDeque;

use dunlin_codec::{Ack, Packet, PacketId, PacketType, Properties, Property, ReasonCode, Version};

use super::completes;
use crate::journal::Seq;

/// Control packets to be sent.
#[derive(Debug, Default)]
pub(super) struct Staging {
    /// Encoded, free to leave.
    ready: Vec<u8>,
    /// `None` while nothing waits: most connections never need it.
    gated: Option<Box<Gated>>,
}

#[derive(Debug, Default)]
struct Gated {
    pubacks: VecDeque<WaitingAck>,
    pubrecs: VecDeque<WaitingAck>,
    pubrels: VecDeque<WaitingAck>,
    pubcomps: VecDeque<WaitingAck>,
    /// CONNACK, SUBACK, UNSUBACK: encoded.
    others: VecDeque<(Seq, Vec<u8>)>,
    /// Bytes of these.
    other_bytes: usize,
    /// Whether the first of the others is a CONNACK: nothing leaves before it. [MQTT-3.2.0-1]
    connack: bool,
}

#[derive(Clone, Copy, Debug)]
struct WaitingAck {
    seq: Seq,
    packet_id: PacketId,
    reason_code: ReasonCode,
    explain: bool,
}

impl Gated {
    const fn lane(&mut self, packet_type: PacketType) -> &mut VecDeque<WaitingAck> {
        match packet_type {
            PacketType::PubRec => &mut self.pubrecs,
            PacketType::PubRel => &mut self.pubrels,
            PacketType::PubComp => &mut self.pubcomps,
            _ => &mut self.pubacks,
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.pubacks.len()
            + self.pubrecs.len()
            + self.pubrels.len()
            + self.pubcomps.len()
            + self.others.len()
    }
}

impl Staging {
    /// Stages a packet that waits for nothing.
    pub(super) fn packet(&mut self, version: Version, packet: &Packet<'_>) {
        encode(version, packet, &mut self.ready);
    }

    /// Stages the first of `packets` that isn't larger than the peer takes; false if all are.
    pub(super) fn largest_that_fits(
        &mut self,
        version: Version,
        maximum: u32,
        packets: &[Packet<'_>],
    ) -> bool {
        let mut encoded = Vec::new();
        for packet in packets {
            encoded.clear();
            encode(version, packet, &mut encoded);
            if fits(encoded.len(), maximum) {
                self.ready.extend_from_slice(&encoded);
                return true;
            }
        }
        false
    }

    /// Stages a packet that waits for `seq`, in line with others of its kind. False if it's larger
    /// than the peer takes.
    pub(super) fn after(
        &mut self,
        version: Version,
        maximum: u32,
        seq: Seq,
        durable: Seq,
        packet: &Packet<'_>,
    ) -> bool {
        let mut encoded = Vec::new();
        encode(version, packet, &mut encoded);
        if !fits(encoded.len(), maximum) {
            return false;
        }
        let in_line = self
            .gated
            .as_ref()
            .is_some_and(|gated| !gated.others.is_empty());
        if seq <= durable && !in_line {
            self.ready.extend_from_slice(&encoded);
        } else {
            let gated = self.gated.get_or_insert_default();
            gated.connack |= matches!(packet, Packet::ConnAck(_));
            gated.other_bytes += encoded.len();
            gated.others.push_back((seq, encoded));
        }
        true
    }

    /// Stages an acknowledgement that waits for `seq`, in line with others of its type. Gives how
    /// many messages of the client it completes right away: 0 or 1.
    #[inline]
    #[allow(clippy::too_many_arguments)] // one acknowledgement, and how far the journal is
    pub(super) fn ack(
        &mut self,
        version: Version,
        packet_type: PacketType,
        packet_id: PacketId,
        reason_code: ReasonCode,
        explain: bool,
        seq: Seq,
        durable: Seq,
    ) -> usize {
        let ack = WaitingAck {
            seq,
            packet_id,
            reason_code,
            explain,
        };
        let in_line = match &mut self.gated {
            Some(gated) => gated.connack || !gated.lane(packet_type).is_empty(),
            None => false,
        };
        if seq > durable || in_line {
            self.gated
                .get_or_insert_default()
                .lane(packet_type)
                .push_back(ack);
            return 0;
        }
        encode_ack(version, packet_type, &ack, &mut self.ready);
        usize::from(completes(packet_type, reason_code))
    }

    /// Lets go what is durable now. Gives how many messages of the client that completes.
    pub(super) fn release(&mut self, version: Version, durable: Seq) -> usize {
        let Some(gated) = &mut self.gated else {
            return 0;
        };
        let mut completed = 0;
        while let Some((_, encoded)) = gated.others.pop_front_if(|(seq, _)| *seq <= durable) {
            self.ready.extend_from_slice(&encoded);
            gated.other_bytes -= encoded.len();
            gated.connack = false;
        }
        if gated.connack {
            return 0;
        }
        let types = [
            PacketType::PubAck,
            PacketType::PubRec,
            PacketType::PubRel,
            PacketType::PubComp,
        ];
        for packet_type in types {
            let lane = gated.lane(packet_type);
            while let Some(ack) = lane.pop_front_if(|ack| ack.seq <= durable) {
                encode_ack(version, packet_type, &ack, &mut self.ready);
                completed += usize::from(completes(packet_type, ack.reason_code));
            }
        }
        if gated.is_empty() {
            self.gated = None;
        }
        completed
    }

    /// Whether CONNACK is still held back.
    pub(super) fn holds_connack(&self) -> bool {
        self.gated.as_ref().is_some_and(|gated| gated.connack)
    }

    /// Bytes of what is free to leave and hasn't left, and of the SUBACKs that wait.
    pub(super) fn bytes(&self) -> usize {
        let gated = self.gated.as_ref().map_or(0, |gated| gated.other_bytes);
        self.ready.len() + gated
    }

    /// Acknowledgements that wait.
    pub(super) fn waiting(&self) -> usize {
        self.gated.as_ref().map_or(0, |gated| gated.len())
    }

    /// What the first of the waiting waits for.
    pub(super) fn waits_for(&self) -> Option<Seq> {
        let gated = self.gated.as_ref()?;
        let lanes = [
            &gated.pubacks,
            &gated.pubrecs,
            &gated.pubrels,
            &gated.pubcomps,
        ];
        let acks = lanes
            .into_iter()
            .filter_map(|lane| lane.front().map(|ack| ack.seq));
        acks.chain(gated.others.front().map(|(seq, _)| *seq)).min()
    }

    /// Moves what may leave into `out`.
    #[inline]
    pub(super) fn drain(&mut self, out: &mut Vec<u8>) {
        if self.ready.is_empty() {
            return;
        }
        out.extend_from_slice(&self.ready);
        // An idle connection holds no buffer.
        self.ready = Vec::new();
    }
}

fn encode(version: Version, packet: &Packet<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    if packet.encode(version, out).is_err() {
        // A field that can't be written: nothing is better than half a packet.
        out.truncate(start);
    }
}

#[inline]
fn encode_ack(version: Version, packet_type: PacketType, ack: &WaitingAck, out: &mut Vec<u8>) {
    let list = [Property::ReasonString(ack.reason_code.text())];
    let properties = if ack.explain {
        Properties::from_list(&list)
    } else {
        Properties::EMPTY
    };
    let packet = Ack {
        packet_id: ack.packet_id,
        reason_code: ack.reason_code,
        properties,
    };
    let start = out.len();
    if packet.encode(packet_type, version, out).is_err() {
        out.truncate(start);
    }
}

fn fits(length: usize, maximum: u32) -> bool {
    u32::try_from(length).is_ok_and(|length| length <= maximum)
}

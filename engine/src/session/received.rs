//! Packet Identifiers received at QoS 2 and not released: what keeps a message from being
//! published twice. MQTT 5 section 4.3.3.

use dunlin_codec::PacketId;

use crate::journal::Seq;

/// The identifiers, in the order of arrival, and the entry that made each durable (`None` while
/// its message is being published). At most 65,535 exist, at most Receive Maximum are used by a
/// client that keeps to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received(Vec<(PacketId, Option<Seq>)>);

impl Received {
    /// What the PUBREC for this identifier waits for, if a PUBLISH with it has been taken before.
    /// [MQTT-4.3.3-10]
    #[allow(clippy::option_option)] // unknown, being published, known
    pub fn entry(&self, packet_id: PacketId) -> Option<Option<Seq>> {
        self.0
            .iter()
            .find(|(known, _)| *known == packet_id)
            .map(|(_, seq)| *seq)
    }

    /// Remembers an identifier whose message is about to be published.
    pub fn insert(&mut self, packet_id: PacketId) {
        self.0.push((packet_id, None));
    }

    /// Names the entry that makes an identifier durable.
    pub fn set(&mut self, packet_id: PacketId, seq: Seq) {
        if let Some(slot) = self.0.iter_mut().find(|(known, _)| *known == packet_id) {
            slot.1 = Some(seq);
        }
    }

    /// Forgets an identifier when PUBREL comes; false if it wasn't known. [MQTT-4.3.3-11]
    pub fn release(&mut self, packet_id: PacketId) -> bool {
        let Some(at) = self.0.iter().position(|(known, _)| *known == packet_id) else {
            return false;
        };
        self.0.remove(at);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = PacketId> {
        self.0.iter().map(|(packet_id, _)| *packet_id)
    }
}

//! Outgoing messages of QoS 1 and 2 that were sent and are not completed. MQTT 5 sections 4.3, 4.4.
//!
//! In the order of sending; the Packet Identifier is a function of the delivery counter, so that a
//! restart gives the same one again.

use std::collections::VecDeque;

use dunlin_codec::{PacketId, QoS};

use crate::journal::Seq;
use crate::session::Delivery;
use crate::time::Instant;

/// What a message in flight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflightState {
    /// Sent at QoS 1.
    AwaitPuback,
    /// Sent at QoS 2.
    AwaitPubrec,
    /// PUBREC came; PUBREL leaves once this entry is durable.
    AwaitPubcomp(Seq),
}

#[derive(Clone, Debug)]
struct Slot {
    counter: u64,
    packet_id: PacketId,
    state: InflightState,
    /// Whether the PUBLISH was sent on this connection and counts against Receive Maximum.
    outstanding: bool,
    /// Whether a restart put it in flight, so that perhaps it was never sent.
    restored: bool,
    /// Whether its PUBREC came on this connection: the answer is its PUBREL.
    answered: bool,
    /// Gone after PUBREC: the message is the client's then.
    delivery: Option<Delivery>,
}

/// Messages in flight.
#[derive(Debug, Default)]
pub struct Inflight {
    slots: VecDeque<Slot>,
    outstanding: usize,
    /// Slots from here on are still to be sent again on this connection, those before are not.
    resend_from: usize,
    resending: bool,
    /// No counter in flight is below this one.
    floor: u64,
    /// No counter that was ever in flight is above this one.
    newest: u64,
}

/// The distance between the oldest and the newest delivery at which identifiers would repeat.
const IDENTIFIERS: u64 = 65_535;

/// The Packet Identifier of a delivery counter: 1 to 65,535.
pub(crate) fn packet_id(counter: u64) -> PacketId {
    let low = u16::try_from(counter % IDENTIFIERS).unwrap_or(0);
    PacketId::MIN.saturating_add(low)
}

impl Inflight {
    /// Messages in flight.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes reserved for slots, used or not.
    #[inline]
    pub fn reserved_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// PUBLISHes sent on this connection and not completed: what Receive Maximum counts.
    #[inline]
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Whether the Packet Identifier of `counter` is free: the oldest in flight is less than a
    /// whole round behind. [MQTT-2.2.1-4]
    #[inline]
    pub fn identifier_is_free(&mut self, counter: u64) -> bool {
        // One that waited for the journal while others passed it: they may be a round ahead.
        if counter < self.newest {
            return self.position(packet_id(counter)).is_none();
        }
        // The floor is a cheap bound; it's only searched anew when it has fallen far behind.
        if counter.saturating_sub(self.floor) >= IDENTIFIERS / 2 {
            self.floor = self
                .slots
                .iter()
                .map(|slot| slot.counter)
                .min()
                .unwrap_or(counter);
        }
        counter.saturating_sub(self.floor) < IDENTIFIERS
    }

    /// Puts a delivery in flight that is being sent now.
    #[inline]
    pub fn push(&mut self, delivery: Delivery) -> PacketId {
        self.push_slot(delivery, true)
    }

    /// Puts a recovered delivery in flight: it's sent again on the next connection.
    pub fn restore(&mut self, delivery: Delivery) {
        self.push_slot(delivery, false);
    }

    fn push_slot(&mut self, delivery: Delivery, outstanding: bool) -> PacketId {
        let packet_id = packet_id(delivery.counter);
        let state = match delivery.qos {
            QoS::ExactlyOnce => InflightState::AwaitPubrec,
            _ => InflightState::AwaitPuback,
        };
        self.outstanding += usize::from(outstanding);
        self.floor = self.floor.min(delivery.counter);
        self.newest = self.newest.max(delivery.counter);
        self.slots.push_back(Slot {
            counter: delivery.counter,
            packet_id,
            state,
            outstanding,
            restored: !outstanding,
            answered: false,
            delivery: Some(delivery),
        });
        packet_id
    }

    fn position(&self, packet_id: PacketId) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.packet_id == packet_id)
    }

    /// What the message with this identifier waits for.
    pub fn state(&self, packet_id: PacketId) -> Option<InflightState> {
        self.slots
            .get(self.position(packet_id)?)
            .map(|slot| slot.state)
    }

    /// Completes a message: the counter and, if it hasn't been handed over, the delivery.
    pub fn complete(&mut self, packet_id: PacketId) -> Option<(u64, Option<Delivery>)> {
        let at = self.position(packet_id)?;
        self.remove(at)
    }

    fn remove(&mut self, at: usize) -> Option<(u64, Option<Delivery>)> {
        let slot = self.slots.remove(at)?;
        self.outstanding -= usize::from(slot.outstanding);
        if at < self.resend_from {
            self.resend_from -= 1;
        }
        if self.slots.is_empty() {
            self.slots = VecDeque::new();
        }
        Some((slot.counter, slot.delivery))
    }

    /// PUBREC came: the message is the client's. Gives its counter. `seq` is what PUBREL waits for.
    pub fn received(&mut self, packet_id: PacketId, seq: impl FnOnce(u64) -> Seq) -> Option<Seq> {
        let at = self.position(packet_id)?;
        let slot = self.slots.get_mut(at)?;
        slot.answered = true;
        if let InflightState::AwaitPubcomp(seq) = slot.state {
            return Some(seq);
        }
        let seq = seq(slot.counter);
        slot.state = InflightState::AwaitPubcomp(seq);
        slot.delivery = None;
        Some(seq)
    }

    /// Puts a recovered message in flight whose PUBREC had come.
    pub fn restore_received(&mut self, counter: u64) {
        self.floor = self.floor.min(counter);
        self.newest = self.newest.max(counter);
        self.slots.push_back(Slot {
            counter,
            packet_id: packet_id(counter),
            state: InflightState::AwaitPubcomp(Seq::NONE),
            outstanding: false,
            restored: false,
            answered: false,
            delivery: None,
        });
    }

    /// A new connection: everything in flight is to be sent again, in its order.
    /// [MQTT-4.4.0-1] [MQTT-4.6.0-1]
    pub fn begin_resend(&mut self) {
        self.outstanding = 0;
        for slot in &mut self.slots {
            slot.outstanding = false;
            slot.answered = false;
        }
        self.resend_from = 0;
        self.resending = !self.slots.is_empty();
    }

    /// Whether something is still to be sent again; new messages wait until nothing is.
    #[inline]
    pub const fn is_resending(&self) -> bool {
        self.resending
    }

    /// The next to be sent again, if it has expired and, for all that is known, was never sent.
    /// [MQTT-3.3.2-5]
    pub fn expired_before_resend(&self, now: Instant) -> Option<PacketId> {
        let mut rest = self.slots.iter().skip(self.resend_from);
        let slot = rest.find(|slot| !slot.answered)?;
        let delivery = slot.delivery.as_ref().filter(|_| slot.restored)?;
        delivery.message.is_expired(now).then_some(slot.packet_id)
    }

    /// The next to be sent again: its identifier, its state and, before PUBREC, its delivery. A
    /// PUBLISH is only given while `window` is above 0.
    pub fn next_resend(
        &mut self,
        window: usize,
    ) -> Option<(PacketId, InflightState, Option<&Delivery>)> {
        while self
            .slots
            .get(self.resend_from)
            .is_some_and(|slot| slot.answered)
        {
            self.resend_from += 1;
        }
        let Some(slot) = self.slots.get_mut(self.resend_from) else {
            self.resending = false;
            return None;
        };
        if slot.delivery.is_some() {
            if window == 0 {
                return None;
            }
            slot.outstanding = true;
            slot.restored = false;
            self.outstanding += 1;
        }
        self.resend_from += 1;
        Some((slot.packet_id, slot.state, slot.delivery.as_ref()))
    }

    /// Takes out every delivery that `wanted` picks and that wasn't handed over, oldest first.
    pub fn extract(&mut self, mut wanted: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        self.extract_slots(|slot| slot.delivery.as_ref().is_some_and(&mut wanted))
    }

    /// Takes out what has expired and, for all that is known, was never sent. [MQTT-3.3.2-5]
    pub fn extract_expired(&mut self, now: Instant) -> Vec<Delivery> {
        self.extract_slots(|slot| {
            let delivery = slot.delivery.as_ref().filter(|_| slot.restored);
            delivery.is_some_and(|delivery| delivery.message.is_expired(now))
        })
    }

    /// When the first of those expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        let restored = self.slots.iter().filter(|slot| slot.restored);
        restored
            .filter_map(|slot| slot.delivery.as_ref()?.message.expires_at)
            .min()
    }

    fn extract_slots(&mut self, mut wanted: impl FnMut(&Slot) -> bool) -> Vec<Delivery> {
        let mut out = Vec::new();
        let mut at = 0;
        while let Some(slot) = self.slots.get(at) {
            if wanted(slot) {
                out.extend(self.remove(at).and_then(|(_, delivery)| delivery));
            } else {
                at += 1;
            }
        }
        out
    }

    /// Everything in flight: counter, state, and the delivery before PUBREC.
    pub fn iter(&self) -> impl Iterator<Item = (u64, InflightState, Option<&Delivery>)> {
        self.slots
            .iter()
            .map(|slot| (slot.counter, slot.state, slot.delivery.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Account;
    use crate::message::{ClientId, Message, Origin};
    use crate::session::{Gate, Identifiers};
    use crate::sync::Arc;

    fn delivery(counter: u64) -> Delivery {
        let origin = Arc::new(Origin {
            client_id: ClientId::new("c"),
            user_name: None,
            listener: "test".into(),
        });
        let publish = dunlin_codec::Publish {
            dup: false,
            qos: QoS::ExactlyOnce,
            retain: false,
            topic: "t",
            packet_id: None,
            properties: dunlin_codec::Properties::EMPTY,
            payload: b"",
        };
        let account = Account::new(usize::MAX);
        let message = Message::from_publish(&publish, "t", Instant::ZERO, &origin, &account);
        Delivery {
            message: Arc::new(message),
            counter,
            qos: QoS::ExactlyOnce,
            retain: false,
            gate: Gate::Open,
            identifiers: Identifiers::None,
            share: None,
        }
    }

    #[test]
    fn an_identifier_is_free_when_nothing_in_flight_has_it() {
        let mut inflight = Inflight::default();
        let first = inflight.push(delivery(10));
        assert!(inflight.identifier_is_free(9 + IDENTIFIERS));
        assert!(!inflight.identifier_is_free(10 + IDENTIFIERS));
        assert!(inflight.complete(first).is_some());
        assert!(inflight.identifier_is_free(10 + IDENTIFIERS));
    }

    #[test]
    fn a_delivery_that_was_passed_by_a_whole_round_waits_for_its_identifier() {
        let mut inflight = Inflight::default();
        let passing = inflight.push(delivery(10 + IDENTIFIERS));
        assert!(!inflight.identifier_is_free(10));
        assert!(inflight.identifier_is_free(11));
        assert!(inflight.complete(passing).is_some());
        assert!(inflight.identifier_is_free(10));
    }
}

//! The queue of a session: messages that wait to be sent, in order.
//!
//! Two lanes. A delivery that may leave only when its journal entry is durable waits in the gated
//! lane; others pass it. Nothing else overtakes.

use std::collections::VecDeque;

use dunlin_codec::QoS;

use crate::journal::Seq;
use crate::message::Message;
use crate::routing::ShareCopy;
use crate::sync::Arc;
use crate::time::Instant;

/// Subscription Identifiers of one delivery: usually none or one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identifiers {
    /// None.
    #[default]
    None,
    /// One.
    One(u32),
    /// Several, of overlapping subscriptions. [MQTT-3.3.4-4]
    Many(Box<[u32]>),
}

impl Identifiers {
    /// Adds one; 0 adds nothing.
    pub fn push(&mut self, identifier: u32) {
        if identifier == 0 {
            return;
        }
        *self = match core::mem::take(self) {
            Self::None => Self::One(identifier),
            Self::One(first) => Self::Many(Box::new([first, identifier])),
            Self::Many(list) => {
                let mut list = list.into_vec();
                list.push(identifier);
                Self::Many(list.into_boxed_slice())
            }
        };
    }

    /// All of them in the order of adding.
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(one) => core::slice::from_ref(one),
            Self::Many(list) => list,
        }
    }
}

/// What must be durable before a delivery leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// The entry that the message came into the journal with.
    Message,
    /// This entry.
    Entry(Seq),
}

/// One copy of a message on its way to one client.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message, shared.
    pub message: Arc<Message>,
    /// Delivery counter; 0 at QoS 0.
    pub counter: u64,
    /// The QoS it's sent at.
    pub qos: QoS,
    /// RETAIN as it's sent.
    pub retain: bool,
    /// What it waits for.
    pub gate: Gate,
    /// Subscription Identifiers.
    pub identifiers: Identifiers,
    /// The shared subscription it came through.
    pub share: Option<ShareCopy>,
}

impl Delivery {
    /// The entry that must be durable first; `None` while it isn't appended.
    fn gate_seq(&self) -> Option<Seq> {
        match self.gate {
            Gate::Open => Some(Seq::NONE),
            Gate::Message => self.message.gate(),
            Gate::Entry(seq) => Some(seq),
        }
    }
}

/// Bytes that a queue slot takes.
const SLOT_BYTES: usize = size_of::<Delivery>();

/// Messages that wait to be sent.
#[derive(Debug, Default)]
pub struct Queue {
    ready: VecDeque<Delivery>,
    gated: VecDeque<Delivery>,
    bytes: usize,
}

impl Queue {
    /// Messages in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.ready.len() + self.gated.len()
    }

    /// Whether it's empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes reserved for slots, used or not.
    #[inline]
    pub fn reserved_bytes(&self) -> usize {
        (self.ready.capacity() + self.gated.capacity()) * SLOT_BYTES
    }

    /// Bytes of the messages and slots in it.
    #[inline]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a delivery. What `durable` sets free goes before it: only what still waits is passed.
    #[inline]
    pub fn push(&mut self, delivery: Delivery, durable: impl FnOnce() -> Seq) {
        self.bytes += cost(&delivery);
        if delivery.gate != Gate::Open {
            self.gated.push_back(delivery);
            return;
        }
        if !self.gated.is_empty() {
            self.open_gates(durable());
        }
        self.ready.push_back(delivery);
    }

    #[inline]
    fn open_gates(&mut self, durable: Seq) {
        while self
            .gated
            .front()
            .is_some_and(|delivery| is_open(delivery, durable))
        {
            self.ready.extend(self.gated.pop_front());
        }
        if self.gated.is_empty() && self.gated.capacity() > KEEP_CAPACITY {
            self.gated.shrink_to(KEEP_CAPACITY);
        }
    }

    /// The delivery that is to be sent next, given how far the journal is durable.
    #[inline]
    pub fn front(&mut self, durable: Seq) -> Option<&Delivery> {
        self.open_gates(durable);
        self.ready.front()
    }

    /// Takes what [`Queue::front`] showed.
    #[inline]
    pub fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.ready.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost(&delivery));
        if self.ready.is_empty() && self.ready.capacity() > KEEP_CAPACITY {
            self.ready.shrink_to(KEEP_CAPACITY);
        }
        Some(delivery)
    }

    /// What the gated lane's head waits for; `None` when it's empty. An entry that isn't appended
    /// yet needs no waiting: its publisher wakes the session.
    pub fn waits_for(&self) -> Option<Seq> {
        self.gated.front().and_then(Delivery::gate_seq)
    }

    /// Takes the oldest message of all.
    pub fn pop_oldest(&mut self) -> Option<Delivery> {
        let gated_is_older = match (self.ready.front(), self.gated.front()) {
            (Some(ready), Some(gated)) => ready.counter > gated.counter && ready.counter != 0,
            (None, Some(_)) => true,
            _ => false,
        };
        if gated_is_older {
            let delivery = self.gated.pop_front()?;
            self.bytes = self.bytes.saturating_sub(cost(&delivery));
            return Some(delivery);
        }
        self.pop()
    }

    /// Takes out every delivery that `wanted` picks, oldest counter first.
    pub fn extract(&mut self, mut wanted: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let mut out = Vec::new();
        for lane in [&mut self.ready, &mut self.gated] {
            if !lane.iter().any(&mut wanted) {
                continue;
            }
            for delivery in core::mem::take(lane) {
                if wanted(&delivery) {
                    self.bytes = self.bytes.saturating_sub(cost(&delivery));
                    out.push(delivery);
                } else {
                    lane.push_back(delivery);
                }
            }
        }
        out.sort_by_key(|delivery| delivery.counter);
        out
    }

    /// When the first message in it expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.iter()
            .filter_map(|delivery| delivery.message.expires_at)
            .min()
    }

    /// Everything in it, lane by lane.
    pub fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.ready.iter().chain(&self.gated)
    }
}

/// Slots that an emptied queue keeps.
const KEEP_CAPACITY: usize = 16;

#[inline]
fn cost(delivery: &Delivery) -> usize {
    delivery.message.size() + SLOT_BYTES
}

#[inline]
fn is_open(delivery: &Delivery, durable: Seq) -> bool {
    delivery.gate_seq().is_some_and(|gate| gate <= durable)
}

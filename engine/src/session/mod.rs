//! A Session: what survives connections. MQTT 5 section 4.1.
//!
//! Answers for its subscriptions, queue, in-flight messages, received identifiers, Will and expiry,
//! and for which connection it belongs to now. Does not answer for who gets a message (routing) or
//! for packets (connection).

mod inflight;
mod queue;
mod received;
mod will;

pub(crate) use inflight::packet_id;
pub use inflight::{Inflight, InflightState};
pub use queue::{Delivery, Gate, Identifiers, Queue};
pub use received::Received;
pub use will::Will;

use std::collections::BTreeMap;

use dunlin_codec::{QoS, SubscriptionOptions, Version};

use crate::memory::Charge;
use crate::message::{ClientId, Origin};
use crate::routing::Share;
use crate::sync::{Arc, Mutex, Wake};
use crate::time::Instant;

/// The identity of one Session, never used again: a later session of the same client has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u64);

/// The Session Expiry Interval that never ends.
pub const NEVER_EXPIRES: u32 = u32::MAX;

/// What a subscription was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionSettings {
    /// QoS (as granted), No Local, Retain As Published, Retain Handling.
    pub options: SubscriptionOptions,
    /// Subscription Identifier; 0 for none.
    pub identifier: u32,
}

/// A Session, shared by the routes that lead to it and the connection that has it.
#[derive(Debug)]
pub struct Session {
    /// Its identity.
    pub key: SessionKey,
    /// Whose it is.
    pub client_id: ClientId,
    state: Mutex<State>,
}

/// Everything in a session that changes.
#[derive(Debug)]
pub struct State {
    /// Set once, when nothing may happen to the session any more.
    pub ended: bool,
    /// Raised whenever the session gets or loses a connection: who holds an older one has lost it.
    pub epoch: u64,
    /// The connection, if there is one.
    pub link: Option<Link>,
    /// Who the client is, as of its last connection.
    pub origin: Arc<Origin>,
    /// Session Expiry Interval in seconds; 0 ends with the connection.
    pub expiry_s: u32,
    /// When it lost its last connection.
    pub detached_at: Instant,
    /// When a session without connection ends; `None` for never or while connected.
    pub expires_at: Option<Instant>,
    /// By the Topic Filter as the client wrote it.
    pub subscriptions: BTreeMap<Arc<str>, SubscriptionSettings>,
    /// Shared subscriptions it's a member of.
    pub shares: Vec<Arc<Share>>,
    /// Retained messages still to be sent, per subscription.
    pub cursors: Vec<RetainedCursor>,
    /// Messages that wait to be sent.
    pub queue: Queue,
    /// Messages sent and not completed.
    pub inflight: Inflight,
    /// Identifiers received at QoS 2 and not released.
    pub received: Received,
    /// The Will, until it's published or cancelled.
    pub will: Option<Arc<Will>>,
    /// When the Will of a lost connection is published.
    pub will_at: Option<Instant>,
    /// The last delivery counter given out.
    pub counter: u64,
    /// When the queue is next searched for expired messages.
    pub purge_at: Option<Instant>,
    /// What the subscriptions take.
    subscription_bytes: usize,
    /// What queue and in-flight messages have reserved, as last charged.
    reserved_bytes: usize,
    charge: Charge,
}

/// A session's side of its connection.
pub struct Link {
    /// How the connection's task is called.
    pub wake: Arc<dyn Wake>,
    /// Whether it has been called since it last looked.
    pub scheduled: bool,
    /// The version of the connection.
    pub version: Version,
    /// The most messages of QoS 1 and 2 that may be unacknowledged.
    pub receive_maximum: u16,
    /// Maximum Packet Size of the client in bytes.
    pub maximum_packet_size: u32,
}

impl core::fmt::Debug for Link {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Link")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// How far the retained messages of one subscription have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedCursor {
    /// The Topic Filter as the client wrote it: the subscription.
    pub filter: Arc<str>,
    /// Only versions up to this one: what came later was routed live.
    pub up_to: u64,
    /// Everything up to this topic is done.
    pub after: Option<Box<str>>,
}

/// Bytes that a session takes besides its contents, rounded.
const OVERHEAD_BYTES: usize = 512;
/// What a session may have charged for messages and not use.
const SLACK_BYTES: usize = 4096;
/// Bytes that a subscription takes besides its filter (map entry, route), rounded.
const SUBSCRIPTION_BYTES: usize = 160;

/// What a subscription takes: its filter is kept by the session and, level by level, by the routes.
const fn subscription_bytes(filter: &str) -> usize {
    2 * filter.len() + SUBSCRIPTION_BYTES
}

impl Session {
    /// A new session without connection and contents.
    pub fn new(key: SessionKey, origin: Arc<Origin>, charge: Charge) -> Self {
        let mut state = State {
            ended: false,
            epoch: 0,
            link: None,
            origin: Arc::clone(&origin),
            expiry_s: 0,
            detached_at: Instant::ZERO,
            expires_at: None,
            subscriptions: BTreeMap::new(),
            shares: Vec::new(),
            cursors: Vec::new(),
            queue: Queue::default(),
            inflight: Inflight::default(),
            received: Received::default(),
            will: None,
            will_at: None,
            counter: 0,
            purge_at: None,
            subscription_bytes: 0,
            reserved_bytes: 0,
            charge,
        };
        state.recharge();
        Self {
            key,
            client_id: origin.client_id.clone(),
            state: Mutex::new(state),
        }
    }

    /// Waits for the session's lock: below the routes and shares, above the journal.
    #[inline]
    pub fn lock(&self) -> impl core::ops::DerefMut<Target = State> + '_ {
        self.state.lock()
    }
}

impl State {
    /// Whether the session outlives its connection, and so is durable.
    #[inline]
    pub const fn is_persistent(&self) -> bool {
        self.expiry_s > 0
    }

    /// Makes or replaces a subscription.
    pub fn set_subscription(&mut self, filter: Arc<str>, settings: SubscriptionSettings) {
        let bytes = subscription_bytes(&filter);
        if self.subscriptions.insert(filter, settings).is_none() {
            self.subscription_bytes += bytes;
            self.recharge();
        }
    }

    /// Gives up a subscription; false if there was none.
    pub fn remove_subscription(&mut self, filter: &str) -> bool {
        let known = self.subscriptions.remove(filter).is_some();
        if known {
            self.subscription_bytes -= subscription_bytes(filter);
            self.recharge();
        }
        known
    }

    /// Gives up every subscription.
    pub fn take_subscriptions(&mut self) -> Vec<Arc<str>> {
        let subscriptions = core::mem::take(&mut self.subscriptions);
        self.subscription_bytes = 0;
        self.recharge();
        subscriptions.into_keys().collect()
    }

    /// Brings the memory account up to date after messages came or went. Room is reserved in steps,
    /// and a little that was given up may be needed again, so this rarely does anything.
    #[inline]
    pub fn recharge_messages(&mut self) {
        let reserved = self.queue.reserved_bytes() + self.inflight.reserved_bytes();
        if reserved > self.reserved_bytes || reserved + SLACK_BYTES < self.reserved_bytes {
            self.reserved_bytes = reserved;
            self.recharge();
        }
    }

    fn recharge(&mut self) {
        let names = self.origin.name_bytes();
        let bytes = OVERHEAD_BYTES + names + self.subscription_bytes + self.reserved_bytes;
        self.charge.set(bytes);
    }

    /// Marks the connection as called for; gives how to call it if it hasn't been.
    #[inline]
    pub fn schedule(&mut self) -> Option<Arc<dyn Wake>> {
        let link = self.link.as_mut()?;
        if link.scheduled {
            return None;
        }
        link.scheduled = true;
        Some(Arc::clone(&link.wake))
    }

    /// How many more messages of QoS 1 and 2 may be put in flight.
    #[inline]
    pub fn window(&self) -> usize {
        let Some(link) = &self.link else { return 0 };
        usize::from(link.receive_maximum).saturating_sub(self.inflight.outstanding())
    }

    /// Whether a message of a shared subscription would go out at once.
    pub fn has_room(&self, qos: QoS) -> bool {
        self.link.is_some() && (qos == QoS::AtMostOnce || self.window() > self.queue.len())
    }

    /// The next delivery counter. Its Packet Identifier is a function of it.
    pub const fn next_counter(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

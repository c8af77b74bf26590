//! An Application Message inside the broker: copied once at arrival, shared by every queue it waits
//! in, never changed. MQTT 5 section 3.3.

use dunlin_codec::{Properties, Property, Publish, QoS, Will};

use crate::journal::Seq;
use crate::memory::{Account, Charge};
use crate::routing::topic_map::HasTopic;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::Instant;

/// A Client Identifier: 1 to 65,535 bytes of UTF-8, shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// Takes any text; the rules are the connection's business.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::borrow::Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for ClientId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who acts: the subject of every authorization, and the author that a message carries with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Client Identifier.
    pub client_id: ClientId,
    /// User Name that was authenticated, if any.
    pub user_name: Option<Arc<str>>,
    /// Name of the listener the client came in by.
    pub listener: Arc<str>,
}

impl Origin {
    /// Bytes of the names that the client chose.
    pub(crate) fn name_bytes(&self) -> usize {
        let user_name = self.user_name.as_deref().map_or(0, str::len);
        self.client_id.as_str().len() + user_name
    }
}

/// An Application Message.
#[derive(Debug)]
pub struct Message {
    /// Topic Name, then the properties that are forwarded, then the payload.
    data: Box<[u8]>,
    topic_length: usize,
    payload_start: usize,
    /// As published.
    pub qos: QoS,
    /// As published.
    pub retain: bool,
    /// When Message Expiry ends it.
    pub expires_at: Option<Instant>,
    /// Who published it.
    pub origin: Arc<Origin>,
    /// The entry that must be durable before gated deliveries leave.
    gate: AtomicU64,
    /// Whether every delivery waits for that entry.
    gated: bool,
    _charge: Charge,
}

/// The gate of a message whose journal entry hasn't been appended.
const GATE_PENDING: u64 = u64::MAX;

/// Bytes that a message takes besides its data, rounded.
const OVERHEAD_BYTES: usize = 128;

impl Message {
    /// Copies an incoming PUBLISH. `topic` is the resolved Topic Name (an alias leaves it empty in
    /// the packet).
    pub fn from_publish(
        publish: &Publish<'_>,
        topic: &str,
        now: Instant,
        origin: &Arc<Origin>,
        account: &Arc<Account>,
    ) -> Self {
        Self::new(
            topic,
            publish.payload,
            publish.properties,
            publish.qos,
            publish.retain,
            now,
            origin,
            account,
        )
    }

    /// Copies a Will. Its Message Expiry runs from `now`, the moment of its publication.
    pub fn from_will(
        will: &Will<'_>,
        now: Instant,
        origin: &Arc<Origin>,
        account: &Arc<Account>,
    ) -> Self {
        Self::new(
            will.topic,
            will.payload,
            will.properties,
            will.qos,
            will.retain,
            now,
            origin,
            account,
        )
    }

    #[allow(clippy::too_many_arguments)] // the fields of a PUBLISH and of a Will are the same ones
    fn new(
        topic: &str,
        payload: &[u8],
        properties: Properties<'_>,
        qos: QoS,
        retain: bool,
        now: Instant,
        origin: &Arc<Origin>,
        account: &Arc<Account>,
    ) -> Self {
        let mut data = Vec::with_capacity(topic.len() + properties.raw().len() + payload.len());
        data.extend_from_slice(topic.as_bytes());
        let mut expires_at = None;
        if !properties.is_empty() {
            expires_at = copy_forwarded(properties, now, &mut data);
        }
        let payload_start = data.len();
        data.extend_from_slice(payload);
        let data = data.into_boxed_slice();
        let charge = Charge::new(account, data.len() + OVERHEAD_BYTES);
        Self {
            topic_length: topic.len(),
            payload_start,
            data,
            qos,
            retain,
            expires_at,
            origin: Arc::clone(origin),
            gate: AtomicU64::new(0),
            gated: false,
            _charge: charge,
        }
    }

    /// Topic Name.
    #[inline]
    pub fn topic(&self) -> &str {
        let bytes = self.data.get(..self.topic_length).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The properties that travel unaltered, as checked bytes. [MQTT-3.3.2-4] [MQTT-3.3.2-15]
    /// [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    #[inline]
    pub fn properties(&self) -> &[u8] {
        self.data
            .get(self.topic_length..self.payload_start)
            .unwrap_or_default()
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.data.get(self.payload_start..).unwrap_or_default()
    }

    /// Bytes of topic, properties and payload: what queues count.
    #[inline]
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// Whether Message Expiry has ended it.
    #[inline]
    pub fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Makes gated deliveries wait until [`Message::set_gate`] names the entry.
    /// `for_all`: every delivery is gated, not only those that ask for it.
    pub(crate) fn close_gate(&mut self, for_all: bool) {
        self.gate.store(GATE_PENDING, Ordering::Release);
        self.gated = for_all;
    }

    /// Whether every delivery waits for the message's entry.
    #[inline]
    pub(crate) const fn is_gated(&self) -> bool {
        self.gated
    }

    /// Names the entry that gated deliveries wait for.
    pub(crate) fn set_gate(&self, seq: Seq) {
        self.gate.store(seq.0, Ordering::Release);
    }

    /// The entry that gated deliveries wait for, `None` while it isn't appended.
    pub(crate) fn gate(&self) -> Option<Seq> {
        match self.gate.load(Ordering::Acquire) {
            GATE_PENDING => None,
            seq => Some(Seq(seq)),
        }
    }
}

/// Equal to the eye of a receiver; where it waits doesn't count.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.data == other.data
            && self.topic_length == other.topic_length
            && self.payload_start == other.payload_start
            && (self.qos, self.retain, self.expires_at)
                == (other.qos, other.retain, other.expires_at)
            && self.origin == other.origin
    }
}

impl HasTopic for Arc<Message> {
    fn topic(&self) -> &str {
        Message::topic(self)
    }
}

/// Copies what is forwarded unaltered and in order; gives the end by Message Expiry.
fn copy_forwarded(properties: Properties<'_>, now: Instant, data: &mut Vec<u8>) -> Option<Instant> {
    let mut expires_at = None;
    for property in properties.iter() {
        if property.is_forwarded() {
            // Lengths were checked when it was decoded, and a Vec is never full.
            let _ = property.encode(data);
        } else if let Property::MessageExpiryInterval(secs) = property {
            expires_at = Some(now.plus_secs(u64::from(secs)));
        }
    }
    expires_at
}

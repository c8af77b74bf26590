//! The entries: every way in which durable state can change. Applying the same entries in the same
//! order gives the same state on any machine; time stands in the entry.

use dunlin_codec::{PacketId, QoS};

use crate::message::{Message, Origin};
use crate::session::{Identifiers, SessionKey, SubscriptionSettings, Will};
use crate::sync::Arc;
use crate::time::Instant;

/// One atomic unit: all of its entries are durable or none is.
pub type Frame = Vec<Entry>;

/// The identity of a shared subscription: Share Name and Topic Filter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareId {
    /// Share Name.
    pub share_name: Box<str>,
    /// Topic Filter behind it.
    pub filter: Box<str>,
}

/// Where a copy of a message waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// In a session's queue, under its delivery counter.
    Session {
        /// Which session; a later session of the same client has another key.
        session: SessionKey,
        /// Its delivery counter: the order of its queue, and the source of the Packet Identifier.
        counter: u64,
    },
    /// In the queue of a shared subscription.
    Share {
        /// Which shared subscription.
        share: Arc<ShareId>,
        /// The order of its queue.
        position: u64,
    },
}

/// One copy of a message in one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The queue.
    pub target: Target,
    /// The QoS it's delivered at.
    pub qos: QoS,
    /// RETAIN as it will be sent.
    pub retain: bool,
    /// All Subscription Identifiers it's sent with.
    pub identifiers: Identifiers,
    /// The shared subscription that the copy came through.
    pub share: Option<Arc<ShareId>>,
}

/// The Packet Identifier of a message that was received at QoS 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The publisher's session.
    pub session: SessionKey,
    /// Its Packet Identifier.
    pub packet_id: PacketId,
}

/// Why a copy left a queue for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removal {
    /// PUBACK or PUBCOMP.
    Acknowledged,
    /// PUBACK or PUBREC with a reason code of 0x80 or above.
    Refused,
    /// Message Expiry.
    Expired,
    /// The queue was full.
    Overflow,
    /// Above the client's Maximum Packet Size.
    TooLarge,
    /// Its shared subscription has no members any more.
    ShareEnded,
}

/// A change of durable state.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A session began.
    SessionStarted {
        /// Its key, never used before.
        session: SessionKey,
        /// Whose it is.
        origin: Arc<Origin>,
        /// Session Expiry Interval in seconds.
        expiry_s: u32,
        /// Its Will.
        will: Option<Arc<Will>>,
    },
    /// A client took its session up again.
    SessionResumed {
        /// Which.
        session: SessionKey,
        /// With what name and by which listener this time.
        origin: Arc<Origin>,
        /// Session Expiry Interval in seconds.
        expiry_s: u32,
        /// The Will of the new connection.
        will: Option<Arc<Will>>,
    },
    /// A session lost its connection.
    SessionDetached {
        /// Which.
        session: SessionKey,
        /// When.
        at: Instant,
        /// Session Expiry Interval in seconds; a DISCONNECT may have changed it.
        expiry_s: u32,
        /// Whether its Will is still to be published, after its delay.
        will_due: bool,
    },
    /// A session ended; all that belongs to it is gone.
    SessionEnded {
        /// Which.
        session: SessionKey,
    },
    /// A Will was published or is obsolete.
    WillDone {
        /// Whose.
        session: SessionKey,
    },
    /// A subscription was made or replaced.
    Subscribed {
        /// Whose.
        session: SessionKey,
        /// As the client wrote it.
        filter: Arc<str>,
        /// Its options and identifier.
        settings: SubscriptionSettings,
        /// Retained messages up to this version are still to be sent for it; `None` changes nothing
        /// about those that are to be sent for the subscription it replaces.
        retained_up_to: Option<u64>,
    },
    /// A subscription was given up.
    Unsubscribed {
        /// Whose.
        session: SessionKey,
        /// As the client wrote it.
        filter: Arc<str>,
    },
    /// A message was taken from a publisher (or a Will, or the retained store).
    Published {
        /// The message, once, however many copies wait for it.
        message: Arc<Message>,
        /// The copies.
        references: Vec<Reference>,
        /// Whether it replaces (or, when empty, removes) the Retained Message of its topic, under
        /// which version.
        retained_version: Option<u64>,
        /// Its Packet Identifier, if it came at QoS 2 from a durable session.
        inbound: Option<Inbound>,
    },
    /// A QoS 2 handshake of a publisher is over: PUBREL came.
    Released(
        /// The identifier that may be used again.
        Inbound,
    ),
    /// A subscriber has received a QoS 2 message: PUBREC came.
    Received {
        /// Whose.
        session: SessionKey,
        /// Which delivery.
        counter: u64,
    },
    /// A message left the queue of a shared subscription for that of a member.
    Assigned {
        /// Which shared subscription.
        share: Arc<ShareId>,
        /// Its position in the share's queue.
        position: u64,
        /// The copy in the member's queue.
        reference: Reference,
    },
    /// A member didn't complete a message: it's back at the head of the share's queue.
    GivenBack {
        /// Which shared subscription.
        share: Arc<ShareId>,
        /// From where: the member's queue, or an older position.
        from: Target,
        /// Its new position in the share's queue.
        position: u64,
    },
    /// A copy left a queue.
    Removed {
        /// Which copy.
        target: Target,
        /// Why.
        reason: Removal,
    },
    /// A retained message was sent on a subscription: its copy is queued, the cursor moves.
    RetainedQueued {
        /// Whose.
        session: SessionKey,
        /// The subscription whose cursor moves.
        filter: Arc<str>,
        /// The copy; `None` when the cursor only moves.
        copy: Option<(Arc<Message>, Reference)>,
        /// The cursor stands behind this topic now; `None` when it's done.
        after: Option<Box<str>>,
    },
    /// A Retained Message ended by its Message Expiry.
    RetainedExpired {
        /// Topic Name.
        topic: Box<str>,
        /// The version that ended.
        version: u64,
    },
}

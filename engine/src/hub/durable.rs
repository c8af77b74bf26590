//! Durable state as plain data: what the journal's entries add up to.
//!
//! The same entries give the same state on any machine. An entry may stand before the one it
//! depends on (an acknowledgement can overtake the frame of its message on the way to the log): it
//! is kept until that one comes.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_codec::{PacketId, QoS};

use crate::journal::{Entry, Frame, Reference, ShareId, Target};
use crate::message::{Message, Origin};
use crate::routing::share::Positions;
use crate::session::{Identifiers, SessionKey, SubscriptionSettings, Will};
use crate::sync::Arc;
use crate::time::Instant;

/// Everything that survives the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurableState {
    pub(super) sessions: BTreeMap<SessionKey, SessionRecord>,
    pub(super) retained: BTreeMap<Box<str>, (Arc<Message>, u64)>,
    pub(super) retained_version: u64,
    pub(super) shares: BTreeMap<ShareId, BTreeMap<u64, Arc<Message>>>,
    pub(super) early: Early,
    pub(super) last_key: LastKey,
    pub(super) positions: UsedPositions,
}

/// The positions that shared subscriptions have given out: none is given out twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsedPositions(pub(super) Positions);

/// They are no state: messages that were never durable have some too.
impl PartialEq for UsedPositions {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The last key that a session had: none is given out twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastKey(pub(super) u64);

/// It's no state: sessions that were never durable raise it too.
impl PartialEq for LastKey {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Entries that wait for another one.
#[derive(Clone, Debug, Default)]
pub(super) struct Early(Vec<Entry>);

/// They are no state: two states are equal whatever waits.
impl PartialEq for Early {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SessionRecord {
    pub(super) origin: Arc<Origin>,
    pub(super) expiry_s: u32,
    /// `None` while connected.
    pub(super) detached_at: Option<Instant>,
    pub(super) will: Option<Arc<Will>>,
    pub(super) subscriptions: BTreeMap<Arc<str>, (SubscriptionSettings, Option<Cursor>)>,
    /// The last delivery counter that any entry named. Those that come after a restart are above:
    /// an entry that waits for a copy which was never written must not find another one.
    pub(super) counter: u64,
    /// By delivery counter.
    pub(super) copies: BTreeMap<u64, CopyRecord>,
    /// Counters whose PUBREC came.
    pub(super) received: BTreeSet<u64>,
    pub(super) inbound: Vec<PacketId>,
}

/// Up to which version, behind which topic.
pub(super) type Cursor = (u64, Option<Box<str>>);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CopyRecord {
    pub(super) message: Arc<Message>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) identifiers: Identifiers,
    pub(super) share: Option<Arc<ShareId>>,
}

impl DurableState {
    /// What these frames add up to.
    pub fn from_frames(frames: impl IntoIterator<Item = Frame>) -> Self {
        let mut state = Self::default();
        for entry in frames.into_iter().flatten() {
            state.apply(entry);
        }
        state
    }

    /// Applies one entry.
    pub fn apply(&mut self, entry: Entry) {
        let brings_copies = matches!(
            entry,
            Entry::Published { .. } | Entry::Assigned { .. } | Entry::GivenBack { .. }
        );
        self.note_targets(&entry);
        if let Some(waiting) = self.try_apply(entry) {
            self.early.0.push(waiting);
        } else if brings_copies {
            self.apply_early();
        }
    }

    /// Applies what has waited for what is there now.
    fn apply_early(&mut self) {
        let mut at = 0;
        while at < self.early.0.len() {
            let entry = self.early.0.remove(at);
            match self.try_apply(entry) {
                Some(waiting) => {
                    self.early.0.insert(at, waiting);
                    at += 1;
                }
                // It may have brought what one before it waits for.
                None => at = 0,
            }
        }
    }

    /// Remembers which counters and positions are used.
    fn note_targets(&mut self, entry: &Entry) {
        match entry {
            Entry::Published { references, .. } => {
                for reference in references {
                    self.note(&reference.target);
                }
            }
            Entry::Assigned {
                position,
                reference,
                ..
            } => {
                self.note_position(*position);
                self.note(&reference.target);
            }
            Entry::RetainedQueued {
                copy: Some((_, reference)),
                ..
            } => self.note(&reference.target),
            Entry::Removed { target, .. } => self.note(target),
            Entry::GivenBack { from, position, .. } => {
                self.note(from);
                self.note_position(*position);
            }
            _ => {}
        }
    }

    fn note(&mut self, target: &Target) {
        match target {
            Target::Session { session, counter } => {
                if let Some(record) = self.sessions.get_mut(session) {
                    record.counter = record.counter.max(*counter);
                }
            }
            Target::Share { position, .. } => self.note_position(*position),
        }
    }

    fn note_position(&mut self, position: u64) {
        self.positions.0 = self.positions.0.beyond(Positions::only(position));
    }

    /// Gives the entry back when what it's about isn't there yet.
    fn try_apply(&mut self, entry: Entry) -> Option<Entry> {
        match entry {
            Entry::SessionStarted {
                session,
                origin,
                expiry_s,
                will,
            } => {
                self.last_key.0 = self.last_key.0.max(session.0);
                self.sessions
                    .insert(session, SessionRecord::new(origin, expiry_s, will));
            }
            Entry::SessionResumed {
                session,
                origin,
                expiry_s,
                will,
            } => {
                let record = self.sessions.get_mut(&session)?;
                (record.origin, record.expiry_s, record.will) = (origin, expiry_s, will);
                record.detached_at = None;
            }
            Entry::SessionDetached {
                session,
                at,
                expiry_s,
                will_due,
            } => {
                let record = self.sessions.get_mut(&session)?;
                record.detached_at = Some(at);
                record.expiry_s = expiry_s;
                if !will_due {
                    record.will = None;
                }
            }
            Entry::SessionEnded { session } => {
                self.sessions.remove(&session);
            }
            Entry::WillDone { session } => self.sessions.get_mut(&session)?.will = None,
            Entry::Subscribed {
                session,
                filter,
                settings,
                retained_up_to,
            } => {
                let subscriptions = &mut self.sessions.get_mut(&session)?.subscriptions;
                let known = subscriptions.get_mut(&filter);
                let pending = known.and_then(|(_, cursor)| cursor.take());
                let cursor = retained_up_to.map(|up_to| (up_to, None)).or(pending);
                subscriptions.insert(filter, (settings, cursor));
            }
            Entry::Unsubscribed { session, filter } => {
                self.sessions
                    .get_mut(&session)?
                    .subscriptions
                    .remove(&filter);
            }
            Entry::Published {
                message,
                references,
                retained_version,
                inbound,
            } => {
                if let Some(version) = retained_version {
                    self.retain(&message, version);
                }
                if let Some(inbound) = inbound
                    && let Some(record) = self.sessions.get_mut(&inbound.session)
                {
                    record.inbound.push(inbound.packet_id);
                }
                for reference in references {
                    self.add(&message, reference);
                }
            }
            Entry::Released(inbound) => {
                self.sessions
                    .get_mut(&inbound.session)?
                    .inbound
                    .retain(|id| *id != inbound.packet_id);
            }
            Entry::Received { session, counter } => {
                let record = self.sessions.get_mut(&session)?;
                if record.copies.remove(&counter).is_some() {
                    record.received.insert(counter);
                }
            }
            Entry::Removed { ref target, .. } => {
                if self.expects(target) && self.take(target).is_none() {
                    return Some(entry);
                }
            }
            Entry::Assigned {
                ref share,
                position,
                ref reference,
            } => {
                let from = Target::Share {
                    share: Arc::clone(share),
                    position,
                };
                match self.take(&from).flatten() {
                    Some(message) => self.add(&message, reference.clone()),
                    None => return Some(entry),
                }
            }
            Entry::GivenBack {
                ref share,
                ref from,
                position,
            } => match self.take(from).flatten() {
                Some(message) => {
                    self.shares
                        .entry(share.as_ref().clone())
                        .or_default()
                        .insert(position, message);
                }
                // Even if the session has ended meanwhile: the share has the message.
                None => return Some(entry),
            },
            Entry::RetainedQueued {
                session,
                filter,
                copy,
                after,
            } => {
                let record = self.sessions.get_mut(&session)?;
                if let Some((_, cursor)) = record.subscriptions.get_mut(&filter) {
                    *cursor = cursor
                        .take()
                        .and_then(|(up_to, _)| after.map(|after| (up_to, Some(after))));
                }
                if let Some((message, reference)) = copy {
                    self.add(&message, reference);
                }
            }
            Entry::RetainedExpired { topic, version } => {
                if self
                    .retained
                    .get(&topic)
                    .is_some_and(|(_, current)| *current == version)
                {
                    self.retained.remove(&topic);
                }
            }
        }
        None
    }

    fn retain(&mut self, message: &Arc<Message>, version: u64) {
        self.retained_version = self.retained_version.max(version);
        if message.payload().is_empty() {
            self.retained.remove(message.topic());
        } else {
            self.retained
                .insert(message.topic().into(), (Arc::clone(message), version));
        }
    }

    fn add(&mut self, message: &Arc<Message>, reference: Reference) {
        match reference.target {
            Target::Session { session, counter } => {
                let Some(record) = self.sessions.get_mut(&session) else {
                    self.give_back(message, &Target::Session { session, counter });
                    return;
                };
                let copy = CopyRecord {
                    message: Arc::clone(message),
                    qos: reference.qos,
                    retain: reference.retain,
                    identifiers: reference.identifiers,
                    share: reference.share,
                };
                record.copies.insert(counter, copy);
            }
            Target::Share { share, position } => {
                self.shares
                    .entry(share.as_ref().clone())
                    .or_default()
                    .insert(position, Arc::clone(message));
            }
        }
    }

    /// A copy came for a session that has ended. If it went back to its share before, it's there.
    fn give_back(&mut self, message: &Arc<Message>, target: &Target) {
        let given_back =
            |entry: &Entry| matches!(entry, Entry::GivenBack { from, .. } if from == target);
        let Some(at) = self.early.0.iter().position(given_back) else {
            return;
        };
        if let Entry::GivenBack {
            share, position, ..
        } = self.early.0.remove(at)
        {
            self.shares
                .entry(share.as_ref().clone())
                .or_default()
                .insert(position, Arc::clone(message));
        }
    }

    /// Whether the queue that `target` names exists at all.
    fn expects(&self, target: &Target) -> bool {
        match target {
            Target::Session { session, .. } => self.sessions.contains_key(session),
            Target::Share { .. } => true,
        }
    }

    /// Takes a copy out of its queue: its message, unless the client has it. `None` if there is no
    /// such copy.
    #[allow(clippy::option_option)] // absent and handed over are two things
    fn take(&mut self, target: &Target) -> Option<Option<Arc<Message>>> {
        match target {
            Target::Session { session, counter } => {
                let record = self.sessions.get_mut(session)?;
                if record.received.remove(counter) {
                    return Some(None);
                }
                record.copies.remove(counter).map(|copy| Some(copy.message))
            }
            Target::Share { share, position } => {
                let queue = self.shares.get_mut(share.as_ref())?;
                let message = queue.remove(position);
                if queue.is_empty() {
                    self.shares.remove(share.as_ref());
                }
                message.map(Some)
            }
        }
    }
}

impl SessionRecord {
    pub(super) const fn new(origin: Arc<Origin>, expiry_s: u32, will: Option<Arc<Will>>) -> Self {
        Self {
            origin,
            expiry_s,
            detached_at: None,
            will,
            subscriptions: BTreeMap::new(),
            counter: 0,
            copies: BTreeMap::new(),
            received: BTreeSet::new(),
            inbound: Vec::new(),
        }
    }
}

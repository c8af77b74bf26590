//! Durable state as plain data: what the journal's entries add up to, and a hub made from it after
//! a restart.
//!
//! The same entries give the same state on any machine. An entry may stand before the one it
//! depends on (an acknowledgement can overtake the frame of its message on the way to the log): it
//! is kept until that one comes.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_codec::topic::Filter;
use dunlin_codec::{PacketId, QoS};

use super::Hub;
use crate::journal::{Entry, Frame, Journal, Reference, Seq, ShareId, Target};
use crate::limits::Limits;
use crate::memory::Charge;
use crate::message::{Message, Origin};
use crate::routing::{Authorize, Share, ShareCopy};
use crate::session::{
    Delivery, Gate, Identifiers, InflightState, NEVER_EXPIRES, RetainedCursor, Session, SessionKey,
    SubscriptionSettings, Will,
};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::time::{Instant, Now};

/// Everything that survives the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DurableState {
    sessions: BTreeMap<SessionKey, SessionRecord>,
    retained: BTreeMap<Box<str>, (Arc<Message>, u64)>,
    retained_version: u64,
    shares: BTreeMap<ShareId, BTreeMap<u64, Arc<Message>>>,
    early: Early,
    last_key: LastKey,
}

/// The last key that a session had: none is given out twice.
#[derive(Clone, Copy, Debug, Default)]
struct LastKey(u64);

/// It's no state: sessions that were never durable raise it too.
impl PartialEq for LastKey {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Entries that wait for another one.
#[derive(Clone, Debug, Default)]
struct Early(Vec<Entry>);

/// They are no state: two states are equal whatever waits.
impl PartialEq for Early {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Clone, Debug, PartialEq)]
struct SessionRecord {
    origin: Arc<Origin>,
    expiry_s: u32,
    /// `None` while connected.
    detached_at: Option<Instant>,
    will: Option<Arc<Will>>,
    subscriptions: BTreeMap<Arc<str>, (SubscriptionSettings, Option<Cursor>)>,
    /// By delivery counter.
    copies: BTreeMap<u64, CopyRecord>,
    /// Counters whose PUBREC came.
    received: BTreeSet<u64>,
    inbound: Vec<PacketId>,
}

/// Up to which version, behind which topic.
type Cursor = (u64, Option<Box<str>>);

#[derive(Clone, Debug, PartialEq)]
struct CopyRecord {
    message: Arc<Message>,
    qos: QoS,
    retain: bool,
    identifiers: Identifiers,
    share: Option<Arc<ShareId>>,
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
        if let Some(waiting) = self.try_apply(entry) {
            self.early.0.push(waiting);
        } else if brings_copies && !self.early.0.is_empty() {
            for entry in core::mem::take(&mut self.early.0) {
                self.apply(entry);
            }
        }
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
                None if self.expects(from) => return Some(entry),
                None => {}
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

impl DurableState {
    /// What members that aren't durable have from a share's durable queue is still there.
    fn add_borrowed(&mut self, session: &Session) {
        let state = session.lock();
        let inflight = state
            .inflight
            .iter()
            .filter_map(|(_, _, delivery)| delivery);
        for delivery in state.queue.iter().chain(inflight) {
            let Some(ShareCopy {
                share,
                position: Some(position),
            }) = &delivery.share
            else {
                continue;
            };
            let queue = self.shares.entry(share.id.as_ref().clone()).or_default();
            queue.insert(*position, Arc::clone(&delivery.message));
        }
    }
}

impl SessionRecord {
    const fn new(origin: Arc<Origin>, expiry_s: u32, will: Option<Arc<Will>>) -> Self {
        Self {
            origin,
            expiry_s,
            detached_at: None,
            will,
            subscriptions: BTreeMap::new(),
            copies: BTreeMap::new(),
            received: BTreeSet::new(),
            inbound: Vec::new(),
        }
    }
}

impl Hub {
    /// The durable part of the state as it stands: equal to what the journal's entries add up to.
    pub fn durable_state(&self) -> DurableState {
        let mut state = DurableState {
            last_key: LastKey(self.last_key.load(Ordering::Relaxed)),
            ..DurableState::default()
        };
        let mut sessions: Vec<Arc<Session>> = self.sessions.read().values().cloned().collect();
        sessions.sort_unstable_by_key(|session| session.key);
        for session in &sessions {
            if let Some(record) = record_of(session) {
                state.sessions.insert(session.key, record);
            }
        }
        {
            let retained = self.retained.read();
            state.retained_version = retained.version();
            for topic in retained.topics().iter() {
                let entry = (Arc::clone(&topic.message), topic.version);
                state.retained.insert(topic.message.topic().into(), entry);
            }
        }
        for (id, share) in &self.routes.read().shares {
            let waiting: BTreeMap<u64, Arc<Message>> = share.with(|state| {
                let durable = state.iter().filter(|waiting| waiting.durable);
                durable
                    .map(|waiting| (waiting.position, Arc::clone(&waiting.message)))
                    .collect()
            });
            if !waiting.is_empty() {
                state.shares.insert(id.clone(), waiting);
            }
        }
        for session in &sessions {
            state.add_borrowed(session);
        }
        state
    }

    /// A hub with the state of an earlier one. Every session counts as disconnected at `now` if it
    /// was connected; Wills that were pending, or that the crash set free, fall due by
    /// [`Hub::handle_timeout`].
    pub fn recover(
        limits: Limits,
        journal: Journal,
        authorizer: Arc<dyn Authorize>,
        seed: u64,
        now: Now,
        state: DurableState,
    ) -> Self {
        let hub = Self::new(limits, journal, authorizer, seed);
        let limits = hub.limits();
        {
            let mut retained = hub.retained.write();
            for (message, version) in state.retained.values() {
                retained.apply_version(message, *version);
            }
            retained.set_version(state.retained_version);
            hub.timers.lock().set_retained(retained.next_expiry());
        }
        hub.last_key.store(state.last_key.0, Ordering::Relaxed);
        let mut sessions = Vec::new();
        for (key, record) in state.sessions {
            sessions.push(hub.restore_session(now, key, record));
        }
        for (id, messages) in state.shares {
            let Some(share) = hub.routes.read().shares.get(&id).cloned() else {
                continue;
            };
            share.with(|queue| {
                for (position, message) in messages {
                    queue.restore(message, position);
                }
            });
        }
        let mut batch = super::Batch::default();
        for (session, copies) in sessions {
            hub.restore_copies(now, &limits, &session, copies);
            hub.give_back(now, &limits, &session, false, &mut batch);
        }
        hub
    }

    fn restore_session(
        &self,
        now: Now,
        key: SessionKey,
        record: SessionRecord,
    ) -> (Arc<Session>, Copies) {
        let session = Arc::new(Session::new(
            key,
            Arc::clone(&record.origin),
            Charge::new(&self.account, 0),
        ));
        let mut shares = Vec::new();
        {
            let mut routes = self.routes.write();
            for (filter, (settings, _)) in &record.subscriptions {
                let Ok(parsed) = Filter::parse(filter) else {
                    continue;
                };
                routes.subscriptions += 1;
                shares.extend(self.insert_route(&mut routes, &session, parsed, *settings));
            }
        }
        self.sessions
            .write()
            .insert(session.client_id.clone(), Arc::clone(&session));
        let mut state = session.lock();
        let detached_at = record.detached_at.unwrap_or(now.monotonic);
        state.expiry_s = record.expiry_s;
        if record.expiry_s != NEVER_EXPIRES {
            state.expires_at = Some(detached_at.plus_secs(u64::from(record.expiry_s)));
        }
        if let Some(will) = record.will {
            let due = detached_at.plus_secs(u64::from(will.delay_s));
            state.will_at = Some(state.expires_at.map_or(due, |end| end.min(due)));
            state.will = Some(will);
        }
        for (filter, (settings, cursor)) in record.subscriptions {
            if let Some((up_to, after)) = cursor {
                state.cursors.push(RetainedCursor {
                    filter: Arc::clone(&filter),
                    up_to,
                    after,
                });
            }
            state.set_subscription(filter, settings);
        }
        state.shares = shares;
        for packet_id in record.inbound {
            state.received.insert(packet_id);
            state.received.set(packet_id, Seq::NONE);
        }
        self.timers.lock().set(&session, &state);
        drop(state);
        (
            session,
            Copies {
                copies: record.copies,
                received: record.received,
            },
        )
    }

    /// What may have been sent before counts as in flight: it's sent again, marked, under the same
    /// Packet Identifier. The rest waits in the queue.
    fn restore_copies(&self, now: Now, limits: &Limits, session: &Arc<Session>, copies: Copies) {
        let mut state = session.lock();
        let last = copies
            .copies
            .keys()
            .chain(&copies.received)
            .max()
            .copied()
            .unwrap_or(0);
        state.counter = state.counter.max(last);
        let mut counters: Vec<u64> = copies.received.iter().copied().collect();
        counters.extend(copies.copies.keys().take(usize::from(limits.inflight)));
        counters.sort_unstable();
        let mut waiting = copies.copies;
        for counter in counters {
            match waiting.remove(&counter) {
                Some(copy) => {
                    let delivery = self.delivery_of(counter, copy);
                    self.expect_expiry(now, session, &mut state, delivery.message.expires_at);
                    state.inflight.restore(delivery);
                }
                None => state.inflight.restore_received(counter),
            }
        }
        for (counter, copy) in waiting {
            let delivery = self.delivery_of(counter, copy);
            self.expect_expiry(now, session, &mut state, delivery.message.expires_at);
            state.queue.push(delivery, || Seq::NONE);
        }
        state.recharge_messages();
    }

    fn delivery_of(&self, counter: u64, copy: CopyRecord) -> Delivery {
        let share = copy
            .share
            .and_then(|id| self.routes.read().shares.get(id.as_ref()).cloned());
        Delivery {
            message: copy.message,
            counter,
            qos: copy.qos,
            retain: copy.retain,
            gate: Gate::Open,
            identifiers: copy.identifiers,
            share: share.map(|share: Arc<Share>| ShareCopy {
                share,
                position: None,
            }),
        }
    }
}

/// What a recovered session had to deliver.
struct Copies {
    copies: BTreeMap<u64, CopyRecord>,
    received: BTreeSet<u64>,
}

/// A session's durable part; `None` if it has none.
fn record_of(session: &Session) -> Option<SessionRecord> {
    let state = session.lock();
    if !state.is_persistent() || state.ended {
        return None;
    }
    let detached_at = match state.link {
        Some(_) => None,
        None => Some(state.detached_at),
    };
    let mut record = SessionRecord::new(
        Arc::clone(&state.origin),
        state.expiry_s,
        state.will.clone(),
    );
    record.detached_at = detached_at;
    for (filter, settings) in &state.subscriptions {
        let cursor = state.cursors.iter().find(|cursor| cursor.filter == *filter);
        let cursor = cursor.map(|cursor| (cursor.up_to, cursor.after.clone()));
        record
            .subscriptions
            .insert(Arc::clone(filter), (*settings, cursor));
    }
    for delivery in state.queue.iter().filter(|delivery| delivery.counter != 0) {
        record.copies.insert(delivery.counter, copy_of(delivery));
    }
    for (counter, progress, delivery) in state.inflight.iter() {
        match (progress, delivery) {
            (InflightState::AwaitPubcomp(_), _) | (_, None) => {
                record.received.insert(counter);
            }
            (_, Some(delivery)) => {
                record.copies.insert(counter, copy_of(delivery));
            }
        }
    }
    record.inbound = state.received.iter().collect();
    Some(record)
}

fn copy_of(delivery: &Delivery) -> CopyRecord {
    CopyRecord {
        message: Arc::clone(&delivery.message),
        qos: delivery.qos,
        retain: delivery.retain,
        identifiers: delivery.identifiers.clone(),
        share: delivery
            .share
            .as_ref()
            .map(|copy| Arc::clone(&copy.share.id)),
    }
}

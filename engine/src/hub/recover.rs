//! The hub's durable part as plain data, and a hub made from it after a restart.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_codec::topic::Filter;

use super::Hub;
use super::durable::{CopyRecord, DurableState, LastKey, SessionRecord};
use crate::journal::{Entry, Journal, Removal, Seq, ShareId, Target};
use crate::limits::Limits;
use crate::memory::Charge;
use crate::message::Message;
use crate::routing::{Authorize, Share, ShareCopy};
use crate::session::{
    Delivery, Gate, InflightState, NEVER_EXPIRES, RetainedCursor, Session, SessionKey,
};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::time::Now;

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
        hub.routes.write().positions = state.positions.0;
        let mut sessions = Vec::new();
        for (key, record) in state.sessions {
            sessions.push(hub.restore_session(now, key, record));
        }
        for (id, messages) in state.shares {
            let Some(share) = hub.routes.read().shares.get(&id).cloned() else {
                hub.forget_share(id, messages.keys());
                continue;
            };
            share.with(|queue| {
                for (position, message) in messages {
                    hub.expect_share_expiry(now, message.expires_at);
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
        state.detached_at = detached_at;
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
        state.counter = record.counter;
        for packet_id in record.inbound {
            state.received.insert(packet_id);
            state.received.set(packet_id, Seq::NONE);
        }
        self.timers.lock().set(&session, &state);
        if record.detached_at.is_none() {
            // After the next restart it counts from now on too.
            self.append(vec![Entry::SessionDetached {
                session: key,
                at: detached_at,
                expiry_s: state.expiry_s,
                will_due: state.will.is_some(),
            }]);
        }
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
        let share = copy.share.map(|id| self.share_of(&id));
        Delivery {
            message: copy.message,
            counter,
            qos: copy.qos,
            retain: copy.retain,
            gate: Gate::Open,
            identifiers: copy.identifiers,
            share: share.map(|share| ShareCopy {
                share,
                position: None,
            }),
        }
    }

    /// The last member had left, and the crash came before this was written down.
    fn forget_share<'a>(&self, id: ShareId, positions: impl Iterator<Item = &'a u64>) {
        let share = Arc::new(id);
        let removed = positions.map(|position| Entry::Removed {
            target: Target::Share {
                share: Arc::clone(&share),
                position: *position,
            },
            reason: Removal::ShareEnded,
        });
        self.append(removed.collect());
    }

    /// The share that a copy came through; one without members if it's gone.
    fn share_of(&self, id: &ShareId) -> Arc<Share> {
        let routes = self.routes.read();
        match routes.shares.get(id) {
            Some(share) => Arc::clone(share),
            None => Arc::new(Share::new(self.next_key(), id.clone(), routes.positions)),
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
    record.counter = state.counter;
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

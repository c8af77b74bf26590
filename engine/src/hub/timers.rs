//! What falls due without an input: sessions that end, Wills that are due, messages that expire.

use std::collections::BTreeMap;

use super::{Batch, Hub};
use crate::drops::DropReason;
use crate::journal::{Entry, Removal};
use crate::session::{Delivery, Session, SessionKey, State};
use crate::sync::Arc;
use crate::time::{Instant, Now};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// Will Delay.
    Will,
    /// Session Expiry.
    Session,
    /// Message Expiry in a session's queue.
    Queue,
}

/// All deadlines, soonest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    sessions: BTreeMap<(Instant, SessionKey, Due), Arc<Session>>,
    retained: Option<Instant>,
    shares: Option<Instant>,
}

/// Queues are searched for expired messages at most this often.
const PURGE_INTERVAL_MS: u64 = 1000;
/// Deadlines handled in one call; the rest is still due then.
const BATCH: usize = 256;

impl Timers {
    /// Sets the deadlines of a session that has lost its connection.
    pub(super) fn set(&mut self, session: &Arc<Session>, state: &State) {
        if let Some(at) = state.will_at {
            self.sessions
                .insert((at, session.key, Due::Will), Arc::clone(session));
        }
        if let Some(at) = state.expires_at {
            self.sessions
                .insert((at, session.key, Due::Session), Arc::clone(session));
        }
    }

    /// Takes back every deadline of a session.
    pub(super) fn cancel(&mut self, key: SessionKey, state: &mut State) {
        self.cancel_absence(key, state);
        if let Some(at) = state.purge_at.take() {
            self.sessions.remove(&(at, key, Due::Queue));
        }
    }

    /// Takes back the deadlines that a session without connection has. Messages in its queue expire
    /// with a connection too.
    pub(super) fn cancel_absence(&mut self, key: SessionKey, state: &mut State) {
        let deadlines = [
            (state.will_at.take(), Due::Will),
            (state.expires_at.take(), Due::Session),
        ];
        for (at, due) in deadlines {
            if let Some(at) = at {
                self.sessions.remove(&(at, key, due));
            }
        }
    }

    /// When the next Retained Message expires.
    pub(super) const fn set_retained(&mut self, at: Option<Instant>) {
        self.retained = at;
    }

    fn first(&self) -> Option<Instant> {
        let sessions = self.sessions.first_key_value().map(|((at, _, _), _)| *at);
        [sessions, self.retained, self.shares]
            .into_iter()
            .flatten()
            .min()
    }

    fn pop_due(&mut self, now: Instant) -> Option<(Due, Arc<Session>)> {
        let entry = self
            .sessions
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        let ((_, _, due), session) = entry.remove_entry();
        Some((due, session))
    }
}

impl Hub {
    /// When [`Hub::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.lock().first()
    }

    /// Does what is due, a bounded part of it: ask [`Hub::poll_timeout`] again.
    pub fn handle_timeout(&self, now: Now, batch: &mut Batch) {
        let limits = self.limits();
        for _ in 0..BATCH {
            let Some((due, session)) = self.timers.lock().pop_due(now.monotonic) else {
                break;
            };
            match due {
                Due::Will => self.publish_delayed_will(now, &session, batch),
                Due::Session => self.expire_session(now, &limits, &session, batch),
                Due::Queue => self.purge(now, &session),
            }
        }
        self.purge_retained(now);
        let purge_shares = self
            .timers
            .lock()
            .shares
            .take_if(|at| *at <= now.monotonic)
            .is_some();
        if purge_shares {
            self.purge_shares(now);
        }
    }

    fn publish_delayed_will(&self, now: Now, session: &Arc<Session>, batch: &mut Batch) {
        // Locked until the Will is written down: a client that returns comes before or after.
        let _sessions = self.sessions.read();
        let (will, origin) = {
            let mut state = session.lock();
            if state.link.is_some() || state.will_at.is_none_or(|at| at > now.monotonic) {
                return;
            }
            state.will_at = None;
            let Some(will) = state.will.take() else {
                return;
            };
            (will, Arc::clone(&state.origin))
        };
        let done = Some(Entry::WillDone {
            session: session.key,
        });
        self.publish_will(now, &self.limits(), &will, &origin, done, batch);
    }

    /// A message that expires at `at` was queued: the queue must be searched then.
    pub(super) fn expect_expiry(
        &self,
        now: Now,
        session: &Arc<Session>,
        state: &mut State,
        at: Option<Instant>,
    ) {
        let Some(at) = at else { return };
        let at = at.max(now.monotonic.plus_millis(PURGE_INTERVAL_MS));
        if state.purge_at.is_some_and(|set| set <= at) {
            return;
        }
        let mut timers = self.timers.lock();
        if let Some(old) = state.purge_at {
            timers.sessions.remove(&(old, session.key, Due::Queue));
        }
        timers
            .sessions
            .insert((at, session.key, Due::Queue), Arc::clone(session));
        state.purge_at = Some(at);
    }

    /// A message that expires at `at` waits in a share's queue.
    pub(super) fn expect_share_expiry(&self, now: Now, at: Option<Instant>) {
        let Some(at) = at else { return };
        let at = at.max(now.monotonic.plus_millis(PURGE_INTERVAL_MS));
        let mut timers = self.timers.lock();
        timers.shares = Some(timers.shares.map_or(at, |set| set.min(at)));
    }

    /// Removes what has expired from a session's queue. [MQTT-3.3.2-5]
    fn purge(&self, now: Now, session: &Arc<Session>) {
        let mut state = session.lock();
        state.purge_at = None;
        if state.ended {
            return;
        }
        self.drop_expired(now, session, &mut state);
        let next = [state.queue.next_expiry(), state.inflight.next_expiry()];
        let next = next.into_iter().flatten().min();
        self.expect_expiry(now, session, &mut state, next);
    }

    /// Removes what has expired and wasn't sent.
    pub(super) fn drop_expired(&self, now: Now, session: &Session, state: &mut State) {
        let mut expired = state.inflight.extract_expired(now.monotonic);
        let waiting = |delivery: &Delivery| delivery.message.is_expired(now.monotonic);
        expired.extend(state.queue.extract(waiting));
        for delivery in &expired {
            self.record_drop(
                now,
                DropReason::Expired,
                &session.client_id,
                &delivery.message,
            );
            self.forget(session, state, delivery, Removal::Expired);
            self.complete_shared(delivery);
        }
        state.recharge_messages();
    }

    fn purge_retained(&self, now: Now) {
        if self
            .timers
            .lock()
            .retained
            .is_none_or(|at| at > now.monotonic)
        {
            return;
        }
        let mut retained = self.retained.write();
        for _ in 0..BATCH {
            let Some(expired) = retained.pop_expired(now.monotonic) else {
                break;
            };
            let topic = expired.message.topic().into();
            self.journal.append(vec![Entry::RetainedExpired {
                topic,
                version: expired.version,
            }]);
        }
        self.timers.lock().set_retained(retained.next_expiry());
    }
}

//! Sessions come and go: connect, take over, detach, end. MQTT 5 sections 3.1.2.4, 3.1.2.11.2,
//! 3.1.4, 4.1, 4.12.

use dunlin_codec::Version;

use super::{Batch, Hub, Published, Publisher};
use crate::drops::DropReason;
use crate::journal::{Entry, Seq};
use crate::limits::Limits;
use crate::memory::Charge;
use crate::message::Origin;
use crate::session::{Link, NEVER_EXPIRES, Session, SessionKey, State, Will};
use crate::sync::{Arc, Wake};
use crate::time::{Instant, Now};

/// What a CONNECT asks for.
pub struct ConnectRequest {
    /// Who connects.
    pub origin: Arc<Origin>,
    /// Clean Start.
    pub clean_start: bool,
    /// Session Expiry Interval in seconds, as granted.
    pub expiry_s: u32,
    /// The Will.
    pub will: Option<Arc<Will>>,
    /// The connection's side of the session.
    pub version: Version,
    /// Messages of QoS 1 and 2 that may be unacknowledged.
    pub receive_maximum: u16,
    /// The client's Maximum Packet Size in bytes.
    pub maximum_packet_size: u32,
    /// How the connection is called.
    pub wake: Arc<dyn Wake>,
}

impl core::fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// A connection has its session.
#[derive(Debug)]
pub struct Connected {
    /// The session.
    pub session: Arc<Session>,
    /// The connection's number: with a later one the session is another connection's.
    pub epoch: u64,
    /// Whether the session existed before.
    pub session_present: bool,
    /// What must be durable before CONNACK.
    pub seq: Seq,
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectRefused {
    /// Too many sessions.
    QuotaExceeded,
    /// The memory ceiling is reached.
    Busy,
}

/// How a connection ended, for its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detach {
    /// Whether the Will is published; a normal DISCONNECT deletes it.
    pub with_will: bool,
    /// A Session Expiry Interval that a DISCONNECT set.
    pub expiry_s: Option<u32>,
}

/// What is left to do for a session when the locks are free again.
#[derive(Default)]
struct Aftermath {
    /// A Will to publish.
    will: Option<(Arc<Will>, Arc<Origin>)>,
    /// What to write down together with it, or alone when there is none.
    done: Option<Entry>,
    ended: Option<Arc<Session>>,
    detached: Option<Arc<Session>>,
}

impl Hub {
    /// Gives a connection its session: a new one, or the one it had. Takes it from another
    /// connection if need be. [MQTT-3.1.4-3] [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6]
    ///
    /// # Errors
    /// [`ConnectRefused`], with nothing changed.
    pub fn connect(
        &self,
        now: Now,
        limits: &Limits,
        request: ConnectRequest,
        batch: &mut Batch,
    ) -> Result<Connected, ConnectRefused> {
        let mut aftermath = Aftermath::default();
        let mut sessions = self.sessions.write();
        let existing = sessions.get(request.origin.client_id.as_str()).cloned();
        if existing.is_none() {
            if sessions.len() >= limits.sessions {
                return Err(ConnectRefused::QuotaExceeded);
            }
            if self.account.is_full() {
                return Err(ConnectRefused::Busy);
            }
        }
        let mut resumed = None;
        if let Some(session) = existing {
            let mut state = session.lock();
            let taken_over = unlink(&mut state, batch);
            let alive =
                state.is_persistent() && state.expires_at.is_none_or(|at| at > now.monotonic);
            if alive && !request.clean_start {
                // [MQTT-3.1.2-8] A Will without delay goes out on takeover, and one whose delay is
                // over though nobody has looked since; any other is cancelled by the new
                // connection. [MQTT-3.1.3-9]
                let delay_is_over = state.will_at.is_some_and(|at| at <= now.monotonic);
                let due = state
                    .will
                    .take()
                    .filter(|will| delay_is_over || (taken_over && will.delay_s == 0));
                if let Some(will) = due {
                    aftermath.will = Some((will, Arc::clone(&state.origin)));
                    aftermath.done = Some(Entry::WillDone {
                        session: session.key,
                    });
                }
                self.timers.lock().cancel_absence(session.key, &mut state);
                if state.inflight.next_expiry().is_some() {
                    self.drop_expired(now, &session, &mut state);
                }
                drop(state);
                resumed = Some(session);
            } else {
                let durable = state.is_persistent();
                self.end(&session, &mut state, durable, &mut aftermath);
                drop(state);
            }
        }
        // Before the connection has its session: what a Will or an end writes down comes first.
        let is_durable = aftermath.done.is_some();
        self.clean_up(now, limits, aftermath, batch);
        // CONNACK promises that nothing of an ended session comes back.
        let after = if is_durable {
            self.journal.appended()
        } else {
            Seq::NONE
        };
        let session_present = resumed.is_some();
        let session = resumed.unwrap_or_else(|| {
            let charge = Charge::new(&self.account, 0);
            Arc::new(Session::new(
                SessionKey(self.next_key()),
                Arc::clone(&request.origin),
                charge,
            ))
        });
        if !session_present {
            sessions.insert(request.origin.client_id.clone(), Arc::clone(&session));
        }
        let mut connected = self.attach(session, session_present, request);
        connected.seq = connected.seq.max(after);
        drop(sessions);
        if session_present {
            self.pull_all_shares(now, limits, &connected.session, batch);
        }
        Ok(connected)
    }

    fn attach(
        &self,
        session: Arc<Session>,
        session_present: bool,
        request: ConnectRequest,
    ) -> Connected {
        let mut frame = Vec::new();
        let mut state = session.lock();
        if request.expiry_s > 0 {
            let (key, origin, will) = (
                session.key,
                Arc::clone(&request.origin),
                request.will.clone(),
            );
            let expiry_s = request.expiry_s;
            frame.push(if session_present {
                Entry::SessionResumed {
                    session: key,
                    origin,
                    expiry_s,
                    will,
                }
            } else {
                Entry::SessionStarted {
                    session: key,
                    origin,
                    expiry_s,
                    will,
                }
            });
        } else if session_present {
            // It ends with this connection, or with the process: nothing of it survives.
            frame.push(Entry::SessionEnded {
                session: session.key,
            });
        }
        state.epoch += 1;
        state.link = Some(Link {
            wake: request.wake,
            scheduled: false,
            version: request.version,
            receive_maximum: request.receive_maximum,
            maximum_packet_size: request.maximum_packet_size,
        });
        state.origin = request.origin;
        state.expiry_s = request.expiry_s;
        state.expires_at = None;
        state.will = request.will;
        state.will_at = None;
        state.inflight.begin_resend();
        let epoch = state.epoch;
        drop(state);
        let seq = self.append(frame);
        Connected {
            session,
            epoch,
            session_present,
            seq,
        }
    }

    /// A connection is over. Does nothing if the session is another connection's by now.
    pub fn detach(
        &self,
        now: Now,
        limits: &Limits,
        session: &Arc<Session>,
        epoch: u64,
        how: Detach,
        batch: &mut Batch,
    ) {
        let mut frame = Vec::new();
        let mut aftermath = Aftermath::default();
        let mut sessions = self.sessions.write();
        let mut state = session.lock();
        if state.epoch != epoch || state.ended {
            return;
        }
        unlink(&mut state, batch);
        let was_persistent = state.is_persistent();
        if let Some(expiry_s) = how.expiry_s {
            state.expiry_s = expiry_s.min(limits.session_expiry_s);
        }
        if !how.with_will {
            // [MQTT-3.14.4-3] [3:MQTT-3.14.4-3]
            state.will = None;
        }
        if state.expiry_s == 0 {
            self.end(session, &mut state, was_persistent, &mut aftermath);
            drop(state);
            sessions.remove(session.client_id.as_str());
        } else {
            self.park(now, session, &mut state, &mut frame, &mut aftermath);
            drop(state);
            aftermath.detached = Some(Arc::clone(session));
        }
        self.append(frame);
        // The map stays locked: what is written down about the Will must come before what a
        // returning client brings, and what is given back must not be the next connection's.
        self.clean_up(now, limits, aftermath, batch);
    }

    /// A durable session waits for its client.
    fn park(
        &self,
        now: Now,
        session: &Arc<Session>,
        state: &mut State,
        frame: &mut Vec<Entry>,
        aftermath: &mut Aftermath,
    ) {
        let at = now.monotonic;
        state.detached_at = at;
        // [MQTT-3.1.2-23]
        state.expires_at =
            (state.expiry_s != NEVER_EXPIRES).then(|| at.plus_secs(u64::from(state.expiry_s)));
        let mut will_due = false;
        if let Some(will) = state.will.take_if(|will| will.delay_s == 0) {
            aftermath.will = Some((will, Arc::clone(&state.origin)));
            aftermath.done = Some(Entry::WillDone {
                session: session.key,
            });
            will_due = true;
        } else if let Some(will) = &state.will {
            // [MQTT-3.1.3-9] After its delay or with the end of the session, whichever is first.
            let after_delay = at.plus_secs(u64::from(will.delay_s));
            state.will_at = Some(
                state
                    .expires_at
                    .map_or(after_delay, |end| end.min(after_delay)),
            );
            will_due = true;
        }
        self.timers.lock().set(session, state);
        frame.push(Entry::SessionDetached {
            session: session.key,
            at,
            expiry_s: state.expiry_s,
            will_due,
        });
    }

    /// Ends a session under its lock. What leads to it is taken away in `clean_up`.
    fn end(
        &self,
        session: &Arc<Session>,
        state: &mut State,
        durable: bool,
        aftermath: &mut Aftermath,
    ) {
        state.ended = true;
        // [MQTT-3.1.2-8] The session's end is the last moment for its Will.
        aftermath.will = state
            .will
            .take()
            .map(|will| (will, Arc::clone(&state.origin)));
        aftermath.done = durable.then_some(Entry::SessionEnded {
            session: session.key,
        });
        self.timers.lock().cancel(session.key, state);
        aftermath.ended = Some(Arc::clone(session));
    }

    /// Takes locks below that of the session map, which the caller may hold.
    fn clean_up(&self, now: Now, limits: &Limits, aftermath: Aftermath, batch: &mut Batch) {
        let durable = aftermath.done.is_some();
        if let Some(session) = &aftermath.ended {
            self.remove_routes(now, session);
            // What goes back to a shared subscription is written before the session's end is.
            self.give_back(now, limits, session, true, batch);
        } else if let Some(session) = &aftermath.detached {
            self.give_back(now, limits, session, false, batch);
            self.drop_qos0(now, limits, session);
        }
        match aftermath.will {
            Some((will, origin)) => {
                self.publish_will(now, limits, &will, &origin, aftermath.done, batch);
            }
            None => {
                self.append(aftermath.done.into_iter().collect());
            }
        }
        if let Some(session) = &aftermath.ended {
            self.discard_queue(now, session, durable);
        }
    }

    /// Publishes a Will. `done` is written down with it, so that it's neither lost nor published
    /// twice by a crash; also when the Will is refused.
    pub(super) fn publish_will(
        &self,
        now: Now,
        limits: &Limits,
        will: &Will,
        origin: &Arc<Origin>,
        done: Option<Entry>,
        batch: &mut Batch,
    ) {
        let message = will.message(now.monotonic, origin, &self.account);
        let publisher = Publisher {
            also: done.clone(),
            ..Publisher::default()
        };
        if !matches!(
            self.publish(now, limits, message, publisher, batch),
            Published::Accepted { .. }
        ) {
            self.append(done.into_iter().collect());
        }
    }

    /// What a session still had to deliver is gone with it.
    fn discard_queue(&self, now: Now, session: &Session, durable: bool) {
        let mut state = session.lock();
        let queue = core::mem::take(&mut state.queue);
        let inflight = core::mem::take(&mut state.inflight);
        state.recharge_messages();
        state.cursors = Vec::new();
        drop(state);
        if !durable {
            return;
        }
        let waiting = queue
            .iter()
            .chain(inflight.iter().filter_map(|(_, _, delivery)| delivery));
        for delivery in waiting {
            self.record_drop(
                now,
                DropReason::SessionEnded,
                &session.client_id,
                &delivery.message,
            );
        }
    }

    /// QoS 0 messages that a lost connection didn't take are not kept, unless configured.
    fn drop_qos0(&self, now: Now, limits: &Limits, session: &Session) {
        if limits.queue_qos0 {
            return;
        }
        let mut state = session.lock();
        let dropped = state.queue.extract(|delivery| delivery.counter == 0);
        state.recharge_messages();
        drop(state);
        for delivery in dropped {
            self.record_drop(
                now,
                DropReason::Offline,
                &session.client_id,
                &delivery.message,
            );
        }
    }

    /// Ends a session whose time is up, unless its client came back.
    pub(super) fn expire_session(
        &self,
        now: Now,
        limits: &Limits,
        session: &Arc<Session>,
        batch: &mut Batch,
    ) {
        let mut aftermath = Aftermath::default();
        let mut sessions = self.sessions.write();
        let mut state = session.lock();
        let due = state
            .expires_at
            .is_some_and(|at: Instant| at <= now.monotonic);
        if !due || state.link.is_some() || state.ended {
            return;
        }
        self.end(session, &mut state, true, &mut aftermath);
        drop(state);
        sessions.remove(session.client_id.as_str());
        // As in `detach`: its end is written down before the client's next session begins.
        self.clean_up(now, limits, aftermath, batch);
    }
}

/// Takes the connection from a session; whether there was one. Its task is called and finds out.
fn unlink(state: &mut State, batch: &mut Batch) -> bool {
    state.epoch += 1;
    let Some(link) = state.link.take() else {
        return false;
    };
    batch.wakes.push(link.wake);
    true
}

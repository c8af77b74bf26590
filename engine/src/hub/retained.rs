//! Retained messages on SUBSCRIBE: from a cursor, in slices. MQTT 5 sections 3.3.1.3, 3.8.3.1.
//!
//! A subscription doesn't copy what matches into its queue; it remembers how far it has come. Each
//! slice does bounded work, and only while the queue is short, so that a subscription to a hundred
//! thousand topics stalls nobody. What was replaced since the SUBSCRIBE is skipped: the new value
//! was routed live. The lock on the retained messages is held while a slice is queued, and by
//! publishers of retained messages while they route, so an old value never follows a newer one.

use core::ops::ControlFlow;

use dunlin_codec::QoS;
use dunlin_codec::topic::Filter;

use super::publish::{Copy, Write, is_full};
use super::{Batch, Hub};
use crate::journal::{Entry, Seq};
use crate::limits::Limits;
use crate::message::Message;
use crate::routing::topic_map::ScanEnd;
use crate::session::{Identifiers, RetainedCursor, Session};
use crate::sync::Arc;
use crate::time::Now;

/// Topics looked at in one slice.
const SLICE_TOPICS: usize = 1024;
/// Messages queued in one slice, and the length of the queue up to which there is a next one.
const SLICE_MESSAGES: usize = 64;
/// Bytes after which a slice ends; a queue with more in it gets none.
const SLICE_BYTES: usize = 256 * 1024;

impl Hub {
    /// Queues the next slice of retained messages for a session's subscriptions. True when there
    /// may be more to do at once.
    pub fn pull_retained(
        &self,
        now: Now,
        limits: &Limits,
        session: &Arc<Session>,
        epoch: u64,
        batch: &mut Batch,
    ) -> bool {
        let Some((cursor, room)) = next_cursor(session, epoch) else {
            return false;
        };
        let Ok(parsed) = Filter::parse(&cursor.filter) else {
            return false;
        };
        let retained = self.retained.read();
        let mut found: Vec<Arc<Message>> = Vec::new();
        let mut bytes = 0;
        let end = retained.topics().scan(
            parsed.filter,
            cursor.after.as_deref(),
            SLICE_TOPICS,
            |topic| {
                if topic.version <= cursor.up_to && !topic.message.is_expired(now.monotonic) {
                    bytes += topic.message.size();
                    found.push(Arc::clone(&topic.message));
                }
                if found.len() < room && bytes < SLICE_BYTES {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            },
        );
        let after = match end {
            ScanEnd::Done => None,
            ScanEnd::More { after } => Some(after),
        };
        self.queue_retained(now, limits, session, epoch, &cursor, found, after, batch)
    }

    #[allow(clippy::too_many_arguments)] // the slice, and as `enqueue`
    fn queue_retained(
        &self,
        now: Now,
        limits: &Limits,
        session: &Arc<Session>,
        epoch: u64,
        cursor: &RetainedCursor,
        found: Vec<Arc<Message>>,
        after: Option<Box<str>>,
        batch: &mut Batch,
    ) -> bool {
        let mut state = session.lock();
        if state.epoch != epoch || state.cursors.first() != Some(cursor) {
            return false;
        }
        let Some(settings) = state.settings(&cursor.filter) else {
            return false;
        };
        // How many are dealt with, and behind which topic the journal has the cursor.
        let mut done = 0;
        let mut noted = cursor.after.as_deref();
        for message in &found {
            // What the queue has no room for waits in the store and is dropped for nobody; what is
            // larger than any queue would wait for ever.
            if !state.queue.is_empty() && is_full(limits, &state, message.size()) {
                break;
            }
            done += 1;
            // [MQTT-3.8.3-3]
            if settings.options.no_local && message.origin.client_id == session.client_id {
                continue;
            }
            let mut identifiers = Identifiers::None;
            // [MQTT-3.3.4-3]
            identifiers.push(settings.identifier);
            let qos = message.qos.min(settings.options.qos);
            let copy = Copy {
                message,
                qos,
                // [MQTT-3.3.1-9]
                retain: true,
                identifiers,
                share: None,
                after: Seq::NONE,
            };
            let entry = |reference| Entry::RetainedQueued {
                session: session.key,
                filter: Arc::clone(&cursor.filter),
                copy: Some((Arc::clone(message), reference)),
                after: Some(message.topic().into()),
            };
            let is_queued = self.enqueue(
                now,
                limits,
                session,
                &mut state,
                copy,
                Write::Now(&entry),
                batch,
            );
            if is_queued && qos > QoS::AtMostOnce {
                noted = Some(message.topic());
            }
        }
        let is_cut = done < found.len();
        let after = if is_cut {
            let last = done.checked_sub(1).and_then(|at| found.get(at));
            last.map_or(cursor.after.clone(), |message| Some(message.topic().into()))
        } else {
            after
        };
        if state.is_persistent() && ((!is_cut && after.is_none()) || after.as_deref() != noted) {
            self.append(vec![Entry::RetainedQueued {
                session: session.key,
                filter: Arc::clone(&cursor.filter),
                copy: None,
                after: after.clone(),
            }]);
        }
        if after.is_none() && !is_cut {
            state.cursors.remove(0);
        } else if let Some(first) = state.cursors.first_mut() {
            first.after = after;
        }
        // What was queued is to be sent before the next slice; others have their turn in between.
        let is_short = !is_cut && state.queue.len() < SLICE_MESSAGES;
        done > 0 || (!state.cursors.is_empty() && is_short)
    }
}

/// The cursor whose turn it is, and for how many messages there is room.
fn next_cursor(session: &Session, epoch: u64) -> Option<(RetainedCursor, usize)> {
    let state = session.lock();
    let room = SLICE_MESSAGES
        .checked_sub(state.queue.len())
        .filter(|room| *room > 0)?;
    if state.epoch != epoch || state.ended || state.queue.bytes() > SLICE_BYTES {
        return None;
    }
    state.cursors.first().map(|cursor| (cursor.clone(), room))
}

//! A message comes in: into the retained store, to every match, into the journal. MQTT 5 sections
//! 3.3.4, 3.3.5, 4.5, 4.6.

use dunlin_codec::QoS;

use super::{Batch, Hub, Match};
use crate::drops::DropReason;
use crate::journal::{Entry, Inbound, Reference, Removal, Seq, Target};
use crate::limits::{DropPolicy, Limits};
use crate::message::Message;
use crate::routing::{Action, Decision, Route, ShareCopy};
use crate::session::{
    Delivery, Gate, Identifiers, Session, SessionKey, State, SubscriptionSettings,
};
use crate::sync::Arc;
use crate::time::Now;

/// On whose behalf a message is published.
#[derive(Debug, Default)]
pub struct Publisher {
    /// The session it came from; none for a Will.
    pub session: Option<SessionKey>,
    /// Its Packet Identifier, if it came at QoS 2 from a durable session.
    pub inbound: Option<Inbound>,
    /// An entry that must be durable together with the message.
    pub also: Option<Entry>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It's where it has to be.
    Accepted {
        /// What must be durable before the publisher is acknowledged.
        seq: Seq,
        /// Sessions and shared subscriptions that matched.
        subscribers: usize,
    },
    /// The publisher may not publish to the topic.
    NotAuthorized,
    /// A bound was reached; nothing was changed.
    QuotaExceeded,
}

/// One copy to be queued, before it's known for which counter.
#[derive(Debug)]
pub(super) struct Copy<'a> {
    pub(super) message: &'a Arc<Message>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) identifiers: Identifiers,
    pub(super) share: Option<ShareCopy>,
    /// An entry that must be durable before the copy leaves.
    pub(super) after: Seq,
}

/// How a durable copy gets into the journal.
pub(super) enum Write<'a> {
    /// Together with its message, in one frame.
    WithMessage(&'a mut Vec<Reference>),
    /// By an entry of its own, now: the message is in the journal already.
    Now(&'a dyn Fn(Reference) -> Entry),
}

impl Hub {
    /// Publishes a message. A refusal of a QoS 0 message or of a Will is recorded as a drop here; any
    /// other publisher is told.
    pub fn publish(
        &self,
        now: Now,
        limits: &Limits,
        message: Message,
        publisher: Publisher,
        batch: &mut Batch,
    ) -> Published {
        if self.authorize(&message.origin, Action::Publish, message.topic()) == Decision::Deny {
            self.record_drop(
                now,
                DropReason::NotAuthorized,
                &message.origin.client_id,
                &message,
            );
            return Published::NotAuthorized;
        }
        if self.account.is_full() {
            return self.refuse(now, &message, &publisher, DropReason::Memory);
        }
        let mut message = message;
        if message.qos == QoS::ExactlyOnce {
            // A message received at QoS 2 from a durable session may not reach anyone before its
            // identifier is durable, or a repetition after a crash would reach them again.
            message.close_gate(publisher.inbound.is_some());
        }
        let message = Arc::new(message);
        if !message.retain {
            self.collect(message.topic(), batch);
            return self.distribute(now, limits, &message, publisher, None, batch);
        }
        let mut retained = self.retained.write();
        if !message.payload().is_empty() {
            let (is_new, growth) = retained.growth(&message);
            if (is_new && retained.len() >= limits.retained_messages)
                || (growth > 0 && retained.bytes() + growth > limits.retained_bytes)
            {
                return self.refuse(now, &message, &publisher, DropReason::Quota);
            }
        }
        self.collect(message.topic(), batch);
        if self.must_refuse(limits, &message, batch) {
            batch.matches.clear();
            return self.refuse(now, &message, &publisher, DropReason::Quota);
        }
        let version = retained.apply(&message);
        // The lock is held until every subscriber has its copy: see the module `retained`.
        let published = self.distribute(now, limits, &message, publisher, Some(version), batch);
        if message.expires_at.is_some() {
            self.timers.lock().set_retained(retained.next_expiry());
        }
        published
    }

    fn refuse(
        &self,
        now: Now,
        message: &Message,
        publisher: &Publisher,
        reason: DropReason,
    ) -> Published {
        let is_told = publisher.session.is_some() && message.qos > QoS::AtMostOnce;
        if !is_told {
            self.record_drop(now, reason, &message.origin.client_id, message);
        }
        Published::QuotaExceeded
    }

    /// Who matches, sessions together, each session's subscriptions in a fixed order.
    fn collect(&self, topic: &str, batch: &mut Batch) {
        let matches = &mut batch.matches;
        matches.clear();
        let routes = self.routes.read();
        routes.trie.for_each_match(topic, |route| {
            let order = matches.len();
            matches.push(Match {
                key: route.key(),
                order,
                route: route.clone(),
            });
        });
        drop(routes);
        if matches.len() > 1 {
            matches.sort_unstable_by_key(|found| (found.key, found.order));
        }
    }

    fn distribute(
        &self,
        now: Now,
        limits: &Limits,
        message: &Arc<Message>,
        publisher: Publisher,
        retained_version: Option<u64>,
        batch: &mut Batch,
    ) -> Published {
        if retained_version.is_none() && self.must_refuse(limits, message, batch) {
            batch.matches.clear();
            return self.refuse(now, message, &publisher, DropReason::Quota);
        }
        let mut references = Vec::new();
        let mut subscribers = 0;
        let mut began_to_wait = false;
        let mut matches = core::mem::take(&mut batch.matches);
        for group in matches.chunk_by(|a, b| a.key == b.key) {
            let Some(first) = group.first() else { continue };
            match &first.route {
                Route::Share(share) => {
                    subscribers += 1;
                    began_to_wait |=
                        self.offer(now, limits, share, message, &mut references, batch);
                }
                Route::Session(session, _) => {
                    let Some(copy) = merge(message, &publisher, group) else {
                        continue;
                    };
                    subscribers += 1;
                    let mut state = session.lock();
                    let write = Write::WithMessage(&mut references);
                    self.enqueue(now, limits, session, &mut state, copy, write, batch);
                }
            }
        }
        let seq = self.journal_publication(message, references, retained_version, publisher);
        // A share doesn't give out what isn't in the journal: members are offered it again.
        let exactly_once = message.qos == QoS::ExactlyOnce;
        if exactly_once {
            message.set_gate(seq);
        }
        if exactly_once || began_to_wait {
            for found in &matches {
                if let Route::Share(share) = &found.route {
                    self.dispatch(now, limits, share, batch);
                }
            }
        }
        matches.clear();
        batch.matches = matches;
        Published::Accepted { seq, subscribers }
    }

    /// Writes what must be written; gives what the acknowledgement waits for.
    fn journal_publication(
        &self,
        message: &Arc<Message>,
        references: Vec<Reference>,
        retained_version: Option<u64>,
        publisher: Publisher,
    ) -> Seq {
        let mut frame: Vec<Entry> = publisher.also.into_iter().collect();
        if !references.is_empty() || retained_version.is_some() || publisher.inbound.is_some() {
            frame.push(Entry::Published {
                message: Arc::clone(message),
                references,
                retained_version,
                inbound: publisher.inbound,
            });
        }
        self.append(frame)
    }

    /// Under the policy that refuses publishers: whether a queue that would get the message is full.
    fn must_refuse(&self, limits: &Limits, message: &Message, batch: &Batch) -> bool {
        if limits.drop_policy != DropPolicy::RefusePublisher || message.qos == QoS::AtMostOnce {
            return false;
        }
        batch.matches.iter().any(|found| match &found.route {
            Route::Session(session, _) => is_full(limits, &session.lock(), message.size()),
            // Nobody is given a message while others wait.
            Route::Share(share) => {
                share.with(|state| !state.is_empty() && state.is_full(limits, message))
            }
        })
    }

    /// Queues one copy for one session; false when it was dropped (and recorded).
    #[allow(clippy::too_many_arguments)] // the session is locked by the caller, the rest comes with the batch
    pub(super) fn enqueue(
        &self,
        now: Now,
        limits: &Limits,
        session: &Arc<Session>,
        state: &mut State,
        copy: Copy<'_>,
        write: Write<'_>,
        batch: &mut Batch,
    ) -> bool {
        if state.ended {
            return false;
        }
        let message = copy.message;
        let at_most_once = copy.qos == QoS::AtMostOnce;
        if at_most_once && state.link.is_none() && !limits.queue_qos0 {
            self.record_drop(now, DropReason::Offline, &session.client_id, message);
            return false;
        }
        while is_full(limits, state, message.size()) {
            let oldest = match limits.drop_policy {
                // What no queue can hold makes nobody go.
                DropPolicy::Oldest if message.size() <= limits.queue_bytes => {
                    state.queue.pop_oldest()
                }
                _ => None,
            };
            let Some(oldest) = oldest else {
                self.record_drop(now, DropReason::QueueFull, &session.client_id, message);
                return false;
            };
            self.record_drop(
                now,
                DropReason::QueueFull,
                &session.client_id,
                &oldest.message,
            );
            self.forget(session, state, &oldest, Removal::Overflow);
            self.complete_shared(&oldest);
        }
        let durable = state.is_persistent() && !at_most_once;
        let counter = if at_most_once {
            0
        } else {
            state.next_counter()
        };
        // A delivery at QoS 2 may not leave before its own identifier is durable.
        let after = copy.after;
        let gated =
            message.is_gated() || after > Seq::NONE || (durable && copy.qos == QoS::ExactlyOnce);
        let mut gate = match gated {
            true if after > Seq::NONE => Gate::Entry(after),
            true => Gate::Message,
            false => Gate::Open,
        };
        if durable {
            let reference = Reference {
                target: Target::Session {
                    session: session.key,
                    counter,
                },
                qos: copy.qos,
                retain: copy.retain,
                identifiers: copy.identifiers.clone(),
                share: copy.share.as_ref().map(|copy| Arc::clone(&copy.share.id)),
            };
            match write {
                Write::WithMessage(references) => references.push(reference),
                Write::Now(entry) => {
                    let seq = self.journal.append(vec![entry(reference)]);
                    if gated {
                        gate = Gate::Entry(seq);
                    }
                }
            }
        }
        let delivery = Delivery {
            message: Arc::clone(message),
            counter,
            qos: copy.qos,
            retain: copy.retain,
            gate,
            identifiers: copy.identifiers,
            share: copy.share,
        };
        state
            .queue
            .push(delivery, || self.journal.watermark().durable());
        state.recharge_messages();
        self.expect_expiry(now, session, state, message.expires_at);
        match state.schedule() {
            Some(wake) => batch.wakes.push(wake),
            // Someone else's call may come before the gate is named: call again after it is.
            None if gated => batch
                .wakes
                .extend(state.link.as_ref().map(|link| Arc::clone(&link.wake))),
            None => {}
        }
        true
    }

    /// Writes down that a queued copy is gone, if it was ever written down.
    pub(crate) fn forget(
        &self,
        session: &Session,
        state: &State,
        delivery: &Delivery,
        reason: Removal,
    ) -> Seq {
        if !state.is_persistent() || delivery.counter == 0 {
            return Seq::NONE;
        }
        let target = Target::Session {
            session: session.key,
            counter: delivery.counter,
        };
        self.journal.append(vec![Entry::Removed { target, reason }])
    }
}

pub(super) fn is_full(limits: &Limits, state: &State, size: usize) -> bool {
    state.queue.len() >= limits.queue_messages || state.queue.bytes() + size > limits.queue_bytes
}

/// One copy for all of a session's matching subscriptions: the highest QoS, every identifier.
/// `None` when No Local leaves nothing. [MQTT-3.3.4-2] [MQTT-3.3.4-4] [MQTT-3.8.3-3]
fn merge<'a>(
    message: &'a Arc<Message>,
    publisher: &Publisher,
    group: &[Match],
) -> Option<Copy<'a>> {
    let mut granted = None;
    let mut retain_as_published = false;
    let mut identifiers = Identifiers::None;
    for found in group {
        let Route::Session(session, settings) = &found.route else {
            continue;
        };
        let SubscriptionSettings {
            options,
            identifier,
        } = settings;
        if options.no_local && publisher.session == Some(session.key) {
            continue;
        }
        granted = granted.max(Some(options.qos));
        retain_as_published |= options.retain_as_published;
        identifiers.push(*identifier);
    }
    Some(Copy {
        message,
        qos: message.qos.min(granted?),
        // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
        retain: message.retain && retain_as_published,
        identifiers,
        share: None,
        after: Seq::NONE,
    })
}

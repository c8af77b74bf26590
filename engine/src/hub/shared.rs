//! Messages of shared subscriptions: to a member with room, else into the share's queue; back to
//! its head when a member goes. MQTT 5 section 4.8.2.

use dunlin_codec::QoS;

use super::publish::{Copy, Write, is_full};
use super::{Batch, Hub};
use crate::drops::DropReason;
use crate::journal::{Entry, Reference, Removal, Seq, Target};
use crate::limits::Limits;
use crate::message::Message;
use crate::routing::share::{Member, ShareState, Waiting};
use crate::routing::{Share, ShareCopy};
use crate::session::{Delivery, Identifiers, Session};
use crate::sync::Arc;
use crate::time::Now;

impl Hub {
    /// A message matched a shared subscription. True when it's the first that waits: a member that
    /// made room meanwhile has seen nothing, so [`Hub::dispatch`] must look again.
    pub(super) fn offer(
        &self,
        now: Now,
        limits: &Limits,
        share: &Arc<Share>,
        message: &Arc<Message>,
        references: &mut Vec<Reference>,
        batch: &mut Batch,
    ) -> bool {
        share.with(|state| {
            let durable = message.qos > QoS::AtMostOnce && state.is_durable();
            // Nothing passes what waits already.
            if state.is_empty() || message.qos == QoS::AtMostOnce {
                let position = durable.then(|| state.next_position());
                let source = Source {
                    share,
                    message,
                    position,
                };
                if self.assign(now, limits, state, &source, Some(references), batch) {
                    return false;
                }
            }
            let client_id = &message.origin.client_id;
            if message.qos == QoS::AtMostOnce {
                self.record_drop(now, DropReason::NoMember, client_id, message);
            } else if state.is_full(limits, message) {
                self.record_drop(now, DropReason::ShareQueueFull, client_id, message);
            } else {
                let position = state.push(Arc::clone(message), durable);
                self.expect_share_expiry(now, message.expires_at);
                if durable {
                    references.push(share_reference(share, message, position));
                }
                return state.len() == 1;
            }
            false
        })
    }

    /// Gives a message to the next member with room; false when none has. Without `references` the
    /// message comes from the share's queue.
    fn assign(
        &self,
        now: Now,
        limits: &Limits,
        state: &mut ShareState,
        source: &Source<'_>,
        mut references: Option<&mut Vec<Reference>>,
        batch: &mut Batch,
    ) -> bool {
        let taker = state.rotation().find_map(|(at, member)| {
            self.assign_to(
                now,
                limits,
                member,
                source,
                references.as_deref_mut(),
                batch,
            )
            .then_some(at)
        });
        if let Some(at) = taker {
            state.took(at);
        }
        taker.is_some()
    }

    fn assign_to(
        &self,
        now: Now,
        limits: &Limits,
        member: &Member,
        source: &Source<'_>,
        mut references: Option<&mut Vec<Reference>>,
        batch: &mut Batch,
    ) -> bool {
        let Source {
            share,
            message,
            position,
        } = *source;
        let options = member.settings.options;
        let qos = message.qos.min(options.qos);
        let mut session = member.session.lock();
        // Whom it would be dropped for isn't asked: that's for the share to decide.
        if session.ended || !session.has_room(qos) || is_full(limits, &session, message.size()) {
            return false;
        }
        // A member whose session isn't durable leaves the message in the share's durable queue
        // until it has completed it. At QoS 2 it may never go to anybody else, so it doesn't.
        // [MQTT-4.8.2-5]
        let moves = session.is_persistent() && qos > QoS::AtMostOnce;
        let keeps = position.filter(|_| !moves && qos == QoS::AtLeastOnce);
        let mut after = Seq::NONE;
        if let (None, Some(position)) = (&references, position)
            && !moves
            && keeps.is_none()
        {
            let target = Target::Share {
                share: Arc::clone(&share.id),
                position,
            };
            let removed = self.journal.append(vec![Entry::Removed {
                target,
                reason: Removal::Acknowledged,
            }]);
            // Delivered before, it would go to another member after a crash.
            if qos == QoS::ExactlyOnce {
                after = removed;
            }
        }
        let mut identifiers = Identifiers::None;
        identifiers.push(member.settings.identifier);
        let copy = Copy {
            message,
            qos,
            retain: message.retain && options.retain_as_published,
            identifiers,
            share: Some(ShareCopy {
                share: Arc::clone(share),
                position: keeps,
            }),
            after,
        };
        let assigned = |reference| match position {
            Some(position) => Entry::Assigned {
                share: Arc::clone(&share.id),
                position,
                reference,
            },
            // It came when no member was durable, so the journal doesn't know it yet.
            None => Entry::Published {
                message: Arc::clone(message),
                references: vec![reference],
                retained_version: None,
                inbound: None,
            },
        };
        let write = match references.as_deref_mut() {
            Some(references) => Write::WithMessage(references),
            None => Write::Now(&assigned),
        };
        if !self.enqueue(
            now,
            limits,
            &member.session,
            &mut session,
            copy,
            write,
            batch,
        ) {
            return false;
        }
        drop(session);
        if let Some(references) = references {
            references.extend(keeps.map(|position| share_reference(share, message, position)));
        }
        true
    }

    /// Members may have room again: empties the share's queue as far as they take it.
    pub(super) fn dispatch(
        &self,
        now: Now,
        limits: &Limits,
        share: &Arc<Share>,
        batch: &mut Batch,
    ) {
        if share.waiting() == 0 {
            return;
        }
        share.with(|state| {
            while let Some(waiting) = state.front().cloned() {
                // Not in the journal yet: its publisher calls again when it is.
                if waiting.message.gate().is_none() {
                    return;
                }
                if waiting.message.is_expired(now.monotonic) {
                    state.pop();
                    self.forget_waiting(
                        now,
                        share,
                        &waiting,
                        DropReason::Expired,
                        Removal::Expired,
                    );
                    continue;
                }
                let position = waiting.durable.then_some(waiting.position);
                let source = Source {
                    share,
                    message: &waiting.message,
                    position,
                };
                if !self.assign(now, limits, state, &source, None, batch) {
                    return;
                }
                state.pop();
            }
        });
    }

    /// Lets every share that a session is a member of give out what waits.
    pub fn pull_all_shares(&self, now: Now, limits: &Limits, session: &Session, batch: &mut Batch) {
        let shares = session.lock().shares.clone();
        for share in &shares {
            self.dispatch(now, limits, share, batch);
        }
    }

    /// A member is gone, for now or for good. What it didn't complete at QoS 1, or wasn't sent,
    /// goes back to the head of its share's queue. What was sent at QoS 2 stays with its session
    /// [MQTT-4.8.2-4] and, when that ended, is discarded. [MQTT-4.8.2-5]
    pub(super) fn give_back(
        &self,
        now: Now,
        limits: &Limits,
        session: &Arc<Session>,
        ended: bool,
        batch: &mut Batch,
    ) {
        let mut state = session.lock();
        let shares = if ended {
            core::mem::take(&mut state.shares)
        } else {
            state.shares.clone()
        };
        let durable = state.is_persistent();
        // What came through a subscription that the session has given up since stays with it.
        let through_share = |delivery: &Delivery| {
            let copy = delivery.share.as_ref().filter(|_| delivery.counter != 0);
            copy.is_some_and(|copy| ended || shares.iter().any(|share| share.key == copy.share.key))
        };
        let mut returning = state
            .inflight
            .extract(|delivery| through_share(delivery) && delivery.qos == QoS::AtLeastOnce);
        returning.extend(state.queue.extract(through_share));
        state.recharge_messages();
        drop(state);
        for delivery in returning.into_iter().rev() {
            if let Some(copy) = &delivery.share {
                self.give_one_back(now, session, durable, &delivery, copy);
            }
        }
        for share in &shares {
            self.dispatch(now, limits, share, batch);
        }
    }

    /// `durable` says whether the member's own queue is. What changes is written down under the
    /// share's lock: the next member's Assigned must not stand before it in the journal.
    fn give_one_back(
        &self,
        now: Now,
        session: &Session,
        durable: bool,
        delivery: &Delivery,
        copy: &ShareCopy,
    ) {
        let share_id = || Arc::clone(&copy.share.id);
        let from = match copy.position {
            Some(position) => Some(Target::Share {
                share: share_id(),
                position,
            }),
            None => durable.then_some(Target::Session {
                session: session.key,
                counter: delivery.counter,
            }),
        };
        let is_back = copy.share.with(|share| {
            if share.members.is_empty() {
                return false;
            }
            let keeps = from.is_some() || share.is_durable();
            self.expect_share_expiry(now, delivery.message.expires_at);
            let position = share.push_returned(Arc::clone(&delivery.message), keeps);
            let entry = match from.clone() {
                Some(from) => Some(Entry::GivenBack {
                    share: share_id(),
                    from,
                    position,
                }),
                // It was taken out of the durable state, or never was in it.
                None => keeps.then(|| Entry::Published {
                    message: Arc::clone(&delivery.message),
                    references: vec![share_reference(&copy.share, &delivery.message, position)],
                    retained_version: None,
                    inbound: None,
                }),
            };
            self.append(entry.into_iter().collect());
            true
        });
        if is_back {
            return;
        }
        // Nobody is left who could take it.
        let reason = DropReason::SessionEnded;
        self.record_drop(now, reason, &session.client_id, &delivery.message);
        if let Some(target @ Target::Share { .. }) = from {
            self.append(vec![Entry::Removed {
                target,
                reason: Removal::ShareEnded,
            }]);
        }
    }

    /// A delivery through a share is complete: its place in the share's durable queue is free.
    pub(crate) fn complete_shared(&self, delivery: &Delivery) {
        let Some(ShareCopy {
            share,
            position: Some(position),
        }) = &delivery.share
        else {
            return;
        };
        let target = Target::Share {
            share: Arc::clone(&share.id),
            position: *position,
        };
        self.append(vec![Entry::Removed {
            target,
            reason: Removal::Acknowledged,
        }]);
    }

    /// Drops what has expired in all shares' queues.
    pub(super) fn purge_shares(&self, now: Now) {
        let shares: Vec<Arc<Share>> = self.routes.read().shares.values().cloned().collect();
        for share in shares.iter().filter(|share| share.waiting() > 0) {
            let (expired, next) = share.with(|state| {
                let expired = state.extract_expired(now.monotonic);
                (
                    expired,
                    state
                        .iter()
                        .filter_map(|waiting| waiting.message.expires_at)
                        .min(),
                )
            });
            for waiting in expired {
                self.forget_waiting(now, share, &waiting, DropReason::Expired, Removal::Expired);
            }
            self.expect_share_expiry(now, next);
        }
    }

    fn forget_waiting(
        &self,
        now: Now,
        share: &Share,
        waiting: &Waiting,
        why: DropReason,
        reason: Removal,
    ) {
        self.record_drop(
            now,
            why,
            &waiting.message.origin.client_id,
            &waiting.message,
        );
        if waiting.durable {
            let target = Target::Share {
                share: Arc::clone(&share.id),
                position: waiting.position,
            };
            self.append(vec![Entry::Removed { target, reason }]);
        }
    }
}

/// A message on its way from a share to a member.
#[derive(Clone, Copy)]
struct Source<'a> {
    share: &'a Arc<Share>,
    message: &'a Arc<Message>,
    /// Its position in the share's queue, if that is durable.
    position: Option<u64>,
}

impl ShareState {
    /// Whether a message that nobody takes now has to be dropped.
    pub(super) fn is_full(&self, limits: &Limits, message: &Message) -> bool {
        self.len() >= limits.share_queue_messages
            || self.bytes() + message.size() > limits.share_queue_bytes
    }

    /// Whether a message that nobody has taken must survive a restart.
    fn is_durable(&self) -> bool {
        self.members
            .iter()
            .any(|member| member.session.lock().is_persistent())
    }
}

fn share_reference(share: &Share, message: &Message, position: u64) -> Reference {
    Reference {
        target: Target::Share {
            share: Arc::clone(&share.id),
            position,
        },
        qos: message.qos,
        retain: message.retain,
        identifiers: Identifiers::None,
        share: None,
    }
}

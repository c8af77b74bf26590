//! Subscriptions are made and given up. MQTT 5 sections 3.8.4, 3.10.4, 4.7, 4.8.2.

use dunlin_codec::topic::{Filter, levels};
use dunlin_codec::{ReasonCode, RetainHandling, Subscription};

use super::{Batch, Hub};
use crate::journal::{Entry, Removal, Seq, ShareId, Target};
use crate::limits::Limits;
use crate::message::Origin;
use crate::routing::share::Waiting;
use crate::routing::{Action, Decision, Route, Routes, Share};
use crate::session::{RetainedCursor, Session, State, SubscriptionSettings};
use crate::sync::Arc;
use crate::time::Now;

impl Hub {
    /// Makes or replaces one subscription. Gives the reason code for SUBACK and what SUBACK waits
    /// for. [MQTT-3.8.4-3] [MQTT-3.8.4-4]
    pub fn subscribe(
        &self,
        limits: &Limits,
        session: &Arc<Session>,
        origin: &Origin,
        wanted: Subscription<'_>,
        identifier: u32,
    ) -> (ReasonCode, Seq) {
        let Ok(parsed) = Filter::parse(wanted.filter) else {
            return (ReasonCode::TopicFilterInvalid, Seq::NONE);
        };
        if levels(parsed.filter) > limits.topic_levels || wanted.filter.len() > limits.topic_bytes {
            return (ReasonCode::TopicFilterInvalid, Seq::NONE);
        }
        if self.authorize(origin, Action::Subscribe, parsed.filter) == Decision::Deny {
            return (ReasonCode::NotAuthorized, Seq::NONE);
        }
        let filter: Arc<str> = wanted.filter.into();
        let settings = SubscriptionSettings {
            options: wanted.options,
            identifier,
        };
        // Both locks together: a retained message is either older than the subscription, and sent
        // by its cursor, or newer, and routed.
        let retained = self.retained.read();
        let mut routes = self.routes.write();
        let mut state = session.lock();
        let known = state.subscriptions.len();
        let is_new = !state.subscriptions.contains_key(&filter);
        if state.ended
            || (is_new && (known >= limits.subscriptions_per_session || self.account.is_full()))
            || (is_new && routes.subscriptions >= limits.subscriptions)
        {
            return (ReasonCode::QuotaExceeded, Seq::NONE);
        }
        let retained_up_to = match (parsed.share_name, settings.options.retain_handling) {
            // No retained messages on a shared subscription.
            (None, RetainHandling::Send) => Some(retained.version()),
            (None, RetainHandling::SendIfNew) if is_new => Some(retained.version()),
            _ => None,
        }
        .filter(|_| !retained.is_empty());
        state.set_subscription(Arc::clone(&filter), settings);
        // [MQTT-3.8.4-3] Without new ones to send, those still to be sent for the subscription that
        // is replaced remain so.
        if let Some(up_to) = retained_up_to {
            state.cursors.retain(|cursor| cursor.filter != filter);
            state.cursors.push(RetainedCursor {
                filter: Arc::clone(&filter),
                up_to,
                after: None,
            });
        }
        let mut seq = Seq::NONE;
        if state.is_persistent() {
            // Under the lock: what another connection of the session does next comes after it.
            seq = self.journal.append(vec![Entry::Subscribed {
                session: session.key,
                filter,
                settings,
                retained_up_to,
            }]);
        }
        drop(state);
        // After the session knows the subscription: should it end now, its end waits for the routes
        // and finds this one.
        let share = self.insert_route(&mut routes, session, parsed, settings);
        routes.subscriptions += usize::from(is_new);
        if let Some(share) = share.filter(|_| is_new) {
            session.lock().shares.push(share);
        }
        (granted(settings), seq)
    }

    /// Puts a route into the trie; gives the share it leads to, if it's a shared subscription.
    pub(super) fn insert_route(
        &self,
        routes: &mut Routes,
        session: &Arc<Session>,
        parsed: Filter<'_>,
        settings: SubscriptionSettings,
    ) -> Option<Arc<Share>> {
        let Some(share_name) = parsed.share_name else {
            let route = Route::Session(Arc::clone(session), settings);
            routes.trie.insert(parsed.filter, session.key.0, route);
            return None;
        };
        let id = ShareId {
            share_name: share_name.into(),
            filter: parsed.filter.into(),
        };
        let share = match routes.shares.get(&id) {
            Some(share) => Arc::clone(share),
            None => {
                let share = Arc::new(Share::new(self.next_key(), id.clone(), routes.positions));
                routes
                    .trie
                    .insert(parsed.filter, share.key, Route::Share(Arc::clone(&share)));
                routes.shares.insert(id, Arc::clone(&share));
                share
            }
        };
        share.with(|state| state.join(session, settings));
        Some(share)
    }

    /// Gives up one subscription. Messages already on their way to the client are still delivered.
    /// Gives the reason code for UNSUBACK and what UNSUBACK waits for.
    /// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-3]
    pub fn unsubscribe(
        &self,
        now: Now,
        limits: &Limits,
        session: &Arc<Session>,
        filter: &str,
        batch: &mut Batch,
    ) -> (ReasonCode, Seq) {
        let mut routes = self.routes.write();
        let mut state = session.lock();
        if !state.remove_subscription(filter) {
            return (ReasonCode::NoSubscriptionExisted, Seq::NONE);
        }
        state.cursors.retain(|cursor| &*cursor.filter != filter);
        let mut seq = Seq::NONE;
        if state.is_persistent() {
            seq = self.journal.append(vec![Entry::Unsubscribed {
                session: session.key,
                filter: filter.into(),
            }]);
        }
        let share = shared_id(filter).and_then(|id| routes.shares.get(&id).map(Arc::clone));
        if let Some(share) = &share {
            state.shares.retain(|other| other.key != share.key);
        }
        drop(state);
        let orphans = self.remove_route(&mut routes, session, filter);
        drop(routes);
        if let Some(share) = share {
            self.discard_orphans(now, session, &share, orphans);
            self.dispatch(now, limits, &share, batch);
        }
        (ReasonCode::Success, seq)
    }

    /// Takes a route out of the trie. Gives what waited in a share that lost its last member.
    pub(super) fn remove_route(
        &self,
        routes: &mut Routes,
        session: &Session,
        filter: &str,
    ) -> Vec<Waiting> {
        let Ok(parsed) = Filter::parse(filter) else {
            return Vec::new();
        };
        routes.subscriptions = routes.subscriptions.saturating_sub(1);
        let Some(id) = shared_id(filter) else {
            routes.trie.remove(parsed.filter, session.key.0);
            return Vec::new();
        };
        let Some(share) = routes.shares.get(&id).map(Arc::clone) else {
            return Vec::new();
        };
        let orphans = share.with(|state| state.leave(session).then(|| state.drain()));
        if orphans.is_some() {
            routes.trie.remove(parsed.filter, share.key);
            routes.shares.remove(&id);
            routes.positions = share.with(|state| state.positions().beyond(routes.positions));
        }
        orphans.unwrap_or_default()
    }

    /// Takes every route of an ended session away.
    pub(super) fn remove_routes(&self, now: Now, session: &Arc<Session>) {
        let filters = session.lock().take_subscriptions();
        for filter in filters {
            let mut routes = self.routes.write();
            let share = shared_id(&filter).and_then(|id| routes.shares.get(&id).map(Arc::clone));
            let orphans = self.remove_route(&mut routes, session, &filter);
            drop(routes);
            if let Some(share) = share {
                self.discard_orphans(now, session, &share, orphans);
            }
        }
    }

    /// A share without members has nobody to keep messages for.
    fn discard_orphans(&self, now: Now, session: &Session, share: &Share, orphans: Vec<Waiting>) {
        let mut frame = Vec::new();
        for waiting in orphans {
            self.record_drop(
                now,
                crate::drops::DropReason::SessionEnded,
                &session.client_id,
                &waiting.message,
            );
            if waiting.durable {
                let target = Target::Share {
                    share: Arc::clone(&share.id),
                    position: waiting.position,
                };
                frame.push(Entry::Removed {
                    target,
                    reason: Removal::ShareEnded,
                });
            }
        }
        self.append(frame);
    }
}

/// The share that a filter names, if it names one.
pub(super) fn shared_id(filter: &str) -> Option<ShareId> {
    let parsed = Filter::parse(filter).ok()?;
    let share_name = parsed.share_name?;
    Some(ShareId {
        share_name: share_name.into(),
        filter: parsed.filter.into(),
    })
}

/// [MQTT-3.9.3-1] The granted QoS is the one asked for.
const fn granted(settings: SubscriptionSettings) -> ReasonCode {
    match settings.options.qos {
        dunlin_codec::QoS::AtMostOnce => ReasonCode::Success,
        dunlin_codec::QoS::AtLeastOnce => ReasonCode::GrantedQos1,
        dunlin_codec::QoS::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}

impl State {
    /// The settings of a subscription.
    pub(super) fn settings(&self, filter: &str) -> Option<SubscriptionSettings> {
        self.subscriptions.get(filter).copied()
    }
}

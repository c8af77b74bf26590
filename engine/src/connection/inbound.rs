//! The client's messages and acknowledgements. MQTT 5 sections 3.3 to 3.7, 4.3, 4.4, 4.9.

use dunlin_codec::topic::levels;
use dunlin_codec::{Ack, PacketId, PacketType, Property, Publish, QoS, ReasonCode};

use super::handshake::user_properties;
use super::{CloseReason, Connection, Flow, OnDeny};
use crate::drops::DropReason;
use crate::hub::{Batch, Hub, Published, Publisher};
use crate::journal::{Entry, Inbound, Removal, Seq, Target};
use crate::limits::Limits;
use crate::message::Message;
use crate::session::{InflightState, Session};
use crate::sync::Arc;
use crate::time::Now;

impl Connection {
    pub(super) fn on_publish(
        &mut self,
        now: Now,
        hub: &Hub,
        limits: &Limits,
        batch: &mut Batch,
        publish: &Publish<'_>,
    ) -> Result<Flow, CloseReason> {
        let version = self.version;
        let on_deny = self.settings.on_deny;
        let open = self.open()?;
        let mut topic = publish.topic;
        if !publish.properties.is_empty() {
            check_properties(limits, publish)?;
            if let Some(alias) = publish.topic_alias() {
                if topic.is_empty() {
                    topic = open.aliases_in.topic(alias).ok_or(ALIAS_UNSET)?;
                } else {
                    open.aliases_in.set(alias, topic)?;
                }
            }
        }
        if topic.len() > limits.topic_bytes || levels(topic) > limits.topic_levels {
            return Err(CloseReason::TopicNameInvalid);
        }
        if let Some(packet_id) = publish.packet_id {
            if publish.qos == QoS::ExactlyOnce {
                let taken = open.session.lock().received.entry(packet_id);
                match taken {
                    None => {}
                    // [MQTT-4.3.3-10] Taken before: acknowledged again, not published again.
                    Some(Some(seq)) => {
                        open.refused_since = None;
                        self.stage_ack(
                            hub,
                            PacketType::PubRec,
                            packet_id,
                            ReasonCode::Success,
                            seq,
                        );
                        return Ok(Flow::Next);
                    }
                    // Another connection of this session is publishing it at this moment.
                    Some(None) => return Ok(self.pause(now)),
                }
            }
            let open = self.open()?;
            // [MQTT-3.3.4-7] Before MQTT 5 there is no such promise to break.
            if version.is_v5() && open.unacknowledged >= usize::from(open.receive_maximum) {
                return Err(CloseReason::ReceiveMaximumExceeded);
            }
        }
        let open = self.open()?;
        let topic = if publish.topic.is_empty() {
            let alias = publish.topic_alias().unwrap_or_default();
            open.aliases_in.topic(alias).ok_or(ALIAS_UNSET)?
        } else {
            publish.topic
        };
        let message =
            Message::from_publish(publish, topic, now.monotonic, &open.origin, hub.account());
        let session = Arc::clone(&open.session);
        let mut publisher = Publisher {
            session: Some(session.key),
            ..Publisher::default()
        };
        if let (QoS::ExactlyOnce, Some(packet_id)) = (publish.qos, publish.packet_id) {
            let mut state = session.lock();
            if state.epoch != open.epoch {
                return Err(CloseReason::SessionTakenOver);
            }
            state.received.insert(packet_id);
            publisher.inbound = state.is_persistent().then_some(Inbound {
                session: session.key,
                packet_id,
            });
        }
        let published = hub.publish(now, limits, message, publisher, batch);
        let Some(packet_id) = publish.packet_id else {
            self.open()?.refused_since = None;
            return match published {
                Published::NotAuthorized if on_deny == OnDeny::Disconnect => {
                    Err(CloseReason::NotAuthorized)
                }
                _ => Ok(Flow::Next),
            };
        };
        self.acknowledge_publish(now, hub, &session, publish.qos, packet_id, published)
    }

    /// Answers a PUBLISH of QoS 1 or 2.
    fn acknowledge_publish(
        &mut self,
        now: Now,
        hub: &Hub,
        session: &Session,
        qos: QoS,
        packet_id: PacketId,
        published: Published,
    ) -> Result<Flow, CloseReason> {
        if qos == QoS::ExactlyOnce {
            let mut state = session.lock();
            match published {
                Published::Accepted { seq, .. } => state.received.set(packet_id, seq),
                _ => {
                    state.received.release(packet_id);
                }
            }
        }
        let v5 = self.version.is_v5();
        let (reason_code, seq) = match published {
            Published::Accepted {
                seq,
                subscribers: 0,
            } => (ReasonCode::NoMatchingSubscribers, seq),
            Published::Accepted { seq, .. } => (ReasonCode::Success, seq),
            Published::NotAuthorized if self.settings.on_deny == OnDeny::Disconnect => {
                return Err(CloseReason::NotAuthorized);
            }
            Published::NotAuthorized => (ReasonCode::NotAuthorized, Seq::NONE),
            // Before MQTT 5 there is no way to say no: the message isn't read until there is room.
            Published::QuotaExceeded if !v5 => return Ok(self.pause(now)),
            Published::QuotaExceeded => (ReasonCode::QuotaExceeded, Seq::NONE),
        };
        let open = self.open()?;
        open.refused_since = None;
        open.unacknowledged += 1;
        let packet_type = match qos {
            QoS::ExactlyOnce => PacketType::PubRec,
            _ => PacketType::PubAck,
        };
        self.stage_ack(hub, packet_type, packet_id, reason_code, seq);
        Ok(Flow::Next)
    }

    /// Leaves a packet to be handled again.
    fn pause(&mut self, now: Now) -> Flow {
        if let Ok(open) = self.open() {
            open.refused_since.get_or_insert(now.monotonic);
            open.retried_at = now.monotonic;
        }
        Flow::Pause
    }

    pub(super) fn stage_ack(
        &mut self,
        hub: &Hub,
        packet_type: PacketType,
        packet_id: PacketId,
        reason_code: ReasonCode,
        seq: Seq,
    ) {
        let durable = hub.journal().watermark().durable();
        let version = self.version;
        let Ok(open) = self.open() else { return };
        // 4 + 3 + 1 + 1 + 3 bytes and the text; a client that takes less gets the code alone.
        let explain = reason_code.is_failure() && open.explains() && self.maximum_packet_size >= 64;
        let completed = self.staging.ack(
            version,
            packet_type,
            packet_id,
            reason_code,
            explain,
            seq,
            durable,
        );
        self.completed(completed);
    }

    /// So many messages of the client are complete.
    pub(super) fn completed(&mut self, count: usize) {
        if count > 0
            && let Ok(open) = self.open()
        {
            open.unacknowledged = open.unacknowledged.saturating_sub(count);
        }
    }

    /// A message of QoS 1 arrived. [MQTT-4.3.2-3]
    pub(super) fn on_puback(
        &mut self,
        now: Now,
        hub: &Hub,
        ack: &Ack<'_>,
    ) -> Result<(), CloseReason> {
        let open = self.open()?;
        let mut state = open.session.lock();
        if state.epoch != open.epoch {
            return Err(CloseReason::SessionTakenOver);
        }
        match state.inflight.state(ack.packet_id) {
            Some(InflightState::AwaitPuback) => {}
            Some(_) => return Err(CloseReason::Protocol("PUBACK for a message of QoS 2")),
            // Of a message that expired or was dropped, or made up: nothing to do.
            None => return Ok(()),
        }
        let Some((counter, delivery)) = state.inflight.complete(ack.packet_id) else {
            return Ok(());
        };
        let refused = ack.reason_code.is_failure();
        if state.is_persistent() {
            let target = Target::Session {
                session: open.session.key,
                counter,
            };
            let reason = if refused {
                Removal::Refused
            } else {
                Removal::Acknowledged
            };
            hub.journal()
                .append(vec![Entry::Removed { target, reason }]);
        }
        drop(state);
        if let Some(delivery) = delivery {
            hub.complete_shared(&delivery);
            if refused {
                hub.drops().record(
                    now,
                    DropReason::Refused,
                    &open.session.client_id,
                    delivery.message.topic(),
                );
            }
        }
        Ok(())
    }

    /// A message of QoS 2 arrived, or was refused. [MQTT-4.3.3-4]
    pub(super) fn on_pubrec(
        &mut self,
        now: Now,
        hub: &Hub,
        ack: &Ack<'_>,
    ) -> Result<(), CloseReason> {
        let open = self.open()?;
        let session = Arc::clone(&open.session);
        let mut state = session.lock();
        if state.epoch != open.epoch {
            return Err(CloseReason::SessionTakenOver);
        }
        let target = |counter| Target::Session {
            session: session.key,
            counter,
        };
        match state.inflight.state(ack.packet_id) {
            Some(InflightState::AwaitPuback) => {
                return Err(CloseReason::Protocol("PUBREC for a message of QoS 1"));
            }
            Some(InflightState::AwaitPubrec) if ack.reason_code.is_failure() => {
                let Some((counter, delivery)) = state.inflight.complete(ack.packet_id) else {
                    return Ok(());
                };
                if state.is_persistent() {
                    let reason = Removal::Refused;
                    hub.journal().append(vec![Entry::Removed {
                        target: target(counter),
                        reason,
                    }]);
                }
                drop(state);
                if let Some(delivery) = delivery {
                    let topic = delivery.message.topic();
                    hub.drops()
                        .record(now, DropReason::Refused, &session.client_id, topic);
                }
                return Ok(());
            }
            Some(_) => {}
            // The standard's way to tell a client that it's behind.
            None => {
                drop(state);
                let code = ReasonCode::PacketIdentifierNotFound;
                self.stage_ack(hub, PacketType::PubRel, ack.packet_id, code, Seq::NONE);
                return Ok(());
            }
        }
        let durable = state.is_persistent();
        let seq = state.inflight.received(ack.packet_id, |counter| {
            let entry = Entry::Received {
                session: session.key,
                counter,
            };
            if durable {
                hub.journal().append(vec![entry])
            } else {
                Seq::NONE
            }
        });
        drop(state);
        // PUBREL waits for its entry: without it the message would be sent again after a crash, to
        // a client that has completed it.
        let seq = seq.unwrap_or_default();
        self.stage_ack(
            hub,
            PacketType::PubRel,
            ack.packet_id,
            ReasonCode::Success,
            seq,
        );
        Ok(())
    }

    /// The client won't send a message of QoS 2 again. [MQTT-4.3.3-11]
    pub(super) fn on_pubrel(&mut self, hub: &Hub, ack: &Ack<'_>) -> Result<(), CloseReason> {
        let open = self.open()?;
        let session = Arc::clone(&open.session);
        let mut state = session.lock();
        if state.epoch != open.epoch {
            return Err(CloseReason::SessionTakenOver);
        }
        let known = state.received.release(ack.packet_id);
        let mut seq = Seq::NONE;
        if known && state.is_persistent() {
            let inbound = Inbound {
                session: session.key,
                packet_id: ack.packet_id,
            };
            // Before anybody can use the identifier again.
            seq = hub.journal().append(vec![Entry::Released(inbound)]);
        }
        drop(state);
        let code = if known {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        self.stage_ack(hub, PacketType::PubComp, ack.packet_id, code, seq);
        Ok(())
    }

    /// A message of QoS 2 is complete. [MQTT-4.3.3-6]
    pub(super) fn on_pubcomp(&mut self, hub: &Hub, ack: &Ack<'_>) -> Result<(), CloseReason> {
        let open = self.open()?;
        let mut state = open.session.lock();
        if state.epoch != open.epoch {
            return Err(CloseReason::SessionTakenOver);
        }
        match state.inflight.state(ack.packet_id) {
            Some(InflightState::AwaitPubcomp(_)) => {}
            Some(_) => return Err(CloseReason::Protocol("PUBCOMP before PUBREC")),
            None => return Ok(()),
        }
        if let Some((counter, _)) = state.inflight.complete(ack.packet_id)
            && state.is_persistent()
        {
            let target = Target::Session {
                session: open.session.key,
                counter,
            };
            hub.journal().append(vec![Entry::Removed {
                target,
                reason: Removal::Acknowledged,
            }]);
        }
        Ok(())
    }
}

/// An alias without a topic that this connection has never set.
const ALIAS_UNSET: CloseReason = CloseReason::Protocol("a topic alias that was never set");

/// What only this direction forbids.
fn check_properties(limits: &Limits, publish: &Publish<'_>) -> Result<(), CloseReason> {
    if user_properties(publish.properties) > limits.user_properties {
        return Err(CloseReason::QuotaExceeded);
    }
    // [MQTT-3.3.4-6]
    if publish
        .properties
        .iter()
        .any(|property| matches!(property, Property::SubscriptionIdentifier(_)))
    {
        return Err(CloseReason::Protocol(
            "subscription identifier in a PUBLISH from a client",
        ));
    }
    Ok(())
}

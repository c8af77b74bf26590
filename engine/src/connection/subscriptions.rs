//! SUBSCRIBE and UNSUBSCRIBE. MQTT 5 sections 3.8 to 3.11.

use dunlin_codec::{
    Packet, Properties, Property, ReasonCode, SubAck, Subscribe, UnsubAck, Unsubscribe,
};

use super::handshake::user_properties;
use super::{CloseReason, Connection};
use crate::hub::{Batch, Hub};
use crate::journal::Seq;
use crate::limits::Limits;
use crate::sync::Arc;
use crate::time::Now;

impl Connection {
    /// Answers with one reason code per Topic Filter, in their order. [MQTT-3.8.4-1]
    /// [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1]
    pub(super) fn on_subscribe(
        &mut self,
        hub: &Hub,
        limits: &Limits,
        subscribe: &Subscribe<'_>,
    ) -> Result<(), CloseReason> {
        if user_properties(subscribe.properties) > limits.user_properties {
            return Err(CloseReason::QuotaExceeded);
        }
        let identifier = subscribe
            .properties
            .iter()
            .find_map(|property| match property {
                Property::SubscriptionIdentifier(identifier) => Some(identifier),
                _ => None,
            });
        let open = self.open()?;
        if open.session.lock().epoch != open.epoch {
            return Err(CloseReason::SessionTakenOver);
        }
        let mut last = Seq::NONE;
        let mut codes = Vec::new();
        for (index, wanted) in subscribe.subscriptions().enumerate() {
            let (code, seq) = if index < limits.filters_per_packet {
                let (session, origin) = (&open.session, &open.origin);
                hub.subscribe(limits, session, origin, wanted, identifier.unwrap_or(0))
            } else {
                (ReasonCode::QuotaExceeded, Seq::NONE)
            };
            codes.push(code.value());
            last = last.max(seq);
        }
        let (packet_id, properties) = (subscribe.packet_id, Properties::EMPTY);
        let suback = Packet::SubAck(SubAck {
            packet_id,
            properties,
            reason_codes: &codes,
        });
        self.stage_after(hub, last, &suback)
    }

    /// Answers with one reason code per Topic Filter, in their order. [MQTT-3.10.4-4]
    /// [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1]
    pub(super) fn on_unsubscribe(
        &mut self,
        now: Now,
        hub: &Hub,
        limits: &Limits,
        batch: &mut Batch,
        unsubscribe: &Unsubscribe<'_>,
    ) -> Result<(), CloseReason> {
        if user_properties(unsubscribe.properties) > limits.user_properties {
            return Err(CloseReason::QuotaExceeded);
        }
        let open = self.open()?;
        let session = Arc::clone(&open.session);
        if session.lock().epoch != open.epoch {
            return Err(CloseReason::SessionTakenOver);
        }
        let mut last = Seq::NONE;
        let mut codes = Vec::new();
        for filter in unsubscribe.filters() {
            let (code, seq) = hub.unsubscribe(now, limits, &session, filter, batch);
            codes.push(code.value());
            last = last.max(seq);
        }
        let (packet_id, properties) = (unsubscribe.packet_id, Properties::EMPTY);
        let unsuback = Packet::UnsubAck(UnsubAck {
            packet_id,
            properties,
            reason_codes: &codes,
        });
        self.stage_after(hub, last, &unsuback)
    }

    fn stage_after(&mut self, hub: &Hub, seq: Seq, packet: &Packet<'_>) -> Result<(), CloseReason> {
        let durable = hub.journal().watermark().durable();
        let maximum = self.maximum_packet_size;
        if self
            .staging
            .after(self.version, maximum, seq, durable, packet)
        {
            Ok(())
        } else {
            Err(CloseReason::PacketTooLargeForPeer)
        }
    }
}

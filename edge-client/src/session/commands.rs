//! What the application asks for: to publish, to subscribe, to end the connection.
//!
//! Answers for refusing what the standard or the server wouldn't allow, before anything is kept or sent.
//! MQTT 5 sections 3.3, 3.8, 3.10 and 3.14.

use dunlin_codec::{
    DecodeError, EncodeError, Malformed, PacketId, Properties, Property, Publish, QoS, ReasonCode,
    SliceWriter, Subscribe, Subscription, SubscriptionOptions, Unsubscribe, decode,
};

use super::outbox::{Content, PushError};
use super::{Phase, Ping, Release, Session, connect};
use crate::error::CommandError;
use crate::event::{Failure, Message};
use crate::options::PACKET_SIZE_MAX;
use crate::time::Instant;

impl<B, const OUTGOING: usize, const INCOMING: usize> Session<B, OUTGOING, INCOMING>
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    /// Publishes a message. At QoS 1 and 2 the identifier stands for it until [`Event::Published`](crate::Event::Published) or
    /// [`Event::NotPublished`](crate::Event::NotPublished), over any number of connections, and the message may be given while there is
    /// none.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn publish(&mut self, message: &Message<'_>) -> Result<Option<PacketId>, CommandError> {
        let connected = self.phase == Phase::Connected;
        let packet_id = match message.qos {
            QoS::AtMostOnce if !connected => return Err(CommandError::NotConnected),
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => Some(self.unused_packet_id()?),
        };
        self.check_properties(&message.properties, |property| {
            // [MQTT-3.3.4-6] And aliases are the session's business.
            property.is_forwarded() || matches!(property, Property::MessageExpiryInterval(_))
        })?;
        let publish = Publish {
            dup: false,
            qos: message.qos,
            retain: message.retain,
            topic: message.topic,
            packet_id,
            properties: message.properties,
            payload: message.payload,
        };
        let length = publish.packet_length(self.version);
        let refusal = self.server.refusal(message.qos, message.retain, length);
        if let Some(refusal) = refusal.filter(|_| connected) {
            return Err(refusal.into());
        }
        let content = Content::Publish {
            qos: message.qos,
            retain: message.retain,
        };
        let version = self.version;
        self.push(packet_id, content, |sink| publish.encode(version, sink))?;
        Ok(packet_id)
    }

    /// Asks for one or more subscriptions, with the properties of a SUBSCRIBE. The answer is
    /// [`Event::Subscribed`](crate::Event::Subscribed) with the identifier that this gives; it doesn't come when the connection ends
    /// before.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn subscribe(
        &mut self,
        subscriptions: &[Subscription<'_>],
        properties: &[Property<'_>],
    ) -> Result<PacketId, CommandError> {
        if self.phase != Phase::Connected {
            return Err(CommandError::NotConnected);
        }
        for Subscription { filter, options } in subscriptions {
            let shared = self.version.is_v5() && filter.starts_with("$share/");
            if shared && !self.server.shared_subscriptions {
                return Err(CommandError::SharedNotSupported);
            }
            if filter.contains(['+', '#']) && !self.server.wildcards {
                return Err(CommandError::WildcardNotSupported);
            }
            let qos_alone = SubscriptionOptions {
                qos: options.qos,
                ..SubscriptionOptions::default()
            };
            if !self.version.is_v5() && *options != qos_alone {
                return Err(CommandError::NotInThisVersion);
            }
        }
        let properties = Properties::from_list(properties);
        self.check_properties(&properties, |_| true)?;
        let identified = |property| matches!(property, Property::SubscriptionIdentifier(_));
        if !self.server.subscription_identifiers && properties.iter().any(identified) {
            return Err(CommandError::SubscriptionIdentifierNotSupported);
        }
        let packet_id = self.unused_packet_id()?;
        let subscribe = Subscribe::new(packet_id, properties, subscriptions);
        let content = Content::Subscribe(subscriptions.len());
        let version = self.version;
        self.push(Some(packet_id), content, |sink| {
            subscribe.encode(version, sink)
        })?;
        Ok(packet_id)
    }

    /// Asks to end one or more subscriptions, with the properties of an UNSUBSCRIBE. The answer is
    /// [`Event::Unsubscribed`](crate::Event::Unsubscribed) with the identifier that this gives; it doesn't come when the connection
    /// ends before.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn unsubscribe(
        &mut self,
        filters: &[&str],
        properties: &[Property<'_>],
    ) -> Result<PacketId, CommandError> {
        if self.phase != Phase::Connected {
            return Err(CommandError::NotConnected);
        }
        let properties = Properties::from_list(properties);
        self.check_properties(&properties, |_| true)?;
        let packet_id = self.unused_packet_id()?;
        let unsubscribe = Unsubscribe::new(packet_id, properties, filters);
        let content = Content::Unsubscribe(filters.len());
        let version = self.version;
        self.push(Some(packet_id), content, |sink| {
            unsubscribe.encode(version, sink)
        })?;
        Ok(packet_id)
    }

    /// Ends the connection: what may be sent now goes first, then a DISCONNECT with this reason code
    /// ([`ReasonCode::Success`], or [`ReasonCode::DisconnectWithWill`] for the Will to be published; before
    /// MQTT 5 only the former). Nothing is read any more, so wait before until
    /// [`unacknowledged`](Self::unacknowledged) is 0.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub fn disconnect(
        &mut self,
        now: Instant,
        reason_code: ReasonCode,
    ) -> Result<(), CommandError> {
        if self.phase != Phase::Connected {
            return Err(CommandError::NotConnected);
        }
        if !self.version.is_v5() && reason_code != ReasonCode::Success {
            return Err(CommandError::NotInThisVersion);
        }
        if !connect::may_disconnect_with(reason_code) {
            return Err(CommandError::ReasonCode);
        }
        self.ping = Ping::Unneeded;
        self.phase = Phase::Closing {
            deadline: now.plus(self.response_timeout),
            reason_code: Some(reason_code),
            orderly: true,
        };
        Ok(())
    }

    fn check_properties(
        &self,
        properties: &Properties<'_>,
        allowed: impl Fn(&Property<'_>) -> bool,
    ) -> Result<(), CommandError> {
        if !self.version.is_v5() && !properties.is_empty() {
            return Err(CommandError::NotInThisVersion);
        }
        if properties.iter().all(|property| allowed(&property)) {
            Ok(())
        } else {
            Err(CommandError::Property)
        }
    }

    fn push(
        &mut self,
        packet_id: Option<PacketId>,
        content: Content,
        encode: impl Fn(&mut SliceWriter<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), CommandError> {
        let version = self.version;
        let bytes = self.outbox.push(packet_id, content, encode)?;
        // What we wouldn't take from a stranger we don't send: topics, filters, strings, properties.
        let checked = decode(bytes, version, PACKET_SIZE_MAX).map(|_| ());
        let too_large = self.phase == Phase::Connected && self.server.is_too_small_for(bytes.len());
        let error = match checked {
            Ok(()) if too_large => CommandError::TooLargeForServer,
            Ok(()) => return Ok(()),
            Err(DecodeError::Malformed(reason)) => CommandError::Malformed(reason),
            Err(DecodeError::Incomplete { .. }) => CommandError::TooLargeForOutbox,
        };
        self.outbox.pop();
        Err(error)
    }

    /// [MQTT-2.2.1-3] [3:MQTT-2.3.1-2]
    fn unused_packet_id(&mut self) -> Result<PacketId, CommandError> {
        // With one more than can be in use, one isn't.
        for _ in 0..=2 * OUTGOING {
            let packet_id = self.next_packet_id;
            self.next_packet_id = packet_id.checked_add(1).unwrap_or(PacketId::MIN);
            let releasing = |release: &Release| release.packet_id == packet_id;
            if self.outbox.entry(packet_id).is_none() && !self.releases.iter().any(releasing) {
                return Ok(packet_id);
            }
        }
        Err(CommandError::NoPacketId)
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::QosNotSupported => Self::QosNotSupported,
            Failure::RetainNotSupported => Self::RetainNotSupported,
            Failure::TooLargeForServer => Self::TooLargeForServer,
            // These two come after sending.
            Failure::Refused(_) | Failure::SessionLost => Self::NotConnected,
        }
    }
}

impl From<PushError> for CommandError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Entries | PushError::Room => Self::OutboxFull,
            PushError::TooLarge | PushError::Encode(EncodeError::PacketTooLarge) => {
                Self::TooLargeForOutbox
            }
            PushError::Encode(EncodeError::FieldTooLong) => Self::FieldTooLong,
            PushError::Encode(EncodeError::NoTopicFilter) => {
                Self::Malformed(Malformed::NoTopicFilter)
            }
            PushError::Encode(EncodeError::NotInThisVersion | EncodeError::BufferFull) => {
                Self::NotInThisVersion
            }
        }
    }
}

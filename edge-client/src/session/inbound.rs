//! What comes in from the server. MQTT 5 chapter 3, sections 4.3, 4.4 and 4.13.

use dunlin_codec::{
    Ack, ConnAck, DecodeError, Packet, PacketType, Property, Publish, QoS, ReasonCode, SubAck,
    UnsubAck, decode,
};

use super::outbox::{Content, Entry, State};
use super::server::Server;
use super::transmit::Answer;
use super::{Duration, PacketId, Phase, Ping, Release, ReleaseState, Session, connect};
use crate::error::{Error, Violation};
use crate::event::{Connected, Event, Failure, Message, ReasonCodes, Received};
use crate::time::Instant;

impl<B, const OUTGOING: usize, const INCOMING: usize> Session<B, OUTGOING, INCOMING>
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    /// Takes the first packet from `input`: all bytes that came and weren't taken before.
    ///
    /// # Errors
    /// When the server broke the protocol: transmit what there is, then close the transport.
    pub fn handle_bytes<'i>(
        &mut self,
        now: Instant,
        input: &'i [u8],
    ) -> Result<Received<'i>, Error> {
        if matches!(self.phase, Phase::Closing { .. }) || self.is_closed() {
            // Nobody wants it any more.
            return Ok(match input.len() {
                0 => Received::Incomplete { needed: 2 },
                length => Received::Packet {
                    length,
                    event: None,
                },
            });
        }
        if self.answers.is_full() {
            return Ok(Received::Blocked);
        }
        if input.len() > self.incomplete {
            // A packet that takes long to come is a sign of life too.
            self.last_received = now;
            self.ping = Ping::Unneeded;
        }
        let decoded = decode(input, self.version, self.maximum_packet_size);
        let taken = match decoded {
            Ok((packet, length)) => {
                self.incomplete = 0;
                self.on_packet(packet).map(|event| (length, event))
            }
            Err(DecodeError::Incomplete { needed }) => {
                self.incomplete = input.len();
                return Ok(Received::Incomplete { needed });
            }
            Err(DecodeError::Malformed(reason)) => Err(Error::Malformed(reason)),
        };
        match taken {
            Ok((length, event)) => Ok(Received::Packet { length, event }),
            Err(error) => {
                self.end(now, error);
                Err(error)
            }
        }
    }

    /// [MQTT-4.13.1-1] The connection is closed; a server of MQTT 5 is told why.
    fn end(&mut self, now: Instant, error: Error) {
        self.ping = Ping::Unneeded;
        self.phase = match self.phase {
            Phase::Connected => Phase::Closing {
                deadline: now.plus(self.response_timeout),
                reason_code: self.version.is_v5().then(|| {
                    let reason_code = error.reason_code();
                    if connect::may_disconnect_with(reason_code) {
                        reason_code
                    } else {
                        ReasonCode::ProtocolError
                    }
                }),
                orderly: false,
            },
            _ => Phase::Closed,
        };
    }

    fn on_packet<'i>(&mut self, packet: Packet<'i>) -> Result<Option<Event<'i>>, Error> {
        if let (Phase::AwaitConnack { .. }, Packet::ConnAck(connack)) = (self.phase, packet) {
            return self.on_connack(connack).map(Some);
        }
        if self.phase != Phase::Connected {
            return Err(Violation::UnexpectedPacket(packet.packet_type()).into());
        }
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubAck(ack) => self.on_puback(ack).map(Some),
            Packet::PubRec(ack) => self.on_pubrec(ack),
            Packet::PubRel(ack) => {
                self.on_pubrel(ack);
                Ok(None)
            }
            Packet::PubComp(ack) => self.on_pubcomp(ack),
            Packet::SubAck(ack) => self.on_suback(ack).map(Some),
            Packet::UnsubAck(ack) => self.on_unsuback(ack).map(Some),
            // Every packet was taken for the sign of life that this one is.
            Packet::PingResp => Ok(None),
            Packet::Disconnect(disconnect) if self.version.is_v5() => {
                self.phase = Phase::Closed;
                Ok(Some(Event::Disconnected {
                    reason_code: disconnect.reason_code,
                    properties: disconnect.properties,
                }))
            }
            // No method of authentication was asked for, so the server may not begin one.
            Packet::Auth(_)
            | Packet::Disconnect(_)
            | Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => Err(Violation::UnexpectedPacket(packet.packet_type()).into()),
        }
    }

    fn on_connack<'i>(&mut self, connack: ConnAck<'i>) -> Result<Event<'i>, Error> {
        let properties = connack.properties;
        if connack.reason_code.is_failure() {
            self.phase = Phase::Closed;
            return Ok(Event::Refused {
                reason_code: connack.reason_code,
                properties,
            });
        }
        // [MQTT-3.2.2-2] [3:MQTT-3.2.2-1]
        if connack.session_present && self.clean_start {
            return Err(Violation::SessionPresent.into());
        }
        self.server = Server::of_connack(&properties);
        let mut keep_alive_s = self.keep_alive_s;
        let mut session_expiry_s = self.session_expiry_s;
        for property in properties.iter() {
            match property {
                // [MQTT-3.1.2-21] [MQTT-3.2.2-21]
                Property::ServerKeepAlive(seconds) => keep_alive_s = seconds,
                Property::SessionExpiryInterval(seconds) => session_expiry_s = seconds,
                _ => {}
            }
        }
        self.keep_alive = Duration::from_secs(u64::from(keep_alive_s));
        self.phase = Phase::Connected;
        if self.version.is_v5() && session_expiry_s > 0 {
            self.clean_start = false;
        }
        if connack.session_present {
            // [MQTT-4.4.0-1] Now, and only now, is what wasn't acknowledged sent again.
            for release in &mut self.releases {
                release.state = ReleaseState::DuePubrel;
            }
        } else {
            // [MQTT-3.2.2-5]
            self.outbox.session_lost();
            self.received.clear();
            for release in &mut self.releases {
                release.state = ReleaseState::Lost;
            }
        }
        self.refuse_what_the_server_would();
        Ok(Event::Connected(Connected {
            session_present: connack.session_present,
            keep_alive_s,
            properties,
        }))
    }

    /// Messages may have been given before it was known what this server takes.
    fn refuse_what_the_server_would(&mut self) {
        let server = self.server;
        for entry in self.outbox.entries_mut() {
            if let (Content::Publish { qos, retain }, State::Due) = (entry.content, entry.state)
                && let Some(failure) = server.refusal(qos, retain, entry.length())
            {
                entry.state = State::Failed(failure);
            }
        }
    }

    fn on_publish<'i>(&mut self, publish: Publish<'i>) -> Result<Option<Event<'i>>, Error> {
        // [MQTT-3.1.2-27] We allow none.
        if publish.topic_alias().is_some() {
            return Err(Violation::TopicAlias.into());
        }
        if let Some(packet_id) = publish.packet_id {
            let repeated = publish.qos == QoS::ExactlyOnce && self.received.contains(&packet_id);
            if !repeated {
                self.take_room(publish.qos, packet_id)?;
            }
            let packet_type = match publish.qos {
                QoS::ExactlyOnce => PacketType::PubRec,
                _ => PacketType::PubAck,
            };
            self.answer(packet_type, packet_id, ReasonCode::Success);
            // [MQTT-4.3.3-10] Until PUBREL a repeat is answered, and isn't a message.
            if repeated {
                return Ok(None);
            }
        }
        Ok(Some(Event::Message(Message {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            properties: publish.properties,
        })))
    }

    /// [MQTT-3.3.4-9] The server keeps to our Receive Maximum, if its version has one.
    fn take_room(&mut self, qos: QoS, packet_id: PacketId) -> Result<(), Error> {
        let pubacks = self
            .answers
            .iter()
            .filter(|answer| answer.packet_type == PacketType::PubAck)
            .count();
        if self.version.is_v5() && self.received.len() + pubacks >= INCOMING {
            return Err(Violation::ReceiveMaximum.into());
        }
        if qos == QoS::ExactlyOnce && self.received.push(packet_id).is_err() {
            return Err(Error::TooManyReceived);
        }
        Ok(())
    }

    fn on_puback<'i>(&mut self, ack: Ack<'i>) -> Result<Event<'i>, Error> {
        self.awaited(&ack, PacketType::PubAck, QoS::AtLeastOnce)?;
        self.outbox.remove(ack.packet_id);
        Ok(outcome(&ack))
    }

    fn on_pubrec<'i>(&mut self, ack: Ack<'i>) -> Result<Option<Event<'i>>, Error> {
        let packet_id = ack.packet_id;
        let release = self
            .releases
            .iter_mut()
            .find(|release| release.packet_id == packet_id && release.state != ReleaseState::Lost);
        if let Some(release) = release {
            release.state = ReleaseState::DuePubrel;
            return Ok(None);
        }
        if self.outbox.entry(packet_id).is_none() {
            self.answer(
                PacketType::PubRel,
                packet_id,
                ReasonCode::PacketIdentifierNotFound,
            );
            return Ok(None);
        }
        self.awaited(&ack, PacketType::PubRec, QoS::ExactlyOnce)?;
        // [MQTT-4.3.3-6] The message won't be sent again, so its bytes aren't needed.
        self.outbox.remove(packet_id);
        // [MQTT-4.3.3-4] [MQTT-4.4.0-2]
        if ack.reason_code.is_failure() {
            return Ok(Some(outcome(&ack)));
        }
        let release = Release {
            packet_id,
            state: ReleaseState::DuePubrel,
        };
        // No more than OUTGOING messages are under way.
        if self.releases.push(release).is_err() {
            return Err(Violation::UnexpectedAcknowledgement(PacketType::PubRec).into());
        }
        Ok(None)
    }

    /// [MQTT-4.3.3-11] Whether we know the message or not.
    fn on_pubrel(&mut self, ack: Ack<'_>) {
        let known = self.received.contains(&ack.packet_id);
        self.received
            .retain(|packet_id| *packet_id != ack.packet_id);
        let reason_code = if known {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        self.answer(PacketType::PubComp, ack.packet_id, reason_code);
    }

    fn on_pubcomp<'i>(&mut self, ack: Ack<'i>) -> Result<Option<Event<'i>>, Error> {
        let unexpected = Violation::UnexpectedAcknowledgement(PacketType::PubComp);
        let release = self
            .releases
            .iter()
            .find(|release| release.packet_id == ack.packet_id);
        match release.map(|release| release.state) {
            Some(ReleaseState::AwaitPubcomp) => {
                self.releases
                    .retain(|release| release.packet_id != ack.packet_id);
                // "Not found" answers a PUBREL that was sent again: the first one had arrived.
                Ok(Some(Event::Published {
                    packet_id: ack.packet_id,
                    reason_code: ReasonCode::Success,
                    properties: ack.properties,
                }))
            }
            Some(_) => Err(unexpected.into()),
            None if self.outbox.entry(ack.packet_id).is_some() => Err(unexpected.into()),
            // The end of a handshake that we didn't know, see PUBREC.
            None => Ok(None),
        }
    }

    fn on_suback<'i>(&mut self, ack: SubAck<'i>) -> Result<Event<'i>, Error> {
        let packet_id = ack.packet_id;
        let unexpected = Violation::UnexpectedAcknowledgement(PacketType::SubAck);
        match self.awaiting(packet_id).map(|entry| entry.content) {
            // [MQTT-3.8.4-6]
            Some(Content::Subscribe(filters)) if filters != ack.reason_codes.len() => {
                Err(Violation::ReasonCodeCount.into())
            }
            Some(Content::Subscribe(_)) => {
                self.outbox.remove(packet_id);
                Ok(Event::Subscribed {
                    packet_id,
                    reason_codes: ReasonCodes(ack.reason_codes),
                    properties: ack.properties,
                })
            }
            _ => Err(unexpected.into()),
        }
    }

    fn on_unsuback<'i>(&mut self, ack: UnsubAck<'i>) -> Result<Event<'i>, Error> {
        let packet_id = ack.packet_id;
        let unexpected = Violation::UnexpectedAcknowledgement(PacketType::UnsubAck);
        match self.awaiting(packet_id).map(|entry| entry.content) {
            // [MQTT-3.11.3-2]
            Some(Content::Unsubscribe(filters))
                if self.version.is_v5() && filters != ack.reason_codes.len() =>
            {
                Err(Violation::ReasonCodeCount.into())
            }
            Some(Content::Unsubscribe(_)) => {
                self.outbox.remove(packet_id);
                Ok(Event::Unsubscribed {
                    packet_id,
                    reason_codes: ReasonCodes(ack.reason_codes),
                    properties: ack.properties,
                })
            }
            _ => Err(unexpected.into()),
        }
    }

    fn awaiting(&self, packet_id: PacketId) -> Option<&Entry> {
        self.outbox
            .entry(packet_id)
            .filter(|entry| entry.state == State::AwaitAcknowledgement)
    }

    fn awaited(&self, ack: &Ack<'_>, packet_type: PacketType, qos: QoS) -> Result<(), Violation> {
        self.awaiting(ack.packet_id)
            .filter(|entry| entry.qos() == Some(qos))
            .map(|_| ())
            .ok_or(Violation::UnexpectedAcknowledgement(packet_type))
    }

    fn answer(&mut self, packet_type: PacketType, packet_id: PacketId, reason_code: ReasonCode) {
        let answer = Answer {
            packet_type,
            packet_id,
            reason_code,
        };
        let queued = self.answers.push_back(answer);
        debug_assert!(
            queued.is_ok(),
            "handle_bytes takes a packet only with room for its answer"
        );
    }
}

fn outcome<'i>(ack: &Ack<'i>) -> Event<'i> {
    if ack.reason_code.is_failure() {
        Event::NotPublished {
            packet_id: ack.packet_id,
            failure: Failure::Refused(ack.reason_code),
            properties: ack.properties,
        }
    } else {
        Event::Published {
            packet_id: ack.packet_id,
            reason_code: ack.reason_code,
            properties: ack.properties,
        }
    }
}

//! A client that does what the test says, and tells what came in words.

use std::sync::Arc;

use dunlin_codec::{
    Ack, Connect, Disconnect, Packet, PacketId, PacketType, Properties, Property, Publish, QoS,
    ReasonCode, Subscribe, Subscription, SubscriptionOptions, Unsubscribe, Version, Will, decode,
};
use dunlin_engine::connection::{
    AuthOutcome, CloseReason, Connection, Event, OnDeny, Settings, Transmit,
};
use dunlin_engine::hub::Batch;
use dunlin_engine::sync::Wake;

use super::words::{properties, words};
use super::{Bell, Broker, id};

/// A CONNECT, to be changed before it's sent.
pub(crate) struct Opening<'a> {
    pub(crate) connect: Connect<'a>,
    pub(crate) properties: Vec<Property<'a>>,
    pub(crate) settings: Settings,
    pub(crate) outcome: AuthOutcome,
}

impl<'a> Opening<'a> {
    /// A session that is kept if it's there, without expiry in MQTT 5.
    pub(crate) fn new(version: Version, client_id: &'a str) -> Self {
        Self {
            connect: Connect {
                version,
                clean_start: false,
                keep_alive_s: 0,
                client_id,
                will: None,
                user_name: None,
                password: None,
                properties: Properties::EMPTY,
            },
            properties: Vec::new(),
            settings: Settings {
                listener: "test".into(),
                assigned_client_id_prefix: "auto-".into(),
                response_information: None,
                on_deny: OnDeny::Acknowledge,
            },
            outcome: AuthOutcome::Accepted { user_name: None },
        }
    }

    pub(crate) fn v5(client_id: &'a str) -> Self {
        Self::new(Version::V5, client_id)
    }

    pub(crate) fn v4(client_id: &'a str) -> Self {
        Self::new(Version::V4, client_id)
    }

    /// Session Expiry Interval.
    pub(crate) fn kept(self, secs: u32) -> Self {
        self.with(Property::SessionExpiryInterval(secs))
    }

    pub(crate) fn clean(mut self) -> Self {
        self.connect.clean_start = true;
        self
    }

    pub(crate) fn keep_alive(mut self, secs: u16) -> Self {
        self.connect.keep_alive_s = secs;
        self
    }

    pub(crate) fn with(mut self, property: Property<'a>) -> Self {
        self.properties.push(property);
        self
    }

    pub(crate) fn will(mut self, will: Will<'a>) -> Self {
        self.connect.will = Some(will);
        self
    }

    /// Connects; gives what came.
    pub(crate) fn open(self, broker: &Broker) -> (Client, Vec<String>) {
        let version = self.connect.version;
        let mut client = Client::accept(broker, version, self.settings, self.outcome);
        let mut connect = self.connect;
        if version.is_v5() {
            connect.properties = Properties::from_list(&self.properties);
        }
        let received = client.exchange(broker, &Packet::Connect(connect));
        (client, received)
    }

    /// Connects a client that is let in.
    pub(crate) fn client(self, broker: &Broker) -> Client {
        let (client, received) = self.open(broker);
        assert!(
            received[0] == "CONNACK new" || received[0] == "CONNACK present",
            "{received:?}"
        );
        client
    }
}

/// A CONNECT that keeps its session for `expiry_s`; before MQTT 5 for ever.
pub(crate) fn connect(
    broker: &Broker,
    version: Version,
    client_id: &str,
    expiry_s: u32,
    will: Option<Will<'_>>,
) -> (Client, Vec<String>) {
    let mut opening = Opening::new(version, client_id).kept(expiry_s);
    opening.connect.will = will;
    opening.open(broker)
}

pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) version: Version,
    /// The properties of CONNACK in words.
    pub(crate) connack: String,
    outcome: AuthOutcome,
    bell: Arc<Bell>,
    batch: Batch,
    /// Bytes that the connection hasn't taken.
    unread: Vec<u8>,
    /// Whether there was an input since the last poll.
    touched: bool,
    end: Option<CloseReason>,
}

impl Client {
    /// A connection on which nothing was said.
    pub(crate) fn accept(
        broker: &Broker,
        version: Version,
        settings: Settings,
        outcome: AuthOutcome,
    ) -> Self {
        let bell = Arc::new(Bell::default());
        let wake = Arc::clone(&bell) as Arc<dyn Wake>;
        let limits = broker.hub.limits();
        let connection = Connection::new(broker.now, &limits, Arc::new(settings), wake, [7; 16]);
        Self {
            connection,
            version,
            connack: String::new(),
            outcome,
            bell,
            batch: Batch::default(),
            unread: Vec::new(),
            touched: false,
            end: None,
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, broker: &Broker, bytes: &[u8]) {
        self.touched = true;
        self.unread.extend(bytes);
        while self.end.is_none() {
            let handled = self.connection.handle_bytes(
                broker.now,
                &broker.hub,
                &mut self.batch,
                &self.unread,
            );
            let taken = handled.unwrap_or_else(|close| {
                self.end = Some(close.reason);
                0
            });
            self.unread.drain(..taken);
            if let Some(Event::Authenticate(_)) = self.connection.poll_event() {
                let outcome = self.outcome.clone();
                let (now, hub) = (broker.now, &broker.hub);
                let opened =
                    self.connection
                        .handle_authenticated(now, hub, &mut self.batch, outcome);
                self.end = opened.err().map(|close| close.reason);
            }
            if taken == 0 {
                break;
            }
        }
        self.batch.wake_all();
        broker.check();
    }

    pub(crate) fn send(&mut self, broker: &Broker, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.send_bytes(broker, &bytes);
    }

    /// How many bytes wait to be taken.
    pub(crate) fn unread(&self) -> usize {
        self.unread.len()
    }

    /// What has come, each packet in a few words; the end of the connection as well.
    pub(crate) fn receive(&mut self, broker: &Broker) -> Vec<String> {
        let mut out = Transmit::default();
        let had_ended = self.end.is_some() && !self.touched;
        while self.bell.rang() || core::mem::take(&mut self.touched) {
            let polled =
                self.connection
                    .poll_transmit(broker.now, &broker.hub, &mut self.batch, &mut out);
            match polled {
                Ok(more) => self.touched = more,
                Err(close) => self.end = Some(close.reason),
            }
            self.batch.wake_all();
        }
        broker.check();
        let bytes: Vec<u8> = out.pieces().flatten().copied().collect();
        let mut rest = bytes.as_slice();
        let mut packets = Vec::new();
        while !rest.is_empty() {
            let (packet, length) = decode(rest, self.version, u32::MAX).unwrap();
            packets.push(words(&packet));
            if let Packet::ConnAck(connack) = packet {
                self.connack = properties(connack.properties);
            }
            rest = &rest[length..];
        }
        if let Some(end) = self.end.filter(|_| !had_ended) {
            packets.push(format!("end: {}", end.text()));
        }
        packets
    }

    pub(crate) fn exchange(&mut self, broker: &Broker, packet: &Packet<'_>) -> Vec<String> {
        self.send(broker, packet);
        self.receive(broker)
    }

    pub(crate) fn exchange_bytes(&mut self, broker: &Broker, bytes: &[u8]) -> Vec<String> {
        self.send_bytes(broker, bytes);
        self.receive(broker)
    }

    /// Does what is due, as the driver does when [`Connection::poll_timeout`] says so, and tries
    /// again what wasn't taken.
    pub(crate) fn tick(&mut self, broker: &Broker) -> Vec<String> {
        let due = self.connection.poll_timeout();
        if due.is_some_and(|(at, _)| at <= broker.now.monotonic) {
            self.touched = true;
            let (now, hub) = (broker.now, &broker.hub);
            let done = self.connection.handle_timeout(now, hub, &mut self.batch);
            if let Err(close) = done {
                self.end = Some(close.reason);
            }
        }
        self.send_bytes(broker, &[]);
        self.receive(broker)
    }

    pub(crate) fn subscribe(&mut self, broker: &Broker, filter: &str, qos: QoS) {
        let options = SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        };
        let received = self.subscribe_with(broker, filter, options, 0);
        let granted = format!("SUBACK 0x{:02x}", qos.bits());
        assert_eq!(received.first(), Some(&granted), "{filter}");
    }

    /// With a Subscription Identifier unless it's 0.
    pub(crate) fn subscribe_with(
        &mut self,
        broker: &Broker,
        filter: &str,
        options: SubscriptionOptions,
        identifier: u32,
    ) -> Vec<String> {
        let list = [Subscription { filter, options }];
        let identifiers = [Property::SubscriptionIdentifier(identifier)];
        let properties = if identifier == 0 {
            Properties::EMPTY
        } else {
            Properties::from_list(&identifiers)
        };
        self.exchange(
            broker,
            &Packet::Subscribe(Subscribe::new(id(1), properties, &list)),
        )
    }

    pub(crate) fn unsubscribe(&mut self, broker: &Broker, filter: &str) -> Vec<String> {
        let list = [filter];
        self.exchange(
            broker,
            &Packet::Unsubscribe(Unsubscribe::new(id(2), Properties::EMPTY, &list)),
        )
    }

    /// `marks` may say "dup" and "retain".
    pub(crate) fn publish(
        &mut self,
        broker: &Broker,
        topic: &str,
        qos: QoS,
        number: u16,
        payload: &str,
        marks: &str,
    ) -> Vec<String> {
        self.publish_with(broker, topic, qos, number, payload, marks, &[])
    }

    #[allow(clippy::too_many_arguments)] // the fields of a PUBLISH
    pub(crate) fn publish_with(
        &mut self,
        broker: &Broker,
        topic: &str,
        qos: QoS,
        number: u16,
        payload: &str,
        marks: &str,
        properties: &[Property<'_>],
    ) -> Vec<String> {
        self.exchange(
            broker,
            &Packet::Publish(Publish {
                dup: marks.contains("dup"),
                qos,
                retain: marks.contains("retain"),
                topic,
                packet_id: PacketId::new(number),
                properties: Properties::from_list(properties),
                payload: payload.as_bytes(),
            }),
        )
    }

    pub(crate) fn ack(
        &mut self,
        broker: &Broker,
        packet_type: PacketType,
        number: u16,
    ) -> Vec<String> {
        self.ack_with(broker, packet_type, number, ReasonCode::Success)
    }

    pub(crate) fn ack_with(
        &mut self,
        broker: &Broker,
        packet_type: PacketType,
        number: u16,
        reason_code: ReasonCode,
    ) -> Vec<String> {
        let ack = Ack::with_reason(id(number), reason_code);
        let packet = match packet_type {
            PacketType::PubAck => Packet::PubAck(ack),
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            PacketType::PubComp => Packet::PubComp(ack),
            other => panic!("{other:?} is no acknowledgement"),
        };
        self.exchange(broker, &packet)
    }

    /// Sends DISCONNECT; gives what came before the end.
    pub(crate) fn disconnect(
        mut self,
        broker: &Broker,
        reason_code: ReasonCode,
        properties: &[Property<'_>],
    ) -> Vec<String> {
        self.exchange(
            broker,
            &Packet::Disconnect(Disconnect {
                reason_code,
                properties: Properties::from_list(properties),
            }),
        )
    }

    /// The link is cut.
    pub(crate) fn lose(self, broker: &Broker) {
        self.close(broker, CloseReason::PeerClosed);
    }

    /// The driver ends the connection; gives what the client is told.
    pub(crate) fn close(mut self, broker: &Broker, reason: CloseReason) -> Vec<String> {
        let (now, hub) = (broker.now, &broker.hub);
        self.connection
            .handle_closed(now, hub, &mut self.batch, reason);
        self.touched = true;
        self.batch.wake_all();
        self.receive(broker)
    }
}

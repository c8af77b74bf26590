//! A broker in memory and clients that speak packets to it, with time given by the test.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dunlin_codec::{
    Connect, Packet, PacketId, Properties, Property, Publish, QoS, Subscribe, Subscription,
    SubscriptionOptions, Version, Will, decode,
};
use dunlin_engine::connection::{AuthOutcome, CloseReason, Connection, OnDeny, Settings, Transmit};
use dunlin_engine::hub::{Batch, DurableState, Hub};
use dunlin_engine::journal::{Frame, Journal, MemoryLog, Watermark};
use dunlin_engine::limits::Limits;
use dunlin_engine::routing::AllowAll;
use dunlin_engine::sync::Wake;
use dunlin_engine::time::Now;

#[derive(Default)]
pub(crate) struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A broker, and what its disk holds.
pub(crate) struct Broker {
    pub(crate) hub: Hub,
    pub(crate) log: Arc<MemoryLog>,
    /// Frames of the processes before this one.
    earlier: Vec<Frame>,
    pub(crate) now: Now,
}

impl Broker {
    /// Every entry is durable at once.
    pub(crate) fn new() -> Self {
        Self::on(MemoryLog::keeping)
    }

    /// No entry is durable before the test says so.
    pub(crate) fn with_slow_disk() -> Self {
        Self::on(MemoryLog::manual)
    }

    fn on(log: impl FnOnce(Arc<Watermark>) -> MemoryLog) -> Self {
        let (log, journal) = journal(log);
        let hub = Hub::new(Limits::default(), journal, Arc::new(AllowAll), 1);
        Self {
            hub,
            log,
            earlier: Vec::new(),
            now: Now::default(),
        }
    }

    pub(crate) fn pass(&mut self, secs: u64) {
        self.now.monotonic = self.now.monotonic.plus_secs(secs);
        self.hub.handle_timeout(self.now, &mut Batch::default());
    }

    /// The process is gone; another one starts with what was durable.
    pub(crate) fn restart(&mut self) {
        self.earlier.extend(self.log.durable_frames());
        let state = DurableState::from_frames(self.earlier.clone());
        let (log, journal) = journal(MemoryLog::keeping);
        self.log = log;
        self.hub = Hub::recover(
            Limits::default(),
            journal,
            Arc::new(AllowAll),
            1,
            self.now,
            state,
        );
        self.hub.handle_timeout(self.now, &mut Batch::default());
    }
}

pub(crate) fn journal(log: impl FnOnce(Arc<Watermark>) -> MemoryLog) -> (Arc<MemoryLog>, Journal) {
    let watermark = Arc::new(Watermark::default());
    let log = Arc::new(log(Arc::clone(&watermark)));
    (Arc::clone(&log), Journal::new(Box::new(log), watermark))
}

pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) version: Version,
    bell: Arc<Bell>,
    batch: Batch,
}

/// A CONNECT that keeps its session for `expiry_s`; before MQTT 5 for ever.
pub(crate) fn connect(
    broker: &Broker,
    version: Version,
    client_id: &str,
    expiry_s: u32,
    will: Option<Will<'_>>,
) -> (Client, Vec<String>) {
    let settings = Arc::new(Settings {
        listener: "test".into(),
        assigned_client_id_prefix: "auto-".into(),
        response_information: None,
        on_deny: OnDeny::Acknowledge,
    });
    let limits = broker.hub.limits();
    let bell = Arc::new(Bell::default());
    let wake = Arc::clone(&bell) as Arc<dyn Wake>;
    let connection = Connection::new(broker.now, &limits, settings, wake, [7; 16]);
    let mut client = Client {
        connection,
        version,
        bell,
        batch: Batch::default(),
    };
    let properties = [Property::SessionExpiryInterval(expiry_s)];
    client.send(
        broker,
        &Packet::Connect(Connect {
            version,
            clean_start: false,
            keep_alive_s: 0,
            client_id,
            will,
            user_name: None,
            password: None,
            properties: Properties::from_list(&properties),
        }),
    );
    let outcome = AuthOutcome::Accepted { user_name: None };
    client
        .connection
        .handle_authenticated(broker.now, &broker.hub, &mut client.batch, outcome)
        .unwrap();
    let received = client.receive(broker);
    (client, received)
}

impl Client {
    pub(crate) fn send(&mut self, broker: &Broker, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        let taken = self
            .connection
            .handle_bytes(broker.now, &broker.hub, &mut self.batch, &bytes)
            .unwrap();
        let _ = self.connection.poll_event();
        assert_eq!(taken, bytes.len());
    }

    /// What has come, each packet in a few words.
    pub(crate) fn receive(&mut self, broker: &Broker) -> Vec<String> {
        let mut out = Transmit::default();
        loop {
            let more = self
                .connection
                .poll_transmit(broker.now, &broker.hub, &mut self.batch, &mut out)
                .unwrap();
            self.batch.wake_all();
            if !self.bell.0.swap(false, Ordering::Relaxed) && !more {
                break;
            }
        }
        let bytes: Vec<u8> = out.pieces().flatten().copied().collect();
        let mut rest = bytes.as_slice();
        let mut packets = Vec::new();
        while !rest.is_empty() {
            let (packet, length) = decode(rest, self.version, u32::MAX).unwrap();
            packets.push(words(&packet));
            rest = &rest[length..];
        }
        packets
    }

    pub(crate) fn exchange(&mut self, broker: &Broker, packet: &Packet<'_>) -> Vec<String> {
        self.send(broker, packet);
        self.receive(broker)
    }

    pub(crate) fn subscribe(&mut self, broker: &Broker, filter: &str, qos: QoS) {
        let list = [Subscription {
            filter,
            options: SubscriptionOptions {
                qos,
                ..SubscriptionOptions::default()
            },
        }];
        let received = self.exchange(
            broker,
            &Packet::Subscribe(Subscribe::new(id(1), Properties::EMPTY, &list)),
        );
        assert_eq!(received.first().map(String::as_str), Some("SUBACK"));
    }

    pub(crate) fn publish(
        &mut self,
        broker: &Broker,
        topic: &str,
        qos: QoS,
        number: u16,
        payload: &str,
        marks: &str,
    ) -> Vec<String> {
        self.exchange(
            broker,
            &Packet::Publish(Publish {
                dup: marks == "dup",
                qos,
                retain: marks == "retain",
                topic,
                packet_id: PacketId::new(number),
                properties: Properties::EMPTY,
                payload: payload.as_bytes(),
            }),
        )
    }

    pub(crate) fn lose(mut self, broker: &Broker) {
        self.connection.handle_closed(
            broker.now,
            &broker.hub,
            &mut self.batch,
            CloseReason::PeerClosed,
        );
    }
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

pub(crate) fn words(packet: &Packet<'_>) -> String {
    match packet {
        Packet::ConnAck(connack) => format!(
            "CONNACK {}",
            if connack.session_present {
                "present"
            } else {
                "new"
            }
        ),
        Packet::SubAck(_) => "SUBACK".into(),
        Packet::UnsubAck(_) => "UNSUBACK".into(),
        Packet::Publish(publish) => format!(
            "PUBLISH {}={} q{} {}{}",
            publish.topic,
            core::str::from_utf8(publish.payload).unwrap(),
            publish.qos.bits(),
            publish
                .packet_id
                .map_or_else(|| "-".into(), |id| id.to_string()),
            if publish.dup { " dup" } else { "" },
        ),
        Packet::PubAck(ack) => format!("PUBACK {}", ack.packet_id),
        Packet::PubRec(ack) => format!("PUBREC {}", ack.packet_id),
        Packet::PubRel(ack) => format!("PUBREL {}", ack.packet_id),
        Packet::PubComp(ack) => format!("PUBCOMP {}", ack.packet_id),
        other => panic!("unexpected {other:?}"),
    }
}

/// The Packet Identifier at the end of a PUBLISH in words.
pub(crate) fn packet_id(words: &str) -> PacketId {
    let number = words.split(' ').nth(3).and_then(|text| text.parse().ok());
    id(number.unwrap_or_else(|| panic!("no identifier in {words:?}")))
}

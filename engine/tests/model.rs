//! A session against a simple model of it, over random operations.
//!
//! The model is a queue of what waits and a list of what is in flight, of which a window of four (or
//! less, as the client says when it connects) may be sent. After each step what came must be exactly what the model says: the order, the Packet
//! Identifiers, DUP. Beside it stands a receiver that knows nothing of the model and keeps to the
//! standard: for it each message of QoS 2 comes once, each of QoS 1 at least once. That the journal
//! tells the live state is held against it after each step by the harness. MQTT 5 sections 3.3.1.1,
//! 4.3, 4.4, 4.6, 4.9; MQTT 3.1.1 the same. Expiry, gates and shares stand elsewhere.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::collections::{BTreeMap, VecDeque};

use dunlin_codec::{PacketType, Property, QoS, Version};
use dunlin_engine::drops::DropReason;
use dunlin_engine::limits::Limits;
use proptest::prelude::*;

use support::{Broker, Client, Opening, packet_id};

use PacketType::{PubAck, PubComp, PubRec, PubRel};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const WINDOW: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Publish(QoS),
    /// PUBACK or PUBREC for the oldest message that wants one.
    Acknowledge,
    /// The same for the oldest that the client has from before and isn't sent again yet.
    AcknowledgeEarly,
    /// PUBCOMP for the oldest message that wants one.
    Complete,
    DropLink,
    /// With this Receive Maximum. If there is a connection, it's taken over.
    Connect(u16),
    Restart,
}

/// A message on its way; its payload is its number.
#[derive(Clone, Copy, Debug)]
struct Message {
    number: u32,
    qos: QoS,
}

#[derive(Debug)]
struct InFlight {
    message: Message,
    /// Known once it was sent.
    packet_id: Option<u16>,
    /// PUBREC came.
    is_received: bool,
    /// PUBLISH or PUBREL was sent on this connection.
    is_sent: bool,
    /// The PUBLISH was, and so takes a place in the window.
    is_outstanding: bool,
}

impl InFlight {
    const fn new(message: Message) -> Self {
        Self {
            message,
            packet_id: None,
            is_received: false,
            is_sent: false,
            is_outstanding: false,
        }
    }
}

/// A packet that must come. A message that is sent for the first time has any free identifier.
#[derive(Debug)]
enum Expected {
    Publish {
        message: Message,
        packet_id: Option<u16>,
        dup: bool,
    },
    PubRel(u16),
}

/// What the session must be.
#[derive(Debug, Default)]
struct Model {
    pending: VecDeque<Message>,
    in_flight: Vec<InFlight>,
    /// Receive Maximum of the connection, if there is one.
    window: Option<usize>,
    /// Messages of QoS 0 that no connection took, since the process began.
    offline: u64,
}

impl Model {
    fn publish(&mut self, message: Message) {
        if message.qos == AtMostOnce && self.window.is_none() {
            self.offline += 1;
        } else {
            self.pending.push_back(message);
        }
    }

    fn drop_link(&mut self) {
        let waited = self.pending.len();
        self.pending.retain(|message| message.qos > AtMostOnce);
        self.offline += u64::try_from(waited - self.pending.len()).unwrap();
        self.window = None;
    }

    fn connect(&mut self, window: usize) {
        self.window = Some(window);
        for one in &mut self.in_flight {
            one.is_sent = false;
            one.is_outstanding = false;
        }
    }

    /// What may have been sent counts as sent: a window of messages.
    fn restart(&mut self) {
        self.drop_link();
        self.offline = 0;
        let sent = |one: &&InFlight| !one.is_received;
        while self.in_flight.iter().filter(sent).count() < WINDOW
            && let Some(message) = self.pending.pop_front()
        {
            self.in_flight.push(InFlight::new(message));
        }
    }

    /// What is sent now.
    fn send(&mut self) -> Vec<Expected> {
        let mut expected = Vec::new();
        let is_outstanding = |one: &&InFlight| one.is_outstanding;
        let outstanding = self.in_flight.iter().filter(is_outstanding).count();
        let mut window = self.window.unwrap() - outstanding;
        // First what was in flight, in its order.
        for one in self.in_flight.iter_mut().filter(|one| !one.is_sent) {
            if one.is_received {
                expected.push(Expected::PubRel(one.packet_id.unwrap()));
            } else if window > 0 {
                window -= 1;
                one.is_outstanding = true;
                expected.push(Expected::Publish {
                    message: one.message,
                    packet_id: one.packet_id,
                    dup: true,
                });
            } else {
                break;
            }
            one.is_sent = true;
        }
        let is_resending = self.in_flight.iter().any(|one| !one.is_sent);
        while let Some(message) = self.pending.front().copied() {
            if message.qos > AtMostOnce {
                if is_resending || window == 0 {
                    break;
                }
                window -= 1;
                self.in_flight.push(InFlight {
                    is_sent: true,
                    is_outstanding: true,
                    ..InFlight::new(message)
                });
            }
            self.pending.pop_front();
            expected.push(Expected::Publish {
                message,
                packet_id: None,
                dup: false,
            });
        }
        expected
    }
}

/// What a client that keeps to the standard makes of what comes.
#[derive(Debug, Default)]
struct Receiver {
    /// Received at QoS 2 and not released, by identifier.
    held: BTreeMap<u16, u32>,
    arrived: Vec<Message>,
}

struct World {
    broker: Broker,
    version: Version,
    client: Option<Client>,
    publisher: Option<Client>,
    publisher_is_kept: bool,
    model: Model,
    receiver: Receiver,
    published: Vec<Message>,
}

impl World {
    fn new(version: Version, publisher_is_kept: bool) -> Self {
        let broker = Broker::with(Limits {
            inflight: u16::try_from(WINDOW).unwrap(),
            ..Limits::default()
        });
        let mut world = Self {
            broker,
            version,
            client: None,
            publisher: None,
            publisher_is_kept,
            model: Model::default(),
            receiver: Receiver::default(),
            published: Vec::new(),
        };
        world.connect(4);
        let client = world.client.as_mut().unwrap();
        client.subscribe(&world.broker, "t", ExactlyOnce);
        world
    }

    fn play(&mut self, operation: Operation) {
        match operation {
            Operation::Publish(qos) => self.publish(qos),
            Operation::Acknowledge => {
                self.acknowledge(|one| one.is_sent);
            }
            Operation::AcknowledgeEarly => {
                self.acknowledge(|one| !one.is_sent && one.packet_id.is_some());
            }
            Operation::Complete => {
                self.complete();
            }
            Operation::DropLink => {
                if let Some(client) = self.client.take() {
                    client.lose(&self.broker);
                    self.model.drop_link();
                }
            }
            Operation::Connect(window) => self.connect(window),
            Operation::Restart => {
                (self.client, self.publisher) = (None, None);
                self.broker.restart();
                self.model.restart();
            }
        }
        let dropped: Vec<(DropReason, u64)> = [(DropReason::Offline, self.model.offline)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(self.broker.drops(), dropped);
    }

    fn publish(&mut self, qos: QoS) {
        let number = u32::try_from(self.published.len()).unwrap();
        let message = Message { number, qos };
        let broker = &self.broker;
        let expiry_s = if self.publisher_is_kept { 1000 } else { 0 };
        let publisher = self
            .publisher
            .get_or_insert_with(|| Opening::v5("p").kept(expiry_s).client(broker));
        let packet_id = u16::from(qos.bits());
        let payload = number.to_string();
        let received = publisher.publish(broker, "t", qos, packet_id, &payload, "");
        let expected: &[&str] = match qos {
            AtMostOnce => &[],
            AtLeastOnce => &["PUBACK 1"],
            ExactlyOnce => &["PUBREC 2"],
        };
        assert_eq!(received, expected);
        if qos == ExactlyOnce {
            assert_eq!(publisher.ack(broker, PubRel, packet_id), ["PUBCOMP 2"]);
        }
        self.published.push(message);
        self.model.publish(message);
        if let Some(client) = &mut self.client {
            let received = client.receive(&self.broker);
            self.compare(&received, Vec::new());
        }
    }

    fn connect(&mut self, window: u16) {
        let is_first = self.published.is_empty() && self.broker.hub.figures().sessions == 0;
        let (client, mut received) = Opening::new(self.version, "s")
            .kept(1000)
            .with(Property::ReceiveMaximum(window))
            .open(&self.broker);
        let connack = received.remove(0);
        let known = if is_first { "new" } else { "present" };
        assert_eq!(connack, format!("CONNACK {known}"));
        self.client = Some(client);
        // Before MQTT 5 a client can't say what it takes.
        self.model.connect(match self.version {
            Version::V5 => usize::from(window),
            _ => WINDOW,
        });
        self.compare(&received, Vec::new());
    }

    /// False when nothing of these wants to be acknowledged.
    fn acknowledge(&mut self, which: impl Fn(&InFlight) -> bool) -> bool {
        let Some(client) = &mut self.client else {
            return false;
        };
        let wants = |one: &InFlight| !one.is_received && which(one);
        let Some(at) = self.model.in_flight.iter().position(wants) else {
            return false;
        };
        let packet_id = self.model.in_flight[at].packet_id.unwrap();
        if self.model.in_flight[at].message.qos == AtLeastOnce {
            let received = client.ack(&self.broker, PubAck, packet_id);
            self.model.in_flight.remove(at);
            self.compare(&received, Vec::new());
        } else {
            let received = client.ack(&self.broker, PubRec, packet_id);
            let one = &mut self.model.in_flight[at];
            (one.is_received, one.is_sent) = (true, true);
            self.compare(&received, vec![Expected::PubRel(packet_id)]);
        }
        true
    }

    /// False when nothing wants to be completed.
    fn complete(&mut self) -> bool {
        let Some(client) = &mut self.client else {
            return false;
        };
        let wants = |one: &InFlight| one.is_sent && one.is_received;
        let Some(at) = self.model.in_flight.iter().position(wants) else {
            return false;
        };
        let packet_id = self.model.in_flight[at].packet_id.unwrap();
        let received = client.ack(&self.broker, PubComp, packet_id);
        self.model.in_flight.remove(at);
        self.compare(&received, Vec::new());
        true
    }

    /// Holds what came against the answers that are due and what the model sends.
    fn compare(&mut self, received: &[String], mut expected: Vec<Expected>) {
        expected.extend(self.model.send());
        assert_eq!(received.len(), expected.len(), "{received:?} {expected:?}");
        for (words, expected) in received.iter().zip(expected) {
            match expected {
                Expected::PubRel(packet_id) => {
                    assert_eq!(*words, format!("PUBREL {packet_id}"));
                    // The receiver may forget the identifier now.
                    self.receiver.held.remove(&packet_id);
                }
                Expected::Publish {
                    message,
                    packet_id,
                    dup,
                } => self.compare_publish(words, message, packet_id, dup),
            }
        }
    }

    fn compare_publish(&mut self, words: &str, message: Message, known: Option<u16>, dup: bool) {
        let Message { number, qos } = message;
        if qos == AtMostOnce {
            assert_eq!(words, format!("PUBLISH t={number} q0 -"));
            self.receiver.arrived.push(message);
            return;
        }
        let used = packet_id(words).get();
        let mark = if dup { " dup" } else { "" };
        assert_eq!(
            words,
            format!("PUBLISH t={number} q{} {used}{mark}", qos.bits())
        );
        match known {
            Some(known) => assert_eq!(used, known, "another identifier for {number}"),
            None => {
                // [MQTT-2.2.1-4]
                let in_flight = &mut self.model.in_flight;
                assert!(in_flight.iter().all(|one| one.packet_id != Some(used)));
                let sent = in_flight.iter_mut();
                let sent = sent.filter(|one| one.message.number == number);
                sent.for_each(|one| one.packet_id = Some(used));
            }
        }
        if qos == AtLeastOnce {
            self.receiver.arrived.push(message);
        } else if let Some(held) = self.receiver.held.insert(used, number) {
            assert_eq!(held, number, "one identifier for two messages");
        } else {
            self.receiver.arrived.push(message);
        }
    }

    /// Lets everything come to its end, then looks whether all of it arrived.
    fn finish(&mut self) {
        if self.client.is_none() {
            self.connect(1);
        }
        while self.acknowledge(|one| one.is_sent) || self.complete() {}
        assert!(self.model.in_flight.is_empty() && self.model.pending.is_empty());
        self.play(Operation::Restart);
        self.connect(4);
        for qos in [AtMostOnce, AtLeastOnce, ExactlyOnce] {
            let numbers = |messages: &[Message]| -> Vec<u32> {
                let of_qos = messages.iter().filter(|message| message.qos == qos);
                of_qos.map(|message| message.number).collect()
            };
            let published = numbers(&self.published);
            let mut arrived = numbers(&self.receiver.arrived);
            match qos {
                AtMostOnce => {
                    arrived.dedup();
                    assert_eq!(arrived, numbers(&self.receiver.arrived), "doubled");
                    assert!(arrived.is_sorted());
                    assert!(arrived.iter().all(|number| published.contains(number)));
                }
                // [MQTT-4.6.0-6] First arrivals are in order; repetitions may follow.
                AtLeastOnce => {
                    let mut seen = 0;
                    arrived.retain(|number| {
                        let is_new = seen <= *number;
                        seen = seen.max(*number + 1);
                        is_new
                    });
                    assert_eq!(arrived, published);
                }
                ExactlyOnce => assert_eq!(arrived, published),
            }
        }
    }
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        2 => Just(Operation::Publish(AtMostOnce)),
        5 => Just(Operation::Publish(AtLeastOnce)),
        5 => Just(Operation::Publish(ExactlyOnce)),
        6 => Just(Operation::Acknowledge),
        1 => Just(Operation::AcknowledgeEarly),
        3 => Just(Operation::Complete),
        1 => Just(Operation::DropLink),
        1 => Just(Operation::Connect(4)),
        1 => (1..=4u16).prop_map(Operation::Connect),
        1 => Just(Operation::Restart),
    ];
    prop::collection::vec(operation, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_session_is_a_queue_and_a_list_of_what_is_in_flight(
        operations in operations(),
        is_v5: bool,
        publisher_is_kept: bool,
    ) {
        let version = if is_v5 { Version::V5 } else { Version::V4 };
        let mut world = World::new(version, publisher_is_kept);
        for operation in operations {
            world.play(operation);
        }
        world.finish();
    }
}

//! A client that keeps the rules, remembers its session, and fails the test when the broker breaks
//! a rule that one client can see: identifiers in use, Receive Maximum, DUP, unknown
//! acknowledgements.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_codec::{
    Ack, Connect, Disconnect, Packet, PacketId, Properties, Property, Publish, QoS, ReasonCode,
    Subscribe, Subscription, SubscriptionOptions, Unsubscribe, Version, Will,
};
use dunlin_engine::connection::CloseReason;
use dunlin_engine::hub::Hub;
use dunlin_engine::time::Now;

use super::Link;

/// How a client behaves as long as it lives.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// Session Expiry Interval in seconds; before MQTT 5 0 means a clean session.
    pub(crate) expiry_s: u32,
    pub(crate) receive_maximum: u16,
    /// Topic of a Will at QoS 1.
    pub(crate) will: Option<&'static str>,
}

impl Plan {
    /// A client of MQTT 5 whose session is kept.
    pub(crate) fn persistent(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: Version::V5,
            expiry_s: u32::MAX,
            receive_maximum: 100,
            will: None,
        }
    }
}

/// A message as the application got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: QoS,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    /// Of the client's sessions, in which it came.
    pub(crate) session: usize,
    pub(crate) connection: usize,
}

/// A message that the application published.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// PUBACK or PUBREC came: the broker answers for it.
    pub(crate) acknowledged: bool,
    /// It was refused.
    pub(crate) refused: bool,
}

#[derive(Clone, Debug)]
struct Outgoing {
    packet_id: PacketId,
    /// Which of the messages sent.
    sent: usize,
    /// PUBREC came.
    received: bool,
}

/// An answer that the client owes: PUBACK, PUBREC, PUBCOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    Ack(PacketId),
    Rec(PacketId),
    Comp(PacketId),
}

pub(crate) struct Client {
    pub(crate) plan: Plan,
    link: Option<Link>,
    /// CONNACK came.
    pub(crate) open: bool,
    // What lasts as long as the session.
    outgoing: Vec<Outgoing>,
    /// QoS 2 messages taken and not released.
    incoming: BTreeMap<PacketId, String>,
    /// Filters whose SUBACK came.
    pub(crate) subscribed: BTreeSet<String>,
    subscribing: Vec<(PacketId, String, bool)>,
    /// The number of the session, and of the connection.
    pub(crate) session: usize,
    pub(crate) connection: usize,
    // What lasts as long as the connection.
    unacknowledged: BTreeMap<PacketId, String>,
    session_was_present: bool,
    /// It asked for a new session and has no answer.
    is_fresh: bool,
    pub(crate) owed: Vec<Owed>,
    // The history.
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) closed: Option<CloseReason>,
}

impl Client {
    pub(crate) const fn new(plan: Plan) -> Self {
        Self {
            plan,
            link: None,
            open: false,
            outgoing: Vec::new(),
            incoming: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            subscribing: Vec::new(),
            session: 0,
            connection: 0,
            unacknowledged: BTreeMap::new(),
            session_was_present: false,
            is_fresh: false,
            owed: Vec::new(),
            arrivals: Vec::new(),
            sent: Vec::new(),
            closed: None,
        }
    }

    pub(crate) const fn link(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }

    pub(crate) const fn has_link(&self) -> bool {
        self.link.is_some()
    }

    /// Messages that wait for an acknowledgement of the broker.
    pub(crate) const fn in_flight(&self) -> usize {
        self.outgoing.len()
    }

    pub(crate) const fn is_persistent(&self) -> bool {
        self.plan.expiry_s > 0
    }

    /// Opens a link and sends CONNECT.
    pub(crate) fn connect(&mut self, now: Now, hub: &Hub, clean_start: bool) {
        self.forget_connection();
        self.connection += 1;
        // Who has forgotten its session asks for a new one until it's answered.
        let clean_start = clean_start || self.is_fresh;
        if clean_start && !self.is_fresh {
            self.is_fresh = true;
            self.begin_session();
        }
        let mut link = Link::open(now, hub, self.plan.version);
        let list = [
            Property::SessionExpiryInterval(self.plan.expiry_s),
            Property::ReceiveMaximum(self.plan.receive_maximum),
        ];
        let v5 = self.plan.version.is_v5();
        let payload = format!("{}#0", self.plan.name);
        link.send(&Packet::Connect(Connect {
            version: self.plan.version,
            clean_start: clean_start || (!v5 && !self.is_persistent()),
            keep_alive_s: 0,
            client_id: &self.plan.name,
            will: self.plan.will.map(|topic| Will {
                topic,
                payload: payload.as_bytes(),
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: Properties::EMPTY,
            }),
            user_name: None,
            password: None,
            properties: if v5 {
                Properties::from_list(&list)
            } else {
                Properties::EMPTY
            },
        }));
        self.link = Some(link);
    }

    fn begin_session(&mut self) {
        self.session += 1;
        self.outgoing.clear();
        self.incoming.clear();
        self.subscribed.clear();
    }

    fn forget_connection(&mut self) {
        self.open = false;
        self.unacknowledged.clear();
        self.owed.clear();
        self.subscribing.clear();
        self.link = None;
    }

    /// The wire is cut.
    pub(crate) fn cut(&mut self, now: Now, hub: &Hub) {
        if let Some(link) = self.link.take() {
            link.cut(now, hub);
        }
        self.forget_connection();
    }

    /// The broker is gone.
    pub(crate) fn abandon(&mut self) {
        self.forget_connection();
    }

    /// Sends DISCONNECT and closes when the broker has it.
    pub(crate) fn disconnect(&mut self, now: Now, hub: &Hub) {
        if let Some(link) = &mut self.link {
            link.send(&Packet::Disconnect(Disconnect {
                reason_code: ReasonCode::Success,
                properties: Properties::EMPTY,
            }));
            link.turn(now, hub, usize::MAX);
        }
        self.cut(now, hub);
    }

    fn free_id(&self) -> PacketId {
        (1..=u16::MAX)
            .filter_map(PacketId::new)
            .find(|id| {
                self.outgoing.iter().all(|other| other.packet_id != *id)
                    && self.subscribing.iter().all(|(other, _, _)| other != id)
            })
            .expect("a free identifier")
    }

    pub(crate) fn subscribe(&mut self, filter: &str, options: SubscriptionOptions) {
        let packet_id = self.free_id();
        let list = [Subscription { filter, options }];
        let link = self.link.as_mut().expect("a link");
        let subscribe = Subscribe::new(packet_id, Properties::EMPTY, &list);
        link.send(&Packet::Subscribe(subscribe));
        self.subscribing.push((packet_id, filter.to_owned(), true));
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) {
        let packet_id = self.free_id();
        let list = [filter];
        let link = self.link.as_mut().expect("a link");
        let unsubscribe = Unsubscribe::new(packet_id, Properties::EMPTY, &list);
        link.send(&Packet::Unsubscribe(unsubscribe));
        self.subscribed.remove(filter);
        self.subscribing.push((packet_id, filter.to_owned(), false));
    }

    /// Publishes the client's next message; gives its place in `sent`.
    pub(crate) fn publish(&mut self, topic: &str, qos: QoS, retain: bool) -> usize {
        let number = self.sent.len() + 1;
        let sent = Sent {
            topic: topic.to_owned(),
            payload: format!("{}#{number}", self.plan.name),
            qos,
            retain,
            acknowledged: false,
            refused: false,
        };
        let packet_id = (qos > QoS::AtMostOnce).then(|| self.free_id());
        send_publish(self.link.as_mut().expect("a link"), &sent, packet_id, false);
        self.sent.push(sent);
        if let Some(packet_id) = packet_id {
            self.outgoing.push(Outgoing {
                packet_id,
                sent: self.sent.len() - 1,
                received: false,
            });
        }
        self.sent.len() - 1
    }

    /// The broker's task runs with all that was sent; the client takes all that comes.
    pub(crate) fn exchange(&mut self, now: Now, hub: &Hub) {
        self.push(now, hub, usize::MAX);
        self.pull(usize::MAX);
    }

    /// Up to `count` bytes reach the broker, and its task runs.
    pub(crate) fn push(&mut self, now: Now, hub: &Hub, count: usize) {
        if let Some(link) = &mut self.link {
            link.turn(now, hub, count);
        }
    }

    /// Up to `count` bytes reach the client.
    pub(crate) fn pull(&mut self, count: usize) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        link.arrive(count);
        let mut answers = Vec::new();
        link.for_each_packet(|packet| self.on_packet(&packet, &mut answers));
        for answer in answers {
            match answer {
                Answer::PubRel(packet_id) => link.send(&Packet::PubRel(Ack::new(packet_id))),
                Answer::Resend => self.resend(&mut link),
            }
        }
        if link.closed.is_some() && !link.is_busy() {
            self.closed = link.closed;
            self.forget_connection();
        } else {
            self.link = Some(link);
        }
    }

    /// Gives the answer at place `at` of those owed.
    pub(crate) fn answer(&mut self, at: usize) {
        let owed = self.owed.remove(at);
        let link = self.link.as_mut().expect("a link");
        match owed {
            Owed::Ack(packet_id) => {
                self.unacknowledged.remove(&packet_id);
                link.send(&Packet::PubAck(Ack::new(packet_id)));
            }
            Owed::Rec(packet_id) => link.send(&Packet::PubRec(Ack::new(packet_id))),
            Owed::Comp(packet_id) => {
                self.unacknowledged.remove(&packet_id);
                link.send(&Packet::PubComp(Ack::new(packet_id)));
            }
        }
    }

    pub(crate) fn answer_all(&mut self) {
        while !self.owed.is_empty() {
            self.answer(0);
        }
    }

    fn on_packet(&mut self, packet: &Packet<'_>, answers: &mut Vec<Answer>) {
        match packet {
            Packet::ConnAck(connack) => {
                assert_eq!(connack.reason_code, ReasonCode::Success);
                self.open = true;
                self.session_was_present = connack.session_present;
                assert!(!(self.is_fresh && connack.session_present));
                // A session whose CONNACK was lost may be there.
                if !self.is_fresh && (!connack.session_present || self.session == 0) {
                    self.begin_session();
                }
                self.is_fresh = false;
                answers.push(Answer::Resend);
            }
            _ if !self.open => panic!("{packet:?} before CONNACK"),
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::PubRel(ack) => {
                self.incoming.remove(&ack.packet_id);
                self.owed.push(Owed::Comp(ack.packet_id));
            }
            Packet::PubAck(ack) => self.on_acknowledged(ack, QoS::AtLeastOnce, answers),
            Packet::PubRec(ack) => self.on_acknowledged(ack, QoS::ExactlyOnce, answers),
            Packet::PubComp(ack) => {
                let at = self.outgoing_at(ack.packet_id);
                let outgoing = self.outgoing.remove(at);
                assert!(outgoing.received, "PUBCOMP before PUBREC");
            }
            Packet::SubAck(suback) => {
                assert!(suback.reason_codes.iter().all(|code| *code < 0x80));
                self.on_subscribed(suback.packet_id, true);
            }
            Packet::UnsubAck(unsuback) => self.on_subscribed(unsuback.packet_id, false),
            Packet::Disconnect(_) => {}
            other => panic!("{}: unexpected {other:?}", self.plan.name),
        }
    }

    fn on_subscribed(&mut self, packet_id: PacketId, subscribe: bool) {
        let at = self
            .subscribing
            .iter()
            .position(|(id, _, wanted)| *id == packet_id && *wanted == subscribe)
            .expect("an acknowledgement of a request");
        let (_, filter, _) = self.subscribing.remove(at);
        if subscribe {
            self.subscribed.insert(filter);
        }
    }

    fn on_publish(&mut self, publish: &Publish<'_>) {
        let name = &self.plan.name;
        let payload = String::from_utf8(publish.payload.to_vec()).expect("text");
        let arrival = Arrival {
            topic: publish.topic.to_owned(),
            payload: payload.clone(),
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            session: self.session,
            connection: self.connection,
        };
        let Some(packet_id) = publish.packet_id else {
            assert!(!publish.dup, "{name}: DUP at QoS 0");
            self.arrivals.push(arrival);
            return;
        };
        assert!(
            !publish.dup || self.session_was_present,
            "{name}: DUP in a session that is new: {payload}"
        );
        if let Some(other) = self.unacknowledged.insert(packet_id, payload.clone()) {
            panic!("{name}: identifier {packet_id} of {other} used again for {payload}");
        }
        assert!(
            self.unacknowledged.len() <= usize::from(self.plan.receive_maximum),
            "{name}: more than Receive Maximum"
        );
        if publish.qos == QoS::AtLeastOnce {
            assert!(
                !self.incoming.contains_key(&packet_id),
                "{name}: identifier {packet_id} is in use at QoS 2"
            );
            self.owed.push(Owed::Ack(packet_id));
            self.arrivals.push(arrival);
            return;
        }
        self.owed.push(Owed::Rec(packet_id));
        match self.incoming.insert(packet_id, payload.clone()) {
            Some(known) => {
                assert_eq!(known, payload, "{name}: identifier {packet_id} used again");
                assert!(publish.dup, "{name}: {payload} again without DUP");
            }
            None => self.arrivals.push(arrival),
        }
    }

    fn on_acknowledged(&mut self, ack: &Ack<'_>, qos: QoS, answers: &mut Vec<Answer>) {
        let at = self.outgoing_at(ack.packet_id);
        let outgoing = &mut self.outgoing[at];
        let sent = &mut self.sent[outgoing.sent];
        assert_eq!(sent.qos, qos, "the wrong acknowledgement");
        let refused = ack.reason_code.is_failure();
        (sent.acknowledged, sent.refused) = (!refused, refused);
        if refused || qos == QoS::AtLeastOnce {
            self.outgoing.remove(at);
        } else {
            outgoing.received = true;
            answers.push(Answer::PubRel(ack.packet_id));
        }
    }

    fn outgoing_at(&self, packet_id: PacketId) -> usize {
        self.outgoing
            .iter()
            .position(|outgoing| outgoing.packet_id == packet_id)
            .unwrap_or_else(|| panic!("{}: {packet_id} isn't in use", self.plan.name))
    }

    /// [MQTT-4.4.0-1]
    fn resend(&self, link: &mut Link) {
        for outgoing in &self.outgoing {
            if outgoing.received {
                link.send(&Packet::PubRel(Ack::new(outgoing.packet_id)));
            } else {
                let sent = &self.sent[outgoing.sent];
                send_publish(link, sent, Some(outgoing.packet_id), true);
            }
        }
    }

    /// What arrived, in order.
    pub(crate) fn payloads(&self) -> Vec<&str> {
        self.arrivals
            .iter()
            .map(|arrival| arrival.payload.as_str())
            .collect()
    }
}

/// What the client says at once.
enum Answer {
    PubRel(PacketId),
    Resend,
}

fn send_publish(link: &mut Link, sent: &Sent, packet_id: Option<PacketId>, dup: bool) {
    link.send(&Packet::Publish(Publish {
        dup,
        qos: sent.qos,
        retain: sent.retain,
        topic: &sent.topic,
        packet_id,
        properties: Properties::EMPTY,
        payload: sent.payload.as_bytes(),
    }));
}

/// Subscription options with nothing but a QoS.
pub(crate) fn at_qos(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        ..SubscriptionOptions::default()
    }
}

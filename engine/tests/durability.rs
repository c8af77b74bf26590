//! What is written to the journal, and what waits for it, for every combination of publisher,
//! subscriber, QoS and RETAIN.
//!
//! The rules stand here as data, in the order in which they are read; the tests play every
//! combination against a journal that becomes durable only when the test says so.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use dunlin_codec::{Ack, Packet, Properties, QoS, Unsubscribe, Version};

use support::{Broker, Client, connect, id, packet_id};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscriber {
    None,
    /// Its session ends with its connection.
    Transient,
    /// Its session is durable.
    Durable,
    /// The same, without a connection.
    DurableOffline,
}

/// One combination.
#[derive(Clone, Copy, Debug)]
struct Case {
    durable_publisher: bool,
    qos: QoS,
    subscriber: Subscriber,
    granted: QoS,
    retain: bool,
}

impl Case {
    fn delivered_at(self) -> QoS {
        self.qos.min(self.granted)
    }

    fn has_durable_receiver(self) -> bool {
        matches!(
            self.subscriber,
            Subscriber::Durable | Subscriber::DurableOffline
        ) && self.delivered_at() > QoS::AtMostOnce
    }
}

/// When a rule holds.
type When = fn(Case) -> bool;

/// A message is written when one of these holds, else not.
const WRITTEN: &[(&str, When)] = &[
    ("a durable session receives it", Case::has_durable_receiver),
    ("a durable session publishes it at QoS 2", |case| {
        case.durable_publisher && case.qos == QoS::ExactlyOnce
    }),
    ("RETAIN is set", |case| case.retain),
];

/// A delivery waits when one of these holds, else it leaves at once.
const DELIVERY_WAITS: &[(&str, When)] = &[
    ("it came at QoS 2 from a durable session", |case| {
        case.durable_publisher && case.qos == QoS::ExactlyOnce
    }),
    ("it goes at QoS 2 to a durable session", |case| {
        case.subscriber == Subscriber::Durable && case.delivered_at() == QoS::ExactlyOnce
    }),
];

fn holds(rules: &[(&str, When)], case: Case) -> bool {
    rules.iter().any(|(_, when)| when(case))
}

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const SUBSCRIBERS: [Subscriber; 4] = [
    Subscriber::None,
    Subscriber::Transient,
    Subscriber::Durable,
    Subscriber::DurableOffline,
];
const EXPIRY_S: u32 = 1000;

fn cases() -> impl Iterator<Item = Case> {
    let rest = move |durable_publisher, qos, subscriber| {
        QOS.into_iter().flat_map(move |granted| {
            [false, true].map(|retain| Case {
                durable_publisher,
                qos,
                subscriber,
                granted,
                retain,
            })
        })
    };
    [false, true].into_iter().flat_map(move |durable| {
        QOS.into_iter().flat_map(move |qos| {
            SUBSCRIBERS
                .into_iter()
                .flat_map(move |one| rest(durable, qos, one))
        })
    })
}

/// A broker with the case's publisher and subscriber, everything so far durable.
fn stage(case: Case) -> (Broker, Client, Option<Client>) {
    let broker = Broker::with_slow_disk();
    let subscriber = (case.subscriber != Subscriber::None).then(|| {
        let expiry_s = if case.subscriber == Subscriber::Transient {
            0
        } else {
            EXPIRY_S
        };
        let (mut subscriber, _) = connect(&broker, Version::V5, "sub", expiry_s, None);
        broker.log.make_durable();
        subscriber.receive(&broker);
        let list = [dunlin_codec::Subscription {
            filter: "a",
            options: dunlin_codec::SubscriptionOptions {
                qos: case.granted,
                ..Default::default()
            },
        }];
        let subscribe = dunlin_codec::Subscribe::new(id(1), Properties::EMPTY, &list);
        subscriber.send(&broker, &Packet::Subscribe(subscribe));
        broker.log.make_durable();
        assert_eq!(subscriber.receive(&broker).len(), 1);
        subscriber
    });
    let subscriber = match (case.subscriber, subscriber) {
        (Subscriber::DurableOffline, Some(subscriber)) => {
            subscriber.lose(&broker);
            None
        }
        (_, subscriber) => subscriber,
    };
    let expiry_s = if case.durable_publisher { EXPIRY_S } else { 0 };
    let (mut publisher, _) = connect(&broker, Version::V5, "pub", expiry_s, None);
    broker.log.make_durable();
    publisher.receive(&broker);
    (broker, publisher, subscriber)
}

#[test]
fn messages_are_written_and_waited_for_as_the_rules_say() {
    let mut played = 0;
    for case in cases() {
        let (broker, mut publisher, mut subscriber) = stage(case);
        let before = broker.log.frames().len();
        let number = if case.qos == QoS::AtMostOnce { 0 } else { 7 };
        let mark = if case.retain { "retain" } else { "" };
        let acknowledged = publisher.publish(&broker, "a", case.qos, number, "x", mark);
        let written = broker.log.frames().len() > before;
        assert_eq!(written, holds(WRITTEN, case), "written: {case:?}");
        // What promises that the message is safe waits for exactly what is written.
        let answers = usize::from(case.qos > QoS::AtMostOnce);
        assert_eq!(
            acknowledged.len(),
            if written { 0 } else { answers },
            "acknowledged: {case:?}"
        );
        let delivered = subscriber
            .as_mut()
            .map(|subscriber| subscriber.receive(&broker));
        if let Some(delivered) = &delivered {
            let waits = holds(DELIVERY_WAITS, case);
            assert_eq!(delivered.len(), usize::from(!waits), "delivered: {case:?}");
        }

        broker.log.make_durable();
        let later = publisher.receive(&broker);
        assert_eq!(
            acknowledged.len() + later.len(),
            answers,
            "acknowledged in the end: {case:?}"
        );
        if let (Some(subscriber), Some(delivered)) = (&mut subscriber, delivered) {
            let mut all = delivered;
            all.extend(subscriber.receive(&broker));
            let expected = format!("PUBLISH a=x q{}", case.delivered_at().bits());
            assert!(
                all.len() == 1 && all[0].starts_with(&expected),
                "delivered in the end: {case:?}: {all:?}"
            );
        }
        played += 1;
    }
    assert_eq!(played, 2 * 3 * 4 * 3 * 2);
}

#[test]
fn what_a_client_counts_on_is_acknowledged_when_it_is_durable() {
    for durable in [false, true] {
        let broker = Broker::with_slow_disk();
        let expiry_s = if durable { EXPIRY_S } else { 0 };
        let (mut client, received) = connect(&broker, Version::V5, "c", expiry_s, None);
        let connack = if durable { vec![] } else { vec!["CONNACK new"] };
        assert_eq!(received, connack);
        broker.log.make_durable();
        client.receive(&broker);

        let list = [dunlin_codec::Subscription {
            filter: "a",
            options: Default::default(),
        }];
        let subscribe = dunlin_codec::Subscribe::new(id(1), Properties::EMPTY, &list);
        let received = client.exchange(&broker, &Packet::Subscribe(subscribe));
        assert_eq!(received.is_empty(), durable, "SUBACK: {received:?}");
        broker.log.make_durable();
        client.receive(&broker);

        let unsubscribe = Unsubscribe::new(id(2), Properties::EMPTY, &["a"]);
        let received = client.exchange(&broker, &Packet::Unsubscribe(unsubscribe));
        assert_eq!(received.is_empty(), durable, "UNSUBACK: {received:?}");
        broker.log.make_durable();
        assert_eq!(client.receive(&broker).len(), usize::from(durable));
    }
}

#[test]
fn the_second_half_of_qos_2_waits_for_the_first() {
    for durable in [false, true] {
        let subscriber = if durable {
            Subscriber::Durable
        } else {
            Subscriber::Transient
        };
        let case = Case {
            durable_publisher: durable,
            qos: QoS::ExactlyOnce,
            subscriber,
            granted: QoS::ExactlyOnce,
            retain: false,
        };
        let (broker, mut publisher, receiver) = stage(case);
        let mut receiver = receiver.unwrap();
        publisher.publish(&broker, "a", QoS::ExactlyOnce, 7, "x", "");
        broker.log.make_durable();
        publisher.receive(&broker);
        let number = packet_id(&receiver.receive(&broker)[0]);

        let received = receiver.exchange(&broker, &Packet::PubRec(Ack::new(number)));
        assert_eq!(
            received.is_empty(),
            durable,
            "PUBREL waits for its PUBREC: {received:?}"
        );
        let received = publisher.exchange(&broker, &Packet::PubRel(Ack::new(id(7))));
        assert_eq!(
            received.is_empty(),
            durable,
            "PUBCOMP waits for its PUBREL: {received:?}"
        );
        broker.log.make_durable();
        assert_eq!(receiver.receive(&broker).len(), usize::from(durable));
        assert_eq!(publisher.receive(&broker).len(), usize::from(durable));
    }
}

#[test]
fn a_delivery_that_waits_is_passed_by_lower_qos_and_by_nothing_else() {
    let case = Case {
        durable_publisher: true,
        qos: QoS::ExactlyOnce,
        subscriber: Subscriber::Durable,
        granted: QoS::ExactlyOnce,
        retain: false,
    };
    let (broker, mut publisher, receiver) = stage(case);
    let mut receiver = receiver.unwrap();
    publisher.publish(&broker, "a", QoS::ExactlyOnce, 1, "first", "");
    publisher.publish(&broker, "a", QoS::AtLeastOnce, 2, "second", "");
    publisher.publish(&broker, "a", QoS::ExactlyOnce, 3, "third", "");
    publisher.publish(&broker, "a", QoS::AtMostOnce, 0, "fourth", "");
    let payloads = |received: Vec<String>| -> Vec<String> {
        received
            .iter()
            .filter_map(|words| Some(words.split(['=', ' ']).nth(2)?.to_owned()))
            .collect()
    };
    assert_eq!(payloads(receiver.receive(&broker)), ["second", "fourth"]);
    broker.log.make_durable();
    assert_eq!(payloads(receiver.receive(&broker)), ["first", "third"]);
}

#[test]
fn acknowledgements_of_one_type_keep_their_order() {
    let case = Case {
        durable_publisher: true,
        qos: QoS::AtLeastOnce,
        subscriber: Subscriber::DurableOffline,
        granted: QoS::AtLeastOnce,
        retain: false,
    };
    let (broker, mut publisher, _) = stage(case);
    assert!(
        publisher
            .publish(&broker, "a", QoS::AtLeastOnce, 1, "waits", "")
            .is_empty()
    );
    // Nobody receives this one, so it waits for nothing itself.
    assert!(
        publisher
            .publish(&broker, "b", QoS::AtLeastOnce, 2, "x", "")
            .is_empty()
    );
    broker.log.make_durable();
    assert_eq!(publisher.receive(&broker), ["PUBACK 1", "PUBACK 2 0x10"]);
}

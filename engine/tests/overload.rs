//! More than there is room for: full queues under each policy, the memory ceiling, a slow disk, and
//! clients that don't read.
//!
//! The other half of `limits.rs`. MQTT 5 sections 3.3.4, 4.9, 4.13; what is told in MQTT 5 and before,
//! what is counted as dropped, and that the others don't notice.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use dunlin_codec::{PacketType, Properties, Property, QoS, SubscriptionOptions, Version, Will};
use dunlin_engine::connection::CloseReason;
use dunlin_engine::drops::DropReason;
use dunlin_engine::limits::{DropPolicy, Limits};

use support::{Broker, Client, Opening, packet_id};

use DropPolicy::{Newest, Oldest, RefusePublisher};
use PacketType::{PubAck, PubRel};
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};

const NOTHING: [&str; 0] = [];
const VERSIONS: [Version; 2] = [Version::V4, Version::V5];
const QOS: [QoS; 3] = [AtMostOnce, AtLeastOnce, ExactlyOnce];

fn at(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions {
        qos,
        ..SubscriptionOptions::default()
    }
}

/// Queues of two messages or, by their bytes, of one.
fn bounds(drop_policy: DropPolicy) -> [(Limits, usize); 2] {
    let limits = Limits {
        drop_policy,
        queue_qos0: true,
        ..Limits::default()
    };
    [
        (
            Limits {
                queue_messages: 2,
                ..limits.clone()
            },
            2,
        ),
        (
            Limits {
                queue_bytes: 1500,
                ..limits
            },
            1,
        ),
    ]
}

/// A payload of a number and so much more that a queue of 1500 bytes takes one.
fn large(number: usize) -> String {
    format!("{number}-{}", "x".repeat(998))
}

/// The numbers of the messages that came.
fn numbers(received: &[String]) -> Vec<usize> {
    let number = |words: &String| words.split_once('=')?.1.split_once('-')?.0.parse().ok();
    received.iter().filter_map(number).collect()
}

/// A subscriber to `t` that keeps its session and is away.
fn absent(broker: &Broker, name: &str) {
    let mut client = Opening::v5(name).kept(1000).client(broker);
    client.subscribe(broker, "t", ExactlyOnce);
    client.lose(broker);
}

fn returning(broker: &Broker, name: &str) -> (Client, Vec<String>) {
    Opening::v5(name).kept(1000).open(broker)
}

/// Publishes one message; gives the answer, less the second half of QoS 2.
fn publish(broker: &Broker, publisher: &mut Client, qos: QoS, payload: &str) -> Vec<String> {
    let number = qos.bits().into();
    let received = publisher.publish(broker, "t", qos, number, payload, "");
    if received == ["PUBREC 2"] {
        publisher.ack(broker, PubRel, number);
    }
    received
}

/// The acknowledgement of a message that was taken.
fn taken(qos: QoS) -> &'static [&'static str] {
    match qos {
        AtMostOnce => &[],
        AtLeastOnce => &["PUBACK 1"],
        ExactlyOnce => &["PUBREC 2"],
    }
}

#[test]
fn a_full_queue_drops_by_its_policy_and_counts_each_drop_once() {
    for qos in QOS {
        for drop_policy in [Newest, Oldest] {
            for (limits, room) in bounds(drop_policy) {
                let mut broker = Broker::with(limits);
                absent(&broker, "s");
                let mut publisher = Opening::v5("p").kept(1000).client(&broker);
                for number in 0..5 {
                    let received = publish(&broker, &mut publisher, qos, &large(number));
                    assert_eq!(received, taken(qos), "the publisher is acknowledged");
                }
                let dropped = 5 - room;
                let count = u64::try_from(dropped).unwrap();
                assert_eq!(broker.drops(), [(DropReason::QueueFull, count)]);
                let samples = broker.hub.drops().samples();
                assert_eq!(samples.len(), dropped);
                assert!(
                    samples
                        .iter()
                        .all(|sample| sample.client_id.as_str() == "s")
                );
                if qos > AtMostOnce {
                    broker.restart();
                }
                let (_, received) = returning(&broker, "s");
                let expected: Vec<usize> = if drop_policy == Oldest {
                    (dropped..5).collect()
                } else {
                    (0..room).collect()
                };
                assert_eq!(numbers(&received), expected, "{qos:?} {drop_policy:?}");
            }
        }
    }
}

#[test]
fn what_is_in_flight_takes_no_place_in_the_queue_and_makes_no_room() {
    for drop_policy in [Newest, Oldest] {
        let [(limits, _), _] = bounds(drop_policy);
        let broker = Broker::with(limits);
        let mut client = Opening::v5("s")
            .with(Property::ReceiveMaximum(2))
            .client(&broker);
        client.subscribe(&broker, "t", AtLeastOnce);
        let mut publisher = Opening::v5("p").client(&broker);
        for number in 0..2 {
            publish(&broker, &mut publisher, AtLeastOnce, &large(number));
        }
        assert_eq!(numbers(&client.receive(&broker)), [0, 1]);
        for number in 2..5 {
            publish(&broker, &mut publisher, AtLeastOnce, &large(number));
        }
        assert_eq!(broker.drops(), [(DropReason::QueueFull, 1)]);
        let mut received = client.ack(&broker, PubAck, 2);
        received.extend(client.ack(&broker, PubAck, 3));
        let expected = if drop_policy == Oldest {
            [3, 4]
        } else {
            [2, 3]
        };
        assert_eq!(numbers(&received), expected);
    }
}

#[test]
fn a_message_larger_than_a_queue_drops_nothing_but_itself() {
    for drop_policy in [Newest, Oldest] {
        let [_, (limits, _)] = bounds(drop_policy);
        let broker = Broker::with(limits);
        absent(&broker, "s");
        let mut publisher = Opening::v5("p").client(&broker);
        publish(&broker, &mut publisher, AtLeastOnce, &large(0));
        let huge = large(1).repeat(2);
        assert_eq!(
            publish(&broker, &mut publisher, AtLeastOnce, &huge),
            ["PUBACK 1"]
        );
        assert_eq!(broker.drops(), [(DropReason::QueueFull, 1)]);
        let (_, received) = returning(&broker, "s");
        assert_eq!(numbers(&received), [0], "{drop_policy:?}");
    }
}

#[test]
fn a_publisher_may_be_refused_and_then_nobody_gets_the_message() {
    for (limits, room) in bounds(RefusePublisher) {
        let broker = Broker::with(limits);
        absent(&broker, "s");
        let mut other = Opening::v5("o").client(&broker);
        other.subscribe(&broker, "t", AtLeastOnce);
        let mut publisher = Opening::v5("p").client(&broker);
        for number in 0..room {
            publish(&broker, &mut publisher, AtLeastOnce, &large(number));
        }
        other.receive(&broker);
        let received = publish(&broker, &mut publisher, AtLeastOnce, &large(9));
        assert_eq!(received, ["PUBACK 1 0x97"]);
        let received = publish(&broker, &mut publisher, ExactlyOnce, &large(9));
        assert_eq!(received, ["PUBREC 2 0x97"]);
        assert_eq!(other.receive(&broker), NOTHING);
        assert_eq!(broker.drops(), [], "the publisher knows");
        // QoS 0 can't be refused: it's dropped where there is no room.
        publish(&broker, &mut publisher, AtMostOnce, &large(9));
        assert_eq!(numbers(&other.receive(&broker)), [9]);
        assert_eq!(broker.drops(), [(DropReason::QueueFull, 1)]);
        let (_, received) = returning(&broker, "s");
        assert_eq!(received.len(), 1 + room);
        let received = publish(&broker, &mut publisher, ExactlyOnce, &large(9));
        assert_eq!(received, ["PUBREC 2"], "the identifier was free");
    }
}

#[test]
fn an_old_publisher_waits_for_room_and_keeps_its_order() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let [(limits, _), _] = bounds(RefusePublisher);
        let mut broker = Broker::with(limits);
        absent(&broker, "s");
        let mut publisher = Opening::v4("p").keep_alive(10).client(&broker);
        for number in 0..2 {
            publish(&broker, &mut publisher, qos, &large(number));
        }
        let received = publisher.publish(&broker, "t", qos, 7, &large(2), "");
        assert_eq!(received, NOTHING);
        assert!(publisher.unread() > 0 && publisher.connection.waits_for_room());
        // What it sends next waits behind it, and it isn't taken for silent. [MQTT-3.1.2-22]
        publisher.send_bytes(&broker, &[0xC0, 0]);
        for _ in 0..200 {
            broker.pass_ms(100);
            assert_eq!(publisher.tick(&broker), NOTHING);
        }
        let (mut client, received) = returning(&broker, "s");
        assert_eq!(numbers(&received), [0, 1]);
        broker.pass_ms(100);
        let name = if qos == AtLeastOnce {
            "PUBACK"
        } else {
            "PUBREC"
        };
        let mut received = publisher.tick(&broker);
        received.sort_unstable();
        assert_eq!(received, ["PINGRESP".to_owned(), format!("{name} 7")]);
        assert_eq!(publisher.unread(), 0);
        assert_eq!(numbers(&client.receive(&broker)), [2]);
        assert_eq!(broker.drops(), []);
    }
}

#[test]
fn an_old_publisher_that_waited_too_long_is_let_go() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let [(limits, _), _] = bounds(RefusePublisher);
        let mut broker = Broker::with(Limits {
            refuse_timeout_ms: 5000,
            ..limits
        });
        absent(&broker, "s");
        let mut publisher = Opening::v4("p").client(&broker);
        for number in 0..3 {
            publish(&broker, &mut publisher, qos, &large(number));
        }
        broker.pass_ms(4900);
        assert_eq!(publisher.tick(&broker), NOTHING);
        broker.pass_ms(100);
        let text = CloseReason::Refused.text();
        assert_eq!(publisher.tick(&broker), [format!("end: {text}")]);
        let (_, received) = returning(&broker, "s");
        assert_eq!(numbers(&received), [0, 1]);
    }
}

#[test]
fn a_will_that_finds_no_room_is_counted() {
    for qos in QOS {
        for is_retained in [false, true] {
            let limits = if is_retained {
                Limits {
                    retained_messages: 0,
                    ..Limits::default()
                }
            } else {
                Limits {
                    queue_messages: 0,
                    queue_qos0: true,
                    drop_policy: RefusePublisher,
                    ..Limits::default()
                }
            };
            let mut broker = Broker::with(limits);
            absent(&broker, "s");
            let will = Will {
                topic: "t",
                payload: b"x",
                qos,
                retain: is_retained,
                properties: Properties::EMPTY,
            };
            let client = Opening::v5("c").kept(1000).will(will).client(&broker);
            client.lose(&broker);
            // Nobody is there to be told.
            let is_taken = qos == AtMostOnce && !is_retained;
            let (reason, whose) = if is_taken {
                (DropReason::QueueFull, "s")
            } else {
                (DropReason::Quota, "c")
            };
            assert_eq!(broker.drops(), [(reason, 1)], "{qos:?} {is_retained}");
            let sample = broker.hub.drops().samples()[0].clone();
            assert_eq!(sample.client_id.as_str(), whose);
            broker.restart();
            assert_eq!(broker.drops(), [], "it isn't tried again");
        }
    }
}

/// Lowers the memory ceiling to what is used now.
fn fill_memory(broker: &Broker) {
    broker.hub.set_limits(Limits {
        memory_bytes: broker.hub.account().used(),
        ..broker.hub.limits().as_ref().clone()
    });
}

#[test]
fn at_the_memory_ceiling_publishers_are_refused_and_qos_0_is_dropped() {
    let mut broker = Broker::new();
    absent(&broker, "s");
    let mut publisher = Opening::v5("p").client(&broker);
    let mut old = Opening::v4("o").client(&broker);
    publish(&broker, &mut publisher, AtLeastOnce, &large(0));
    fill_memory(&broker);
    for mark in ["", "retain"] {
        let received = publisher.publish(&broker, "t", AtLeastOnce, 1, "x", mark);
        assert_eq!(received, ["PUBACK 1 0x97"]);
        let received = publisher.publish(&broker, "t", ExactlyOnce, 2, "x", mark);
        assert_eq!(received, ["PUBREC 2 0x97"]);
    }
    assert_eq!(broker.drops(), []);
    publish(&broker, &mut publisher, AtMostOnce, "x");
    assert_eq!(broker.drops(), [(DropReason::Memory, 1)]);
    assert_eq!(broker.hub.drops().samples()[0].client_id.as_str(), "p");
    assert_eq!(publish(&broker, &mut old, AtLeastOnce, &large(1)), NOTHING);
    // What was acknowledged is delivered, and makes room.
    let (mut client, received) = returning(&broker, "s");
    assert_eq!(numbers(&received), [0]);
    client.ack(&broker, PubAck, packet_id(&received[1]).get());
    broker.hub.set_limits(Limits::default());
    broker.pass_ms(100);
    assert_eq!(old.tick(&broker), ["PUBACK 1"]);
    assert_eq!(numbers(&client.receive(&broker)), [1]);
}

#[test]
fn at_the_memory_ceiling_what_is_new_is_refused_and_what_is_known_is_not() {
    for (version, busy, quota) in [(Version::V5, "0x89", "0x97"), (Version::V4, "0x88", "0x80")] {
        let broker = Broker::new();
        let opening = |name| Opening::new(version, name).kept(1000);
        let mut client = opening("c").client(&broker);
        client.subscribe(&broker, "t", AtMostOnce);
        client.lose(&broker);
        fill_memory(&broker);
        let (_, received) = opening("new").open(&broker);
        assert_eq!(received[0], format!("CONNACK {busy}"), "{version:?}");
        let (mut client, received) = opening("c").open(&broker);
        assert_eq!(received, ["CONNACK present"]);
        for filter in ["new", "$share/g/new"] {
            let received = client.subscribe_with(&broker, filter, at(AtMostOnce), 0);
            assert_eq!(received, [format!("SUBACK {quota}")]);
        }
        client.subscribe(&broker, "t", ExactlyOnce);
        // Sessions that end make room.
        client.unsubscribe(&broker, "t");
        client.subscribe(&broker, "new", AtMostOnce);
    }
}

#[test]
fn a_will_at_the_memory_ceiling_is_counted() {
    for qos in QOS {
        let broker = Broker::new();
        absent(&broker, "s");
        let will = Will {
            topic: "t",
            payload: b"x",
            qos,
            retain: false,
            properties: Properties::EMPTY,
        };
        let client = Opening::v5("c").kept(1000).will(will).client(&broker);
        broker.hub.set_limits(Limits {
            memory_bytes: 1,
            ..Limits::default()
        });
        client.lose(&broker);
        assert_eq!(broker.drops(), [(DropReason::Memory, 1)], "{qos:?}");
    }
}

#[test]
fn a_journal_that_lags_slows_publishers_down() {
    for version in VERSIONS {
        let mut broker = Broker::with_slow_disk();
        broker.hub.set_limits(Limits {
            journal_lag: 3,
            ..Limits::default()
        });
        let (mut subscriber, _) = Opening::v5("s").kept(1000).open(&broker);
        broker.log.make_durable();
        subscriber.receive(&broker);
        subscriber.send_bytes(&broker, &[0x82, 7, 0, 1, 0, 0, 1, b't', 1]);
        broker.log.make_durable();
        let (mut publisher, _) = Opening::new(version, "p").clean().open(&broker);
        for number in 1..=9 {
            publisher.publish(&broker, "t", AtLeastOnce, number, "x", "");
        }
        // Four entries are above the bound of three.
        assert_eq!(broker.hub.journal().lag(), 4);
        let waiting = publisher.unread();
        assert!(waiting > 0);
        broker.pass(100);
        publisher.tick(&broker);
        assert_eq!(publisher.unread(), waiting);
        let mut received = Vec::new();
        while publisher.unread() > 0 {
            broker.log.make_durable();
            received.extend(publisher.tick(&broker));
            assert!(broker.hub.journal().lag() <= 4);
        }
        broker.log.make_durable();
        received.extend(publisher.receive(&broker));
        let expected: Vec<String> = (1..=9).map(|number| format!("PUBACK {number}")).collect();
        assert_eq!(received, expected, "{version:?}");
    }
}

#[test]
fn a_connection_that_stands_still_for_the_journal_is_called_when_it_moves() {
    let broker = Broker::with_slow_disk();
    broker.hub.set_limits(Limits {
        journal_lag: 1,
        ..Limits::default()
    });
    let (mut publisher, _) = Opening::v5("p").open(&broker);
    for number in 1..=3 {
        publisher.publish(&broker, "t", AtMostOnce, 0, &number.to_string(), "retain");
    }
    assert_eq!(broker.hub.journal().lag(), 2);
    assert_eq!(publisher.receive(&broker), NOTHING);
    assert_eq!(broker.hub.journal().watermark().waiting(), 1);
    broker.log.make_durable();
    assert_eq!(broker.hub.journal().watermark().waiting(), 0);
    assert_eq!(publisher.tick(&broker), NOTHING);
    assert_eq!(
        (publisher.unread(), broker.hub.figures().retained_messages),
        (0, 1)
    );
}

#[test]
fn a_subscriber_that_does_not_read_costs_the_others_nothing() {
    for qos in QOS {
        let mut broker = Broker::with(Limits {
            queue_messages: 50,
            ..Limits::default()
        });
        broker.is_checked = qos == ExactlyOnce;
        let mut slow = Opening::v5("slow").client(&broker);
        let mut quick = Opening::v5("quick").client(&broker);
        for client in [&mut slow, &mut quick] {
            client.subscribe(&broker, "t", qos);
        }
        let mut publisher = Opening::v5("p").client(&broker);
        let mut used = 0;
        for number in 0..300 {
            let received = publish(&broker, &mut publisher, qos, &large(number));
            assert_eq!(received, taken(qos));
            let received = quick.receive(&broker);
            assert_eq!(numbers(&received), [number]);
            if qos > AtMostOnce {
                let packet_type = if qos == AtLeastOnce {
                    PubAck
                } else {
                    PacketType::PubRec
                };
                let packet_id = packet_id(&received[0]).get();
                quick.ack(&broker, packet_type, packet_id);
                quick.ack(&broker, PacketType::PubComp, packet_id);
            }
            if number == 100 {
                used = broker.hub.account().used();
            }
        }
        // Its own queue is full, and its own messages are dropped.
        assert_eq!(broker.drops(), [(DropReason::QueueFull, 250)]);
        let samples = broker.hub.drops().samples();
        assert!(
            samples
                .iter()
                .all(|sample| sample.client_id.as_str() == "slow")
        );
        if qos == AtMostOnce {
            assert_eq!(broker.hub.account().used(), used, "it grows no more");
        }
        let received = slow.receive(&broker);
        assert_eq!(numbers(&received), (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn a_client_that_does_not_take_its_answers_is_not_read_from() {
    let broker = Broker::new();
    let mut client = Opening::v5("c").client(&broker);
    client.send_bytes(&broker, &[0xC0, 0].repeat(20_000));
    assert!(client.unread() > 0);
    let mut answers = 0;
    while client.unread() > 0 {
        let received = client.receive(&broker).len();
        // Two bytes each.
        assert!((1..=8193).contains(&received), "{received}");
        answers += received;
        client.send_bytes(&broker, &[]);
    }
    answers += client.receive(&broker).len();
    assert_eq!(answers, 20_000);
}

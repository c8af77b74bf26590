//! Rows on flow control by Receive Maximum in both directions. Sections 3.3.4 and 4.9 of MQTT 5.

use std::collections::VecDeque;

use super::{Context, Row, row};
use crate::raw::build::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, property};
use crate::raw::{Client, Outcome, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "flow::the_broker_keeps_to_the_receive_maximum",
        &["3.3.4-9", "4.9.0-1", "4.9.0-2"],
        &[],
        kept,
    ),
    row(
        "flow::both_qos_draw_on_one_window",
        &["3.3.4-9", "4.9.0-2"],
        &[],
        kept_for_both,
    ),
    row(
        "flow::pubrec_gives_no_room_and_pubcomp_does",
        &["3.3.4-9", "4.9.0-2"],
        &[],
        pubcomp_makes_room,
    ),
    row(
        "flow::a_refusal_gives_room",
        &["3.3.4-9", "4.9.0-2"],
        &[],
        refusal_makes_room,
    ),
    row(
        "flow::a_full_window_delays_nothing_else",
        &["3.3.4-10", "4.9.0-3"],
        &[],
        nothing_else_delayed,
    ),
    row(
        "flow::a_new_connection_begins_with_its_own_window",
        &["4.9.0-1", "3.3.4-9"],
        &[],
        new_connection,
    ),
    row(
        "flow::a_client_may_fill_the_brokers_window",
        &["3.3.4-7", "3.3.4-8", "4.9.0-3"],
        &[],
        filled,
    ),
    row(
        "flow::a_client_above_the_brokers_window",
        &["3.3.4-7", "4.13.1-1"],
        &[],
        overfilled,
    ),
];

/// A client with this Receive Maximum to which this many messages of this QoS were published.
fn window(context: &Context, maximum: u16, qos: u8, messages: u16) -> Outcome<(Client, String)> {
    let topic = context.topic(&format!("{maximum}/{qos}"));
    let connect = context
        .hello("s")
        .persistent()
        .clean(true)
        .property(property::two(property::RECEIVE_MAXIMUM, maximum));
    let mut subscriber = context.resumed(&connect, false)?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    for number in 0..messages {
        publisher.publish(&topic, qos, &number.to_string())?;
    }
    Ok((subscriber, topic))
}

fn kept(context: &Context) -> Outcome {
    for (maximum, qos) in [(1, 1), (1, 2), (3, 1), (3, 2)] {
        let (mut subscriber, topic) = window(context, maximum, qos, 6)?;
        let mut unacknowledged = VecDeque::new();
        for number in 0..6 {
            unacknowledged.push_back(subscriber.expect_message(&topic, &number.to_string())?);
            if unacknowledged.len() == usize::from(maximum) {
                subscriber.quiet()?;
                if let Some(publish) = unacknowledged.pop_front() {
                    subscriber.accept(&publish)?;
                }
            }
        }
    }
    Ok(())
}

/// Both QoS draw on one window.
fn kept_for_both(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let connect = context
        .hello("s")
        .property(property::two(property::RECEIVE_MAXIMUM, 4));
    let mut subscriber = context.resumed(&connect, false)?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    for number in 0..12 {
        publisher.publish(&topic, 1 + number % 2, "x")?;
    }
    let mut unacknowledged = VecDeque::new();
    for _ in 0..4 {
        unacknowledged.push_back(subscriber.expect_message(&topic, "x")?);
    }
    for _ in 4..12 {
        subscriber.quiet()?;
        if let Some(publish) = unacknowledged.pop_front() {
            subscriber.accept(&publish)?;
        }
        unacknowledged.push_back(subscriber.expect_message(&topic, "x")?);
    }
    subscriber.quiet()
}

fn pubcomp_makes_room(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let connect = context
        .hello("s")
        .property(property::two(property::RECEIVE_MAXIMUM, 1));
    let mut subscriber = context.resumed(&connect, false)?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    for payload in ["first", "second"] {
        publisher.publish(&topic, 2, payload)?;
    }
    let first = subscriber.expect_message(&topic, "first")?;
    subscriber.quiet()?;
    subscriber.send(build::ack(PUBREC, first.id))?;
    subscriber.acknowledged(PUBREL, first.id)?;
    subscriber.quiet()?;
    subscriber.send(build::ack(PUBCOMP, first.id))?;
    let second = subscriber.expect_message(&topic, "second")?;
    subscriber.accept(&second)
}

fn refusal_makes_room(context: &Context) -> Outcome {
    for (qos, first) in [(1, PUBACK), (2, PUBREC)] {
        let (mut subscriber, topic) = window(context, 1, qos, 4)?;
        for number in 0..4 {
            let publish = subscriber.expect_message(&topic, &number.to_string())?;
            subscriber.quiet()?;
            subscriber.send(build::ack_with(first, publish.id, 0x83))?;
        }
        subscriber.quiet()?;
    }
    Ok(())
}

fn nothing_else_delayed(context: &Context) -> Outcome {
    let (mut subscriber, topic) = window(context, 2, 2, 6)?;
    let window = [
        subscriber.expect_message(&topic, "0")?,
        subscriber.expect_message(&topic, "1")?,
    ];
    subscriber.quiet()?;
    // Answers to whatever the client asks. (Messages of QoS 0 may wait or not.)
    subscriber.subscribe(&context.topic("other"), 1)?;
    subscriber.publish(&context.topic("elsewhere"), 1, "x")?;
    subscriber.publish(&context.topic("elsewhere"), 2, "x")?;
    subscriber.exchange(
        build::unsubscribe(context.version, 999, &[&context.topic("other")]),
        build::suback(0xB0, context.version, 999, &[0]),
    )?;
    for publish in &window {
        subscriber.accept(publish)?;
    }
    for number in 2..6 {
        let publish = subscriber.expect_message(&topic, &number.to_string())?;
        subscriber.accept(&publish)?;
    }
    subscriber.quiet()
}

fn new_connection(context: &Context) -> Outcome {
    for qos in [1, 2] {
        let (mut subscriber, topic) = window(context, 3, qos, 6)?;
        for number in 0..3 {
            subscriber.expect_message(&topic, &number.to_string())?;
        }
        subscriber.quiet()?;
        subscriber.cut();
        // A smaller window holds for repeats too.
        let connect = context
            .hello("s")
            .persistent()
            .property(property::two(property::RECEIVE_MAXIMUM, 1));
        let mut subscriber = context.resumed(&connect, true)?;
        for number in 0..6 {
            let publish = subscriber.expect_message(&topic, &number.to_string())?;
            same("DUP", publish.dup, number < 3)?;
            subscriber.quiet()?;
            subscriber.accept(&publish)?;
        }
        subscriber.quiet()?;
    }
    Ok(())
}

/// The Receive Maximum of 1024 that CONNACK announces.
const ANNOUNCED: u16 = 1024;

fn fill(context: &Context) -> Outcome<Client> {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    for id in 1..=ANNOUNCED {
        client.send(
            Publish::new(context.version, &topic, "x")
                .qos(2, id)
                .bytes(),
        )?;
        client.acknowledged(PUBREC, id)?;
    }
    Ok(client)
}

fn filled(context: &Context) -> Outcome {
    let mut client = fill(context)?;
    client.ping()?;
    let filter = context.topic("f");
    client.exchange(
        build::subscribe(context.version, 2_000, &[(&filter, 0)]),
        build::suback(0x90, context.version, 2_000, &[0]),
    )?;
    client.send(Publish::new(context.version, &filter, "QoS 0 is free").bytes())?;
    client.expect_message(&filter, "QoS 0 is free")?;
    // A completed one gives room for another.
    client.exchange(build::ack(PUBREL, 7), build::ack(PUBCOMP, 7))?;
    client.send(
        Publish::new(context.version, context.topic("t"), "x")
            .qos(2, 7)
            .bytes(),
    )?;
    client.acknowledged(PUBREC, 7)
}

fn overfilled(context: &Context) -> Outcome {
    for qos in [1, 2] {
        let mut client = fill(context)?;
        client.send(
            Publish::new(context.version, context.topic("t"), "x")
                .qos(qos, ANNOUNCED + 1)
                .bytes(),
        )?;
        client.expect_rejected(&[0x93])?;
    }
    Ok(())
}

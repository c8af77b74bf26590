//! Rows on flow control by Receive Maximum in both directions. Sections 3.3.4 and 4.9 of MQTT 5.

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

fn window(context: &Context, maximum: u16, topic: &str, messages: u16) -> Outcome<Client> {
    let connect = context
        .hello("s")
        .persistent()
        .property(property::two(property::RECEIVE_MAXIMUM, maximum));
    let mut subscriber = context.resumed(&connect, false)?;
    subscriber.subscribe(topic, 2)?;
    let mut publisher = context.client("p")?;
    for number in 0..messages {
        publisher.publish(
            topic,
            if number % 2 == 0 { 1 } else { 2 },
            &number.to_string(),
        )?;
    }
    Ok(subscriber)
}

fn kept(context: &Context) -> Outcome {
    let topic = context.topic("t");
    for maximum in [1, 3] {
        let mut subscriber = window(context, maximum, &topic, 8)?;
        let mut unacknowledged = std::collections::VecDeque::new();
        for number in 0..8 {
            unacknowledged.push_back(subscriber.expect_message(&topic, &number.to_string())?);
            if unacknowledged.len() == usize::from(maximum) {
                subscriber.quiet()?;
                if let Some(publish) = unacknowledged.pop_front() {
                    subscriber.accept(&publish)?;
                }
            }
        }
        context.resumed(&context.hello("s"), false)?.disconnect()?;
    }
    Ok(())
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
    let topic = context.topic("t");
    let mut subscriber = window(context, 1, &topic, 4)?;
    for number in 0..4 {
        let publish = subscriber.expect_message(&topic, &number.to_string())?;
        subscriber.quiet()?;
        let first = if publish.qos == 1 { PUBACK } else { PUBREC };
        subscriber.send(build::ack_with(first, publish.id, 0x83))?;
    }
    subscriber.quiet()
}

fn nothing_else_delayed(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = window(context, 2, &topic, 6)?;
    let window = [
        subscriber.expect_message(&topic, "0")?,
        subscriber.expect_message(&topic, "1")?,
    ];
    subscriber.quiet()?;
    // Answers to whatever the client asks, and messages of QoS 0.
    subscriber.subscribe(&context.topic("other"), 1)?;
    subscriber.publish(&context.topic("elsewhere"), 1, "x")?;
    subscriber.publish(&context.topic("elsewhere"), 2, "x")?;
    subscriber.exchange(
        build::unsubscribe(context.version, 999, &[&context.topic("other")]),
        build::suback(0xB0, context.version, 999, &[0]),
    )?;
    context.client("q")?.publish(&topic, 0, "zero")?;
    subscriber.expect_message(&topic, "zero")?;
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
    let topic = context.topic("t");
    let mut subscriber = window(context, 3, &topic, 6)?;
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
    subscriber.quiet()
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

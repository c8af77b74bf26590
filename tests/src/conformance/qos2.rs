//! Rows on the QoS 2 protocol in both directions. Section 4.3.3.

use std::collections::HashSet;

use super::{Context, Row, row};
use crate::raw::build::{self, PUBCOMP, PUBREC, PUBREL, Publish};
use crate::raw::{Client, Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "qos2::every_message_has_an_unused_identifier",
        &["2.2.1-4", "4.3.3-1", "4.3.3-2"],
        &["2.3.1-1", "2.3.1-4", "4.3.3-1"],
        unused_ids,
    ),
    row(
        "qos2::an_identifier_is_taken_until_pubcomp",
        &["2.2.1-4", "4.3.3-1"],
        &["2.3.1-4", "4.3.3-1"],
        taken_until_pubcomp,
    ),
    row(
        "qos2::pubrel_answers_pubrec",
        &["4.3.3-4", "2.2.1-5"],
        &["4.3.3-1", "2.3.1-6"],
        pubrel,
    ),
    row(
        "qos2::a_repeat_before_pubrel_is_delivered_once",
        &["4.3.3-10"],
        &["4.3.3-2", "2.3.1-3"],
        repeat_before_pubrel,
    ),
    row(
        "qos2::a_repeat_in_a_new_connection_is_delivered_once",
        &["4.3.3-10", "4.4.0-1"],
        &["4.3.3-2", "4.4.0-1", "2.3.1-3"],
        repeat_after_reconnect,
    ),
    row(
        "qos2::pubrel_in_a_new_connection",
        &["4.3.3-11", "4.4.0-1"],
        &["4.3.3-2", "4.4.0-1"],
        pubrel_after_reconnect,
    ),
    row(
        "qos2::an_identifier_is_free_after_pubcomp",
        &["4.3.3-12", "2.2.1-3"],
        &["4.3.3-2", "2.3.1-2"],
        id_free_again,
    ),
    row(
        "qos2::pubrel_for_an_unknown_identifier",
        &["4.3.3-11", "3.7.2-1"],
        &["4.3.3-2"],
        unknown_pubrel,
    ),
    row(
        "qos2::pubrec_for_an_unknown_identifier",
        &["3.6.2-1"],
        &["4.3.3-1"],
        unknown_pubrec,
    ),
    row(
        "qos2::pubrec_with_an_error_ends_the_delivery",
        &["4.3.3-4", "4.4.0-2"],
        &[],
        refused,
    ),
    row(
        "qos2::identifiers_of_both_directions_are_apart",
        &["4.3.3-10", "4.3.3-4"],
        &["4.3.3-2", "4.3.3-1"],
        directions_apart,
    ),
    row(
        "qos2::a_repeated_pubrel_is_answered",
        &["4.3.3-11"],
        &["4.3.3-2"],
        repeated_pubrel,
    ),
];

fn unused_ids(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    let mut ids = HashSet::new();
    for number in 0..16 {
        publisher.publish(&topic, 2, &number.to_string())?;
        let publish = subscriber.expect_message(&topic, &number.to_string())?;
        same("QoS and DUP", (publish.qos, publish.dup), (2, false))?;
        ensure(publish.id != 0 && ids.insert(publish.id), || {
            format!("identifier {} again", publish.id)
        })?;
    }
    Ok(())
}

fn taken_until_pubcomp(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 2, "first")?;
    let first = subscriber.expect_message(&topic, "first")?;
    subscriber.send(build::ack(PUBREC, first.id))?;
    subscriber.acknowledged(PUBREL, first.id)?;
    for number in 0..20 {
        publisher.publish(&topic, 1 + number % 2, "next")?;
        let publish = subscriber.expect_message(&topic, "next")?;
        ensure(publish.id != first.id, || {
            format!("identifier {} is taken", first.id)
        })?;
        subscriber.accept(&publish)?;
    }
    subscriber.send(build::ack(PUBCOMP, first.id))?;
    subscriber.quiet()
}

fn pubrel(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    context.client("p")?.publish(&topic, 2, "x")?;
    let publish = subscriber.expect_message(&topic, "x")?;
    subscriber.exchange(
        build::ack(PUBREC, publish.id),
        build::ack(PUBREL, publish.id),
    )?;
    // A repeated PUBREC gets a repeated PUBREL.
    subscriber.exchange(
        build::ack(PUBREC, publish.id),
        build::ack(PUBREL, publish.id),
    )?;
    subscriber.send(build::ack(PUBCOMP, publish.id))?;
    subscriber.quiet()
}

fn listener(context: &Context, topic: &str) -> Outcome<Client> {
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(topic, 2)?;
    Ok(subscriber)
}

fn once(subscriber: &mut Client, topic: &str, payload: &str) -> Outcome {
    let publish = subscriber.expect_message(topic, payload)?;
    subscriber.accept(&publish)?;
    subscriber.quiet()
}

fn repeat_before_pubrel(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = listener(context, &topic)?;
    let mut publisher = context.client("p")?;
    let publish = Publish::new(context.version, &topic, "x").qos(2, 4);
    for bytes in [
        publish.bytes(),
        publish.clone().dup().bytes(),
        publish.dup().bytes(),
    ] {
        publisher.send(bytes)?;
        publisher.acknowledged(PUBREC, 4)?;
    }
    publisher.exchange(build::ack(PUBREL, 4), build::ack(PUBCOMP, 4))?;
    once(&mut subscriber, &topic, "x")
}

fn repeat_after_reconnect(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = listener(context, &topic)?;
    let persistent = context.hello("p").persistent();
    let publish = Publish::new(context.version, &topic, "x").qos(2, 4);
    let mut publisher = context.resumed(&persistent, false)?;
    publisher.send(publish.bytes())?;
    publisher.acknowledged(PUBREC, 4)?;
    publisher.cut();
    let mut publisher = context.resumed(&persistent, true)?;
    publisher.send(publish.dup().bytes())?;
    publisher.acknowledged(PUBREC, 4)?;
    publisher.exchange(build::ack(PUBREL, 4), build::ack(PUBCOMP, 4))?;
    once(&mut subscriber, &topic, "x")
}

fn pubrel_after_reconnect(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = listener(context, &topic)?;
    let persistent = context.hello("p").persistent();
    let mut publisher = context.resumed(&persistent, false)?;
    publisher.send(Publish::new(context.version, &topic, "x").qos(2, 4).bytes())?;
    publisher.acknowledged(PUBREC, 4)?;
    publisher.cut();
    let mut publisher = context.resumed(&persistent, true)?;
    publisher.exchange(build::ack(PUBREL, 4), build::ack(PUBCOMP, 4))?;
    once(&mut subscriber, &topic, "x")
}

fn id_free_again(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = listener(context, &topic)?;
    let mut publisher = context.client("p")?;
    let publish = Publish::new(context.version, &topic, "x").qos(2, 4);
    for publish in [publish.clone(), publish.clone(), publish.dup()] {
        publisher.complete(&publish)?;
        once(&mut subscriber, &topic, "x")?;
    }
    Ok(())
}

fn unknown_pubrel(context: &Context) -> Outcome {
    let mut client = context.client("c")?;
    client.send(build::ack(PUBREL, 500))?;
    let reason = client.frame()?.ack(PUBCOMP, context.version)?;
    same(
        "identifier and code",
        (reason.id, reason.code),
        (500, if context.is_v5() { 0x92 } else { 0 }),
    )?;
    client.quiet()
}

fn unknown_pubrec(context: &Context) -> Outcome {
    let mut client = context.client("c")?;
    client.send(build::ack(PUBREC, 500))?;
    let reason = client.frame()?.ack(PUBREL, context.version)?;
    same(
        "identifier and code",
        (reason.id, reason.code),
        (500, if context.is_v5() { 0x92 } else { 0 }),
    )?;
    client.quiet()
}

fn refused(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    for reason in [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99] {
        publisher.publish(&topic, 2, "unwanted")?;
        let publish = subscriber.expect_message(&topic, "unwanted")?;
        subscriber.send(build::ack_with(PUBREC, publish.id, reason))?;
        subscriber.quiet()?;
    }
    subscriber.cut();
    context.resumed(&persistent, true)?.quiet()
}

/// The same number on a message each way: two handshakes that don't meet.
fn directions_apart(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.subscribe(&topic, 2)?;
    context.client("p")?.publish(&topic, 2, "to the client")?;
    let inbound = client.expect_message(&topic, "to the client")?;
    client.send(
        Publish::new(context.version, context.topic("other"), "x")
            .qos(2, inbound.id)
            .bytes(),
    )?;
    client.acknowledged(PUBREC, inbound.id)?;
    client.exchange(
        build::ack(PUBREC, inbound.id),
        build::ack(PUBREL, inbound.id),
    )?;
    client.exchange(
        build::ack(PUBREL, inbound.id),
        build::ack(PUBCOMP, inbound.id),
    )?;
    client.send(build::ack(PUBCOMP, inbound.id))?;
    client.quiet()
}

fn repeated_pubrel(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = listener(context, &topic)?;
    let mut publisher = context.client("p")?;
    publisher.complete(&Publish::new(context.version, &topic, "x").qos(2, 4))?;
    publisher.send(build::ack(PUBREL, 4))?;
    same(
        "identifier",
        publisher.frame()?.ack(PUBCOMP, context.version)?.id,
        4,
    )?;
    once(&mut subscriber, &topic, "x")
}

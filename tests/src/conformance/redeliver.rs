//! Rows on what is sent again when a session is resumed, and only then. Section 4.4.

use super::{Context, Row, row};
use crate::raw::build::{self, Connect, PUBACK, PUBCOMP, PUBREC, PUBREL};
use crate::raw::{Client, Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "redeliver::an_unacknowledged_publish",
        &["3.3.1-1", "4.4.0-1", "4.3.2-3", "4.3.3-3"],
        &["3.3.1-1", "4.4.0-1", "4.3.2-1", "4.3.3-1", "2.3.1-4"],
        publish_again,
    ),
    row(
        "redeliver::pubrel_and_not_the_publish",
        &["4.3.3-5", "4.3.3-6", "4.4.0-1"],
        &["4.3.3-1", "4.4.0-1"],
        pubrel_again,
    ),
    row(
        "redeliver::nothing_that_was_acknowledged",
        &["4.4.0-1", "4.3.2-3", "4.3.3-5"],
        &["4.4.0-1", "4.3.2-1", "4.3.3-1"],
        acknowledged,
    ),
    row(
        "redeliver::nothing_without_a_reconnect",
        &["4.4.0-1"],
        &["4.4.0-1"],
        only_on_reconnect,
    ),
    row(
        "redeliver::nothing_in_a_clean_start",
        &["4.4.0-1", "3.1.2-4"],
        &["4.4.0-1", "3.1.2-6"],
        clean,
    ),
    row(
        "redeliver::nothing_that_was_refused",
        &["4.4.0-2", "3.3.4-9"],
        &[],
        refused,
    ),
    row(
        "redeliver::identifiers_do_not_collide_afterwards",
        &["2.2.1-4", "4.4.0-1"],
        &["2.3.1-4", "4.4.0-1"],
        no_collision,
    ),
    row(
        "redeliver::again_and_again",
        &["4.4.0-1", "3.3.1-1"],
        &["4.4.0-1", "3.3.1-1"],
        again_and_again,
    ),
];

fn subscribed(context: &Context, topic: &str) -> Outcome<(Client, Connect)> {
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(topic, 2)?;
    Ok((subscriber, persistent))
}

fn publish_again(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut subscriber, persistent) = subscribed(context, &topic)?;
    let mut publisher = context.client("p")?;
    let mut sent = Vec::new();
    for qos in [1, 2] {
        publisher.publish(&topic, qos, &qos.to_string())?;
        sent.push(subscriber.expect_message(&topic, &qos.to_string())?);
    }
    subscriber.cut();
    let mut subscriber = context.resumed(&persistent, true)?;
    for first in sent {
        let again = subscriber.expect_publish()?;
        same("repeat", again.bytes(), first.dup().bytes())?;
        subscriber.accept(&again)?;
    }
    subscriber.quiet()
}

fn pubrel_again(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut subscriber, persistent) = subscribed(context, &topic)?;
    context.client("p")?.publish(&topic, 2, "x")?;
    let id = subscriber.expect_message(&topic, "x")?.id;
    subscriber.exchange(build::ack(PUBREC, id), build::ack(PUBREL, id))?;
    subscriber.cut();
    for _ in 0..2 {
        let mut subscriber = context.resumed(&persistent, true)?;
        subscriber.expect(build::ack(PUBREL, id))?;
        subscriber.quiet()?;
        subscriber.cut();
    }
    let mut subscriber = context.resumed(&persistent, true)?;
    subscriber.expect(build::ack(PUBREL, id))?;
    subscriber.send(build::ack(PUBCOMP, id))?;
    subscriber.quiet()?;
    subscriber.cut();
    context.resumed(&persistent, true)?.quiet()
}

fn acknowledged(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut subscriber, persistent) = subscribed(context, &topic)?;
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        publisher.publish(&topic, qos, "x")?;
        let publish = subscriber.expect_message(&topic, "x")?;
        subscriber.accept(&publish)?;
    }
    // The broker has read the last of it when it answers.
    subscriber.quiet()?;
    subscriber.cut();
    context.resumed(&persistent, true)?.quiet()
}

fn only_on_reconnect(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut subscriber, _) = subscribed(context, &topic)?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "1")?;
    publisher.publish(&topic, 2, "2")?;
    subscriber.expect_message(&topic, "1")?;
    let second = subscriber.expect_message(&topic, "2")?;
    subscriber.exchange(build::ack(PUBREC, second.id), build::ack(PUBREL, second.id))?;
    for _ in 0..4 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        subscriber.quiet()?;
    }
    Ok(())
}

fn clean(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut subscriber, _) = subscribed(context, &topic)?;
    context.client("p")?.publish(&topic, 1, "x")?;
    subscriber.expect_message(&topic, "x")?;
    subscriber.cut();
    context.resumed(&context.hello("s"), false)?.quiet()
}

fn refused(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut subscriber, persistent) = subscribed(context, &topic)?;
    let mut publisher = context.client("p")?;
    for reason in [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99] {
        publisher.publish(&topic, 1, "unwanted")?;
        let publish = subscriber.expect_message(&topic, "unwanted")?;
        subscriber.send(build::ack_with(PUBACK, publish.id, reason))?;
    }
    subscriber.quiet()?;
    subscriber.cut();
    context.resumed(&persistent, true)?.quiet()
}

fn no_collision(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut subscriber, persistent) = subscribed(context, &topic)?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "kept")?;
    let kept = subscriber.expect_message(&topic, "kept")?.id;
    subscriber.cut();
    publisher.publish(&topic, 1, "queued")?;
    let mut subscriber = context.resumed(&persistent, true)?;
    same(
        "identifier",
        subscriber.expect_message(&topic, "kept")?.id,
        kept,
    )?;
    let queued = subscriber.expect_message(&topic, "queued")?.id;
    for number in 0..30 {
        publisher.publish(&topic, 1 + number % 2, "new")?;
        let publish = subscriber.expect_message(&topic, "new")?;
        ensure(![kept, queued].contains(&publish.id), || {
            format!("identifier {} is taken", publish.id)
        })?;
        subscriber.accept(&publish)?;
    }
    Ok(())
}

fn again_and_again(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut subscriber, persistent) = subscribed(context, &topic)?;
    context.client("p")?.publish(&topic, 1, "x")?;
    let first = subscriber.expect_message(&topic, "x")?;
    for _ in 0..4 {
        subscriber.cut();
        subscriber = context.resumed(&persistent, true)?;
        same(
            "repeat",
            subscriber.expect_publish()?.bytes(),
            first.clone().dup().bytes(),
        )?;
        subscriber.quiet()?;
    }
    subscriber.send(build::ack(PUBACK, first.id))?;
    subscriber.quiet()
}

//! Rows on the QoS 1 protocol in both directions. Sections 4.3.2, 2.2.1 (5), 2.3.1 (3.1.1).

use std::collections::HashSet;

use super::{Context, Row, row};
use crate::raw::build::{self, PUBACK, Publish};
use crate::raw::{Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "qos1::every_message_has_an_unused_identifier",
        &["2.2.1-4", "4.3.2-1", "4.3.2-2"],
        &["2.3.1-1", "2.3.1-4", "4.3.2-1"],
        unused_ids,
    ),
    row(
        "qos1::an_identifier_is_free_after_puback",
        &["4.3.2-5", "2.2.1-3"],
        &["4.3.2-2", "2.3.1-2"],
        id_free_again,
    ),
    row(
        "qos1::a_repeat_after_puback_is_a_new_message",
        &["4.3.2-5"],
        &["4.3.2-2"],
        repeat_is_new,
    ),
    row(
        "qos1::puback_comes_when_the_message_is_owned",
        &["4.3.2-4", "4.5.0-1"],
        &["4.3.2-2", "4.5.0-1"],
        owned,
    ),
    row(
        "qos1::identifiers_do_not_run_out",
        &["2.2.1-4", "4.3.2-1"],
        &["2.3.1-4", "4.3.2-1"],
        reused,
    ),
];

fn unused_ids(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = context.client("p")?;
    let mut ids = HashSet::new();
    for number in 0..16 {
        publisher.publish(&topic, 1, &number.to_string())?;
        let publish = subscriber.expect_message(&topic, &number.to_string())?;
        same("QoS and DUP", (publish.qos, publish.dup), (1, false))?;
        ensure(publish.id != 0 && ids.insert(publish.id), || {
            format!("identifier {} again", publish.id)
        })?;
    }
    Ok(())
}

fn id_free_again(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = context.client("p")?;
    for number in 0..5 {
        let payload = number.to_string();
        publisher.exchange(
            Publish::new(context.version, &topic, &payload)
                .qos(1, 77)
                .bytes(),
            build::ack(PUBACK, 77),
        )?;
        let publish = subscriber.expect_message(&topic, &payload)?;
        subscriber.accept(&publish)?;
    }
    Ok(())
}

/// DUP doesn't make it an old one.
fn repeat_is_new(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = context.client("p")?;
    let publish = Publish::new(context.version, &topic, "x").qos(1, 8);
    publisher.complete(&publish)?;
    publisher.complete(&publish.dup())?;
    for _ in 0..2 {
        let publish = subscriber.expect_message(&topic, "x")?;
        same("DUP", publish.dup, false)?;
        subscriber.accept(&publish)?;
    }
    subscriber.quiet()
}

/// Whoever saw the PUBACK can leave at once: the message is in the sessions.
fn owned(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(&topic, 1)?;
    subscriber.cut();
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "x")?;
    publisher.cut();
    context
        .resumed(&persistent, true)?
        .expect_message(&topic, "x")
        .map(drop)
}

/// One identifier stays taken while thousands of others come and go.
fn reused(context: &Context) -> Outcome {
    const COUNT: usize = 3_000;
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 1)?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "kept")?;
    let kept = subscriber.expect_message(&topic, "kept")?.id;
    let publish = Publish::new(context.version, &topic, "x").qos(1, 9).bytes();
    for _ in 0..COUNT / 50 {
        publisher.send(publish.repeat(50))?;
        for _ in 0..50 {
            publisher.acknowledged(PUBACK, 9)?;
            let publish = subscriber.expect_message(&topic, "x")?;
            ensure(publish.id != kept && publish.id != 0, || {
                format!("identifier {} is taken", publish.id)
            })?;
            subscriber.accept(&publish)?;
        }
    }
    subscriber.send(build::ack(PUBACK, kept))?;
    subscriber.quiet()
}

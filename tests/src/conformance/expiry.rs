//! Rows on the Message Expiry Interval. Sections 3.3.2.3.3, 4.3.3 of MQTT 5.

use std::time::Duration;

use super::{Context, Row, row};
use crate::raw::build::{self, PUBCOMP, PUBREC, PUBREL, Publish, property};
use crate::raw::frame::find;
use crate::raw::{Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "expiry::is_passed_on_at_once_unaltered",
        &["3.3.2-6"],
        &[],
        at_once,
    ),
    row(
        "expiry::the_remaining_interval_is_sent",
        &["3.3.2-6"],
        &[],
        remaining,
    ),
    row(
        "expiry::an_expired_message_is_not_sent",
        &["3.3.2-5"],
        &[],
        expired,
    ),
    row(
        "expiry::an_expired_retained_message_is_not_sent",
        &["3.3.2-5"],
        &[],
        expired_retained,
    ),
    row(
        "expiry::does_not_touch_what_was_sent",
        &["4.3.3-7", "4.4.0-1"],
        &[],
        sent_before,
    ),
    row(
        "expiry::the_handshake_with_the_publisher_goes_on",
        &["4.3.3-13"],
        &[],
        handshake,
    ),
];

fn expiring(context: &Context, topic: &str, payload: &str, seconds: u32) -> Publish {
    Publish::new(context.version, topic, payload)
        .property(property::four(property::MESSAGE_EXPIRY, seconds))
}

fn seconds(publish: &Publish) -> Outcome<u32> {
    let properties = publish.property_list()?;
    let value = find(&properties, property::MESSAGE_EXPIRY).and_then(|bytes| bytes.try_into().ok());
    value
        .map(u32::from_be_bytes)
        .ok_or_else(|| crate::raw::Failure::new(format!("no interval in {publish:02X?}")))
}

fn at_once(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 1)?;
    for interval in [1_000, u32::MAX] {
        context
            .client("p")?
            .complete(&expiring(context, &topic, "x", interval))?;
        let left = seconds(&subscriber.expect_publish()?)?;
        ensure(left <= interval && left >= interval - 2, || {
            format!("{left} s left of {interval}")
        })?;
    }
    Ok(())
}

fn remaining(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(&topic, 1)?;
    subscriber.disconnect()?;
    context
        .client("p")?
        .complete(&expiring(context, &topic, "x", 100).qos(1, 1).retain())?;
    std::thread::sleep(Duration::from_millis(2_200));
    let mut late = context.client("late")?;
    late.subscribe(&topic, 1)?;
    for mut client in [context.resumed(&persistent, true)?, late] {
        let publish = client.expect_message(&topic, "x")?;
        let left = seconds(&publish)?;
        ensure((90..=98).contains(&left), || {
            format!("{left} s left of 100 after 2.2")
        })?;
        client.accept(&publish)?;
    }
    Ok(())
}

fn expired(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(&topic, 2)?;
    subscriber.disconnect()?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "first")?;
    publisher.complete(&expiring(context, &topic, "expires", 1).qos(1, 11))?;
    publisher.complete(&expiring(context, &topic, "expires", 1).qos(2, 12))?;
    publisher.complete(&expiring(context, &topic, "stays", 600).qos(1, 13))?;
    std::thread::sleep(Duration::from_millis(2_200));
    let mut subscriber = context.resumed(&persistent, true)?;
    for payload in ["first", "stays"] {
        let publish = subscriber.expect_message(&topic, payload)?;
        subscriber.accept(&publish)?;
    }
    subscriber.quiet()
}

fn expired_retained(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut publisher = context.client("p")?;
    publisher.complete(&expiring(context, &topic, "expires", 1).qos(1, 1).retain())?;
    let mut early = context.client("early")?;
    early.subscribe(&topic, 0)?;
    early.expect_message(&topic, "expires")?;
    std::thread::sleep(Duration::from_millis(2_200));
    let mut late = context.client("late")?;
    late.subscribe(&topic, 0)?;
    late.quiet()
}

/// A message that was sent once is sent again on resumption, expired or not.
fn sent_before(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(&topic, 2)?;
    context
        .client("p")?
        .complete(&expiring(context, &topic, "x", 1).qos(2, 1))?;
    let first = subscriber.expect_message(&topic, "x")?;
    subscriber.cut();
    std::thread::sleep(Duration::from_millis(2_200));
    let mut subscriber = context.resumed(&persistent, true)?;
    let again = subscriber.expect_message(&topic, "x")?;
    same(
        "identifier, QoS, DUP",
        (again.id, again.qos, again.dup),
        (first.id, 2, true),
    )?;
    subscriber.accept(&again)?;
    subscriber.quiet()
}

fn handshake(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut publisher = context.client("p")?;
    publisher.send(expiring(context, &topic, "x", 1).qos(2, 8).bytes())?;
    publisher.acknowledged(PUBREC, 8)?;
    std::thread::sleep(Duration::from_millis(2_200));
    publisher.exchange(build::ack(PUBREL, 8), build::ack(PUBCOMP, 8))
}

//! Sessions, and the connections that come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::client::{Message, Will};
use super::super::stage::{Player, Stage};
use crate::raw::{Outcome, Version, ensure, same};

/// Session taken over.
const TAKEN_OVER: u8 = 0x8E;

fn numbered(topic: &str, qos: u8, count: usize) -> (Vec<String>, Vec<Message>) {
    let texts: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let messages = texts
        .iter()
        .map(|text| Message::new(topic, text.as_bytes(), qos))
        .collect();
    (texts, messages)
}

pub(super) fn keeps_messages(stage: &Stage<'_>) -> Outcome {
    let topic = stage.topic("t");
    let mut subscriber = stage.client("sub")?;
    subscriber.connect_to_stay(false)?;
    subscriber.subscribe(&topic, stage.qos())?;
    subscriber.disconnect()?;

    let (texts, messages) = numbered(&topic, stage.qos(), 50);
    let mut publisher = stage.connected("pub")?;
    publisher.publish_all(&messages)?;
    subscriber.connect_to_stay(true)?;
    subscriber.expect_texts(&texts)?;
    subscriber.quiet()?;

    // Whatever was acknowledged doesn't come again.
    subscriber.disconnect()?;
    subscriber.connect_to_stay(true)?;
    subscriber.quiet()?;
    publisher.publish(&Message::new(&topic, "live", stage.qos()))?;
    subscriber.expect(&Message::new(&topic, "live", stage.qos()))?;

    // A clean start ends the session and its subscription.
    subscriber.disconnect()?;
    subscriber.connect_clean()?;
    publisher.publish(&Message::new(&topic, "late", stage.qos()))?;
    subscriber.quiet()
}

/// Repeats are allowed at QoS 1, in between and out of order; what is new comes in order.
pub(super) fn survives_cuts(stage: &Stage<'_>) -> Outcome {
    let (texts, seen, _) = seen_across_cuts(stage)?;
    let mut known = BTreeSet::new();
    let firsts: Vec<String> = seen
        .into_iter()
        .filter(|text| known.insert(text.clone()))
        .collect();
    same("messages", firsts, texts)
}

pub(super) fn survives_cuts_exactly_once(stage: &Stage<'_>) -> Outcome {
    let (texts, seen, mut subscriber) = seen_across_cuts(stage)?;
    same("messages", seen, texts)?;
    subscriber.quiet()
}

/// What was sent while the subscriber was away, what it saw until the last came, in connections that were cut, and
/// the subscriber.
fn seen_across_cuts(stage: &Stage<'_>) -> Outcome<(Vec<String>, Vec<String>, Player)> {
    let topic = stage.topic("t");
    let mut subscriber = stage.client("sub")?;
    subscriber.connect_to_stay(false)?;
    subscriber.subscribe(&topic, stage.qos())?;
    subscriber.cut()?;
    let (texts, messages) = numbered(&topic, stage.qos(), 300);
    stage.connected("pub")?.publish_all(&messages)?;

    let mut seen = Vec::new();
    for share in [20, 100] {
        subscriber.resume()?;
        for _ in 0..share {
            seen.push(subscriber.receive()?.text());
        }
        subscriber.cut()?;
    }
    subscriber.resume()?;
    while seen.last() != texts.last() {
        seen.push(subscriber.receive()?.text());
    }
    Ok((texts, seen, subscriber))
}

pub(super) fn keeps_order_per_qos(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.client("sub")?;
    subscriber.connect_to_stay(false)?;
    subscriber.subscribe(&stage.topic("#"), 2)?;
    subscriber.disconnect()?;
    let mut publisher = stage.connected("pub")?;
    let level = |index: usize| if index.is_multiple_of(2) { 1 } else { 2 };
    let messages: Vec<Message> = (0..40)
        .map(|index| Message::new(stage.topic("t"), index.to_string(), level(index)))
        .collect();
    publisher.publish_all(&messages)?;
    subscriber.connect_to_stay(true)?;
    let mut seen = Vec::new();
    for _ in &messages {
        seen.push(subscriber.receive()?);
    }
    subscriber.quiet()?;
    for qos in [1, 2] {
        let texts = |messages: &[Message]| -> Vec<String> {
            messages
                .iter()
                .filter(|message| message.qos == qos)
                .map(Message::text)
                .collect()
        };
        same("messages of one QoS", texts(&seen), texts(&messages))?;
    }
    Ok(())
}

pub(super) fn clean_keeps_nothing(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.client("sub")?;
    for _ in 0..2 {
        subscriber.connect_clean()?;
        subscriber.subscribe(&stage.topic("t"), 1)?;
        subscriber.quiet()?;
        subscriber.disconnect()?;
        stage
            .connected("pub")?
            .publish(&Message::new(stage.topic("t"), "missed", 1))?;
    }
    Ok(())
}

pub(super) fn second_client_takes_over(stage: &Stage<'_>) -> Outcome {
    let mut first = stage.connected("same")?;
    first.subscribe(&stage.topic("t"), 1)?;
    let mut second = stage.connected("same")?;
    first.expect_closed(TAKEN_OVER)?;
    let message = Message::new(stage.topic("t"), "x", 1);
    second.subscribe(&stage.topic("t"), 1)?;
    second.publish(&message)?;
    second.expect(&message)?;
    second.quiet()
}

pub(super) fn second_client_takes_session_over(stage: &Stage<'_>) -> Outcome {
    let topic = stage.topic("t");
    let mut first = stage.client("same")?;
    first.connect_to_stay(false)?;
    first.subscribe(&topic, stage.qos())?;
    let mut second = stage.client("same")?;
    second.connect_to_stay(true)?;
    first.expect_closed(TAKEN_OVER)?;
    let (texts, messages) = numbered(&topic, stage.qos(), 10);
    stage.connected("pub")?.publish_all(&messages)?;
    second.expect_texts(&texts)?;
    second.quiet()
}

pub(super) fn keep_alive_keeps_alive(stage: &Stage<'_>) -> Outcome {
    let keep_alive_s = stage.short_keep_alive_s();
    let mut subscriber = stage.client("sub")?;
    subscriber.options.keep_alive_s = keep_alive_s;
    subscriber.connect()?;
    subscriber.subscribe(&stage.topic("t"), 1)?;
    // Well beyond one and a half times the Keep Alive, and a ping late by a second.
    subscriber
        .quiet_for(Duration::from_secs(keep_alive_s.into()) * 2 + Duration::from_millis(500))?;
    let message = Message::new(stage.topic("t"), "still here", 1);
    stage.connected("pub")?.publish(&message)?;
    subscriber.expect(&message)
}

pub(super) fn nameless_client_is_named(stage: &Stage<'_>) -> Outcome {
    let mut clients = [stage.client("")?, stage.client("")?];
    let mut names = BTreeSet::new();
    for client in &mut clients {
        client.options.client_id.clear();
        let connected = client.connect()?;
        if stage.version() == Version::V5 {
            let name = connected.assigned_client_id.unwrap_or_default();
            ensure(!name.is_empty(), || "no Assigned Client Identifier".into())?;
            ensure(names.insert(name), || {
                "the same Assigned Client Identifier twice".into()
            })?;
        }
    }
    let message = Message::new(stage.topic("t"), "x", 1);
    let [first, second] = &mut clients;
    first.subscribe(&stage.topic("t"), 1)?;
    second.publish(&message)?;
    first.expect(&message)
}

/// MQTT 3.1, which devices in the field still speak: its CONNACK has no Session Present.
pub(super) fn devices_of_3_1_are_served(stage: &Stage<'_>) -> Outcome {
    let topic = stage.topic("t");
    let mut device = stage.client("device")?;
    device.options.version = 3;
    device.options.clean_start = false;
    let will = Message::new(&topic, "gone", stage.qos());
    device.options.will = Some(Will {
        message: will.clone(),
        delay_s: 0,
    });
    device.connect()?;
    device.subscribe(&topic, stage.qos())?;
    let mut publisher = stage.connected("pub")?;
    let live = Message::new(&topic, "live", stage.qos());
    publisher.publish(&live)?;
    device.expect(&live)?;

    let mut watcher = stage.connected("watcher")?;
    watcher.subscribe(&topic, 2)?;
    device.cut()?;
    watcher.expect(&will)?;
    let missed = Message::new(&topic, "missed", stage.qos());
    publisher.publish(&missed)?;
    device.connect()?;
    if stage.qos() > 0 {
        device.expect(&will)?;
        device.expect(&missed)?;
    }
    device.disconnect()
}

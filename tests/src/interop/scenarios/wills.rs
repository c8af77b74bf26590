//! Wills.

use super::super::client::{Message, Will};
use super::super::stage::{Player, Stage};
use crate::raw::Outcome;

/// A client with this Will. It subscribes, since mosquitto_sub has no other way to connect.
fn holder(stage: &Stage<'_>, message: &Message) -> Outcome<Player> {
    let mut holder = stage.client("holder")?;
    holder.options.will = Some(Will {
        message: message.clone(),
        delay_s: 0,
    });
    holder.connect()?;
    holder.subscribe(&stage.topic("own"), 0)?;
    Ok(holder)
}

pub(super) fn after_a_cut(stage: &Stage<'_>) -> Outcome {
    let will = Message::new(stage.topic("will"), "gone", stage.qos());
    let mut watcher = stage.connected("watcher")?;
    watcher.subscribe(&stage.topic("will"), 2)?;
    let mut holder = holder(stage, &will)?;
    watcher.quiet()?;
    holder.cut()?;
    watcher.expect(&will)?;
    watcher.quiet()
}

pub(super) fn that_is_retained(stage: &Stage<'_>) -> Outcome {
    let will = Message::new(stage.topic("will"), "gone", stage.qos()).retained();
    let mut watcher = stage.connected("watcher")?;
    watcher.subscribe(&stage.topic("will"), 2)?;
    holder(stage, &will)?.cut()?;
    watcher.expect(&Message {
        retain: false,
        ..will.clone()
    })?;
    let mut late = stage.connected("late")?;
    late.subscribe(&stage.topic("will"), 2)?;
    late.expect(&will)?;
    let mut publisher = stage.connected("pub")?;
    publisher.publish(&Message {
        payload: Vec::new(),
        ..will
    })
}

pub(super) fn none_after_disconnect(stage: &Stage<'_>) -> Outcome {
    let will = Message::new(stage.topic("will"), "gone", stage.qos());
    let mut watcher = stage.connected("watcher")?;
    watcher.subscribe(&stage.topic("will"), 2)?;
    holder(stage, &will)?.disconnect()?;
    watcher.quiet()?;
    let after = Message {
        payload: b"after".to_vec(),
        ..will
    };
    stage.connected("pub")?.publish(&after)?;
    watcher.expect(&after)
}

pub(super) fn after_leaving_with_it(stage: &Stage<'_>) -> Outcome {
    let will = Message::new(stage.topic("will"), "gone", stage.qos());
    let mut watcher = stage.connected("watcher")?;
    watcher.subscribe(&stage.topic("will"), 2)?;
    holder(stage, &will)?.disconnect()?;
    watcher.expect(&will)
}

//! Retained messages.

use super::super::client::Message;
use super::super::stage::Stage;
use crate::raw::{Outcome, same};

pub(super) fn set_replaced_cleared(stage: &Stage<'_>) -> Outcome {
    let topic = stage.topic("state");
    let message = |text: &str| Message::new(&topic, text, stage.qos());
    let mut live = stage.connected("live")?;
    live.subscribe(&topic, 2)?;
    let mut publisher = stage.connected("pub")?;
    for text in ["one", "two"] {
        publisher.publish(&message(text).retained())?;
        // Who was subscribed before sees an ordinary message.
        live.expect(&message(text))?;
    }
    let mut late = stage.connected("late")?;
    late.subscribe(&topic, 2)?;
    late.expect(&message("two").retained())?;

    publisher.publish(&message("").retained())?;
    live.expect(&message(""))?;
    late.expect(&message(""))?;
    let mut later = stage.connected("later")?;
    later.subscribe(&topic, 2)?;
    publisher.publish(&message("after"))?;
    later.expect(&message("after"))
}

pub(super) fn comes_by_wildcard(stage: &Stage<'_>) -> Outcome {
    let mut publisher = stage.connected("pub")?;
    let wanted = [
        "room/1/temperature",
        "room/2/temperature",
        "room//temperature",
    ]
    .map(|topic| stage.topic(topic));
    let others = [
        "room/1/humidity",
        "room/temperature",
        "room/1/2/temperature",
    ]
    .map(|topic| stage.topic(topic));
    let retained = |topic: &String| Message::new(topic, topic.as_bytes(), 1).retained();
    let all: Vec<Message> = wanted.iter().chain(&others).map(retained).collect();
    publisher.publish_all(&all)?;

    let mut subscriber = stage.connected("sub")?;
    subscriber.subscribe(&stage.topic("room/+/temperature"), 1)?;
    let mut seen = Vec::new();
    for _ in &wanted {
        let message = subscriber.receive()?;
        same("RETAIN", message.retain, true)?;
        same("payload", message.text(), message.topic.clone())?;
        seen.push(message.topic);
    }
    seen.sort();
    let mut expected = wanted.to_vec();
    expected.sort();
    same("topics", seen, expected)?;
    subscriber.quiet()?;

    let clear = |message: &Message| Message {
        payload: Vec::new(),
        ..message.clone()
    };
    publisher.publish_all(&all.iter().map(clear).collect::<Vec<_>>())
}

pub(super) fn comes_again_on_resubscribe(stage: &Stage<'_>) -> Outcome {
    let message = Message::new(stage.topic("state"), "on", 1).retained();
    let mut client = stage.connected("client")?;
    client.publish(&message)?;
    for _ in 0..3 {
        client.subscribe(&stage.topic("+"), 1)?;
        client.expect(&message)?;
    }
    client.quiet()?;
    client.publish(&Message {
        payload: Vec::new(),
        ..message
    })
}

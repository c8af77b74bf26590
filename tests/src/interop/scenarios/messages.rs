//! Messages from one client to another.

use super::super::client::Message;
use super::super::stage::Stage;
use crate::raw::Outcome;

pub(super) fn any_payload_and_topic_arrives(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    subscriber.subscribe(&stage.topic("#"), stage.qos())?;
    let mut publisher = stage.connected("pub")?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..100_000_u32)
        .map(|index| index.to_le_bytes()[1] ^ index.to_le_bytes()[0])
        .collect();
    let payloads: [(&str, &[u8]); 8] = [
        ("text", b"21.5"),
        ("empty", b""),
        ("binary", &every_byte),
        ("large", &large),
        ("température/été/日本/😀", "grüße".as_bytes()),
        ("with space / and more", b"\n"),
        ("/empty//levels/", b"x"),
        ("$dollar/inside", b"x"),
    ];
    for (topic, payload) in payloads {
        let message = Message::new(stage.topic(topic), payload, stage.qos());
        publisher.publish(&message)?;
        subscriber.expect(&message)?;
    }
    Ok(())
}

pub(super) fn delivery_has_the_lower_qos(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    subscriber.subscribe(&stage.topic("t"), stage.qos())?;
    let mut publisher = stage.connected("pub")?;
    for qos in 0..=2 {
        let message = Message::new(stage.topic("t"), "x", qos);
        publisher.publish(&message)?;
        subscriber.expect(&Message {
            qos: qos.min(stage.qos()),
            ..message
        })?;
    }
    Ok(())
}

pub(super) fn a_thousand_arrive_once_in_order(stage: &Stage<'_>) -> Outcome {
    let mut subscriber = stage.connected("sub")?;
    subscriber.subscribe(&stage.topic("many"), stage.qos())?;
    let mut publisher = stage.connected("pub")?;
    let texts: Vec<String> = (0..1000).map(|number| format!("number {number}")).collect();
    let message = |text: &String| Message::new(stage.topic("many"), text.as_bytes(), stage.qos());
    publisher.publish_all(&texts.iter().map(message).collect::<Vec<_>>())?;
    subscriber.expect_texts(&texts)?;
    subscriber.quiet()
}

pub(super) fn own_messages_come_back(stage: &Stage<'_>) -> Outcome {
    let mut client = stage.connected("both")?;
    client.subscribe(&stage.topic("echo"), stage.qos())?;
    let texts: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let message = |text: &String| Message::new(stage.topic("echo"), text.as_bytes(), stage.qos());
    client.publish_all(&texts.iter().map(message).collect::<Vec<_>>())?;
    client.expect_texts(&texts)?;
    client.quiet()
}

//! Two kinds of software and both versions at one broker.

use super::super::client::Message;
use super::super::stage::Stage;
use crate::raw::Outcome;

pub(super) fn meets(stage: &Stage<'_>) -> Outcome {
    let mut sender = stage.connected("sender")?;
    let retained = Message::new(stage.topic("state"), "on", 1).retained();
    sender.publish(&retained)?;
    let mut receiver = stage.connected_other("receiver")?;
    receiver.subscribe(&stage.topic("#"), 2)?;
    receiver.expect(&retained)?;
    let every_byte: Vec<u8> = (0..=255).collect();
    for qos in 0..=2 {
        for payload in ["grüße".as_bytes(), &every_byte, b""] {
            let message = Message::new(stage.topic("été/1"), payload, qos);
            sender.publish(&message)?;
            receiver.expect(&message)?;
        }
    }
    let cleared = Message {
        payload: Vec::new(),
        ..retained
    };
    sender.publish(&cleared)?;
    receiver.expect(&Message {
        retain: false,
        ..cleared
    })
}

//! Rows on order: of messages, repeats and acknowledgements. Section 4.6.

use super::{Context, Row, row};
use crate::raw::build::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use crate::raw::{Client, Outcome, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "order::messages_of_a_publisher",
        &["4.6.0-5", "4.6.0-6"],
        &["4.6.0-5", "4.6.0-6"],
        messages,
    ),
    row(
        "order::messages_that_were_queued",
        &["4.6.0-5", "4.6.0-6"],
        &["4.6.0-5", "4.6.0-6"],
        queued,
    ),
    row(
        "order::repeats",
        &["4.6.0-1", "4.4.0-1"],
        &["4.6.0-1"],
        repeats,
    ),
    row("order::puback", &["4.6.0-2"], &["4.6.0-2"], puback),
    row("order::pubrec", &["4.6.0-3"], &["4.6.0-3"], pubrec),
    row("order::pubrel", &["4.6.0-4"], &["4.6.0-4"], pubrel),
];

const COUNT: usize = 60;

/// All three QoS interleaved, in one go.
fn publish_all(context: &Context, topic: &str) -> Outcome {
    let mut publisher = context.client("p")?;
    let mut bytes = Vec::new();
    for number in 0..COUNT {
        for qos in [0, 1, 2] {
            let id = u16::try_from(number * 3 + usize::from(qos) + 1).unwrap_or(0);
            bytes.extend(
                Publish::new(context.version, topic, format!("{qos} {number}"))
                    .qos(qos, id)
                    .bytes(),
            );
        }
    }
    publisher.send(bytes)?;
    let (mut taken, mut completed) = (0, 0);
    while taken < COUNT * 2 || completed < COUNT {
        let frame = publisher.frame()?;
        match frame.first {
            PUBACK => taken += 1,
            PUBREC => {
                taken += 1;
                publisher.send(build::ack(PUBREL, frame.ack(PUBREC, context.version)?.id))?;
            }
            first => {
                same("first byte", first, PUBCOMP)?;
                completed += 1;
            }
        }
    }
    Ok(())
}

/// Everything came once, in the order of its QoS.
fn take_all(subscriber: &mut Client, lowest: u8) -> Outcome {
    let mut next = [0_usize; 3];
    let mut released = 0;
    let expected = COUNT * usize::from(3 - lowest);
    while next.iter().sum::<usize>() < expected || released < COUNT {
        let frame = subscriber.frame()?;
        if frame.first == PUBREL {
            let id = frame.ack(PUBREL, subscriber.version())?.id;
            subscriber.send(build::ack(PUBCOMP, id))?;
            released += 1;
            continue;
        }
        let publish = frame.publish(subscriber.version())?;
        let qos = usize::from(publish.qos);
        same(
            "payload",
            String::from_utf8_lossy(&publish.payload).into_owned(),
            format!("{qos} {}", next[qos]),
        )?;
        next[qos] += 1;
        match publish.qos {
            0 => {}
            1 => subscriber.send(build::ack(PUBACK, publish.id))?,
            _ => subscriber.send(build::ack(PUBREC, publish.id))?,
        }
    }
    subscriber.quiet()
}

fn messages(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    publish_all(context, &topic)?;
    take_all(&mut subscriber, 0)
}

fn queued(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(&topic, 2)?;
    subscriber.disconnect()?;
    publish_all(context, &topic)?;
    take_all(&mut context.resumed(&persistent, true)?, 1)
}

fn repeats(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    let mut sent = Vec::new();
    for number in 0..20 {
        publisher.publish(&topic, 1 + number % 2, &number.to_string())?;
        sent.push(subscriber.expect_message(&topic, &number.to_string())?);
    }
    // One from the middle is done, and the others keep their order around it.
    let done = sent.remove(10);
    subscriber.accept(&done)?;
    subscriber.quiet()?;
    subscriber.cut();
    publisher.publish(&topic, 1, "queued")?;
    let mut subscriber = context.resumed(&persistent, true)?;
    for first in sent {
        same(
            "repeat",
            subscriber.expect_publish()?.bytes(),
            first.dup().bytes(),
        )?;
    }
    subscriber.expect_message(&topic, "queued").map(drop)
}

fn burst(context: &Context, qos: u8) -> Vec<u8> {
    // Identifiers that don't ascend, so that sorting them would show.
    IDS.iter()
        .flat_map(|id| {
            Publish::new(context.version, context.topic("t"), "x")
                .qos(qos, *id)
                .bytes()
        })
        .collect()
}

const IDS: [u16; 8] = [30, 10, 65_535, 20, 1, 500, 2, 499];

fn puback(context: &Context) -> Outcome {
    let mut client = context.client("c")?;
    client.send(burst(context, 1))?;
    IDS.iter()
        .try_for_each(|id| client.acknowledged(PUBACK, *id))
}

fn pubrec(context: &Context) -> Outcome {
    let mut client = context.client("c")?;
    client.send(burst(context, 2))?;
    IDS.iter()
        .try_for_each(|id| client.acknowledged(PUBREC, *id))?;
    client.send(
        IDS.iter()
            .flat_map(|id| build::ack(PUBREL, *id))
            .collect::<Vec<_>>(),
    )?;
    IDS.iter()
        .try_for_each(|id| client.acknowledged(PUBCOMP, *id))
}

/// PUBREL follows the order of the PUBRECs, which isn't that of the messages here.
fn pubrel(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    let mut ids = Vec::new();
    for _ in 0..6 {
        publisher.publish(&topic, 2, "x")?;
        ids.push(subscriber.expect_message(&topic, "x")?.id);
    }
    ids.swap(0, 4);
    ids.swap(1, 5);
    subscriber.send(
        ids.iter()
            .flat_map(|id| build::ack(PUBREC, *id))
            .collect::<Vec<_>>(),
    )?;
    ids.iter()
        .try_for_each(|id| subscriber.acknowledged(PUBREL, *id))
}

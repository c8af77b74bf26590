//! Rows on Topic Alias in both directions. Sections 3.1.2.11.5, 3.2.2.3.8, 3.3.2.3.4 of MQTT 5.

use std::collections::HashMap;

use super::{Context, Row, row};
use crate::raw::build::{Publish, property};
use crate::raw::frame::find;
use crate::raw::{Client, Failure, Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "alias::all_up_to_the_maximum_are_accepted",
        &["3.3.2-12", "3.2.2-17"],
        &[],
        accepted,
    ),
    row(
        "alias::can_be_moved_to_another_topic",
        &["3.3.2-12"],
        &[],
        moved,
    ),
    row(
        "alias::above_the_maximum",
        &["3.3.2-9", "3.2.2-17", "4.13.1-1"],
        &[],
        above,
    ),
    row("alias::zero", &["3.3.2-8", "4.13.1-1"], &[], zero),
    row(
        "alias::one_that_was_never_set",
        &["3.3.2-7", "4.13.1-1"],
        &[],
        never_set,
    ),
    row(
        "alias::is_forgotten_with_the_connection",
        &["3.3.2-7"],
        &[],
        forgotten,
    ),
    row(
        "alias::the_broker_sends_none_unasked",
        &["3.1.2-27", "3.3.2-11"],
        &[],
        none_sent,
    ),
    row(
        "alias::the_broker_stays_below_the_maximum",
        &["3.1.2-26", "3.3.2-8", "3.3.2-11"],
        &[],
        sent_below_maximum,
    ),
    row(
        "alias::the_publishers_is_not_passed_on",
        &["3.1.2-27", "3.3.2-11"],
        &[],
        not_passed_on,
    ),
];

fn alias(number: u16) -> Vec<u8> {
    property::two(property::TOPIC_ALIAS, number)
}

fn accepted(context: &Context) -> Outcome {
    let mut client = context.client("c")?;
    client.subscribe(&context.topic("#"), 0)?;
    let topics: Vec<String> = (1..=32)
        .map(|number| context.topic(&format!("t{number}")))
        .collect();
    for (number, topic) in (1..).zip(&topics) {
        client.send(
            Publish::new(context.version, topic, "set")
                .property(alias(number))
                .bytes(),
        )?;
        client.expect(Publish::new(context.version, topic, "set").bytes())?;
    }
    for (number, topic) in (1..).zip(&topics) {
        client.send(
            Publish::new(context.version, "", "used")
                .property(alias(number))
                .bytes(),
        )?;
        client.expect(Publish::new(context.version, topic, "used").bytes())?;
    }
    Ok(())
}

fn moved(context: &Context) -> Outcome {
    let mut client = context.client("c")?;
    client.subscribe(&context.topic("#"), 0)?;
    for topic in ["a", "b", "a"].map(|topic| context.topic(topic)) {
        client.send(
            Publish::new(context.version, &topic, "set")
                .property(alias(3))
                .bytes(),
        )?;
        client.expect(Publish::new(context.version, &topic, "set").bytes())?;
        client.send(
            Publish::new(context.version, "", "used")
                .property(alias(3))
                .bytes(),
        )?;
        client.expect(Publish::new(context.version, &topic, "used").bytes())?;
    }
    Ok(())
}

fn above(context: &Context) -> Outcome {
    for number in [33, 0xFFFF] {
        let publish =
            Publish::new(context.version, context.topic("t"), "x").property(alias(number));
        context.rejects(&[("it", publish.bytes())], &[0x94])?;
    }
    Ok(())
}

fn zero(context: &Context) -> Outcome {
    let publish = |topic: &str| {
        Publish::new(context.version, topic, "x")
            .property(alias(0))
            .bytes()
    };
    context.rejects(
        &[
            ("with a topic", publish(&context.topic("t"))),
            ("alone", publish("")),
        ],
        &[0x94],
    )
}

fn never_set(context: &Context) -> Outcome {
    context.rejects(
        &[(
            "it",
            Publish::new(context.version, "", "x")
                .property(alias(1))
                .bytes(),
        )],
        &[0x82],
    )
}

fn forgotten(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("c").persistent();
    let mut client = context.resumed(&persistent, false)?;
    client.complete(&Publish::new(context.version, &topic, "x").property(alias(1)))?;
    client.complete(&Publish::new(context.version, "", "x").property(alias(1)))?;
    client.disconnect()?;
    let mut client = context.resumed(&persistent, true)?;
    client.send(
        Publish::new(context.version, "", "x")
            .property(alias(1))
            .bytes(),
    )?;
    client.expect_rejected(&[0x82])
}

/// Messages on a few topics again and again, which is when a broker would use aliases.
fn chatter(context: &Context, subscriber: &mut Client, maximum: u16) -> Outcome {
    let topics: Vec<String> = (0..4)
        .map(|number| context.topic(&format!("a/rather/long/topic/{number}")))
        .collect();
    subscriber.subscribe(&context.topic("#"), 1)?;
    let mut publisher = context.client("p")?;
    let mut known: HashMap<u16, Vec<u8>> = HashMap::new();
    for round in 0..5 {
        for topic in &topics {
            publisher.publish(topic, round % 2, "x")?;
            let publish = subscriber.expect_publish()?;
            let properties = publish.property_list()?;
            let number = find(&properties, property::TOPIC_ALIAS)
                .and_then(|bytes| bytes.try_into().ok())
                .map(u16::from_be_bytes);
            let meant = match number {
                None => publish.topic.clone(),
                Some(number) => {
                    ensure((1..=maximum).contains(&number), || {
                        format!("alias {number} of at most {maximum}")
                    })?;
                    if !publish.topic.is_empty() {
                        known.insert(number, publish.topic.clone());
                    }
                    known
                        .get(&number)
                        .cloned()
                        .ok_or_else(|| Failure::new(format!("alias {number} means nothing")))?
                }
            };
            same("topic", meant, topic.clone().into_bytes())?;
            subscriber.accept(&publish)?;
        }
    }
    subscriber.quiet()
}

fn none_sent(context: &Context) -> Outcome {
    chatter(context, &mut context.client("s")?, 0)?;
    let zero = context
        .hello("s")
        .property(property::two(property::TOPIC_ALIAS_MAXIMUM, 0));
    chatter(context, &mut context.accepted(&zero)?.0, 0)
}

fn sent_below_maximum(context: &Context) -> Outcome {
    for maximum in [1, 2, 10] {
        let connect = context
            .hello("s")
            .property(property::two(property::TOPIC_ALIAS_MAXIMUM, maximum));
        chatter(context, &mut context.accepted(&connect)?.0, maximum)?;
    }
    Ok(())
}

fn not_passed_on(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 0)?;
    let mut publisher = context.client("p")?;
    for name in [topic.as_str(), ""] {
        publisher.complete(&Publish::new(context.version, name, "x").property(alias(5)))?;
        subscriber.expect(Publish::new(context.version, &topic, "x").bytes())?;
    }
    Ok(())
}

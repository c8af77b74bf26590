//! Rows on the properties of PUBLISH that are passed on unaltered. Sections 3.3.2.3.2 and .5 to .9 of MQTT 5.

use super::{Context, Row, row};
use crate::raw::build::{Publish, property};
use crate::raw::frame::Property;
use crate::raw::{Outcome, Version, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "property::all_are_passed_on",
        &[
            "3.3.2-4", "3.3.2-15", "3.3.2-16", "3.3.2-17", "3.3.2-18", "3.3.2-20",
        ],
        &[],
        all,
    ),
    row(
        "property::payload_format_is_passed_on",
        &["3.3.2-4"],
        &[],
        payload_format,
    ),
    row(
        "property::user_properties_keep_their_order",
        &["3.3.2-17", "3.3.2-18"],
        &[],
        user_properties,
    ),
    row(
        "property::all_are_passed_on_when_retained_or_queued",
        &[
            "3.3.2-4", "3.3.2-15", "3.3.2-16", "3.3.2-17", "3.3.2-18", "3.3.2-20",
        ],
        &[],
        retained_and_queued,
    ),
    row(
        "property::a_response_topic_with_wildcards",
        &["3.3.2-14"],
        &[],
        response_topic_wildcards,
    ),
    row(
        "property::none_reach_a_3_1_1_subscriber",
        &["3.3.2-17"],
        &[],
        not_in_3_1_1,
    ),
    row(
        "property::values_out_of_range",
        &["4.13.1-1"],
        &[],
        out_of_range,
    ),
];

/// Fails unless `seen` has the same properties: User Properties in the same order, the others in any.
#[track_caller]
pub(super) fn same_properties(seen: &Publish, expected: &Publish) -> Outcome {
    let split = |publish: &Publish| -> Outcome<(Vec<Property>, Vec<Property>)> {
        let (user, mut others): (Vec<_>, Vec<_>) = publish
            .property_list()?
            .into_iter()
            .partition(|item| item.0 == property::USER_PROPERTY);
        others.sort();
        Ok((user, others))
    };
    same("properties", split(seen)?, split(expected)?)
}

fn full(version: Version, topic: &str) -> Publish {
    Publish::new(version, topic, "{}")
        .property(property::user("z", "1"))
        .property(property::text(property::RESPONSE_TOPIC, "an/answer/\u{E9}"))
        .property(property::byte(property::PAYLOAD_FORMAT, 1))
        .property(property::user("a", "2"))
        .property(property::text(
            property::CORRELATION_DATA,
            [0, 0xFF, 0x80, 0],
        ))
        .property(property::user("z", "1"))
        .property(property::text(property::CONTENT_TYPE, "application/json"))
        .property(property::user("", ""))
}

fn all(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscribers = Vec::new();
    for name in ["one", "two"] {
        let mut subscriber = context.client(name)?;
        subscriber.subscribe(&topic, 2)?;
        subscribers.push(subscriber);
    }
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        let publish = full(context.version, &topic).qos(qos, 3);
        publisher.complete(&publish)?;
        for subscriber in &mut subscribers {
            let seen = subscriber.expect_message(&topic, "{}")?;
            same_properties(&seen, &publish)?;
            subscriber.accept(&seen)?;
        }
    }
    Ok(())
}

fn payload_format(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 0)?;
    let mut publisher = context.client("p")?;
    // Present with 0 isn't the same bytes as absent, and neither is changed into the other.
    for properties in [
        property::byte(property::PAYLOAD_FORMAT, 0),
        property::byte(property::PAYLOAD_FORMAT, 1),
        vec![],
    ] {
        let publish = Publish::new(context.version, &topic, "text").property(properties);
        publisher.complete(&publish)?;
        same_properties(&subscriber.expect_publish()?, &publish)?;
    }
    Ok(())
}

fn user_properties(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 0)?;
    let mut publish = Publish::new(context.version, &topic, "x");
    for number in 0..60 {
        publish = publish.property(property::user(
            format!("n{}", number % 7),
            format!("v{}", 60 - number),
        ));
    }
    context.client("p")?.complete(&publish)?;
    same_properties(&subscriber.expect_publish()?, &publish)
}

fn retained_and_queued(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(&topic, 1)?;
    subscriber.disconnect()?;
    let publish = full(context.version, &topic).qos(1, 3).retain();
    context.client("p")?.complete(&publish)?;
    let mut late = context.client("late")?;
    late.subscribe(&topic, 1)?;
    for mut client in [late, context.resumed(&persistent, true)?] {
        let seen = client.expect_message(&topic, "{}")?;
        same_properties(&seen, &publish)?;
        client.accept(&seen)?;
    }
    Ok(())
}

fn response_topic_wildcards(context: &Context) -> Outcome {
    for topic in ["#", "a/#", "+", "a/+/b"] {
        let publish = Publish::new(context.version, context.topic("t"), "x");
        let publish = publish.property(property::text(property::RESPONSE_TOPIC, topic));
        context.rejects(&[(topic, publish.bytes())], &[0x81, 0x82, 0x90])?;
    }
    Ok(())
}

/// A subscriber of the other version gets the message without what its version has no place for.
fn not_in_3_1_1(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let old = Context {
        version: Version::V311,
        ..context.clone()
    };
    let mut subscriber = old.client("old")?;
    subscriber.subscribe(&topic, 0)?;
    context
        .client("p")?
        .complete(&full(context.version, &topic))?;
    subscriber.expect(Publish::new(Version::V311, &topic, "{}").bytes())
}

fn out_of_range(context: &Context) -> Outcome {
    let twice = |property: Vec<u8>| [&property[..], &property].concat();
    let cases = [
        (
            "Payload Format Indicator of 2",
            property::byte(property::PAYLOAD_FORMAT, 2),
        ),
        (
            "Message Expiry Interval twice",
            twice(property::four(property::MESSAGE_EXPIRY, 9)),
        ),
        (
            "Content Type twice",
            twice(property::text(property::CONTENT_TYPE, "a")),
        ),
        (
            "Response Topic twice",
            twice(property::text(property::RESPONSE_TOPIC, "a")),
        ),
        (
            "Correlation Data twice",
            twice(property::text(property::CORRELATION_DATA, "a")),
        ),
        (
            "Topic Alias twice",
            twice(property::two(property::TOPIC_ALIAS, 1)),
        ),
        (
            "Will Delay Interval",
            property::four(property::WILL_DELAY, 1),
        ),
        (
            "Reason String",
            property::text(property::REASON_STRING, "x"),
        ),
    ];
    for (case, bytes) in cases {
        let publish = Publish::new(context.version, context.topic("t"), "x").property(bytes);
        context.rejects(&[(case, publish.bytes())], &[0x81, 0x82])?;
    }
    Ok(())
}

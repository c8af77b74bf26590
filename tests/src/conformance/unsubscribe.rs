//! Rows on UNSUBSCRIBE and UNSUBACK. Sections 3.10, 3.11.

use super::{Context, Row, row};
use crate::raw::build::{self, PUBACK, PUBCOMP, PUBREC, PUBREL};
use crate::raw::{Client, Outcome, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "unsubscribe::is_answered_by_unsuback",
        &["3.10.4-4", "3.10.4-5", "3.11.3-2"],
        &["3.10.4-4", "3.10.4-5"],
        answered,
    ),
    row(
        "unsubscribe::without_a_filter",
        &["3.10.3-2", "4.13.1-1"],
        &["3.10.3-2", "4.8.0-1"],
        without_filter,
    ),
    row(
        "unsubscribe::compares_character_by_character",
        &["3.10.4-1", "4.7.3-4"],
        &["3.10.4-1", "4.7.3-4"],
        exact,
    ),
    row(
        "unsubscribe::stops_new_messages",
        &["3.10.4-2"],
        &["3.10.4-2"],
        stops,
    ),
    row(
        "unsubscribe::what_was_sent_is_completed",
        &["3.10.4-3", "4.4.0-1"],
        &["3.10.4-3", "4.4.0-1"],
        completes,
    ),
    row(
        "unsubscribe::many_filters_get_one_answer_in_order",
        &["3.10.4-6", "3.11.3-1", "3.11.3-2"],
        &["3.10.4-6"],
        many,
    ),
    row(
        "unsubscribe::ends_a_shared_subscription",
        &["3.10.4-1", "3.10.4-2"],
        &[],
        shared,
    ),
];

/// Unsubscribes from these filters and expects these codes, which 3.1.1 doesn't have.
#[track_caller]
fn unsubscribe(client: &mut Client, filters: &[&str], codes: &[u8]) -> Outcome {
    let (id, version) = (client.fresh_id(), client.version());
    let codes = if version == crate::raw::Version::V5 {
        codes
    } else {
        &[]
    };
    client.exchange(
        build::unsubscribe(version, id, filters),
        build::suback(0xB0, version, id, codes),
    )
}

fn answered(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    unsubscribe(&mut client, &[&topic], &[0x11])?;
    client.subscribe(&topic, 1)?;
    unsubscribe(&mut client, &[&topic], &[0])?;
    unsubscribe(&mut client, &[&topic], &[0x11])?;
    client.quiet()
}

fn without_filter(context: &Context) -> Outcome {
    context.rejects(
        &[("UNSUBSCRIBE", build::unsubscribe(context.version, 1, &[]))],
        &[0x81, 0x82],
    )
}

fn exact(context: &Context) -> Outcome {
    let topic = context.topic("a/b");
    let mut client = context.client("c")?;
    client.subscribe(&context.topic("a/+"), 0)?;
    // They match the same topics, they match it, or they differ in one character.
    for filter in ["a/#", "a/b", "#", "+/+", "A/+", "a/+/", "a/+/+", "/a/+"] {
        unsubscribe(&mut client, &[&context.topic(filter)], &[0x11])?;
    }
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 0, "still")?;
    client.expect_message(&topic, "still")?;
    unsubscribe(&mut client, &[&context.topic("a/+")], &[0])?;
    publisher.publish(&topic, 0, "gone")?;
    client.quiet()
}

fn stops(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("c").persistent();
    let mut client = context.resumed(&persistent, false)?;
    client.subscribe(&topic, 2)?;
    client.subscribe(&context.topic("other"), 1)?;
    unsubscribe(&mut client, &[&topic], &[0])?;
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        publisher.publish(&topic, qos, "x")?;
    }
    client.quiet()?;
    client.disconnect()?;
    // For the stored session as well, and only for that filter.
    publisher.publish(&topic, 1, "x")?;
    publisher.publish(&context.topic("other"), 1, "y")?;
    let mut client = context.resumed(&persistent, true)?;
    let publish = client.expect_message(&context.topic("other"), "y")?;
    client.accept(&publish)?;
    client.quiet()
}

fn completes(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let persistent = context.hello("c").persistent();
    let mut client = context.resumed(&persistent, false)?;
    client.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "1")?;
    publisher.publish(&topic, 2, "2")?;
    let one = client.expect_message(&topic, "1")?;
    let two = client.expect_message(&topic, "2")?;
    unsubscribe(&mut client, &[&topic], &[0])?;
    client.cut();
    let mut client = context.resumed(&persistent, true)?;
    for sent in [&one, &two] {
        same(
            "repeat",
            client.expect_publish()?.bytes(),
            sent.clone().dup().bytes(),
        )?;
    }
    client.send(build::ack(PUBACK, one.id))?;
    client.exchange(build::ack(PUBREC, two.id), build::ack(PUBREL, two.id))?;
    client.send(build::ack(PUBCOMP, two.id))?;
    client.quiet()
}

fn many(context: &Context) -> Outcome {
    let filters: Vec<String> = (0..5)
        .map(|number| context.topic(&format!("t/{number}")))
        .collect();
    let mut client = context.client("c")?;
    for number in [1, 3] {
        client.subscribe(&filters[number], 0)?;
    }
    let names: Vec<&str> = filters
        .iter()
        .map(String::as_str)
        .chain([filters[1].as_str()])
        .collect();
    unsubscribe(&mut client, &names, &[0x11, 0, 0x11, 0, 0x11, 0x11])?;
    let mut publisher = context.client("p")?;
    for topic in &filters {
        publisher.publish(topic, 0, "x")?;
    }
    client.quiet()
}

fn shared(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let filter = format!("$share/group/{topic}");
    let mut client = context.client("c")?;
    client.subscribe(&filter, 0)?;
    client.subscribe(&topic, 0)?;
    let mut publisher = context.client("p")?;
    unsubscribe(&mut client, &[&format!("$share/other/{topic}")], &[0x11])?;
    publisher.publish(&topic, 0, "both")?;
    client.expect_message(&topic, "both")?;
    client.expect_message(&topic, "both")?;
    unsubscribe(&mut client, &[&filter], &[0])?;
    publisher.publish(&topic, 0, "one")?;
    client.expect_message(&topic, "one")?;
    client.quiet()
}

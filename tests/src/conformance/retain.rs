//! Rows on retained messages, Retain Handling and Retain As Published. Sections 3.3.1.3, 3.8.3.1.

use super::{Context, Row, row};
use crate::raw::build::{self, Publish};
use crate::raw::{Client, Outcome, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "retain::is_stored_for_later_subscribers",
        &["3.3.1-5", "3.3.1-9"],
        &["3.3.1-5", "3.3.1-6", "3.3.1-8"],
        stored,
    ),
    row(
        "retain::is_stored_with_its_qos",
        &["3.3.1-5", "3.8.4-8"],
        &["3.3.1-5", "3.8.4-6"],
        stored_qos,
    ),
    row(
        "retain::the_latest_replaces_the_one_before",
        &["3.3.1-5"],
        &["3.3.1-5", "3.3.1-6"],
        replaced,
    ),
    row(
        "retain::qos_0_replaces_the_one_before",
        &["3.3.1-5"],
        &["3.3.1-7"],
        qos_0_replaces,
    ),
    row(
        "retain::an_empty_payload_clears_it",
        &["3.3.1-6", "3.3.1-7"],
        &["3.3.1-10", "3.3.1-11"],
        cleared,
    ),
    row(
        "retain::a_message_without_the_flag_leaves_it_alone",
        &["3.3.1-8"],
        &["3.3.1-12"],
        left_alone,
    ),
    row(
        "retain::is_0_towards_subscribers_that_were_there",
        &["3.3.1-12"],
        &["3.3.1-9"],
        flag_0_when_live,
    ),
    row(
        "retain::retain_as_published",
        &["3.3.1-13", "3.3.1-12"],
        &[],
        as_published,
    ),
    row(
        "retain::handling_0_sends",
        &["3.3.1-9", "3.8.4-4"],
        &[],
        handling_0,
    ),
    row(
        "retain::handling_1_sends_once",
        &["3.3.1-10"],
        &[],
        handling_1,
    ),
    row(
        "retain::handling_2_never_sends",
        &["3.3.1-11"],
        &[],
        handling_2,
    ),
    row(
        "retain::handling_3",
        &["3.8.3-5", "4.13.1-1"],
        &[],
        handling_3,
    ),
    row(
        "retain::wildcards_find_all_that_match",
        &["3.3.1-9", "4.7.2-1"],
        &["3.3.1-6", "4.7.2-1"],
        wildcards,
    ),
    row(
        "retain::is_sent_again_when_subscribed_again",
        &["3.8.4-4"],
        &["3.8.4-3"],
        again,
    ),
];

fn expect_retained(client: &mut Client, topic: &str, payload: &str, qos: u8) -> Outcome {
    let publish = client.expect_message(topic, payload)?;
    same(
        "RETAIN, QoS, DUP",
        (publish.retain, publish.qos, publish.dup),
        (true, qos, false),
    )?;
    client.accept(&publish)
}

fn late(context: &Context, filter: &str, options: u8) -> Outcome<Client> {
    let mut client = context.client("late")?;
    client.subscribe(filter, options)?;
    Ok(client)
}

fn stored(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        publisher.retain(&topic, qos, "kept")?;
        for _ in 0..2 {
            let mut subscriber = late(context, &topic, 2)?;
            expect_retained(&mut subscriber, &topic, "kept", qos)?;
            subscriber.quiet()?;
        }
    }
    Ok(())
}

fn stored_qos(context: &Context) -> Outcome {
    let topic = context.topic("t");
    context.client("p")?.retain(&topic, 2, "kept")?;
    for granted in [0, 1, 2] {
        expect_retained(
            &mut late(context, &topic, granted)?,
            &topic,
            "kept",
            granted,
        )?;
    }
    Ok(())
}

fn replaced(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut publisher = context.client("p")?;
    publisher.retain(&topic, 2, "old")?;
    publisher.retain(&topic, 1, "new")?;
    let mut subscriber = late(context, &topic, 2)?;
    expect_retained(&mut subscriber, &topic, "new", 1)?;
    subscriber.quiet()
}

fn qos_0_replaces(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut publisher = context.client("p")?;
    publisher.retain(&topic, 2, "old")?;
    publisher.retain(&topic, 0, "new")?;
    let mut subscriber = late(context, &topic, 2)?;
    expect_retained(&mut subscriber, &topic, "new", 0)?;
    subscriber.quiet()
}

fn cleared(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        publisher.retain(&topic, 1, "kept")?;
        let mut there = late(context, &topic, 2)?;
        expect_retained(&mut there, &topic, "kept", 1)?;
        publisher.retain(&topic, qos, "")?;
        let publish = there.expect_message(&topic, "")?;
        same(
            "RETAIN and QoS",
            (publish.retain, publish.qos),
            (false, qos),
        )?;
        there.accept(&publish)?;
        late(context, &topic, 2)?.quiet()?;
    }
    // There is nothing to clear, and it is a message all the same.
    let mut there = context.client("there")?;
    there.subscribe(&topic, 0)?;
    publisher.retain(&topic, 0, "")?;
    there.expect_message(&topic, "")?;
    late(context, &topic, 2)?.quiet()
}

fn left_alone(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "not kept")?;
    late(context, &topic, 1)?.quiet()?;
    publisher.retain(&topic, 1, "kept")?;
    for (qos, payload) in [(0, "passing"), (1, "passing"), (2, "passing"), (1, "")] {
        publisher.publish(&topic, qos, payload)?;
        let mut subscriber = late(context, &topic, 1)?;
        expect_retained(&mut subscriber, &topic, "kept", 1)?;
        subscriber.quiet()?;
    }
    Ok(())
}

fn flag_0_when_live(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        publisher.retain(&topic, qos, "kept")?;
        let publish = subscriber.expect_message(&topic, "kept")?;
        same(
            "RETAIN and QoS",
            (publish.retain, publish.qos),
            (false, qos),
        )?;
        subscriber.accept(&publish)?;
    }
    Ok(())
}

/// Retain As Published is bit 3 of the options.
fn as_published(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 0x08 | 1)?;
    let mut publisher = context.client("p")?;
    publisher.retain(&topic, 1, "kept")?;
    publisher.publish(&topic, 1, "passing")?;
    publisher.retain(&topic, 1, "")?;
    for (payload, retain) in [("kept", true), ("passing", false), ("", true)] {
        let publish = subscriber.expect_message(&topic, payload)?;
        same("RETAIN", publish.retain, retain)?;
        subscriber.accept(&publish)?;
    }
    Ok(())
}

/// Retain Handling is bits 4 and 5 of the options.
fn handling_0(context: &Context) -> Outcome {
    let topic = context.topic("t");
    context.client("p")?.retain(&topic, 0, "kept")?;
    let mut subscriber = context.client("s")?;
    for _ in 0..3 {
        subscriber.subscribe(&topic, 0)?;
        expect_retained(&mut subscriber, &topic, "kept", 0)?;
    }
    subscriber.quiet()
}

fn handling_1(context: &Context) -> Outcome {
    let topic = context.topic("t");
    context.client("p")?.retain(&topic, 0, "kept")?;
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 0x10)?;
    expect_retained(&mut subscriber, &topic, "kept", 0)?;
    subscriber.subscribe(&topic, 0x10 | 1)?;
    subscriber.quiet()?;
    let id = subscriber.fresh_id();
    subscriber.exchange(
        build::unsubscribe(context.version, id, &[&topic]),
        build::suback(0xB0, context.version, id, &[0]),
    )?;
    subscriber.subscribe(&topic, 0x10)?;
    expect_retained(&mut subscriber, &topic, "kept", 0)?;
    subscriber.quiet()
}

fn handling_2(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut publisher = context.client("p")?;
    publisher.retain(&topic, 0, "kept")?;
    let mut subscriber = context.client("s")?;
    for _ in 0..2 {
        subscriber.subscribe(&topic, 0x20)?;
        subscriber.quiet()?;
    }
    publisher.publish(&topic, 0, "live")?;
    subscriber.expect_message(&topic, "live").map(drop)
}

fn handling_3(context: &Context) -> Outcome {
    let subscribe = build::subscribe(context.version, 1, &[(&context.topic("t"), 0x30)]);
    context.rejects(&[("Retain Handling 3", subscribe)], &[0x81, 0x82])
}

fn wildcards(context: &Context) -> Outcome {
    let topics = ["a", "a/b", "a/b/c", "d", "a//c", "a/$x"];
    let mut publisher = context.client("p")?;
    for topic in topics {
        publisher.retain(&context.topic(topic), 0, topic)?;
    }
    let hidden = format!("$hidden/{}", context.topic("x"));
    publisher.retain(&hidden, 0, "hidden")?;
    for (filter, expected) in [
        ("#", &topics[..]),
        ("+", &["a", "d"]),
        ("a/#", &["a", "a/b", "a/b/c", "a//c", "a/$x"]),
        ("+/+", &["a/b", "a/$x"]),
        ("a/+/c", &["a/b/c", "a//c"]),
        ("a/b/c/#", &["a/b/c"]),
        ("e/#", &[]),
    ] {
        let mut subscriber = late(context, &context.topic(filter), 0)?;
        let mut seen = Vec::new();
        for _ in expected {
            let publish = subscriber.expect_publish()?;
            same("RETAIN", publish.retain, true)?;
            same(
                "topic",
                publish.topic,
                context
                    .topic(&String::from_utf8_lossy(&publish.payload))
                    .into_bytes(),
            )?;
            seen.push(publish.payload);
        }
        subscriber.quiet()?;
        let mut expected: Vec<Vec<u8>> = expected
            .iter()
            .map(|topic| topic.as_bytes().to_vec())
            .collect();
        seen.sort();
        expected.sort();
        same(filter, seen, expected)?;
    }
    // A wildcard at the beginning doesn't find it, its own beginning does.
    late(context, &format!("+/{}", context.topic("x")), 0)?.quiet()?;
    expect_retained(
        &mut late(context, &format!("$hidden/{}", context.topic("#")), 0)?,
        &hidden,
        "hidden",
        0,
    )?;
    publisher.complete(&Publish::new(context.version, &hidden, "").retain())
}

fn again(context: &Context) -> Outcome {
    let topic = context.topic("t");
    context.client("p")?.retain(&topic, 1, "kept")?;
    let mut subscriber = context.client("s")?;
    for granted in [0, 1, 1] {
        subscriber.subscribe(&topic, granted)?;
        expect_retained(&mut subscriber, &topic, "kept", granted)?;
    }
    subscriber.quiet()
}

//! Rows on Topic Names and Topic Filters: wildcards, `$`, characters, lengths. Section 4.7.

use super::{Context, Row, row};
use crate::raw::build::{self, Publish};
use crate::raw::{Outcome, PATIENCE, Received, Version, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "topic::filters_match_what_they_should",
        &["3.3.2-3", "4.7.1-1", "4.7.1-2"],
        &["3.3.2-3", "4.7.1-2", "4.7.1-3"],
        matching,
    ),
    row(
        "topic::misplaced_wildcards_in_a_filter",
        &["4.7.1-1", "4.7.1-2"],
        &["4.7.1-2", "4.7.1-3"],
        misplaced,
    ),
    row(
        "topic::misplaced_wildcards_in_unsubscribe",
        &["4.7.1-1", "4.7.1-2"],
        &["4.7.1-2", "4.7.1-3"],
        misplaced_in_unsubscribe,
    ),
    row(
        "topic::a_filter_of_no_characters",
        &["4.7.3-1"],
        &["4.7.3-1"],
        empty_filter,
    ),
    row(
        "topic::wildcards_do_not_find_dollar_topics",
        &["4.7.2-1"],
        &["4.7.2-1"],
        dollar,
    ),
    row(
        "topic::is_not_normalized",
        &["4.7.3-4"],
        &["4.7.3-4"],
        not_normalized,
    ),
    row(
        "topic::of_65_535_bytes",
        &["4.7.3-3"],
        &["4.7.3-3"],
        longest,
    ),
];

fn matching(context: &Context) -> Outcome {
    let topics = [
        "a",
        "a/b",
        "a/b/c",
        "/a",
        "a/",
        "/",
        "a//b",
        "b",
        "a b",
        "\u{1F9AD}/b",
        "b/a/b",
    ];
    let filters: &[(&str, &[&str])] = &[
        ("#", &topics),
        ("+", &["a", "b", "a b"]),
        ("a", &["a"]),
        ("a/#", &["a", "a/b", "a/b/c", "a/", "a//b"]),
        ("a/+", &["a/b", "a/"]),
        ("a/+/#", &["a/b", "a/b/c", "a/", "a//b"]),
        ("+/b", &["a/b", "\u{1F9AD}/b"]),
        ("/+", &["/a", "/"]),
        ("+/+", &["a/b", "/a", "a/", "/", "\u{1F9AD}/b"]),
        ("+/+/+", &["a/b/c", "a//b", "b/a/b"]),
        ("a/+/b", &["a//b"]),
        ("+/#", &topics),
        ("/#", &["/a", "/"]),
        ("a b", &["a b"]),
        ("a/b/c/#", &["a/b/c"]),
        ("a/b/c/+", &[]),
    ];
    let mut publisher = context.client("p")?;
    for (filter, expected) in filters {
        let mut subscriber = context.client("s")?;
        subscriber.subscribe(&context.topic(filter), 0)?;
        for topic in topics {
            publisher.publish(&context.topic(topic), 0, "x")?;
        }
        for topic in *expected {
            let seen = subscriber
                .expect_publish()
                .map_err(|failure| failure.in_case(filter))?;
            same(
                filter,
                String::from_utf8_lossy(&seen.topic).into_owned(),
                context.topic(topic),
            )?;
        }
        subscriber
            .quiet()
            .map_err(|failure| failure.in_case(filter))?;
    }
    Ok(())
}

const MISPLACED: &[&str] = &[
    "a#", "a/b#", "#/a", "a/#/b", "##", "#+", "a+", "+a", "a/b+/c", "a/+b/c", "++", "+#", "a/#b",
];

/// Either answer says no: a SUBACK that refuses the filter, or the end of the connection.
fn refused(context: &Context, case: &str, subscribe: &[u8]) -> Outcome {
    let mut client = context.client("c")?;
    client.send(subscribe)?;
    match client.receive(PATIENCE)? {
        Received::Closed if context.version == Version::V311 => Ok(()),
        Received::Frame(frame) if frame.first == 0x90 => {
            let codes = frame.suback(0x90, context.version)?.2;
            let expected = if context.is_v5() { 0x8F } else { 0x80 };
            same(case, codes, vec![expected])?;
            client.ping()
        }
        Received::Frame(frame) if frame.first == 0xE0 && context.is_v5() => {
            let code = frame.reason(0xE0)?.code;
            ensure([0x81, 0x82, 0x8F].contains(&code), || {
                format!("[{case}] DISCONNECT with {code:#04X}")
            })?;
            client.expect_closed()
        }
        other => ensure(false, || format!("[{case}] {other:02X?}")),
    }
}

fn misplaced(context: &Context) -> Outcome {
    for filter in MISPLACED {
        refused(
            context,
            filter,
            &build::subscribe(context.version, 1, &[(filter, 0)]),
        )?;
    }
    Ok(())
}

/// Nobody can have subscribed to it, so an answer that says so is as good as the end of the connection.
fn misplaced_in_unsubscribe(context: &Context) -> Outcome {
    for filter in MISPLACED {
        let mut client = context.client("c")?;
        client.send(build::unsubscribe(context.version, 1, &[filter]))?;
        match client.receive(PATIENCE)? {
            Received::Closed if context.version == Version::V311 => {}
            Received::Frame(frame) if frame.first == 0xB0 => {
                let (id, _, codes) = frame.suback(0xB0, context.version)?;
                let answer = if context.is_v5() {
                    matches!(codes[..], [0x11 | 0x8F])
                } else {
                    codes.is_empty()
                };
                ensure(id == 1 && answer, || format!("[{filter}] {codes:02X?}"))?;
            }
            Received::Frame(frame) if frame.first == 0xE0 && context.is_v5() => {
                let code = frame.reason(0xE0)?.code;
                ensure([0x81, 0x82, 0x8F].contains(&code), || {
                    format!("[{filter}] DISCONNECT with {code:#04X}")
                })?;
                client.expect_closed()?;
            }
            other => ensure(false, || format!("[{filter}] {other:02X?}"))?,
        }
    }
    Ok(())
}

fn empty_filter(context: &Context) -> Outcome {
    refused(
        context,
        "empty",
        &build::subscribe(context.version, 1, &[("", 0)]),
    )
}

fn dollar(context: &Context) -> Outcome {
    let topic = format!("$hidden/{}", context.topic("x"));
    let mut publisher = context.client("p")?;
    let mut finding = context.client("f")?;
    finding.subscribe(&format!("$hidden/{}", context.topic("+")), 0)?;
    // `#` finds the topics of other rows too, so it must only not find this one.
    let mut all = context.client("a")?;
    all.subscribe("#", 0)?;
    let mut missing = context.client("m")?;
    missing.subscribe(&format!("+/{}", context.topic("x")), 0)?;
    missing.subscribe(&format!("+/{}", context.topic("#")), 0)?;
    publisher.publish(&topic, 0, "hidden")?;
    publisher.publish(&context.topic("seen"), 0, "seen")?;
    finding.expect_message(&topic, "hidden")?;
    missing.quiet()?;
    loop {
        let publish = all.expect_publish()?;
        ensure(!publish.topic.starts_with(b"$"), || {
            format!("# found {:?}", String::from_utf8_lossy(&publish.topic))
        })?;
        if publish.topic == context.topic("seen").into_bytes() {
            return Ok(());
        }
    }
}

/// Each of these is a topic of its own.
fn not_normalized(context: &Context) -> Outcome {
    let topics = [
        "a/b",
        "A/b",
        "a/B",
        "/a/b",
        "a/b/",
        "a//b",
        "a/ b",
        "a/b ",
        "a/./b",
        "a/../b",
        "\u{E9}",
        "e\u{301}",
        "\u{C5}",
        "\u{212B}",
        "\u{FB01}",
        "fi",
        "\u{130}",
        "i",
        "\u{FFFD}",
        "\u{10FFFD}",
        "\u{AD}",
        "a\u{200D}",
        "a",
    ];
    let mut subscribers = Vec::new();
    for (number, topic) in topics.iter().enumerate() {
        let mut client = context.client(&format!("s{number}"))?;
        client.subscribe(&context.topic(topic), 0)?;
        subscribers.push(client);
    }
    let mut publisher = context.client("p")?;
    for topic in topics {
        publisher.publish(&context.topic(topic), 0, "x")?;
    }
    for (client, topic) in subscribers.iter_mut().zip(topics) {
        client.expect(Publish::new(context.version, context.topic(topic), "x").bytes())?;
    }
    subscribers
        .iter_mut()
        .take(4)
        .try_for_each(crate::raw::Client::quiet)?;
    subscribers
        .iter_mut()
        .try_for_each(crate::raw::Client::ping)
}

fn longest(context: &Context) -> Outcome {
    let mut topic = context.topic("");
    topic.push_str(&"x".repeat(65_535 - topic.len()));
    let mut client = context.client("c")?;
    client.subscribe(&topic, 0)?;
    let publish = Publish::new(context.version, &topic, "x");
    client.send(publish.bytes())?;
    let frame = client.frame()?;
    ensure(frame.bytes() == publish.bytes(), || {
        format!("a frame of {} bytes came back", frame.size)
    })
}

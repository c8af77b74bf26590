//! Rows on SUBSCRIBE and SUBACK. Sections 3.8, 3.9.

use super::{Context, Row, row};
use crate::raw::build::{self, PUBACK, Publish, packet, property, text};
use crate::raw::{Client, Outcome, Received, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "subscribe::is_answered_by_suback",
        &["3.8.4-1", "3.8.4-2", "3.8.4-6", "3.8.4-7"],
        &["3.8.4-1", "3.8.4-2", "3.8.4-5", "3.9.3-2"],
        answered,
    ),
    row(
        "subscribe::without_a_filter",
        &["3.8.3-2", "4.13.1-1"],
        &["3.8.3-3", "4.8.0-1"],
        without_filter,
    ),
    row(
        "subscribe::reserved_bits_of_the_options",
        &["3.8.3-5", "4.13.1-1"],
        &["3.8.3-4"],
        reserved_bits,
    ),
    row(
        "subscribe::qos_3",
        &["3.8.3-5", "4.13.1-1"],
        &["3.8.3-4"],
        qos_3,
    ),
    row(
        "subscribe::many_filters_get_their_codes_in_order",
        &["3.8.4-5", "3.8.4-6", "3.9.3-1", "3.9.3-2"],
        &["3.8.4-4", "3.8.4-5", "3.9.3-1", "3.9.3-2"],
        many_filters,
    ),
    row(
        "subscribe::many_filters_are_as_many_subscriptions",
        &["3.8.4-5"],
        &["3.8.4-4"],
        many_subscriptions,
    ),
    row(
        "subscribe::the_same_filter_replaces_the_subscription",
        &["3.8.4-3"],
        &["3.8.4-3"],
        replaces,
    ),
    row(
        "subscribe::replacing_loses_no_message",
        &["3.8.4-4"],
        &["3.8.4-3"],
        loses_nothing,
    ),
    row("subscribe::no_local", &["3.8.3-3"], &[], no_local),
    row(
        "subscribe::no_local_and_an_overlapping_subscription",
        &["3.8.3-3", "3.3.4-2"],
        &[],
        no_local_overlapping,
    ),
    row(
        "subscribe::a_publisher_gets_its_own_messages",
        &["3.8.3-3"],
        &["4.5.0-1"],
        own_messages,
    ),
    row(
        "subscribe::bad_subscription_identifiers",
        &["4.13.1-1"],
        &[],
        bad_identifiers,
    ),
    row(
        "subscribe::messages_may_come_before_suback",
        &["3.8.4-1"],
        &["3.8.4-1"],
        suback_among_messages,
    ),
];

fn answered(context: &Context) -> Outcome {
    let mut client = context.client("c")?;
    for qos in [0, 1, 2] {
        let filter = context.topic(&format!("t{qos}"));
        client.exchange(
            build::subscribe(context.version, 10 + u16::from(qos), &[(&filter, qos)]),
            build::suback(0x90, context.version, 10 + u16::from(qos), &[qos]),
        )?;
    }
    client.quiet()
}

fn without_filter(context: &Context) -> Outcome {
    context.rejects(
        &[("SUBSCRIBE", build::subscribe(context.version, 1, &[]))],
        &[0x81, 0x82],
    )
}

fn reserved_bits(context: &Context) -> Outcome {
    let first = if context.is_v5() { 6 } else { 2 };
    let topic = context.topic("t");
    let cases: Vec<_> = (first..8)
        .map(|bit| {
            (
                "one bit",
                build::subscribe(context.version, 1, &[(&topic, 1 << bit)]),
            )
        })
        .collect();
    context.rejects(&cases, &[0x81])?;
    // In the second filter too.
    let second = build::subscribe(context.version, 1, &[(&topic, 0), (&topic, 0x80)]);
    context.rejects(&[("the second filter", second)], &[0x81])
}

fn qos_3(context: &Context) -> Outcome {
    let subscribe = build::subscribe(context.version, 1, &[(&context.topic("t"), 3)]);
    context.rejects(&[("QoS 3", subscribe)], &[0x81, 0x82])
}

fn many_filters(context: &Context) -> Outcome {
    let qos = [2, 0, 1, 1, 0, 2, 2, 1, 0];
    let filters: Vec<String> = (0..qos.len())
        .map(|number| context.topic(&format!("f/{number}/+")))
        .collect();
    let pairs: Vec<(&str, u8)> = filters.iter().map(String::as_str).zip(qos).collect();
    let mut client = context.client("c")?;
    client.exchange(
        build::subscribe(context.version, 5, &pairs),
        build::suback(0x90, context.version, 5, &qos),
    )
}

/// As if they had come one by one: retained messages for each, the last of two equal filters counts.
fn many_subscriptions(context: &Context) -> Outcome {
    let (one, two) = (context.topic("one"), context.topic("two"));
    let mut publisher = context.client("p")?;
    publisher.retain(&one, 0, "1")?;
    publisher.retain(&two, 0, "2")?;
    let mut client = context.client("c")?;
    let subscribe = build::subscribe(
        context.version,
        5,
        &[
            (&one, 0),
            (&two, 0),
            (&context.topic("three"), 2),
            (&context.topic("three"), 0),
        ],
    );
    client.exchange(
        subscribe,
        build::suback(0x90, context.version, 5, &[0, 0, 2, 0]),
    )?;
    let mut seen = [
        client.expect_publish()?.payload,
        client.expect_publish()?.payload,
    ];
    seen.sort();
    same("retained messages", seen, [b"1".to_vec(), b"2".to_vec()])?;
    publisher.publish(&context.topic("three"), 2, "live")?;
    same(
        "QoS",
        client.expect_message(&context.topic("three"), "live")?.qos,
        0,
    )?;
    client.quiet()
}

fn replaces(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    let mut publisher = context.client("p")?;
    for qos in [1, 0, 2, 2] {
        client.subscribe(&topic, qos)?;
        publisher.publish(&topic, 2, "x")?;
        let publish = client.expect_message(&topic, "x")?;
        same("QoS", publish.qos, qos)?;
        client.accept(&publish)?;
        client.quiet()?;
    }
    // One subscription, so one UNSUBSCRIBE ends it.
    let id = client.fresh_id();
    let codes: &[u8] = if context.is_v5() { &[0] } else { &[] };
    client.exchange(
        build::unsubscribe(context.version, id, &[&topic]),
        build::suback(0xB0, context.version, id, codes),
    )?;
    publisher.publish(&topic, 2, "x")?;
    client.quiet()
}

fn loses_nothing(context: &Context) -> Outcome {
    const COUNT: usize = 200;
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.subscribe(&topic, 1)?;
    let mut publisher = context.client("p")?;
    let burst: Vec<u8> = (0..COUNT)
        .flat_map(|number| {
            let id = u16::try_from(number + 1).unwrap_or(0);
            Publish::new(context.version, &topic, number.to_string())
                .qos(1, id)
                .bytes()
        })
        .collect();
    let replacing: Vec<u8> = (1..=50)
        .flat_map(|id| build::subscribe(context.version, 1_000 + id, &[(&topic, 1)]))
        .collect();
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| -> Outcome {
            for part in burst.chunks(500) {
                publisher.send(part)?;
            }
            (1..=COUNT).try_for_each(|_| publisher.frame()?.ack(PUBACK, context.version).map(drop))
        });
        client.send(replacing)?;
        let (mut next, mut answers) = (0, 0);
        while next < COUNT || answers < 50 {
            let frame = client.frame()?;
            if frame.first == 0x90 {
                answers += 1;
                continue;
            }
            let publish = frame.publish(context.version)?;
            same(
                "payload",
                String::from_utf8_lossy(&publish.payload).into_owned(),
                next.to_string(),
            )?;
            client.accept(&publish)?;
            next += 1;
        }
        publishing
            .join()
            .map_err(|_| crate::raw::Failure::new("the publisher panicked"))?
    })
}

/// No Local is bit 2 of the options.
fn no_local(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.subscribe(&topic, 0x04 | 1)?;
    for qos in [0, 1, 2] {
        client.publish(&topic, qos, "own")?;
    }
    client.quiet()?;
    context.client("other")?.publish(&topic, 1, "foreign")?;
    let publish = client.expect_message(&topic, "foreign")?;
    client.accept(&publish)?;
    // It is about identifiers, not connections: the same client in its next connection.
    let persistent = context.hello("again").persistent();
    let mut again = context.resumed(&persistent, false)?;
    again.subscribe(&topic, 0x04 | 1)?;
    again.disconnect()?;
    let mut again = context.resumed(&persistent, true)?;
    again.publish(&topic, 1, "own")?;
    again.quiet()
}

/// The subscription with No Local is left out, its QoS included; the other one counts.
fn no_local_overlapping(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.subscribe(&topic, 0x04 | 2)?;
    client.subscribe(&context.topic("#"), 0)?;
    client.send(
        Publish::new(context.version, &topic, "own")
            .qos(1, 7)
            .bytes(),
    )?;
    // The message and the acknowledgement may come in either order.
    let mut frames = [client.frame()?, client.frame()?];
    frames.sort_by_key(|frame| frame.first);
    same(
        "message",
        frames[0].bytes(),
        Publish::new(context.version, &topic, "own").bytes(),
    )?;
    same("PUBACK", frames[1].ack(PUBACK, context.version)?.id, 7)?;
    client.quiet()
}

fn own_messages(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.subscribe(&topic, 0)?;
    client.send(Publish::new(context.version, &topic, "own").bytes())?;
    client.expect_message(&topic, "own").map(drop)
}

fn bad_identifiers(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let identifier = |value| property::varint(property::SUBSCRIPTION_ID, value);
    let with = |props: &[u8]| build::subscribe_with(context.version, 1, props, &[(&topic, 0)]);
    let mut too_long = vec![
        0,
        1,
        6,
        property::SUBSCRIPTION_ID,
        0xFF,
        0xFF,
        0xFF,
        0xFF,
        0x01,
    ];
    too_long.extend(text(&topic));
    too_long.push(0);
    let cases = [
        ("0", with(&identifier(0))),
        ("twice", with(&[identifier(1), identifier(2)].concat())),
        ("five bytes", packet(0x82, too_long)),
    ];
    context.rejects(&cases, &[0x81, 0x82])
}

/// However fast messages come, the answer comes too.
fn suback_among_messages(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client: Client = context.client("c")?;
    client.subscribe(&topic, 0)?;
    let publish = Publish::new(context.version, &topic, "x").bytes();
    let subscribe = build::subscribe(context.version, 77, &[(&context.topic("other"), 1)]);
    client.send([publish.repeat(100), subscribe, publish.repeat(100)].concat())?;
    let (mut messages, mut answers) = (0, 0);
    while messages < 200 || answers == 0 {
        match client.receive(crate::raw::PATIENCE)? {
            Received::Frame(frame) if frame.first == 0x90 => {
                same(
                    "SUBACK",
                    frame.bytes(),
                    build::suback(0x90, context.version, 77, &[1]),
                )?;
                answers += 1;
            }
            Received::Frame(frame) => {
                same("message", frame.bytes(), publish.clone())?;
                messages += 1;
            }
            other => ensure(false, || {
                format!("{messages} messages, {answers} answers, then {other:?}")
            })?,
        }
    }
    same("answers", answers, 1)
}

//! Rows on Will Messages: when they are published, how, and when not. Sections 3.1.2.5 to 3.1.2.7, 3.1.3.2, 3.14.4.

use std::time::{Duration, Instant};

use super::{Context, Row, row};
use crate::raw::build::{self, Connect, Publish, packet, property};
use crate::raw::{Client, Outcome, Received, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "will::is_published_after_a_cut",
        &["3.1.2-7", "3.1.2-8", "3.1.2-9"],
        &["3.1.2-8", "3.1.2-9"],
        after_cut,
    ),
    row(
        "will::is_published_after_a_protocol_error",
        &["3.1.2-8"],
        &["3.1.2-8"],
        after_error,
    ),
    row(
        "will::is_published_after_the_keep_alive",
        &["3.1.2-8", "3.1.2-22"],
        &["3.1.2-8", "3.1.2-24"],
        after_keep_alive,
    ),
    row(
        "will::is_discarded_by_disconnect",
        &["3.1.2-8", "3.1.2-10", "3.14.4-3"],
        &["3.1.2-8", "3.1.2-10", "3.14.4-3"],
        after_disconnect,
    ),
    row(
        "will::is_published_on_request",
        &["3.1.2-8"],
        &[],
        on_request,
    ),
    row(
        "will::is_published_once",
        &["3.1.2-10"],
        &["3.1.2-10"],
        once,
    ),
    row(
        "will::none_without_the_flag",
        &["3.1.2-11"],
        &["3.1.2-12", "3.1.2-11"],
        none,
    ),
    row(
        "will::flags_without_a_will",
        &["3.1.2-11", "3.1.2-13", "3.1.4-1"],
        &["3.1.2-11", "3.1.2-13", "3.1.2-15", "3.1.4-1"],
        flags_alone,
    ),
    row(
        "will::fields_without_the_flag",
        &["3.1.2-11", "3.1.4-1"],
        &["3.1.2-11", "3.1.4-1"],
        fields_alone,
    ),
    row(
        "will::the_flag_without_fields",
        &["3.1.2-9", "3.1.4-1"],
        &["3.1.2-9", "3.1.4-1"],
        flag_alone,
    ),
    row("will::qos_0_1_and_2", &["3.1.2-12"], &["3.1.2-14"], qos),
    row(
        "will::qos_3",
        &["3.1.2-12", "3.1.4-1"],
        &["3.1.2-14", "3.1.4-1"],
        qos_3,
    ),
    row(
        "will::is_not_retained",
        &["3.1.2-14"],
        &["3.1.2-16"],
        not_retained,
    ),
    row("will::is_retained", &["3.1.2-15"], &["3.1.2-17"], retained),
    row(
        "will::topics_that_cannot_be",
        &["3.1.3-11", "3.1.4-1", "4.7.0-1", "4.7.3-1"],
        &["3.1.3-10", "4.7.1-1", "4.7.3-1"],
        bad_topics,
    ),
    row(
        "will::is_published_after_its_delay",
        &["3.1.2-8"],
        &[],
        after_delay,
    ),
    row(
        "will::is_not_published_when_the_client_comes_back",
        &["3.1.3-9", "3.1.2-8"],
        &[],
        comes_back,
    ),
    row(
        "will::is_published_when_the_session_ends_first",
        &["3.1.2-8"],
        &[],
        session_ends,
    ),
    row(
        "will::is_published_when_a_clean_start_ends_the_session",
        &["3.1.2-8", "3.1.2-4"],
        &["3.1.2-8", "3.1.2-6"],
        clean_start_ends,
    ),
    row(
        "will::of_a_taken_over_session",
        &["3.1.2-8", "3.1.3-9"],
        &["3.1.2-8"],
        takeover,
    ),
    row(
        "will::properties_are_forwarded_in_order",
        &["3.1.3-10", "3.3.2-18"],
        &[],
        properties,
    ),
];

fn watcher(context: &Context) -> Outcome<(Client, String)> {
    let topic = context.topic("will");
    let mut watcher = context.client("w")?;
    watcher.subscribe(&topic, 2)?;
    Ok((watcher, topic))
}

fn with_will(context: &Context, topic: &str) -> Connect {
    context.hello("c").will(topic, "gone", 1, false)
}

fn delay(seconds: u32) -> Vec<u8> {
    property::four(property::WILL_DELAY, seconds)
}

fn expiry(seconds: u32) -> Vec<u8> {
    property::four(property::SESSION_EXPIRY, seconds)
}

fn gone(watcher: &mut Client, topic: &str) -> Outcome {
    let publish = watcher.expect_message(topic, "gone")?;
    same(
        "QoS, DUP, RETAIN",
        (publish.qos, publish.dup, publish.retain),
        (1, false, false),
    )?;
    watcher.accept(&publish)?;
    watcher.quiet()
}

fn after_cut(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    let (client, _) = context.accepted(&with_will(context, &topic))?;
    watcher.quiet()?;
    client.cut();
    gone(&mut watcher, &topic)
}

fn after_error(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    for bad in [vec![0xC1, 0], with_will(context, &topic).bytes()] {
        let (mut client, _) = context.accepted(&with_will(context, &topic))?;
        client.send(bad)?;
        client.expect_rejected(&[0x81, 0x82])?;
        gone(&mut watcher, &topic)?;
    }
    Ok(())
}

fn after_keep_alive(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    let (mut client, _) = context.accepted(&with_will(context, &topic).keep_alive(1))?;
    client.expect_rejected(&[0x8D])?;
    gone(&mut watcher, &topic)
}

fn after_disconnect(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    context
        .accepted(&with_will(context, &topic))?
        .0
        .disconnect()?;
    watcher.quiet()?;
    // It isn't kept for another day either.
    context.accepted(&context.hello("c"))?.0.cut();
    watcher.quiet()
}

/// DISCONNECT with 0x04 or an error asks for the Will.
fn on_request(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    for reason in [0x04, 0x80, 0x93] {
        let (mut client, _) = context.accepted(&with_will(context, &topic))?;
        client.send(build::disconnect_with(reason, &[]))?;
        client.expect_closed()?;
        gone(&mut watcher, &topic).map_err(|failure| failure.in_case(reason))?;
    }
    Ok(())
}

fn once(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    let (client, _) = context.accepted(&with_will(context, &topic).persistent())?;
    client.cut();
    gone(&mut watcher, &topic)?;
    context
        .resumed(&context.hello("c").persistent(), true)?
        .cut();
    watcher.quiet()
}

fn none(context: &Context) -> Outcome {
    let (mut watcher, _) = watcher(context)?;
    let mut all = context.client("all")?;
    all.subscribe(&context.topic("#"), 0)?;
    context.client("c")?.cut();
    watcher.quiet()?;
    all.quiet()
}

fn flags_alone(context: &Context) -> Outcome {
    let connect = |flags| context.hello("c").flags(flags).bytes();
    let cases = [
        ("QoS 1", connect(0x0A)),
        ("QoS 2", connect(0x12)),
        ("QoS 3", connect(0x1A)),
        ("RETAIN", connect(0x22)),
        ("both", connect(0x2A)),
    ];
    context.refuses(&cases, &[0x81, 0x82])
}

fn fields_alone(context: &Context) -> Outcome {
    let connect = with_will(context, &context.topic("will")).flags(0x02);
    context.refuses(
        &[("a Will without its flag", connect.bytes())],
        &[0x81, 0x82],
    )
}

fn flag_alone(context: &Context) -> Outcome {
    let topic_only = {
        let mut body = with_will(context, &context.topic("will")).body();
        body.truncate(body.len() - 6);
        packet(0x10, body)
    };
    let neither = context.hello("c").flags(0x06).bytes();
    context.refuses(
        &[
            ("neither topic nor message", neither),
            ("no message", topic_only),
        ],
        &[0x81, 0x82],
    )
}

fn qos(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    for qos in [0, 1, 2] {
        let payload = format!("at {qos}");
        let (client, _) =
            context.accepted(&context.hello("c").will(&topic, &payload, qos, false))?;
        client.cut();
        let publish = watcher.expect_message(&topic, &payload)?;
        same("QoS", publish.qos, qos)?;
        watcher.accept(&publish)?;
    }
    Ok(())
}

fn qos_3(context: &Context) -> Outcome {
    let connect = context
        .hello("c")
        .will(context.topic("will"), "x", 3, false);
    context.refuses(&[("QoS 3", connect.bytes())], &[0x81, 0x82])
}

fn late_subscriber(context: &Context, topic: &str) -> Outcome<Client> {
    let mut late = context.client("late")?;
    late.subscribe(topic, 1)?;
    Ok(late)
}

fn not_retained(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    context.accepted(&with_will(context, &topic))?.0.cut();
    gone(&mut watcher, &topic)?;
    late_subscriber(context, &topic)?.quiet()
}

fn retained(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    context
        .accepted(&context.hello("c").will(&topic, "gone", 1, true))?
        .0
        .cut();
    gone(&mut watcher, &topic)?;
    let mut late = late_subscriber(context, &topic)?;
    let publish = late.expect_message(&topic, "gone")?;
    same("RETAIN and QoS", (publish.retain, publish.qos), (true, 1))?;
    late.accept(&publish)
}

fn bad_topics(context: &Context) -> Outcome {
    for topic in ["", "a/#", "#", "a/+", "+/a", "a+b", "a\0b"] {
        let connect = context.hello("c").will(topic, "x", 0, false);
        context.refuses(&[(topic, connect.bytes())], &[0x81, 0x82, 0x90])?;
    }
    Ok(())
}

/// How long after `since` the Will came, which it must within `at_most`.
fn came_after(watcher: &mut Client, topic: &str, since: Instant) -> Outcome<Duration> {
    let publish = watcher.expect_message(topic, "gone")?;
    let after = since.elapsed();
    watcher.accept(&publish)?;
    Ok(after)
}

fn after_delay(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    let connect = with_will(context, &topic)
        .will_property(delay(2))
        .property(expiry(60));
    let (client, _) = context.accepted(&connect)?;
    let since = Instant::now();
    client.cut();
    let after = came_after(&mut watcher, &topic, since)?;
    ensure((1_900..5_000).contains(&after.as_millis()), || {
        format!("a Will delayed by 2 s came after {after:?}")
    })
}

fn comes_back(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    let connect = with_will(context, &topic)
        .clean(false)
        .will_property(delay(2))
        .property(expiry(60));
    context.accepted(&connect)?.0.cut();
    // The new connection has no Will of its own.
    let again = context.hello("c").clean(false).property(expiry(60));
    let (client, _) = context.accepted(&again)?;
    let seen = watcher.receive(Duration::from_millis(3_500))?;
    same("after the delay", seen, Received::Nothing)?;
    client.cut();
    watcher.quiet()
}

fn session_ends(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    // At once, as there is no session to wait in.
    let since = Instant::now();
    context
        .accepted(&with_will(context, &topic).will_property(delay(60)))?
        .0
        .cut();
    let after = came_after(&mut watcher, &topic, since)?;
    ensure(after < Duration::from_secs(4), || {
        format!("it came after {after:?}")
    })?;
    // When the session has expired.
    let connect = with_will(context, &topic)
        .will_property(delay(60))
        .property(expiry(1));
    let (client, _) = context.accepted(&connect)?;
    let since = Instant::now();
    client.cut();
    let after = came_after(&mut watcher, &topic, since)?;
    ensure((900..5_000).contains(&after.as_millis()), || {
        format!("it came after {after:?}")
    })
}

fn clean_start_ends(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    let connect = with_will(context, &topic)
        .persistent()
        .will_property(delay(60));
    let (client, _) = context.accepted(&connect)?;
    if context.is_v5() {
        client.cut();
        watcher.quiet()?;
        let new = context.resumed(&context.hello("c"), false)?;
        gone(&mut watcher, &topic)?;
        return new.disconnect();
    }
    // Without a delay the connection's end is enough.
    let new = context.resumed(&context.hello("c"), false)?;
    gone(&mut watcher, &topic)?;
    new.disconnect()
}

/// The old connection ends without a DISCONNECT of its own, so its Will is due, unless a delay covers the change.
fn takeover(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    let connect = with_will(context, &topic).persistent();
    let (mut old, _) = context.accepted(&connect)?;
    let new = context.resumed(&context.hello("c").persistent(), true)?;
    old.expect_rejected(&[0x8E])?;
    gone(&mut watcher, &topic)?;
    new.disconnect()?;
    if !context.is_v5() {
        return Ok(());
    }
    let (mut old, _) = context.accepted(&connect.will_property(delay(1)))?;
    let new = context.resumed(&context.hello("c").persistent(), true)?;
    old.expect_rejected(&[0x8E])?;
    same(
        "a Will",
        watcher.receive(Duration::from_millis(2_000))?,
        Received::Nothing,
    )?;
    new.disconnect()
}

fn properties(context: &Context) -> Outcome {
    let (mut watcher, topic) = watcher(context)?;
    let forwarded = [
        property::byte(property::PAYLOAD_FORMAT, 1),
        property::text(property::CONTENT_TYPE, "text/plain"),
        property::user("b", "1"),
        property::text(property::RESPONSE_TOPIC, "answers/here"),
        property::user("a", "2"),
        property::text(property::CORRELATION_DATA, [0, 1, 0xFF]),
        property::user("b", "3"),
    ];
    let connect = with_will(context, &topic)
        .will_property(delay(0))
        .will_property(forwarded.concat());
    context.accepted(&connect)?.0.cut();
    let publish = watcher.expect_message(&topic, "gone")?;
    super::property::same_properties(
        &publish,
        &Publish::new(context.version, "", "").property(forwarded.concat()),
    )?;
    watcher.accept(&publish)
}

//! Rows that need a broker of their own, configured otherwise than by default.

use std::time::{Duration, Instant};

use super::{Context, Row, row};
use crate::raw::build::{PUBACK, PUBREC, Publish, property};
use crate::raw::{Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "configured::server_keep_alive_is_announced_and_kept",
        &["3.1.2-21", "3.1.2-22", "3.2.2-21", "3.2.2-22"],
        &["3.1.2-24"],
        server_keep_alive,
    ),
    row(
        "configured::a_broker_without_topic_aliases",
        &["3.2.2-18", "3.3.2-9"],
        &[],
        no_aliases,
    ),
    row(
        "configured::response_information_is_returned_on_request",
        &["3.1.2-28"],
        &[],
        response_information,
    ),
    row(
        "configured::a_connection_that_says_nothing",
        &["3.1.0-1", "3.14.0-1"],
        &["3.1.0-1"],
        silent,
    ),
    row(
        "configured::a_publish_that_is_not_allowed_closes",
        &["3.14.2-1", "4.13.2-1"],
        &["3.3.5-2"],
        denied,
    ),
    row(
        "configured::a_publish_that_cannot_be_taken",
        &["3.4.2-1", "3.5.2-1", "4.3.3-9"],
        &["4.8.0-2"],
        no_room,
    ),
    row(
        "configured::small_limits_are_announced_and_kept",
        &["3.2.2-15", "3.2.2-17", "3.3.4-7", "4.13.1-1"],
        &[],
        announced,
    ),
];

/// The bound replaces a longer Keep Alive and none at all; a shorter one stands. A client of 3.1.1 can't be told, so
/// it is refused.
fn server_keep_alive(context: &Context) -> Outcome {
    let (_broker, context) = context.own_broker("[mqtt]\nkeep_alive_max = \"2s\"\n")?;
    for (asked, replaced) in [(60, true), (0, true), (1, false), (2, false)] {
        let hello = context.hello("c").keep_alive(asked);
        let mut client = context.open()?;
        client.send(hello.bytes())?;
        let connack = client.frame()?.connack(context.version)?;
        if replaced && !context.is_v5() {
            same("flags and code", (connack.flags, connack.code), (0, 3))?;
            client.expect_closed()?;
            continue;
        }
        same("code", connack.code, 0)?;
        let seen = connack.property(property::SERVER_KEEP_ALIVE);
        same("Server Keep Alive", seen, replaced.then_some(&[0, 2][..]))?;
        let (since, due) = (
            Instant::now(),
            Duration::from_millis(if asked == 1 { 1_500 } else { 3_000 }),
        );
        client.expect_rejected(&[0x8D])?;
        let after = since.elapsed();
        ensure(
            after + Duration::from_millis(100) >= due && after <= due + Duration::from_secs(2),
            || format!("a Keep Alive of {asked} s ended the connection after {after:?}"),
        )?;
    }
    Ok(())
}

fn no_aliases(context: &Context) -> Outcome {
    let (_broker, context) = context.own_broker("[limits]\ntopic_aliases_in = 0\n")?;
    let (mut client, connack) = context.accepted(&context.hello("c"))?;
    let maximum = connack.property(property::TOPIC_ALIAS_MAXIMUM);
    ensure(maximum.is_none() || maximum == Some(&[0, 0]), || {
        format!("{connack:02X?}")
    })?;
    let publish = Publish::new(context.version, context.topic("t"), "x");
    client.send(
        publish
            .property(property::two(property::TOPIC_ALIAS, 1))
            .bytes(),
    )?;
    client.expect_rejected(&[0x94])
}

fn response_information(context: &Context) -> Outcome {
    let (_broker, context) = context.own_broker("[mqtt]\nresponse_information = \"answers/\"\n")?;
    for (request, expected) in [(None, false), (Some(0), false), (Some(1), true)] {
        let mut connect = context.hello("c");
        if let Some(request) = request {
            connect = connect.property(property::byte(property::REQUEST_RESPONSE, request));
        }
        let (_, connack) = context.accepted(&connect)?;
        let seen = connack.property(property::RESPONSE_INFO);
        same(
            "Response Information",
            seen,
            expected.then_some(&b"\0\x08answers/"[..]),
        )?;
    }
    Ok(())
}

/// Nobody holds a connection without a CONNECT, nor with half of one.
fn silent(context: &Context) -> Outcome {
    let (_broker, context) = context.own_broker("[limits]\nconnect_timeout = \"1s\"\n")?;
    let hello = context.hello("c").bytes();
    for sent in [&[][..], &hello[..1], &hello[..hello.len() - 1]] {
        let mut client = context.open()?;
        let since = Instant::now();
        client.send(sent)?;
        client.expect_closed()?;
        let after = since.elapsed();
        ensure((900..3_000).contains(&after.as_millis()), || {
            format!("closed after {after:?}")
        })?;
    }
    Ok(())
}

fn denied(context: &Context) -> Outcome {
    let (_broker, context) = context.own_broker("[mqtt]\non_deny = \"disconnect\"\n")?;
    for qos in [0, 1, 2] {
        let mut client = context.client("c")?;
        client.send(
            Publish::new(context.version, "$SYS/x", "x")
                .qos(qos, 1)
                .bytes(),
        )?;
        client
            .expect_rejected(&[0x87])
            .map_err(|failure| failure.in_case(qos))?;
    }
    Ok(())
}

/// A full queue whose policy is to refuse: MQTT 5 says so, in 3.1.1 the connection ends without an acknowledgement.
fn no_room(context: &Context) -> Outcome {
    let config = "[session]\ndrop_policy = \"refuse_publisher\"\n[limits]\nqueue_messages = 2\nrefuse_timeout = \"1s\"\n";
    let (_broker, context) = context.own_broker(config)?;
    let topic = context.topic("t");
    let persistent = context.hello("s").persistent();
    let mut subscriber = context.resumed(&persistent, false)?;
    subscriber.subscribe(&topic, 2)?;
    subscriber.disconnect()?;
    let mut publisher = context.client("p")?;
    for payload in ["one", "two"] {
        publisher.publish(&topic, 1, payload)?;
    }
    let refused = Publish::new(context.version, &topic, "three");
    if context.is_v5() {
        for (qos, first) in [(1, PUBACK), (2, PUBREC)] {
            publisher.send(refused.clone().qos(qos, 9).bytes())?;
            let reason = publisher.frame()?.ack(first, context.version)?;
            same("identifier and code", (reason.id, reason.code), (9, 0x97))?;
        }
        publisher.ping()?;
    } else {
        publisher.send(refused.qos(1, 9).bytes())?;
        publisher.expect_closed()?;
    }
    let mut subscriber = context.resumed(&persistent, true)?;
    for payload in ["one", "two"] {
        let publish = subscriber.expect_message(&topic, payload)?;
        subscriber.accept(&publish)?;
    }
    subscriber.quiet()
}

fn announced(context: &Context) -> Outcome {
    let config = "[limits]\npacket_bytes = \"16KiB\"\ntopic_aliases_in = 1\nreceive_maximum = 1\n";
    let (_broker, context) = context.own_broker(config)?;
    let topic = context.topic("t");
    let (mut client, connack) = context.accepted(&context.hello("c"))?;
    same(
        "Maximum Packet Size",
        connack.property(property::MAXIMUM_PACKET_SIZE),
        Some(&16_384_u32.to_be_bytes()[..]),
    )?;
    same(
        "Topic Alias Maximum",
        connack.property(property::TOPIC_ALIAS_MAXIMUM),
        Some(&[0, 1][..]),
    )?;
    same(
        "Receive Maximum",
        connack.property(property::RECEIVE_MAXIMUM),
        Some(&[0, 1][..]),
    )?;
    let publish = Publish::new(context.version, &topic, "x");
    client.complete(
        &publish
            .clone()
            .property(property::two(property::TOPIC_ALIAS, 1)),
    )?;
    client.complete(&publish.clone().qos(2, 1))?;
    client.complete(&publish.clone().qos(1, 1))?;
    let too_many = [
        publish.clone().qos(2, 1).bytes(),
        publish.clone().qos(2, 2).bytes(),
    ]
    .concat();
    client.send(too_many)?;
    client.acknowledged(PUBREC, 1)?;
    client.expect_rejected(&[0x93])?;
    context.rejects(
        &[(
            "an alias of 2",
            publish
                .property(property::two(property::TOPIC_ALIAS, 2))
                .bytes(),
        )],
        &[0x94],
    )?;
    context.rejects(
        &[(
            "16 KiB",
            Publish::new(context.version, &topic, vec![0; 16_384]).bytes(),
        )],
        &[0x95],
    )
}

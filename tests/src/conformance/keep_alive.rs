//! Rows on Keep Alive, Server Keep Alive and PINGREQ. Sections 3.1.2.10, 3.2.2.3.14, 3.12.

use std::time::{Duration, Instant};

use super::{Context, Row, row};
use crate::raw::build::{self, Publish, property};
use crate::raw::{Outcome, Received, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "keep_alive::ends_a_silent_connection",
        &["3.1.2-22", "3.2.2-22"],
        &["3.1.2-24"],
        silent,
    ),
    row(
        "keep_alive::pingreq_keeps_the_connection",
        &["3.1.2-20", "3.12.4-1"],
        &["3.1.2-23", "3.12.4-1"],
        pings,
    ),
    row(
        "keep_alive::any_packet_keeps_the_connection",
        &["3.1.2-22"],
        &["3.1.2-24"],
        any_packet,
    ),
    row(
        "keep_alive::what_the_broker_sends_does_not_count",
        &["3.1.2-22"],
        &["3.1.2-24"],
        only_received,
    ),
    row(
        "keep_alive::zero_turns_it_off",
        &["3.2.2-22"],
        &["3.1.2-24"],
        zero,
    ),
    row(
        "keep_alive::pingreq_is_answered",
        &["3.12.4-1"],
        &["3.12.4-1"],
        answered,
    ),
];

fn silent(context: &Context) -> Outcome {
    for seconds in [1, 2] {
        let (mut client, connack) = context.accepted(&context.hello("c").keep_alive(seconds))?;
        if context.is_v5() {
            ensure(
                connack.property(property::SERVER_KEEP_ALIVE).is_none(),
                || format!("{connack:02X?}"),
            )?;
        }
        let since = Instant::now();
        client.expect_rejected(&[0x8D])?;
        let (after, due) = (
            since.elapsed(),
            Duration::from_millis(u64::from(seconds) * 1_500),
        );
        ensure(
            after >= due - Duration::from_millis(100)
                && after <= due + Duration::from_millis(2_000),
            || format!("a Keep Alive of {seconds} s ended the connection after {after:?}"),
        )?;
    }
    Ok(())
}

fn pings(context: &Context) -> Outcome {
    let (mut client, _) = context.accepted(&context.hello("c").keep_alive(1))?;
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(900));
        client.ping()?;
    }
    Ok(())
}

fn any_packet(context: &Context) -> Outcome {
    let (version, topic) = (context.version, context.topic("t"));
    let (mut client, _) = context.accepted(&context.hello("c").keep_alive(1))?;
    let pause = || std::thread::sleep(Duration::from_millis(900));
    pause();
    client.send(Publish::new(version, &topic, "x").bytes())?;
    pause();
    client.subscribe(&topic, 0)?;
    pause();
    client.send(build::ack(build::PUBREL, 99))?;
    same("id", client.frame()?.ack(build::PUBCOMP, version)?.id, 99)?;
    pause();
    client.ping()
}

fn only_received(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let (mut client, _) = context.accepted(&context.hello("c").keep_alive(1))?;
    client.subscribe(&topic, 0)?;
    let mut publisher = context.client("p")?;
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(4) {
        publisher.publish(&topic, 0, "x")?;
        match client.receive(Duration::from_millis(200))? {
            Received::Frame(frame) if frame.first == 0x30 => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Received::Frame(frame) if context.is_v5() => {
                same("Reason Code", frame.reason(0xE0)?.code, 0x8D)?;
                return client.expect_closed();
            }
            Received::Closed if !context.is_v5() => return Ok(()),
            Received::Nothing => {}
            other => ensure(false, || format!("{other:02X?}"))?,
        }
    }
    ensure(false, || {
        "the connection is still open after 4 s".to_owned()
    })
}

fn zero(context: &Context) -> Outcome {
    let (mut client, connack) = context.accepted(&context.hello("c").keep_alive(0))?;
    if context.is_v5() {
        ensure(
            connack.property(property::SERVER_KEEP_ALIVE).is_none(),
            || format!("{connack:02X?}"),
        )?;
    }
    same(
        "silence",
        client.receive(Duration::from_secs(4))?,
        Received::Nothing,
    )?;
    client.ping()
}

fn answered(context: &Context) -> Outcome {
    let mut client = context.client("c")?;
    client.send([0xC0, 0].repeat(50))?;
    for _ in 0..50 {
        client.expect([0xD0, 0])?;
    }
    client.quiet()
}

//! Rows on DISCONNECT in both directions. Section 3.14.

use super::{Context, Row, row};
use crate::raw::build::{self, Publish, property};
use crate::raw::frame::{Reason, find};
use crate::raw::{Client, Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "disconnect::ends_the_connection",
        &["3.14.4-2"],
        &["3.14.4-1"],
        ends,
    ),
    row(
        "disconnect::nothing_after_it_is_processed",
        &["3.14.4-1"],
        &["3.14.4-2"],
        nothing_processed,
    ),
    row(
        "disconnect::everything_before_it_is_processed",
        &["4.5.0-1"],
        &["4.5.0-1"],
        all_processed,
    ),
    row(
        "disconnect::the_broker_closes_after_its_own",
        &["3.14.4-1", "3.14.4-2", "4.13.2-1"],
        &[],
        closes,
    ),
    row(
        "disconnect::the_broker_sends_no_session_expiry",
        &["3.14.2-2"],
        &[],
        no_session_expiry,
    ),
    row(
        "disconnect::malformed",
        &["3.14.1-1", "3.14.2-1", "4.13.1-1"],
        &["3.14.1-1"],
        malformed,
    ),
    row(
        "disconnect::none_before_connack",
        &["3.14.0-1"],
        &[],
        none_before_connack,
    ),
    row(
        "disconnect::all_codes_a_client_may_send",
        &["3.14.2-1"],
        &[],
        client_codes,
    ),
];

fn ends(context: &Context) -> Outcome {
    context.client("c")?.disconnect()?;
    if context.is_v5() {
        for bytes in [vec![0xE0, 1, 0], vec![0xE0, 2, 0, 0]] {
            let mut client = context.client("c")?;
            client.send(bytes)?;
            client.expect_closed()?;
        }
    }
    Ok(())
}

fn nothing_processed(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut watcher = context.client("w")?;
    watcher.subscribe(&topic, 0)?;
    let mut client = context.client("c")?;
    let late = Publish::new(context.version, &topic, "late").bytes();
    client.send([build::DISCONNECT, &late, build::PINGREQ].concat())?;
    client.expect_closed()?;
    watcher.quiet()
}

fn all_processed(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut watcher = context.client("w")?;
    watcher.subscribe(&topic, 0)?;
    let mut client = context.client("c")?;
    client.send(
        [
            Publish::new(context.version, &topic, "x")
                .bytes()
                .repeat(20),
            build::DISCONNECT.to_vec(),
        ]
        .concat(),
    )?;
    for _ in 0..20 {
        watcher.expect_message(&topic, "x")?;
    }
    client.expect_closed()
}

/// Makes the broker say why it ends connections, in as many ways as it has.
fn provoked(context: &Context) -> Outcome<Vec<(Client, Reason)>> {
    let topic = context.topic("t");
    let mut seen = Vec::new();
    for bytes in [
        vec![0x00, 0],
        vec![0xC1, 0],
        context.hello("c").bytes(),
        Publish::new(context.version, &topic, "x")
            .property(property::two(property::TOPIC_ALIAS, 0))
            .bytes(),
        [&[0x30][..], &build::varint(200_000_000)].concat(),
    ] {
        // Behind the error comes more, which must not be answered.
        let mut client = context.accepted(&context.hello("c").persistent())?.0;
        client.send([&bytes[..], build::PINGREQ].concat())?;
        let reason = client.frame()?.reason(0xE0)?;
        seen.push((client, reason));
    }
    let mut taken = context.accepted(&context.hello("c").persistent())?.0;
    drop(context.accepted(&context.hello("c"))?);
    let reason = taken.frame()?.reason(0xE0)?;
    seen.push((taken, reason));
    Ok(seen)
}

fn closes(context: &Context) -> Outcome {
    for (mut client, reason) in provoked(context)? {
        ensure(reason.code >= 0x80, || format!("{reason:02X?}"))?;
        client.expect_closed()?;
    }
    Ok(())
}

fn no_session_expiry(context: &Context) -> Outcome {
    for (_, reason) in provoked(context)? {
        ensure(super::ack::DISCONNECT_CODES.contains(&reason.code), || {
            format!("{reason:02X?}")
        })?;
        same(
            "Session Expiry Interval",
            find(&reason.properties, property::SESSION_EXPIRY),
            None,
        )?;
        let known = [
            property::REASON_STRING,
            property::USER_PROPERTY,
            property::SERVER_REFERENCE,
        ];
        ensure(
            reason.properties.iter().all(|item| known.contains(&item.0)),
            || format!("{reason:02X?}"),
        )?;
    }
    Ok(())
}

fn malformed(context: &Context) -> Outcome {
    if !context.is_v5() {
        let cases: Vec<_> = (1..16)
            .map(|flags| ("flags", vec![0xE0 | flags, 0]))
            .collect();
        return context.rejects(&cases, &[]);
    }
    let expiry = property::four(property::SESSION_EXPIRY, 0);
    let cases = [
        ("flags", vec![0xE1, 0]),
        ("an unknown code", build::disconnect_with(0x03, &[])),
        (
            "a code of another packet",
            build::disconnect_with(0x11, &[]),
        ),
        ("properties longer than the packet", vec![0xE0, 2, 0, 5]),
        ("something left over", vec![0xE0, 3, 0, 0, 0]),
        (
            "an interval that came twice",
            build::disconnect_with(0, &[&expiry[..], &expiry].concat()),
        ),
        (
            "a property of another packet",
            build::disconnect_with(0, &property::byte(property::PAYLOAD_FORMAT, 0)),
        ),
    ];
    context.rejects(&cases, &[0x81, 0x82])
}

fn none_before_connack(context: &Context) -> Outcome {
    for bytes in [
        vec![0xC0, 0],
        vec![0x00, 0],
        vec![0x10, 2, 0, 0],
        vec![0x10, 0xFF, 0xFF, 0xFF, 0xFF, 1],
    ] {
        let mut client = context.open()?;
        client.send_refusable(bytes);
        context.refused(&mut client, &[0x80, 0x81, 0x82, 0x84])?;
    }
    let mut client = context.open()?;
    client.send(
        context
            .hello("c")
            .property(property::text(property::AUTH_METHOD, "none such"))
            .bytes(),
    )?;
    same("first byte", client.frame()?.first, 0x20)?;
    client.expect_closed()
}

fn client_codes(context: &Context) -> Outcome {
    for code in [
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    ] {
        let mut client = context.client("c")?;
        let explained = [
            property::text(property::REASON_STRING, "because"),
            property::user("a", "b"),
        ]
        .concat();
        client.send(build::disconnect_with(code, &explained))?;
        client
            .expect_closed()
            .map_err(|failure| failure.in_case(code))?;
    }
    Ok(())
}

//! Rows on enhanced authentication while no method is configured. Sections 3.15 and 4.12 of MQTT 5.

use super::{Context, Row, row};
use crate::raw::build::{self, Publish, property};
use crate::raw::{Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "auth::an_unknown_method_is_refused",
        &["4.12.0-1", "4.12.0-4", "3.1.4-2", "4.13.2-1"],
        &[],
        unknown_method,
    ),
    row(
        "auth::nothing_follows_a_connect_with_a_method",
        &["3.1.2-30"],
        &[],
        nothing_follows,
    ),
    row(
        "auth::no_auth_and_no_method_unless_the_client_began",
        &["4.12.0-6"],
        &[],
        not_begun,
    ),
    row(
        "auth::a_client_that_did_not_begin",
        &["4.12.0-7", "4.12.1-1", "4.12.1-2"],
        &[],
        unasked_auth,
    ),
    row(
        "auth::malformed",
        &["3.15.1-1", "3.15.2-1", "4.13.1-1"],
        &[],
        malformed,
    ),
];

fn unknown_method(context: &Context) -> Outcome {
    let method = property::text(property::AUTH_METHOD, "SCRAM-SHA-1");
    let data = property::text(property::AUTH_DATA, "n,,n=user,r=x");
    for properties in [
        method.clone(),
        [&method[..], &data].concat(),
        property::text(property::AUTH_METHOD, ""),
    ] {
        let mut client = context.open()?;
        client.send(context.hello("c").property(properties).bytes())?;
        let connack = client.frame()?.connack(context.version)?;
        same("flags and code", (connack.flags, connack.code), (0, 0x8C))?;
        client.expect_closed()?;
    }
    Ok(())
}

fn nothing_follows(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut watcher = context.client("w")?;
    watcher.subscribe(&topic, 0)?;
    let connect = context
        .hello("c")
        .property(property::text(property::AUTH_METHOD, "x"));
    let mut client = context.open()?;
    client.send(
        [
            connect.bytes(),
            Publish::new(context.version, &topic, "x").bytes(),
        ]
        .concat(),
    )?;
    same("code", client.frame()?.connack(context.version)?.code, 0x8C)?;
    client.expect_closed()?;
    watcher.quiet()
}

fn not_begun(context: &Context) -> Outcome {
    let (mut client, connack) =
        context.accepted(&context.hello("c").user_name("u").password("p"))?;
    for id in [property::AUTH_METHOD, property::AUTH_DATA] {
        ensure(connack.property(id).is_none(), || format!("{connack:02X?}"))?;
    }
    client.quiet()
}

fn unasked_auth(context: &Context) -> Outcome {
    let method = property::text(property::AUTH_METHOD, "x");
    let cases = [
        ("re-authenticate", build::auth(0x19, &method)),
        ("continue", build::auth(0x18, &method)),
        ("success", build::auth(0, &method)),
    ];
    context.rejects(&cases, &[0x82, 0x8C])
}

fn malformed(context: &Context) -> Outcome {
    let method = property::text(property::AUTH_METHOD, "x");
    let twice = [&method[..], &method].concat();
    let cases = [
        ("an unknown Reason Code", build::auth(0x17, &method)),
        (
            "a Reason Code of another packet",
            build::auth(0x87, &method),
        ),
        ("a method that came twice", build::auth(0x19, &twice)),
        (
            "a property of another packet",
            build::auth(0x19, &property::four(property::SESSION_EXPIRY, 1)),
        ),
        ("properties longer than the packet", vec![0xF0, 2, 0x19, 9]),
        (
            "data without a method",
            build::auth(0x19, &property::text(property::AUTH_DATA, "x")),
        ),
        ("flags", vec![0xF1, 0]),
    ];
    context.rejects(&cases, &[0x81, 0x82])
}

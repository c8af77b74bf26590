//! Rows on the size, codes and properties of what the broker answers. Sections 3.4 to 3.7, 3.9, 3.11, 3.14 of MQTT 5.

use super::{Context, Row, row};
use crate::raw::build::{self, Connect, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish, property};
use crate::raw::frame::{Frame, Property};
use crate::raw::{Client, Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "ack::puback_fits_the_maximum_packet_size",
        &["3.4.2-2", "3.4.2-3", "3.1.2-24"],
        &[],
        puback_fits,
    ),
    row(
        "ack::pubrec_fits_the_maximum_packet_size",
        &["3.5.2-2", "3.5.2-3", "3.1.2-24"],
        &[],
        pubrec_fits,
    ),
    row(
        "ack::pubrel_fits_the_maximum_packet_size",
        &["3.6.2-2", "3.6.2-3", "3.1.2-24"],
        &[],
        pubrel_fits,
    ),
    row(
        "ack::pubcomp_fits_the_maximum_packet_size",
        &["3.7.2-2", "3.7.2-3", "3.1.2-24"],
        &[],
        pubcomp_fits,
    ),
    row(
        "ack::suback_fits_the_maximum_packet_size",
        &["3.9.2-1", "3.9.2-2", "3.1.2-24"],
        &[],
        suback_fits,
    ),
    row(
        "ack::unsuback_fits_the_maximum_packet_size",
        &["3.11.2-1", "3.11.2-2", "3.1.2-24"],
        &[],
        unsuback_fits,
    ),
    row(
        "ack::disconnect_fits_the_maximum_packet_size",
        &["3.14.2-3", "3.14.2-4", "3.1.2-24"],
        &[],
        disconnect_fits,
    ),
    row(
        "ack::codes_are_those_of_the_packet",
        &[
            "3.4.2-1", "3.5.2-1", "3.6.2-1", "3.7.2-1", "3.9.3-2", "3.11.3-2", "3.14.2-1",
        ],
        &[],
        codes,
    ),
    row(
        "ack::no_explanations_unless_wanted",
        &["3.1.2-29"],
        &[],
        no_explanations,
    ),
];

/// As small as a client can ask for and still hear why it is refused.
const LIMIT: u32 = 24;

fn limited(context: &Context) -> Connect {
    context
        .hello("c")
        .property(property::four(property::MAXIMUM_PACKET_SIZE, LIMIT))
}

fn small(frame: &Frame) -> Outcome {
    ensure(frame.size <= LIMIT as usize, || {
        format!(
            "{} bytes where {LIMIT} are allowed: {frame:02X?}",
            frame.size
        )
    })
}

/// A publish that is refused for its topic, which belongs to the broker.
fn refused_publish(context: &Context, qos: u8) -> Vec<u8> {
    Publish::new(context.version, format!("$SYS/{}", context.topic("t")), "x")
        .qos(qos, 1)
        .bytes()
}

/// Sends and expects an answer that fits, with this code.
fn fits(context: &Context, send: Vec<u8>, first: u8, code: u8) -> Outcome {
    let (mut client, _) = context.accepted(&limited(context))?;
    client.send(send)?;
    let frame = client.frame()?;
    small(&frame)?;
    let reason = frame.ack(first, context.version)?;
    same("identifier and code", (reason.id, reason.code), (1, code))
}

fn puback_fits(context: &Context) -> Outcome {
    fits(context, refused_publish(context, 1), PUBACK, 0x87)
}

fn pubrec_fits(context: &Context) -> Outcome {
    fits(context, refused_publish(context, 2), PUBREC, 0x87)
}

fn pubrel_fits(context: &Context) -> Outcome {
    fits(context, build::ack(PUBREC, 1), PUBREL, 0x92)
}

fn pubcomp_fits(context: &Context) -> Outcome {
    fits(context, build::ack(PUBREL, 1), PUBCOMP, 0x92)
}

fn suback_fits(context: &Context) -> Outcome {
    let (mut client, _) = context.accepted(&limited(context))?;
    let topic = context.topic("t");
    client.send(build::subscribe(
        context.version,
        1,
        &[(&topic, 0), (&deep(context), 1)],
    ))?;
    let frame = client.frame()?;
    small(&frame)?;
    same("codes", frame.suback(0x90, context.version)?.2.len(), 2)
}

/// A filter of more levels than the broker takes.
fn deep(context: &Context) -> String {
    context.topic(&"a/".repeat(200))
}

fn unsuback_fits(context: &Context) -> Outcome {
    let (mut client, _) = context.accepted(&limited(context))?;
    client.send(build::unsubscribe(
        context.version,
        1,
        &[&context.topic("t"), &context.topic("u")],
    ))?;
    let frame = client.frame()?;
    small(&frame)?;
    same(
        "codes",
        frame.suback(0xB0, context.version)?.2,
        vec![0x11, 0x11],
    )
}

fn disconnect_fits(context: &Context) -> Outcome {
    let topic = context.topic("t");
    for (case, bytes) in [
        ("malformed", vec![0x00, 0]),
        ("a second CONNECT", context.hello("c").bytes()),
        (
            "an alias above the maximum",
            Publish::new(context.version, &topic, "x")
                .property([0x23, 0xFF, 0xFF])
                .bytes(),
        ),
        (
            "a length above the maximum",
            vec![0x30, 0xFF, 0xFF, 0xFF, 0x7F],
        ),
    ] {
        let (mut client, _) = context.accepted(&limited(context))?;
        client.send(bytes)?;
        let frame = client.frame()?;
        small(&frame).map_err(|failure| failure.in_case(case))?;
        frame.reason(0xE0)?;
        client.expect_closed()?;
    }
    Ok(())
}

/// The DISCONNECT codes that table 3-10 lets a server send.
pub(super) const DISCONNECT_CODES: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];

fn codes(context: &Context) -> Outcome {
    let (version, topic) = (context.version, context.topic("t"));
    let puback: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let mut client = context.client("c")?;
    for bytes in [
        refused_publish(context, 1),
        Publish::new(version, &topic, "x").qos(1, 1).bytes(),
    ] {
        client.send(bytes)?;
        listed(client.frame()?.ack(PUBACK, version)?.code, puback)?;
    }
    for bytes in [
        refused_publish(context, 2),
        Publish::new(version, &topic, "x").qos(2, 1).bytes(),
    ] {
        client.send(bytes)?;
        listed(client.frame()?.ack(PUBREC, version)?.code, puback)?;
    }
    for id in [1, 2] {
        client.send(build::ack(PUBREL, id))?;
        listed(client.frame()?.ack(PUBCOMP, version)?.code, &[0x00, 0x92])?;
        client.send(build::ack(PUBREC, id))?;
        listed(client.frame()?.ack(PUBREL, version)?.code, &[0x00, 0x92])?;
    }
    client.send(build::subscribe(
        version,
        3,
        &[(&topic, 2), (&deep(context), 1), ("$SYS/#", 0)],
    ))?;
    for code in client.frame()?.suback(0x90, version)?.2 {
        listed(
            code,
            &[
                0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
            ],
        )?;
    }
    client.send(build::unsubscribe(
        version,
        4,
        &[&topic, &topic, &context.topic("never")],
    ))?;
    for code in client.frame()?.suback(0xB0, version)?.2 {
        listed(code, &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91])?;
    }
    client.send([0x00, 0])?;
    listed(client.frame()?.reason(0xE0)?.code, DISCONNECT_CODES)?;
    client.expect_closed()
}

#[track_caller]
fn listed(code: u8, codes: &[u8]) -> Outcome {
    ensure(codes.contains(&code), || {
        format!("{code:#04X} isn't one of {codes:02X?}")
    })
}

fn unexplained(properties: &[Property]) -> Outcome {
    ensure(properties.is_empty(), || {
        format!("explained with {properties:02X?}")
    })
}

fn no_explanations(context: &Context) -> Outcome {
    let version = context.version;
    let connect = context
        .hello("c")
        .property(property::byte(property::REQUEST_PROBLEM, 0));
    let (mut client, _): (Client, _) = context.accepted(&connect)?;
    for (bytes, first) in [
        (refused_publish(context, 1), PUBACK),
        (refused_publish(context, 2), PUBREC),
        (build::ack(PUBREL, 1), PUBCOMP),
        (build::ack(PUBREC, 1), PUBREL),
    ] {
        client.send(bytes)?;
        unexplained(&client.frame()?.ack(first, version)?.properties)?;
    }
    client.send(build::subscribe(
        version,
        3,
        &[(&context.topic("t"), 0), (&deep(context), 1)],
    ))?;
    unexplained(&client.frame()?.suback(0x90, version)?.1)?;
    client.send(build::unsubscribe(version, 4, &[&context.topic("never")]))?;
    unexplained(&client.frame()?.suback(0xB0, version)?.1)
}

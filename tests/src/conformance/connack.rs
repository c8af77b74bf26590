//! Rows on CONNACK: its flags, codes and properties, and the capabilities it announces. Section 3.2.

use super::{Context, Row, row};
use crate::raw::build::{self, Connect, Publish, property};
use crate::raw::{Outcome, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "connack::success_to_the_byte",
        &["3.1.4-5", "3.2.0-1", "3.2.2-1"],
        &["3.1.4-4", "3.2.0-1"],
        success,
    ),
    row(
        "connack::a_refusal_has_session_present_0_and_closes",
        &["3.2.2-6", "3.2.2-7", "3.2.2-8", "4.13.2-1"],
        &["3.2.2-4", "3.2.2-5"],
        refusal,
    ),
    row(
        "connack::full_capabilities",
        &["3.2.2-9", "3.2.2-10"],
        &["3.8.3-2"],
        full_capabilities,
    ),
    row(
        "connack::no_response_information_unasked",
        &["3.1.2-28"],
        &[],
        response_information,
    ),
    row(
        "connack::fits_the_maximum_packet_size",
        &["3.2.2-19", "3.2.2-20", "3.1.2-24"],
        &[],
        fits,
    ),
    row(
        "connack::a_packet_above_the_announced_size",
        &["3.2.2-15", "4.13.1-1"],
        &[],
        too_large,
    ),
    row(
        "connack::a_packet_of_the_announced_size",
        &["3.2.2-15"],
        &[],
        just_fits,
    ),
];

/// The Reason Codes that table 3-1 lists.
const CODES: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
    0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
];

fn success(context: &Context) -> Outcome {
    let mut client = context.open()?;
    client.send(context.hello("c").bytes())?;
    let frame = client.frame()?;
    if !context.is_v5() {
        return same("CONNACK", frame.bytes(), vec![0x20, 2, 0, 0]);
    }
    let connack = frame.connack(context.version)?;
    same("flags and code", (connack.flags, connack.code), (0, 0))?;
    let allowed = [
        0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28,
        0x29, 0x2A,
    ];
    for (id, _) in &connack.properties {
        let times = connack
            .properties
            .iter()
            .filter(|property| property.0 == *id)
            .count();
        ensure(
            allowed.contains(id) && (times == 1 || *id == property::USER_PROPERTY),
            || format!("property {id:#04X}, {times} times"),
        )?;
    }
    same(
        "Receive Maximum",
        connack.property(property::RECEIVE_MAXIMUM),
        Some(&1024_u16.to_be_bytes()[..]),
    )?;
    same(
        "Maximum Packet Size",
        connack.property(property::MAXIMUM_PACKET_SIZE),
        Some(&1_048_576_u32.to_be_bytes()[..]),
    )?;
    same(
        "Topic Alias Maximum",
        connack.property(property::TOPIC_ALIAS_MAXIMUM),
        Some(&32_u16.to_be_bytes()[..]),
    )
}

fn refusal(context: &Context) -> Outcome {
    if !context.is_v5() {
        let mut client = context.open()?;
        client.send(Connect::new(context.version, "").clean(false).bytes())?;
        client.expect([0x20, 2, 0, 2])?;
        return client.expect_closed();
    }
    // There is a session to be resumed, and yet the refusal says nothing of it.
    let persistent = context.hello("c").persistent();
    context.accepted(&persistent)?.0.disconnect()?;
    let mut client = context.open()?;
    client.send(
        persistent
            .property(property::text(property::AUTH_METHOD, "none such"))
            .bytes(),
    )?;
    let connack = client.frame()?.connack(context.version)?;
    same("flags", connack.flags, 0)?;
    ensure(
        connack.code >= 0x80 && CODES.contains(&connack.code),
        || format!("code {:#04X}", connack.code),
    )?;
    client.expect_closed()?;
    context
        .resumed(&context.hello("c").persistent(), true)
        .map(drop)
}

/// All that may be missing in a server is there in this one, so nothing announces its absence.
fn full_capabilities(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let will = context.hello("c").will(context.topic("will"), "x", 2, true);
    let (mut client, connack) = context.accepted(&will)?;
    for id in [
        property::MAXIMUM_QOS,
        property::RETAIN_AVAILABLE,
        property::WILDCARD_AVAILABLE,
        property::SUBSCRIPTION_ID_AVAILABLE,
        property::SHARED_AVAILABLE,
    ] {
        ensure(connack.property(id).is_none(), || {
            format!("{id:#04X} is announced: {connack:02X?}")
        })?;
    }
    let mut publisher = context.client("p")?;
    for qos in [0, 1, 2] {
        client.subscribe(&context.topic(&format!("+/{qos}")), qos)?;
        publisher.retain(&context.topic(&format!("kept-{qos}")), qos, "x")?;
    }
    if context.is_v5() {
        let id = property::varint(property::SUBSCRIPTION_ID, 7);
        let shared = format!("$share/s/{topic}");
        client.send(build::subscribe_with(
            context.version,
            100,
            &id,
            &[(&topic, 2), (&shared, 2)],
        ))?;
        client.expect(build::suback(0x90, context.version, 100, &[2, 2]))?;
    }
    client.disconnect()
}

fn response_information(context: &Context) -> Outcome {
    for connect in [
        context.hello("c"),
        context
            .hello("c")
            .property(property::byte(property::REQUEST_RESPONSE, 0)),
    ] {
        let (_, connack) = context.accepted(&connect)?;
        ensure(connack.property(property::RESPONSE_INFO).is_none(), || {
            format!("{connack:02X?}")
        })?;
    }
    Ok(())
}

/// Neither a Reason String nor User Properties make a CONNACK too large, be it a success or a refusal.
fn fits(context: &Context) -> Outcome {
    for limit in [24_u32, 30, 40, 60] {
        let connect = context
            .hello("c")
            .property(property::four(property::MAXIMUM_PACKET_SIZE, limit));
        let refused = connect
            .clone()
            .property(property::text(property::AUTH_METHOD, "none such"));
        for connect in [connect, refused] {
            let mut client = context.open()?;
            client.send(connect.bytes())?;
            let size = client.frame()?.size;
            ensure(size <= limit as usize, || {
                format!("a CONNACK of {size} bytes where {limit} are allowed")
            })?;
        }
    }
    Ok(())
}

const MAXIMUM: usize = 1_048_576;

fn too_large(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.send_refusable(Publish::new(context.version, &topic, vec![0; MAXIMUM]).bytes());
    client.expect_rejected(&[0x95])?;
    // The length alone is enough to tell.
    let mut client = context.client("c")?;
    client.send([&[0x30][..], &build::varint(268_435_455)].concat())?;
    client.expect_rejected(&[0x95])
}

fn just_fits(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let overhead = Publish::new(context.version, &topic, vec![0; 100_000])
        .bytes()
        .len()
        - 100_000;
    let publish = Publish::new(context.version, &topic, vec![b'x'; MAXIMUM - overhead]).qos(0, 0);
    same("size", publish.bytes().len(), MAXIMUM)?;
    let mut client = context.client("c")?;
    client.subscribe(&topic, 0)?;
    client.send(publish.bytes())?;
    let frame = client.frame()?;
    ensure(frame.bytes() == publish.bytes(), || {
        format!("a frame of {} bytes came back", frame.size)
    })
}

//! Rows on what a CONNECT must look like and what becomes of one that doesn't. Section 3.1 of both standards.

use super::{Context, Row, row};
use crate::raw::build::{self, Connect, Publish, packet, property, text};
use crate::raw::{Outcome, QUIET, Received, ensure, same};

pub(super) const ROWS: &[Row] = &[
    row(
        "connect::must_be_the_first_packet",
        &["3.1.0-1", "3.14.0-1"],
        &["3.1.0-1"],
        first_packet,
    ),
    row(
        "connect::a_second_one_ends_the_connection",
        &["3.1.0-2", "3.2.0-2"],
        &["3.1.0-2"],
        second_connect,
    ),
    row(
        "connect::another_protocol_name",
        &["3.1.2-1"],
        &["3.1.2-1"],
        protocol_name,
    ),
    row(
        "connect::the_name_and_level_of_3_1",
        &[],
        &["3.1.2-1"],
        mqisdp,
    ),
    row(
        "connect::an_unknown_level",
        &["3.1.2-2"],
        &["3.1.2-2", "3.2.2-4", "3.2.2-5"],
        protocol_level,
    ),
    row(
        "connect::the_reserved_flag",
        &["3.1.2-3", "3.1.4-1"],
        &["3.1.2-3", "3.1.4-1", "3.2.2-6"],
        reserved_flag,
    ),
    row(
        "connect::bodies_that_do_not_add_up",
        &["3.1.4-1", "3.1.3-3"],
        &["3.1.4-1", "3.1.3-3", "3.2.2-6"],
        bad_bodies,
    ),
    row(
        "connect::bad_properties",
        &["3.1.4-1", "4.13.1-1"],
        &[],
        bad_properties,
    ),
    row(
        "connect::user_name_and_password_match_their_flags",
        &["3.1.2-16", "3.1.2-17", "3.1.2-18", "3.1.2-19"],
        &["3.1.2-18", "3.1.2-19", "3.1.2-20", "3.1.2-21"],
        credentials,
    ),
    row(
        "connect::a_password_without_a_user_name",
        &["3.1.2-19"],
        &["3.1.2-22"],
        password_alone,
    ),
    row(
        "connect::all_fields_in_their_order",
        &["3.1.3-1", "3.1.2-9", "3.1.2-17", "3.1.2-19", "3.1.4-5"],
        &["3.1.3-1", "3.1.2-9", "3.1.2-19", "3.1.2-21", "3.1.4-4"],
        all_fields,
    ),
    row(
        "connect::nothing_after_a_refused_one_is_processed",
        &["3.1.4-6"],
        &["3.1.4-5"],
        nothing_after_refusal,
    ),
    row(
        "connect::arriving_byte_by_byte",
        &["4.2.0-1"],
        &["7.1.1-1"],
        byte_by_byte,
    ),
    row(
        "connect::many_packets_in_one_segment",
        &["4.2.0-1", "3.2.0-1"],
        &["7.1.1-1", "3.2.0-1"],
        one_segment,
    ),
];

fn first_packet(context: &Context) -> Outcome {
    let (version, topic) = (context.version, context.topic("t"));
    let mut cases = vec![
        ("PUBLISH", Publish::new(version, &topic, "x").bytes()),
        (
            "PUBLISH at QoS 1",
            Publish::new(version, &topic, "x").qos(1, 1).bytes(),
        ),
        ("PUBACK", build::ack(build::PUBACK, 1)),
        ("PUBREL", build::ack(build::PUBREL, 1)),
        ("SUBSCRIBE", build::subscribe(version, 1, &[(&topic, 0)])),
        ("UNSUBSCRIBE", build::unsubscribe(version, 1, &[&topic])),
        ("PINGREQ", build::PINGREQ.to_vec()),
        ("DISCONNECT", build::DISCONNECT.to_vec()),
        ("CONNACK", vec![0x20, 2, 0, 0]),
    ];
    if context.is_v5() {
        cases.push((
            "AUTH",
            build::auth(0x18, &property::text(property::AUTH_METHOD, "x")),
        ));
    }
    for (case, bytes) in cases {
        let mut client = context.open()?;
        client.send_refusable(bytes);
        client
            .expect_closed()
            .map_err(|failure| failure.in_case(case))?;
    }
    Ok(())
}

fn second_connect(context: &Context) -> Outcome {
    let mut client = context.client("c")?;
    client.send(context.hello("c").bytes())?;
    client.expect_rejected(&[0x82])?;
    let mut client = context.client("c")?;
    client.send(context.hello("other").bytes())?;
    client.expect_rejected(&[0x82])
}

fn protocol_name(context: &Context) -> Outcome {
    let level = context.version.level();
    for name in ["MQTX", "mqtt", "MQT", "MQTTT", "", "HTTP/1.1 please"] {
        let bytes = context.hello("c").protocol(name, level).bytes();
        context.refuses(&[(name, bytes)], &[0x81, 0x84])?;
    }
    Ok(())
}

/// Devices still speak MQTT 3.1, and Dunlin lets them: the same packets after another beginning.
fn mqisdp(context: &Context) -> Outcome {
    let (mut client, connack) = context.accepted(&context.hello("c").protocol("MQIsdp", 3))?;
    same("flags", connack.flags, 0)?;
    let topic = context.topic("t");
    client.subscribe(&topic, 0)?;
    client.send(Publish::new(context.version, &topic, "x").bytes())?;
    client.expect_message(&topic, "x").map(drop)
}

/// 3.1.1 demands return code 1; for a level above 5 Dunlin may answer in either version's words.
fn protocol_level(context: &Context) -> Outcome {
    if !context.is_v5() {
        // A session is there, and yet Session Present is 0 in a refusal.
        context
            .accepted(&context.hello("c").persistent())?
            .0
            .disconnect()?;
        for level in [0, 1, 2] {
            let mut client = context.open()?;
            client.send(
                context
                    .hello("c")
                    .clean(false)
                    .protocol("MQTT", level)
                    .bytes(),
            )?;
            client
                .expect([0x20, 2, 0, 1])
                .map_err(|failure| failure.in_case(level))?;
            client.expect_closed()?;
        }
        return Ok(());
    }
    for level in [6, 7, 0x7F, 0xFF] {
        let mut client = context.open()?;
        client.send(context.hello("c").protocol("MQTT", level).bytes())?;
        match client.receive(crate::raw::PATIENCE)? {
            Received::Closed => continue,
            Received::Frame(frame) if frame.bytes() == [0x20, 2, 0, 1] => {}
            Received::Frame(frame) => {
                let connack = frame.connack(context.version)?;
                same("flags and code", (connack.flags, connack.code), (0, 0x84))?;
            }
            Received::Nothing => ensure(false, || format!("level {level} got no answer"))?,
        }
        client.expect_closed()?;
    }
    Ok(())
}

fn reserved_flag(context: &Context) -> Outcome {
    let hello = context.hello("c");
    context.refuses(
        &[
            ("clean", hello.clone().flags(3).bytes()),
            ("not clean", hello.flags(1).bytes()),
        ],
        &[0x81],
    )
}

fn bad_bodies(context: &Context) -> Outcome {
    let body = context.hello("c").body();
    let header_length = if context.is_v5() { 11 } else { 10 };
    let header = body.get(..header_length).unwrap_or_default();
    let mut cases: Vec<(String, Vec<u8>)> = (0..body.len())
        .map(|length| {
            (
                format!("cut to {length}"),
                packet(0x10, body.get(..length).unwrap_or_default()),
            )
        })
        .collect();
    cases.extend([
        ("without a ClientId".to_owned(), packet(0x10, header)),
        (
            "a ClientId longer than the packet".to_owned(),
            packet(0x10, [header, &[0, 9, b'a']].concat()),
        ),
        (
            "something left over".to_owned(),
            packet(0x10, [&body[..], &[0]].concat()),
        ),
        (
            "a string left over".to_owned(),
            packet(0x10, [&body[..], &text("abc")].concat()),
        ),
    ]);
    for (case, bytes) in cases {
        context.refuses(&[(&case, bytes)], &[0x81, 0x82, 0x84])?;
    }
    Ok(())
}

fn bad_properties(context: &Context) -> Outcome {
    let twice = |property: Vec<u8>| [&property[..], &property].concat();
    let cases = [
        (
            "Session Expiry Interval twice",
            twice(property::four(property::SESSION_EXPIRY, 1)),
        ),
        (
            "Receive Maximum twice",
            twice(property::two(property::RECEIVE_MAXIMUM, 1)),
        ),
        (
            "Receive Maximum of 0",
            property::two(property::RECEIVE_MAXIMUM, 0),
        ),
        (
            "Maximum Packet Size twice",
            twice(property::four(property::MAXIMUM_PACKET_SIZE, 100)),
        ),
        (
            "Maximum Packet Size of 0",
            property::four(property::MAXIMUM_PACKET_SIZE, 0),
        ),
        (
            "Topic Alias Maximum twice",
            twice(property::two(property::TOPIC_ALIAS_MAXIMUM, 1)),
        ),
        (
            "Request Response Information of 2",
            property::byte(property::REQUEST_RESPONSE, 2),
        ),
        (
            "Request Response Information twice",
            twice(property::byte(property::REQUEST_RESPONSE, 1)),
        ),
        (
            "Request Problem Information of 2",
            property::byte(property::REQUEST_PROBLEM, 2),
        ),
        (
            "Request Problem Information twice",
            twice(property::byte(property::REQUEST_PROBLEM, 1)),
        ),
        (
            "Authentication Data without a method",
            property::text(property::AUTH_DATA, "x"),
        ),
        (
            "Authentication Method twice",
            twice(property::text(property::AUTH_METHOD, "x")),
        ),
        (
            "a property of PUBLISH",
            property::byte(property::PAYLOAD_FORMAT, 1),
        ),
        (
            "a property of CONNACK",
            property::byte(property::MAXIMUM_QOS, 1),
        ),
        ("an unknown property", vec![0x7E, 0]),
    ];
    for (case, bytes) in cases {
        context.refuses(
            &[(case, context.hello("c").property(bytes).bytes())],
            &[0x81, 0x82],
        )?;
    }
    let will = context.hello("c").will(context.topic("w"), "x", 0, false);
    for (case, bytes) in [
        (
            "Will Delay Interval twice",
            twice(property::four(property::WILL_DELAY, 1)),
        ),
        (
            "Payload Format Indicator of 2",
            property::byte(property::PAYLOAD_FORMAT, 2),
        ),
        (
            "a Topic Alias in the Will",
            property::two(property::TOPIC_ALIAS, 1),
        ),
        (
            "a Session Expiry Interval in the Will",
            property::four(property::SESSION_EXPIRY, 1),
        ),
    ] {
        context.refuses(
            &[(case, will.clone().will_property(bytes).bytes())],
            &[0x81, 0x82],
        )?;
    }
    Ok(())
}

fn credentials(context: &Context) -> Outcome {
    let both = context.hello("c").user_name("u").password("p");
    let cases = [
        (
            "a User Name without its flag",
            context.hello("c").user_name("u").flags(0x02),
        ),
        ("a Password without its flag", both.clone().flags(0x82)),
        ("both without flags", both.flags(0x02)),
        ("a flag without a User Name", context.hello("c").flags(0x82)),
        (
            "a flag without a Password",
            context.hello("c").user_name("u").flags(0xC2),
        ),
        ("both flags without fields", context.hello("c").flags(0xC2)),
    ];
    for (case, connect) in cases {
        context.refuses(&[(case, connect.bytes())], &[0x81, 0x82])?;
    }
    Ok(())
}

/// MQTT 5 allows it, 3.1.1 forbids it.
fn password_alone(context: &Context) -> Outcome {
    let connect = context.hello("c").password("p");
    if context.is_v5() {
        context.accepted(&connect).map(drop)
    } else {
        context.refuses(&[("it", connect.bytes())], &[])
    }
}

fn all_fields(context: &Context) -> Outcome {
    let topic = context.topic("will");
    let mut watcher = context.client("w")?;
    watcher.subscribe(&topic, 2)?;
    let connect = context
        .hello("c")
        .keep_alive(60)
        .property(property::user("a", "b"))
        .will(&topic, "gone", 1, false)
        .will_property(property::text(property::CONTENT_TYPE, "text/plain"))
        .user_name("user")
        .password([0, 1, 2, 0xFF]);
    let (client, connack) = context.accepted(&connect)?;
    same("flags", connack.flags, 0)?;
    client.cut();
    let will = watcher.expect_message(&topic, "gone")?;
    watcher.accept(&will)?;
    // The same identifier is the client that just left, so the fields before it were read in their order.
    context
        .resumed(&context.hello("c").clean(false), false)
        .map(drop)
}

fn nothing_after_refusal(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut watcher = context.client("w")?;
    watcher.subscribe(&topic, 0)?;
    let refused = if context.is_v5() {
        context
            .hello("c")
            .property(property::text(property::AUTH_METHOD, "no such method"))
    } else {
        Connect::new(context.version, "").clean(false)
    };
    let publish = Publish::new(context.version, &topic, "too late");
    let subscribe = build::subscribe(context.version, 1, &[(&topic, 0)]);
    let mut client = context.open()?;
    client.send(
        [
            refused.bytes(),
            publish.clone().retain().bytes(),
            subscribe,
            publish.bytes(),
        ]
        .concat(),
    )?;
    let connack = client.frame()?.connack(context.version)?;
    ensure(connack.code != 0, || "it wasn't refused".to_owned())?;
    client.expect_closed()?;
    watcher.quiet()?;
    let mut late = context.client("l")?;
    late.subscribe(&topic, 0)?;
    late.quiet()
}

fn byte_by_byte(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let publish = Publish::new(context.version, &topic, "slowly");
    let subscribe = build::subscribe(context.version, 1, &[(&topic, 0)]);
    let mut client = context.open()?;
    for byte in context.hello("c").bytes() {
        client.send([byte])?;
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    same("code", client.frame()?.connack(context.version)?.code, 0)?;
    for byte in [subscribe, publish.bytes()].concat() {
        client.send([byte])?;
    }
    client.expect(build::suback(0x90, context.version, 1, &[0]))?;
    client.expect(publish.bytes())
}

fn one_segment(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let publish = Publish::new(context.version, &topic, "at once");
    let subscribe = build::subscribe(context.version, 1, &[(&topic, 0)]);
    let mut client = context.open()?;
    client.send(
        [
            context.hello("c").bytes(),
            subscribe,
            publish.bytes(),
            build::PINGREQ.to_vec(),
        ]
        .concat(),
    )?;
    let connack = client.frame()?.connack(context.version)?;
    same("flags and code", (connack.flags, connack.code), (0, 0))?;
    let mut seen = Vec::new();
    while let Received::Frame(frame) = client.receive(if seen.len() < 3 {
        crate::raw::PATIENCE
    } else {
        QUIET
    })? {
        seen.push(frame.bytes());
    }
    let expected = [
        build::suback(0x90, context.version, 1, &[0]),
        publish.bytes(),
        build::PINGRESP.to_vec(),
    ];
    // Only a message may wait while an answer goes out.
    ensure(
        seen.len() == 3 && expected.iter().all(|bytes| seen.contains(bytes)),
        || format!("saw {seen:02X?}"),
    )?;
    same("first", seen.first(), expected.first())
}

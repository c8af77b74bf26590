//! Rows on the packet format: fixed header flags, Packet Identifiers, the Property Length, errors in general.
//! Chapter 2 of both standards, sections 4.8 (3.1.1) and 4.13 (5).

use super::{Context, Row, row};
use crate::raw::build::{self, PUBACK, Publish, packet, property, text};
use crate::raw::{Client, Outcome};

pub(super) const ROWS: &[Row] = &[
    row(
        "format::reserved_flags_end_the_connection",
        &[
            "2.1.3-1", "3.6.1-1", "3.8.1-1", "3.10.1-1", "3.14.1-1", "3.15.1-1", "4.13.1-1",
        ],
        &[
            "2.2.2-1", "2.2.2-2", "3.6.1-1", "3.8.1-1", "3.10.1-1", "3.14.1-1",
        ],
        reserved_flags,
    ),
    row(
        "format::reserved_flags_of_connect",
        &["2.1.3-1"],
        &["2.2.2-1", "2.2.2-2"],
        reserved_flags_of_connect,
    ),
    row(
        "format::the_broker_sends_the_listed_flags",
        &["2.1.3-1"],
        &["2.2.2-1"],
        flags_sent,
    ),
    row(
        "format::unknown_packet_types",
        &["4.13.1-1"],
        &["4.8.0-1"],
        unknown_types,
    ),
    row(
        "format::packets_only_a_server_sends",
        &["4.13.1-1"],
        &["4.8.0-1"],
        server_packets,
    ),
    row(
        "format::qos_0_has_no_packet_id",
        &["2.2.1-2"],
        &["2.3.1-5"],
        no_id_at_qos_0,
    ),
    row(
        "format::packet_id_zero",
        &["2.2.1-3"],
        &["2.3.1-1"],
        id_zero,
    ),
    row(
        "format::acks_carry_the_id_of_the_publish",
        &["2.2.1-5"],
        &["2.3.1-6"],
        ack_ids,
    ),
    row(
        "format::suback_and_unsuback_carry_the_id",
        &["2.2.1-6", "3.8.4-2", "3.10.4-5"],
        &["2.3.1-7", "3.8.4-2", "3.10.4-4"],
        suback_ids,
    ),
    row(
        "format::no_properties_is_a_zero",
        &["2.2.2-1"],
        &[],
        property_length_sent,
    ),
    row(
        "format::a_property_length_is_required",
        &["2.2.2-1"],
        &[],
        property_length_required,
    ),
    row(
        "format::bodies_that_do_not_add_up",
        &["4.13.1-1"],
        &["4.8.0-1"],
        bad_bodies,
    ),
    row(
        "format::an_error_touches_no_other_session",
        &["4.13.1-1", "4.13.2-1"],
        &["4.8.0-1"],
        no_other_session,
    ),
];

fn reserved_flags(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let filter = [
        &[0, 1][..],
        &build::properties(context.version, &[]),
        &text(&topic),
    ]
    .concat();
    let with_options = [&filter[..], &[0]].concat();
    let mut cases = Vec::new();
    for (name, first, allowed, body) in [
        ("PUBACK", 0x40, 0, vec![0, 1]),
        ("PUBREC", 0x50, 0, vec![0, 1]),
        ("PUBREL", 0x60, 2, vec![0, 1]),
        ("PUBCOMP", 0x70, 0, vec![0, 1]),
        ("SUBSCRIBE", 0x80, 2, with_options),
        ("UNSUBSCRIBE", 0xA0, 2, filter),
        ("PINGREQ", 0xC0, 0, vec![]),
        ("DISCONNECT", 0xE0, 0, vec![]),
    ] {
        for flags in (0..16).filter(|flags| *flags != allowed) {
            cases.push((name, packet(first | flags, &body)));
        }
    }
    if context.is_v5() {
        cases.extend((1..16).map(|flags| ("AUTH", packet(0xF0 | flags, [0, 0]))));
    }
    context.rejects(&cases, &[0x81])
}

fn reserved_flags_of_connect(context: &Context) -> Outcome {
    let body = context.hello("c").body();
    let cases: Vec<_> = (1..16)
        .map(|flags| ("CONNECT", packet(0x10 | flags, &body)))
        .collect();
    context.refuses(&cases, &[0x81])
}

/// Each packet a broker sends, to the byte.
fn flags_sent(context: &Context) -> Outcome {
    let version = context.version;
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.exchange(
        build::subscribe(version, 1, &[(&topic, 2)]),
        build::suback(0x90, version, 1, &[2]),
    )?;
    client.ping()?;
    client.publish(&context.topic("x"), 2, "")?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "m")?;
    let publish = client.expect_publish()?;
    client.exchange(
        build::unsubscribe(version, 3, &[&topic]),
        unsuback(context, 3),
    )?;
    client.send(build::ack(PUBACK, publish.id))
}

fn unsuback(context: &Context, id: u16) -> Vec<u8> {
    let codes: &[u8] = if context.is_v5() { &[0] } else { &[] };
    build::suback(0xB0, context.version, id, codes)
}

fn unknown_types(context: &Context) -> Outcome {
    let mut cases = vec![
        ("type 0", vec![0x00, 0]),
        ("type 0 with a body", packet(0x00, [1, 2, 3])),
    ];
    if !context.is_v5() {
        cases.push(("type 15", vec![0xF0, 0]));
    }
    context.rejects(&cases, &[0x81, 0x82])
}

fn server_packets(context: &Context) -> Outcome {
    let version = context.version;
    let cases = [
        (
            "CONNACK",
            packet(
                0x20,
                [&[0, 0][..], &build::properties(version, &[])].concat(),
            ),
        ),
        ("SUBACK", build::suback(0x90, version, 1, &[0])),
        ("UNSUBACK", unsuback(context, 1)),
        ("PINGRESP", build::PINGRESP.to_vec()),
    ];
    context.rejects(&cases, &[0x81, 0x82])
}

/// In both directions: what follows the topic (and properties) of a QoS 0 message is its payload.
fn no_id_at_qos_0(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.subscribe(&topic, 2)?;
    let publish = Publish::new(context.version, &topic, [0, 1]);
    client.send(publish.bytes())?;
    client.expect(publish.bytes())
}

fn id_zero(context: &Context) -> Outcome {
    let (version, topic) = (context.version, context.topic("t"));
    let cases = [
        (
            "PUBLISH at QoS 1",
            Publish::new(version, &topic, "x").qos(1, 0).bytes(),
        ),
        (
            "PUBLISH at QoS 2",
            Publish::new(version, &topic, "x").qos(2, 0).bytes(),
        ),
        ("SUBSCRIBE", build::subscribe(version, 0, &[(&topic, 0)])),
        ("UNSUBSCRIBE", build::unsubscribe(version, 0, &[&topic])),
    ];
    context.rejects(&cases, &[0x81, 0x82])
}

fn ack_ids(context: &Context) -> Outcome {
    let (version, topic) = (context.version, context.topic("t"));
    let mut subscriber = context.client("s")?;
    subscriber.subscribe(&topic, 2)?;
    let mut client = context.client("c")?;
    for id in [1, 2, 0x00FF, 0x0100, 0x1234, 0xFFFF] {
        client.complete(&Publish::new(version, &topic, "a").qos(1, id))?;
        client.complete(&Publish::new(version, &topic, "b").qos(2, id))?;
        for _ in 0..2 {
            let publish = subscriber.expect_publish()?;
            subscriber.accept(&publish)?;
        }
    }
    subscriber.quiet()
}

fn suback_ids(context: &Context) -> Outcome {
    let (version, topic) = (context.version, context.topic("t"));
    let mut client = context.client("c")?;
    for id in [1, 0x00FF, 0x0100, 0x1234, 0xFFFF] {
        client.exchange(
            build::subscribe(version, id, &[(&topic, 1)]),
            build::suback(0x90, version, id, &[1]),
        )?;
        client.exchange(
            build::unsubscribe(version, id, &[&topic]),
            unsuback(context, id),
        )?;
    }
    Ok(())
}

fn property_length_sent(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut client = context.client("c")?;
    client.exchange(
        build::subscribe(context.version, 1, &[(&topic, 0)]),
        [0x90, 4, 0, 1, 0, 0],
    )?;
    client.send(Publish::new(context.version, &topic, "").bytes())?;
    client.expect(packet(0x30, [&text(&topic)[..], &[0]].concat()))?;
    client.exchange(
        build::unsubscribe(context.version, 2, &[&topic]),
        [0xB0, 4, 0, 2, 0, 0],
    )
}

/// The same packets as 3.1.1 would write them.
fn property_length_required(context: &Context) -> Outcome {
    let cases = [
        ("SUBSCRIBE that ends before it", vec![0x82, 2, 0, 1]),
        ("UNSUBSCRIBE that ends before it", vec![0xA2, 2, 0, 1]),
        (
            "PUBLISH that ends before it",
            packet(0x30, text(context.topic("t"))),
        ),
    ];
    context.rejects(&cases, &[0x81])?;
    let body = [&text("MQTT")[..], &[5, 2, 0, 0]].concat();
    context.refuses(
        &[("CONNECT that ends before it", packet(0x10, body))],
        &[0x81],
    )
}

fn bad_bodies(context: &Context) -> Outcome {
    let (version, topic) = (context.version, context.topic("t"));
    let none = build::properties(version, &[]);
    let mut cases = vec![
        ("PUBLISH without a topic", vec![0x30, 0]),
        (
            "PUBLISH whose topic is longer than the packet",
            vec![0x30, 4, 0, 9, b'a', b'b'],
        ),
        (
            "PUBLISH that ends in its Packet Identifier",
            packet(0x32, [&text(&topic)[..], &[0]].concat()),
        ),
        ("PUBACK of one byte", packet(0x40, [0])),
        ("PUBREL without an identifier", vec![0x62, 0]),
        (
            "SUBSCRIBE without options",
            packet(0x82, [&[0, 1][..], &none, &text(&topic)].concat()),
        ),
        (
            "SUBSCRIBE whose filter is cut",
            packet(0x82, [&[0, 1][..], &none, &[0, 9, b'a']].concat()),
        ),
        (
            "UNSUBSCRIBE whose filter is cut",
            packet(0xA2, [&[0, 1][..], &none, &[0, 9, b'a']].concat()),
        ),
        ("PINGREQ with a body", vec![0xC0, 1, 0]),
    ];
    if version == crate::raw::Version::V5 {
        cases.extend([
            (
                "properties longer than the packet",
                packet(0x30, [&text(&topic)[..], &[9, 1, 1]].concat()),
            ),
            (
                "a property that is cut",
                packet(0x30, [&text(&topic)[..], &[3, 2, 0, 0]].concat()),
            ),
            (
                "an unknown property",
                Publish::new(version, &topic, "")
                    .property([0x7F, 0])
                    .bytes(),
            ),
            (
                "PUBACK with something left over",
                packet(0x40, [0, 1, 0, 0, 0]),
            ),
            (
                "PUBACK with an unknown Reason Code",
                build::ack_with(0x40, 1, 0x42),
            ),
            (
                "DISCONNECT with an unknown Reason Code",
                build::disconnect_with(0x42, &[]),
            ),
        ]);
    } else {
        cases.extend([
            ("PUBACK of three bytes", packet(0x40, [0, 1, 0])),
            ("PUBREL of three bytes", packet(0x62, [0, 1, 0])),
            ("DISCONNECT with a body", packet(0xE0, [0])),
        ]);
    }
    context.rejects(&cases, &[0x81, 0x82])?;
    if context.is_v5() {
        let twice = [
            property::byte(property::PAYLOAD_FORMAT, 1),
            property::byte(property::PAYLOAD_FORMAT, 1),
        ]
        .concat();
        let wrong = property::four(property::SESSION_EXPIRY, 1);
        let cases = [
            (
                "a property that came twice",
                Publish::new(version, &topic, "").property(twice).bytes(),
            ),
            (
                "a property of another packet",
                Publish::new(version, &topic, "").property(wrong).bytes(),
            ),
            (
                "a value out of range",
                Publish::new(version, &topic, "").property([1, 2]).bytes(),
            ),
        ];
        context.rejects(&cases, &[0x81, 0x82])?;
    }
    Ok(())
}

fn no_other_session(context: &Context) -> Outcome {
    let topic = context.topic("t");
    let mut bystander: Client = context.client("b")?;
    bystander.subscribe(&topic, 1)?;
    context.rejects(
        &[("type 0", vec![0, 0]), ("flags", vec![0xC1, 0])],
        &[0x81, 0x82],
    )?;
    let mut publisher = context.client("p")?;
    publisher.publish(&topic, 1, "still here")?;
    let publish = bystander.expect_message(&topic, "still here")?;
    bystander.accept(&publish)?;
    bystander.quiet()
}

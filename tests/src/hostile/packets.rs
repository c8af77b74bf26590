//! Well-formed packets at the wrong time or with absurd contents: those of a server, wrong identifiers, aliases, tens
//! of thousands of properties. MQTT 5 chapter 3, sections 2.2.1, 3.3.2.3.4, 4.8.

use std::time::Duration;

use super::malformed::of_the_server;
use super::socket::Socket;
use super::stage::frame_or_closed;
use super::{Scenario, Stage, scenario, sized};
use crate::raw::build::{self, Connect, Publish, property};
use crate::raw::{Client, Outcome, PATIENCE, Received, Version, ensure, same};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "packets::cve_2021_28166_packets_of_a_server",
        server_packets,
    ),
    scenario(
        "packets::cve_2023_3592_bad_will_properties",
        bad_will_properties,
    )
    .rounds(3),
    scenario("packets::cve_2017_7654_refused_connects", refused_connects).rounds(3),
    scenario(
        "packets::cve_2021_41039_100000_user_properties",
        user_properties,
    )
    .rounds(3),
    scenario(
        "packets::user_properties_up_to_a_high_limit",
        allowed_user_properties,
    )
    .limits("user_properties = 1000000")
    .may_refuse(),
    scenario(
        "packets::cve_2019_11778_will_delay_against_session_expiry",
        will_delay,
    )
    .rounds(3),
    scenario("packets::identifier_games", identifier_games),
    scenario(
        "packets::identifiers_beyond_receive_maximum",
        beyond_receive_maximum,
    ),
    scenario("packets::topic_alias_games", alias_games),
    scenario("packets::topic_aliases_for_long_topics", long_aliases)
        .may_refuse()
        .rounds(3),
    scenario("packets::a_client_that_takes_next_to_nothing", tiny_client),
];

const V5: Version = Version::V5;

fn server_packets(stage: &Stage) -> Outcome {
    for version in [Version::V311, V5] {
        for packet in of_the_server(version) {
            let mut first = Socket::with(stage, &packet)?;
            let connect = Connect::new(version, "server").bytes();
            let mut later = Socket::with(stage, [connect.as_slice(), &packet].concat())?;
            ensure(first.closes(PATIENCE) && later.closes(PATIENCE), || {
                format!("taken from a client: {packet:02X?}")
            })?;
        }
    }
    stage.still_serves()
}

fn bad_will_properties(stage: &Stage) -> Outcome {
    let large = vec![b'x'; 10_000];
    for _ in 0..sized(100, 2000) {
        for bad in [
            property::two(property::TOPIC_ALIAS, 1),
            property::byte(property::PAYLOAD_FORMAT, 2),
            property::text(property::RESPONSE_TOPIC, "with/#"),
            vec![0x7E, 1],
        ] {
            let connect = Connect::new(V5, "bad-will")
                .will("will", &large, 1, false)
                .will_property(property::text(property::CONTENT_TYPE, &large))
                .will_property(property::text(property::CORRELATION_DATA, &large))
                .will_property(bad);
            let mut client = Client::open(stage.address(), V5)?;
            client.send_refusable(connect.bytes());
            let connack = frame_or_closed(&mut client, 0x20)?.map(|frame| frame.connack(V5));
            let code = connack.transpose()?.map_or(0x81, |connack| connack.code);
            ensure(code >= 0x80, || "a bad Will was taken".into())?;
        }
    }
    stage.still_serves()
}

fn refused_connects(stage: &Stage) -> Outcome {
    let filler = vec![b'x'; 20_000];
    let refused = [
        Connect::new(V5, vec![b'c'; 60_000]),
        Connect::new(V5, "auth").property(property::text(property::AUTH_METHOD, &filler)),
        Connect::new(V5, "name")
            .protocol("MQTT", 77)
            .user_name(&filler),
        Connect::new(Version::V311, "")
            .clean(false)
            .password(&filler),
        Connect::new(Version::V311, "flag")
            .flags(0xFF)
            .user_name(&filler),
        Connect::new(V5, [0xC0, 0x80]).user_name(&filler),
        Connect::new(V5, "will").will("a/#", &filler, 1, true),
    ];
    for _ in 0..sized(60, 2000) {
        for connect in &refused {
            let mut socket = Socket::with(stage, connect.bytes())?;
            ensure(socket.closes(PATIENCE), || format!("let in: {connect:?}"))?;
        }
    }
    stage.still_serves()
}

/// Empty User Properties: five bytes each.
fn many(count: usize) -> Vec<u8> {
    property::user("", "").repeat(count)
}

/// Every packet that can carry them, with as many as fit below `limits.packet_bytes`.
fn with_properties(props: &[u8]) -> [Vec<u8>; 5] {
    let publish = |qos| {
        Publish::new(V5, "hostile/properties", "")
            .qos(qos, 9)
            .property(props)
    };
    let puback = [&[0, 9, 0][..], &build::properties(V5, props)].concat();
    [
        publish(0).bytes(),
        publish(1).bytes(),
        build::subscribe_with(V5, 9, props, &[("hostile/none", 0)]),
        build::packet(build::PUBACK, puback),
        build::disconnect_with(0, props),
    ]
}

fn user_properties(stage: &Stage) -> Outcome {
    let props = many(100_000);
    for _ in 0..sized(5, 50) {
        for packet in with_properties(&props) {
            let (mut client, _) = Client::connect(stage.address(), &Connect::new(V5, "props"))?;
            client.send_refusable(&packet);
            client.send_refusable(build::PINGREQ);
            let answer = client.receive(PATIENCE)?;
            // In an acknowledgement they go no further, so that it's enough to survive them.
            let harmless = packet.first() == Some(&build::PUBACK);
            let served = matches!(&answer, Received::Frame(frame) if frame.first != 0xE0);
            ensure(harmless || !served, || {
                format!("100,000 User Properties were taken: {answer:02X?}")
            })?;
        }
        let connect = Connect::new(V5, "props").property(many(50_000));
        let mut socket = Socket::with(stage, connect.bytes())?;
        ensure(socket.closes(PATIENCE), || {
            "50,000 in CONNECT were taken".into()
        })?;
    }
    stage.still_serves()
}

/// Where the operator allows them they are forwarded, and cost time in proportion only.
fn allowed_user_properties(stage: &Stage) -> Outcome {
    let mut subscriber = stage.client(V5, "props-subscriber")?;
    subscriber.subscribe("hostile/properties", 1)?;
    let mut publisher = stage.client(V5, "props-publisher")?;
    let props = many(100_000);
    for _ in 0..sized(10, 100) {
        let id = publisher.fresh_id();
        let publish = Publish::new(V5, "hostile/properties", "")
            .qos(1, id)
            .property(&props);
        publisher.complete(&publish)?;
        let publish = subscriber.expect_publish()?;
        same("bytes of properties", publish.properties.len(), props.len())?;
        subscriber.accept(&publish)?;
    }
    stage.still_serves()
}

/// Wills that are due before, at and after their session's end, while the session is taken over, ended or resumed.
fn will_delay(stage: &Stage) -> Outcome {
    for number in 0..sized(60, 3000) {
        for (delay, expiry) in [
            (0, 0),
            (1, 0),
            (0, 1),
            (1, 1),
            (5, 1),
            (u32::MAX, 1),
            (1, 2),
        ] {
            let connect = Connect::new(V5, format!("late-{delay}-{expiry}"))
                .clean(number % 3 == 0)
                .property(property::four(property::SESSION_EXPIRY, expiry))
                .will("hostile/will", "gone", 2, number % 5 == 0)
                .will_property(property::four(property::WILL_DELAY, delay));
            let mut socket = Socket::with(stage, connect.bytes())?;
            socket.read(1, PATIENCE);
            match number % 4 {
                0 => socket.reset(),
                1 => drop(socket.push(build::disconnect_with(4, &[]), PATIENCE)),
                2 => drop(socket.push(build::DISCONNECT, PATIENCE)),
                _ => drop(socket),
            }
        }
    }
    // Past the delays: what is still due happens now.
    std::thread::sleep(Duration::from_millis(2200));
    stage.still_serves()
}

fn identifier_games(stage: &Stage) -> Outcome {
    let zero: [Vec<u8>; 7] = [
        Publish::new(V5, "a", "").qos(1, 0).bytes(),
        Publish::new(V5, "a", "").qos(2, 0).bytes(),
        build::ack(build::PUBACK, 0),
        build::ack(build::PUBREC, 0),
        build::ack(build::PUBREL, 0),
        build::subscribe(V5, 0, &[("a", 0)]),
        build::unsubscribe(V5, 0, &["a"]),
    ];
    for packet in zero {
        let mut client = stage.client(V5, "zero")?;
        client.send(&packet)?;
        client.expect_rejected(&[0x81, 0x82])?;
    }
    // Every acknowledgement for every identifier, none of which is in use.
    for version in [Version::V311, V5] {
        let mut socket = Socket::connected(stage, version, "unknown")?;
        for id in 1..=u16::MAX {
            let acks = [build::PUBACK, build::PUBREC, build::PUBREL, build::PUBCOMP];
            let bytes: Vec<u8> = acks
                .iter()
                .flat_map(|first| build::ack(*first, id))
                .collect();
            socket.push(bytes, PATIENCE);
            if id % 128 == 0 {
                socket.drain();
            }
        }
        socket.push(build::PINGREQ, PATIENCE);
        socket.drain();
    }
    // The same identifier for everything at once, acknowledged out of order and twice.
    let mut client = stage.client(V5, "same")?;
    client.subscribe("hostile/same", 2)?;
    for _ in 0..sized(200, 5000) {
        client.send(Publish::new(V5, "hostile/same", "x").qos(2, 1).bytes())?;
        client.send(
            Publish::new(V5, "hostile/same", "x")
                .qos(2, 1)
                .dup()
                .bytes(),
        )?;
        client.send(build::ack(build::PUBREL, 1))?;
        client.send(build::ack(build::PUBREL, 1))?;
        let mut seen = [0; 3];
        while seen.iter().sum::<usize>() < 5 {
            let frame = client.frame()?;
            match frame.first & 0xF0 {
                0x30 => seen[0] += 1,
                0x50 => seen[1] += 1,
                _ => seen[2] += 1,
            }
            if frame.first & 0xF0 == 0x30 {
                let publish = frame.publish(V5)?;
                client.send(build::ack(build::PUBREC, publish.id))?;
                client.send(build::ack(build::PUBREC, publish.id))?;
                client.send(build::ack(build::PUBCOMP, publish.id))?;
            }
        }
        while let Received::Frame(frame) = client.receive(Duration::from_millis(2))? {
            ensure(
                frame.first & 0xF0 == 0x60 || frame.first & 0xF0 == 0x70,
                || format!("one message became two: {frame:02X?}"),
            )?;
        }
    }
    // PUBCOMP for a message whose PUBREC never came.
    let mut early = stage.client(V5, "early")?;
    early.subscribe("hostile/early", 2)?;
    stage
        .client(V5, "publisher")?
        .publish("hostile/early", 2, "x")?;
    let publish = early.expect_publish()?;
    early.send(build::ack(build::PUBCOMP, publish.id))?;
    early.expect_rejected(&[0x82])?;
    stage.still_serves()
}

fn beyond_receive_maximum(stage: &Stage) -> Outcome {
    // Each QoS 2 message stays open until its PUBREL: the 1,025th is too many.
    let mut socket = Socket::connected(stage, V5, "beyond")?;
    for id in 1..=u16::MAX {
        let publish = Publish::new(V5, "hostile/beyond", "x").qos(2, id).bytes();
        if socket.push(publish, PATIENCE) == 0 {
            break;
        }
    }
    ensure(socket.closes(PATIENCE), || {
        "65,535 messages were left open".into()
    })?;
    stage.still_serves()
}

fn alias_games(stage: &Stage) -> Outcome {
    let aliased = |topic: &str, alias| {
        Publish::new(V5, topic, "x").property(property::two(property::TOPIC_ALIAS, alias))
    };
    for publish in [
        aliased("a", 0),
        aliased("a", 33),
        aliased("a", u16::MAX),
        aliased("", 5),
    ] {
        let mut client = stage.client(V5, "alias")?;
        client.send(publish.bytes())?;
        client.expect_rejected(&[0x82, 0x94])?;
    }
    let twice = aliased("a", 1).property(property::two(property::TOPIC_ALIAS, 2));
    let mut client = stage.client(V5, "alias")?;
    client.send(twice.bytes())?;
    client.expect_rejected(&[0x82])?;
    // An alias of the connection before this one.
    let mut client = stage.client(V5, "alias")?;
    client.send(aliased("hostile/alias", 1).bytes())?;
    client.ping()?;
    client.cut();
    let mut client = stage.client(V5, "alias")?;
    client.send(aliased("", 1).bytes())?;
    client.expect_rejected(&[0x82, 0x94])?;
    // Set again and again: the last topic counts.
    let mut client = stage.client(V5, "alias")?;
    client.subscribe("hostile/alias/+", 0)?;
    for number in 0..sized(2000, 50_000) {
        let topic = format!("hostile/alias/{number}");
        client.send([aliased(&topic, 7).bytes(), aliased("", 7).bytes()].concat())?;
        for _ in 0..2 {
            client.expect_message(&topic, "x")?;
        }
    }
    stage.still_serves()
}

/// 32 aliases of topics of 60,000 bytes are 2 MB a connection, ten times the ceiling for 200 of them.
fn long_aliases(stage: &Stage) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..sized(160, 640) {
        let mut socket = Socket::connected(stage, V5, &format!("aliases-{number}"))?;
        for alias in 1..=32 {
            let topic = format!("{alias}{}", "x".repeat(60_000));
            let publish =
                Publish::new(V5, topic, "").property(property::two(property::TOPIC_ALIAS, alias));
            socket.push(publish.bytes(), Duration::from_millis(200));
        }
        socket.push(build::PINGREQ, PATIENCE);
        sockets.push(socket);
    }
    // Until each was answered its PINGREQ, or was cut, the broker isn't through with them.
    for socket in &mut sockets {
        socket.read_until_quiet(Duration::from_millis(20));
    }
    drop(sockets);
    stage.still_serves()
}

fn tiny_client(stage: &Stage) -> Outcome {
    let four = |size| property::four(property::MAXIMUM_PACKET_SIZE, size);
    for size in 1..40 {
        let connect = Connect::new(V5, "tiny")
            .property(four(size))
            .property(property::two(property::RECEIVE_MAXIMUM, 1))
            .property(property::two(property::TOPIC_ALIAS_MAXIMUM, u16::MAX));
        let mut socket = Socket::with(stage, connect.bytes())?;
        let all = [("#", 2), ("$share/tiny/hostile/#", 1), ("hostile/+", 0)];
        socket.push(build::subscribe(V5, 1, &all), PATIENCE);
        socket.push(
            Publish::new(V5, "hostile/tiny", "too large")
                .qos(1, 2)
                .bytes(),
            PATIENCE,
        );
        socket.push(build::auth(0x19, &[]), PATIENCE);
        let bytes = socket.read(usize::MAX, Duration::from_millis(20));
        let mut rest = bytes.clone();
        while let Some(frame) = crate::raw::frame::Frame::take(&mut rest)? {
            ensure(frame.size <= size as usize, || {
                format!(
                    "{} bytes for a client that takes {size}: {frame:02X?}",
                    frame.size
                )
            })?;
        }
    }
    stage.still_serves()
}

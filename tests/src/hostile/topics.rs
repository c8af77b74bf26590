//! Topic Names and Topic Filters made to hurt: forbidden ones, the deepest, the longest, and filters that make
//! matching branch. MQTT 5 sections 1.5.4, 4.7, 4.8.

use std::time::{Duration, Instant};

use super::socket::Socket;
use super::stage::frame_or_closed;
use super::{Scenario, Stage, scenario, sized};
use crate::raw::build::{self, Connect, Publish};
use crate::raw::{Client, Outcome, PATIENCE, Version, ensure};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("topics::cve_2017_7653_invalid_utf_8", invalid_utf_8),
    scenario("topics::cve_2018_12543_dollar_topics", dollar_topics),
    scenario("topics::cve_2021_34432_empty_topic", empty_topic),
    scenario("topics::cve_2019_11779_65535_levels", all_slashes)
        .limits("topic_levels = 65535")
        .may_refuse()
        .rounds(3),
    scenario("topics::too_many_levels", too_many_levels),
    scenario("topics::filters_that_branch", branching).limits("topic_levels = 65535"),
    scenario("topics::filters_that_branch_deep_down", branching_deep),
    scenario(
        "topics::thousands_of_filters_in_a_packet",
        thousands_of_filters,
    )
    .rounds(3),
    scenario("topics::long_filters_up_to_the_ceiling", long_filters)
        .may_refuse()
        .rounds(3),
    scenario("topics::broken_shared_filters", broken_shares),
];

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];

fn invalid_utf_8(stage: &Stage) -> Outcome {
    let mut witness = stage.client(Version::V5, "witness")?;
    witness.subscribe("#", 0)?;
    let bad: [&[u8]; 7] = [
        b"a\0b",
        b"\xC0\x80",
        b"\xED\xA0\x80",
        b"\xF8\x88\x80\x80\x80",
        b"\xF4\x90\x80\x80",
        b"half \xE2\x82",
        b"\xFF",
    ];
    for version in VERSIONS {
        for topic in bad {
            let publish = Publish::new(version, topic, "x").bytes();
            let will = Connect::new(version, "utf-8")
                .will(topic, "x", 0, false)
                .bytes();
            let id = Connect::new(version, topic).bytes();
            let connect = Connect::new(version, "utf-8").bytes();
            for bytes in [[connect.as_slice(), &publish].concat(), will, id] {
                let mut socket = Socket::with(stage, &bytes)?;
                ensure(socket.closes(PATIENCE), || format!("taken: {bytes:02X?}"))?;
            }
        }
    }
    // The well-behaved pair's messages are all that the witness may have seen up to its ping.
    witness.send(build::PINGREQ)?;
    loop {
        let frame = witness.frame()?;
        if frame.first == 0xD0 {
            break;
        }
        let publish = frame.publish(Version::V5)?;
        ensure(publish.topic.starts_with(b"well-behaved/"), || {
            format!("forwarded: {publish:02X?}")
        })?;
    }
    stage.still_serves()
}

fn dollar_topics(stage: &Stage) -> Outcome {
    let mut witness = stage.client(Version::V5, "witness")?;
    witness.subscribe("+/hostile", 0)?;
    let topics = [
        "$",
        "$/",
        "$SYS",
        "$SYS/broker",
        "$share",
        "$share/a/b",
        "$x/hostile",
        "$$",
        "/$",
    ];
    for version in VERSIONS {
        for topic in topics {
            for qos in 0..3 {
                let connect = Connect::new(version, "dollar").bytes();
                let publish = Publish::new(version, topic, "x")
                    .qos(qos, 3)
                    .retain()
                    .bytes();
                let subscribe = build::subscribe(version, 4, &[(topic, qos)]);
                let unsubscribe = build::unsubscribe(version, 5, &[topic]);
                let all = [connect, subscribe, publish, unsubscribe];
                for first in 1..4 {
                    // In every order, since each of them may end the connection.
                    let mut order = vec![all[0].clone(), all[first].clone()];
                    order.extend(all.iter().skip(1).cloned());
                    Socket::with(stage, order.concat())?.read(64, Duration::from_millis(3));
                }
                Socket::with(
                    stage,
                    Connect::new(version, "dollar")
                        .will(topic, "x", qos, true)
                        .bytes(),
                )?
                .reset();
            }
        }
    }
    // [MQTT-4.7.2-1] And none of it under a wildcard.
    witness.quiet()?;
    stage.still_serves()
}

fn empty_topic(stage: &Stage) -> Outcome {
    for version in VERSIONS {
        for qos in 0..3 {
            for retain in [false, true] {
                let mut publish = Publish::new(version, "", "x").qos(qos, 1);
                publish.retain = retain;
                let mut client = stage.client(version, "empty")?;
                client.send(publish.bytes())?;
                client.expect_rejected(&[0x82, 0x90])?;
            }
        }
        for packet in [
            build::subscribe(version, 1, &[("", 0)]),
            build::subscribe(version, 1, &[]),
            build::unsubscribe(version, 1, &[""]),
        ] {
            let mut client = stage.client(version, "empty")?;
            client.send(packet)?;
            client.expect_rejected(&[0x81, 0x82, 0x8F])?;
        }
    }
    stage.still_serves()
}

/// As deep as topics can be, where the operator allows it: no recursion, no stack overflow, no second per message.
fn all_slashes(stage: &Stage) -> Outcome {
    let slashes = "/".repeat(65_534);
    let pluses = format!("{}+", "+/".repeat(32_766));
    let rooted = format!("{}#", "/".repeat(65_533));
    for version in VERSIONS {
        let mut client = stage.client(version, "slashes")?;
        for filter in [slashes.as_str(), &pluses, &rooted] {
            let id = client.fresh_id();
            client.send(build::subscribe(version, id, &[(filter, 1)]))?;
            client.frame()?.suback(0x90, version)?;
        }
        for topic in [slashes.as_str(), &"a/".repeat(32_766), &"/".repeat(65_533)] {
            for retain in [false, true] {
                let id = client.fresh_id();
                let mut publish = Publish::new(version, topic, "x").qos(1, id);
                publish.retain = retain;
                client.send(publish.bytes())?;
                drop(client.receive(PATIENCE)?);
                while let crate::raw::Received::Frame(frame) =
                    client.receive(Duration::from_millis(10))?
                {
                    if frame.first & 0xF0 == 0x30 {
                        client.accept(&frame.publish(version)?)?;
                    }
                }
            }
        }
        // Retained ones under the deepest filters; then they are taken away again.
        let mut other = stage.client(version, "slashes-2")?;
        other.send(build::subscribe(
            version,
            1,
            &[("#", 0), (&pluses, 0), (&rooted, 0)],
        ))?;
        frame_or_closed(&mut other, 0x90)?;
        for topic in [slashes.as_str(), &"a/".repeat(32_766), &"/".repeat(65_533)] {
            client.send(Publish::new(version, topic, "").retain().bytes())?;
        }
        client.send(build::unsubscribe(
            version,
            900,
            &[&slashes, &pluses, &rooted],
        ))?;
        client.send(build::PINGREQ)?;
        while client.frame()?.first != 0xD0 {}
    }
    stage.still_serves()
}

fn too_many_levels(stage: &Stage) -> Outcome {
    for version in VERSIONS {
        let deep = "/".repeat(65_534);
        let mut client = stage.client(version, "deep")?;
        client.send(Publish::new(version, &deep, "x").bytes())?;
        client.expect_rejected(&[0x90])?;
        let mut client = stage.client(version, "deep")?;
        client.send(build::subscribe(version, 1, &[(&deep, 0), ("fine", 0)]))?;
        let (_, _, codes) = client.frame()?.suback(0x90, version)?;
        ensure(codes.first().is_some_and(|code| *code >= 0x80), || {
            format!("65,535 levels were taken: {codes:02X?}")
        })?;
        let mut socket = Socket::with(
            stage,
            Connect::new(version, "w").will(&deep, "", 0, false).bytes(),
        )?;
        ensure(socket.closes(PATIENCE), || {
            "a Will 65,535 levels deep was taken".into()
        })?;
    }
    stage.still_serves()
}

/// Every filter of twelve levels that are `a` or `+`: a topic of twelve `a` matches all 4,096 of them.
fn branching(stage: &Stage) -> Outcome {
    const LEVELS: usize = 12;
    let mut hostile = stage.client(Version::V5, "branching")?;
    for chunk in (0..1_usize << LEVELS).collect::<Vec<_>>().chunks(512) {
        let filters: Vec<String> = chunk.iter().map(|bits| filter_of(*bits, LEVELS)).collect();
        let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 0)).collect();
        let id = hostile.fresh_id();
        hostile.send(build::subscribe(Version::V5, id, &filters))?;
        hostile.frame()?.suback(0x90, Version::V5)?;
    }
    let topic = ["a"; LEVELS].join("/");
    let near_miss = format!("{}/b/c", ["a"; LEVELS - 1].join("/"));
    let started = Instant::now();
    let count = sized(200, 5000);
    for _ in 0..count {
        hostile.send(Publish::new(Version::V5, &near_miss, "x").bytes())?;
        hostile.send(Publish::new(Version::V5, &topic, "x").bytes())?;
        hostile.expect_message(&topic, "x")?;
    }
    println!(
        "  4,096 filters of {LEVELS} levels, all matching: {:.0} us a message",
        started.elapsed().as_secs_f64() * 1e6 / count as f64
    );
    stage.still_serves()
}

fn filter_of(bits: usize, levels: usize) -> String {
    let level = |at| if bits >> at & 1 == 0 { "a" } else { "+" };
    (0..levels).map(level).collect::<Vec<_>>().join("/")
}

/// Filters as deep as the default allows with `+` and `#` everywhere, and topics that match all but the last level.
fn branching_deep(stage: &Stage) -> Outcome {
    const LEVELS: usize = 127;
    let mut hostile = stage.client(Version::V5, "deep-branching")?;
    let mut filters = Vec::new();
    // Not so short that they match others' topics.
    for depth in 4..LEVELS {
        filters.push(format!("{}#", "+/".repeat(depth)));
        filters.push(format!(
            "{}{}b",
            "+/".repeat(depth),
            "a/".repeat(LEVELS - 1 - depth)
        ));
        filters.push(format!(
            "{}{}b",
            "a/".repeat(depth),
            "+/".repeat(LEVELS - 1 - depth)
        ));
        filters.push(format!(
            "{}b",
            if depth % 2 == 0 { "a/+/" } else { "+/a/" }.repeat(depth / 2)
        ));
    }
    let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 0)).collect();
    hostile.send(build::subscribe(Version::V5, 1, &filters))?;
    hostile.frame()?.suback(0x90, Version::V5)?;
    let topic = vec!["a"; LEVELS].join("/");
    let started = Instant::now();
    let count = sized(300, 10_000);
    for _ in 0..count {
        hostile.send(Publish::new(Version::V5, &topic, "x").bytes())?;
        hostile.expect_message(&topic, "x")?;
    }
    println!(
        "  {} filters of up to {LEVELS} levels: {:.0} us a message",
        filters.len(),
        started.elapsed().as_secs_f64() * 1e6 / count as f64
    );
    stage.still_serves()
}

/// 30,000 filters in a SUBSCRIBE, again and again, and all of them away again.
fn thousands_of_filters(stage: &Stage) -> Outcome {
    for version in VERSIONS {
        let names: Vec<String> = (0..30_000)
            .map(|number| format!("hostile/{number}/+"))
            .collect();
        let filters: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (mut client, _) = Client::connect(stage.address(), &Connect::new(version, "filters"))?;
        for id in 1..=u16::try_from(sized(4, 40)).unwrap_or(4) {
            client.send(build::subscribe(version, id, &filters))?;
            let (_, _, codes) = client.frame()?.suback(0x90, version)?;
            let granted = codes.iter().filter(|code| **code < 0x80).count();
            ensure(codes.len() == names.len() && granted <= 1000, || {
                format!("{granted} of {} granted, 1000 are the limit", codes.len())
            })?;
            client.send(build::unsubscribe(version, id, &names))?;
            client.frame()?;
        }
    }
    stage.still_serves()
}

/// Filters of 60,000 bytes: 10,000 of them are allowed by their number and would be 600 MB.
fn long_filters(stage: &Stage) -> Outcome {
    let mut sockets = Vec::new();
    for connection in 0..4 {
        let mut socket = Socket::connected(stage, Version::V5, &format!("long-{connection}"))?;
        for number in 0..sized(400, 4000) {
            let filter = format!("{connection}/{number}/{}", "x".repeat(60_000));
            let id = u16::try_from(number % 60_000).unwrap_or(0) + 1;
            socket.push(build::subscribe(Version::V5, id, &[(&filter, 0)]), PATIENCE);
            socket.drain();
        }
        sockets.push(socket);
    }
    drop(sockets);
    Ok(())
}

fn broken_shares(stage: &Stage) -> Outcome {
    for version in VERSIONS {
        for filter in [
            "$share",
            "$share/",
            "$share//",
            "$share//a",
            "$share/a",
            "$share/a/",
            "$share/+/a",
            "$share/#",
            "$share/a#/b",
            "$share/a/b#",
            "$share/a/$share/b/c",
        ] {
            for options in [0, 1, 2, 4, 0x2C, 0x30, 0xFF] {
                let connect = Connect::new(version, "share").bytes();
                let subscribe = build::subscribe(version, 1, &[(filter, options)]);
                let unsubscribe = build::unsubscribe(version, 1, &[filter]);
                Socket::with(stage, [connect, subscribe, unsubscribe].concat())?
                    .read(64, Duration::from_millis(2));
            }
        }
    }
    stage.still_serves()
}

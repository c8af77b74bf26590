//! Retained messages beyond every bound, and clients that ask for all of them again and again. MQTT 5 section 3.3.1.3.

use std::time::Duration;

use super::socket::Socket;
use super::{Scenario, Stage, scenario, sized};
use crate::raw::build::{self, Publish, property};
use crate::raw::{Client, Outcome, PATIENCE, Version, ensure};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("retained::topics_beyond_the_limit", topics_beyond)
        .limits("retained_messages = 1000")
        .rounds(3),
    scenario("retained::bytes_beyond_the_limit", bytes_beyond)
        .limits("retained_bytes = \"4MiB\"")
        .rounds(3),
    scenario("retained::bytes_up_to_the_ceiling", up_to_the_ceiling)
        .may_refuse()
        .rounds(3),
    scenario("retained::cve_2024_42645_odd_retained_messages", odd_ones),
    scenario(
        "retained::subscribed_again_and_again_without_reading",
        again_and_again,
    )
    .may_refuse()
    .rounds(3),
];

const V5: Version = Version::V5;

/// Sends retained messages at QoS 1, many under way at once; how many were taken and how many refused.
fn flood(
    client: &mut Client,
    messages: impl Iterator<Item = (String, Vec<u8>)>,
) -> Outcome<[usize; 2]> {
    let mut outcome = [0; 2];
    let mut open = 0;
    let mut settle = |client: &mut Client, open: &mut usize, down_to| -> Outcome {
        while *open > down_to {
            let puback = client.frame()?.ack(build::PUBACK, V5)?;
            outcome[usize::from(puback.code >= 0x80)] += 1;
            *open -= 1;
        }
        Ok(())
    };
    for (topic, payload) in messages {
        let id = client.fresh_id();
        client.send(Publish::new(V5, topic, payload).qos(1, id).retain().bytes())?;
        open += 1;
        settle(client, &mut open, 200)?;
    }
    settle(client, &mut open, 0)?;
    Ok(outcome)
}

fn clear(client: &mut Client, topics: impl Iterator<Item = String>) -> Outcome {
    flood(client, topics.map(|topic| (topic, Vec::new()))).map(drop)
}

fn topics_beyond(stage: &Stage) -> Outcome {
    let mut client = stage.client(V5, "retained")?;
    let topic = |number| format!("hostile/retained/{number}");
    let count = sized(20_000, 500_000);
    let [taken, refused] = flood(
        &mut client,
        (0..count).map(|number| (topic(number), vec![b'x'; 50])),
    )?;
    ensure(taken <= 1000 && refused == count - taken, || {
        format!("{taken} taken, {refused} refused")
    })?;
    // What is there may be replaced; what is cleared makes room.
    let [_, refused] = flood(
        &mut client,
        (0..taken).map(|number| (topic(number), b"new".to_vec())),
    )?;
    ensure(refused == 0, || format!("{refused} replacements refused"))?;
    clear(&mut client, (0..taken).map(topic))?;
    let [taken, _] = flood(
        &mut client,
        (0..500).map(|number| (topic(number + count), vec![1])),
    )?;
    ensure(taken == 500, || {
        format!("{taken} of 500 taken after room was made")
    })?;
    clear(&mut client, (0..500).map(|number| topic(number + count)))?;
    stage.still_serves()
}

fn bytes_beyond(stage: &Stage) -> Outcome {
    let mut client = stage.client(V5, "retained")?;
    let topic = |number| format!("hostile/large/{number}");
    let [taken, refused] = flood(
        &mut client,
        (0..200).map(|number| (topic(number), vec![0; 100_000])),
    )?;
    ensure(taken <= 42 && refused > 0, || {
        format!("{taken} of 100 kB taken, 4 MiB are the limit")
    })?;
    clear(&mut client, (0..200).map(topic))?;
    stage.still_serves()
}

fn up_to_the_ceiling(stage: &Stage) -> Outcome {
    let mut client = stage.client(V5, "retained")?;
    // Under long and different topics: the tree's nodes count too.
    let topic = |number: usize| format!("hostile/{number}/{}", "y/".repeat(100));
    let [taken, refused] = flood(
        &mut client,
        (0..sized(40_000, 200_000)).map(|number| (topic(number), vec![0; 900])),
    )?;
    ensure(refused > 0, || {
        format!("all {taken} taken, above the ceiling")
    })?;
    clear(&mut client, (0..taken + 1000).map(topic))?;
    stage.still_serves()
}

/// Retained messages that are empty, expired, duplicates, cleared by a Will, or of a topic that is subscribed to now.
fn odd_ones(stage: &Stage) -> Outcome {
    let mut client = stage.client(V5, "odd")?;
    let publish = |qos, id, payload: &str| {
        Publish::new(V5, "hostile/odd", payload)
            .qos(qos, id)
            .retain()
    };
    for _ in 0..sized(100, 5000) {
        for qos in 0..3 {
            let id = client.fresh_id();
            client.complete(
                &publish(qos, id, "x").property(property::four(property::MESSAGE_EXPIRY, 0)),
            )?;
            let id = client.fresh_id();
            client.complete(&publish(qos, id, ""))?;
            let id = client.fresh_id();
            client.complete(
                &publish(qos, id, "").property(property::four(property::MESSAGE_EXPIRY, 1)),
            )?;
            let id = client.fresh_id();
            client.complete(&publish(qos, id, "y"))?;
        }
        let mut other = Socket::connected(stage, V5, "odd-subscriber")?;
        for options in [0x00, 0x10, 0x20, 0x0A, 0x2E] {
            other.push(
                build::subscribe(V5, 1, &[("hostile/#", options), ("hostile/odd/#", options)]),
                PATIENCE,
            );
        }
        other.push(publish(0, 0, "").bytes(), PATIENCE);
        other.drain();
    }
    stage.still_serves()
}

fn again_and_again(stage: &Stage) -> Outcome {
    let mut client = stage.client(V5, "retained")?;
    let topic = |number| format!("hostile/many/{number}");
    flood(
        &mut client,
        (0..3000).map(|number| (topic(number), vec![b'x'; 1000])),
    )?;
    let mut sockets = Vec::new();
    for number in 0..40 {
        let mut socket = Socket::connected(stage, V5, &format!("asks-{number}"))?;
        socket.narrow()?;
        for round in 0..sized(500, 5000) {
            let id = u16::try_from(round % 60_000).unwrap_or(0) + 1;
            let filters = [("#", 0), ("hostile/#", 1), ("+/many/+", 2)];
            if socket.push(build::subscribe(V5, id, &filters), Duration::from_millis(2)) == 0 {
                break;
            }
        }
        sockets.push(socket);
    }
    std::thread::sleep(Duration::from_secs(1));
    drop(sockets);
    clear(&mut client, (0..3000).map(topic))?;
    stage.still_serves()
}

//! More than is ever taken away: subscribers that don't read, publishers that don't finish, members that don't
//! acknowledge, sessions that nobody comes back to. MQTT 5 sections 3.3.4, 4.3, 4.8, 4.9.

use std::time::{Duration, Instant};

use super::socket::Socket;
use super::{Scenario, Stage, scenario, sized};
use crate::raw::build::{self, Connect, Publish};
use crate::raw::{Client, Outcome, PATIENCE, Version, ensure};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "floods::subscribers_that_never_read_qos_0",
        never_read_qos_0,
    )
    .may_refuse()
    .rounds(3),
    scenario(
        "floods::subscribers_that_never_read_qos_1",
        never_read_qos_1,
    )
    .may_refuse()
    .rounds(3),
    scenario("floods::one_subscriber_that_never_reads", never_reads_one)
        .limits("queue_bytes = \"2MiB\"")
        .rounds(3),
    scenario(
        "floods::pings_whose_answers_are_never_read",
        pings_never_read,
    )
    .rounds(3),
    scenario(
        "floods::acknowledgements_that_are_never_read",
        acks_never_read,
    )
    .rounds(3),
    scenario(
        "floods::cve_2023_28366_qos_2_without_pubrel",
        qos_2_without_pubrel,
    )
    .may_refuse()
    .rounds(3),
    scenario(
        "floods::subscribers_that_never_acknowledge",
        never_acknowledge,
    )
    .may_refuse()
    .rounds(3),
    scenario(
        "floods::shared_members_that_never_acknowledge",
        shared_never_acknowledge,
    )
    .limits("share_queue_bytes = \"4MiB\"\nshare_queue_messages = 5000")
    .rounds(3),
    scenario("floods::offline_queues_up_to_the_ceiling", offline_queues)
        .may_refuse()
        .rounds(3),
    scenario(
        "floods::many_offline_sessions_of_one_topic",
        offline_fan_out,
    )
    .may_refuse()
    .rounds(3),
];

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const V5: Version = Version::V5;

/// Publishes to a topic from several connections for a while, reading what is answered; how many bytes were taken.
fn publish_for(
    stage: &Stage,
    time: Duration,
    topic: &str,
    qos: u8,
    payload_bytes: usize,
) -> Outcome<usize> {
    let mut sockets = Vec::new();
    for number in 0..4_u16 {
        let version = VERSIONS[usize::from(number % 2)];
        sockets.push((
            Socket::connected(stage, version, &format!("flood-{number}"))?,
            version,
        ));
    }
    let deadline = Instant::now() + time;
    let (mut id, mut taken) = (0_u16, 0);
    while Instant::now() < deadline {
        for (socket, version) in &mut sockets {
            let mut batch = Vec::new();
            for _ in 0..16 {
                id = id % u16::MAX + 1;
                batch.extend(
                    Publish::new(*version, topic, vec![b'x'; payload_bytes])
                        .qos(qos, id)
                        .bytes(),
                );
            }
            taken += socket.push(&batch, Duration::from_millis(20));
            socket.drain();
        }
    }
    Ok(taken)
}

fn seconds(usual: usize, soak: usize) -> Duration {
    Duration::from_secs(u64::try_from(sized(usual, soak)).unwrap_or(1))
}

fn never_read(stage: &Stage, qos: u8) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..40_u16 {
        let version = VERSIONS[usize::from(number % 2)];
        let mut socket = Socket::connected(stage, version, &format!("deaf-{number}"))?;
        socket.narrow()?;
        socket.push(
            build::subscribe(version, 1, &[("hostile/deaf", qos)]),
            PATIENCE,
        );
        sockets.push(socket);
    }
    publish_for(stage, seconds(2, 20), "hostile/deaf", qos, 10_000)?;
    drop(sockets);
    Ok(())
}

fn never_read_qos_0(stage: &Stage) -> Outcome {
    never_read(stage, 0)
}

fn never_read_qos_1(stage: &Stage) -> Outcome {
    never_read(stage, 1)
}

/// With a queue well below the ceiling a deaf subscriber costs nobody anything.
fn never_reads_one(stage: &Stage) -> Outcome {
    let mut socket = Socket::connected(stage, V5, "deaf")?;
    socket.narrow()?;
    socket.push(build::subscribe(V5, 1, &[("hostile/#", 1)]), PATIENCE);
    publish_for(stage, seconds(1, 20), "hostile/one", 1, 2000)?;
    stage.still_serves()
}

fn without_reading(stage: &Stage, packet: impl Fn(u16) -> Vec<u8>, name: &str) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..8 {
        let socket = Socket::connected(stage, V5, &format!("{name}-{number}"))?;
        socket.narrow()?;
        sockets.push(socket);
    }
    let deadline = Instant::now() + seconds(1, 20);
    let mut id = 0_u16;
    while Instant::now() < deadline {
        for socket in &mut sockets {
            let mut batch = Vec::new();
            for _ in 0..1000 {
                id = id % u16::MAX + 1;
                batch.extend(packet(id));
            }
            socket.push(&batch, Duration::from_millis(2));
        }
    }
    drop(sockets);
    stage.still_serves()
}

fn pings_never_read(stage: &Stage) -> Outcome {
    without_reading(stage, |_| build::PINGREQ.to_vec(), "pings")
}

fn acks_never_read(stage: &Stage) -> Outcome {
    without_reading(stage, |id| build::ack(build::PUBREL, id), "acks")
}

/// QoS 2 messages that are never released: in one connection, and identifier by identifier over many connections of
/// one session.
fn qos_2_without_pubrel(stage: &Stage) -> Outcome {
    for version in VERSIONS {
        for connection in 0..sized(20, 500) {
            let id = format!("half-{}", connection % 5);
            let mut socket = Socket::with(stage, Connect::new(version, id).persistent().bytes())?;
            socket.read(4, PATIENCE);
            for batch in 0..8_u16 {
                let start = u16::try_from(connection * 800 % 60_000).unwrap_or(0) + batch * 100;
                let messages = (1..=100).map(|id| {
                    Publish::new(version, "hostile/half", "x")
                        .qos(2, start + id)
                        .bytes()
                });
                socket.push(
                    messages.collect::<Vec<_>>().concat(),
                    Duration::from_millis(100),
                );
                // The same again, as a client does that missed its PUBREC.
                let again = (1..=100).map(|id| {
                    Publish::new(version, "hostile/half", "x")
                        .qos(2, start + id)
                        .dup()
                        .bytes()
                });
                socket.push(
                    again.collect::<Vec<_>>().concat(),
                    Duration::from_millis(100),
                );
                socket.drain();
            }
            socket.reset();
        }
        for number in 0..5 {
            Socket::connected(stage, version, &format!("half-{number}"))?.read(4, PATIENCE);
        }
    }
    stage.still_serves()
}

fn never_acknowledge(stage: &Stage) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..20_u16 {
        let version = VERSIONS[usize::from(number % 2)];
        let connect = Connect::new(version, format!("mute-{number}"))
            .persistent()
            .bytes();
        let mut socket = Socket::with(stage, connect)?;
        socket.push(
            build::subscribe(
                version,
                1,
                &[("hostile/mute", 1 + u8::from(number % 4 < 2))],
            ),
            PATIENCE,
        );
        sockets.push(socket);
    }
    let deadline = Instant::now() + seconds(1, 20);
    while Instant::now() < deadline {
        publish_for(stage, Duration::from_millis(200), "hostile/mute", 2, 500)?;
        for socket in &mut sockets {
            socket.drain();
        }
    }
    drop(sockets);
    end_sessions(stage, "mute", 20)?;
    stage.still_serves()
}

/// Ends persistent sessions by connecting once more with Clean Start.
fn end_sessions(stage: &Stage, name: &str, count: usize) -> Outcome {
    for number in 0..count {
        let (client, _) = Client::connect(
            stage.address(),
            &Connect::new(V5, format!("{name}-{number}")),
        )?;
        client.disconnect()?;
    }
    Ok(())
}

fn shared_never_acknowledge(stage: &Stage) -> Outcome {
    let mut members = Vec::new();
    for number in 0..10 {
        let version = VERSIONS[number % 2];
        let mut socket = Socket::connected(stage, version, &format!("member-{number}"))?;
        let filters = [
            ("$share/mute/hostile/shared", 1),
            ("$share/other/hostile/+", 2),
        ];
        socket.push(build::subscribe(version, 1, &filters), PATIENCE);
        members.push(socket);
    }
    publish_for(stage, seconds(1, 20), "hostile/shared", 1, 200)?;
    // Members come and go: what they left goes back into the share's queue each time.
    for number in 0..sized(50, 1000) {
        let member = members.remove(0);
        if number % 2 == 0 {
            member.reset();
        }
        let version = VERSIONS[number % 2];
        let mut socket = Socket::connected(stage, version, &format!("member-{}", number % 20))?;
        socket.push(
            build::subscribe(version, 1, &[("$share/mute/hostile/shared", 1)]),
            PATIENCE,
        );
        socket.drain();
        members.push(socket);
    }
    drop(members);
    stage.still_serves()
}

fn offline_queues(stage: &Stage) -> Outcome {
    let queues = 10;
    for number in 0..queues {
        let connect = Connect::new(V5, format!("away-{number}")).persistent();
        let (mut client, _) = Client::connect(stage.address(), &connect)?;
        client.subscribe(&format!("hostile/away/{number}"), 1)?;
        client.cut();
    }
    for number in 0..queues {
        publish_for(
            stage,
            Duration::from_millis(300),
            &format!("hostile/away/{number}"),
            1,
            5000,
        )?;
    }
    end_sessions(stage, "away", queues)?;
    stage.still_serves()
}

/// One message to very many queues: each place in a queue has to be accounted for, not just the message.
fn offline_fan_out(stage: &Stage) -> Outcome {
    let queues = sized(500, 5000);
    for number in 0..queues {
        let connect = Connect::new(V5, format!("fan-{number}")).persistent();
        let (mut client, _) = Client::connect(stage.address(), &connect)?;
        client.subscribe("hostile/fan", 1)?;
        client.cut();
    }
    let taken = publish_for(stage, seconds(2, 30), "hostile/fan", 1, 1)?;
    ensure(taken > 0, || "nothing was taken at all".into())?;
    end_sessions(stage, "fan", queues)?;
    stage.still_serves()
}

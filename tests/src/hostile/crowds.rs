//! Very many connections: silent, slow, half-open, half a CONNECT long, opened and closed at once, more than there are
//! file descriptors. MQTT 5 sections 3.1, 3.1.2.10, 4.8.

use std::process::Command;
use std::time::{Duration, Instant};

use super::socket::{Socket, closed_within};
use super::{Scenario, Stage, scenario, sized};
use crate::process::{bound_open_files, open_files, raise_open_files};
use crate::raw::build::{self, Connect, property};
use crate::raw::{Client, Failure, Outcome, PATIENCE, Version, ensure};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("crowds::10000_connections_that_say_nothing", silent)
        .limits("connect_timeout = \"8s\"")
        .connections(10_000),
    scenario("crowds::partial_connects_of_256_kib", partial_connects)
        .limits("connect_timeout = \"3s\"")
        .connections(1000)
        .may_refuse()
        .rounds(3),
    scenario("crowds::partial_publishes_of_1_mib", partial_publishes)
        .connections(1000)
        .may_refuse()
        .rounds(3),
    scenario("crowds::connects_byte_by_byte", slow_loris)
        .limits("connect_timeout = \"2s\"")
        .connections(1000),
    scenario("crowds::half_open_connections", half_open)
        .connections(1000)
        .rounds(3),
    scenario("crowds::opened_and_closed_at_once", churn).rounds(3),
    scenario("crowds::more_than_are_allowed", more_than_allowed)
        .limits("connections = 200")
        .connections(1000),
    scenario(
        "crowds::cve_2017_7652_reload_without_descriptors",
        no_descriptors,
    )
    .connections(1000),
    scenario("crowds::cve_2020_13849_keep_alive_abuse", keep_alive_abuse)
        .config("mqtt.keep_alive_max = \"1s\"")
        .connections(1000),
];

const V5: Version = Version::V5;

fn silent(stage: &Stage) -> Outcome {
    let wanted = 10_000;
    // Besides them this process has the sockets of other scenarios and of the tests' harness.
    let room = raise_open_files()?.saturating_sub(2000);
    let count = wanted.min(room);
    if count < wanted {
        println!(
            "  LOUD: only {count} of {wanted} connections, the hard limit of open files forbids more"
        );
    }
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        sockets.push(Socket::open(stage.address())?);
    }
    let open = open_files(stage.process_id())?;
    println!("  {count} silent connections; the broker has {open} files open");
    stage.still_serves()?;
    let closed = closed_within(&mut sockets, Duration::from_secs(16));
    ensure(closed == count, || {
        format!("{} of {count} still open", count - closed)
    })?;
    stage.still_serves()
}

fn partial_connects(stage: &Stage) -> Outcome {
    let connect = Connect::new(V5, "partial")
        .property(property::text(property::AUTH_DATA, vec![0; 60_000]))
        .will("will", vec![0; 60_000], 0, false)
        .user_name("u".repeat(60_000))
        .password(vec![0; 60_000])
        .bytes();
    let most = connect.get(..connect.len() - 1).unwrap_or_default();
    let mut sockets = Vec::new();
    for _ in 0..sized(400, 1000) {
        let mut socket = Socket::open(stage.address())?;
        socket.push(most, Duration::from_millis(5));
        sockets.push(socket);
    }
    let count = sockets.len();
    let closed = closed_within(&mut sockets, Duration::from_secs(8));
    ensure(closed == count, || {
        format!("{} of {count} still open", count - closed)
    })?;
    stage.still_serves()
}

/// The same by clients that were let in, with packets of the largest size.
fn partial_publishes(stage: &Stage) -> Outcome {
    let mut sockets = Vec::new();
    let publish = build::Publish::new(V5, "hostile/partial", vec![0; 1000 * 1024]).bytes();
    let most = publish.get(..publish.len() - 1).unwrap_or_default();
    for number in 0..sized(100, 400) {
        let mut socket = Socket::connected(stage, V5, &format!("partial-{number}"))?;
        socket.push(most, Duration::from_millis(10));
        sockets.push(socket);
    }
    drop(sockets);
    stage.still_serves()
}

fn slow_loris(stage: &Stage) -> Outcome {
    let connect = Connect::new(
        V5,
        "a client identifier that takes its time to come, byte by byte",
    )
    .bytes();
    let mut sockets = Vec::new();
    for _ in 0..sized(500, 1000) {
        sockets.push(Socket::open(stage.address())?);
    }
    let started = Instant::now();
    for byte in &connect {
        for socket in &mut sockets {
            socket.push([*byte], Duration::ZERO);
        }
        std::thread::sleep(Duration::from_millis(40));
        if started.elapsed() > Duration::from_millis(2500) {
            break;
        }
    }
    let count = sockets.len();
    let closed = closed_within(&mut sockets, Duration::from_secs(5));
    ensure(closed == count, || {
        format!("{} of {count} outlived the time-out", count - closed)
    })?;
    // One that is slow, but not too slow, is let in.
    let mut client = Client::open(stage.address(), V5)?;
    for byte in Connect::new(V5, "slow").bytes() {
        client.send([byte])?;
        std::thread::sleep(Duration::from_millis(10));
    }
    client.frame()?.connack(V5)?;
    Ok(())
}

/// Connections whose other half is gone: the client says that it won't send any more, or says nothing for ever.
fn half_open(stage: &Stage) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..sized(100, 500) {
        for part in [0, 1, 9, usize::MAX] {
            let connect = Connect::new(V5, format!("half-{number}-{part}"))
                .keep_alive(60)
                .bytes();
            let socket = Socket::with(stage, connect.get(..part).unwrap_or(&connect))?;
            socket.half_close();
            sockets.push(socket);
        }
    }
    let count = sockets.len();
    let closed = closed_within(&mut sockets, PATIENCE);
    ensure(closed == count, || {
        format!("{} of {count} still open", count - closed)
    })?;
    stage.still_serves()
}

fn churn(stage: &Stage) -> Outcome {
    for number in 0..sized(3000, 100_000) {
        let version = if number % 2 == 0 { Version::V311 } else { V5 };
        let mut socket = Socket::open(stage.address())?;
        match number % 6 {
            0 | 1 => socket.reset(),
            2 => drop(socket),
            3 => {
                socket.push(Connect::new(version, "churn").bytes(), PATIENCE);
                socket.reset();
            }
            4 => {
                let connect = Connect::new(version, format!("churn-{number}")).bytes();
                let subscribe = build::subscribe(version, 1, &[("hostile/churn/#", 1)]);
                socket.push([connect, subscribe].concat(), PATIENCE);
            }
            _ => {
                socket.push(Connect::new(version, "").bytes(), PATIENCE);
                socket.push(build::DISCONNECT, PATIENCE);
                socket.read(4, PATIENCE);
            }
        }
    }
    stage.still_serves()
}

fn more_than_allowed(stage: &Stage) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..sized(600, 5000) {
        sockets.push(Socket::connected(stage, V5, &format!("crowd-{number}"))?);
    }
    let count = sockets.len();
    std::thread::sleep(Duration::from_millis(300));
    let closed = closed_within(&mut sockets, Duration::from_millis(100));
    ensure(count - closed <= 200, || {
        format!("{} are in, 200 are allowed", count - closed)
    })?;
    ensure(closed < count, || "nobody is in".into())?;
    drop(sockets);
    retry(|| stage.still_serves())
}

/// Once those who left were noticed there is room again.
fn retry(mut attempt: impl FnMut() -> Outcome) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = attempt();
        if outcome.is_ok() || Instant::now() > deadline {
            return outcome;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// All file descriptors are used up and the operator reloads: the broker goes on as it was configured.
fn no_descriptors(stage: &Stage) -> Outcome {
    let files = u64::try_from(open_files(stage.process_id())?).unwrap_or(100);
    bound_open_files(stage.process_id(), files + 40)?;
    let mut sockets = Vec::new();
    for number in 0..200 {
        // The kernel takes them all; the broker can accept but forty.
        sockets.push(Socket::connected(stage, V5, &format!("many-{number}"))?);
    }
    std::thread::sleep(Duration::from_millis(200));
    for _ in 0..3 {
        let status = Command::new("kill")
            .args(["-HUP", &stage.process_id().to_string()])
            .status()?;
        ensure(status.success(), || "no signal could be sent".into())?;
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(sockets);
    retry(|| stage.still_serves())?;
    let refused = Client::open(stage.address(), Version::V311)
        .and_then(|mut client| {
            client.send(Connect::new(Version::V311, "").clean(false).bytes())?;
            client.frame()?.connack(Version::V311)
        })?
        .code;
    ensure(refused == 2, || {
        Failure::new(format!("the rules changed: {refused}")).to_string()
    })
}

/// Clients that ask for no Keep Alive, or for the longest, and then say nothing: the operator's bound holds for them.
fn keep_alive_abuse(stage: &Stage) -> Outcome {
    let mut sockets = Vec::new();
    for number in 0..sized(200, 1000) {
        for keep_alive_s in [0, u16::MAX] {
            let connect =
                Connect::new(V5, format!("keeps-{number}-{keep_alive_s}")).keep_alive(keep_alive_s);
            sockets.push(Socket::with(stage, connect.bytes())?);
        }
    }
    let count = sockets.len();
    let closed = closed_within(&mut sockets, Duration::from_secs(6));
    ensure(closed == count, || {
        format!("{} of {count} hold their connection", count - closed)
    })?;
    // Before MQTT 5 the bound can't be told, so asking for more is refused.
    let mut client = Client::open(stage.address(), Version::V311)?;
    client.send(Connect::new(Version::V311, "keeps").bytes())?;
    let code = client.frame()?.connack(Version::V311)?.code;
    ensure(code != 0, || "let in without Keep Alive".into())?;
    let modest = Connect::new(Version::V311, "keeps").keep_alive(1);
    Client::connect(stage.address(), &modest)?
        .0
        .publish("hostile/modest", 2, "x")
}

//! Sessions as a weapon: very many of them, very large ones, and one that everybody wants. MQTT 5 sections 3.1.2.4,
//! 3.1.2.5, 3.1.4, 4.1, 4.4.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::socket::Socket;
use super::stage::frame_or_closed;
use super::{Scenario, Stage, scenario, sized};
use crate::raw::build::{self, Connect, Publish, property};
use crate::raw::{Client, Failure, Outcome, PATIENCE, Received, Version, ensure, same};

pub(super) const SCENARIOS: &[Scenario] = &[
    scenario(
        "sessions::reconnect_storm_with_one_client_id",
        reconnect_storm,
    )
    .rounds(3),
    scenario(
        "sessions::cve_2026_22040_takeover_while_published_to",
        takeover_under_load,
    )
    .rounds(3),
    scenario(
        "sessions::cve_2025_59946_subscriptions_change_while_published_to",
        subscriptions_change,
    )
    .rounds(3),
    scenario(
        "sessions::cve_2026_32134_resumed_half_way",
        resumed_half_way,
    )
    .rounds(3),
    scenario(
        "sessions::cve_2026_8741_qos_2_repeated_after_a_cut",
        qos_2_repeated,
    ),
    scenario("sessions::100000_client_ids", client_ids).limits("sessions = 2000"),
    scenario(
        "sessions::long_client_ids_up_to_the_ceiling",
        long_client_ids,
    )
    .may_refuse(),
    scenario("sessions::large_wills_up_to_the_ceiling", large_wills)
        .may_refuse()
        .rounds(3),
];

const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const V5: Version = Version::V5;

/// Runs this in several threads at once until all are done; the first failure.
fn together(threads: usize, work: impl Fn(usize) -> Outcome + Sync) -> Outcome {
    std::thread::scope(|scope| {
        let work = &work;
        let started: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        started.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Failure::new("an attacker panicked")))
        })
    })
}

fn reconnect_storm(stage: &Stage) -> Outcome {
    together(8, |thread| {
        for number in 0..sized(250, 10_000) {
            let connect = Connect::new(VERSIONS[(thread + number) % 2], "wanted")
                .clean(number % 3 == 0)
                .property(property::four(property::SESSION_EXPIRY, 60))
                .will("hostile/wanted", "taken over", 1, false);
            let version = connect.version();
            let mut socket = Socket::with(stage, connect.bytes())?;
            socket.push(build::subscribe(version, 1, &[("hostile/#", 2)]), PATIENCE);
            if number % 2 == 0 {
                socket.read(4, PATIENCE);
            }
        }
        Ok(())
    })?;
    Socket::connected(stage, V5, "wanted")?.read(4, PATIENCE);
    stage.still_serves()
}

/// One session goes from connection to connection while its queue fills: each acknowledged message reaches it.
fn takeover_under_load(stage: &Stage) -> Outcome {
    let done = AtomicBool::new(false);
    let published = AtomicUsize::new(0);
    let persistent = Connect::new(V5, "carried").persistent();
    let (mut first, _) = Client::connect(stage.address(), &persistent)?;
    first.subscribe("hostile/carried", 1)?;
    let seen = std::sync::Mutex::new(vec![false; sized(2000, 50_000)]);
    let wanted = sized(2000, 50_000);
    together(2, |thread| {
        if thread == 0 {
            let mut publisher = stage.client(V5, "carrier")?;
            for number in 0..wanted {
                publisher.publish("hostile/carried", 1, &number.to_string())?;
                published.fetch_add(1, Ordering::Relaxed);
            }
            done.store(true, Ordering::Relaxed);
            return Ok(());
        }
        loop {
            let last = done.load(Ordering::Relaxed);
            let (mut client, _) = Client::connect(stage.address(), &persistent)?;
            let mut count = 0;
            let quiet = Duration::from_millis(if last { 300 } else { 20 });
            while let Received::Frame(frame) = client.receive(quiet)? {
                if frame.first & 0xF0 != 0x30 {
                    break;
                }
                let publish = frame.publish(V5)?;
                client.accept(&publish)?;
                let number: Option<usize> = std::str::from_utf8(&publish.payload)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let number =
                    number.ok_or_else(|| Failure::new(format!("not ours: {publish:?}")))?;
                let mut seen = seen
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(seen) = seen.get_mut(number) {
                    *seen = true;
                }
                count += 1;
                if count > 150 && !last {
                    break;
                }
            }
            if last {
                return Ok(());
            }
        }
    })?;
    drop(first);
    let seen = seen
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let lost = seen.iter().filter(|seen| !**seen).count();
    same("acknowledged messages that never came", lost, 0)?;
    Socket::connected(stage, V5, "carried")?.read(4, PATIENCE);
    stage.still_serves()
}

fn subscriptions_change(stage: &Stage) -> Outcome {
    together(6, |thread| {
        if thread < 2 {
            let mut socket = Socket::connected(stage, V5, &format!("changes-publisher-{thread}"))?;
            for number in 0..sized(4000, 200_000) {
                let topic = format!("hostile/changes/{}", number % 7);
                socket.push(Publish::new(V5, topic, "x").qos(0, 0).bytes(), PATIENCE);
            }
            return Ok(());
        }
        for number in 0..sized(60, 3000) {
            let mut client = stage.client(V5, &format!("changes-{}", thread / 2 * 2))?;
            for _ in 0..10 {
                let id = client.fresh_id();
                let filters = [
                    ("hostile/changes/#", 0),
                    ("hostile/+/3", 1),
                    ("$share/c/hostile/changes/+", 1),
                ];
                client.send_refusable(build::subscribe(V5, id, &filters));
                let names = filters.map(|filter| filter.0);
                client.send_refusable(build::unsubscribe(V5, id, &names));
            }
            if number % 3 == 0 {
                client.cut();
            } else {
                while let Received::Frame(_) = client.receive(Duration::from_millis(2))? {}
            }
        }
        Ok(())
    })?;
    stage.still_serves()
}

/// Every state that a delivery can be in when its connection ends, resumed by the other version.
fn resumed_half_way(stage: &Stage) -> Outcome {
    for number in 0..sized(60, 2000) {
        let version = VERSIONS[number % 2];
        let other = VERSIONS[(number + 1) % 2];
        let connect = |version| Connect::new(version, "half-way").persistent();
        let (mut client, _) = Client::connect(stage.address(), &connect(version))?;
        client.subscribe("hostile/half-way", 2)?;
        let mut publisher = stage.client(V5, "half-way-publisher")?;
        for qos in [2, 1, 2, 0, 2] {
            publisher.publish("hostile/half-way", qos, "x")?;
        }
        // Nothing taken, the first taken, its PUBREC sent, its PUBREL seen.
        let steps = number % 4;
        if steps > 0
            && let Some(frame) = frame_or_closed(&mut client, 0x34)?
            && steps > 1
        {
            client.send(build::ack(build::PUBREC, frame.publish(version)?.id))?;
            while steps > 2 && client.frame()?.first != build::PUBREL {}
        }
        client.cut();
        let (mut client, connack) = Client::connect(stage.address(), &connect(other))?;
        same("session present", connack.flags, 1)?;
        while let Received::Frame(frame) = client.receive(Duration::from_millis(15))? {
            match frame.first & 0xF0 {
                0x30 => client.accept(&frame.publish(other)?)?,
                0x60 => client.send(build::ack(
                    build::PUBCOMP,
                    frame.ack(build::PUBREL, other)?.id,
                ))?,
                _ => return Err(Failure::new(format!("unexpected: {frame:02X?}"))),
            }
        }
        let (client, _) = Client::connect(stage.address(), &Connect::new(other, "half-way"))?;
        client.disconnect()?;
    }
    stage.still_serves()
}

/// A QoS 2 message whose PUBREC was lost with the connection, sent again: taken once.
fn qos_2_repeated(stage: &Stage) -> Outcome {
    for version in VERSIONS {
        let mut witness = stage.client(version, "witness")?;
        witness.subscribe("hostile/once", 2)?;
        let connect = Connect::new(version, "repeats").persistent();
        let count: u16 = 200;
        for id in 1..=count {
            let publish = Publish::new(version, "hostile/once", id.to_string()).qos(2, id);
            let (mut client, _) = Client::connect(stage.address(), &connect)?;
            client.send(publish.bytes())?;
            // Taken for certain when this is answered, since packets are taken in order.
            client.send(build::PINGREQ)?;
            while client.frame()?.first != 0xD0 {}
            client.cut();
            let (mut client, _) = Client::connect(stage.address(), &connect)?;
            client.send(publish.dup().bytes())?;
            client.acknowledged(build::PUBREC, id)?;
            client.send(build::ack(build::PUBREL, id))?;
            client.acknowledged(build::PUBCOMP, id)?;
            let publish = witness.expect_message("hostile/once", &id.to_string())?;
            witness.accept(&publish)?;
        }
        witness.quiet()?;
        Client::connect(stage.address(), &Connect::new(version, "repeats"))?;
    }
    stage.still_serves()
}

fn client_ids(stage: &Stage) -> Outcome {
    let refused = AtomicUsize::new(0);
    let count = 100_000;
    together(4, |thread| {
        for number in 0..count / 4 {
            let version = VERSIONS[number % 2];
            let connect = Connect::new(version, format!("id-{thread}-{number}")).persistent();
            let mut client = Client::open(stage.address(), version)?;
            client.send_refusable(connect.bytes());
            match frame_or_closed(&mut client, 0x20)? {
                Some(frame) if frame.connack(version)?.code == 0 => {}
                _ => drop(refused.fetch_add(1, Ordering::Relaxed)),
            }
        }
        Ok(())
    })?;
    let refused = refused.into_inner();
    ensure(refused >= count - 2000, || {
        format!("{} sessions, 2000 are allowed", count - refused)
    })?;
    // A session that exists is let in all the same.
    let connect = Connect::new(V5, "well-behaved-late").bytes();
    let mut socket = Socket::with(stage, connect)?;
    let connack = socket.read(5, PATIENCE);
    ensure(connack.get(3) == Some(&0x97), || format!("{connack:02X?}"))
}

fn long_client_ids(stage: &Stage) -> Outcome {
    let filler = "x".repeat(1000);
    together(4, |thread| {
        for number in 0..sized(5000, 100_000) {
            let connect = Connect::new(V5, format!("{thread}-{number}-{filler}")).persistent();
            let mut client = Client::open(stage.address(), V5)?;
            client.send_refusable(connect.bytes());
            if frame_or_closed(&mut client, 0x20)?
                .is_some_and(|frame| frame.bytes().get(3) == Some(&0))
            {
                client.send(build::DISCONNECT)?;
            }
        }
        Ok(())
    })?;
    end_sessions(
        stage,
        |thread, number| format!("{thread}-{number}-{filler}"),
        sized(5000, 100_000),
    )?;
    stage.still_serves()
}

fn end_sessions(
    stage: &Stage,
    name: impl Fn(usize, usize) -> String + Sync,
    count: usize,
) -> Outcome {
    together(4, |thread| {
        for number in 0..count {
            let mut client = Client::open(stage.address(), V5)?;
            client.send(Connect::new(V5, name(thread, number)).bytes())?;
            frame_or_closed(&mut client, 0x20)?;
        }
        Ok(())
    })
}

/// Wills of 180 kB that wait for their delay in sessions whose clients are gone.
fn large_wills(stage: &Stage) -> Outcome {
    let large = vec![b'w'; 60_000];
    let count = sized(150, 2000);
    together(4, |thread| {
        for number in 0..count {
            let connect = Connect::new(V5, format!("will-{thread}-{number}"))
                .property(property::four(property::SESSION_EXPIRY, 600))
                .will("hostile/will", &large, 1, false)
                .will_property(property::four(property::WILL_DELAY, 500))
                .will_property(property::text(property::CORRELATION_DATA, &large))
                .will_property(property::text(property::CONTENT_TYPE, &large));
            let mut client = Client::open(stage.address(), V5)?;
            client.send_refusable(connect.bytes());
            frame_or_closed(&mut client, 0x20)?;
            client.cut();
        }
        Ok(())
    })?;
    end_sessions(
        stage,
        |thread, number| format!("will-{thread}-{number}"),
        count,
    )?;
    stage.still_serves()
}

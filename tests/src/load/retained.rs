//! Very many retained messages and a subscriber that wants them all: what others' round trips take before, while and
//! after they are delivered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::brokers::{Broker, Kind};
use super::scan::Arrivals;
use super::socket::{Socket, buffer};
use super::wire::{Template, decode};
use super::{machine, median, mib, percentile, spread};
use crate::process::memory;
use crate::raw::{Failure, Outcome};

/// Time of round trips before and after the delivery.
const QUIET: Duration = Duration::from_secs(2);
/// Retained messages that are published and not yet acknowledged.
const WINDOW: u64 = 100;
/// Subscribers that want everything, one after the other.
const DELIVERIES: usize = 20;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 64;

/// The three stretches of time, and the end.
const PHASES: [&str; 3] = ["before", "during", "after"];

/// Measures and prints, one broker after the other.
///
/// # Errors
/// When a broker fails or doesn't deliver each message once.
pub fn run(brokers: &[Kind], topics: u64) -> Outcome {
    println!(
        "retained, {topics} topics of {PAYLOAD_BYTES} bytes and a `#` subscriber; {}",
        machine()?
    );
    for &kind in brokers {
        let broker = Broker::start(kind)?;
        publish(broker.address(), topics)?;
        let stored = memory(broker.process_id())?;
        let phase = Arc::new(AtomicU8::new(0));
        let (address, watched) = (broker.address(), Arc::clone(&phase));
        let others = std::thread::spawn(move || go_round(address, &watched));
        std::thread::sleep(QUIET);
        phase.store(1, Ordering::Relaxed);
        let mut delivered = Vec::new();
        for _ in 0..DELIVERIES {
            delivered.push(receive_all(broker.address(), topics)?.as_secs_f64());
        }
        phase.store(2, Ordering::Relaxed);
        std::thread::sleep(QUIET);
        phase.store(3, Ordering::Relaxed);
        let times = others
            .join()
            .unwrap_or_else(|_| Err(Failure::new("the others panicked")))?;
        let (least, most) = spread(&delivered);
        println!(
            "  {:12} delivered {DELIVERIES} times, median {:.3} s ({least:.3}-{most:.3}); resident {:.1} MiB with them, {:.1} at most",
            kind.name(),
            median(&delivered),
            mib(stored.resident),
            mib(memory(broker.process_id())?.peak),
        );
        for (name, mut times) in PHASES.iter().zip(times) {
            times.sort_unstable();
            let us = |thousandths| percentile(&times, thousandths).as_secs_f64() * 1e6;
            println!(
                "    {name}: {} round trips of others, us: median {:.0}, p99 {:.0}, max {:.0}",
                times.len(),
                us(500),
                us(990),
                us(1000)
            );
        }
    }
    Ok(())
}

fn publish(address: SocketAddr, topics: u64) -> Outcome {
    let mut socket = Socket::connect(address, "retained-publisher")?;
    let (mut buffer, mut sent, mut acknowledged) = (buffer(), 0, 0);
    let deadline = Instant::now() + PATIENCE;
    while acknowledged < topics {
        while sent < topics && sent - acknowledged < WINDOW {
            let topic = format!("retained/{}/{sent}", sent % 100);
            let template = Template::new(&topic, 1, true, PAYLOAD_BYTES)?;
            let id = u16::try_from(sent % 65_535).unwrap_or_default() + 1;
            template.append(&mut socket.out, id, sent);
            sent += 1;
        }
        socket.flush()?;
        let came = socket.frames(&mut buffer, |frame, _| {
            acknowledged += u64::from(frame.first == 0x40);
            Ok(())
        })?;
        if Instant::now() > deadline {
            return Err(Failure::new(format!(
                "{acknowledged} of {topics} acknowledged"
            )));
        }
        if !came {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    Ok(())
}

/// Subscribes to everything and takes it as fast as it comes; how long that took.
fn receive_all(address: SocketAddr, topics: u64) -> Outcome<Duration> {
    let mut socket = Socket::connect(address, "retained-subscriber")?;
    let mut arrivals = Arrivals::default();
    let mut buffer = buffer();
    let started = Instant::now();
    socket.subscribe("#", 0)?;
    while arrivals.distinct() < topics {
        let came = socket.frames(&mut buffer, |frame, _| {
            // Messages of the others come in between: they aren't retained.
            if frame.first & 0xF1 == 0x31 {
                let number = frame.message()?.number;
                arrivals.note(number);
                if number % 1000 == 0 {
                    decode(frame.whole)?;
                }
            }
            Ok(())
        })?;
        if started.elapsed() > PATIENCE {
            return Err(Failure::new(format!(
                "{} of {topics} came",
                arrivals.distinct()
            )));
        }
        if !came {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
    let took = started.elapsed();
    let faults = arrivals.faults(topics);
    if faults.lost + faults.doubled > 0 {
        return Err(Failure::new(format!("{faults:?}")));
    }
    Ok(took)
}

/// A message at a time from one client to another until the phases are over.
fn go_round(address: SocketAddr, phase: &AtomicU8) -> Outcome<[Vec<Duration>; 3]> {
    let topic = "others/round-trip";
    let mut subscriber = Socket::connect(address, "others-subscriber")?;
    subscriber.subscribe(topic, 0)?;
    let mut publisher = Socket::connect(address, "others-publisher")?;
    let template = Template::new(topic, 0, false, PAYLOAD_BYTES)?;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let mut buffer = buffer();
    for number in 0.. {
        let at = usize::from(phase.load(Ordering::Relaxed));
        let Some(times) = times.get_mut(at) else {
            break;
        };
        let started = Instant::now();
        template.append(&mut publisher.out, 0, number);
        publisher.flush()?;
        let mut back = false;
        while !back {
            subscriber.frames(&mut buffer, |frame, _| {
                back |= frame.message()?.number == number;
                Ok(())
            })?;
            if started.elapsed() > PATIENCE {
                return Err(Failure::new("a message of the others never came"));
            }
            std::thread::yield_now();
        }
        times.push(started.elapsed());
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(times)
}

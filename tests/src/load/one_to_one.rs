//! One-to-one: pairs of a publisher and a subscriber, each with a topic of its own, in a closed loop. A thread takes
//! turns over all of them, with a short sleep between two turns, so that both sides batch as they do under real load.

use std::time::{Duration, Instant};

use super::brokers::{Broker, Kind};
use super::scan::{Arrivals, Faults};
use super::socket::{Buffer, Socket, buffer};
use super::wire::{Template, append_ack, decode};
use super::{machine, median, mib, spread};
use crate::process::{cpu_time, memory};
use crate::raw::{Failure, Outcome};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Brokers, measured in turn.
    pub brokers: Vec<Kind>,
    /// QoS of publishers and subscribers.
    pub levels: Vec<u8>,
    /// Publishers, and subscribers.
    pub pairs: usize,
    /// Times that each broker is measured.
    pub rounds: usize,
    /// Time that is measured in a round, after a fifth of it for warming up.
    pub time: Duration,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Messages of a pair that are on their way at QoS 0, 1 and 2.
    pub windows: [u64; 3],
}

/// The rest between two turns.
const REST: Duration = Duration::from_micros(300);
/// How long the last messages may take.
const DRAIN: Duration = Duration::from_secs(5);
/// Above this share of the broker's CPU time the generator disturbs what it measures.
const OWN_SHARE_MAX: f64 = 0.7;
/// From so many microseconds of a second on the generator's one thread is what limits the rate.
const SATURATED_US: f64 = 900_000.0;

/// One round with one broker.
#[derive(Clone, Copy, Debug)]
struct Round {
    delivered: u64,
    seconds: f64,
    /// Of the broker, per delivered message, in microseconds.
    cpu_us: f64,
    own_cpu_us: f64,
    resident: u64,
    faults: Faults,
}

/// Measures and prints.
///
/// # Errors
/// When a broker fails, or a message at QoS 1 or 2 was lost, doubled or came out of order.
pub fn run(plan: &Plan) -> Outcome {
    let brokers = Broker::start_all(&plan.brokers)?;
    println!(
        "one-to-one, {} pairs, {} bytes, {} rounds of {:.1} s; before: {}",
        plan.pairs,
        plan.payload_bytes,
        plan.rounds,
        plan.time.as_secs_f64(),
        machine()?
    );
    let mut faulty = false;
    for &qos in &plan.levels {
        let mut rounds: Vec<Vec<Round>> = brokers.iter().map(|_| Vec::new()).collect();
        for number in 0..plan.rounds {
            let mut order: Vec<usize> = (0..brokers.len()).collect();
            if number % 2 == 1 {
                order.reverse();
            }
            for at in order {
                if let (Some(broker), Some(rounds)) = (brokers.get(at), rounds.get_mut(at)) {
                    let round = measure(plan, broker, qos)?;
                    faulty |= qos > 0 && !round.faults.none();
                    rounds.push(round);
                }
            }
        }
        report(qos, plan, &rounds);
    }
    println!("after: {}", machine()?);
    if faulty {
        return Err(Failure::new(
            "messages at QoS 1 or 2 were lost, doubled or out of order",
        ));
    }
    Ok(())
}

fn report(qos: u8, plan: &Plan, rounds: &[Vec<Round>]) {
    println!(
        "QoS {qos}, window {}   CPU us/message (min-max)   generator's own   messages/s   resident   lost doubled disordered",
        plan.windows.get(usize::from(qos)).copied().unwrap_or(1)
    );
    let figure =
        |rounds: &[Round], of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
    let mut first = None;
    for (kind, rounds) in plan.brokers.iter().zip(rounds) {
        let cpu = figure(rounds, |round| round.cpu_us);
        let own = median(&figure(rounds, |round| round.own_cpu_us));
        let rate = median(&figure(rounds, |round| {
            round.delivered as f64 / round.seconds
        }));
        let resident = median(&figure(rounds, |round| mib(round.resident)));
        let mut faults = Faults::default();
        rounds.iter().for_each(|round| faults.add(round.faults));
        let (least, most) = spread(&cpu);
        let first = *first.get_or_insert(median(&cpu));
        println!(
            "  {:12} {:6.2} ({least:.2}-{most:.2}) ratio {:.2}   {own:6.2}{}   {rate:9.0}   {resident:5.1} MiB   {} {} {}",
            kind.name(),
            median(&cpu),
            median(&cpu) / first,
            if own > OWN_SHARE_MAX * median(&cpu) || own * rate > SATURATED_US {
                " INVALID: too much"
            } else {
                ""
            },
            faults.lost,
            faults.doubled,
            faults.out_of_order,
        );
    }
}

fn measure(plan: &Plan, broker: &Broker, qos: u8) -> Outcome<Round> {
    let mut pairs = Vec::new();
    for number in 0..plan.pairs {
        pairs.push(Pair::new(plan, broker, qos, number)?);
    }
    let mut buffer = buffer();
    take_turns(&mut pairs, &mut buffer, plan.time / 5)?;
    let delivered = |pairs: &[Pair]| {
        pairs
            .iter()
            .map(|pair| pair.arrivals.distinct())
            .sum::<u64>()
    };
    let (before, started) = (delivered(&pairs), Instant::now());
    let cpu = cpu_time(broker.process_id())?;
    let own = cpu_time(std::process::id())?;
    take_turns(&mut pairs, &mut buffer, plan.time)?;
    let cpu = cpu_time(broker.process_id())? - cpu;
    let own = cpu_time(std::process::id())? - own;
    let count = delivered(&pairs) - before;
    let seconds = started.elapsed().as_secs_f64();
    let resident = memory(broker.process_id())?.resident;
    for pair in &mut pairs {
        pair.stopped = true;
    }
    let deadline = Instant::now() + DRAIN;
    while pairs.iter().any(|pair| !pair.is_complete()) && Instant::now() < deadline {
        take_turns(&mut pairs, &mut buffer, Duration::from_millis(5))?;
    }
    // What still comes now would be doubled.
    take_turns(&mut pairs, &mut buffer, Duration::from_millis(50))?;
    let mut faults = Faults::default();
    for pair in &pairs {
        faults.add(pair.arrivals.faults(pair.sent));
    }
    let per_message = |time: Duration| time.as_secs_f64() * 1e6 / count.max(1) as f64;
    Ok(Round {
        delivered: count,
        seconds,
        cpu_us: per_message(cpu),
        own_cpu_us: per_message(own),
        resident,
        faults,
    })
}

fn take_turns(pairs: &mut [Pair], buffer: &mut Buffer, time: Duration) -> Outcome {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        for pair in &mut *pairs {
            pair.turn(buffer)?;
        }
        std::thread::sleep(REST);
    }
    Ok(())
}

/// A publisher and its subscriber.
struct Pair {
    publisher: Socket,
    subscriber: Socket,
    template: Template,
    qos: u8,
    window: u64,
    sent: u64,
    /// Of those, the ones whose handshake with the broker is through.
    acknowledged: u64,
    last_id: u16,
    arrivals: Arrivals,
    looked_at: u64,
    stopped: bool,
}

impl Pair {
    fn new(plan: &Plan, broker: &Broker, qos: u8, number: usize) -> Outcome<Self> {
        let topic = format!("load/one-to-one/{number}");
        let mut subscriber =
            Socket::connect(broker.address(), &format!("load-subscriber-{number}"))?;
        subscriber.subscribe(&topic, qos)?;
        Ok(Self {
            publisher: Socket::connect(broker.address(), &format!("load-publisher-{number}"))?,
            subscriber,
            template: Template::new(&topic, qos, false, plan.payload_bytes)?,
            qos,
            window: plan.windows.get(usize::from(qos)).copied().unwrap_or(1),
            sent: 0,
            acknowledged: 0,
            last_id: 0,
            arrivals: Arrivals::default(),
            looked_at: 0,
            stopped: false,
        })
    }

    /// Everything sent has arrived and was acknowledged.
    fn is_complete(&self) -> bool {
        self.arrivals.distinct() >= self.sent && (self.qos == 0 || self.acknowledged >= self.sent)
    }

    /// How many more may be sent.
    fn room(&self) -> u64 {
        if self.stopped {
            return 0;
        }
        let settled = if self.qos == 0 {
            self.arrivals.distinct()
        } else {
            self.arrivals.distinct().min(self.acknowledged)
        };
        (settled + self.window).saturating_sub(self.sent)
    }

    fn turn(&mut self, buffer: &mut Buffer) -> Outcome {
        self.receive(buffer)?;
        self.finish_handshakes(buffer)?;
        for _ in 0..self.room() {
            // Far fewer than 65,535 are under way, so that the next one is free.
            self.last_id = self.last_id % u16::MAX + 1;
            self.template
                .append(&mut self.publisher.out, self.last_id, self.sent);
            self.sent += 1;
        }
        self.publisher.flush()
    }

    fn receive(&mut self, buffer: &mut Buffer) -> Outcome {
        let (arrivals, looked_at) = (&mut self.arrivals, &mut self.looked_at);
        self.subscriber.frames(buffer, |frame, out| {
            match frame.first & 0xF0 {
                0x30 => {
                    let message = frame.message()?;
                    arrivals.note(message.number);
                    match message.qos {
                        0 => {}
                        1 => append_ack(out, 0x40, message.id),
                        _ => append_ack(out, 0x50, message.id),
                    }
                    *looked_at += 1;
                    if *looked_at % 1000 == 1 {
                        decode(frame.whole)?;
                    }
                }
                0x60 => append_ack(out, 0x70, frame.id()),
                _ => {
                    return Err(Failure::new(format!(
                        "unexpected: {:?}",
                        decode(frame.whole)?
                    )));
                }
            }
            Ok(())
        })?;
        self.subscriber.flush()
    }

    fn finish_handshakes(&mut self, buffer: &mut Buffer) -> Outcome {
        if self.qos == 0 {
            return Ok(());
        }
        let acknowledged = &mut self.acknowledged;
        self.publisher.frames(buffer, |frame, out| {
            match frame.first & 0xF0 {
                0x40 | 0x70 => *acknowledged += 1,
                0x50 => append_ack(out, 0x62, frame.id()),
                _ => {
                    return Err(Failure::new(format!(
                        "unexpected: {:?}",
                        decode(frame.whole)?
                    )));
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}

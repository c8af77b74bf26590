//! Publishes this machine's own telemetry: processor, memory, temperatures, disks, network.
//!
//! With no flags it publishes to a broker on this machine, below `telemetry/NAME-OF-THE-MACHINE`. Shows what
//! a sensor's program needs: QoS 1 that survives lost connections, a Will that says "offline" when the
//! machine is lost, and reconnecting with growing pauses.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dunlin_client::{
    Client, CommandError, Event, Message, Options, Properties, Property, QoS, ReasonCode, Will,
};
use dunlin_examples::pause::Pauses;
use dunlin_examples::payload::{Reading, json, plain};
use dunlin_examples::sampler::host_name;
use dunlin_examples::{Group, Sampler};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

/// Room for the readings of an outage; then the oldest wait and new ones are left out.
const OUTBOX_BYTES: usize = 64 * 1024;
/// Rates take two looks: this long after the first comes the second, which is published.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Publish this machine's telemetry.
#[derive(Debug, Parser)]
struct Args {
    /// The broker's host name or address
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The broker's port
    #[arg(long, default_value_t = 1883)]
    port: u16,
    /// Seconds between readings
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// Publish below this topic [default: telemetry/NAME-OF-THE-MACHINE]
    #[arg(long)]
    topic: Option<String>,
    /// One message with a bare number for each value, instead of one with JSON for each group
    #[arg(long)]
    plain: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("publish-telemetry: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let host_name = host_name();
    let topic = args.topic.clone();
    let topic = topic.unwrap_or_else(|| format!("telemetry/{host_name}"));
    let status_topic = format!("{topic}/status");
    let client_id = format!("publish-telemetry-{host_name}");
    let options = Options {
        // After a lost connection of up to an hour the session goes on where it was.
        session_expiry_s: 3600,
        keep_alive_s: 30,
        will: Some(Will {
            topic: &status_topic,
            payload: b"offline",
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: Properties::EMPTY,
        }),
        ..Options::new(&client_id)
    };
    let mut publisher = Publisher {
        client: Client::new(&options, OUTBOX_BYTES)?,
        topic,
        status_topic,
        is_plain: args.plain,
        is_full: false,
    };
    let address = (args.host.as_str(), args.port);
    let mut pauses = Pauses::new();
    // When to connect next; `None` while there is a connection.
    let mut reconnect_at = Some(Instant::now());
    let mut sampler = Sampler::default();
    if sampler.look().is_empty() {
        return Err("there is nothing to read in /proc and /sys on this machine".into());
    }
    let mut ticks = interval_at(
        Instant::now() + FIRST_LOOK,
        Duration::from_secs(args.interval),
    );
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    loop {
        tokio::select! {
            event = publisher.client.event(), if reconnect_at.is_none() => match event {
                Ok(None) => {}
                Ok(Some(Event::Connected(_))) => {
                    println!("connected; publishing below {}", publisher.topic);
                    pauses.reset();
                    publisher.say("online")?;
                }
                Ok(Some(event)) => {
                    if let Some(end) = told(&event) {
                        return Err(end.into());
                    }
                }
                Err(error) => {
                    let pause = pauses.longer();
                    println!("{error}; connecting again in {} s", pause.as_secs());
                    reconnect_at = Some(Instant::now() + pause);
                }
            },
            () = sleep_until(reconnect_at.unwrap_or_else(Instant::now)), if reconnect_at.is_some() => {
                reconnect_at = match publisher.client.connect(address).await {
                    Ok(()) => None,
                    Err(error) => {
                        let pause = pauses.longer();
                        let Args { host, port, .. } = args;
                        println!("no broker at {host}:{port} ({error}); trying again in {} s", pause.as_secs());
                        Some(Instant::now() + pause)
                    }
                };
            }
            _ = ticks.tick() => publisher.publish(&sampler.look())?,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }

    // The Will is for the unexpected: who leaves properly says so.
    if publisher.say("offline").is_ok() {
        tokio::select! {
            () = publisher.acknowledged() => {}
            () = sleep(Duration::from_secs(2)) => {}
        }
        publisher.client.disconnect(ReasonCode::Success).await?;
    }
    Ok(())
}

struct Publisher {
    client: Client,
    topic: String,
    status_topic: String,
    is_plain: bool,
    /// Whether readings are being left out.
    is_full: bool,
}

impl Publisher {
    fn publish(&mut self, groups: &[Group]) -> Result<(), CommandError> {
        for group in groups {
            let readings = if self.is_plain {
                plain(group)
            } else {
                vec![json(group)]
            };
            for Reading { topic, payload } in readings {
                let content_type = if self.is_plain {
                    "text/plain"
                } else {
                    "application/json"
                };
                let properties = [Property::ContentType(content_type)];
                let topic = format!("{}/{topic}", self.topic);
                let outcome = self.client.publish(&Message {
                    qos: QoS::AtLeastOnce,
                    properties: Properties::from_list(&properties),
                    ..Message::new(&topic, payload.as_bytes())
                });
                let was_full = self.is_full;
                self.is_full = matches!(outcome, Err(CommandError::OutboxFull));
                match outcome {
                    Err(CommandError::OutboxFull) if !was_full => {
                        println!("too many readings wait for a connection; leaving out new ones");
                    }
                    Ok(_) | Err(CommandError::OutboxFull) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Retained, so that who comes later knows it too.
    fn say(&mut self, status: &str) -> Result<(), CommandError> {
        let outcome = self.client.publish(&Message {
            qos: QoS::AtLeastOnce,
            retain: true,
            ..Message::new(&self.status_topic, status.as_bytes())
        });
        outcome.map(|_| ())
    }

    /// Until the broker has everything, or the connection is lost.
    async fn acknowledged(&mut self) {
        while self.client.unacknowledged() > 0 && self.client.event().await.is_ok() {}
    }
}

/// What a person wants to know of an event; `Some` if there is no use in going on.
fn told(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Refused { reason_code, .. } => {
            Some(format!("the broker refused the connection: {reason_code}"))
        }
        Event::Disconnected {
            reason_code: ReasonCode::SessionTakenOver,
            ..
        } => Some("another program with the same client identifier connected".to_owned()),
        Event::Disconnected { reason_code, .. } => {
            println!("the broker ended the connection: {reason_code}");
            None
        }
        Event::NotPublished { failure, .. } => {
            println!("a reading wasn't published: {failure}");
            None
        }
        _ => None,
    }
}

//! Subscribes to what `publish-telemetry` publishes and prints it for people.
//!
//! With no flags it asks a broker on this machine for everything below `telemetry`. Shows what a
//! subscriber needs: subscribing anew after a connection in which the server knew nothing of us, and
//! refusals of single subscriptions.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use dunlin_client::{
    Client, Event, Message, Options, QoS, ReasonCode, Subscription, SubscriptionOptions,
};
use dunlin_examples::pause::Pauses;
use dunlin_examples::payload::readable;
use tokio::time::sleep;

/// Room for a few requests.
const OUTBOX_BYTES: usize = 4 * 1024;

/// Print telemetry.
#[derive(Debug, Parser)]
struct Args {
    /// The broker's host name or address
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The broker's port
    #[arg(long, default_value_t = 1883)]
    port: u16,
    /// Print what is published below this topic
    #[arg(long, default_value = "telemetry")]
    topic: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads through `head` has what it wanted.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("print-telemetry: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let client_id = format!("print-telemetry-{}", std::process::id());
    let mut client = Client::new(&Options::new(&client_id), OUTBOX_BYTES)?;
    let mut pauses = Pauses::new();
    loop {
        let Args { host, port, topic } = args;
        let lost = match client.connect((host.as_str(), *port)).await {
            Ok(()) => print_all(&mut client, topic, &mut pauses).await?,
            Err(error) => error.to_string(),
        };
        let pause = pauses.longer();
        eprintln!(
            "no connection to {host}:{port} ({lost}); trying again in {} s",
            pause.as_secs()
        );
        sleep(pause).await;
    }
}

/// Until the connection is lost; says why it was.
async fn print_all(
    client: &mut Client,
    topic: &str,
    pauses: &mut Pauses,
) -> Result<String, Box<dyn std::error::Error>> {
    let filter = format!("{topic}/#");
    loop {
        let subscribe = match client.event().await {
            Ok(Some(Event::Connected(connected))) => {
                pauses.reset();
                !connected.session_present
            }
            Ok(Some(event)) => {
                on_event(&event, topic)?;
                false
            }
            Ok(None) => false,
            Err(error) => return Ok(error.to_string()),
        };
        if subscribe {
            let options = SubscriptionOptions {
                qos: QoS::AtLeastOnce,
                ..SubscriptionOptions::default()
            };
            let filter = filter.as_str();
            client.subscribe(&[Subscription { filter, options }], &[])?;
            eprintln!("waiting for messages on {filter}");
        }
    }
}

fn on_event(event: &Event<'_>, topic: &str) -> Result<(), Box<dyn std::error::Error>> {
    match event {
        Event::Message(message) => Ok(print(message, topic)?),
        Event::Refused { reason_code, .. } => {
            Err(format!("the broker refused the connection: {reason_code}").into())
        }
        Event::Subscribed { reason_codes, .. } => match reason_codes.failures().next() {
            Some((_, reason_code)) => {
                Err(format!("the broker refused the subscription: {reason_code}").into())
            }
            None => Ok(()),
        },
        Event::Disconnected {
            reason_code: ReasonCode::SessionTakenOver,
            ..
        } => Err("another program with the same client identifier connected".into()),
        _ => Ok(()),
    }
}

fn print(message: &Message<'_>, topic: &str) -> io::Result<()> {
    let below = message.topic.strip_prefix(topic).unwrap_or(message.topic);
    let below = below.trim_start_matches('/').escape_debug().to_string();
    let (machine, what) = below.split_once('/').unwrap_or((&below, ""));
    let text = readable(message.topic, message.payload);
    let mut out = io::stdout().lock();
    writeln!(out, "{machine:<16} {what:<16} {text}")?;
    out.flush()
}

//! `dunlin pub`: publishes one message, or one for each line of standard input, and ends when the broker
//! has taken them over.

use std::fs;
use std::io::{self, BufRead as _, Read as _};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::{ArgGroup, Args};
use dunlin_client::{Client, CommandError, Event, Message, Properties, Property, QoS, ReasonCode};
use tokio::sync::mpsc;

use super::Exit;
use super::client::{ConnectionArgs, Failure, Place, explained, interrupted, qos, seconds};

/// Room for packets besides the message itself.
const OUTBOX_BYTES: usize = 64 * 1024;
/// The longest line that is published.
const LINE_MAX: usize = 4 * 1024 * 1024;
/// The largest file that is published: more doesn't fit into a packet.
const FILE_MAX: usize = 268_435_455;
/// Lines that are read ahead.
const LINES_AHEAD: usize = 64;

/// Publish messages
#[derive(Clone, Debug, Args)]
#[command(
    disable_help_flag = true,
    group(ArgGroup::new("source").required(true).args([
        "message", "null_message", "file", "stdin_line", "stdin_file"
    ]))
)]
pub(super) struct PublishArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Publish to this topic
    #[arg(short, long, value_name = "TOPIC")]
    topic: String,
    /// Publish this
    #[arg(short, long, value_name = "PAYLOAD", allow_hyphen_values = true)]
    message: Option<String>,
    /// Publish an empty message; with -r that removes what was retained
    #[arg(short, long)]
    null_message: bool,
    /// Publish the contents of this file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Publish each line of standard input
    #[arg(short = 'l', long)]
    stdin_line: bool,
    /// Publish standard input as one message
    #[arg(short = 's', long)]
    stdin_file: bool,
    /// Quality of service: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = qos)]
    qos: QoS,
    /// Have the broker keep the message for later subscribers
    #[arg(short, long)]
    retain: bool,
    /// Publish it so many times
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with = "stdin_line"
    )]
    repeat: u64,
    /// Seconds between repetitions
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "0",
        value_parser = seconds,
        conflicts_with = "stdin_line"
    )]
    repeat_delay: Duration,
}

impl PublishArgs {
    pub(super) fn is_quiet(&self) -> bool {
        self.connection.is_quiet()
    }
}

/// Ends when the broker has taken over every message, at QoS 0 when it has all been written.
pub(super) async fn run(args: PublishArgs) -> Result<(), Failure> {
    let properties = args.connection.properties(Place::Publish)?;
    let (source, largest) = Source::open(&args)?;
    let mut publisher = Publisher {
        client: args.connection.client("pub", OUTBOX_BYTES + largest)?,
        args: &args,
        properties: &properties,
        source,
        connected: false,
        refused: None,
    };
    args.connection.connect(&mut publisher.client).await?;
    tokio::select! {
        outcome = publisher.publish_all() => outcome?,
        () = args.connection.give_up() => return Err(Failure::timed_out()),
        interrupted = interrupted() => {
            interrupted?;
            return Err(Failure::new(Exit::Unavailable, "interrupted before everything was published"));
        }
    }
    publisher.client.disconnect(ReasonCode::Success).await?;
    publisher.refused.map_or(Ok(()), Err)
}

struct Publisher<'a> {
    client: Client,
    args: &'a PublishArgs,
    properties: &'a [Property<'a>],
    source: Source,
    connected: bool,
    /// The first message that the broker refused.
    refused: Option<Failure>,
}

impl Publisher<'_> {
    async fn publish_all(&mut self) -> Result<(), Failure> {
        let mut next: Option<Vec<u8>> = None;
        loop {
            if self.connected
                && let Some(payload) = next.take()
                && !self.publish(&payload)?
            {
                next = Some(payload);
            }
            let written = self.args.qos == QoS::AtMostOnce || self.client.unacknowledged() == 0;
            if next.is_none() && self.source.is_finished() && written {
                return Ok(());
            }
            let wanted = self.connected && next.is_none() && !self.source.is_finished();
            tokio::select! {
                biased;
                payload = self.source.next(), if wanted => next = payload?,
                event = self.client.event() => {
                    if let Some(event) = event? {
                        on_event(event, &mut self.connected, &mut self.refused)?;
                    }
                }
            }
        }
    }

    /// False when there is no room at present.
    fn publish(&mut self, payload: &[u8]) -> Result<bool, Failure> {
        let message = Message {
            qos: self.args.qos,
            retain: self.args.retain,
            properties: Properties::from_list(self.properties),
            ..Message::new(&self.args.topic, payload)
        };
        match self.client.publish(&message) {
            Ok(_) => Ok(true),
            Err(CommandError::OutboxFull) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn on_event(
    event: Event<'_>,
    connected: &mut bool,
    refused: &mut Option<Failure>,
) -> Result<(), Failure> {
    match event {
        Event::Connected(_) => *connected = true,
        Event::Refused {
            reason_code,
            properties,
        } => {
            let why = explained(reason_code, &properties);
            let text = format!("the broker refused the connection: {why}");
            return Err(Failure::new(Exit::Refused, text));
        }
        Event::Disconnected {
            reason_code,
            properties,
        } => {
            let why = explained(reason_code, &properties);
            let text = format!("the broker ended the connection: {why}");
            return Err(Failure::new(Exit::Refused, text));
        }
        Event::NotPublished { failure, .. } => {
            let text = format!("a message wasn't published: {failure}");
            refused.get_or_insert(Failure::new(Exit::Refused, text));
        }
        Event::Published { .. }
        | Event::Message(_)
        | Event::Subscribed { .. }
        | Event::Unsubscribed { .. } => {}
    }
    Ok(())
}

/// Where the messages come from.
enum Source {
    Repeated {
        payload: Vec<u8>,
        left: u64,
        delay: Duration,
        is_first: bool,
    },
    Lines(mpsc::Receiver<io::Result<Vec<u8>>>),
    Finished,
}

impl Source {
    /// The source and the size of its largest message in bytes.
    fn open(args: &PublishArgs) -> Result<(Self, usize), Failure> {
        if args.stdin_line {
            return Ok((Self::Lines(lines()), LINE_MAX));
        }
        let payload = if let Some(text) = &args.message {
            text.clone().into_bytes()
        } else if let Some(path) = &args.file {
            let file = fs::File::open(path).and_then(read_all);
            file.map_err(|error| unreadable(&path.display().to_string(), &error))?
        } else if args.stdin_file {
            read_all(io::stdin()).map_err(|error| unreadable("standard input", &error))?
        } else {
            Vec::new()
        };
        let largest = payload.len();
        let source = Self::Repeated {
            payload,
            left: args.repeat,
            delay: args.repeat_delay,
            is_first: true,
        };
        Ok((source, largest))
    }

    fn is_finished(&self) -> bool {
        matches!(self, Self::Finished | Self::Repeated { left: 0, .. })
    }

    /// The next message, `None` at the end. Cancel-safe.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Repeated { left: 0, .. } | Self::Finished => Ok(None),
            Self::Repeated {
                payload,
                left,
                delay,
                is_first,
            } => {
                if !*is_first && !delay.is_zero() {
                    tokio::time::sleep(*delay).await;
                }
                *is_first = false;
                *left -= 1;
                Ok(Some(payload.clone()))
            }
            Self::Lines(receiver) => match receiver.recv().await {
                Some(line) => {
                    let line = line.map_err(|error| unreadable("standard input", &error))?;
                    Ok(Some(line))
                }
                None => {
                    *self = Self::Finished;
                    Ok(None)
                }
            },
        }
    }
}

/// Reads standard input in a thread of its own, for it can't be waited for otherwise everywhere.
fn lines() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let line = match line(&mut input) {
                Ok(None) => return,
                Ok(Some(line)) => Ok(line),
                Err(error) => Err(error),
            };
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

/// A line without its end; `None` at the end of the input.
fn line(input: &mut impl io::BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
    if input.take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() == LINE_MAX {
        let text = format!("a line is longer than {LINE_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(Some(line))
}

fn read_all(input: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_MAX).unwrap_or(u64::MAX);
    input.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_MAX {
        let text = format!("more than {FILE_MAX} bytes don't fit into a message");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(bytes)
}

fn unreadable(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Io, format!("can't read {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_their_end_and_may_be_empty() -> io::Result<()> {
        let mut input = &b"a\n\n\xFF\nlast"[..];
        let mut found = Vec::new();
        while let Some(line) = line(&mut input)? {
            found.push(line);
        }
        assert_eq!(found, [b"a".to_vec(), vec![], vec![0xFF], b"last".to_vec()]);
        Ok(())
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let outcome = line(&mut io::BufReader::new(io::repeat(b'x')));
        let kind = outcome.map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::InvalidData));
    }
}

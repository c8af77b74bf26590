//! `dunlin sub`: subscribes and prints what comes, until it's told to stop. A connection that is lost is
//! made again.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use dunlin_client::{
    Client, Connected, Event, Message, QoS, ReasonCode, ReasonCodes, Subscription,
    SubscriptionOptions,
};

use super::Exit;
use super::client::{ConnectionArgs, Failure, Place, explained, interrupted, qos};

/// Room for requests and the connection's options.
const OUTBOX_BYTES: usize = 256 * 1024;
/// The first pause before a lost connection is made again; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Subscribe and print what comes
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct SubscribeArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Subscribe to this topic filter; may be given several times
    #[arg(
        short,
        long = "topic",
        value_name = "FILTER",
        required_unless_present = "unsubscribe"
    )]
    topics: Vec<String>,
    /// Unsubscribe from this topic filter first, in a session that was kept; may be given several times
    #[arg(short = 'U', long, value_name = "FILTER")]
    unsubscribe: Vec<String>,
    /// Highest quality of service to receive: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = qos)]
    qos: QoS,
    /// Print topics too
    #[arg(short, long)]
    verbose: bool,
    /// Print no end of line behind a message
    #[arg(short = 'N')]
    no_end_of_line: bool,
    /// End after so many messages
    #[arg(
        short = 'C',
        value_name = "COUNT",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    count: Option<u64>,
    /// End when the broker has granted the subscriptions
    #[arg(short = 'E')]
    exit_when_subscribed: bool,
    /// Don't print retained messages
    #[arg(short = 'R', conflicts_with = "retained_only")]
    no_retained: bool,
    /// Print retained messages alone, and end at the first other one
    #[arg(long)]
    retained_only: bool,
}

impl SubscribeArgs {
    pub(super) fn is_quiet(&self) -> bool {
        self.connection.is_quiet()
    }
}

/// Ends when it was asked to: by an option, a signal, or a reader that went away.
pub(super) async fn run(args: SubscribeArgs) -> Result<(), Failure> {
    let mut subscriber = Subscriber {
        client: args.connection.client("sub", OUTBOX_BYTES)?,
        progress: Progress::new(&args),
    };
    args.connection.connect(&mut subscriber.client).await?;
    tokio::select! {
        outcome = subscriber.print_all(&args) => outcome?,
        () = args.connection.give_up() => {
            subscriber.leave(&args).await;
            return Err(Failure::timed_out());
        }
        interrupted = interrupted() => interrupted?,
    }
    subscriber.leave(&args).await;
    Ok(())
}

struct Subscriber<'a> {
    client: Client,
    progress: Progress<'a>,
}

/// What to do after an event.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Subscribe,
    /// What was asked for is done.
    End,
}

impl Subscriber<'_> {
    /// Over any number of connections.
    async fn print_all(&mut self, args: &SubscribeArgs) -> Result<(), Failure> {
        let mut pause = PAUSE;
        loop {
            let lost = match self.print(args).await {
                Ok(()) => return Ok(()),
                Err(Lost::ForGood(failure)) => return Err(failure),
                Err(Lost::ForNow(failure)) => failure,
            };
            if self.progress.was_connected {
                pause = PAUSE;
                self.progress.was_connected = false;
            }
            let mut lost = lost;
            loop {
                let seconds = pause.as_secs();
                args.connection
                    .note(&format_args!("{lost}; trying again in {seconds} s"));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                match args.connection.connect(&mut self.client).await {
                    Ok(()) => break,
                    Err(failure) => lost = failure,
                }
            }
        }
    }

    /// Until the connection ends.
    async fn print(&mut self, args: &SubscribeArgs) -> Result<(), Lost> {
        loop {
            let event = match self.client.event().await {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(error) if self.progress.was_ever_connected => {
                    return Err(Lost::ForNow(error.into()));
                }
                Err(error) => return Err(Lost::ForGood(error.into())),
            };
            match self.progress.on_event(&event)? {
                Next::GoOn => {}
                Next::Subscribe => self.subscribe(args).map_err(Lost::ForGood)?,
                Next::End => return Ok(()),
            }
        }
    }

    fn subscribe(&mut self, args: &SubscribeArgs) -> Result<(), Failure> {
        if !args.unsubscribe.is_empty() {
            let filters: Vec<&str> = args.unsubscribe.iter().map(String::as_str).collect();
            let properties = args.connection.properties(Place::Unsubscribe)?;
            self.client.unsubscribe(&filters, &properties)?;
        }
        let options = SubscriptionOptions {
            qos: args.qos,
            ..SubscriptionOptions::default()
        };
        let subscription = |filter| Subscription { filter, options };
        let list: Vec<_> = args
            .topics
            .iter()
            .map(|filter| subscription(filter))
            .collect();
        if !list.is_empty() {
            let properties = args.connection.properties(Place::Subscribe)?;
            self.client.subscribe(&list, &properties)?;
        }
        Ok(())
    }

    /// So that the broker doesn't publish the Will.
    async fn leave(&mut self, args: &SubscribeArgs) {
        if let Err(error) = self.client.disconnect(ReasonCode::Success).await
            && self.progress.was_connected
        {
            args.connection.note(&format_args!(
                "couldn't say good-bye to the broker: {error}"
            ));
        }
    }
}

/// A connection that ended.
#[derive(Debug)]
enum Lost {
    ForNow(Failure),
    ForGood(Failure),
}

struct Progress<'a> {
    args: &'a SubscribeArgs,
    messages: u64,
    /// Since the last attempt to connect.
    was_connected: bool,
    was_ever_connected: bool,
}

impl<'a> Progress<'a> {
    const fn new(args: &'a SubscribeArgs) -> Self {
        Self {
            args,
            messages: 0,
            was_connected: false,
            was_ever_connected: false,
        }
    }

    fn on_event(&mut self, event: &Event<'_>) -> Result<Next, Lost> {
        match event {
            Event::Connected(connected) => Ok(self.on_connected(connected)),
            Event::Refused {
                reason_code,
                properties,
            } => {
                let why = explained(*reason_code, properties);
                let text = format!("the broker refused the connection: {why}");
                let failure = Failure::new(Exit::Refused, text);
                Err(if self.was_ever_connected && may_pass(*reason_code) {
                    Lost::ForNow(failure)
                } else {
                    Lost::ForGood(failure)
                })
            }
            Event::Disconnected {
                reason_code,
                properties,
            } => {
                let why = explained(*reason_code, properties);
                let text = format!("the broker ended the connection: {why}");
                let failure = Failure::new(Exit::Refused, text);
                // Who took the session over would lose it again, and so on for ever.
                Err(if may_pass(*reason_code) {
                    Lost::ForNow(failure)
                } else {
                    Lost::ForGood(failure)
                })
            }
            Event::Subscribed { reason_codes, .. } => {
                self.on_subscribed(reason_codes).map_err(Lost::ForGood)
            }
            Event::Unsubscribed { .. } if self.args.topics.is_empty() => Ok(Next::End),
            Event::Message(message) => self.on_message(message).map_err(Lost::ForGood),
            Event::Unsubscribed { .. } | Event::Published { .. } | Event::NotPublished { .. } => {
                Ok(Next::GoOn)
            }
        }
    }

    fn on_connected(&mut self, connected: &Connected<'_>) -> Next {
        let is_first = !self.was_ever_connected;
        self.was_connected = true;
        self.was_ever_connected = true;
        // The broker has kept our subscriptions, but not those of another process, perhaps.
        if is_first || !connected.session_present {
            Next::Subscribe
        } else {
            Next::GoOn
        }
    }

    fn on_subscribed(&self, reason_codes: &ReasonCodes<'_>) -> Result<Next, Failure> {
        let topics = &self.args.topics;
        let mut refused = 0;
        for (index, reason_code) in reason_codes.failures() {
            refused += 1;
            let filter = topics.get(index).map_or("", String::as_str);
            self.args.connection.note(&format_args!(
                "the broker refused the subscription to {filter:?}: {reason_code}"
            ));
        }
        if refused == topics.len() {
            let text = "the broker refused every subscription";
            return Err(Failure::new(Exit::Refused, text));
        }
        Ok(if self.args.exit_when_subscribed {
            Next::End
        } else {
            Next::GoOn
        })
    }

    fn on_message(&mut self, message: &Message<'_>) -> Result<Next, Failure> {
        let Self { args, .. } = self;
        if args.retained_only && !message.retain {
            return Ok(Next::End);
        }
        if args.no_retained && message.retain {
            return Ok(Next::GoOn);
        }
        let mut out = io::stdout().lock();
        match print(&mut out, args, message).and_then(|()| out.flush()) {
            Ok(()) => {}
            // Who reads through `head` has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Next::End),
            Err(error) => {
                let text = format!("can't write to standard output: {error}");
                return Err(Failure::new(Exit::Io, text));
            }
        }
        self.messages += 1;
        Ok(if Some(self.messages) == self.args.count {
            Next::End
        } else {
            Next::GoOn
        })
    }
}

fn print(out: &mut impl io::Write, args: &SubscribeArgs, message: &Message<'_>) -> io::Result<()> {
    if args.verbose {
        write!(out, "{} ", message.topic)?;
    }
    out.write_all(message.payload)?;
    if !args.no_end_of_line {
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Whether the same connection may be welcome later.
const fn may_pass(reason_code: ReasonCode) -> bool {
    matches!(
        reason_code,
        ReasonCode::ServerUnavailable
            | ReasonCode::ServerBusy
            | ReasonCode::ServerShuttingDown
            | ReasonCode::KeepAliveTimeout
            | ReasonCode::QuotaExceeded
            | ReasonCode::MessageRateTooHigh
            | ReasonCode::ConnectionRateExceeded
            | ReasonCode::MaximumConnectTime
            | ReasonCode::UnspecifiedError
            | ReasonCode::ImplementationSpecificError
    )
}

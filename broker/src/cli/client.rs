//! What `dunlin pub` and `dunlin sub` have in common: the options of a connection, properties, failures.
//!
//! Options are named as in mosquitto_pub and mosquitto_sub where they mean the same.

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use dunlin_client::{
    Client, ClientError, CommandError, Options, OptionsError, PacketId, Properties, Property, QoS,
    ReasonCode, Version, Will,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, complain};

/// How to connect.
#[derive(Clone, Debug, Args)]
pub(super) struct ConnectionArgs {
    /// The broker's host name or address
    #[arg(
        short = 'h',
        long,
        value_name = "HOST",
        default_value = "127.0.0.1",
        help_heading = CONNECTION
    )]
    host: String,
    /// The broker's port
    #[arg(
        short,
        long,
        value_name = "PORT",
        default_value_t = 1883,
        help_heading = CONNECTION
    )]
    port: u16,
    /// Client identifier; a random one unless given
    #[arg(short = 'i', long, value_name = "ID", help_heading = CONNECTION)]
    id: Option<String>,
    /// Client identifier: this and the process id
    #[arg(
        short = 'I',
        long,
        value_name = "PREFIX",
        conflicts_with = "id",
        help_heading = CONNECTION
    )]
    id_prefix: Option<String>,
    /// Protocol version: 5 or 3.1.1
    #[arg(
        short = 'V',
        long,
        value_name = "VERSION",
        default_value = "5",
        value_parser = version,
        help_heading = CONNECTION
    )]
    protocol_version: Version,
    /// Keep the session when this program ends, and resume the one that was kept; needs --id
    #[arg(short = 'c', long, help_heading = CONNECTION)]
    disable_clean_session: bool,
    /// Seconds that the broker keeps the session, or -1 for ever (MQTT 5) [default: 0, with -c for ever]
    #[arg(
        short = 'x',
        long,
        value_name = "SECONDS",
        allow_hyphen_values = true,
        value_parser = session_expiry,
        help_heading = CONNECTION
    )]
    session_expiry_interval: Option<u32>,
    /// Seconds of silence before the broker is asked whether it's still there; 0 for never
    #[arg(
        short = 'k',
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        help_heading = CONNECTION
    )]
    keepalive: u16,
    /// User name; else that of the environment variable DUNLIN_USERNAME
    #[arg(short = 'u', long, value_name = "NAME", help_heading = CONNECTION)]
    username: Option<String>,
    /// Password. Others on this machine can see it: better --pw-file, or the environment variable
    /// DUNLIN_PASSWORD
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", help_heading = CONNECTION)]
    password: Option<Secret>,
    /// The file whose first line is the password
    #[arg(
        long = "pw-file",
        value_name = "FILE",
        conflicts_with = "password",
        help_heading = CONNECTION
    )]
    password_file: Option<PathBuf>,
    /// Topic of the message that the broker publishes when this client is lost
    #[arg(long, value_name = "TOPIC", help_heading = CONNECTION)]
    will_topic: Option<String>,
    /// Payload of that message
    #[arg(
        long,
        value_name = "PAYLOAD",
        requires = "will_topic",
        help_heading = CONNECTION
    )]
    will_payload: Option<String>,
    /// QoS of that message
    #[arg(
        long,
        value_name = "QOS",
        default_value = "0",
        value_parser = qos,
        help_heading = CONNECTION
    )]
    will_qos: QoS,
    /// That message is retained
    #[arg(long, requires = "will_topic", help_heading = CONNECTION)]
    will_retain: bool,
    /// A property (MQTT 5): PACKET is connect, will, publish, subscribe or unsubscribe, NAME as in the
    /// standard with hyphens, such as content-type; user-property takes a key and a value
    #[arg(
        short = 'D',
        long = "property",
        value_names = ["PACKET", "NAME", "VALUE"],
        num_args = 3..=4,
        action = ArgAction::Append,
        help_heading = CONNECTION
    )]
    properties: Vec<String>,
    /// Give up after so many seconds
    #[arg(short = 'W', value_name = "SECONDS", value_parser = seconds, help_heading = CONNECTION)]
    timeout: Option<Duration>,
    /// Print no messages about errors
    #[arg(long, help_heading = CONNECTION)]
    quiet: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

const CONNECTION: &str = "Connection";

/// What isn't to be seen in a debug print.
#[derive(Clone)]
struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Why a command ended otherwise than asked for.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    text: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
        }
    }

    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    pub(super) fn timed_out() -> Self {
        Self::new(Exit::TimedOut, "gave up after the time that -W allows")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = format!("lost the connection to the broker: {error}");
        Self::new(Exit::Unavailable, text)
    }
}

impl From<OptionsError> for Failure {
    fn from(error: OptionsError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let exit = match error {
            CommandError::TooLargeForServer
            | CommandError::QosNotSupported
            | CommandError::RetainNotSupported
            | CommandError::WildcardNotSupported
            | CommandError::SharedNotSupported
            | CommandError::SubscriptionIdentifierNotSupported => Exit::Refused,
            CommandError::NotConnected => Exit::Unavailable,
            _ => Exit::Usage,
        };
        Self::new(exit, error.to_string())
    }
}

impl ConnectionArgs {
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says on standard error what the user may want to know.
    pub(super) fn note(&self, text: &dyn fmt::Display) {
        if !self.quiet {
            // Where nobody can be told, the exit code remains.
            drop(writeln!(io::stderr(), "dunlin: {text}"));
        }
    }

    /// A client as asked for, not connected yet. `program` begins a made-up Client Identifier.
    pub(super) fn client(&self, program: &str, outbox_bytes: usize) -> Result<Client, Failure> {
        let random = getrandom::u32()
            .map_err(|error| Failure::new(Exit::Software, format!("no random numbers: {error}")))?;
        let client_id = match (&self.id, &self.id_prefix) {
            (Some(id), _) => id.clone(),
            (None, Some(prefix)) => format!("{prefix}{}", std::process::id()),
            (None, None) if self.disable_clean_session => {
                return Err(Failure::usage("-c needs a client identifier: add -i ID"));
            }
            (None, None) => format!("dunlin-{program}-{random:08x}"),
        };
        let password = self.password()?;
        let user_name = self
            .username
            .clone()
            .or_else(|| variable("DUNLIN_USERNAME"));
        let will_properties = self.properties(Place::Will)?;
        let will = self.will_topic.as_deref().map(|topic| Will {
            topic,
            payload: self.will_payload.as_deref().unwrap_or_default().as_bytes(),
            qos: self.will_qos,
            retain: self.will_retain,
            properties: Properties::from_list(&will_properties),
        });
        if will.is_none() && !will_properties.is_empty() {
            return Err(Failure::usage("a will property needs --will-topic"));
        }
        let is_v5 = self.protocol_version.is_v5();
        let session_expiry_s = match self.session_expiry_interval {
            Some(_) if !is_v5 => return Err(Failure::usage("-x needs MQTT 5")),
            Some(seconds) => seconds,
            None if self.disable_clean_session && is_v5 => u32::MAX,
            None => 0,
        };
        let [high, low, ..] = random.to_be_bytes();
        let properties = self.properties(Place::Connect)?;
        let options = Options {
            version: self.protocol_version,
            clean_start: !self.disable_clean_session,
            session_expiry_s,
            keep_alive_s: self.keepalive,
            user_name: user_name.as_deref(),
            password: password.as_deref().map(str::as_bytes),
            will,
            properties: &properties,
            // A session that is resumed by another process: see the option.
            first_packet_id: PacketId::new(u16::from_be_bytes([high, low]))
                .unwrap_or(PacketId::MIN),
            ..Options::new(&client_id)
        };
        Ok(Client::new(&options, outbox_bytes)?)
    }

    fn password(&self) -> Result<Option<String>, Failure> {
        if let Some(Secret(password)) = &self.password {
            self.note(
                &"others on this machine can see a password that is an argument: better use --pw-file or \
                  DUNLIN_PASSWORD",
            );
            return Ok(Some(password.clone()));
        }
        let Some(path) = &self.password_file else {
            return Ok(variable("DUNLIN_PASSWORD"));
        };
        let text = fs::read_to_string(path).map_err(|error| {
            let text = format!("can't read the password from {}: {error}", path.display());
            Failure::new(Exit::Io, text)
        })?;
        Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
    }

    /// Opens the connection; the broker's answer is the client's first event.
    pub(super) async fn connect(&self, client: &mut Client) -> Result<(), Failure> {
        let connecting = client.connect((self.host.as_str(), self.port)).await;
        connecting.map_err(|error| {
            let Self { host, port, .. } = self;
            let text = format!("can't reach a broker at {host}, port {port}: {error}");
            Failure::new(Exit::Unavailable, text)
        })
    }

    /// When -W ends it; never without.
    pub(super) async fn give_up(&self) {
        match self.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    }

    /// The properties that -D gives for this packet.
    pub(super) fn properties(&self, place: Place) -> Result<Vec<Property<'_>>, Failure> {
        let mut found = Vec::new();
        let mut words = &self.properties[..];
        while let [packet, name, value, rest @ ..] = words {
            let property = if name == "user-property" {
                let [second, rest @ ..] = rest else {
                    return Err(Failure::usage("-D: user-property takes a key and a value"));
                };
                words = rest;
                Property::UserProperty(value, second)
            } else {
                words = rest;
                property(name, value)?
            };
            if Place::named(packet)? == place {
                found.push(property);
            }
        }
        if !words.is_empty() {
            return Err(Failure::usage("-D takes a packet, a name and a value"));
        }
        if !found.is_empty() && !self.protocol_version.is_v5() {
            return Err(Failure::usage("properties need MQTT 5"));
        }
        Ok(found)
    }
}

/// Which packet a property is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Connect,
    Will,
    Publish,
    Subscribe,
    Unsubscribe,
}

impl Place {
    fn named(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "connect" => Self::Connect,
            "will" => Self::Will,
            "publish" => Self::Publish,
            "subscribe" => Self::Subscribe,
            "unsubscribe" => Self::Unsubscribe,
            _ => {
                return Err(Failure::usage(format!(
                    "-D: {name:?} isn't one of connect, will, publish, subscribe, unsubscribe"
                )));
            }
        })
    }
}

fn property<'a>(name: &str, value: &'a str) -> Result<Property<'a>, Failure> {
    let wrong = || Failure::usage(format!("-D: {value:?} is no value for {name}"));
    let number = || value.parse::<u32>().map_err(|_| wrong());
    let flag = || match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(wrong()),
    };
    Ok(match name {
        "payload-format-indicator" => Property::PayloadFormatIndicator(flag()?),
        "message-expiry-interval" => Property::MessageExpiryInterval(number()?),
        "content-type" => Property::ContentType(value),
        "response-topic" => Property::ResponseTopic(value),
        "correlation-data" => Property::CorrelationData(value.as_bytes()),
        "subscription-identifier" => match number()? {
            number @ 1..=268_435_455 => Property::SubscriptionIdentifier(number),
            _ => return Err(wrong()),
        },
        "request-problem-information" => Property::RequestProblemInformation(flag()?),
        "request-response-information" => Property::RequestResponseInformation(flag()?),
        "will-delay-interval" => Property::WillDelayInterval(number()?),
        "session-expiry-interval" => {
            return Err(Failure::usage(
                "-D: for session-expiry-interval there is -x",
            ));
        }
        _ => {
            return Err(Failure::usage(format!(
                "-D: {name:?} isn't a property that can be set here"
            )));
        }
    })
}

/// Why the broker ended it, in words.
pub(super) fn explained(reason_code: ReasonCode, properties: &Properties<'_>) -> String {
    let reason = properties.iter().find_map(|property| match property {
        Property::ReasonString(text) => Some(text),
        _ => None,
    });
    match reason {
        Some(text) => format!("{reason_code}: {}", text.escape_debug()),
        None => reason_code.to_string(),
    }
}

/// Runs a client and says how it ended.
pub(super) fn exit(quiet: bool, client: impl Future<Output = Result<(), Failure>>) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(client);
            // A name may still be looked up, which nothing can cut short.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::new(Exit::Software, error.to_string())),
    };
    match outcome {
        Ok(()) => Exit::Ok,
        Err(failure) if quiet => failure.exit,
        Err(failure) => complain(&failure, failure.exit),
    }
}

/// Until the user or the system asks the program to end.
pub(super) async fn interrupted() -> Result<(), Failure> {
    let unavailable =
        |error| Failure::new(Exit::Software, format!("can't receive signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(unavailable)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unavailable)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn version(text: &str) -> Result<Version, &'static str> {
    match text {
        "5" | "mqttv5" => Ok(Version::V5),
        "3.1.1" | "311" | "mqttv311" => Ok(Version::V4),
        _ => Err("there is 5 and 3.1.1"),
    }
}

pub(super) fn qos(text: &str) -> Result<QoS, &'static str> {
    let bits = text.parse().ok();
    bits.and_then(QoS::from_bits).ok_or("there is 0, 1 and 2")
}

fn session_expiry(text: &str) -> Result<u32, &'static str> {
    match text {
        "-1" => Ok(u32::MAX),
        _ => text.parse().map_err(|_| "a number of seconds, or -1"),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "a number of seconds")
}

//! The broker's configuration: read in layers, checked as a whole, printed back, reloaded.
//!
//! Answers for [`Config`], the validated configuration that the rest of the broker sees. What is
//! wrong is reported all at once, before anything is opened. Does not answer for applying it.

#[cfg(test)]
mod documentation;
mod keys;
mod layers;
mod listeners;
mod print;
mod problem;
mod reload;
#[cfg(test)]
mod tests;
mod units;
mod value;

use std::path::PathBuf;

use dunlin_engine::limits::Limits;

pub use layers::{ENVIRONMENT_PREFIX, Environment, Flags, Sources};
pub use listeners::Listener;
pub use problem::{Origin, Problem, Problems};
pub use reload::{Change, Reloaded};

use keys::{KEYS, Key};
use value::{Setting, Value};

/// The configuration that is in force: every value is valid, and they go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The directory of what the broker must not forget.
    pub data_dir: PathBuf,
    /// Where to listen; at least one.
    pub listeners: Vec<Listener>,
    /// The engine's bounds, including those of `[session]` and `mqtt.keep_alive_max`.
    pub limits: Limits,
    /// What the standard leaves to the broker.
    pub mqtt: Mqtt,
    /// Logging.
    pub log: Log,
    /// Threads.
    pub runtime: Runtime,
}

impl Default for Config {
    /// The built-in defaults, with the data directory of a system service.
    fn default() -> Self {
        Self {
            data_dir: Environment::default().data_dir(),
            listeners: vec![Listener::default()],
            limits: Limits::default(),
            mqtt: Mqtt::default(),
            log: Log::default(),
            runtime: Runtime::default(),
        }
    }
}

/// What the standard leaves to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mqtt {
    /// What clients that ask for Response Information are given.
    pub response_information: Option<String>,
    /// What a client that can't be told a reason gets for a publish it has no right to.
    pub on_deny: OnDeny,
    /// How assigned Client Identifiers begin.
    pub assigned_client_id_prefix: String,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            response_information: None,
            on_deny: OnDeny::default(),
            assigned_client_id_prefix: "auto-".into(),
        }
    }
}

/// What a client before MQTT 5 gets for a publish it has no right to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDeny {
    /// An acknowledgement; the message is dropped and counted.
    #[default]
    Acknowledge,
    /// The end of its connection.
    Disconnect,
}

/// Logging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The least severe events that are logged.
    pub level: LogLevel,
    /// How they are written.
    pub format: LogFormat,
}

/// The least severe events that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// None.
    Off,
    /// What needs somebody's attention.
    Error,
    /// What may need it soon.
    Warn,
    /// What the broker does as a whole.
    #[default]
    Info,
    /// What each connection does.
    Debug,
    /// What each packet does.
    Trace,
}

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    /// Threads that serve connections; 0 for one per core.
    pub workers: usize,
}

/// A configuration and where each of its values comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the layers say, each value with its origin; a key that isn't here has its default.
    merged: Setting,
}

impl Loaded {
    /// Reads all layers and checks the whole.
    ///
    /// # Errors
    /// Everything that is wrong, in any layer.
    pub fn read(sources: &Sources) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let merged = layers::merge(sources, &mut problems).unwrap_or_else(|error| {
            let reason = error.to_string();
            problems.push(Problem::Unmerged { reason });
            Setting::default()
        });
        let mut config = Config {
            data_dir: sources.environment.data_dir(),
            ..Config::default()
        };
        for key in KEYS {
            if let Some(setting) = layers::find(&merged, key.path) {
                key.read(key.path, setting, &mut config, &mut problems);
            }
        }
        check_together(&config, &merged, &mut problems);
        config.listeners = listeners::resolve(layers::listeners(&merged), &mut problems);
        Problems::check(problems)?;
        Ok(Self { config, merged })
    }
}

/// Bounds that are senseless beside each other.
fn check_together(config: &Config, merged: &Setting, problems: &mut Vec<Problem>) {
    let pairs = [
        ("limits.packet_bytes", "limits.memory_bytes"),
        ("limits.connect_packet_bytes", "limits.memory_bytes"),
        ("limits.subscriptions_per_session", "limits.subscriptions"),
        ("limits.connections_per_address", "limits.connections"),
    ];
    for (part, whole) in pairs {
        let key = |path| KEYS.iter().find(|key| key.path == path);
        let (Some(part), Some(whole)) = (key(part), key(whole)) else {
            continue;
        };
        let (Value::Number(part_value), Value::Number(whole_value)) =
            ((part.value)(config), (whole.value)(config))
        else {
            continue;
        };
        if part_value <= whole_value {
            continue;
        }
        // Whichever of the two was set is the one to name; the defaults go together.
        let set = |key: &Key<Config>| Some((key.path, layers::find(merged, key.path)?));
        let Some((path, setting)) = set(part).or_else(|| set(whole)) else {
            continue;
        };
        let advice = format!(
            "{} ({}) may not be above {} ({})",
            part.path,
            part.kind.toml(&Value::Number(part_value)),
            whole.path,
            whole.kind.toml(&Value::Number(whole_value)),
        );
        problems.push(Problem::invalid(path, setting, advice));
    }
}

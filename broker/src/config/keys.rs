//! Every key of the configuration: what it takes, whether a running broker can change it, where it
//! lives in [`Config`]. Reading, printing, reloading and the documentation all go by this table.
//!
//! Does not answer for the defaults: they are `Config::default` and the engine's `Limits::default`.

use std::net::SocketAddr;
use std::path::PathBuf;

use dunlin_engine::limits::DropPolicy;
use serde::de::{self, DeserializeOwned, IntoDeserializer as _};

use super::listeners::Draft;
use super::problem::Problem;
use super::units::Unit;
use super::value::{BYTES_MAX, Kind, Setting, Value};
use super::{Config, LogFormat, LogLevel, OnDeny};

/// One key of `T`.
pub(super) struct Key<T> {
    /// Table and name, joined by dots.
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// Whether a reload changes it; otherwise it takes a restart.
    pub(super) reloads: bool,
    /// One line for print-config and the documentation.
    pub(super) meaning: &'static str,
    pub(super) value: fn(&T) -> Value,
    /// False when the field can't hold the value.
    pub(super) assign: fn(&mut T, Value) -> bool,
}

impl<T> Key<T> {
    /// Understands a value and puts it in its place; `name` is what the key is called in a problem.
    pub(super) fn read(
        &self,
        name: &str,
        setting: &Setting,
        target: &mut T,
        problems: &mut Vec<Problem>,
    ) {
        let advice = match self.kind.parse(setting) {
            Ok(value) => {
                if (self.assign)(target, value) {
                    return;
                }
                format!("use {}", self.kind.range())
            }
            Err(advice) => advice,
        };
        problems.push(Problem::invalid(name, setting, advice));
    }
}

/// A field that a [`Value`] can be put into.
trait Field {
    fn value(&self) -> Value;
    /// False when the type isn't the field's or the number doesn't fit.
    fn assign(&mut self, value: Value) -> bool;
}

fn put<T: DeserializeOwned>(field: &mut T, value: Value) -> bool {
    let read: Result<T, de::value::Error> = match value {
        Value::Bool(value) => T::deserialize(value.into_deserializer()),
        Value::Number(number) => T::deserialize(number.into_deserializer()),
        Value::Text(text) => T::deserialize(text.into_deserializer()),
    };
    read.map(|value| *field = value).is_ok()
}

macro_rules! fields {
    ($($type:ty: |$field:ident| $value:expr;)*) => {$(
        impl Field for $type {
            fn value(&self) -> Value {
                let $field = self;
                $value
            }
            fn assign(&mut self, value: Value) -> bool {
                put(self, value)
            }
        }
    )*};
}
fields! {
    bool: |field| Value::Bool(*field);
    u16: |field| Value::Number((*field).into());
    u32: |field| Value::Number((*field).into());
    u64: |field| Value::Number(*field);
    // Only a usize of more than 64 bits wouldn't fit.
    usize: |field| Value::Number(u64::try_from(*field).unwrap_or(u64::MAX));
    String: |field| Value::Text(field.clone());
    // Every layer is text, so the path is.
    PathBuf: |field| Value::Text(field.to_string_lossy().into_owned());
    SocketAddr: |field| Value::Text(field.to_string());
}

/// Empty text is `None`.
impl Field for Option<String> {
    fn value(&self) -> Value {
        Value::Text(self.clone().unwrap_or_default())
    }
    fn assign(&mut self, value: Value) -> bool {
        let mut text = String::new();
        let fits = text.assign(value);
        if fits {
            *self = Some(text).filter(|text| !text.is_empty());
        }
        fits
    }
}

macro_rules! choice_fields {
    ($($type:ty as $names:ident { $($variant:ident = $name:literal),* })*) => {$(
        const $names: &[&str] = &[$($name),*];
        impl Field for $type {
            fn value(&self) -> Value {
                Value::Text(match self { $(Self::$variant => $name),* }.to_owned())
            }
            fn assign(&mut self, value: Value) -> bool {
                let Value::Text(text) = value else { return false };
                *self = match text.as_str() { $($name => Self::$variant,)* _ => return false };
                true
            }
        }
    )*};
}
choice_fields! {
    DropPolicy as DROP_POLICIES {
        Newest = "newest", Oldest = "oldest", RefusePublisher = "refuse_publisher"
    }
    OnDeny as ON_DENY { Acknowledge = "acknowledge", Disconnect = "disconnect" }
    LogLevel as LOG_LEVELS {
        Off = "off", Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace"
    }
    LogFormat as LOG_FORMATS { Text = "text", Json = "json" }
}

macro_rules! key {
    ($target:ty, $field:ident $(. $rest:ident)*, $path:literal, $kind:expr, $reloads:expr, $meaning:literal) => {
        Key {
            path: $path,
            kind: $kind,
            reloads: $reloads,
            meaning: $meaning,
            value: |target: &$target| target.$field $(.$rest)* .value(),
            assign: |target: &mut $target, value| target.$field $(.$rest)* .assign(value),
        }
    };
}
macro_rules! reloaded {
    ($field:ident $(. $rest:ident)*, $path:literal, $kind:expr, $meaning:literal) => {
        key!(Config, $field $(. $rest)*, $path, $kind, true, $meaning)
    };
}
macro_rules! fixed {
    ($field:ident $(. $rest:ident)*, $path:literal, $kind:expr, $meaning:literal) => {
        key!(Config, $field $(. $rest)*, $path, $kind, false, $meaning)
    };
}

/// The most of anything that is counted and has no bound in the standard.
const COUNT_MAX: u64 = 1_000_000_000;
/// The largest packet of the standard: 268,435,455 and a fixed header of five bytes.
const PACKET_MAX: u64 = 268_435_460;

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}
const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Bytes { min, max }
}
const fn milliseconds(min: u64, max: u64) -> Kind {
    Kind::Duration {
        unit: Unit::Milliseconds,
        min,
        max,
        never: None,
    }
}

/// All keys but those of listeners, in the order in which they are printed; keys without a table
/// come first, as TOML wants it.
pub(super) const KEYS: &[Key<Config>] = &[
    fixed!(
        data_dir,
        "data_dir",
        Kind::Path,
        "The directory that holds what the broker must not forget. Created with mode 0700; one broker at a time."
    ),
    fixed!(
        runtime.workers,
        "runtime.workers",
        count(0, 1024),
        "Threads that serve connections; 0 for one per core."
    ),
    reloaded!(
        log.level,
        "log.level",
        Kind::Choice(LOG_LEVELS),
        "The least severe events that are logged."
    ),
    fixed!(
        log.format,
        "log.format",
        Kind::Choice(LOG_FORMATS),
        "How events are written to standard error: for people or one JSON object a line."
    ),
    reloaded!(
        limits.session_expiry_s,
        "session.expiry_max",
        Kind::Duration {
            unit: Unit::Seconds,
            min: 0,
            max: 49_710 * 86_400,
            never: Some(0xFFFF_FFFF)
        },
        "The longest Session Expiry Interval granted; MQTT 3.1.1 sessions without Clean Session live as long."
    ),
    reloaded!(
        limits.queue_qos0,
        "session.queue_qos0",
        Kind::Bool,
        "Whether QoS 0 messages are queued for a session while its client is away."
    ),
    reloaded!(
        limits.drop_policy,
        "session.drop_policy",
        Kind::Choice(DROP_POLICIES),
        "What happens when a session's queue is full: the new message isn't queued for it, the oldest one makes room, or the publisher is refused (0x97)."
    ),
    reloaded!(
        limits.keep_alive_s,
        "mqtt.keep_alive_max",
        Kind::Duration {
            unit: Unit::Seconds,
            min: 0,
            max: 65_535,
            never: None
        },
        "The longest Keep Alive. A client that asks for more, or for none, is told this one as Server Keep Alive; before MQTT 5, where it can't be told, it is refused. 0s for no bound."
    ),
    fixed!(
        mqtt.response_information,
        "mqtt.response_information",
        Kind::Prefix { bytes_max: 1024 },
        "What clients that ask for Response Information are given as the beginning of their response topics; empty for nothing."
    ),
    fixed!(
        mqtt.on_deny,
        "mqtt.on_deny",
        Kind::Choice(ON_DENY),
        "What a client before MQTT 5, which can't be told a reason, gets for a publish it has no right to: an acknowledgement, the message being dropped and counted, or the end of its connection."
    ),
    fixed!(
        mqtt.assigned_client_id_prefix,
        "mqtt.assigned_client_id_prefix",
        Kind::Prefix { bytes_max: 64 },
        "How the Client Identifiers begin that are given to clients which bring none."
    ),
    reloaded!(
        limits.packet_bytes,
        "limits.packet_bytes",
        bytes(16 << 10, PACKET_MAX),
        "Largest packet taken from a client, announced as Maximum Packet Size; above it 0x95."
    ),
    reloaded!(
        limits.connect_packet_bytes,
        "limits.connect_packet_bytes",
        bytes(1 << 10, PACKET_MAX),
        "Largest CONNECT; above it the connection is closed."
    ),
    reloaded!(
        limits.connections,
        "limits.connections",
        count(1, COUNT_MAX),
        "Network connections at once; above it new ones are refused."
    ),
    reloaded!(
        limits.connections_per_address,
        "limits.connections_per_address",
        count(0, COUNT_MAX),
        "Network connections at once from one address (IPv6: one /64 network); 0 for no bound."
    ),
    reloaded!(
        limits.connect_timeout_ms,
        "limits.connect_timeout",
        milliseconds(100, 3_600_000),
        "Time from the opening of a connection to a whole CONNECT; then it is closed."
    ),
    reloaded!(
        limits.topic_levels,
        "limits.topic_levels",
        count(1, 65_535),
        "Levels of a Topic Name or Topic Filter; above it 0x90 or 0x8F."
    ),
    reloaded!(
        limits.topic_bytes,
        "limits.topic_bytes",
        count(1, 65_535),
        "Length of a Topic Name or Topic Filter in bytes; above it 0x90 or 0x8F."
    ),
    reloaded!(
        limits.client_id_bytes,
        "limits.client_id_bytes",
        count(23, 65_535),
        "Length of a Client Identifier in bytes; above it 0x85."
    ),
    reloaded!(
        limits.filters_per_packet,
        "limits.filters_per_packet",
        count(1, COUNT_MAX),
        "Topic Filters in one SUBSCRIBE; 0x97 for those above it."
    ),
    reloaded!(
        limits.subscriptions_per_session,
        "limits.subscriptions_per_session",
        count(1, COUNT_MAX),
        "Subscriptions of one session; above it 0x97."
    ),
    reloaded!(
        limits.subscriptions,
        "limits.subscriptions",
        count(1, COUNT_MAX),
        "Subscriptions of all sessions; above it 0x97."
    ),
    reloaded!(
        limits.user_properties,
        "limits.user_properties",
        count(0, COUNT_MAX),
        "User Properties in one packet; above it 0x97 and the connection ends."
    ),
    reloaded!(
        limits.sessions,
        "limits.sessions",
        count(1, COUNT_MAX),
        "Sessions, connected or not; above it a new one gets 0x97."
    ),
    reloaded!(
        limits.queue_messages,
        "limits.queue_messages",
        count(1, COUNT_MAX),
        "Messages queued for one session, those in flight not counted."
    ),
    reloaded!(
        limits.queue_bytes,
        "limits.queue_bytes",
        bytes(1 << 10, BYTES_MAX),
        "Bytes queued for one session."
    ),
    reloaded!(
        limits.share_queue_messages,
        "limits.share_queue_messages",
        count(1, COUNT_MAX),
        "Messages queued for one shared subscription until a member has room."
    ),
    reloaded!(
        limits.share_queue_bytes,
        "limits.share_queue_bytes",
        bytes(1 << 10, BYTES_MAX),
        "Bytes queued for one shared subscription."
    ),
    reloaded!(
        limits.receive_maximum,
        "limits.receive_maximum",
        count(1, 65_535),
        "QoS 1 and 2 messages that a client may have unacknowledged towards the broker, announced as Receive Maximum; above it 0x93."
    ),
    reloaded!(
        limits.inflight,
        "limits.inflight",
        count(1, 65_534),
        "QoS 1 and 2 messages that the broker has unacknowledged towards a client, whatever more it allows."
    ),
    reloaded!(
        limits.topic_aliases_in,
        "limits.topic_aliases_in",
        count(0, 65_535),
        "Topic Aliases that a client may use, announced as Topic Alias Maximum."
    ),
    reloaded!(
        limits.topic_aliases_out,
        "limits.topic_aliases_out",
        count(0, 65_535),
        "Topic Aliases that the broker uses towards a client, whatever more it allows."
    ),
    reloaded!(
        limits.retained_messages,
        "limits.retained_messages",
        count(0, COUNT_MAX),
        "Retained messages; above it a new topic gets 0x97."
    ),
    reloaded!(
        limits.retained_bytes,
        "limits.retained_bytes",
        bytes(0, BYTES_MAX),
        "Bytes of retained messages; above it 0x97."
    ),
    reloaded!(
        limits.refuse_timeout_ms,
        "limits.refuse_timeout",
        milliseconds(0, 3_600_000),
        "How long a publisher before MQTT 5, which can't be told a reason, waits for room; then its connection is closed."
    ),
    reloaded!(
        limits.memory_bytes,
        "limits.memory_bytes",
        bytes(1 << 20, BYTES_MAX),
        "Bytes of all messages, queues and sessions together; above it publishers are refused or slowed and QoS 0 is dropped."
    ),
    reloaded!(
        limits.journal_lag,
        "limits.journal_lag",
        count(1, COUNT_MAX),
        "Changes of durable state that wait to be stored; above it publishers are slowed."
    ),
    fixed!(
        limits.drop_samples,
        "limits.drop_samples",
        count(0, 1_000_000),
        "Samples kept of what was dropped."
    ),
];

/// The keys of one listener.
pub(super) const LISTENER_KEYS: &[Key<Draft>] = &[
    key!(
        Draft,
        address,
        "address",
        Kind::Address,
        false,
        "Where to listen: an IP address (or `localhost`) and a port, with or without `mqtt://`. Port 0 takes a free one and prints it."
    ),
    key!(
        Draft,
        allow_anonymous,
        "allow_anonymous",
        Kind::Bool,
        false,
        "Whether clients may connect without authentication, of which this version has none: with false it refuses everybody. An address that isn't loopback must say true."
    ),
    key!(
        Draft,
        connections_max,
        "connections_max",
        count(0, COUNT_MAX),
        false,
        "Network connections at once through this listener; 0 for no bound but `limits.connections`."
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dunlin_engine::limits::Limits;

    use super::super::problem::Origin;
    use super::*;

    /// A valid value that isn't the default.
    fn another(key: &Key<Config>, default: &Value) -> Value {
        let valid = match key.kind {
            Kind::Bool => vec![Value::Bool(true), Value::Bool(false)],
            Kind::Count { min, max }
            | Kind::Bytes { min, max }
            | Kind::Duration { min, max, .. } => {
                vec![Value::Number(min), Value::Number(max)]
            }
            Kind::Choice(names) => names
                .iter()
                .map(|name| Value::Text((*name).to_owned()))
                .collect(),
            Kind::Prefix { .. } | Kind::Path => vec![Value::Text("another".into())],
            Kind::Address => vec![Value::Text("[::1]:7".into())],
        };
        let other = valid.into_iter().find(|value| value != default);
        assert!(other.is_some(), "{} has one value only", key.path);
        other.unwrap_or(Value::Bool(false))
    }

    #[test]
    fn each_key_changes_its_own_field_and_no_other() {
        for key in KEYS {
            let default = Config::default();
            let mut config = Config::default();
            let value = another(key, &(key.value)(&config));
            assert!(
                (key.assign)(&mut config, value.clone()),
                "{} takes {value:?}",
                key.path
            );
            for other in KEYS {
                let changed = (other.value)(&config) != (other.value)(&default);
                assert_eq!(
                    changed,
                    other.path == key.path,
                    "{} after {}",
                    other.path,
                    key.path
                );
            }
            assert_eq!((key.value)(&config), value, "{}", key.path);
        }
    }

    #[test]
    fn every_bound_of_the_engine_has_a_key() {
        let mut config = Config::default();
        for key in KEYS {
            let value = another(key, &(key.value)(&config));
            assert!((key.assign)(&mut config, value), "{}", key.path);
        }
        let lines = |limits: &Limits| -> Vec<String> {
            format!("{limits:#?}").lines().map(str::to_owned).collect()
        };
        let [before, after] = [lines(&Limits::default()), lines(&config.limits)];
        assert!(before.len() > 30, "{before:?}");
        for (before, after) in before.iter().zip(&after) {
            // The first and last line are braces.
            assert!(
                !before.contains(": ") || before != after,
                "no key sets {before}"
            );
        }
    }

    #[test]
    fn every_default_is_valid() {
        let config = Config::default();
        for key in KEYS.iter().filter(|key| key.path != "data_dir") {
            let default = (key.value)(&config);
            let text = key.kind.toml(&default);
            let flag = Origin::Flag("--flag".into());
            let setting = flag.setting(text.trim_matches('"'));
            assert_eq!(
                key.kind.parse(&setting),
                Ok(default),
                "{} = {text}",
                key.path
            );
        }
    }

    #[test]
    fn no_key_is_there_twice_and_those_without_a_table_come_first() {
        let paths: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
        assert_eq!(paths.len(), KEYS.len());
        let mut tables: Vec<_> = KEYS
            .iter()
            .map(|key| key.path.split_once('.').map_or("", |(table, _)| table))
            .collect();
        tables.dedup();
        assert_eq!(tables.first(), Some(&""));
        let distinct: BTreeSet<_> = tables.iter().collect();
        assert_eq!(
            distinct.len(),
            tables.len(),
            "a table is torn apart: {tables:?}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_or_width_is_not_assigned() {
        let mut config = Config::default();
        for key in KEYS {
            let wrong = match (key.value)(&config) {
                Value::Bool(_) => Value::Number(1),
                Value::Number(_) => Value::Bool(true),
                Value::Text(_) => Value::Number(1),
            };
            assert!(!(key.assign)(&mut config, wrong), "{}", key.path);
        }
        assert!(!0u16.assign(Value::Number(65_536)));
        assert_eq!(config, Config::default());
    }
}

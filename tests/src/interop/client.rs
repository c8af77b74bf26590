//! The door through which scenarios use any MQTT client, and the plain values that go through it. Says nothing of how
//! a client does it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::raw::Outcome;

/// How long anything may take that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One MQTT client of whatever software.
pub trait Client: Send {
    /// Connects with these options, as a client that starts anew would.
    ///
    /// # Errors
    /// When the broker refuses, or doesn't answer.
    fn connect(&mut self, options: &Options) -> Outcome<Connected>;

    /// Connects again after a cut, with what the client itself remembers of unfinished exchanges.
    ///
    /// # Errors
    /// When the broker refuses, or doesn't answer.
    fn resume(&mut self) -> Outcome<Connected>;

    /// Subscribes and waits for the answer: a reason code per filter.
    ///
    /// # Errors
    /// When there is no answer.
    fn subscribe(&mut self, filters: &[Filter], identifier: Option<u32>) -> Outcome<Vec<u8>>;

    /// Unsubscribes and waits for the answer.
    ///
    /// # Errors
    /// When there is no answer.
    fn unsubscribe(&mut self, filters: &[String]) -> Outcome;

    /// Publishes without waiting in between, then waits until each message is acknowledged as its QoS demands.
    ///
    /// # Errors
    /// When an acknowledgement is missing.
    fn publish(&mut self, messages: &[Message]) -> Outcome;

    /// What comes next from the broker, or nothing within this time.
    ///
    /// # Errors
    /// When the client can't go on.
    fn next(&mut self, within: Duration) -> Outcome<Option<Event>>;

    /// Ends the connection with DISCONNECT, and waits until it is closed.
    ///
    /// # Errors
    /// When it wasn't connected.
    fn disconnect(&mut self) -> Outcome;

    /// Ends the connection without DISCONNECT, as a crash or a broken link would.
    ///
    /// # Errors
    /// When it wasn't connected.
    fn cut(&mut self) -> Outcome;
}

/// What the client hears of the broker without asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A PUBLISH.
    Message(Message),
    /// The connection ended, by the broker's DISCONNECT with this reason code, or without one.
    Closed(Option<u8>),
}

/// How to connect.
#[derive(Clone, Debug, Serialize)]
pub struct Options {
    /// The protocol level: 4 or 5, or 3 for MQTT 3.1 where the client speaks it.
    pub version: u8,
    /// May be empty: then the broker chooses.
    pub client_id: String,
    /// Clean Start; Clean Session in 3.1.1.
    pub clean_start: bool,
    /// Session Expiry Interval in seconds; MQTT 5 alone.
    pub session_expiry_s: Option<u32>,
    /// Keep Alive in seconds.
    pub keep_alive_s: u16,
    /// Receive Maximum; MQTT 5 alone.
    pub receive_maximum: Option<u16>,
    /// Topic Alias Maximum; MQTT 5 alone. Set, it also asks the client to use aliases itself, where it knows how.
    pub topic_alias_maximum: Option<u16>,
    /// The Will.
    pub will: Option<Will>,
}

/// A Will.
#[derive(Clone, Debug, Serialize)]
pub struct Will {
    /// What the broker publishes.
    pub message: Message,
    /// Will Delay Interval in seconds; MQTT 5 alone.
    pub delay_s: u32,
}

/// What the broker said in CONNACK, as far as the client shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Connected {
    /// Session Present.
    #[serde(default)]
    pub session_present: Option<bool>,
    /// Assigned Client Identifier.
    #[serde(default)]
    pub assigned_client_id: Option<String>,
    /// Topic Alias Maximum.
    #[serde(default)]
    pub topic_alias_maximum: Option<u16>,
}

/// One Topic Filter of a SUBSCRIBE with its options; all but `qos` are MQTT 5's.
#[derive(Clone, Debug, Serialize)]
pub struct Filter {
    /// The Topic Filter.
    pub filter: String,
    /// The highest QoS wanted.
    pub qos: u8,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling: 0, 1 or 2.
    pub retain_handling: u8,
}

impl Filter {
    /// A filter with the options that 3.1.1 has.
    #[must_use]
    pub fn new(filter: impl Into<String>, qos: u8) -> Self {
        Self {
            filter: filter.into(),
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: 0,
        }
    }
}

/// A message, sent or received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The Topic Name.
    pub topic: String,
    /// The payload.
    #[serde(with = "hex")]
    pub payload: Vec<u8>,
    /// The QoS.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// The properties; empty in 3.1.1.
    pub properties: Properties,
}

impl Message {
    /// A message that isn't retained and has no properties.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>, qos: u8) -> Self {
        let properties = Properties::default();
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos,
            retain: false,
            properties,
        }
    }

    /// The same, retained.
    #[must_use]
    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The payload as text, for messages of failures and for comparing.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// The properties of a PUBLISH that an application sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Properties {
    /// Payload Format Indicator: 0 or 1.
    pub payload_format: Option<u8>,
    /// Message Expiry Interval in seconds.
    pub expiry: Option<u32>,
    /// Content Type.
    pub content_type: Option<String>,
    /// Response Topic.
    pub response_topic: Option<String>,
    /// Correlation Data.
    #[serde(with = "hex_option")]
    pub correlation_data: Option<Vec<u8>>,
    /// Topic Alias, for clients that leave it to the application.
    pub topic_alias: Option<u16>,
    /// User Properties in their order.
    pub user: Vec<(String, String)>,
    /// Subscription Identifiers.
    pub subscription_identifiers: Vec<u32>,
}

/// Bytes as hexadecimal text; None when it isn't.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    whole.then(|| {
        pairs
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect()
    })
}

/// Hexadecimal text of bytes.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| {
        char::from(if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        })
    };
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::from_hex(&text).ok_or_else(|| D::Error::custom("not hexadecimal"))
    }
}

mod hex_option {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(super::to_hex).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        super::from_hex(&text)
            .map(Some)
            .ok_or_else(|| D::Error::custom("not hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::{from_hex, to_hex};

    #[test]
    fn hexadecimal_there_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&all)), Some(all));
        assert_eq!(from_hex(""), Some(Vec::new()));
        assert_eq!(from_hex("abc"), None);
        assert_eq!(from_hex("xy"), None);
    }
}

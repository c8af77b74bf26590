//! The Will: the message that a client leaves for the case of its loss. MQTT 5 section 3.1.2.5.

use dunlin_codec::{Properties, Property, QoS};

use crate::memory::{Account, Charge};
use crate::message::{Message, Origin};
use crate::sync::Arc;
use crate::time::Instant;

/// A Will as it was given in CONNECT, kept as checked bytes until it's published.
#[derive(Debug)]
pub struct Will {
    /// Will Topic.
    pub topic: Box<str>,
    payload: Box<[u8]>,
    properties: Box<[u8]>,
    /// Will QoS.
    pub qos: QoS,
    /// Will Retain.
    pub retain: bool,
    /// Will Delay Interval in seconds.
    pub delay_s: u32,
    _charge: Charge,
}

impl PartialEq for Will {
    fn eq(&self, other: &Self) -> bool {
        (&self.topic, &self.payload, &self.properties)
            == (&other.topic, &other.payload, &other.properties)
            && (self.qos, self.retain, self.delay_s) == (other.qos, other.retain, other.delay_s)
    }
}

impl Will {
    /// Copies the Will of a CONNECT.
    pub fn new(will: &dunlin_codec::Will<'_>, account: &Arc<Account>) -> Self {
        let delay_s = will.properties.iter().find_map(|property| match property {
            Property::WillDelayInterval(secs) => Some(secs),
            _ => None,
        });
        let size = will.topic.len() + will.payload.len() + will.properties.raw().len();
        Self {
            topic: will.topic.into(),
            payload: will.payload.into(),
            properties: will.properties.raw().into(),
            qos: will.qos,
            retain: will.retain,
            delay_s: delay_s.unwrap_or(0),
            _charge: Charge::new(account, size + size_of::<Self>()),
        }
    }

    /// The message to publish now. Its Message Expiry starts with its publication.
    pub fn message(&self, now: Instant, origin: &Arc<Origin>, account: &Arc<Account>) -> Message {
        let will = dunlin_codec::Will {
            topic: &self.topic,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            properties: Properties::from_checked(&self.properties, &[]),
        };
        Message::from_will(&will, now, origin, account)
    }
}

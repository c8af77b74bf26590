//! Retained messages: the last one of each topic. MQTT 5 section 3.3.1.3.

use std::collections::BTreeSet;

use crate::message::Message;
use crate::routing::topic_map::{HasTopic, TopicMap};
use crate::sync::Arc;
use crate::time::Instant;

/// A Retained Message.
#[derive(Clone, Debug)]
pub struct Retained {
    /// The message; its payload isn't empty.
    pub message: Arc<Message>,
    /// Rises with every change of any topic: a cursor older than it must not send it.
    pub version: u64,
}

impl HasTopic for Retained {
    fn topic(&self) -> &str {
        self.message.topic()
    }
}

/// All Retained Messages.
#[derive(Debug, Default)]
pub struct RetainedStore {
    topics: TopicMap<Retained>,
    version: u64,
    bytes: usize,
    expiries: BTreeSet<(Instant, Box<str>)>,
}

impl RetainedStore {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all of them.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The version of the last change.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// By topic, in order.
    pub const fn topics(&self) -> &TopicMap<Retained> {
        &self.topics
    }

    /// What `message` would add: whether its topic is new, and by how many bytes it grows.
    pub fn growth(&self, message: &Message) -> (bool, usize) {
        let old = self.topics.get(message.topic());
        let old_bytes = old.map_or(0, |retained| retained.message.size());
        (old.is_none(), message.size().saturating_sub(old_bytes))
    }

    /// Replaces the Retained Message of the message's topic or, when the payload is empty, removes
    /// it. Gives the new version. [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7]
    pub fn apply(&mut self, message: &Arc<Message>) -> u64 {
        self.version += 1;
        self.apply_version(message, self.version);
        self.version
    }

    /// As [`RetainedStore::apply`], with a version that was given before a restart.
    pub fn apply_version(&mut self, message: &Arc<Message>, version: u64) {
        self.version = self.version.max(version);
        if message.payload().is_empty() {
            self.remove(message.topic());
            return;
        }
        self.bytes += message.size();
        if let Some(at) = message.expires_at {
            self.expiries.insert((at, message.topic().into()));
        }
        let old = self.topics.replace(Retained {
            message: Arc::clone(message),
            version,
        });
        self.forget(old.as_ref(), message.expires_at);
    }

    /// Continues counting versions behind this one.
    pub const fn set_version(&mut self, version: u64) {
        self.version = version;
    }

    /// Removes the Retained Message of a topic.
    pub fn remove(&mut self, topic: &str) -> Option<Retained> {
        let old = self.topics.remove(topic);
        self.forget(old.as_ref(), None);
        old
    }

    fn forget(&mut self, old: Option<&Retained>, new_expiry: Option<Instant>) {
        let Some(old) = old else { return };
        self.bytes = self.bytes.saturating_sub(old.message.size());
        if let Some(at) = old.message.expires_at.filter(|at| Some(*at) != new_expiry) {
            self.expiries.remove(&(at, old.topic().into()));
        }
    }

    /// When the first one expires.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Removes one that has expired, if there is one. [MQTT-3.3.2-5]
    pub fn pop_expired(&mut self, now: Instant) -> Option<Retained> {
        while self.next_expiry().is_some_and(|at| at <= now) {
            let (_, topic) = self.expiries.pop_first()?;
            let due = self
                .topics
                .get(&topic)
                .is_some_and(|retained| retained.message.is_expired(now));
            if due {
                return self.remove(&topic);
            }
        }
        None
    }
}

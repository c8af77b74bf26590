//! Topic Aliases, each direction for itself. MQTT 5 section 3.3.2.3.4.

/// Aliases that the client has set. They live as long as the connection.
#[derive(Debug, Default)]
pub(super) struct AliasesIn {
    topics: Vec<Option<Box<str>>>,
    maximum: u16,
}

impl AliasesIn {
    pub(super) const fn new(maximum: u16) -> Self {
        Self {
            topics: Vec::new(),
            maximum,
        }
    }

    /// Sets or replaces an alias; false if it's above what we announced. [MQTT-3.3.2-9]
    pub(super) fn set(&mut self, alias: u16, topic: &str) -> bool {
        if alias > self.maximum {
            return false;
        }
        let at = usize::from(alias) - 1;
        if self.topics.len() <= at {
            self.topics.resize(at + 1, None);
        }
        if let Some(slot) = self.topics.get_mut(at) {
            *slot = Some(topic.into());
        }
        true
    }

    /// The topic of an alias that was set on this connection.
    pub(super) fn topic(&self, alias: u16) -> Option<&str> {
        self.topics
            .get(usize::from(alias).checked_sub(1)?)?
            .as_deref()
    }
}

/// Aliases that we use towards the client: the first topics it's sent get one each.
#[derive(Debug, Default)]
pub(super) struct AliasesOut {
    topics: Vec<Box<str>>,
    maximum: u16,
}

/// How a topic is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alias {
    /// In full.
    None,
    /// In full, and this alias stands for it from now on.
    New(u16),
    /// By this alias alone.
    Known(u16),
}

/// A shorter topic doesn't gain by an alias, whose property takes three bytes.
const WORTHWHILE_BYTES: usize = 4;

impl AliasesOut {
    pub(super) const fn new(maximum: u16) -> Self {
        Self {
            topics: Vec::new(),
            maximum,
        }
    }

    /// How to write `topic`. A new alias must be sent, or taken back by [`AliasesOut::forget_last`].
    /// [MQTT-3.1.2-26] [MQTT-3.1.2-27]
    pub(super) fn assign(&mut self, topic: &str) -> Alias {
        if self.maximum == 0 || topic.len() < WORTHWHILE_BYTES {
            return Alias::None;
        }
        let known = self.topics.iter().position(|other| **other == *topic);
        let number = |at: usize| u16::try_from(at + 1).unwrap_or(u16::MAX);
        if let Some(at) = known {
            return Alias::Known(number(at));
        }
        if self.topics.len() >= usize::from(self.maximum) {
            return Alias::None;
        }
        self.topics.push(topic.into());
        Alias::New(number(self.topics.len() - 1))
    }

    /// The alias that was given out last wasn't sent.
    pub(super) fn forget_last(&mut self) {
        self.topics.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incoming_alias_must_be_set_before_it_is_used() {
        let mut aliases = AliasesIn::new(2);
        assert_eq!(aliases.topic(1), None);
        assert!(aliases.set(2, "b"));
        assert!(!aliases.set(3, "c"));
        assert_eq!(aliases.topic(2), Some("b"));
        assert_eq!(aliases.topic(0), None);
        assert!(aliases.set(2, "new"));
        assert_eq!(aliases.topic(2), Some("new"));
    }

    #[test]
    fn outgoing_aliases_go_to_the_first_topics() {
        let mut aliases = AliasesOut::new(2);
        assert_eq!(aliases.assign("a/long/topic"), Alias::New(1));
        assert_eq!(aliases.assign("a/long/topic"), Alias::Known(1));
        assert_eq!(aliases.assign("abc"), Alias::None);
        assert_eq!(aliases.assign("another"), Alias::New(2));
        aliases.forget_last();
        assert_eq!(aliases.assign("a third one"), Alias::New(2));
        assert_eq!(aliases.assign("another"), Alias::None);
        assert_eq!(AliasesOut::new(0).assign("a/long/topic"), Alias::None);
    }
}

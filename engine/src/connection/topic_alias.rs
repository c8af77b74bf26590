//! Topic Aliases, each direction for itself. MQTT 5 section 3.3.2.3.4.

use super::CloseReason;
use crate::memory::{Account, Charge};
use crate::sync::Arc;

/// Aliases that the client has set. They live as long as the connection.
#[derive(Debug)]
pub(super) struct AliasesIn {
    topics: Vec<Option<Box<str>>>,
    maximum: u16,
    charge: Charge,
}

impl AliasesIn {
    pub(super) fn new(maximum: u16, account: &Arc<Account>) -> Self {
        Self {
            topics: Vec::new(),
            maximum,
            charge: Charge::new(account, 0),
        }
    }

    /// Sets or replaces an alias.
    ///
    /// # Errors
    /// It's above what we announced [MQTT-3.3.2-9], or memory has no room for it: the client would
    /// use an alias that we don't know.
    pub(super) fn set(&mut self, alias: u16, topic: &str) -> Result<(), CloseReason> {
        if alias == 0 || alias > self.maximum {
            return Err(CloseReason::TopicAliasInvalid);
        }
        let at = usize::from(alias) - 1;
        if self.topics.len() <= at {
            self.topics.resize(at + 1, None);
        }
        let Some(slot) = self.topics.get_mut(at) else {
            return Ok(());
        };
        if slot.as_deref() == Some(topic) {
            return Ok(());
        }
        let before = slot.as_ref().map_or(0, |old| old.len());
        if topic.len() > before && self.charge.account().is_full() {
            return Err(CloseReason::QuotaExceeded);
        }
        self.charge.set(self.charge.bytes() - before + topic.len());
        *slot = Some(topic.into());
        Ok(())
    }

    /// The topic of an alias that was set on this connection.
    pub(super) fn topic(&self, alias: u16) -> Option<&str> {
        self.topics
            .get(usize::from(alias).checked_sub(1)?)?
            .as_deref()
    }
}

/// Aliases that we use towards the client: the first topics it's sent get one each.
#[derive(Debug)]
pub(super) struct AliasesOut {
    topics: Vec<Box<str>>,
    maximum: u16,
    charge: Charge,
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
    pub(super) fn new(maximum: u16, account: &Arc<Account>) -> Self {
        Self {
            topics: Vec::new(),
            maximum,
            charge: Charge::new(account, 0),
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
        if self.topics.len() >= usize::from(self.maximum) || self.charge.account().is_full() {
            return Alias::None;
        }
        self.topics.push(topic.into());
        self.charge.set(self.charge.bytes() + topic.len());
        Alias::New(number(self.topics.len() - 1))
    }

    /// The alias that was given out last wasn't sent.
    pub(super) fn forget_last(&mut self) {
        if let Some(topic) = self.topics.pop() {
            self.charge.set(self.charge.bytes() - topic.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Arc<Account> {
        Account::new(20)
    }

    #[test]
    fn an_incoming_alias_must_be_set_before_it_is_used() {
        let mut aliases = AliasesIn::new(2, &account());
        assert_eq!(aliases.topic(1), None);
        assert_eq!(aliases.set(2, "b"), Ok(()));
        assert_eq!(aliases.set(3, "c"), Err(CloseReason::TopicAliasInvalid));
        assert_eq!(aliases.topic(2), Some("b"));
        assert_eq!(aliases.topic(0), None);
        assert_eq!(aliases.set(2, "new"), Ok(()));
        assert_eq!(aliases.topic(2), Some("new"));
    }

    #[test]
    fn outgoing_aliases_go_to_the_first_topics() {
        let account = Account::new(1000);
        let mut aliases = AliasesOut::new(2, &account);
        assert_eq!(aliases.assign("a/long/topic"), Alias::New(1));
        assert_eq!(aliases.assign("a/long/topic"), Alias::Known(1));
        assert_eq!(aliases.assign("abc"), Alias::None);
        assert_eq!(aliases.assign("another"), Alias::New(2));
        aliases.forget_last();
        assert_eq!(aliases.assign("a third one"), Alias::New(2));
        assert_eq!(aliases.assign("another"), Alias::None);
        let mut none = AliasesOut::new(0, &account);
        assert_eq!(none.assign("a/long/topic"), Alias::None);
    }

    #[test]
    fn aliases_are_on_the_memory_account_and_stop_at_its_ceiling() {
        let account = account();
        let mut incoming = AliasesIn::new(3, &account);
        assert_eq!(incoming.set(1, "twelve/bytes"), Ok(()));
        assert_eq!(incoming.set(1, "ten/bytes/"), Ok(()));
        assert_eq!(incoming.set(2, "ten/bytes "), Ok(()));
        assert_eq!(account.used(), 20);
        assert_eq!(incoming.set(3, "more"), Err(CloseReason::QuotaExceeded));
        assert_eq!(incoming.set(1, "shorter"), Ok(()));
        let mut outgoing = AliasesOut::new(3, &account);
        assert_eq!(outgoing.assign("a/long/topic"), Alias::New(1));
        assert_eq!(outgoing.assign("another"), Alias::None);
        drop((incoming, outgoing));
        assert_eq!(account.used(), 0);
    }
}

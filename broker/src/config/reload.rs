//! A new configuration for a running broker: what changes at once, what takes a restart.
//!
//! Does not answer for the signal that asks for it, nor for handing the result to who uses it.

use super::keys::{KEYS, LISTENER_KEYS};
use super::listeners::Draft;
use super::{Config, Listener};

/// One value that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// The value before, as in TOML; empty for what wasn't there.
    pub before: String,
    /// The value after, as in TOML; empty for what is no longer there.
    pub after: String,
}

/// What a reload does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The configuration from now on: the running one with what changes at once.
    pub config: Config,
    /// What changes at once.
    pub applied: Vec<Change>,
    /// What stays as it was until the next start.
    pub needs_restart: Vec<Change>,
}

impl Config {
    /// Takes from `new` what a running broker can change.
    #[must_use]
    pub fn reload(&self, new: &Self) -> Reloaded {
        let mut reloaded = Reloaded {
            config: self.clone(),
            applied: Vec::new(),
            needs_restart: Vec::new(),
        };
        for key in KEYS {
            let (before, after) = ((key.value)(self), (key.value)(new));
            if before == after {
                continue;
            }
            let change = Change {
                key: key.path.to_owned(),
                before: key.kind.toml(&before),
                after: key.kind.toml(&after),
            };
            if key.reloads && (key.assign)(&mut reloaded.config, after) {
                reloaded.applied.push(change);
            } else {
                reloaded.needs_restart.push(change);
            }
        }
        let listeners = self.listeners.len().max(new.listeners.len());
        for index in 0..listeners {
            let [before, after] = [self, new].map(|config| config.listeners.get(index));
            if before != after {
                let [before, after] =
                    [before, after].map(|one| one.map(inline).unwrap_or_default());
                reloaded.needs_restart.push(Change {
                    key: format!("listeners[{index}]"),
                    before,
                    after,
                });
            }
        }
        reloaded
    }
}

fn inline(listener: &Listener) -> String {
    let draft = Draft::from(listener);
    let pairs: Vec<_> = LISTENER_KEYS
        .iter()
        .map(|key| format!("{} = {}", key.path, key.kind.toml(&(key.value)(&draft))))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

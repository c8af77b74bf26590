//! Who gets a message: Topic Filters, Topic Names and the structures that bring them together.

pub mod authorize;
pub mod matching;
pub mod retained;
pub mod share;
pub mod topic_map;
pub mod trie;

pub use authorize::{Action, AllowAll, Authorize, Decision};
pub use retained::{Retained, RetainedStore};
pub use share::{Share, ShareCopy};

use std::collections::BTreeMap;

use crate::journal::ShareId;
use crate::routing::trie::Trie;
use crate::session::{Session, SubscriptionSettings};
use crate::sync::Arc;

/// What stands at a Topic Filter.
#[derive(Clone, Debug)]
pub enum Route {
    /// A subscription of one session.
    Session(Arc<Session>, SubscriptionSettings),
    /// A shared subscription: one member gets each message.
    Share(Arc<Share>),
}

impl Route {
    /// The key under which the route stands in the trie; sessions and shares have one key space.
    pub fn key(&self) -> u64 {
        match self {
            Self::Session(session, _) => session.key.0,
            Self::Share(share) => share.key,
        }
    }
}

/// All subscriptions of all sessions.
#[derive(Debug)]
pub struct Routes {
    /// By Topic Filter, without `$share/name/`.
    pub trie: Trie<Route>,
    /// By Share Name and Topic Filter.
    pub shares: BTreeMap<ShareId, Arc<Share>>,
    /// Subscriptions of all kinds.
    pub subscriptions: usize,
    /// What shared subscriptions without members have left behind: positions not to be used again.
    pub positions: share::Positions,
}

impl Routes {
    /// No subscriptions. `seed` makes the trie's hashing unpredictable.
    pub fn new(seed: u64) -> Self {
        Self {
            trie: Trie::new(seed),
            shares: BTreeMap::new(),
            subscriptions: 0,
            positions: share::Positions::default(),
        }
    }
}

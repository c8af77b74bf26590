//! The hub: everything that connections share. The doors through which messages, subscriptions and
//! connections come in and out of the shared state.
//!
//! Synchronous, callable from any thread, never waits for I/O. Each door takes what locks it needs
//! in the order of [`crate::sync`], changes state, appends to the journal and says what must be
//! durable before the caller may acknowledge.
//!
//! Read on: `publish` (who gets a message), `connect` (sessions come and go), `subscribe`,
//! `retained` (replay on subscribe), `shared`, `timers`, `durable` (what survives), `recover` (after a
//! restart).

mod connect;
mod durable;
mod publish;
mod recover;
mod retained;
mod shared;
mod subscribe;
mod timers;

pub use connect::{ConnectRefused, ConnectRequest, Connected, Detach};
pub use durable::DurableState;
pub use publish::{Published, Publisher};

use std::collections::HashMap;

use crate::drops::{DropReason, Drops};
use crate::journal::{Entry, Journal, Seq};
use crate::limits::Limits;
use crate::memory::Account;
use crate::message::{ClientId, Message, Origin};
use crate::routing::authorize::is_reserved;
use crate::routing::{Action, Authorize, Decision, RetainedStore, Route, Routes};
use crate::session::{Session, SubscriptionSettings};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, RwLock, Wake};
use crate::time::Now;

/// The shared state of the broker.
pub struct Hub {
    /// Swapped as a whole on reload. A leaf lock.
    limits: RwLock<Arc<Limits>>,
    /// By Client Identifier. First in lock order.
    sessions: RwLock<HashMap<ClientId, Arc<Session>, foldhash::quality::FixedState>>,
    /// Held across the fan-out of a retained message, so that nobody gets an old value after it.
    retained: RwLock<RetainedStore>,
    /// Every subscription.
    routes: RwLock<Routes>,
    /// What falls due without an input. A leaf lock.
    timers: Mutex<timers::Timers>,
    journal: Journal,
    account: Arc<Account>,
    drops: Drops,
    authorizer: Arc<dyn Authorize>,
    /// The last key given to a session or share.
    last_key: AtomicU64,
}

impl core::fmt::Debug for Hub {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Hub")
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

/// Working space of one caller, reused from input to input: whom to wake, who matched.
#[derive(Default)]
pub struct Batch {
    wakes: Vec<Arc<dyn Wake>>,
    matches: Vec<Match>,
}

impl core::fmt::Debug for Batch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Batch")
            .field("wakes", &self.wakes.len())
            .finish_non_exhaustive()
    }
}

/// A route that a topic matched.
#[derive(Debug)]
struct Match {
    key: u64,
    /// The place among all matches: keeps identifiers in a fixed order.
    order: usize,
    route: Route,
}

impl Batch {
    /// Calls every connection that has something to do since the last call.
    pub fn wake_all(&mut self) {
        for wake in self.wakes.drain(..) {
            wake.wake();
        }
    }
}

/// Numbers about the shared state, for logs and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Retained messages.
    pub retained_messages: usize,
    /// Bytes of retained messages.
    pub retained_bytes: usize,
    /// Bytes on the memory account.
    pub memory_bytes: usize,
}

impl Hub {
    /// An empty hub. `seed` should be unpredictable: it keeps clients from choosing strings that
    /// collide in hash tables.
    pub fn new(
        limits: Limits,
        journal: Journal,
        authorizer: Arc<dyn Authorize>,
        seed: u64,
    ) -> Self {
        Self {
            account: Account::new(limits.memory_bytes),
            drops: Drops::new(limits.drop_samples),
            limits: RwLock::new(Arc::new(limits)),
            sessions: RwLock::new(HashMap::with_hasher(
                foldhash::quality::FixedState::with_seed(seed),
            )),
            retained: RwLock::new(RetainedStore::default()),
            routes: RwLock::new(Routes::new(seed)),
            timers: Mutex::new(timers::Timers::default()),
            journal,
            authorizer,
            last_key: AtomicU64::new(0),
        }
    }

    /// The bounds as of now. Take them once per batch.
    #[inline]
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read())
    }

    /// Puts other bounds into force. What is above them stays until it goes by itself.
    pub fn set_limits(&self, limits: Limits) {
        self.account.set_ceiling(limits.memory_bytes);
        *self.limits.write() = Arc::new(limits);
    }

    /// The journal: its watermark is what acknowledgements wait for.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The memory account.
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The drop ledger.
    pub const fn drops(&self) -> &Drops {
        &self.drops
    }

    /// Numbers about the shared state.
    pub fn figures(&self) -> Figures {
        let sessions = self.sessions.read().len();
        let (retained_messages, retained_bytes) = {
            let retained = self.retained.read();
            (retained.len(), retained.bytes())
        };
        Figures {
            sessions,
            subscriptions: self.routes.read().subscriptions,
            retained_messages,
            retained_bytes,
            memory_bytes: self.account.used(),
        }
    }

    /// The one place where rights are decided. Publishing below `$SYS` is refused to everybody.
    #[inline]
    pub fn authorize(&self, subject: &Origin, action: Action, topic: &str) -> Decision {
        if action == Action::Publish && is_reserved(topic) {
            return Decision::Deny;
        }
        self.authorizer.authorize(subject, action, topic)
    }

    fn next_key(&self) -> u64 {
        self.last_key.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn record_drop(&self, now: Now, reason: DropReason, client_id: &ClientId, message: &Message) {
        self.drops.record(now, reason, client_id, message.topic());
    }

    /// Appends what isn't empty; gives what acknowledgements wait for.
    fn append(&self, frame: Vec<Entry>) -> Seq {
        if frame.is_empty() {
            Seq::NONE
        } else {
            self.journal.append(frame)
        }
    }

    /// The settings of a session's subscription.
    pub fn subscription(&self, client_id: &str, filter: &str) -> Option<SubscriptionSettings> {
        let session = self.sessions.read().get(client_id).cloned()?;
        let state = session.lock();
        state.subscriptions.get(filter).copied()
    }
}

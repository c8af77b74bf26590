//! The drop ledger: each message that isn't delivered is recorded once, with its reason, and kept as
//! a counter and in a ring of samples.

use std::collections::VecDeque;

use crate::message::ClientId;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::Now;

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal;)*) => {
        /// Why a message wasn't delivered to a session, or wasn't taken from a publisher.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropReason { $($(#[$doc])* $name,)* }

        impl DropReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in logs and metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

drop_reasons! {
    /// Message Expiry.
    Expired = "expired";
    /// The session's queue was full.
    QueueFull = "queue_full";
    /// The queue of the shared subscription was full.
    ShareQueueFull = "share_queue_full";
    /// QoS 0 for a session without a connection.
    Offline = "offline_qos0";
    /// Larger than the client's Maximum Packet Size.
    TooLarge = "too_large";
    /// The client refused it with a reason code of 0x80 or above.
    Refused = "refused_by_client";
    /// The session ended with it in its queue.
    SessionEnded = "session_ended";
    /// The publisher may not publish to the topic.
    NotAuthorized = "not_authorized";
    /// The memory ceiling, reached by QoS 0 or by a Will.
    Memory = "memory";
    /// A bound on what we take, reached by QoS 0 or by a Will: nobody could be told.
    Quota = "quota";
    /// A shared subscription had no member that could take a QoS 0 message.
    NoMember = "no_member";
}

/// One dropped message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSample {
    /// Milliseconds since 1970 by the wall clock.
    pub wall_ms: u64,
    /// Why.
    pub reason: DropReason,
    /// Whose queue or whose publication.
    pub client_id: ClientId,
    /// Topic Name, cut to 128 bytes.
    pub topic: Box<str>,
}

/// Counters and samples.
#[derive(Debug)]
pub struct Drops {
    counters: Box<[AtomicU64]>,
    samples: Mutex<VecDeque<DropSample>>,
    samples_max: usize,
}

const SAMPLE_TOPIC_BYTES: usize = 128;
/// So many drops of a reason are all kept as samples, then every so many-th.
const SAMPLES_AT_FIRST: u64 = 64;
const SAMPLE_EVERY: u64 = 64;

impl Drops {
    /// An empty ledger that keeps `samples_max` samples.
    pub fn new(samples_max: usize) -> Self {
        Self {
            counters: DropReason::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            samples: Mutex::new(VecDeque::new()),
            samples_max,
        }
    }

    /// Records one drop.
    pub fn record(&self, now: Now, reason: DropReason, client_id: &ClientId, topic: &str) {
        let Some(counter) = self.counters.get(reason as usize) else {
            return;
        };
        let before = counter.fetch_add(1, Ordering::Relaxed);
        // A flood of one reason is told by its counter; it needn't wash the others' samples away.
        if before >= SAMPLES_AT_FIRST && before % SAMPLE_EVERY != 0 {
            return;
        }
        let mut samples = self.samples.lock();
        if samples.len() >= self.samples_max {
            samples.pop_front();
        }
        if self.samples_max > 0 {
            let cut = topic.floor_char_boundary(SAMPLE_TOPIC_BYTES);
            samples.push_back(DropSample {
                wall_ms: now.wall_ms,
                reason,
                client_id: client_id.clone(),
                topic: topic.get(..cut).unwrap_or_default().into(),
            });
        }
    }

    /// How many drops had this reason.
    pub fn count(&self, reason: DropReason) -> u64 {
        self.counters
            .get(reason as usize)
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// The latest samples, oldest first.
    pub fn samples(&self) -> Vec<DropSample> {
        self.samples.lock().iter().cloned().collect()
    }
}

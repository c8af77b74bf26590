//! Deadlines of connections: one ordered list and one task for all of them, instead of a timer each.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dunlin_engine::hub::{Batch, Hub};
use dunlin_engine::sync::Wake as _;
use dunlin_engine::time::Instant;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::wake::TaskWake;

/// Deadlines, soonest first. Each connection has one at most.
#[derive(Debug, Default)]
pub struct Timers {
    deadlines: Mutex<BTreeMap<(Instant, u64), Arc<TaskWake>>>,
    earlier: Notify,
}

/// The hub's deadlines are looked at this often at least.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// Deadlines are met this exactly: many fall due in one wake-up.
const SHORTEST_SLEEP: Duration = Duration::from_millis(20);

impl Timers {
    /// Rings `wake` at `at`. `id` is the connection's.
    pub fn set(&self, at: Instant, id: u64, wake: &Arc<TaskWake>) {
        let mut deadlines = self
            .deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_first = deadlines
            .first_key_value()
            .is_none_or(|((first, _), _)| at < *first);
        deadlines.insert((at, id), Arc::clone(wake));
        drop(deadlines);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Forgets a deadline.
    pub fn cancel(&self, at: Instant, id: u64) {
        let mut deadlines = self
            .deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        deadlines.remove(&(at, id));
    }

    /// Rings everyone whose deadline has passed; gives the next deadline.
    fn ring(&self, now: Instant) -> Option<Instant> {
        let mut deadlines = self
            .deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while let Some(first) = deadlines.first_entry() {
            if first.key().0 > now {
                return Some(first.key().0);
            }
            first.remove().wake();
        }
        None
    }

    /// Meets deadlines, those of the hub too, for ever. Cancel-safe.
    pub async fn run(&self, clock: &Clock, hub: &Hub) {
        loop {
            // Without this task no Keep Alive, Will or expiry would be kept any more.
            let sleep =
                catch_unwind(AssertUnwindSafe(|| self.meet(clock, hub))).unwrap_or_else(|_| {
                    tracing::error!(
                        "meeting a deadline failed by an internal error; the others go on"
                    );
                    LONGEST_SLEEP
                });
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Meets what is due; gives the time until the next deadline.
    fn meet(&self, clock: &Clock, hub: &Hub) -> Duration {
        let now = clock.now();
        let next_connection = self.ring(now.monotonic);
        let mut next_hub = hub.poll_timeout();
        if next_hub.is_some_and(|at| at <= now.monotonic) {
            let mut batch = Batch::default();
            hub.handle_timeout(now, &mut batch);
            batch.wake_all();
            next_hub = hub.poll_timeout();
        }
        let next = next_connection.into_iter().chain(next_hub).min();
        let sleep = next.map_or(LONGEST_SLEEP, |at| at.since(now.monotonic));
        sleep.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
    }
}

//! The broker's clock: where the engine's time comes from.

use std::time::{Instant as StdInstant, SystemTime, UNIX_EPOCH};

use dunlin_engine::time::{Instant, Now};

/// Log time, counted from the start of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: StdInstant,
}

impl Clock {
    /// Log time begins now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            started: StdInstant::now(),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Now {
        let nanos = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            monotonic: Instant::from_nanos(nanos),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

//! Time as the engine knows it: given from outside with every input.

use core::time::Duration;

/// Log time in nanoseconds: monotonic, and continued across restarts, so that a durable deadline
/// means the same before and after. A step of the wall clock never moves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The beginning of log time.
    pub const ZERO: Self = Self(0);
    /// Never.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant this many nanoseconds after the beginning.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The instant this many seconds later; saturates.
    pub const fn plus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs.saturating_mul(1_000_000_000)))
    }

    /// The instant this many milliseconds later; saturates.
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000_000)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds from `now` until this instant, rounded up; 0 once it's reached.
    pub const fn secs_from(self, now: Self) -> u64 {
        self.0.saturating_sub(now.0).div_ceil(1_000_000_000)
    }
}

/// The time of one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Log time: all deadlines are in it.
    pub monotonic: Instant,
    /// Milliseconds since 1970 by the wall clock: only shown to people, never decides anything.
    pub wall_ms: u64,
}

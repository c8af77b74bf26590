//! How long to wait before another attempt to connect.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that double, up to half a minute.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    next: Duration,
}

impl Pauses {
    /// Begins with one second.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next pause.
    pub fn longer(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }

    /// The connection was made: the next pause is short again.
    pub const fn reset(&mut self) {
        self.next = FIRST;
    }
}

impl Default for Pauses {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_over() {
        let mut pauses = Pauses::new();
        let seconds: Vec<u64> = (0..7).map(|_| pauses.longer().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        pauses.reset();
        assert_eq!(pauses.longer().as_secs(), 1);
    }
}

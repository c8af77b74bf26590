//! Keeps log storms down: events that a stranger can cause are written at most so often, and the
//! next one that is written says how many were not.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Events in one window.
const EVENTS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(1);

/// A counter of one kind of event.
#[derive(Debug)]
pub struct LogLimit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window: Instant,
    written: u32,
    suppressed: u64,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                window: Instant::now(),
                written: 0,
                suppressed: 0,
            }),
        }
    }
}

impl LogLimit {
    /// Calls `write` with the number of events suppressed before, or counts this one as suppressed.
    pub fn allow(&self, write: impl FnOnce(u64)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.window.elapsed() >= WINDOW {
            state.window = Instant::now();
            state.written = 0;
        }
        if state.written >= EVENTS {
            state.suppressed += 1;
            return;
        }
        state.written += 1;
        let suppressed = core::mem::take(&mut state.suppressed);
        drop(state);
        write(suppressed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_counted_not_written() {
        let limit = LogLimit::default();
        let mut written = 0;
        for _ in 0..1000 {
            limit.allow(|_| written += 1);
        }
        assert_eq!(written, EVENTS);
        let mut seen = 0;
        limit
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .window -= WINDOW;
        limit.allow(|suppressed| seen = suppressed);
        assert_eq!(seen, 980);
    }
}

//! How the engine calls a connection's task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

use dunlin_engine::sync::Wake;

/// One task's bell: rung from any thread, heard once however often it was rung.
#[derive(Debug, Default)]
pub struct TaskWake {
    rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl TaskWake {
    /// Whether it was rung since the last call; if not, the task of `cx` is woken when it is.
    pub fn poll(&self, cx: &Context<'_>) -> bool {
        if self.rung.swap(false, Ordering::AcqRel) {
            return true;
        }
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        // It may have been rung before the waker was in place.
        self.rung.swap(false, Ordering::AcqRel)
    }
}

impl Wake for TaskWake {
    fn wake(&self) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = waker.as_ref() {
            waker.wake_by_ref();
        }
    }
}

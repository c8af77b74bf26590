//! The journal seam: every change of durable state is an entry, in one order, and acknowledgements
//! wait until the entry they promise is durable.
//!
//! Answers for the order ([`Seq`]), the durable watermark and who is woken when it moves. Does not
//! answer for disks: a [`CommitLog`] does, behind the trait.

mod entry;
mod memory;

pub use entry::{Entry, Frame, Inbound, Reference, Removal, ShareId, Target};
pub use memory::MemoryLog;

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, Wake};

/// The place of a frame in the journal. 0 is before all frames: waiting for it is waiting for
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before all frames.
    pub const NONE: Self = Self(0);
}

/// Where frames go. Appending decides their order and never waits for the disk.
pub trait CommitLog: Send + Sync {
    /// Takes a frame, which is one atomic unit, and gives its place, one above the last. Once it's
    /// durable the log advances the [`Watermark`] it was made with.
    fn append(&self, frame: Frame) -> Seq;
}

/// How far the journal is durable, and who waits for it to move.
#[derive(Default)]
pub struct Watermark {
    durable: AtomicU64,
    /// Those who wait, and for what. A leaf lock.
    waiting: Mutex<Vec<(Seq, Arc<dyn Wake>)>>,
}

impl Watermark {
    /// The last durable frame.
    #[inline]
    pub fn durable(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }

    /// Everything up to `seq` is durable now. Never moves back.
    pub fn advance(&self, seq: Seq) {
        // Moved under the lock, so that nobody who found it too low can enlist after the wake-up.
        let mut waiting = self.waiting.lock();
        self.durable.fetch_max(seq.0, Ordering::AcqRel);
        let mut due = Vec::new();
        waiting.retain(|(wanted, wake)| {
            let keep = *wanted > seq;
            if !keep {
                due.push(Arc::clone(wake));
            }
            keep
        });
        drop(waiting);
        for wake in due {
            wake.wake();
        }
    }

    /// How many calls of [`Watermark::wake_at`] are still to be answered.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Wakes once `seq` is durable; at once if it is. Whoever waits for `seq` already needs no
    /// second call for it or for what comes later.
    pub fn wake_at(&self, seq: Seq, wake: &Arc<dyn Wake>) {
        let mut waiting = self.waiting.lock();
        if self.durable() >= seq {
            drop(waiting);
            wake.wake();
        } else {
            waiting.push((seq, Arc::clone(wake)));
        }
    }
}

impl core::fmt::Debug for Watermark {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Watermark")
            .field("durable", &self.durable())
            .finish_non_exhaustive()
    }
}

/// The journal as the engine sees it.
pub struct Journal {
    log: Box<dyn CommitLog>,
    watermark: Arc<Watermark>,
    appended: AtomicU64,
}

impl core::fmt::Debug for Journal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Journal")
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// A journal on `log`, which advances `watermark`.
    pub fn new(log: Box<dyn CommitLog>, watermark: Arc<Watermark>) -> Self {
        Self {
            log,
            appended: AtomicU64::new(watermark.durable().0),
            watermark,
        }
    }

    /// Appends one atomic unit.
    pub fn append(&self, frame: Frame) -> Seq {
        let seq = self.log.append(frame);
        self.appended.fetch_max(seq.0, Ordering::AcqRel);
        seq
    }

    /// The watermark.
    pub fn watermark(&self) -> &Watermark {
        &self.watermark
    }

    /// The last frame that was appended, durable or not.
    pub fn appended(&self) -> Seq {
        Seq(self.appended.load(Ordering::Acquire))
    }

    /// Frames that are appended and not yet durable.
    pub fn lag(&self) -> u64 {
        self.appended().0.saturating_sub(self.watermark.durable().0)
    }
}

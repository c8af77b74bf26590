//! A broker in memory and clients that speak packets to it, with time given by the test.
//!
//! After each step the live state is held against what the journal's entries add up to, and a
//! client is polled only when it was called: a forgotten entry or call fails whatever test meets it.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod client;
mod words;

pub(crate) use client::{Client, Opening, connect};
pub(crate) use words::{id, packet_id, words};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dunlin_engine::drops::DropReason;
use dunlin_engine::hub::{Batch, DurableState, Hub};
use dunlin_engine::journal::{Frame, Journal, MemoryLog, Seq, Watermark};
use dunlin_engine::limits::Limits;
use dunlin_engine::routing::{AllowAll, Authorize};
use dunlin_engine::sync::Wake;
use dunlin_engine::time::Now;

#[derive(Default)]
pub(crate) struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bell {
    /// Whether it rang since the last look.
    pub(crate) fn rang(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// A broker, and what its disk holds.
pub(crate) struct Broker {
    pub(crate) hub: Hub,
    pub(crate) log: Arc<MemoryLog>,
    /// Frames of the processes before this one.
    earlier: Vec<Frame>,
    pub(crate) now: Now,
    authorizer: Arc<dyn Authorize>,
    /// Off for tests with so many entries that adding them up after each step takes too long.
    pub(crate) is_checked: bool,
}

impl Broker {
    /// Every entry is durable at once.
    pub(crate) fn new() -> Self {
        Self::on(MemoryLog::keeping, Limits::default(), Arc::new(AllowAll))
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::on(MemoryLog::keeping, limits, Arc::new(AllowAll))
    }

    pub(crate) fn with_rights(authorizer: impl Authorize + 'static) -> Self {
        Self::on(MemoryLog::keeping, Limits::default(), Arc::new(authorizer))
    }

    /// No entry is durable before the test says so.
    pub(crate) fn with_slow_disk() -> Self {
        Self::on(MemoryLog::manual, Limits::default(), Arc::new(AllowAll))
    }

    /// Nothing is kept, so that many messages can pass.
    pub(crate) fn without_disk(limits: Limits) -> Self {
        let mut broker = Self::on(MemoryLog::volatile, limits, Arc::new(AllowAll));
        broker.is_checked = false;
        broker
    }

    fn on(
        log: impl FnOnce(Arc<Watermark>) -> MemoryLog,
        limits: Limits,
        authorizer: Arc<dyn Authorize>,
    ) -> Self {
        let (log, journal) = journal(log);
        let hub = Hub::new(limits, journal, Arc::clone(&authorizer), 1);
        Self {
            hub,
            log,
            earlier: Vec::new(),
            now: Now::default(),
            authorizer,
            is_checked: true,
        }
    }

    pub(crate) fn pass(&mut self, secs: u64) {
        self.pass_ms(secs * 1000);
    }

    pub(crate) fn pass_ms(&mut self, millis: u64) {
        self.now.monotonic = self.now.monotonic.plus_millis(millis);
        self.now.wall_ms += millis;
        self.attend();
    }

    /// Does what is due now, as the driver does when [`Hub::poll_timeout`] says so.
    fn attend(&self) {
        let mut batch = Batch::default();
        while self
            .hub
            .poll_timeout()
            .is_some_and(|at| at <= self.now.monotonic)
        {
            self.hub.handle_timeout(self.now, &mut batch);
            batch.wake_all();
        }
        self.check();
    }

    /// The process is gone; another one starts with what was durable.
    pub(crate) fn restart(&mut self) {
        self.earlier.extend(self.log.durable_frames());
        self.start();
    }

    /// The same, when only so many of this process's frames were durable.
    pub(crate) fn restart_with(&mut self, frames: usize) {
        self.earlier
            .extend(self.log.frames().into_iter().take(frames));
        self.start();
    }

    fn start(&mut self) {
        let limits = self.hub.limits().as_ref().clone();
        let state = DurableState::from_frames(self.earlier.clone());
        let (log, journal) = journal(MemoryLog::keeping);
        self.log = log;
        let authorizer = Arc::clone(&self.authorizer);
        self.hub = Hub::recover(limits, journal, authorizer, 1, self.now, state);
        self.attend();
    }

    /// Makes one more frame durable; false when all are.
    pub(crate) fn make_one_durable(&self) -> bool {
        let journal = self.hub.journal();
        let next = Seq(journal.watermark().durable().0 + 1);
        let is_there = next <= journal.appended();
        if is_there {
            journal.watermark().advance(next);
        }
        is_there
    }

    /// The live state is what a restart would make of the frames.
    pub(crate) fn check(&self) {
        if !self.is_checked {
            return;
        }
        let frames = self.earlier.iter().cloned().chain(self.log.frames());
        let written = DurableState::from_frames(frames);
        let live = self.hub.durable_state();
        assert!(live == written, "live {live:#?}\n\nwritten {written:#?}");
    }

    /// The drops so far, by reason.
    pub(crate) fn drops(&self) -> Vec<(DropReason, u64)> {
        let count = |reason: &DropReason| (*reason, self.hub.drops().count(*reason));
        let all = DropReason::ALL.iter().map(count);
        all.filter(|(_, count)| *count > 0).collect()
    }
}

pub(crate) fn journal(log: impl FnOnce(Arc<Watermark>) -> MemoryLog) -> (Arc<MemoryLog>, Journal) {
    let watermark = Arc::new(Watermark::default());
    let log = Arc::new(log(Arc::clone(&watermark)));
    (Arc::clone(&log), Journal::new(Box::new(log), watermark))
}

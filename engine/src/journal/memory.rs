//! A commit log in memory: for a broker without durability, and for tests that decide themselves
//! when a frame becomes durable and what survives a crash.

use crate::journal::{CommitLog, Frame, Seq, Watermark};
use crate::sync::{Arc, Mutex};

/// A commit log that keeps nothing or everything.
#[derive(Debug)]
pub struct MemoryLog {
    watermark: Arc<Watermark>,
    keep: bool,
    immediate: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Seq,
    frames: Vec<(Seq, Frame)>,
}

impl MemoryLog {
    /// Every frame counts as durable when it's appended, and is forgotten: what a broker without a
    /// disk can promise. Nothing survives the process.
    pub fn volatile(watermark: Arc<Watermark>) -> Self {
        Self {
            watermark,
            keep: false,
            immediate: true,
            state: Mutex::default(),
        }
    }

    /// Keeps every frame; each is durable when it's appended.
    pub fn keeping(watermark: Arc<Watermark>) -> Self {
        Self {
            watermark,
            keep: true,
            immediate: true,
            state: Mutex::default(),
        }
    }

    /// Keeps every frame; none is durable before [`MemoryLog::make_durable`].
    pub fn manual(watermark: Arc<Watermark>) -> Self {
        Self {
            watermark,
            keep: true,
            immediate: false,
            state: Mutex::default(),
        }
    }

    /// Makes everything that was appended durable.
    pub fn make_durable(&self) {
        let last = self.state.lock().last;
        self.watermark.advance(last);
    }

    /// What a restart finds: the durable frames in their order.
    pub fn durable_frames(&self) -> Vec<Frame> {
        let durable = self.watermark.durable();
        let state = self.state.lock();
        state
            .frames
            .iter()
            .filter(|(seq, _)| *seq <= durable)
            .map(|(_, frame)| frame.clone())
            .collect()
    }

    /// Every frame that was appended.
    pub fn frames(&self) -> Vec<Frame> {
        self.state
            .lock()
            .frames
            .iter()
            .map(|(_, frame)| frame.clone())
            .collect()
    }
}

impl CommitLog for MemoryLog {
    fn append(&self, frame: Frame) -> Seq {
        let mut state = self.state.lock();
        state.last = Seq(state.last.0 + 1);
        let seq = state.last;
        if self.keep {
            state.frames.push((seq, frame));
        }
        drop(state);
        if self.immediate {
            self.watermark.advance(seq);
        }
        seq
    }
}

impl CommitLog for Arc<MemoryLog> {
    fn append(&self, frame: Frame) -> Seq {
        self.as_ref().append(frame)
    }
}

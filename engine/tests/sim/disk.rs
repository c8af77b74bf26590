//! A commit log on a disk that forgets what wasn't synced. It also adds up all entries, to compare.

use dunlin_engine::hub::DurableState;
use dunlin_engine::journal::{CommitLog, Entry, Frame, Seq, Watermark};
use dunlin_engine::sync::{Arc, Mutex};

/// When the disk says that a frame is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Honesty {
    /// At once, and it is.
    Immediate,
    /// When it was synced.
    Synced,
    /// At once, and it isn't: a bug that a simulation must find.
    Lying,
    /// As `Synced`, and identifiers received at QoS 2 aren't written: another such bug.
    ForgetsInbound,
    /// As `Synced`, and that a subscriber has received a message isn't written: a third.
    ForgetsReceived,
}

impl Honesty {
    pub(crate) const fn is_honest(self) -> bool {
        matches!(self, Self::Immediate | Self::Synced)
    }
}

pub(crate) struct Disk {
    watermark: Arc<Watermark>,
    honesty: Honesty,
    contents: Mutex<Contents>,
}

struct Contents {
    frames: Vec<Frame>,
    synced: usize,
    replayed: DurableState,
}

/// The disk as the journal has it.
pub(crate) struct Handle(pub(crate) Arc<Disk>);

impl Disk {
    pub(crate) fn new(honesty: Honesty) -> Arc<Self> {
        Self::with(Vec::new(), honesty)
    }

    /// A disk with these frames on it, all of them synced.
    pub(crate) fn with(frames: Vec<Frame>, honesty: Honesty) -> Arc<Self> {
        let watermark = Arc::new(Watermark::default());
        watermark.advance(place(frames.len()));
        let contents = Contents {
            synced: frames.len(),
            replayed: DurableState::from_frames(frames.iter().cloned()),
            frames,
        };
        Arc::new(Self {
            watermark,
            honesty,
            contents: Mutex::new(contents),
        })
    }

    pub(crate) fn watermark(&self) -> &Arc<Watermark> {
        &self.watermark
    }

    /// Makes the next `count` frames durable.
    pub(crate) fn sync(&self, count: usize) {
        let synced = {
            let mut contents = self.contents.lock();
            contents.synced = contents.frames.len().min(contents.synced + count);
            contents.synced
        };
        self.watermark.advance(place(synced));
    }

    pub(crate) fn sync_all(&self) {
        self.sync(usize::MAX / 2);
    }

    /// How many frames aren't durable.
    pub(crate) fn unsynced(&self) -> usize {
        let contents = self.contents.lock();
        contents.frames.len() - contents.synced
    }

    /// The disk after the power went.
    pub(crate) fn after_crash(&self) -> Arc<Self> {
        let contents = self.contents.lock();
        let kept = contents.frames.iter().take(contents.synced).cloned();
        Self::with(kept.collect(), self.honesty)
    }

    pub(crate) const fn honesty(&self) -> Honesty {
        self.honesty
    }

    /// Whether all frames add up to `state`.
    pub(crate) fn tells(&self, state: &DurableState) -> bool {
        self.contents.lock().replayed == *state
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.contents.lock().frames.clone()
    }

    /// What all frames add up to.
    pub(crate) fn replayed(&self) -> DurableState {
        self.contents.lock().replayed.clone()
    }
}

fn place(count: usize) -> Seq {
    Seq(u64::try_from(count).expect("a test writes little"))
}

impl CommitLog for Handle {
    fn append(&self, mut frame: Frame) -> Seq {
        let Disk {
            watermark,
            honesty,
            contents,
        } = &*self.0;
        match honesty {
            Honesty::ForgetsInbound => forget_inbound(&mut frame),
            Honesty::ForgetsReceived => {
                frame.retain(|entry| !matches!(entry, Entry::Received { .. }));
            }
            _ => {}
        }
        let mut contents = contents.lock();
        for entry in &frame {
            contents.replayed.apply(entry.clone());
        }
        contents.frames.push(frame);
        let seq = place(contents.frames.len());
        if *honesty == Honesty::Immediate {
            contents.synced = contents.frames.len();
        }
        drop(contents);
        if matches!(honesty, Honesty::Immediate | Honesty::Lying) {
            watermark.advance(seq);
        }
        seq
    }
}

fn forget_inbound(frame: &mut Frame) {
    for entry in frame {
        if let Entry::Published { inbound, .. } = entry {
            *inbound = None;
        }
    }
}

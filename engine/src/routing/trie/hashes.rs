//! The keyed hashes of the trie. Clients choose the level names and see timing, so the key is the caller's
//! secret seed and nothing here is a constant of the program.

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use std::hash::Hasher;

pub(super) struct Hashes {
    seed: u64,
    shared: SharedSeed,
}

impl Hashes {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            seed,
            shared: SharedSeed::from_u64(seed),
        }
    }

    /// The name of a level, whatever its parent.
    #[inline]
    pub(super) fn level(&self, name: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write(name);
        hasher.finish()
    }

    /// A level below a certain parent.
    #[inline]
    pub(super) fn edge(&self, parent: u32, level: u64) -> u32 {
        let mut hasher = FoldHasher::with_seed(level, &self.shared);
        hasher.write_u32(parent);
        upper_half(hasher.finish())
    }

    /// A subscriber's key.
    pub(super) fn key(&self, key: u64) -> u32 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write_u64(key);
        upper_half(hasher.finish())
    }
}

fn upper_half(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(u32::MAX)
}

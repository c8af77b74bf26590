//! Finds ids by the hash of what they stand for: a hash table that stores no keys.
//!
//! The owner keeps the keys and compares them; the table keeps 32 bits of hash and the id. Robin Hood
//! hashing in its ordered form: an entry's home is the hash scaled to the table's size, so the entries lie
//! sorted by hash. A search ends at the first larger hash, also when it finds nothing; growing is one
//! pass from old to new in order. Entries pushed over the end lie in a short tail instead of wrapping.
//!
//! The hash must be keyed by a secret, else a client can choose names that lie in one run.

use super::slab::NONE;

/// A table in parts that grow one by one: no insert waits for a million entries to move.
pub(super) struct PartedTable {
    parts: Vec<IdTable>,
}

/// Entries spread over the parts by the low bits of their hash; a part sorts them by the high bits.
const PARTS: u32 = 64;

impl PartedTable {
    pub(super) fn new() -> Self {
        Self {
            parts: (0..PARTS).map(|_| IdTable::new()).collect(),
        }
    }

    /// See [`IdTable::find`].
    #[inline]
    pub(super) fn find(&self, hash: u32, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.parts.get(part(hash))?.find(hash, is_it)
    }

    /// See [`IdTable::insert`].
    pub(super) fn insert(&mut self, hash: u32, id: u32) {
        if let Some(part) = self.parts.get_mut(part(hash)) {
            part.insert(hash, id);
        }
    }

    /// See [`IdTable::remove`].
    pub(super) fn remove(&mut self, hash: u32, id: u32) {
        if let Some(part) = self.parts.get_mut(part(hash)) {
            part.remove(hash, id);
        }
    }

    /// Bytes on the heap, in constant time.
    pub(super) fn heap_bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(IdTable::heap_bytes).sum();
        parts + self.parts.capacity() * size_of::<IdTable>()
    }
}

fn part(hash: u32) -> usize {
    (hash % PARTS) as usize
}

pub(super) struct IdTable {
    slots: Vec<Slot>,
    /// Number of slots that are some hash's home. The slots behind them are the tail.
    homes: u32,
    len: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    id: u32,
}

/// Sorts behind every entry: no entry carries the largest hash.
const EMPTY: Slot = Slot {
    hash: u32::MAX,
    id: NONE,
};
const LARGEST_HASH: u32 = u32::MAX - 1;
const HOMES_MIN: u32 = 8;

impl IdTable {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            homes: 0,
            len: 0,
        }
    }

    /// The id with this hash for which `is_it` says yes.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = hash.min(LARGEST_HASH);
        for slot in self.slots.get(self.home(hash)..)? {
            if slot.hash >= hash {
                if slot.hash > hash {
                    return None;
                }
                if is_it(slot.id) {
                    return Some(slot.id);
                }
            }
        }
        None
    }

    /// Adds an id that isn't in the table.
    pub(super) fn insert(&mut self, hash: u32, id: u32) {
        if self.len >= (self.homes - self.homes / 5) as usize {
            self.resize((self.homes / 2).saturating_mul(3).max(HOMES_MIN));
        }
        self.len += 1;
        let mut carried = Slot {
            hash: hash.min(LARGEST_HASH),
            id,
        };
        let home = self.home(carried.hash);
        for slot in self.slots.iter_mut().skip(home) {
            if slot.id == NONE {
                *slot = carried;
                return;
            }
            if slot.hash > carried.hash {
                std::mem::swap(slot, &mut carried);
            }
        }
        self.slots.push(carried);
    }

    /// Gives the entry of `old` to `new`, under the same hash.
    pub(super) fn replace(&mut self, hash: u32, old: u32, new: u32) {
        if let Some(at) = self.position(hash, old)
            && let Some(slot) = self.slots.get_mut(at)
        {
            slot.id = new;
        }
    }

    /// Removes an id, if it is there.
    pub(super) fn remove(&mut self, hash: u32, id: u32) {
        let Some(mut at) = self.position(hash, id) else {
            return;
        };
        self.len -= 1;
        // What was pushed out of its home moves one back, until something is at home or the run ends.
        loop {
            let follower = self.slots.get(at + 1).copied().unwrap_or(EMPTY);
            let moves = follower.id != NONE && self.home(follower.hash) <= at;
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = if moves { follower } else { EMPTY };
            }
            if !moves {
                break;
            }
            at += 1;
        }
        if self.homes > HOMES_MIN && self.len < self.homes as usize / 8 {
            self.resize((self.homes / 4).max(HOMES_MIN));
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        let scaled = (u64::from(hash) * u64::from(self.homes)) >> 32;
        u32::try_from(scaled).unwrap_or(u32::MAX) as usize
    }

    fn position(&self, hash: u32, id: u32) -> Option<usize> {
        let hash = hash.min(LARGEST_HASH);
        let home = self.home(hash);
        let run = self.slots.get(home..)?;
        let sought = |slot: &Slot| slot.hash == hash && slot.id == id;
        let at = run
            .iter()
            .position(|slot| slot.hash > hash || sought(slot))?;
        run.get(at).filter(|slot| sought(slot)).map(|_| home + at)
    }

    fn resize(&mut self, homes: u32) {
        self.homes = homes;
        let entries = std::mem::take(&mut self.slots);
        self.slots
            .reserve_exact(homes as usize + homes as usize / 64 + 4);
        for entry in entries.into_iter().filter(|slot| slot.id != NONE) {
            let home = self.home(entry.hash);
            if self.slots.len() < home {
                self.slots.resize(home, EMPTY);
            }
            self.slots.push(entry);
        }
        if self.slots.len() < homes as usize {
            self.slots.resize(homes as usize, EMPTY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{IdTable, LARGEST_HASH, NONE};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_list_of_pairs(
            steps in prop::collection::vec((0u8..4, 0u32..40, 0u32..200), 0..600),
        ) {
            let mut table = IdTable::new();
            let mut model: Vec<(u32, u32)> = Vec::new();
            for (step, hash, id) in steps {
                // Few hashes, crowded at both ends: long runs, equal hashes, a tail.
                let hash = if hash < 20 { hash } else { u32::MAX - hash % 4 };
                let entry = (hash.min(LARGEST_HASH), id);
                let known = model.iter().position(|other| *other == entry);
                match (step, known) {
                    (0, Some(at)) => {
                        table.remove(hash, id);
                        model.swap_remove(at);
                    }
                    (1, Some(at)) => {
                        table.replace(hash, id, id + 1_000);
                        table.remove(hash, id + 1_000);
                        model.swap_remove(at);
                    }
                    (0 | 1, None) => table.remove(hash, id),
                    (_, None) => {
                        table.insert(hash, id);
                        model.push(entry);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len, model.len());
                prop_assert_eq!(table.find(hash, |found| found == id).is_some(), model.contains(&entry));
            }
            for (hash, id) in &model {
                prop_assert_eq!(table.find(*hash, |found| found == *id), Some(*id));
            }
            let entries: Vec<u32> =
                table.slots.iter().filter(|slot| slot.id != NONE).map(|slot| slot.hash).collect();
            prop_assert_eq!(entries.len(), model.len());
            prop_assert!(entries.is_sorted());
        }
    }

    #[test]
    fn stays_between_a_tenth_and_four_fifths_full() {
        let mut table = IdTable::new();
        let hash = |id: u32| id.wrapping_mul(0x9E37_79B9);
        for id in 0..100_000 {
            table.insert(hash(id), id);
        }
        assert!(table.heap_bytes() < 100_000 * 17, "{}", table.heap_bytes());
        for id in 0..99_000 {
            table.remove(hash(id), id);
        }
        assert!(table.heap_bytes() < 1_000 * 100, "{}", table.heap_bytes());
        assert!((99_000..100_000).all(|id| table.find(hash(id), |found| found == id).is_some()));
        assert_eq!(table.find(hash(5), |found| found == 5), None);
    }
}

//! The subscribers of one Topic Filter: mostly one, sometimes a few, rarely a hundred thousand.

use super::hashes::Hashes;
use super::id_table::IdTable;

/// What the allocator is assumed to add to each small allocation, in bytes.
pub(super) const ALLOCATION: usize = 16;

/// Up to this many are searched one by one; beyond, an index over the keys is kept.
const SEARCHED: usize = 8;

/// Never empty between two calls.
pub(super) enum Members<V> {
    One { key: u64, value: V },
    Many(Box<Group<V>>),
}

pub(super) struct Group<V> {
    /// Dense, for the walk over them. The order comes from the history of inserts and removes alone.
    entries: Vec<(u64, V)>,
    /// From key to place in `entries`; empty while these are few.
    index: IdTable,
}

/// What is left after a removal.
pub(super) enum Removed<V> {
    Nothing,
    Value(V),
    /// This key is the only one: the owner has to take the whole away.
    Last,
}

impl<V> Members<V> {
    pub(super) fn value(&self, key: u64, hashes: &Hashes) -> Option<&V> {
        match self {
            Self::One { key: only, value } => (*only == key).then_some(value),
            Self::Many(group) => group
                .entries
                .get(group.position(key, hashes)?)
                .map(|(_, value)| value),
        }
    }

    #[inline]
    pub(super) fn for_each<'a>(&'a self, visit: &mut impl FnMut(&'a V)) {
        match self {
            Self::One { value, .. } => visit(value),
            Self::Many(group) => group.entries.iter().for_each(|(_, value)| visit(value)),
        }
    }

    /// Adds a subscriber or replaces its value, which is then returned.
    pub(super) fn insert(&mut self, key: u64, value: V, hashes: &Hashes) -> Option<V> {
        match self {
            Self::One {
                key: only,
                value: old,
            } if *only == key => Some(std::mem::replace(old, value)),
            Self::One { .. } => {
                let group = Group {
                    entries: Vec::with_capacity(2),
                    index: IdTable::new(),
                };
                let first = std::mem::replace(self, Self::Many(Box::new(group)));
                if let (Self::One { key, value }, Self::Many(group)) = (first, &mut *self) {
                    group.push(key, value, hashes);
                }
                self.insert_into_group(key, value, hashes)
            }
            Self::Many(_) => self.insert_into_group(key, value, hashes),
        }
    }

    pub(super) fn remove(&mut self, key: u64, hashes: &Hashes) -> Removed<V> {
        match self {
            Self::One { key: only, .. } if *only == key => Removed::Last,
            Self::One { .. } => Removed::Nothing,
            Self::Many(group) => {
                let Some((_, value)) = group
                    .position(key, hashes)
                    .and_then(|at| group.swap_remove(at, hashes))
                else {
                    return Removed::Nothing;
                };
                if group.entries.len() == 1
                    && let Some((key, value)) = group.entries.pop()
                {
                    *self = Self::One { key, value };
                }
                Removed::Value(value)
            }
        }
    }

    /// Bytes on the heap, without what the values own themselves.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::One { .. } => 0,
            Self::Many(group) => {
                let entries = group.entries.capacity() * size_of::<(u64, V)>();
                size_of::<Group<V>>() + entries + group.index.heap_bytes() + 2 * ALLOCATION
            }
        }
    }

    fn insert_into_group(&mut self, key: u64, value: V, hashes: &Hashes) -> Option<V> {
        let Self::Many(group) = self else { return None };
        if let Some(at) = group.position(key, hashes)
            && let Some((_, old)) = group.entries.get_mut(at)
        {
            return Some(std::mem::replace(old, value));
        }
        group.push(key, value, hashes);
        None
    }
}

impl<V> Group<V> {
    fn is_indexed(&self) -> bool {
        self.entries.len() > SEARCHED
    }

    fn position(&self, key: u64, hashes: &Hashes) -> Option<usize> {
        let is_it = |at: usize| self.entries.get(at).is_some_and(|(other, _)| *other == key);
        if self.is_indexed() {
            self.index
                .find(hashes.key(key), |at| is_it(at as usize))
                .map(|at| at as usize)
        } else {
            (0..self.entries.len()).find(|at| is_it(*at))
        }
    }

    fn push(&mut self, key: u64, value: V, hashes: &Hashes) {
        self.entries.push((key, value));
        if self.entries.len() == SEARCHED + 1 {
            for (at, (key, _)) in (0u32..).zip(&self.entries) {
                self.index.insert(hashes.key(*key), at);
            }
        } else if self.is_indexed() {
            self.index
                .insert(hashes.key(key), place(self.entries.len() - 1));
        }
    }

    fn swap_remove(&mut self, at: usize, hashes: &Hashes) -> Option<(u64, V)> {
        let was_indexed = self.is_indexed();
        let last = self.entries.len().checked_sub(1)?;
        let moved = self.entries.last()?.0;
        let key = self.entries.get(at)?.0;
        let removed = self.entries.swap_remove(at);
        if !self.is_indexed() {
            self.index = IdTable::new();
        } else if was_indexed {
            self.index.remove(hashes.key(key), place(at));
            if at != last {
                self.index
                    .replace(hashes.key(moved), place(last), place(at));
            }
        }
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
        Some(removed)
    }
}

/// A place in a group as the index keeps it.
///
/// # Panics
///
/// Beyond 2^32 - 2 subscribers of one filter.
fn place(at: usize) -> u32 {
    let place = u32::try_from(at).unwrap_or(u32::MAX);
    assert!(place != u32::MAX, "too many subscribers of one filter");
    place
}

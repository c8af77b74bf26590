//! Values under stable 32-bit ids: half the size of a pointer, and a tree of them is freed without recursion.
//!
//! Freed ids are used again, last freed first. The memory of freed slots is kept until the slab is
//! dropped; whoever owns it decides when to start over.

/// The id that no value ever has.
pub(super) const NONE: u32 = u32::MAX;

/// Slots per chunk. Growing by chunks never moves a value, so no insert waits for a copy of all others.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 12;

pub(super) struct Slab<T> {
    /// All full but the last.
    chunks: Vec<Vec<Slot<T>>>,
    /// Head of the list of vacant slots.
    vacant: u32,
    len: usize,
}

/// The vacant variant lies in a niche of `T` where `T` has one, so a slot is as large as its value.
enum Slot<T> {
    Occupied(T),
    Vacant { next: u32 },
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            vacant: NONE,
            len: 0,
        }
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        match self.chunks.get(chunk(id))?.get(place(id)) {
            Some(Slot::Occupied(value)) => Some(value),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        match self.slot_mut(id) {
            Some(Slot::Occupied(value)) => Some(value),
            _ => None,
        }
    }

    /// Stores a value and returns its id.
    ///
    /// # Panics
    ///
    /// When all 2^32 - 1 ids are taken, which no machine's memory reaches before its end.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        let reused = self.vacant;
        if let Some(slot) = self.slot_mut(reused)
            && let Slot::Vacant { next } = *slot
        {
            *slot = Slot::Occupied(value);
            self.vacant = next;
            return reused;
        }
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            // The first grows as it needs, so that a small slab is small.
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        let mut id = NONE;
        if let Some(last) = self.chunks.last_mut() {
            id = u32::try_from(full + last.len()).unwrap_or(NONE);
            assert!(id != NONE, "all ids of a slab are taken");
            last.push(Slot::Occupied(value));
        }
        id
    }

    /// Takes a value out; its id may be given to another.
    pub(super) fn remove(&mut self, id: u32) -> Option<T> {
        let vacant = self.vacant;
        let slot = self.slot_mut(id)?;
        if matches!(slot, Slot::Vacant { .. }) {
            return None;
        }
        let Slot::Occupied(value) = std::mem::replace(slot, Slot::Vacant { next: vacant }) else {
            return None;
        };
        self.vacant = id;
        self.len -= 1;
        Some(value)
    }

    /// Bytes on the heap, without what the values own themselves.
    pub(super) fn heap_bytes(&self) -> usize {
        let slots: usize = match self.chunks.as_slice() {
            [] => 0,
            [only] => only.capacity(),
            chunks => chunks.len() * CHUNK,
        };
        slots * size_of::<Slot<T>>() + self.chunks.capacity() * size_of::<Vec<Slot<T>>>()
    }

    fn slot_mut(&mut self, id: u32) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(chunk(id))?.get_mut(place(id))
    }
}

fn chunk(id: u32) -> usize {
    (id >> CHUNK_BITS) as usize
}

fn place(id: u32) -> usize {
    id as usize % CHUNK
}

#[cfg(test)]
mod tests {
    use super::{NONE, Slab, Slot};

    #[test]
    fn freed_ids_are_used_again_before_new_ones() {
        let mut slab = Slab::new();
        let ids: Vec<u32> = (0..4).map(|value| slab.insert(value)).collect();
        assert_eq!(slab.remove(ids[1]), Some(1));
        assert_eq!(slab.remove(ids[2]), Some(2));
        assert_eq!(slab.remove(ids[2]), None);
        assert_eq!(slab.get(ids[1]), None);
        assert_eq!(
            (slab.insert(5), slab.insert(6), slab.insert(7)),
            (ids[2], ids[1], 4)
        );
        assert_eq!(slab.len(), 5);
        assert_eq!(slab.get(ids[3]), Some(&3));
        assert_eq!(slab.get(NONE), None);
        assert_eq!(slab.remove(NONE), None);
    }

    #[test]
    fn a_slot_costs_no_more_than_a_value_with_a_niche() {
        assert_eq!(size_of::<Slot<Box<[u8]>>>(), size_of::<Box<[u8]>>());
    }
}

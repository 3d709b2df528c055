//! Maps the ids that JavaScript uses to the connections and exchanges of an I/O thread.
//!
//! An id is a slot and a generation. Slots are small and reused, because JavaScript keeps its side
//! in an array. The generation makes a stale id from JavaScript resolve to nothing.
//!
//! A slot that has used all its generations is quarantined until JavaScript has been notified that
//! each of its ids is closed. Otherwise, while JavaScript is blocked, clients that come and go
//! could bring an id around to one that JavaScript still uses for another connection.

use std::collections::VecDeque;

use crate::bridge::wire::{SLOT_BITS, SLOT_MASK};

/// A table of values by id, with reusable slots.
pub(crate) struct SlotMap<T> {
    /// The generation and value of each slot.
    slots: Vec<(u32, Option<T>)>,
    /// Empty slots that `insert_with` may use.
    free: Vec<u32>,
    len: usize,
    /// Closed slots without a generation left, not yet reported to JavaScript.
    exhausted: Vec<u32>,
    /// Closed slots whose last close has been reported, each with the number of batches that
    /// JavaScript had taken by then.
    quarantined: VecDeque<(u64, u32)>,
}

impl<T> Default for SlotMap<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            len: 0,
            exhausted: Vec::new(),
            quarantined: VecDeque::new(),
        }
    }
}

impl<T> SlotMap<T> {
    /// Inserts the value that `make` creates from its id. Returns the id.
    pub fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() as u32 - 1
        });
        let (generation, value) = &mut self.slots[slot as usize];
        let id = *generation << SLOT_BITS | slot;
        *value = Some(make(id));
        self.len += 1;
        id
    }

    /// Removes the value with this id and returns it.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let slot = slot_of(id);
        let (generation, value) = self.slots.get_mut(slot as usize)?;
        if *generation != id >> SLOT_BITS {
            return None;
        }
        let removed = value.take()?;
        *generation = (*generation + 1) & GENERATION_MASK;
        self.len -= 1;
        if *generation == 0 { &mut self.exhausted } else { &mut self.free }.push(slot);
        Some(removed)
    }

    /// Starts the quarantine of slots without generations: their closes are in the batch that
    /// JavaScript takes next. `takes` is the number of batches it has taken so far.
    pub fn quarantine_exhausted(&mut self, takes: u64) {
        self.quarantined.extend(self.exhausted.drain(..).map(|slot| (takes, slot)));
    }

    /// Takes the slots out of quarantine whose batch JavaScript has processed, by `has_passed`.
    pub fn take_reusable(&mut self, has_passed: impl Fn(u64) -> bool) -> Vec<u32> {
        let enough = self.quarantined.iter().take_while(|(takes, _)| has_passed(*takes)).count();
        self.quarantined.drain(..enough).map(|(_, slot)| slot).collect()
    }

    /// Makes slots available again.
    pub fn reuse(&mut self, slots: Vec<u32>) {
        self.free.extend(slots);
    }

    /// The value with this id, if it is still there.
    pub fn find(&self, id: u32) -> Option<&T> {
        let (generation, value) = self.slots.get(slot_of(id) as usize)?;
        if *generation == id >> SLOT_BITS { value.as_ref() } else { None }
    }

    /// Like `find`, mutable.
    pub fn find_mut(&mut self, id: u32) -> Option<&mut T> {
        let (generation, value) = self.slots.get_mut(slot_of(id) as usize)?;
        if *generation == id >> SLOT_BITS { value.as_mut() } else { None }
    }

    /// The value in a slot, with its id.
    pub fn at(&self, slot: u32) -> Option<(u32, &T)> {
        let (generation, value) = self.slots.get(slot as usize)?;
        Some((*generation << SLOT_BITS | slot, value.as_ref()?))
    }

    /// All values with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.slots.len() as u32).filter_map(|slot| self.at(slot))
    }

    /// All values with their ids, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, (generation, value))| {
            Some((*generation << SLOT_BITS | slot as u32, value.as_mut()?))
        })
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// The slot part of an id.
pub(crate) fn slot_of(id: u32) -> u32 {
    id & SLOT_MASK
}

const GENERATION_MASK: u32 = (1 << (31 - SLOT_BITS)) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_reused_under_another_id() {
        let mut map = SlotMap::default();
        let first = map.insert_with(|id| ("first", id));
        let second = map.insert_with(|id| ("second", id));
        assert_eq!(map.find(first), Some(&("first", first)));
        assert_eq!(map.remove(first), Some(("first", first)));
        let third = map.insert_with(|id| ("third", id));
        assert_eq!((slot_of(third), third == first), (slot_of(first), false));
        assert_eq!(map.find(first), None);
        assert_eq!(map.remove(first), None);
        assert_eq!(map.at(slot_of(third)), Some((third, &("third", third))));
        assert_eq!(map.find(second), Some(&("second", second)));
        assert_eq!(map.iter().map(|(id, _)| id).collect::<Vec<_>>(), [third, second]);
        assert_eq!(map.len(), 2);
    }

    #[test]
    fn ids_stay_small_integers_however_often_a_slot_is_used() {
        let mut map = SlotMap::default();
        for takes in 0..10_000 {
            let id = map.insert_with(|_| ());
            assert!(id < 1 << 31 && map.remove(id).is_some());
            map.quarantine_exhausted(takes);
            let reusable = map.take_reusable(|_| true);
            map.reuse(reusable);
        }
        assert_eq!((map.slots.len(), map.len()), (1, 0));
    }

    #[test]
    fn no_id_repeats_before_javascript_is_notified_of_its_close() {
        let mut map = SlotMap::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let id = map.insert_with(|_| ());
            assert!(seen.insert(id), "{id} came again");
            map.remove(id);
        }
        assert_eq!(map.slots.len(), 5);
        assert_eq!(map.take_reusable(|_| true), []);
        map.quarantine_exhausted(7);
        assert_eq!(map.take_reusable(|takes| takes < 7), []);
        assert_eq!(map.take_reusable(|takes| takes == 7), [0, 1, 2, 3]);
        assert_eq!(map.len(), 0);
    }
}

//! What one I/O thread has of a kind, by id: a slot, which is small and reused because JavaScript keeps its side in an
//! array, and a generation, so that what JavaScript says of one that has gone meanwhile meets nobody. A slot whose
//! generations have all been used rests until JavaScript has heard of the end of each: clients that come and go while
//! JavaScript is blocked must not bring an id around to another's that is still in its hands.

use std::collections::VecDeque;

/// A table of what has an id.
pub(crate) struct SlotMap<T> {
    all: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    len: usize,
    /// SlotMap without a generation left.
    exhausted: Vec<u32>,
    /// Those of whose ends JavaScript has been quarantine_exhausted, and how often it had come for a batch by then.
    quarantined: VecDeque<(u64, u32)>,
}

impl<T> Default for SlotMap<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            free: Vec::new(),
            len: 0,
            exhausted: Vec::new(),
            quarantined: VecDeque::new(),
        }
    }
}

impl<T> SlotMap<T> {
    /// Enters what is made with its id, and returns the id.
    pub fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.all.push((0, None));
            self.all.len() as u32 - 1
        });
        let (generation, held) = &mut self.all[slot as usize];
        let id = *generation << SLOT_BITS | slot;
        *held = Some(make(id));
        self.len += 1;
        id
    }

    /// Forgets what has this id.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let slot = slot_of(id);
        let (generation, held) = self.all.get_mut(slot as usize)?;
        if *generation != id >> SLOT_BITS {
            return None;
        }
        let removed = held.take()?;
        *generation = (*generation + 1) & GENERATION_MASK;
        self.len -= 1;
        if *generation == 0 { &mut self.exhausted } else { &mut self.free }.push(slot);
        Some(removed)
    }

    /// All ends so far are in what JavaScript takes next; it has come for `takes` batches.
    pub fn quarantine_exhausted(&mut self, takes: u64) {
        self.quarantined.extend(self.exhausted.drain(..).map(|slot| (takes, slot)));
    }

    /// Takes the map out that have reusable enough.
    pub fn take_reusable(&mut self, has_passed: impl Fn(u64) -> bool) -> Vec<u32> {
        let enough = self.quarantined.iter().take_while(|(takes, _)| has_passed(*takes)).count();
        self.quarantined.drain(..enough).map(|(_, slot)| slot).collect()
    }

    /// Gives such map out again.
    pub fn reuse(&mut self, map: Vec<u32>) {
        self.free.extend(map);
    }

    /// What has this id, if it is still there.
    pub fn find(&self, id: u32) -> Option<&T> {
        let (generation, held) = self.all.get(slot_of(id) as usize)?;
        if *generation == id >> SLOT_BITS { held.as_ref() } else { None }
    }

    /// The same, to be changed.
    pub fn find_mut(&mut self, id: u32) -> Option<&mut T> {
        let (generation, held) = self.all.get_mut(slot_of(id) as usize)?;
        if *generation == id >> SLOT_BITS { held.as_mut() } else { None }
    }

    /// What is at a slot, with its id.
    pub fn at(&self, slot: u32) -> Option<(u32, &T)> {
        let (generation, held) = self.all.get(slot as usize)?;
        Some((*generation << SLOT_BITS | slot, held.as_ref()?))
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.all.len() as u32).filter_map(|slot| self.at(slot))
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.all.iter_mut().enumerate().filter_map(|(slot, (generation, held))| {
            Some((*generation << SLOT_BITS | slot as u32, held.as_mut()?))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// The slot in an id.
pub(crate) fn slot_of(id: u32) -> u32 {
    id & SLOT_MASK
}

/// A million at once, and an id that is a small integer in V8 (31 bits).
const SLOT_BITS: u32 = 20;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
const GENERATION_MASK: u32 = (1 << (31 - SLOT_BITS)) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_under_another_id() {
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
    fn ids_stay_small_integers_however_often_a_place_is_used() {
        let mut map = SlotMap::default();
        for takes in 0..10_000 {
            let id = map.insert_with(|_| ());
            assert!(id < 1 << 31 && map.remove(id).is_some());
            map.quarantine_exhausted(takes);
            let reusable = map.take_reusable(|_| true);
            map.reuse(reusable);
        }
        assert_eq!((map.all.len(), map.len()), (1, 0));
    }

    #[test]
    fn no_id_comes_again_before_javascript_has_heard_of_its_end() {
        let mut map = SlotMap::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let id = map.insert_with(|_| ());
            assert!(seen.insert(id), "{id} came again");
            map.remove(id);
        }
        assert_eq!(map.all.len(), 5);
        assert_eq!(map.take_reusable(|_| true), []);
        map.quarantine_exhausted(7);
        assert_eq!(map.take_reusable(|takes| takes < 7), []);
        assert_eq!(map.take_reusable(|takes| takes == 7), [0, 1, 2, 3]);
        assert_eq!(map.len(), 0);
    }
}

//! What one I/O thread has of a kind, by id: a place, which is small and reused because JavaScript keeps its side in an
//! array, and a generation, so that what JavaScript says of one that has gone meanwhile meets nobody. A place whose
//! generations have all been used rests until JavaScript has heard of the end of each: clients that come and go while
//! JavaScript is blocked must not bring an id around to another's that is still in its hands.

use std::collections::VecDeque;

/// A table of what has an id.
pub(crate) struct Places<T> {
    all: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    len: usize,
    /// Places without a generation left.
    worn: Vec<u32>,
    /// Those of whose ends JavaScript has been told, and how often it had come for a batch by then.
    resting: VecDeque<(u64, u32)>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            free: Vec::new(),
            len: 0,
            worn: Vec::new(),
            resting: VecDeque::new(),
        }
    }
}

impl<T> Places<T> {
    /// Enters what is made with its id, and returns the id.
    pub fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.all.push((0, None));
            self.all.len() as u32 - 1
        });
        let (generation, held) = &mut self.all[place as usize];
        let id = *generation << PLACE_BITS | place;
        *held = Some(make(id));
        self.len += 1;
        id
    }

    /// Forgets what has this id.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let place = place_of(id);
        let (generation, held) = self.all.get_mut(place as usize)?;
        if *generation != id >> PLACE_BITS {
            return None;
        }
        let removed = held.take()?;
        *generation = (*generation + 1) & GENERATION_MASK;
        self.len -= 1;
        if *generation == 0 { &mut self.worn } else { &mut self.free }.push(place);
        Some(removed)
    }

    /// All ends so far are in what JavaScript takes next; it has come for `takes` batches.
    pub fn told(&mut self, takes: u64) {
        self.resting.extend(self.worn.drain(..).map(|place| (takes, place)));
    }

    /// Takes the places out that have rested enough.
    pub fn rested(&mut self, has_passed: impl Fn(u64) -> bool) -> Vec<u32> {
        let enough = self.resting.iter().take_while(|(takes, _)| has_passed(*takes)).count();
        self.resting.drain(..enough).map(|(_, place)| place).collect()
    }

    /// Gives such places out again.
    pub fn renew(&mut self, places: Vec<u32>) {
        self.free.extend(places);
    }

    /// What has this id, if it is still there.
    pub fn find(&self, id: u32) -> Option<&T> {
        let (generation, held) = self.all.get(place_of(id) as usize)?;
        if *generation == id >> PLACE_BITS { held.as_ref() } else { None }
    }

    /// The same, to be changed.
    pub fn find_mut(&mut self, id: u32) -> Option<&mut T> {
        let (generation, held) = self.all.get_mut(place_of(id) as usize)?;
        if *generation == id >> PLACE_BITS { held.as_mut() } else { None }
    }

    /// What is at a place, with its id.
    pub fn at(&self, place: u32) -> Option<(u32, &T)> {
        let (generation, held) = self.all.get(place as usize)?;
        Some((*generation << PLACE_BITS | place, held.as_ref()?))
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.all.len() as u32).filter_map(|place| self.at(place))
    }

    /// All of them, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.all.iter_mut().enumerate().filter_map(|(place, (generation, held))| {
            Some((*generation << PLACE_BITS | place as u32, held.as_mut()?))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }
}

/// The place in an id.
pub(crate) fn place_of(id: u32) -> u32 {
    id & PLACE_MASK
}

/// A million at once, and an id that is a small integer in V8 (31 bits).
const PLACE_BITS: u32 = 20;
const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;
const GENERATION_MASK: u32 = (1 << (31 - PLACE_BITS)) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_under_another_id() {
        let mut places = Places::default();
        let first = places.insert_with(|id| ("first", id));
        let second = places.insert_with(|id| ("second", id));
        assert_eq!(places.find(first), Some(&("first", first)));
        assert_eq!(places.remove(first), Some(("first", first)));
        let third = places.insert_with(|id| ("third", id));
        assert_eq!((place_of(third), third == first), (place_of(first), false));
        assert_eq!(places.find(first), None);
        assert_eq!(places.remove(first), None);
        assert_eq!(places.at(place_of(third)), Some((third, &("third", third))));
        assert_eq!(places.find(second), Some(&("second", second)));
        assert_eq!(places.iter().map(|(id, _)| id).collect::<Vec<_>>(), [third, second]);
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn ids_stay_small_integers_however_often_a_place_is_used() {
        let mut places = Places::default();
        for takes in 0..10_000 {
            let id = places.insert_with(|_| ());
            assert!(id < 1 << 31 && places.remove(id).is_some());
            places.told(takes);
            let rested = places.rested(|_| true);
            places.renew(rested);
        }
        assert_eq!((places.all.len(), places.len()), (1, 0));
    }

    #[test]
    fn no_id_comes_again_before_javascript_has_heard_of_its_end() {
        let mut places = Places::default();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let id = places.insert_with(|_| ());
            assert!(seen.insert(id), "{id} came again");
            places.remove(id);
        }
        assert_eq!(places.all.len(), 5);
        assert_eq!(places.rested(|_| true), []);
        places.told(7);
        assert_eq!(places.rested(|takes| takes < 7), []);
        assert_eq!(places.rested(|takes| takes == 7), [0, 1, 2, 3]);
        assert_eq!(places.len(), 0);
    }
}

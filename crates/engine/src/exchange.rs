//! Exchanges, the unit of the crossing: one request and its answer, whatever protocol carries them.

use std::rc::Rc;

use bytes::Bytes;

use crate::ring::ResponseHead;

/// What a protocol does with JavaScript's side of an exchange. HTTP/1 is one implementation.
pub(crate) trait Answer {
    fn inform(&self, head: &ResponseHead<'_>);
    fn head(&self, head: &ResponseHead<'_>, length: Option<u64>);
    fn data(&self, bytes: &[u8]);
    fn large(&self, bytes: Bytes);
    fn trailers(&self, fields: &[u8]);
    fn end(&self, discard: bool);
    fn reset(&self);
    fn credit(&self, bytes: u32);
    fn notify(&self);
    fn tunnel(&self, taken: bool);
}

/// The exchanges in hand of one I/O thread. An id is a place and a generation, so that what JavaScript says of an
/// exchange that has ended meanwhile meets nobody.
#[derive(Default)]
pub(crate) struct Exchanges {
    places: Vec<(u32, Option<Rc<dyn Answer>>)>,
    free: Vec<u32>,
}

impl Exchanges {
    /// Enters an exchange and returns its id.
    pub fn insert(&mut self, answer: Rc<dyn Answer>) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() as u32 - 1
        });
        let (generation, held) = &mut self.places[place as usize];
        *held = Some(answer);
        *generation << PLACE_BITS | place
    }

    /// The exchange with this id, if it is still in hand.
    pub fn find(&self, id: u32) -> Option<&Rc<dyn Answer>> {
        let (generation, answer) = self.places.get((id & PLACE_MASK) as usize)?;
        if *generation == id >> PLACE_BITS { answer.as_ref() } else { None }
    }

    /// Forgets an exchange.
    pub fn remove(&mut self, id: u32) {
        let place = id & PLACE_MASK;
        if let Some((generation, answer)) = self.places.get_mut(place as usize)
            && *generation == id >> PLACE_BITS
            && answer.take().is_some()
        {
            *generation = (*generation + 1) & GENERATION_MASK;
            self.free.push(place);
        }
    }

    /// How many are in hand.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// A million exchanges or connections at once, and an id that is a small integer in V8 (31 bits).
pub(crate) const PLACE_BITS: u32 = 20;
pub(crate) const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;
pub(crate) const GENERATION_MASK: u32 = (1 << (31 - PLACE_BITS)) - 1;

//! Memory for pieces of bodies that cross to JavaScript: a socket is read straight into what JavaScript gets, and what its
//! garbage collector gives back is read into again. Fresh memory for each piece would be given back to the system and
//! faulted in page by page, which cost as much as the reading.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::pressure::limits::ALL_BODY_CREDIT;

/// The free buffers of one I/O thread. JavaScript's thread gives them back.
pub(crate) struct Pieces {
    size: usize,
    free: Mutex<Vec<Vec<u8>>>,
    /// The fewest that were free since this was asked last: so many too many there are.
    spare: AtomicUsize,
    /// Nobody is connected: nothing is worth keeping.
    idle: AtomicBool,
}

impl Pieces {
    /// Buffers of `size` bytes each.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            free: Mutex::default(),
            spare: AtomicUsize::new(0),
            idle: AtomicBool::new(false),
        }
    }

    /// A copy of `bytes`, in a buffer if they fill most of one.
    pub fn copy(self: &Arc<Self>, bytes: &[u8]) -> Bytes {
        if bytes.len() > self.size || !self.fills(bytes.len()) {
            return Bytes::copy_from_slice(bytes);
        }
        // Not by way of its room: that of a new one would be filled with zeros first.
        let mut piece = self.take();
        piece.bytes.clear();
        piece.bytes.reserve_exact(self.size);
        piece.bytes.extend_from_slice(bytes);
        piece.filled(bytes.len())
    }

    /// Whether so many bytes are worth a buffer: they may be kept for long, and must not hold one that is many times as
    /// large.
    fn fills(&self, count: usize) -> bool {
        count >= self.size / 4 * 3
    }

    /// A buffer.
    pub fn take(self: &Arc<Self>) -> Piece {
        let mut free = self.lock();
        let bytes = free.pop().unwrap_or_default();
        self.spare.fetch_min(free.len(), Ordering::Relaxed);
        drop(free);
        Piece { bytes, filled: 0, pieces: self.clone() }
    }

    /// Called now and then: lets go of what has not been needed since the last call, and of everything once `idle`.
    pub fn shrink(&self, idle: bool) {
        self.idle.store(idle, Ordering::Relaxed);
        let mut free = self.lock();
        let spare = if idle { free.len() } else { self.spare.load(Ordering::Relaxed) };
        let left = free.len() - spare.min(free.len());
        let gone = free.split_off(left);
        self.spare.store(left, Ordering::Relaxed);
        drop(free);
        drop(gone);
    }

    fn give_back(&self, bytes: Vec<u8>) {
        if self.idle.load(Ordering::Relaxed) {
            return;
        }
        let mut free = self.lock();
        if free.len() * self.size < MOST_FREE_BYTES {
            free.push(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // The holders only move values.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that goes back when nobody has it any more.
pub(crate) struct Piece {
    bytes: Vec<u8>,
    filled: usize,
    pieces: Arc<Pieces>,
}

impl Piece {
    /// What can be written into.
    pub fn room(&mut self) -> &mut [u8] {
        if self.bytes.capacity() == 0 {
            // What is new from the system has zeros already.
            self.bytes = vec![0; self.pieces.size];
        }
        self.bytes.resize(self.pieces.size, 0);
        &mut self.bytes
    }

    /// The first `count` bytes, which have been written. Few are copied out.
    pub fn filled(mut self, count: usize) -> Bytes {
        if !self.pieces.fills(count) {
            return Bytes::copy_from_slice(&self.bytes[..count]);
        }
        self.filled = count;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.pieces.give_back(std::mem::take(&mut self.bytes));
    }
}

/// What free buffers may take together.
const MOST_FREE_BYTES: usize = ALL_BODY_CREDIT;

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1_000;

    #[test]
    fn a_buffer_comes_back_when_its_bytes_are_let_go() {
        let pieces = Arc::new(Pieces::new(SIZE));
        let mut piece = pieces.take();
        piece.room()[..SIZE].fill(7);
        let (at, bytes) = (piece.room().as_ptr(), piece.filled(SIZE));
        assert_eq!(bytes.len(), SIZE);
        assert_ne!(pieces.take().room().as_ptr(), at);
        drop(bytes);
        assert_eq!(pieces.take().room().as_ptr(), at);
    }

    #[test]
    fn wide_buffers_are_kept_up_to_a_number_of_bytes() {
        let pieces = Arc::new(Pieces::new(MOST_FREE_BYTES / 4));
        drop((0..6).map(|_| pieces.take()).collect::<Vec<_>>());
        assert_eq!(pieces.lock().len(), 4);
    }

    #[test]
    fn few_bytes_hold_no_buffer() {
        let pieces = Arc::new(Pieces::new(SIZE));
        let mut piece = pieces.take();
        piece.room()[..3].copy_from_slice(b"abc");
        let bytes = piece.filled(3);
        assert_eq!((&bytes[..], pieces.lock().len()), (&b"abc"[..], 1));
    }

    #[test]
    fn what_is_not_needed_is_let_go() {
        let pieces = Arc::new(Pieces::new(SIZE));
        let several: Vec<_> = (0..5).map(|_| pieces.take()).collect();
        drop(several);
        // Two of the five are in use at a time from here on.
        pieces.shrink(false);
        for _ in 0..10 {
            drop((pieces.take(), pieces.take()));
        }
        pieces.shrink(false);
        assert_eq!(pieces.lock().len(), 2);
        pieces.shrink(true);
        drop(pieces.take());
        assert_eq!(pieces.lock().len(), 0);
    }
}

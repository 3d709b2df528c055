//! Memory for pool of bodies that cross to JavaScript: a socket is read straight into what JavaScript gets, and what its
//! garbage collector gives back is read into again. Fresh memory for each buffer would be given back to the system and
//! faulted in page by page, which cost as much as the reading.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::pressure::limits::TOTAL_BODY_CREDIT;

/// The free buffers of one I/O thread. JavaScript's thread gives them back.
pub(crate) struct BufferPool {
    size: usize,
    free: Mutex<Vec<Vec<u8>>>,
    /// The fewest that were free since this was asked last: so many too many there are.
    spare: AtomicUsize,
    /// Nobody is connected: nothing is worth keeping.
    idle: AtomicBool,
}

impl BufferPool {
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
        if bytes.len() > self.size || !self.fills_buffer(bytes.len()) {
            return Bytes::copy_from_slice(bytes);
        }
        // Not by way of its room: that of a new one would be filled with zeros first.
        let mut buffer = self.take();
        buffer.bytes.clear();
        buffer.bytes.reserve_exact(self.size);
        buffer.bytes.extend_from_slice(bytes);
        buffer.into_bytes(bytes.len())
    }

    /// Whether so many bytes are worth a buffer: they may be kept for long, and must not hold one that is many times as
    /// large.
    fn fills_buffer(&self, count: usize) -> bool {
        count >= self.size / 4 * 3
    }

    /// A buffer.
    pub fn take(self: &Arc<Self>) -> PooledBuffer {
        let mut free = self.lock();
        let bytes = free.pop().unwrap_or_default();
        self.spare.fetch_min(free.len(), Ordering::Relaxed);
        drop(free);
        PooledBuffer { bytes, filled: 0, pool: self.clone() }
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

    fn recycle(&self, bytes: Vec<u8>) {
        if self.idle.load(Ordering::Relaxed) {
            return;
        }
        let mut free = self.lock();
        if free.len() * self.size < MAX_FREE_BYTES {
            free.push(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // The holders only move values.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that goes back when nobody has it any more.
pub(crate) struct PooledBuffer {
    bytes: Vec<u8>,
    filled: usize,
    pool: Arc<BufferPool>,
}

impl PooledBuffer {
    /// What can be written into.
    pub fn space(&mut self) -> &mut [u8] {
        if self.bytes.capacity() == 0 {
            // What is new from the system has zeros already.
            self.bytes = vec![0; self.pool.size];
        }
        self.bytes.resize(self.pool.size, 0);
        &mut self.bytes
    }

    /// The first `count` bytes, which have been written. Few are copied out.
    pub fn into_bytes(mut self, count: usize) -> Bytes {
        if !self.pool.fills_buffer(count) {
            return Bytes::copy_from_slice(&self.bytes[..count]);
        }
        self.filled = count;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.recycle(std::mem::take(&mut self.bytes));
    }
}

/// What free buffers may take together.
const MAX_FREE_BYTES: usize = TOTAL_BODY_CREDIT;

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1_000;

    #[test]
    fn a_buffer_comes_back_when_its_bytes_are_let_go() {
        let pool = Arc::new(BufferPool::new(SIZE));
        let mut buffer = pool.take();
        buffer.space()[..SIZE].fill(7);
        let (at, bytes) = (buffer.space().as_ptr(), buffer.into_bytes(SIZE));
        assert_eq!(bytes.len(), SIZE);
        assert_ne!(pool.take().space().as_ptr(), at);
        drop(bytes);
        assert_eq!(pool.take().space().as_ptr(), at);
    }

    #[test]
    fn wide_buffers_are_kept_up_to_a_number_of_bytes() {
        let pool = Arc::new(BufferPool::new(MAX_FREE_BYTES / 4));
        drop((0..6).map(|_| pool.take()).collect::<Vec<_>>());
        assert_eq!(pool.lock().len(), 4);
    }

    #[test]
    fn few_bytes_hold_no_buffer() {
        let pool = Arc::new(BufferPool::new(SIZE));
        let mut buffer = pool.take();
        buffer.space()[..3].copy_from_slice(b"abc");
        let bytes = buffer.into_bytes(3);
        assert_eq!((&bytes[..], pool.lock().len()), (&b"abc"[..], 1));
    }

    #[test]
    fn what_is_not_needed_is_let_go() {
        let pool = Arc::new(BufferPool::new(SIZE));
        let several: Vec<_> = (0..5).map(|_| pool.take()).collect();
        drop(several);
        // Two of the five are in use at a time from here on.
        pool.shrink(false);
        for _ in 0..10 {
            drop((pool.take(), pool.take()));
        }
        pool.shrink(false);
        assert_eq!(pool.lock().len(), 2);
        pool.shrink(true);
        drop(pool.take());
        assert_eq!(pool.lock().len(), 0);
    }
}

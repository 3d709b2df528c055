//! A pool of buffers for the body chunks that are passed to JavaScript.
//!
//! A socket is read straight into the memory that JavaScript gets. Once its garbage collector frees
//! a chunk, the buffer is read into again. Fresh memory for each chunk would be returned to the
//! system and faulted in page by page, which costs as much as the reading.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::sizes::MAX_FREE_POOL_BYTES;

/// The free buffers of one I/O thread. JavaScript's thread returns them.
pub(crate) struct BufferPool {
    /// The size of each buffer, in bytes.
    buffer_size: usize,
    free: Mutex<Vec<Vec<u8>>>,
    /// The lowest number of free buffers since the last `shrink`: this many are not needed.
    min_free: AtomicUsize,
    /// No client is connected, so returned buffers are freed at once.
    is_idle: AtomicBool,
}

impl BufferPool {
    /// Creates a pool of buffers of `buffer_size` bytes each.
    pub fn new(buffer_size: usize) -> Self {
        Self {
            buffer_size,
            free: Mutex::default(),
            min_free: AtomicUsize::new(0),
            is_idle: AtomicBool::new(false),
        }
    }

    /// Copies `bytes`, into a pooled buffer if they fill most of one.
    pub fn copy(self: &Arc<Self>, bytes: &[u8]) -> Bytes {
        if bytes.len() > self.buffer_size || !self.fills_buffer(bytes.len()) {
            return Bytes::copy_from_slice(bytes);
        }
        // Not through `space`, which would first fill a new buffer with zeros.
        let mut buffer = self.take();
        buffer.bytes.clear();
        buffer.bytes.reserve_exact(self.buffer_size);
        buffer.bytes.extend_from_slice(bytes);
        buffer.into_bytes(bytes.len())
    }

    /// Whether `count` bytes are worth a pooled buffer. JavaScript may keep them for long, and must
    /// not hold a buffer many times their size.
    fn fills_buffer(&self, count: usize) -> bool {
        count >= self.buffer_size / 4 * 3
    }

    /// Takes a free buffer, or one without memory yet if none is free.
    pub fn take(self: &Arc<Self>) -> PooledBuffer {
        let mut free = self.lock();
        let bytes = free.pop().unwrap_or_default();
        self.min_free.fetch_min(free.len(), Ordering::Relaxed);
        drop(free);
        PooledBuffer { bytes, len: 0, pool: self.clone() }
    }

    /// Frees the buffers that have not been needed since the last call, and all of them if
    /// `is_idle`. Called at intervals.
    pub fn shrink(&self, is_idle: bool) {
        self.is_idle.store(is_idle, Ordering::Relaxed);
        let mut free = self.lock();
        let min_free = if is_idle { free.len() } else { self.min_free.load(Ordering::Relaxed) };
        let left = free.len() - min_free.min(free.len());
        let gone = free.split_off(left);
        self.min_free.store(left, Ordering::Relaxed);
        drop(free);
        drop(gone);
    }

    fn recycle(&self, bytes: Vec<u8>) {
        if self.is_idle.load(Ordering::Relaxed) {
            return;
        }
        let mut free = self.lock();
        if free.len() * self.buffer_size < MAX_FREE_POOL_BYTES {
            free.push(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // No holder of the lock can leave the list inconsistent: each only moves values.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that returns to its pool when it is dropped.
pub(crate) struct PooledBuffer {
    bytes: Vec<u8>,
    len: usize,
    pool: Arc<BufferPool>,
}

impl PooledBuffer {
    /// The whole buffer, to write into.
    pub fn space(&mut self) -> &mut [u8] {
        if self.bytes.capacity() == 0 {
            // Fresh memory from the system is zeroed already.
            self.bytes = vec![0; self.pool.buffer_size];
        }
        self.bytes.resize(self.pool.buffer_size, 0);
        &mut self.bytes
    }

    /// Turns the first `count` bytes, which have been written, into `Bytes`. A few bytes are copied
    /// instead, so that they do not hold the buffer.
    pub fn into_bytes(mut self, count: usize) -> Bytes {
        if !self.pool.fills_buffer(count) {
            return Bytes::copy_from_slice(&self.bytes[..count]);
        }
        self.len = count;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.recycle(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1_000;

    #[test]
    fn a_buffer_returns_to_the_pool_when_its_bytes_are_dropped() {
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
        let pool = Arc::new(BufferPool::new(MAX_FREE_POOL_BYTES / 4));
        drop((0..6).map(|_| pool.take()).collect::<Vec<_>>());
        assert_eq!(pool.lock().len(), 4);
    }

    #[test]
    fn a_few_bytes_are_copied_and_free_their_buffer() {
        let pool = Arc::new(BufferPool::new(SIZE));
        let mut buffer = pool.take();
        buffer.space()[..3].copy_from_slice(b"abc");
        let bytes = buffer.into_bytes(3);
        assert_eq!((&bytes[..], pool.lock().len()), (&b"abc"[..], 1));
    }

    #[test]
    fn unneeded_buffers_are_freed() {
        let pool = Arc::new(BufferPool::new(SIZE));
        let several: Vec<_> = (0..5).map(|_| pool.take()).collect();
        drop(several);
        // From here on, two of the five are in use at a time.
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

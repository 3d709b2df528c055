//! Tracks the JavaScript buffers that the engine borrows to send long responses without a copy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The ids of buffers that the engine no longer needs, until their owner takes them.
#[derive(Debug, Default)]
pub struct ReturnedBuffers {
    ids: Mutex<Vec<usize>>,
    /// Whether `ids` may have entries; read without the lock.
    has_any: AtomicBool,
}

impl ReturnedBuffers {
    /// Records that a buffer has been sent, or will not be.
    pub fn push(&self, id: usize) {
        // The vector stays consistent even if a push panics.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.has_any.store(true, Ordering::SeqCst);
    }

    /// Takes the ids of all buffers returned since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<usize> {
        if !self.has_any.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        std::mem::take(&mut *self.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a returned buffer waits for its owner.
    pub(crate) fn has_any(&self) -> bool {
        self.has_any.load(Ordering::SeqCst)
    }
}

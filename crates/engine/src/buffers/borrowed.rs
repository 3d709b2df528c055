//! What has come back of the memory that JavaScript lends for long answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The ids of pieces that nobody sends any more, until their lender takes them.
#[derive(Debug, Default)]
pub struct ReturnedBuffers {
    ids: Mutex<Vec<usize>>,
    has_any: AtomicBool,
}

impl ReturnedBuffers {
    /// A piece has been sent, or will not be.
    pub fn push(&self, id: usize) {
        // A push leaves the list whole, whatever happens.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        self.has_any.store(true, Ordering::SeqCst);
    }

    /// Everything that has come back since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<usize> {
        if !self.has_any.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        std::mem::take(&mut *self.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether something has_any for its lender.
    pub(crate) fn has_any(&self) -> bool {
        self.has_any.load(Ordering::SeqCst)
    }
}

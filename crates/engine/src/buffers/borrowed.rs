//! What has come back of the memory that JavaScript lends for long answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The names of pieces that nobody sends any more, until their lender takes them.
#[derive(Debug, Default)]
pub struct Returned {
    names: Mutex<Vec<usize>>,
    waits: AtomicBool,
}

impl Returned {
    /// A piece has been sent, or will not be.
    pub fn push(&self, name: usize) {
        // A push leaves the list whole, whatever happens.
        self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        self.waits.store(true, Ordering::SeqCst);
    }

    /// Everything that has come back since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<usize> {
        if !self.waits.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether something waits for its lender.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::SeqCst)
    }
}

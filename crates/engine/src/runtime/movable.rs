//! A value that moves between threads that share nothing else of it: the loop of a JavaScript
//! environment, with everything that it owns.
#![allow(unsafe_code, reason = "the value holds reference counts that are not atomic")]

use std::ops::Deref;

use super::sync::{Mutex, MutexGuard, TryLockError};

/// A value that one thread holds at a time. The value itself need not be `Send`.
pub(crate) struct Movable<T>(Mutex<Contents<T>>);

/// The right to use the value, until it is dropped.
pub(crate) struct Held<'a, T>(MutexGuard<'a, Contents<T>>);

struct Contents<T>(T);

// SAFETY: `Movable::new` demands that no part of the value is reachable other than through it, and
// the lock admits one thread at a time. Its release and acquire order all that a holder did before
// all that the next one does, so reference counts and cells need not be atomic. What a thread
// shares with others (`Handoff`, `Bytes`) is `Sync` by itself.
unsafe impl<T> Send for Contents<T> {}

impl<T> Movable<T> {
    /// Wraps a value.
    ///
    /// # Safety
    ///
    /// No part of the value that is not `Sync` may be reachable from outside it: not from a
    /// thread-local variable, and not from a clone that is kept. A holder must not keep a
    /// clone of such a part either when it gives the value back.
    pub unsafe fn new(value: T) -> Self {
        Self(Mutex::new(Contents(value)))
    }

    /// Takes the value, unless another thread holds it, or this thread does already. Never waits.
    pub fn try_hold(&self) -> Option<Held<'_, T>> {
        match self.0.try_lock() {
            Ok(contents) => Some(Held(contents)),
            // A holder that panics aborts the process, or its panic has cost one task only.
            Err(TryLockError::Poisoned(poisoned)) => Some(Held(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

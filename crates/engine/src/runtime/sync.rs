//! The primitives of the hand-over between two threads. A test replaces this module, to check every
//! order in which the threads can run (`tests/handover_model.rs`).

pub(super) use std::sync::atomic::{AtomicBool, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard, TryLockError};

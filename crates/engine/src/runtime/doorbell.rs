//! Wakes a loop from other threads.
//!
//! A thread that wants something puts it where the loop looks, and then rings. The loop announces
//! its sleep, and then looks a last time. So one of the two sees the other, and a wake of a loop
//! that is awake costs no system call.

use super::sync::{AtomicBool, Ordering};

/// The doorbell of one loop.
#[derive(Default)]
pub(crate) struct Doorbell {
    /// Something was left for the loop, which has not looked for it yet.
    has_rung: AtomicBool,
    /// The loop sleeps or is about to: it does not look again without a wake.
    is_asleep: AtomicBool,
}

impl Doorbell {
    /// Notes that something was left for the loop. Returns whether the caller must wake it.
    #[must_use]
    pub fn ring(&self) -> bool {
        self.note();
        self.is_asleep.swap(false, Ordering::SeqCst)
    }

    /// Notes that something was left for the loop, which the caller will turn or wake later.
    pub fn note(&self) {
        self.has_rung.store(true, Ordering::SeqCst);
    }

    /// Whether something was left since the loop last looked.
    pub fn has_rung(&self) -> bool {
        self.has_rung.load(Ordering::SeqCst)
    }

    /// Returns whether something was left since the last call. The holder of the loop calls this.
    pub fn answer(&self) -> bool {
        // Nearly always nothing was: a load costs less than an exchange.
        self.has_rung.load(Ordering::Relaxed) && self.has_rung.swap(false, Ordering::SeqCst)
    }

    /// Announces the sleep of the loop. Afterwards the holder looks a last time.
    pub fn announce_sleep(&self) {
        self.is_asleep.store(true, Ordering::SeqCst);
    }

    /// Notes that the loop is awake.
    pub fn end_sleep(&self) {
        self.is_asleep.store(false, Ordering::Relaxed);
    }
}

//! What many connections leave behind: a connection that goes to rest frees some kilobytes, but in pieces between what
//! others keep, and malloc holds on to those. After a crowd has gone to rest the pages in which nothing is left go back
//! to the system.

#![expect(unsafe_code, reason = "the allocator gives memory back by a call of its own")]

use std::cell::Cell;

/// Counts those that go to rest.
#[derive(Default)]
pub(crate) struct HeapTrimmer {
    rested: Cell<usize>,
    before: Cell<usize>,
}

impl HeapTrimmer {
    /// One has gone to rest.
    pub fn count_idle(&self) {
        self.rested.set(self.rested.get() + 1);
    }

    /// Called at each tick: gives memory back once a crowd has gone to rest and nobody follows.
    pub fn trim_if_due(&self) {
        if self.is_due() {
            trim_heap();
        }
    }

    fn is_due(&self) -> bool {
        let rested = self.rested.get();
        if rested < CROWD || self.before.replace(rested) != rested {
            return false;
        }
        self.rested.set(0);
        true
    }
}

/// Their memory is worth the milliseconds that it takes to look for.
const CROWD: usize = 1_000;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim_heap() {
    // SAFETY: takes a number, and locks what it looks at.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim_heap() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_once_for_a_crowd_that_nobody_follows() {
        let heap_trimmer = HeapTrimmer::default();
        (1..CROWD).for_each(|_| heap_trimmer.count_idle());
        assert!(!heap_trimmer.is_due() && !heap_trimmer.is_due());
        heap_trimmer.count_idle();
        assert!(!heap_trimmer.is_due());
        heap_trimmer.count_idle();
        assert!(!heap_trimmer.is_due());
        assert!(heap_trimmer.is_due());
        assert!(!heap_trimmer.is_due());
    }
}

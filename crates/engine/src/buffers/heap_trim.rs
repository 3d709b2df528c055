//! Returns heap memory to the operating system after many connections have become idle.
//!
//! A connection that becomes idle frees some kilobytes. They lie between allocations that other
//! connections keep, so malloc does not return them by itself. `malloc_trim(3)` returns the pages
//! that have become empty.

#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "the allocator gives memory back by a call of its own")
)]

use std::cell::Cell;

/// Counts the connections that become idle and decides when to trim.
#[derive(Default)]
pub(crate) struct HeapTrimmer {
    /// Connections that have become idle since the last trim.
    idled: Cell<usize>,
    idled_at_last_tick: Cell<usize>,
}

impl HeapTrimmer {
    /// Counts a connection that has become idle.
    pub fn count_idle(&self) {
        self.idled.set(self.idled.get() + 1);
    }

    /// Trims the heap once enough connections have become idle and no further one did since the
    /// last tick. Called at each tick.
    pub fn trim_if_due(&self) {
        if self.is_due() {
            trim_heap();
        }
    }

    fn is_due(&self) -> bool {
        let idled = self.idled.get();
        if idled < MIN_IDLED_TO_TRIM || self.idled_at_last_tick.replace(idled) != idled {
            return false;
        }
        self.idled.set(0);
        true
    }
}

/// Minimum number of idle connections for which trimming is worth the milliseconds that it takes.
const MIN_IDLED_TO_TRIM: usize = 1_000;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim_heap() {
    // SAFETY: takes a number, and locks the arenas that it inspects.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators return memory by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim_heap() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming_is_due_once_after_many_connections_become_idle() {
        let heap_trimmer = HeapTrimmer::default();
        (1..MIN_IDLED_TO_TRIM).for_each(|_| heap_trimmer.count_idle());
        assert!(!heap_trimmer.is_due() && !heap_trimmer.is_due());
        heap_trimmer.count_idle();
        assert!(!heap_trimmer.is_due());
        heap_trimmer.count_idle();
        assert!(!heap_trimmer.is_due());
        assert!(heap_trimmer.is_due());
        assert!(!heap_trimmer.is_due());
    }
}

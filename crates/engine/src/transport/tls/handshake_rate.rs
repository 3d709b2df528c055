//! Measures how densely new TLS handshakes arrive.

use std::cell::Cell;

/// The number of handshakes in the current interval and in the previous one.
#[derive(Default)]
pub(super) struct HandshakeRate {
    /// The number of the current interval, counted from the start of the clock.
    interval: Cell<u64>,
    current_count: Cell<u32>,
    previous_count: Cell<u32>,
}

impl HandshakeRate {
    /// Counts a handshake that has started at `now`, in milliseconds.
    pub fn count(&self, now: u64) {
        self.advance(now);
        self.current_count.set(self.current_count.get().saturating_add(1));
    }

    /// Whether the previous interval had at least `MIN_DENSE_HANDSHAKES`.
    pub fn is_dense(&self, now: u64) -> bool {
        self.advance(now);
        self.previous_count.get() >= MIN_DENSE_HANDSHAKES
    }

    fn advance(&self, now: u64) {
        let interval = now / INTERVAL_MS;
        let passed = interval.saturating_sub(self.interval.get());
        if passed > 0 {
            self.interval.set(interval);
            let last = self.current_count.take();
            self.previous_count.set(if passed == 1 { last } else { 0 });
        }
    }
}

/// The length of an interval, in milliseconds. Two handshakes in a millisecond are dense: each
/// wakes the thread three times, with its `ClientHello`, its end and its response.
const INTERVAL_MS: u64 = 8;
/// The number of handshakes from which on an interval is dense.
const MIN_DENSE_HANDSHAKES: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(rate: &HandshakeRate, from: u64, count: u32) {
        (0..count).for_each(|_| rate.count(from));
    }

    #[test]
    fn a_dense_interval_counts_during_the_next_one_only() {
        let rate = HandshakeRate::default();
        begin(&rate, 0, MIN_DENSE_HANDSHAKES);
        assert!(!rate.is_dense(INTERVAL_MS - 1), "the interval is not over");
        assert!(rate.is_dense(INTERVAL_MS));
        assert!(rate.is_dense(2 * INTERVAL_MS - 1));
        assert!(!rate.is_dense(2 * INTERVAL_MS), "none started in the last interval");
    }

    #[test]
    fn few_or_long_past_handshakes_are_not_dense() {
        let rate = HandshakeRate::default();
        begin(&rate, 0, MIN_DENSE_HANDSHAKES - 1);
        assert!(!rate.is_dense(INTERVAL_MS));
        begin(&rate, INTERVAL_MS, MIN_DENSE_HANDSHAKES);
        assert!(!rate.is_dense(5 * INTERVAL_MS));
    }
}

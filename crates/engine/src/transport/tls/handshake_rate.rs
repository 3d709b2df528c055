//! How fast clients begin that begin to speak TLS.

use std::cell::Cell;

/// Those that have begin in this while, and in the one previous.
#[derive(Default)]
pub(super) struct HandshakeRate {
    /// Its number, counted from the beginning.
    interval: Cell<u64>,
    now: Cell<u32>,
    previous: Cell<u32>,
}

impl HandshakeRate {
    /// Counts one that has begin at `now`, in milliseconds.
    pub fn count(&self, now: u64) {
        self.advance(now);
        self.now.set(self.now.get().saturating_add(1));
    }

    /// Whether one hardly came without another in the last while that is over.
    pub fn is_dense(&self, now: u64) -> bool {
        self.advance(now);
        self.previous.get() >= MIN_DENSE_HANDSHAKES
    }

    fn advance(&self, now: u64) {
        let interval = now / INTERVAL_MS;
        let passed = interval.saturating_sub(self.interval.get());
        if passed > 0 {
            self.interval.set(interval);
            let last = self.now.take();
            self.previous.set(if passed == 1 { last } else { 0 });
        }
    }
}

/// Two in a millisecond are dense: each handshake is heard of three times, by its hello, its end and its answer.
const INTERVAL_MS: u64 = 8;
const MIN_DENSE_HANDSHAKES: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(rate: &HandshakeRate, from: u64, count: u32) {
        (0..count).for_each(|_| rate.count(from));
    }

    #[test]
    fn many_in_a_while_are_dense_in_the_next_and_no_longer() {
        let rate = HandshakeRate::default();
        begin(&rate, 0, MIN_DENSE_HANDSHAKES);
        assert!(!rate.is_dense(INTERVAL_MS - 1), "the while is not over");
        assert!(rate.is_dense(INTERVAL_MS));
        assert!(rate.is_dense(2 * INTERVAL_MS - 1));
        assert!(!rate.is_dense(2 * INTERVAL_MS), "nobody came in the last");
    }

    #[test]
    fn few_are_not_dense_nor_are_many_of_long_ago() {
        let rate = HandshakeRate::default();
        begin(&rate, 0, MIN_DENSE_HANDSHAKES - 1);
        assert!(!rate.is_dense(INTERVAL_MS));
        begin(&rate, INTERVAL_MS, MIN_DENSE_HANDSHAKES);
        assert!(!rate.is_dense(5 * INTERVAL_MS));
    }
}

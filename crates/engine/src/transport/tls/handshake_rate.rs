//! How fast clients come that begin to speak TLS.

use std::cell::Cell;

/// Those that have come in this while, and in the one before.
#[derive(Default)]
pub(super) struct Pace {
    /// Its number, counted from the beginning.
    current: Cell<u64>,
    now: Cell<u32>,
    before: Cell<u32>,
}

impl Pace {
    /// Counts one that has come at `now`, in milliseconds.
    pub fn count(&self, now: u64) {
        self.go_on(now);
        self.now.set(self.now.get().saturating_add(1));
    }

    /// Whether one hardly came without another in the last while that is over.
    pub fn is_dense(&self, now: u64) -> bool {
        self.go_on(now);
        self.before.get() >= DENSE
    }

    fn go_on(&self, now: u64) {
        let current = now / WHILE_MS;
        let passed = current.saturating_sub(self.current.get());
        if passed > 0 {
            self.current.set(current);
            let last = self.now.take();
            self.before.set(if passed == 1 { last } else { 0 });
        }
    }
}

/// Two in a millisecond are dense: each handshake is heard of three times, by its hello, its end and its answer.
const WHILE_MS: u64 = 8;
const DENSE: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn come(pace: &Pace, from: u64, count: u32) {
        (0..count).for_each(|_| pace.count(from));
    }

    #[test]
    fn many_in_a_while_are_dense_in_the_next_and_no_longer() {
        let pace = Pace::default();
        come(&pace, 0, DENSE);
        assert!(!pace.is_dense(WHILE_MS - 1), "the while is not over");
        assert!(pace.is_dense(WHILE_MS));
        assert!(pace.is_dense(2 * WHILE_MS - 1));
        assert!(!pace.is_dense(2 * WHILE_MS), "nobody came in the last");
    }

    #[test]
    fn few_are_not_dense_nor_are_many_of_long_ago() {
        let pace = Pace::default();
        come(&pace, 0, DENSE - 1);
        assert!(!pace.is_dense(WHILE_MS));
        come(&pace, WHILE_MS, DENSE);
        assert!(!pace.is_dense(5 * WHILE_MS));
    }
}

//! How long an acceptor waits after a failure for lack of descriptors or memory, and how often it
//! reports one.

/// The pause between attempts, which doubles with each failure.
pub(super) struct Backoff {
    /// The pause after the next failure.
    pause_ms: u64,
    /// The time until which a failure is not reported again, in microseconds.
    silent_until_us: u64,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { pause_ms: MIN_PAUSE_MS, silent_until_us: 0 }
    }

    /// Starts with the shortest pause again, after a success.
    pub(super) fn reset(&mut self) {
        self.pause_ms = MIN_PAUSE_MS;
    }

    /// Returns until when to pause after a failure, in microseconds, and whether to report it.
    pub(super) fn fail(&mut self, now_us: u64) -> (u64, bool) {
        let until_us = now_us + self.pause_ms * 1_000;
        self.pause_ms = (self.pause_ms * 2).min(MAX_PAUSE_MS);
        let is_reported = self.silent_until_us <= now_us;
        if is_reported {
            self.silent_until_us = now_us + REPORT_INTERVAL_US;
        }
        (until_us, is_reported)
    }
}

/// The first pause, in milliseconds.
const MIN_PAUSE_MS: u64 = 50;
/// The longest pause, in milliseconds.
const MAX_PAUSE_MS: u64 = 1_000;
/// The shortest time between two reports, in microseconds.
const REPORT_INTERVAL_US: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_a_second_and_starts_again_after_a_success() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..7).map(|_| backoff.fail(0).0 / 1_000).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_000, 1_000]);
        backoff.reset();
        assert_eq!(backoff.fail(0).0, 50_000);
    }

    #[test]
    fn a_failure_is_reported_at_most_every_ten_seconds() {
        let mut backoff = Backoff::new();
        let reported = [1, 9_999_999, 10_000_001, 10_000_002].map(|now_us| backoff.fail(now_us).1);
        assert_eq!(reported, [true, false, true, false]);
    }
}

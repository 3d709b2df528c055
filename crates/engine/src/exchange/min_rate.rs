//! Minimum data rate of one direction of a connection or stream. It limits the time without a byte
//! and the average rate.

use std::time::Duration;

use crate::pressure::limits::Limits;

/// Limits of one direction. Zero turns a limit off.
#[derive(Clone, Copy)]
pub(crate) struct RateBounds {
    /// Maximum milliseconds without a byte.
    pub max_silence_ms: u64,
    /// Minimum average rate in bytes per second.
    pub min_bytes_per_sec: u64,
    /// Milliseconds from the start before the rate is enforced.
    pub grace_ms: u64,
}

impl RateBounds {
    /// Returns the limits of sending a request body: `body_timeout` and `body_min_rate`.
    pub fn of_body(limits: &Limits) -> Self {
        Self::new(limits.settings.body_timeout, limits.settings.body_min_rate, limits.rate_grace)
    }

    /// Returns the limits of reading a response: `write_timeout` and `write_min_rate`.
    pub fn of_response(limits: &Limits) -> Self {
        Self::new(limits.settings.write_timeout, limits.settings.write_min_rate, limits.rate_grace)
    }

    fn new(silence: Duration, rate: u64, grace: Duration) -> Self {
        Self {
            max_silence_ms: silence.as_millis() as u64,
            min_bytes_per_sec: rate,
            grace_ms: grace.as_millis() as u64,
        }
    }
}

/// The clock of one direction. Each byte extends the deadline by the time that it takes at the
/// minimum rate. The deadline is at most the grace, or the maximum silence if that is longer, from
/// now: a client that was fast for a while cannot be slow forever.
#[derive(Clone, Copy)]
pub(crate) struct MinRate {
    /// When the last bytes arrived, in milliseconds of the context's clock; 0 before the first
    /// start.
    last_moved_at: u64,
    /// When the average rate is missed if no more bytes arrive, in milliseconds of the context's
    /// clock.
    rate_deadline: u64,
    state: ClockState,
}

/// Whether bytes are expected.
#[derive(Clone, Copy, PartialEq)]
enum ClockState {
    /// No bytes are expected.
    Off,
    /// The client must send or read bytes.
    Running,
    /// Paused since this time, in milliseconds: no bytes are expected until the clock resumes.
    Paused(u64),
}

impl MinRate {
    /// A clock that does not run.
    pub const OFF: Self = Self { last_moved_at: 0, rate_deadline: 0, state: ClockState::Off };

    /// Starts the clock at `now`, from which on the client must send or read bytes.
    pub fn start(&mut self, now: u64, bounds: RateBounds) {
        *self = Self {
            last_moved_at: now,
            rate_deadline: now + bounds.grace_ms,
            state: ClockState::Running,
        };
    }

    /// Stops the clock, because no more bytes are expected.
    pub fn stop(&mut self) {
        self.state = ClockState::Off;
    }

    /// Whether the clock is stopped.
    pub fn is_off(&self) -> bool {
        self.state == ClockState::Off
    }

    /// Whether the client must send or read bytes now.
    pub fn is_running(&self) -> bool {
        self.state == ClockState::Running
    }

    /// Whether the clock is paused.
    pub fn is_paused(&self) -> bool {
        matches!(self.state, ClockState::Paused(_))
    }

    /// Returns since when the client has been late, without a byte or below the minimum rate.
    /// `u64::MAX` while no bytes are expected.
    pub fn late_since(&self, bounds: RateBounds) -> u64 {
        if !self.is_running() {
            return u64::MAX;
        }
        let rate_met_until = if bounds.min_bytes_per_sec > 0 {
            self.rate_deadline.saturating_sub(bounds.grace_ms)
        } else {
            u64::MAX
        };
        self.last_moved_at.min(rate_met_until)
    }

    /// Returns when the last bytes arrived, in milliseconds of the context's clock; 0 before the
    /// first start.
    pub fn last_moved_at(&self) -> u64 {
        self.last_moved_at
    }

    /// Pauses the clock until [`Self::resume`].
    pub fn pause(&mut self, now: u64) {
        if self.is_running() {
            self.state = ClockState::Paused(now);
        }
    }

    /// Resumes a paused clock. The time of the pause does not count.
    pub fn resume(&mut self, now: u64) {
        if let ClockState::Paused(since) = self.state {
            self.last_moved_at += now - since;
            self.rate_deadline += now - since;
            self.state = ClockState::Running;
        }
    }

    /// Records bytes that the client has sent or read.
    pub fn record_bytes(&mut self, now: u64, bytes: u64, bounds: RateBounds) {
        self.last_moved_at = now;
        if let Some(earned_ms) = (bytes * 1_000).checked_div(bounds.min_bytes_per_sec) {
            self.rate_deadline = (self.rate_deadline + earned_ms)
                .min(now + bounds.grace_ms.max(bounds.max_silence_ms));
        }
    }

    /// Returns when the client becomes too slow if no more bytes arrive; `u64::MAX` while no bytes
    /// are expected.
    pub fn deadline(&self, bounds: RateBounds) -> u64 {
        if !self.is_running() {
            return u64::MAX;
        }
        let silence_deadline = if bounds.max_silence_ms > 0 {
            self.last_moved_at + bounds.max_silence_ms
        } else {
            u64::MAX
        };
        let rate_deadline =
            if bounds.min_bytes_per_sec > 0 { self.rate_deadline } else { u64::MAX };
        silence_deadline.min(rate_deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: RateBounds =
        RateBounds { max_silence_ms: 30_000, min_bytes_per_sec: 500, grace_ms: 20_000 };

    /// Returns when a client that sends `bytes` each second from `start` on becomes too slow.
    fn too_slow_at(clock: &mut MinRate, start: u64, bytes: u64) -> Option<u64> {
        for now in (start..start + 300_000).step_by(1_000) {
            if clock.deadline(BOUNDS) <= now {
                return Some(now);
            }
            clock.record_bytes(now, bytes, BOUNDS);
        }
        None
    }

    #[test]
    fn a_silent_client_is_too_slow_after_the_maximum_silence() {
        let mut clock = MinRate::OFF;
        clock.start(1_000, BOUNDS);
        clock.record_bytes(5_000, 1_000_000, BOUNDS);
        assert_eq!(clock.deadline(BOUNDS), 35_000);
    }

    #[test]
    fn a_client_of_one_byte_a_second_is_too_slow_after_the_grace() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        assert_eq!(too_slow_at(&mut clock, 0, 1), Some(21_000));
    }

    #[test]
    fn a_client_at_the_minimum_rate_is_fast_enough() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        assert_eq!(too_slow_at(&mut clock, 0, 500), None);
    }

    #[test]
    fn a_burst_does_not_excuse_a_slow_client_forever() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        clock.record_bytes(10, 100_000_000, BOUNDS);
        let end = too_slow_at(&mut clock, 1_000, 1).unwrap();
        assert!(end <= 40_000, "{end}");
    }

    #[test]
    fn a_pause_does_not_count_against_the_client() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        clock.pause(10_000);
        assert_eq!(clock.deadline(BOUNDS), u64::MAX);
        clock.resume(100_000);
        assert_eq!(clock.deadline(BOUNDS), 110_000);
    }

    #[test]
    fn a_silent_or_slow_client_is_late() {
        let mut clock = MinRate::OFF;
        assert_eq!(clock.late_since(BOUNDS), u64::MAX);
        clock.start(1_000, BOUNDS);
        assert_eq!(clock.late_since(BOUNDS), 1_000);
        clock.record_bytes(9_000, 1_000, BOUNDS);
        assert_eq!(
            clock.late_since(BOUNDS),
            3_000,
            "the bytes take two seconds at the minimum rate"
        );
        clock.record_bytes(10_000, 1_000_000, BOUNDS);
        assert_eq!(clock.late_since(BOUNDS), 10_000, "the client is late only from now on");
        assert_eq!(clock.late_since(RateBounds { min_bytes_per_sec: 0, ..BOUNDS }), 10_000);
        clock.pause(11_000);
        assert_eq!(clock.late_since(BOUNDS), u64::MAX);
    }

    #[test]
    fn zero_turns_a_limit_off() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        assert_eq!(clock.deadline(RateBounds { max_silence_ms: 0, ..BOUNDS }), 20_000);
        assert_eq!(
            clock.deadline(RateBounds { max_silence_ms: 0, min_bytes_per_sec: 0, ..BOUNDS }),
            u64::MAX
        );
    }
}

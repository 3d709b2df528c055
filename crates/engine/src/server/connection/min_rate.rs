//! Minimum data rate of one direction of a connection: no silence beyond a bound, and an average
//! rate.

use std::time::Duration;

use crate::pressure::limits::Limits;

/// Bounds of one direction; zero turns a bound off.
#[derive(Clone, Copy)]
pub(crate) struct RateBounds {
    /// Maximum milliseconds without a byte.
    pub silence: u64,
    /// Minimum bytes per second.
    pub rate: u64,
    /// Milliseconds before the rate is enforced.
    pub grace: u64,
}

impl RateBounds {
    /// Returns the bounds of a request body.
    pub fn of_body(limits: &Limits) -> Self {
        Self::new(limits.settings.body_timeout, limits.settings.body_min_rate, limits.rate_grace)
    }

    /// Returns the bounds of reading a response.
    pub fn of_response(limits: &Limits) -> Self {
        Self::new(limits.settings.write_timeout, limits.settings.write_min_rate, limits.rate_grace)
    }

    fn new(silence: Duration, rate: u64, grace: Duration) -> Self {
        Self { silence: silence.as_millis() as u64, rate, grace: grace.as_millis() as u64 }
    }
}

/// The clock of one direction. Each byte extends the deadline by the rate, but never beyond the
/// initial time: a client that was fast for a while cannot be slow forever.
#[derive(Clone, Copy)]
pub(crate) struct MinRate {
    /// When bytes moved last, in milliseconds of the context's clock.
    last_moved_at: u64,
    /// When the average rate will have been missed.
    rate_deadline: u64,
    state: ClockState,
}

#[derive(Clone, Copy, PartialEq)]
enum ClockState {
    Off,
    Running,
    /// Paused since this time: the other side is not expected to move bytes.
    Paused(u64),
}

impl MinRate {
    pub const OFF: Self = Self { last_moved_at: 0, rate_deadline: 0, state: ClockState::Off };

    /// Starts the clock: bytes are expected from now on.
    pub fn start(&mut self, now: u64, bounds: RateBounds) {
        *self = Self {
            last_moved_at: now,
            rate_deadline: now + bounds.grace,
            state: ClockState::Running,
        };
    }

    pub fn stop(&mut self) {
        self.state = ClockState::Off;
    }

    pub fn is_off(&self) -> bool {
        self.state == ClockState::Off
    }

    pub fn is_running(&self) -> bool {
        self.state == ClockState::Running
    }

    pub fn is_paused(&self) -> bool {
        matches!(self.state, ClockState::Paused(_))
    }

    /// Since when the other side has been late: without a byte, or below the rate. `u64::MAX` while
    /// no bytes are expected.
    pub fn late_since(&self, bounds: RateBounds) -> u64 {
        if !self.is_running() {
            return u64::MAX;
        }
        let paid = if bounds.rate > 0 {
            self.rate_deadline.saturating_sub(bounds.grace)
        } else {
            u64::MAX
        };
        self.last_moved_at.min(paid)
    }

    /// When bytes moved last; 0 before the first start.
    pub fn last_moved_at(&self) -> u64 {
        self.last_moved_at
    }

    /// Pauses the clock until [`Self::resume`].
    pub fn pause(&mut self, now: u64) {
        if self.is_running() {
            self.state = ClockState::Paused(now);
        }
    }

    /// Resumes the clock; the pause does not count against the other side.
    pub fn resume(&mut self, now: u64) {
        if let ClockState::Paused(since) = self.state {
            self.last_moved_at += now - since;
            self.rate_deadline += now - since;
            self.state = ClockState::Running;
        }
    }

    pub fn record_bytes(&mut self, now: u64, bytes: u64, bounds: RateBounds) {
        self.last_moved_at = now;
        if let Some(bought) = (bytes * 1_000).checked_div(bounds.rate) {
            self.rate_deadline =
                (self.rate_deadline + bought).min(now + bounds.grace.max(bounds.silence));
        }
    }

    /// When the other side is too slow, if no byte moves until then.
    pub fn deadline(&self, bounds: RateBounds) -> u64 {
        if !self.is_running() {
            return u64::MAX;
        }
        let silent =
            if bounds.silence > 0 { self.last_moved_at + bounds.silence } else { u64::MAX };
        let slow = if bounds.rate > 0 { self.rate_deadline } else { u64::MAX };
        silent.min(slow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: RateBounds = RateBounds { silence: 30_000, rate: 500, grace: 20_000 };

    /// Returns when a side that sends `bytes` each second from `start` on becomes too slow.
    fn given_up(clock: &mut MinRate, start: u64, bytes: u64) -> Option<u64> {
        for now in (start..start + 300_000).step_by(1_000) {
            if clock.deadline(BOUNDS) <= now {
                return Some(now);
            }
            clock.record_bytes(now, bytes, BOUNDS);
        }
        None
    }

    #[test]
    fn silence_ends_it_after_its_time() {
        let mut clock = MinRate::OFF;
        clock.start(1_000, BOUNDS);
        clock.record_bytes(5_000, 1_000_000, BOUNDS);
        assert_eq!(clock.deadline(BOUNDS), 35_000);
    }

    #[test]
    fn a_drip_ends_it_soon_after_the_grace() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        assert_eq!(given_up(&mut clock, 0, 1), Some(21_000));
    }

    #[test]
    fn the_rate_itself_is_fast_enough() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        assert_eq!(given_up(&mut clock, 0, 500), None);
    }

    #[test]
    fn a_burst_does_not_buy_a_drip_for_ever() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        clock.record_bytes(10, 100_000_000, BOUNDS);
        let end = given_up(&mut clock, 1_000, 1).unwrap();
        assert!(end <= 40_000, "{end}");
    }

    #[test]
    fn a_pause_is_not_the_other_sides() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        clock.pause(10_000);
        assert_eq!(clock.deadline(BOUNDS), u64::MAX);
        clock.resume(100_000);
        assert_eq!(clock.deadline(BOUNDS), 110_000);
    }

    #[test]
    fn who_is_silent_or_drips_is_behind() {
        let mut clock = MinRate::OFF;
        assert_eq!(clock.late_since(BOUNDS), u64::MAX);
        clock.start(1_000, BOUNDS);
        assert_eq!(clock.late_since(BOUNDS), 1_000);
        clock.record_bytes(9_000, 1_000, BOUNDS);
        assert_eq!(clock.late_since(BOUNDS), 3_000, "two seconds are paid for");
        clock.record_bytes(10_000, 1_000_000, BOUNDS);
        assert_eq!(clock.late_since(BOUNDS), 10_000, "it may be silent from now on");
        assert_eq!(clock.late_since(RateBounds { rate: 0, ..BOUNDS }), 10_000);
        clock.pause(11_000);
        assert_eq!(clock.late_since(BOUNDS), u64::MAX);
    }

    #[test]
    fn zero_turns_a_bound_off() {
        let mut clock = MinRate::OFF;
        clock.start(0, BOUNDS);
        assert_eq!(clock.deadline(RateBounds { silence: 0, ..BOUNDS }), 20_000);
        assert_eq!(clock.deadline(RateBounds { silence: 0, rate: 0, ..BOUNDS }), u64::MAX);
    }
}

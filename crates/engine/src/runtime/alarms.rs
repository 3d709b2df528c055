//! The alarms of a loop: the times at which it does something by itself. Each kind has one alarm.
//! The deadlines of connections are in the timer wheel, which one of these alarms advances.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What a loop does at a time of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Alarm {
    /// Advance the timer wheel, and write the logs.
    Clock,
    /// Deliver the events that have waited to be batched.
    Batch,
    /// Read the ring while JavaScript processes a batch.
    Ring,
    /// Dispatch the requests that have waited long enough for their bodies. The wheel is too coarse
    /// for `request_buffer_time`.
    BodyBuffering,
    /// Abort the TLS handshakes that have taken too long. They are not in the table of connections,
    /// whose ids the wheel knows.
    Handshakes,
    /// Check whether the process can exit, because the arbiter has died.
    Orphan,
    /// Reject the requests that have waited too long while the worker is overloaded.
    LateRequests,
}

/// The alarms that are set.
#[derive(Default)]
pub(crate) struct Alarms([Cell<Option<Instant>>; ALL.len()]);

impl Alarms {
    /// Sets an alarm, unless it is set to an earlier time.
    pub fn set(&self, alarm: Alarm, time: Instant) {
        let set = &self.0[alarm as usize];
        set.set(Some(set.get().map_or(time, |earlier| earlier.min(time))));
    }

    /// Sets an alarm to `after` from now, unless it is set.
    pub fn set_if_unset(&self, alarm: Alarm, after: Duration) {
        if !self.is_set(alarm) {
            self.set(alarm, Instant::now() + after);
        }
    }

    /// Whether an alarm is set.
    pub fn is_set(&self, alarm: Alarm) -> bool {
        self.0[alarm as usize].get().is_some()
    }

    /// The time of the next alarm; `None` if no alarm is set.
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().filter_map(Cell::get).min()
    }

    /// Removes and returns an alarm that is due.
    pub fn take_due(&self, now: Instant) -> Option<Alarm> {
        let is_due = |alarm: &Alarm| self.0[*alarm as usize].get().is_some_and(|time| time <= now);
        let due = ALL.into_iter().find(is_due)?;
        self.0[due as usize].set(None);
        Some(due)
    }
}

const ALL: [Alarm; 7] = [
    Alarm::Clock,
    Alarm::Batch,
    Alarm::Ring,
    Alarm::BodyBuffering,
    Alarm::Handshakes,
    Alarm::Orphan,
    Alarm::LateRequests,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_due_once_at_its_earliest_time() {
        let alarms = Alarms::default();
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        alarms.set(Alarm::Clock, after(100));
        alarms.set(Alarm::Orphan, after(30));
        alarms.set(Alarm::Orphan, after(60));
        alarms.set(Alarm::Orphan, after(20));
        assert_eq!(alarms.next(), Some(after(20)));
        assert_eq!(alarms.take_due(after(19)), None);
        assert_eq!(alarms.take_due(after(20)), Some(Alarm::Orphan));
        assert_eq!(alarms.take_due(after(99)), None);
        assert_eq!(alarms.take_due(after(101)), Some(Alarm::Clock));
        assert_eq!(alarms.next(), None);
    }

    #[test]
    fn an_alarm_that_is_set_keeps_its_time() {
        let alarms = Alarms::default();
        let time = Instant::now();
        alarms.set(Alarm::Ring, time);
        alarms.set_if_unset(Alarm::Ring, Duration::from_secs(1));
        assert_eq!(alarms.next(), Some(time));
        for (index, alarm) in ALL.into_iter().enumerate() {
            assert_eq!(alarm as usize, index);
        }
    }
}

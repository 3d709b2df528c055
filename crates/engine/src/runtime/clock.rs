//! The clock of a loop. It is read once for each turn, because a request needs the time several
//! times.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The time of this turn. Deadlines count in milliseconds since the start of the loop.
pub(crate) struct Clock {
    started: Instant,
    now: Cell<Instant>,
    /// `now` in milliseconds since `started`.
    now_ms: Cell<u64>,
    /// Whether `now` must be read again, because the thread has slept or finished a turn.
    is_stale: Cell<bool>,
}

impl Clock {
    /// Starts the clock.
    pub fn start() -> Self {
        let started = Instant::now();
        let (now, now_ms, is_stale) = (Cell::new(started), Cell::new(0), Cell::new(false));
        Self { started, now, now_ms, is_stale }
    }

    /// Returns the time of this turn.
    pub fn now(&self) -> Instant {
        if self.is_stale.get() {
            self.refresh();
        }
        self.now.get()
    }

    /// Returns the time of this turn as deadlines count.
    pub fn now_ms(&self) -> u64 {
        if self.is_stale.get() {
            self.refresh();
        }
        self.now_ms.get()
    }

    /// Reads the time now.
    pub fn refresh(&self) {
        let now = Instant::now();
        self.now.set(now);
        self.now_ms.set(self.to_ms(now));
        self.is_stale.set(false);
    }

    /// Notes that the turn has ended, or taken a while.
    pub fn mark_stale(&self) {
        self.is_stale.set(true);
    }

    /// Returns the deadline `after` from now.
    pub fn deadline(&self, after: Duration) -> u64 {
        self.now_ms() + after.as_millis() as u64
    }

    /// Converts a time to a deadline.
    pub fn to_ms(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.started).as_millis() as u64
    }

    /// Converts a deadline to a time.
    pub fn to_time(&self, deadline_ms: u64) -> Instant {
        self.started + Duration::from_millis(deadline_ms)
    }
}

//! Decides when a worker is overloaded, by how long requests wait for JavaScript (setting
//! `queue_delay_target`). Times are arguments, so that tests need no clock.
//!
//! The rule is that of RFC 8289: a long wait alone is a burst, and only a wait that does not fall
//! below the target for an interval is a persistent queue. Two conditions are added. The queue must
//! have grown meanwhile: after a garbage collection or a burst it shrinks by itself. And the newest
//! requests always stay, so that an application with slow handlers keeps some work.

use std::time::Duration;

/// Watches the waits of the requests of a worker.
#[derive(Debug, Default)]
pub(crate) struct QueueDelay {
    /// The target in microseconds; 0 turns the check off.
    target_us: u64,
    /// The queue since a request last waited less than the target.
    persistent: Option<PersistentQueue>,
    /// Whether the worker is overloaded.
    is_overloaded: bool,
    /// The rejections that the log reports.
    episode: Option<Episode>,
}

/// A queue in which each request has waited longer than the target.
#[derive(Debug)]
struct PersistentQueue {
    /// When the queue was shortest.
    shortest_at_us: u64,
    /// Its length then.
    shortest: u64,
    /// By how many requests it has grown since. A request that was withdrawn counts as waiting:
    /// its client would have been served by a worker that is not overloaded.
    growth: i64,
}

/// Rejections as the log reports them. Pauses shorter than [`REPORT_PAUSE_US`] are part of it.
#[derive(Debug)]
struct Episode {
    began_us: u64,
    /// When a request was last rejected.
    ended_us: u64,
    /// The longest wait at the beginning.
    wait_us: u64,
    /// Requests that were rejected.
    rejected: u64,
    /// Requests that JavaScript has taken.
    taken: u64,
    /// The same until the last rejection.
    taken_at_end: u64,
    is_begin_reported: bool,
}

/// A line for the log.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Report {
    Begin(String),
    End(String),
}

impl QueueDelay {
    /// Creates the check for a target; zero turns it off.
    pub fn new(target: Duration) -> Self {
        Self { target_us: target.as_micros() as u64, ..Self::default() }
    }

    /// Records that requests begin to wait, or are refused because too many are in flight.
    pub fn record_arrivals(&mut self, count: u64) {
        if let Some(persistent) = &mut self.persistent {
            persistent.growth += count as i64;
        }
    }

    /// Records that JavaScript takes `count` requests that have each waited for `wait_us`, and that
    /// `waiting` others wait.
    pub fn record_taken(&mut self, now_us: u64, wait_us: u64, count: u64, waiting: usize) {
        if self.target_us == 0 {
            return;
        }
        if let Some(episode) = &mut self.episode {
            episode.taken += count;
        }
        if wait_us <= self.target_us {
            return self.record_short_wait();
        }
        let begin = PersistentQueue { shortest_at_us: now_us, shortest: waiting as u64, growth: 0 };
        let Some(persistent) = &mut self.persistent else {
            self.persistent = Some(begin);
            return;
        };
        persistent.growth -= count as i64;
        if persistent.growth <= 0 {
            *persistent = begin;
        } else if now_us.saturating_sub(persistent.shortest_at_us) >= INTERVAL_US {
            let min_growth = (persistent.shortest / MIN_GROWTH_DIVISOR).max(MIN_QUEUE as u64);
            self.is_overloaded |= persistent.growth as u64 >= min_growth;
        }
    }

    /// Records that JavaScript found no request, or one that has waited less than the target.
    pub fn record_short_wait(&mut self) {
        self.persistent = None;
        self.is_overloaded = false;
    }

    /// Returns the wait in microseconds after which a request is rejected; `None` without overload.
    pub fn max_wait_us(&self) -> Option<u64> {
        self.is_overloaded.then_some(self.target_us * 2)
    }

    /// Records requests that were rejected, and the longest of their waits.
    pub fn record_rejected(&mut self, now_us: u64, count: u64, wait_us: u64) {
        let episode = self.episode.get_or_insert(Episode {
            began_us: now_us,
            ended_us: now_us,
            wait_us,
            rejected: 0,
            taken: 0,
            taken_at_end: 0,
            is_begin_reported: false,
        });
        episode.rejected += count;
        (episode.ended_us, episode.taken_at_end) = (now_us, episode.taken);
    }

    /// Returns when the state must be looked at again, in microseconds from `now_us`; `None` if
    /// nothing is to be rejected or reported.
    pub fn next_check_us(&self, now_us: u64) -> Option<u64> {
        if self.is_overloaded {
            return Some(CHECK_INTERVAL_US);
        }
        let episode = self.episode.as_ref()?;
        Some((episode.ended_us + REPORT_PAUSE_US).saturating_sub(now_us))
    }

    /// Returns the log line of rejections that have begun or ended since the last call.
    pub fn take_report(&mut self, now_us: u64) -> Option<Report> {
        let target_ms = self.target_us / 1_000;
        let episode = self.episode.as_mut()?;
        if !episode.is_begin_reported {
            episode.is_begin_reported = true;
            return Some(Report::Begin(format!(
                "overload: requests have waited longer for JavaScript than queue_delay_target \
                 {target_ms}ms for {}ms, now up to {}ms: those that wait longer than {}ms get a \
                 503",
                INTERVAL_US / 1_000,
                episode.wait_us / 1_000,
                target_ms * 2,
            )));
        }
        if now_us.saturating_sub(episode.ended_us) < REPORT_PAUSE_US {
            return None;
        }
        let Episode { began_us, ended_us, rejected, taken_at_end, .. } = self.episode.take()?;
        let seconds = ended_us.saturating_sub(began_us) as f64 / 1e6;
        Some(Report::End(format!(
            "overload has ended after {seconds:.1}s: {rejected} of {} requests got a 503",
            rejected + taken_at_end
        )))
    }
}

/// Time for which each wait must be above the target, in microseconds. With the default target,
/// rejections begin before clients that give up after 1 s have done so.
const INTERVAL_US: u64 = 500_000;
/// The queue must have grown by its length divided by this: less can be chance.
const MIN_GROWTH_DIVISOR: u64 = 4;
/// Interval at which an overloaded worker looks for requests to reject, in microseconds.
const CHECK_INTERVAL_US: u64 = 10_000;
/// Time without rejections after which the log reports their end, in microseconds.
const REPORT_PAUSE_US: u64 = 3_000_000;
/// Number of waiting requests that are never rejected: the newest ones. The queue must also have
/// grown by this number.
pub(crate) const MIN_QUEUE: usize = 8;

#[cfg(test)]
mod tests;

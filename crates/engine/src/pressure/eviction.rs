//! Decides who must go when a worker is short of something. There is one order: clients that have
//! stalled go first, those that stalled longest before others; then idle connections; then clients
//! that keep up.

use std::cmp::Reverse;

/// What a worker is short of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shortage {
    /// File descriptors: an accepted connection takes one of the reserve, or none is left.
    Descriptors,
    /// More TLS handshakes than `limit_handshakes` are in progress.
    Handshakes,
    /// Many more TLS handshakes than `limit_handshakes` are in progress.
    HandshakesBadly,
    /// `worker_connections` requests are in flight.
    RequestSlots,
    /// Clients make the worker hold more than `buffer_memory`.
    Memory,
}

/// What progress a client makes, in the order of eviction.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Progress {
    /// The client owes bytes, or does not read its response. The time of its last progress, in
    /// milliseconds of the context's clock.
    Stalled { since: u64 },
    /// The connection waits for its next request, until this time.
    Idle { until: u64 },
    /// The client has made the worker hold memory since this time. Those that have done so for a
    /// while go first. Among these, the newest go first, so that a flood evicts itself.
    Holding { is_new: bool, since: Reverse<u64> },
}

/// One connection, handshake or stream that can be evicted.
pub(crate) struct Candidate<T> {
    pub victim: T,
    pub progress: Progress,
    /// How much of what is short its eviction frees.
    pub frees: usize,
}

impl Progress {
    /// Returns the progress of a client that has made the worker hold memory since `held_since`.
    /// `stalled_since` is the time of its last progress; `u64::MAX` if nothing is expected of it.
    pub fn of_holder(stalled_since: u64, held_since: u64, now: u64) -> Self {
        if has_stalled(stalled_since, now) {
            return Self::Stalled { since: stalled_since };
        }
        let is_new = !has_passed(held_since, SETTLED_MS, now);
        Self::Holding { is_new, since: Reverse(held_since) }
    }
}

impl Shortage {
    /// Whether such a client may be evicted for the shortage. Shortly after a start or
    /// a burst, no client can have stalled for long: such a shortage is one of capacity, and the
    /// newcomer is refused instead.
    fn may_evict(self, progress: Progress, now: u64) -> bool {
        let min_stall_ms = match self {
            Self::Descriptors | Self::HandshakesBadly | Self::Memory => return true,
            Self::Handshakes => SETTLED_MS,
            Self::RequestSlots => STALLED_MS,
        };
        matches!(progress, Progress::Stalled { since } if has_passed(since, min_stall_ms, now))
    }

    /// Chooses the candidates to evict, in the order of their progress: as few as free `amount`.
    pub fn choose<T>(self, amount: usize, mut candidates: Vec<Candidate<T>>, now: u64) -> Vec<T> {
        candidates.retain(|one| self.may_evict(one.progress, now));
        let first = |one: &Candidate<T>| one.progress;
        // Each frees at least 1. Of many candidates, only those that may be needed are sorted.
        if amount > 0 && amount < candidates.len() {
            candidates.select_nth_unstable_by_key(amount - 1, first);
            candidates.truncate(amount);
        }
        candidates.sort_unstable_by_key(first);
        let mut missing = amount;
        candidates
            .into_iter()
            .take_while(|one| {
                let is_needed = missing > 0;
                missing = missing.saturating_sub(one.frees);
                is_needed
            })
            .map(|one| one.victim)
            .collect()
    }
}

/// Whether a client whose last progress was at `since` has stalled.
pub(crate) fn has_stalled(since: u64, now: u64) -> bool {
    has_passed(since, STALLED_MS, now)
}

/// Whether `duration_ms` have passed at `now` since `since`, which is `u64::MAX` for never.
fn has_passed(since: u64, duration_ms: u64, now: u64) -> bool {
    since.saturating_add(duration_ms) <= now
}

/// Time without progress after which a client has stalled. The engine checks every two seconds how
/// much a client has read.
const STALLED_MS: u64 = 5_000;
/// Time after which a client has had its chance: a handshake or a response that is older is slow.
const SETTLED_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 100_000;

    fn candidate(victim: &'static str, progress: Progress) -> Candidate<&'static str> {
        Candidate { victim, progress, frees: 1 }
    }

    fn holder(
        victim: &'static str,
        stalled_since: u64,
        held_since: u64,
    ) -> Candidate<&'static str> {
        candidate(victim, Progress::of_holder(stalled_since, held_since, NOW))
    }

    #[test]
    fn those_that_stalled_longest_go_first_then_idle_ones_then_those_that_keep_up() {
        let all = || {
            vec![
                holder("new", u64::MAX, NOW - 10),
                holder("old", u64::MAX, NOW - 60_000),
                holder("flood", u64::MAX, NOW - 2_000),
                candidate("idle", Progress::Idle { until: NOW + 10 }),
                candidate("kept", Progress::Idle { until: NOW + 900 }),
                candidate("stalled", Progress::Stalled { since: NOW - 7_000 }),
                candidate("long stalled", Progress::Stalled { since: NOW - 9_000 }),
            ]
        };
        let order = ["long stalled", "stalled", "idle", "kept", "flood", "old", "new"];
        for amount in 0..=order.len() {
            let chosen = Shortage::Memory.choose(amount, all(), NOW);
            assert_eq!(chosen, order[..amount]);
        }
        assert_eq!(Shortage::Memory.choose(99, all(), NOW).len(), order.len());
    }

    #[test]
    fn no_more_are_evicted_than_free_the_amount() {
        let sizes = [400, 30, 500, 1];
        let all = sizes.iter().enumerate().map(|(since, frees)| Candidate {
            victim: *frees,
            progress: Progress::Stalled { since: since as u64 },
            frees: *frees,
        });
        assert_eq!(Shortage::Memory.choose(401, all.collect(), NOW), [400, 30]);
    }

    #[test]
    fn a_request_slot_is_taken_only_from_a_client_that_has_stalled() {
        let others = || {
            vec![
                holder("holds", u64::MAX, 0),
                candidate("idle", Progress::Idle { until: 0 }),
                candidate("slow", Progress::Stalled { since: NOW - STALLED_MS + 1 }),
            ]
        };
        assert!(Shortage::RequestSlots.choose(1, others(), NOW).is_empty());
        let mut all = others();
        all.push(candidate("stalled", Progress::Stalled { since: NOW - STALLED_MS }));
        assert_eq!(Shortage::RequestSlots.choose(9, all, NOW), ["stalled"]);
    }

    #[test]
    fn a_young_handshake_is_evicted_only_if_handshakes_are_badly_short() {
        let young = || vec![candidate("young", Progress::Stalled { since: NOW - 999 })];
        assert!(Shortage::Handshakes.choose(1, young(), NOW).is_empty());
        assert_eq!(Shortage::HandshakesBadly.choose(1, young(), NOW), ["young"]);
        let old = vec![candidate("old", Progress::Stalled { since: NOW - 1_000 })];
        assert_eq!(Shortage::Handshakes.choose(1, old, NOW), ["old"]);
    }

    #[test]
    fn a_holder_that_reads_has_not_stalled() {
        let at = |stalled_since| Progress::of_holder(stalled_since, NOW - 60_000, NOW);
        let reads = Progress::Holding { is_new: false, since: Reverse(NOW - 60_000) };
        assert_eq!(at(u64::MAX), reads);
        assert_eq!(at(NOW - STALLED_MS + 1), reads);
        assert_eq!(at(NOW - STALLED_MS), Progress::Stalled { since: NOW - STALLED_MS });
    }
}

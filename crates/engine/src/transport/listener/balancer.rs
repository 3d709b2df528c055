//! Decides which worker takes the next connection.
//!
//! A worker takes it if its own count then stays within `slack` of the least loaded worker's.
//! Otherwise the connection stays in the queue, and this worker kicks the least loaded one. The
//! counts are read without memory ordering, so two workers may each take a connection where only
//! one should. The next decisions even that out.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use crate::scoreboard::{SlotCells, SlotRef, WorkerState};

/// What to do with a connection in the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// This worker takes it.
    Take,
    /// The worker with this index has fewer connections.
    LeaveToLeastLoaded(usize),
    /// This worker's JavaScript lags; the worker with this index has the fewest connections of
    /// those whose JavaScript does not.
    LeaveToResponsive(usize),
}

/// The result of a kick.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KickOutcome {
    /// The worker has no pending kick: signal it now.
    Send,
    /// The worker has a pending kick and may still acknowledge it; check again at that time.
    Pending { recheck_at_us: u64 },
    /// The worker does not acknowledge its kick. Decisions ignore it until it does.
    Unresponsive,
}

/// Compares this worker's load with that of the others.
pub(super) struct Balancer {
    slot: SlotRef,
    /// With this many requests in flight, a worker is not responsive.
    max_in_flight: u32,
    /// Whether the process with this id cannot run.
    is_stopped: fn(u32) -> bool,
}

impl Balancer {
    pub(super) fn new(slot: SlotRef, max_in_flight: u32, is_stopped: fn(u32) -> bool) -> Self {
        Self { slot, max_in_flight, is_stopped }
    }

    /// Decides about one connection.
    pub(super) fn decide(&self, now_us: u64) -> Decision {
        let all = self.slot.board().cells();
        let own = self.slot.index();
        let (mut responsive, mut any) = (None, None);
        for (index, cells) in all.iter().enumerate() {
            if index == own || !accepts_connections(cells) {
                continue;
            }
            let found = Some((cells.connections.load(Relaxed), index));
            if self.is_responsive(cells, now_us) {
                responsive = less_loaded(responsive, found);
            }
            any = less_loaded(any, found);
        }
        let is_responsive = self.is_responsive(&all[own], now_us);
        let rival = match responsive {
            Some((_, index)) if !is_responsive => return Decision::LeaveToResponsive(index),
            // If no worker is responsive, all share as if all were.
            None if !is_responsive => any,
            _ => responsive,
        };
        let mine = all[own].connections.load(Relaxed);
        match rival {
            Some((theirs, index))
                if mine.saturating_add(1) > theirs.saturating_add(slack(theirs)) =>
            {
                Decision::LeaveToLeastLoaded(index)
            }
            _ => Decision::Take,
        }
    }

    /// The least loaded of the other workers that accept connections.
    pub(super) fn least_loaded_other(&self) -> Option<usize> {
        let all = self.slot.board().cells().iter().enumerate();
        all.filter(|(index, cells)| *index != self.slot.index() && accepts_connections(cells))
            .min_by_key(|(_, cells)| cells.connections.load(Relaxed))
            .map(|(index, _)| index)
    }

    /// Records a kick of the worker with this index. If it does not acknowledge the kick soon, the
    /// system is asked for its state. A stopped or exited process counts as unresponsive at once.
    /// On a machine with more busy threads than processors, a running one may only wait for its
    /// turn and must not lose its share.
    pub(super) fn kick(&self, index: usize, now_us: u64) -> KickOutcome {
        let cells = &self.slot.board().cells()[index];
        let kicked = &cells.kicked_at_us;
        let Err(at_us) = kicked.compare_exchange(0, now_us.max(1), Relaxed, Relaxed) else {
            return KickOutcome::Send;
        };
        let waited_us = now_us.saturating_sub(at_us);
        if at_us == UNRESPONSIVE {
            return KickOutcome::Unresponsive;
        }
        if waited_us < KICK_TIMEOUT_US {
            return KickOutcome::Pending { recheck_at_us: at_us + KICK_TIMEOUT_US };
        }
        if waited_us < MAX_SCHEDULING_DELAY_US && !(self.is_stopped)(cells.pid.load(Relaxed)) {
            return KickOutcome::Pending { recheck_at_us: now_us + KICK_TIMEOUT_US };
        }
        match kicked.compare_exchange(at_us, UNRESPONSIVE, Relaxed, Relaxed) {
            Ok(_) => KickOutcome::Unresponsive,
            // It has just acknowledged the kick, or another worker has kicked it.
            Err(_) => KickOutcome::Pending { recheck_at_us: now_us + KICK_TIMEOUT_US },
        }
    }

    /// Clears a kick of this worker and its `UNRESPONSIVE` mark: it runs.
    pub(super) fn acknowledge_kicks(&self) {
        let kicked = &self.slot.cells().kicked_at_us;
        if kicked.load(Relaxed) != 0 {
            kicked.store(0, Relaxed);
        }
    }

    /// Publishes whether this worker accepts connections at all.
    pub(super) fn set_accept_paused(&self, accept_paused: bool) {
        self.slot.cells().accept_paused.store(u32::from(accept_paused), Relaxed);
    }

    fn is_responsive(&self, cells: &SlotCells, now_us: u64) -> bool {
        let since_ms = cells.waiting_since_ms.load(Relaxed);
        let waits_us = now_us.saturating_sub(since_ms.saturating_mul(1_000));
        let lags = since_ms != 0 && waits_us > MAX_JS_LAG_US;
        !lags && cells.in_flight.load(Relaxed) < self.max_in_flight
    }
}

fn accepts_connections(cells: &SlotCells) -> bool {
    cells.state() == WorkerState::Accepting
        && cells.accept_paused.load(Relaxed) == 0
        && cells.kicked_at_us.load(Relaxed) != UNRESPONSIVE
}

/// The worker with fewer connections of two; the one with the lower index if they are equal.
fn less_loaded(a: Option<(u32, usize)>, b: Option<(u32, usize)>) -> Option<(u32, usize)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

/// How many connections more than the least loaded worker one may have. The balance is exact for
/// few connections, and costs fewer kicks for many.
fn slack(least: u32) -> u32 {
    (least / 10).max(1)
}

/// Whether a process is stopped by a signal or a debugger, or has exited (`proc_pid_stat(5)`). If
/// the state cannot be read, the process counts as running.
pub(super) fn is_stopped(pid: u32) -> bool {
    match std::fs::read(format!("/proc/{pid}/stat")) {
        // The state follows the name, which is in parentheses and may contain any byte.
        Ok(stat) => {
            let name_end = stat.iter().rposition(|byte| *byte == b')');
            let state = name_end.and_then(|end| stat.get(end + 2));
            state.is_some_and(|state| b"TtZXx".contains(state))
        }
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// How long a worker that has a processor may take to acknowledge a kick, in microseconds.
pub(super) const KICK_TIMEOUT_US: u64 = 5_000;

/// How long a worker that can run may wait for a processor, in microseconds.
const MAX_SCHEDULING_DELAY_US: u64 = 50_000;

/// How long a request may wait for JavaScript before its worker counts as lagging, in microseconds.
const MAX_JS_LAG_US: u64 = 100_000;

/// The value of `kicked_at_us` for a worker that does not acknowledge its kicks.
const UNRESPONSIVE: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::Board;

    fn workers(connections: &[u32]) -> (Board, Balancer) {
        let board = Board::create(8).unwrap();
        for (number, count) in (1..).zip(connections) {
            board.claim(number, number).unwrap();
            let slot = board.slot(number).unwrap();
            slot.set_state(WorkerState::Accepting);
            (0..*count).for_each(|_| slot.connection_opened());
        }
        let balancer = Balancer::new(board.slot(1).unwrap(), 100, |_| true);
        (board, balancer)
    }

    #[test]
    fn the_least_loaded_worker_takes() {
        assert_eq!(workers(&[0, 0, 0]).1.decide(0), Decision::Take);
        assert_eq!(workers(&[3, 3, 4]).1.decide(0), Decision::Take);
        assert_eq!(workers(&[7]).1.decide(0), Decision::Take, "there is no other worker");
    }

    #[test]
    fn a_worker_beyond_slack_yields_to_the_least_loaded() {
        assert_eq!(workers(&[1, 0, 0]).1.decide(0), Decision::LeaveToLeastLoaded(1));
        assert_eq!(workers(&[4, 4, 3]).1.decide(0), Decision::LeaveToLeastLoaded(2));
    }

    #[test]
    fn slack_is_a_tenth_of_many() {
        assert_eq!(workers(&[109, 100]).1.decide(0), Decision::Take);
        assert_eq!(workers(&[110, 100]).1.decide(0), Decision::LeaveToLeastLoaded(1));
    }

    #[test]
    fn only_workers_that_accept_are_asked() {
        let (board, balancer) = workers(&[5, 0, 1, 2]);
        board.slot(2).unwrap().set_state(WorkerState::Draining);
        assert_eq!(balancer.decide(0), Decision::LeaveToLeastLoaded(2));
        Balancer::new(board.slot(3).unwrap(), 100, |_| true).set_accept_paused(true);
        assert_eq!(balancer.decide(0), Decision::LeaveToLeastLoaded(3));
        assert_eq!(balancer.least_loaded_other(), Some(3));
        board.release(4).unwrap();
        assert_eq!(balancer.decide(0), Decision::Take);
        assert_eq!(balancer.least_loaded_other(), None);
    }

    #[test]
    fn an_unacknowledged_kick_marks_a_worker_unresponsive() {
        let (board, balancer) = workers(&[5, 0]);
        assert_eq!(balancer.kick(1, 1_000), KickOutcome::Send);
        assert_eq!(balancer.kick(1, 2_000), KickOutcome::Pending { recheck_at_us: 6_000 });
        assert_eq!(balancer.decide(5_999), Decision::LeaveToLeastLoaded(1));
        assert_eq!(balancer.kick(1, 6_000), KickOutcome::Unresponsive);
        assert_eq!(balancer.kick(1, 6_001), KickOutcome::Unresponsive);
        assert_eq!(balancer.decide(6_001), Decision::Take);
        Balancer::new(board.slot(2).unwrap(), 100, |_| true).acknowledge_kicks();
        assert_eq!(balancer.decide(6_002), Decision::LeaveToLeastLoaded(1));
        assert_eq!(balancer.kick(1, 7_000), KickOutcome::Send);
    }

    #[test]
    fn a_worker_waiting_for_a_processor_gets_more_time() {
        let (board, _) = workers(&[5, 0]);
        let balancer = Balancer::new(board.slot(1).unwrap(), 100, |_| false);
        assert_eq!(balancer.kick(1, 1_000), KickOutcome::Send);
        assert_eq!(balancer.kick(1, 6_000), KickOutcome::Pending { recheck_at_us: 11_000 });
        assert_eq!(balancer.kick(1, 50_999), KickOutcome::Pending { recheck_at_us: 55_999 });
        assert_eq!(balancer.decide(50_999), Decision::LeaveToLeastLoaded(1));
        assert_eq!(balancer.kick(1, 51_000), KickOutcome::Unresponsive);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_stopped_or_exited_process_is_detected() {
        assert!(!is_stopped(std::process::id()));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!is_stopped(child.id()));
        child.kill().unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        // Killed but not waited for: a zombie.
        while !is_stopped(child.id()) {
            assert!(std::time::Instant::now() < end);
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(is_stopped(child.id()));
    }

    #[test]
    fn a_worker_whose_javascript_lags_yields_to_those_that_keep_up() {
        let (board, balancer) = workers(&[0, 9, 8]);
        let now_us = 10_000_000;
        board.slot(1).unwrap().set_waiting_since(9_950);
        assert_eq!(balancer.decide(now_us), Decision::Take, "50 ms are no lag");
        board.slot(1).unwrap().set_waiting_since(9_800);
        assert_eq!(balancer.decide(now_us), Decision::LeaveToResponsive(2));
        board.slot(3).unwrap().set_waiting_since(9_800);
        assert_eq!(balancer.decide(now_us), Decision::LeaveToResponsive(1));
        let other = Balancer::new(board.slot(2).unwrap(), 100, |_| true);
        assert_eq!(other.decide(now_us), Decision::Take, "lagging workers are not compared");
        board.slot(2).unwrap().set_waiting_since(1);
        assert_eq!(balancer.decide(now_us), Decision::Take, "all lag: they share as if none did");
        assert_eq!(other.decide(now_us), Decision::LeaveToLeastLoaded(0));
    }

    #[test]
    fn a_worker_at_its_request_limit_yields() {
        let (board, balancer) = workers(&[0, 9]);
        (0..100).for_each(|_| board.slot(1).unwrap().request_started());
        assert_eq!(balancer.decide(0), Decision::LeaveToResponsive(1));
        board.slot(1).unwrap().response_sent();
        assert_eq!(balancer.decide(0), Decision::Take);
    }
}

//! The health of the server, as a worker knows it without JavaScript.

use std::sync::atomic::Ordering::Relaxed;

use super::{Board, SlotRef, WorkerState, monotonic_us};

/// One check of the server's health.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// What is checked.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub is_ok: bool,
}

/// What the arbiter wants, for the checks of the workers.
#[derive(Clone, Copy, Debug)]
pub struct ServerState {
    /// Number of workers that the server is to have.
    pub wanted_workers: u32,
    /// Whether the server is about to stop.
    pub is_stopping: bool,
    /// The setting `timeout` in milliseconds; 0 turns it off.
    pub timeout_ms: u32,
}

impl Board {
    /// Publishes what the arbiter wants. Counts as a heartbeat of the arbiter. Only the arbiter may
    /// call it.
    pub fn publish_server_state(&self, state: ServerState) {
        let header = self.header();
        header.wanted_workers.store(state.wanted_workers, Relaxed);
        header.is_stopping.store(u32::from(state.is_stopping), Relaxed);
        header.timeout_ms.store(state.timeout_ms, Relaxed);
        header.arbiter_beat_ms.store(monotonic_us() / 1_000, Relaxed);
    }

    /// Checks whether the server is ready for requests: it does not stop, and at least half of the
    /// workers accept connections.
    #[must_use]
    pub fn check_readiness(&self) -> [HealthCheck; 2] {
        let header = self.header();
        let wanted = header.wanted_workers.load(Relaxed) as usize;
        let accepting =
            self.cells().iter().filter(|slot| slot.state() == WorkerState::Accepting).count();
        // Without an arbiter this process is the only one, and it accepts.
        let has_no_arbiter = header.arbiter_beat_ms.load(Relaxed) == 0;
        [
            HealthCheck {
                name: "workers",
                is_ok: has_no_arbiter || (accepting > 0 && accepting * 2 >= wanted),
            },
            HealthCheck { name: "stopping", is_ok: header.is_stopping.load(Relaxed) == 0 },
        ]
    }
}

impl SlotRef {
    /// Checks whether this worker is alive: its event loop is not blocked for longer than the
    /// setting `timeout`, and the arbiter's loop turns. A `timeout` of 0 turns the first check off.
    #[must_use]
    pub fn check_liveness(&self) -> [HealthCheck; 2] {
        let now_ms = monotonic_us() / 1_000;
        let age_ms = |beat_ms: u64| now_ms.saturating_sub(beat_ms);
        let header = self.board().header();
        let timeout_ms = u64::from(header.timeout_ms.load(Relaxed));
        let arbiter_beat_ms = header.arbiter_beat_ms.load(Relaxed);
        // Without an arbiter there are no heartbeats.
        let has_no_arbiter = arbiter_beat_ms == 0;
        let beat_ms = self.cells().beat_ms.load(Relaxed);
        [
            HealthCheck {
                name: "event_loop",
                is_ok: has_no_arbiter || timeout_ms == 0 || age_ms(beat_ms) <= timeout_ms,
            },
            HealthCheck {
                name: "arbiter",
                is_ok: has_no_arbiter || age_ms(arbiter_beat_ms) <= ARBITER_TIMEOUT_MS,
            },
        ]
    }
}

/// The arbiter publishes its state each second; after this time its loop counts as blocked.
const ARBITER_TIMEOUT_MS: u64 = 10_000;

//! The scoreboard in JavaScript. Slots are numbered from 1, as workers are; a wrong number is an
//! error, never memory of somebody else.

use std::io;

use monoceros_engine::scoreboard::{Board, Counters, LatencyHistogram, SlotRef, WorkerState};
use napi_derive::napi;

use crate::system_error::system_error;

/// What the arbiter and its workers share: heartbeats, load and counters.
#[napi]
pub struct Scoreboard {
    board: Board,
}

/// A slot as it was when it was read.
#[napi(object)]
pub struct SlotView {
    /// Counts the processes that have had the slot.
    pub generation: u32,
    pub pid: u32,
    /// 0 free, 1 booting, 2 accepting, 3 draining, 4 gone.
    pub state: u32,
    /// Since the JavaScript thread last stamped the slot.
    pub beat_age_ms: f64,
    /// Open connections.
    pub connections: u32,
    /// Requests in hand.
    pub busy: u32,
    /// Requests finished.
    pub requests: f64,
    pub bytes_in: f64,
    pub bytes_out: f64,
    /// Finished requests by class of status: 1xx to 5xx.
    pub status: Vec<f64>,
}

/// All that was ever counted, by the living and the dead.
#[napi(object)]
pub struct Totals {
    /// Connections accepted.
    pub accepted: f64,
    /// Requests finished.
    pub requests: f64,
    pub bytes_in: f64,
    pub bytes_out: f64,
    /// Finished requests by class of status: 1xx to 5xx.
    pub status: Vec<f64>,
    /// From a request's head to its answer's end, in all.
    pub latency_sum_us: f64,
    /// Bucket i: requests below 2^i microseconds that bucket i - 1 does not hold; the last: the rest.
    pub latency_buckets: Vec<f64>,
}

#[napi]
impl Scoreboard {
    /// Makes the shared memory for so many workers.
    #[napi(factory, catch_unwind)]
    pub fn create(slots: u32) -> napi::Result<Self, String> {
        Board::create(slots).map(|board| Self { board }).map_err(|error| failed(&error))
    }

    /// Maps the shared memory behind an inherited descriptor.
    #[napi(factory, catch_unwind)]
    pub fn open(fd: i32, slots: u32) -> napi::Result<Self, String> {
        Board::open(fd, slots).map(|board| Self { board }).map_err(|error| failed(&error))
    }

    /// The descriptor to hand to workers.
    #[napi(getter)]
    pub fn fd(&self) -> i32 {
        self.board.fd()
    }

    /// How many workers there is room for.
    #[napi(getter)]
    pub fn slots(&self) -> u32 {
        self.board.slots()
    }

    /// The descriptors to hand to workers, by which their acceptors are kicked: that of slot n is
    /// number n - 1. Empty if this process has not created the scoreboard, or the system has none.
    #[napi(catch_unwind)]
    pub fn kick_fds(&self) -> Vec<i32> {
        self.board.kick_fds()
    }

    /// Wakes the acceptor of a slot.
    #[napi(catch_unwind)]
    pub fn kick(&self, slot: u32) -> napi::Result<(), String> {
        self.board.kick(slot).map_err(|error| failed(&error))
    }

    /// Wakes every acceptor.
    #[napi(catch_unwind)]
    pub fn kick_all(&self) -> napi::Result<(), String> {
        (1..=self.board.slots()).try_for_each(|slot| self.kick(slot))
    }

    /// Takes a free slot for a process, in the state booting. Returns the slot's new generation.
    #[napi(catch_unwind)]
    pub fn claim(&self, slot: u32, pid: u32) -> napi::Result<u32, String> {
        self.board.claim(slot, pid).map_err(|error| failed(&error))
    }

    /// Frees the slot of a process that has been waited for; its counts go to the totals.
    #[napi(catch_unwind)]
    pub fn release(&self, slot: u32) -> napi::Result<(), String> {
        self.board.release(slot).map_err(|error| failed(&error))
    }

    /// 0 free, 1 booting, 2 accepting, 3 draining, 4 gone.
    #[napi(catch_unwind)]
    pub fn set_state(&self, slot: u32, state: u32) -> napi::Result<(), String> {
        let state = WorkerState::from_number(state).ok_or_else(|| {
            failed(&io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("no state has number {state}"),
            ))
        })?;
        self.slot(slot)?.set_state(state);
        Ok(())
    }

    /// Says that the JavaScript thread of that slot runs.
    #[napi(catch_unwind)]
    pub fn beat(&self, slot: u32) -> napi::Result<(), String> {
        self.slot(slot)?.beat();
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn read(&self, slot: u32) -> napi::Result<SlotView, String> {
        let view = self.slot(slot)?.snapshot();
        Ok(SlotView {
            generation: view.generation,
            pid: view.pid,
            state: view.state as u32,
            beat_age_ms: view.beat_age_ms as f64,
            connections: view.connections,
            busy: view.in_flight,
            requests: view.counters.requests as f64,
            bytes_in: view.counters.bytes_in as f64,
            bytes_out: view.counters.bytes_out as f64,
            status: floats(&view.counters.status),
        })
    }

    #[napi(catch_unwind)]
    pub fn totals(&self) -> Totals {
        let Counters { accepted, requests, bytes_in, bytes_out, status, latency } =
            self.board.totals();
        Totals {
            accepted: accepted as f64,
            requests: requests as f64,
            bytes_in: bytes_in as f64,
            bytes_out: bytes_out as f64,
            status: floats(&status),
            latency_sum_us: latency.sum_us as f64,
            latency_buckets: floats(&latency.buckets),
        }
    }

    /// Goes on from the totals of an earlier arbiter.
    #[napi(catch_unwind)]
    pub fn absorb(&self, earlier: Totals) {
        let Totals { accepted, requests, bytes_in, bytes_out, status, .. } = &earlier;
        self.board.absorb(&Counters {
            accepted: *accepted as u64,
            requests: *requests as u64,
            bytes_in: *bytes_in as u64,
            bytes_out: *bytes_out as u64,
            status: counts(status),
            latency: LatencyHistogram {
                sum_us: earlier.latency_sum_us as u64,
                buckets: counts(&earlier.latency_buckets),
            },
        });
    }

    fn slot(&self, number: u32) -> napi::Result<SlotRef, String> {
        self.board.slot(number).map_err(|error| failed(&error))
    }
}

fn failed(error: &io::Error) -> napi::Error<String> {
    system_error("scoreboard", "", error)
}

/// Exact up to 2^53, which a counter does not reach.
fn floats(numbers: &[u64]) -> Vec<f64> {
    numbers.iter().map(|number| *number as f64).collect()
}

/// What another version of the package counted in more or fewer classes: the missing are 0.
fn counts<const N: usize>(numbers: &[f64]) -> [u64; N] {
    std::array::from_fn(|index| numbers.get(index).map_or(0, |number| *number as u64))
}

//! The scoreboard as a JavaScript class. Slots are numbered from 1, as workers are. A number out of
//! range is an error and never accesses other memory.

use std::io;

use monoceros_engine::scoreboard::{Board, Counters, ServerState, SlotRef, WorkerState};
use monoceros_engine::transport::transfer::TransferSockets;
use napi::bindgen_prelude::Float64Array;
use napi_derive::napi;

use crate::system_error::system_error;

/// The memory that the arbiter and its workers share: heartbeats, load and counters.
#[napi]
pub struct Scoreboard {
    board: Board,
    /// The sockets over which workers transfer connections; only the arbiter has them.
    transfers: Option<TransferSockets>,
}

/// The sockets over which workers transfer connections to each other, in the order of the slots.
#[napi(object)]
pub struct TransferFds {
    /// Where the worker of each slot receives connections.
    pub inboxes: Vec<i32>,
    /// Where the other workers send connections for it.
    pub outboxes: Vec<i32>,
}

/// The values of a slot when it was read.
#[napi(object)]
pub struct SlotView {
    /// Number of processes that have owned the slot so far.
    pub generation: u32,
    /// Process id of the owner of the slot, or 0 if the slot is free.
    pub pid: u32,
    /// Life-cycle state: 0 free, 1 booting, 2 accepting, 3 draining, 4 gone.
    pub state: u32,
    /// Milliseconds since the last heartbeat of the JavaScript thread.
    pub beat_age_ms: f64,
    /// Number of open connections.
    pub connections: u32,
    /// Number of requests in flight.
    pub in_flight: u32,
    /// Number of completed requests.
    pub requests: f64,
    /// Number of bytes received in requests.
    pub bytes_in: f64,
    /// Number of bytes sent in responses.
    pub bytes_out: f64,
}

/// Sum of the counters of all running workers and all released slots.
#[napi(object)]
pub struct Totals {
    /// Number of accepted connections.
    pub accepted: f64,
    /// Number of completed requests.
    pub requests: f64,
    /// Number of bytes received in requests.
    pub bytes_in: f64,
    /// Number of bytes sent in responses.
    pub bytes_out: f64,
}

#[napi]
impl Scoreboard {
    /// Creates the shared memory for this number of workers.
    #[napi(factory, catch_unwind)]
    pub fn create(slots: u32) -> napi::Result<Self, String> {
        Board::create(slots).map(Self::of).map_err(|error| scoreboard_error(&error))
    }

    /// Maps the shared memory of an inherited descriptor.
    #[napi(factory, catch_unwind)]
    pub fn open(fd: i32, slots: u32) -> napi::Result<Self, String> {
        Board::open(fd, slots).map(Self::of).map_err(|error| scoreboard_error(&error))
    }

    /// Returns the descriptor of the shared memory, which workers inherit.
    #[napi(getter)]
    pub fn fd(&self) -> i32 {
        self.board.fd()
    }

    /// Returns the maximum number of workers.
    #[napi(getter)]
    pub fn slots(&self) -> u32 {
        self.board.slots()
    }

    /// Returns the event descriptors that workers inherit: element n - 1 kicks the acceptor of slot
    /// n. The list is empty if this process did not create the scoreboard, or on systems without
    /// event descriptors.
    #[napi(catch_unwind)]
    pub fn kick_fds(&self) -> Vec<i32> {
        self.board.kick_fds()
    }

    /// Returns the sockets over which workers transfer connections to each other. The first call
    /// creates them.
    #[napi(catch_unwind)]
    pub fn transfer_fds(&mut self) -> napi::Result<TransferFds, String> {
        let sockets = match self.transfers.take() {
            Some(sockets) => sockets,
            None => TransferSockets::create(self.board.slots())
                .map_err(|error| system_error("socketpair", "", &error))?,
        };
        let sockets = self.transfers.insert(sockets);
        Ok(TransferFds {
            inboxes: sockets.inboxes().collect(),
            outboxes: sockets.outboxes().collect(),
        })
    }

    /// Passes on the connections that have been transferred to workers which have exited.
    #[napi(catch_unwind)]
    pub fn rescue_transfers(&self) {
        if let Some(sockets) = &self.transfers {
            sockets.rescue(&self.board);
        }
    }

    /// Wakes the acceptor of a slot.
    #[napi(catch_unwind)]
    pub fn kick(&self, slot: u32) -> napi::Result<(), String> {
        self.board.kick(slot).map_err(|error| scoreboard_error(&error))
    }

    /// Wakes the acceptors of all slots.
    #[napi(catch_unwind)]
    pub fn kick_all(&self) -> napi::Result<(), String> {
        (1..=self.board.slots()).try_for_each(|slot| self.kick(slot))
    }

    /// Claims a free slot for a process, in the state "booting". Returns the new generation of the
    /// slot.
    #[napi(catch_unwind)]
    pub fn claim(&self, slot: u32, pid: u32) -> napi::Result<u32, String> {
        self.board.claim(slot, pid).map_err(|error| scoreboard_error(&error))
    }

    /// Frees the slot of a process that has been reaped and adds its counters to the totals.
    #[napi(catch_unwind)]
    pub fn release(&self, slot: u32) -> napi::Result<(), String> {
        self.board.release(slot).map_err(|error| scoreboard_error(&error))
    }

    /// Sets the life-cycle state: 0 free, 1 booting, 2 accepting, 3 draining, 4 gone.
    #[napi(catch_unwind)]
    pub fn set_state(&self, slot: u32, state: u32) -> napi::Result<(), String> {
        let state = WorkerState::from_number(state).ok_or_else(|| {
            scoreboard_error(&io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("no state has number {state}"),
            ))
        })?;
        self.slot(slot)?.set_state(state);
        Ok(())
    }

    /// Records a heartbeat of the JavaScript thread of this slot.
    #[napi(catch_unwind)]
    pub fn beat(&self, slot: u32) -> napi::Result<(), String> {
        self.slot(slot)?.beat();
        Ok(())
    }

    /// Reads the values of a slot.
    #[napi(catch_unwind)]
    pub fn read(&self, slot: u32) -> napi::Result<SlotView, String> {
        let view = self.slot(slot)?.snapshot();
        Ok(SlotView {
            generation: view.generation,
            pid: view.pid,
            state: view.state as u32,
            beat_age_ms: view.beat_age_ms as f64,
            connections: view.connections,
            in_flight: view.in_flight,
            requests: view.counters.requests as f64,
            bytes_in: view.counters.bytes_in as f64,
            bytes_out: view.counters.bytes_out as f64,
        })
    }

    /// Returns the sum of the counters of all running workers and all released slots.
    #[napi(catch_unwind)]
    pub fn totals(&self) -> Totals {
        let Counters { accepted, requests, bytes_in, bytes_out } = self.board.totals();
        Totals {
            accepted: accepted as f64,
            requests: requests as f64,
            bytes_in: bytes_in as f64,
            bytes_out: bytes_out as f64,
        }
    }

    /// Returns the numbers of the series of requests in the order of their indices: status code in
    /// the lowest 12 bits, then 8 bits for the method, then the protocol.
    #[napi(catch_unwind)]
    pub fn series_keys(&self) -> Vec<u32> {
        self.board.series_keys()
    }

    /// Returns the metrics of a slot, or with 0 those of all released slots: the cells of the
    /// metrics table, then the buckets and the sum of each of the first `series` series.
    #[napi(catch_unwind)]
    pub fn read_metrics(&self, slot: u32, series: u32) -> napi::Result<Float64Array, String> {
        self.board
            .read_metrics(slot, series as usize)
            .map(|values| values.into_iter().map(|value| value as f64).collect::<Vec<_>>().into())
            .map_err(|error| scoreboard_error(&error))
    }

    /// Publishes the wanted number of workers, whether the server is about to stop and the setting
    /// `timeout`, for the health checks of the workers. It counts as the arbiter's heartbeat.
    #[napi(catch_unwind)]
    pub fn publish_server_state(&self, wanted_workers: u32, is_stopping: bool, timeout_ms: u32) {
        self.board.publish_server_state(ServerState { wanted_workers, is_stopping, timeout_ms });
    }

    /// Adds the totals of the scoreboard of an earlier arbiter, whose processes have exited.
    #[napi(catch_unwind)]
    pub fn absorb_board(&self, earlier: &Scoreboard) {
        self.board.absorb_board(&earlier.board);
    }

    /// Adds the totals of an earlier arbiter, so that the totals continue across an upgrade.
    #[napi(catch_unwind)]
    pub fn absorb(&self, earlier: Totals) {
        let Totals { accepted, requests, bytes_in, bytes_out } = earlier;
        self.board.absorb(&Counters {
            accepted: accepted as u64,
            requests: requests as u64,
            bytes_in: bytes_in as u64,
            bytes_out: bytes_out as u64,
        });
    }

    fn of(board: Board) -> Self {
        Self { board, transfers: None }
    }

    fn slot(&self, number: u32) -> napi::Result<SlotRef, String> {
        self.board.slot(number).map_err(|error| scoreboard_error(&error))
    }
}

fn scoreboard_error(error: &io::Error) -> napi::Error<String> {
    system_error("scoreboard", "", error)
}

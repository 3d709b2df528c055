//! The scoreboard: memory that the arbiter shares with all its workers.
//!
//! A worker writes its own slot and reads the load of the others. The arbiter reads all slots for
//! timeouts, metrics and status, and alone writes the header. Nothing here blocks, and no value
//! orders another: every access is a relaxed atomic, so a reader may see two counters of different
//! moments. Requests that need a reply use the arbiter's socket pair instead.
//!
//! Slots are numbered from 1, as workers are.

mod cells;
mod health;
pub mod layout;
mod mapping;
mod metrics;
mod sessions;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use cells::Header;
pub(crate) use cells::SlotCells;
pub use cells::WorkerState;
pub use health::{HealthCheck, ServerState};
pub use layout::Histogram;
use mapping::Mapping;
pub(crate) use metrics::SeriesCache;
pub use metrics::{FinishedRequest, SeriesKey, find_method, find_protocol};
pub use sessions::{SessionHash, Sessions};

/// The scoreboard, mapped into this process. Clones share the mapping.
#[derive(Clone)]
pub struct Board {
    inner: Arc<BoardInner>,
}

/// The slot of one worker: its threads write it, other processes read it.
#[derive(Clone)]
pub struct SlotRef {
    board: Board,
    number: u32,
}

/// The values of a slot at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotSnapshot {
    /// How many processes have had the slot.
    pub generation: u32,
    /// The process that has the slot, 0 for none.
    pub pid: u32,
    /// The state of that process.
    pub state: WorkerState,
    /// Milliseconds since the JavaScript thread last sent a heartbeat.
    pub beat_age_ms: u64,
    /// The number of open connections.
    pub connections: u32,
    /// The number of requests in flight.
    pub in_flight: u32,
    /// The counters of the process.
    pub counters: Counters,
}

/// Counters that only grow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Accepted connections.
    pub accepted: u64,
    /// Finished requests.
    pub requests: u64,
    /// Bytes received in requests.
    pub bytes_in: u64,
    /// Bytes sent in responses.
    pub bytes_out: u64,
}

struct BoardInner {
    mapping: Mapping,
    slots: u32,
    /// One event descriptor for each slot, in the process that created the board; empty elsewhere.
    kick_fds: Vec<OwnedFd>,
}

impl Board {
    /// Creates a board for `slots` workers, with an event descriptor for each.
    ///
    /// # Errors
    ///
    /// When the count is out of range, or the system gives no memory or no descriptors.
    pub fn create(slots: u32) -> io::Result<Self> {
        if slots == 0 || slots > MAX_SLOTS {
            return Err(invalid(format!("slots must be 1 to {MAX_SLOTS}, got {slots}")));
        }
        let mapping = Mapping::create(mapped_len(slots))?;
        mapping.header().write(slots);
        let kick_fds =
            (0..slots).map(|_| mapping::create_kick_fd()).collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            inner: Arc::new(BoardInner {
                mapping,
                slots,
                kick_fds: kick_fds.into_iter().flatten().collect(),
            }),
        })
    }

    /// Maps the board of an inherited descriptor. A board with another layout or another number of
    /// slots is refused: arbiter and worker may be of two versions of the package.
    ///
    /// # Errors
    ///
    /// When the descriptor is no such board, or cannot be mapped.
    pub fn open(fd: RawFd, slots: u32) -> io::Result<Self> {
        if slots == 0 || slots > MAX_SLOTS {
            return Err(invalid(format!("slots must be 1 to {MAX_SLOTS}, got {slots}")));
        }
        let mapping = Mapping::open(fd, mapped_len(slots))?;
        mapping.header().check(slots).map_err(invalid)?;
        Ok(Self { inner: Arc::new(BoardInner { mapping, slots, kick_fds: Vec::new() }) })
    }

    /// The slot with this number, 1 to `slots()`.
    ///
    /// # Errors
    ///
    /// When there is no slot with this number.
    pub fn slot(&self, number: u32) -> io::Result<SlotRef> {
        if number == 0 || number > self.inner.slots {
            return Err(invalid(format!("slot must be 1 to {}, got {number}", self.inner.slots)));
        }
        Ok(SlotRef { board: self.clone(), number })
    }

    /// Claims a free slot for a new process and returns the slot's new generation.
    ///
    /// # Errors
    ///
    /// When the slot is taken, or there is none with this number.
    pub fn claim(&self, number: u32, pid: u32) -> io::Result<u32> {
        let slot = self.slot(number)?;
        let cells = slot.cells();
        if cells.state() != WorkerState::Free {
            return Err(invalid(format!("slot {number} is taken")));
        }
        cells.clear(self.series_count());
        let generation = cells.generation.load(Relaxed).wrapping_add(1);
        cells.generation.store(generation, Relaxed);
        cells.pid.store(pid, Relaxed);
        slot.beat();
        slot.set_state(WorkerState::Booting);
        Ok(generation)
    }

    /// Releases the slot of a process that has exited. Its counters are added to those of released
    /// slots, once, so that the board's totals never decrease. Only the arbiter may call it, and
    /// only after it has waited for the process.
    ///
    /// # Errors
    ///
    /// When there is no slot with this number.
    pub fn release(&self, number: u32) -> io::Result<()> {
        let slot = self.slot(number)?;
        let cells = slot.cells();
        let released = &self.header().released;
        released.add(&cells.counters());
        cells.end_block(monotonic_us());
        let series = self.series_indices();
        released.metrics.add(&cells.metrics, &series);
        cells.clear(series.len());
        cells.pid.store(0, Relaxed);
        slot.set_state(WorkerState::Free);
        Ok(())
    }

    /// The sum of all counters, of running workers and of released slots.
    #[must_use]
    pub fn totals(&self) -> Counters {
        let mut totals = self.header().released.read();
        for cells in self.cells() {
            totals.add(&cells.counters());
        }
        totals
    }

    /// Adds the counters of an earlier arbiter and its workers, so that the totals continue from
    /// theirs. Only the arbiter may call it.
    pub fn absorb(&self, earlier: &Counters) {
        self.header().released.add(earlier);
    }

    /// The descriptor that workers inherit.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.inner.mapping.fd()
    }

    /// The event descriptors that workers inherit: number `n - 1` wakes the acceptor of slot `n`.
    /// Empty in a process that did not create the board, and on systems without event descriptors.
    #[must_use]
    pub fn kick_fds(&self) -> Vec<RawFd> {
        self.inner.kick_fds.iter().map(AsRawFd::as_raw_fd).collect()
    }

    /// Wakes the acceptor of the slot with this number.
    ///
    /// # Errors
    ///
    /// When there is no slot with this number.
    pub fn kick(&self, number: u32) -> io::Result<()> {
        let slot = self.slot(number)?;
        match self.inner.kick_fds.get(slot.index()) {
            Some(fd) => mapping::signal_kick(fd),
            None => Ok(()),
        }
    }

    /// The number of slots.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.inner.slots
    }

    /// Adds the totals of the board of an earlier arbiter, whose processes have exited. Only the
    /// arbiter may call it.
    pub fn absorb_board(&self, earlier: &Board) {
        self.absorb(&earlier.totals());
        self.absorb_metrics(earlier);
    }

    /// The header of the shared memory.
    pub(crate) fn header(&self) -> &Header {
        self.inner.mapping.header()
    }

    /// The shared cells of all slots, in order.
    pub(crate) fn cells(&self) -> &[SlotCells] {
        self.inner.mapping.cells(self.inner.slots)
    }
}

impl SlotRef {
    /// Records that the JavaScript thread runs. Called by that thread.
    pub fn beat(&self) {
        let (cells, now_us) = (self.cells(), monotonic_us());
        cells.end_block(now_us);
        cells.beat_ms.store(now_us / 1_000, Relaxed);
    }

    /// Sets the state of the process.
    pub fn set_state(&self, state: WorkerState) {
        self.cells().state.store(state as u32, Relaxed);
    }

    /// Counts an accepted connection. Called by the acceptor: other workers compare the count
    /// before the I/O thread has received the connection.
    pub fn connection_opened(&self) {
        let cells = self.cells();
        cells.connections.fetch_add(1, Relaxed);
        cells.accepted.fetch_add(1, Relaxed);
    }

    /// Counts a connection that another worker has accepted and handed over.
    pub fn connection_received(&self) {
        self.cells().connections.fetch_add(1, Relaxed);
    }

    /// Counts a closed connection. Called by the I/O thread.
    pub fn connection_closed(&self) {
        decrement(&self.cells().connections);
    }

    /// Counts a request in flight. Called by the I/O thread.
    pub fn request_started(&self) {
        self.cells().in_flight.fetch_add(1, Relaxed);
    }

    /// Counts a finished request as in flight again, because the client has not taken all of its
    /// response. Called by the I/O thread.
    pub fn response_unsent(&self) {
        self.cells().in_flight.fetch_add(1, Relaxed);
    }

    /// Ends `response_unsent`: the client has taken the response or disconnected. Called by the I/O
    /// thread.
    pub fn response_sent(&self) {
        decrement(&self.cells().in_flight);
    }

    /// Counts a request as not in flight while it waits for other streams of its HTTP/2 connection.
    /// Called by the I/O thread.
    pub fn stream_queued(&self) {
        self.response_sent();
    }

    /// Ends `stream_queued`. Called by the I/O thread.
    pub fn stream_admitted(&self) {
        self.response_unsent();
    }

    /// Sets since when the oldest pending request waits for JavaScript, as `monotonic_us() / 1000`;
    /// 0 without one. Called by the I/O thread.
    pub fn set_waiting_since(&self, ms: u64) {
        self.cells().waiting_since_ms.store(ms, Relaxed);
    }

    /// Reads the values of the slot.
    #[must_use]
    pub fn snapshot(&self) -> SlotSnapshot {
        let cells = self.cells();
        SlotSnapshot {
            generation: cells.generation.load(Relaxed),
            pid: cells.pid.load(Relaxed),
            state: cells.state(),
            beat_age_ms: (monotonic_us() / 1_000).saturating_sub(cells.beat_ms.load(Relaxed)),
            connections: cells.connections.load(Relaxed),
            in_flight: cells.in_flight.load(Relaxed),
            counters: cells.counters(),
        }
    }

    /// The slot's number, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The board of the slot.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The shared cells of the slot.
    pub(crate) fn cells(&self) -> &SlotCells {
        &self.board.cells()[self.index()]
    }

    /// The index of the slot, from 0.
    pub(crate) fn index(&self) -> usize {
        self.number as usize - 1
    }
}

/// Decrements a count, saturating: one close too many must not look like four billion connections.
/// The worker would never accept again.
fn decrement(cell: &AtomicU32) {
    let _ = cell.fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_sub(1)));
}

impl Counters {
    /// Adds other counters to these.
    pub fn add(&mut self, other: &Counters) {
        self.accepted += other.accepted;
        self.requests += other.requests;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
    }
}

/// Microseconds on the monotonic clock (`CLOCK_MONOTONIC`), which all processes of the machine
/// share.
#[must_use]
pub fn monotonic_us() -> u64 {
    mapping::monotonic_us()
}

fn mapped_len(slots: u32) -> usize {
    size_of::<Header>()
        + slots as usize * size_of::<SlotCells>()
        + sessions::BUCKETS * size_of::<sessions::Bucket>()
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Maximum number of slots of a board, far above any machine's worker count. It bounds the memory
/// that a wrong argument can allocate.
const MAX_SLOTS: u32 = 4_096;

#[cfg(test)]
mod tests;

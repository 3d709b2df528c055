//! The scoreboard: one piece of memory that the arbiter and all its workers share.
//!
//! A worker writes its own slot and reads the load of the others; the arbiter reads all of them for
//! timeouts, metrics and status, and alone writes what is global. Nothing here blocks and no value
//! orders another: every access is a relaxed atomic, and a reader may see two counters of different
//! moments. It is not a channel; what needs an answer goes over the arbiter's socket pair.
//!
//! Slots are numbered from 1, as workers are.

mod cells;
mod mapping;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use cells::Header;
pub(crate) use cells::SlotCells;
pub use cells::{BUCKETS, WorkerState};
use mapping::Mapping;

/// The shared memory, mapped into this process. Clones share the mapping.
#[derive(Clone)]
pub struct Board {
    shared: Arc<BoardInner>,
}

/// One worker's slot: what its threads count on and what others read of it.
#[derive(Clone)]
pub struct SlotRef {
    board: Board,
    number: u32,
}

/// A slot as it was at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotSnapshot {
    /// Counts the processes that have had the slot.
    pub generation: u32,
    /// The process that has the slot, 0 when none has.
    pub pid: u32,
    /// What that process is doing.
    pub state: WorkerState,
    /// Time since the JavaScript thread last stamped the slot.
    pub beat_age_ms: u64,
    /// Open connections.
    pub connections: u32,
    /// Requests in hand.
    pub in_flight: u32,
    /// What it has counted.
    pub counters: Counters,
}

/// What has been counted and only ever grows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: u64,
    /// Requests finished.
    pub requests: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
    /// Finished requests by class of status: 1xx to 5xx.
    pub status: [u64; 5],
    /// From the request's head to the answer's end.
    pub latency: LatencyHistogram,
}

/// A histogram over powers of two: bucket `i` holds the values below `2^i` microseconds that
/// bucket `i - 1` does not, the last one holds the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencyHistogram {
    /// All values together.
    pub sum_us: u64,
    /// How many values each bucket holds.
    pub buckets: [u64; BUCKETS],
}

struct BoardInner {
    mapping: Mapping,
    slots: u32,
    /// One for each slot, in the process that made the board; empty elsewhere.
    kick_fds: Vec<OwnedFd>,
}

impl Board {
    /// Makes a board for `slots` workers and an event descriptor for each to be kicked by.
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
        let kick_fds = (0..slots).map(|_| mapping::kick_fd()).collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            shared: Arc::new(BoardInner {
                mapping,
                slots,
                kick_fds: kick_fds.into_iter().flatten().collect(),
            }),
        })
    }

    /// Maps the board behind an inherited descriptor. What is not a board of this layout and of
    /// this many slots is refused: arbiter and worker may come from two versions of the package.
    ///
    /// # Errors
    ///
    /// When it is no such board, or cannot be mapped.
    pub fn open(fd: RawFd, slots: u32) -> io::Result<Self> {
        if slots == 0 || slots > MAX_SLOTS {
            return Err(invalid(format!("slots must be 1 to {MAX_SLOTS}, got {slots}")));
        }
        let mapping = Mapping::open(fd, mapped_len(slots))?;
        mapping.header().check(slots).map_err(invalid)?;
        Ok(Self { shared: Arc::new(BoardInner { mapping, slots, kick_fds: Vec::new() }) })
    }

    /// The slot of that number, 1 to `slots()`.
    ///
    /// # Errors
    ///
    /// When there is no slot of that number.
    pub fn slot(&self, number: u32) -> io::Result<SlotRef> {
        if number == 0 || number > self.shared.slots {
            return Err(invalid(format!("slot must be 1 to {}, got {number}", self.shared.slots)));
        }
        Ok(SlotRef { board: self.clone(), number })
    }

    /// Takes a free slot for a new process and returns the slot's new generation.
    ///
    /// # Errors
    ///
    /// When the slot is taken, or there is none of that number.
    pub fn claim(&self, number: u32, pid: u32) -> io::Result<u32> {
        let slot = self.slot(number)?;
        let cells = slot.cells();
        if cells.state() != WorkerState::Free {
            return Err(invalid(format!("slot {number} is taken")));
        }
        cells.clear();
        let generation = cells.generation.load(Relaxed).wrapping_add(1);
        cells.generation.store(generation, Relaxed);
        cells.pid.store(pid, Relaxed);
        slot.beat();
        slot.set_state(WorkerState::Booting);
        Ok(generation)
    }

    /// Frees the slot of a process that is gone. What it counted is added to the totals of the
    /// released, once, so that the board's totals never go down. Only the arbiter may call it, and
    /// only after it has waited for the process.
    ///
    /// # Errors
    ///
    /// When there is no slot of that number.
    pub fn release(&self, number: u32) -> io::Result<()> {
        let slot = self.slot(number)?;
        let cells = slot.cells();
        self.shared.mapping.header().released.add(&cells.counters());
        cells.clear();
        cells.pid.store(0, Relaxed);
        slot.set_state(WorkerState::Free);
        Ok(())
    }

    /// All that was ever counted, by the living and the released.
    #[must_use]
    pub fn totals(&self) -> Counters {
        let mut totals = self.shared.mapping.header().released.read();
        for cells in self.cells() {
            totals.add(&cells.counters());
        }
        totals
    }

    /// Adds what an earlier arbiter and its workers have counted, so that the totals go on where theirs were.
    /// Only the arbiter may call it.
    pub fn absorb(&self, earlier: &Counters) {
        self.shared.mapping.header().released.add(earlier);
    }

    /// The descriptor to hand to workers.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.shared.mapping.fd()
    }

    /// The event descriptors to hand to workers: slot `n` is kicked by number `n - 1`. Empty in a
    /// process that did not make the board, and where the system has no event descriptors.
    #[must_use]
    pub fn kick_fds(&self) -> Vec<RawFd> {
        self.shared.kick_fds.iter().map(AsRawFd::as_raw_fd).collect()
    }

    /// Wakes the acceptor of that slot.
    ///
    /// # Errors
    ///
    /// When there is no slot of that number.
    pub fn kick(&self, number: u32) -> io::Result<()> {
        let slot = self.slot(number)?;
        match self.shared.kick_fds.get(slot.index()) {
            Some(fd) => mapping::signal(fd),
            None => Ok(()),
        }
    }

    /// How many workers the board can hold.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.shared.slots
    }

    pub(crate) fn cells(&self) -> &[SlotCells] {
        self.shared.mapping.cells(self.shared.slots)
    }
}

impl SlotRef {
    /// Says that the JavaScript thread runs.
    pub fn beat(&self) {
        self.cells().beat_ms.store(monotonic_us() / 1_000, Relaxed);
    }

    /// Says what the process is doing.
    pub fn set_state(&self, state: WorkerState) {
        self.cells().state.store(state as u32, Relaxed);
    }

    /// Called by the acceptor: the count that the others compare with rises before the I/O thread
    /// has even heard of the connection.
    pub fn connection_opened(&self) {
        let cells = self.cells();
        cells.connections.fetch_add(1, Relaxed);
        cells.accepted.fetch_add(1, Relaxed);
    }

    /// Called by the I/O thread.
    pub fn connection_closed(&self) {
        lower(&self.cells().connections);
    }

    /// Called by the I/O thread.
    pub fn request_started(&self) {
        self.cells().in_flight.fetch_add(1, Relaxed);
    }

    /// Called by the I/O thread. `us` runs from the request's head to the answer's end.
    pub fn request_finished(&self, status: u16, bytes_in: u64, bytes_out: u64, us: u64) {
        let cells = self.cells();
        lower(&cells.in_flight);
        cells.counted.request(status, bytes_in, bytes_out, us);
    }

    /// Called by the I/O thread when a request is finished whose answer the client has not taken: its connection is
    /// still in_flight.
    pub fn response_unsent(&self) {
        self.cells().in_flight.fetch_add(1, Relaxed);
    }

    /// Called by the I/O thread when the client has taken it, or is gone.
    pub fn response_sent(&self) {
        lower(&self.cells().in_flight);
    }

    /// Called by the I/O thread when a request has to wait for others of its connection: nobody is busy with it.
    pub fn stream_waits(&self) {
        self.response_sent();
    }

    /// Called by the I/O thread when it waits no more.
    pub fn stream_admitted(&self) {
        self.response_unsent();
    }

    /// Called by the I/O thread: since when (on `monotonic_us() / 1000`) the oldest request waits
    /// for JavaScript; 0 when none does.
    pub fn set_waiting_since(&self, ms: u64) {
        self.cells().waiting_since_ms.store(ms, Relaxed);
    }

    /// Reads the slot.
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

    /// The board that the slot is on.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    pub(crate) fn cells(&self) -> &SlotCells {
        &self.board.cells()[self.index()]
    }

    pub(crate) fn index(&self) -> usize {
        self.number as usize - 1
    }
}

/// Saturating: one miscounted close must not look like four billion connections, which would keep this worker from ever
/// accepting again.
fn lower(cell: &AtomicU32) {
    let _ = cell.fetch_update(Relaxed, Relaxed, |count| Some(count.saturating_sub(1)));
}

impl Counters {
    /// Adds another counters to this one.
    pub fn add(&mut self, other: &Counters) {
        self.accepted += other.accepted;
        self.requests += other.requests;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        for (mine, theirs) in self.status.iter_mut().zip(other.status) {
            *mine += theirs;
        }
        self.latency.add(&other.latency);
    }
}

impl LatencyHistogram {
    fn add(&mut self, other: &LatencyHistogram) {
        self.sum_us += other.sum_us;
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
    }
}

/// Microseconds on the clock that every process of the machine shares and that never jumps.
#[must_use]
pub fn monotonic_us() -> u64 {
    mapping::monotonic_us()
}

fn mapped_len(slots: u32) -> usize {
    size_of::<Header>() + slots as usize * size_of::<SlotCells>()
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Far above any machine's worker count; bounds what a bad argument can make the board allocate.
const MAX_SLOTS: u32 = 4_096;

#[cfg(test)]
mod tests;

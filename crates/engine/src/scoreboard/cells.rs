//! The layout of the shared memory: a header, one slot for each worker, then the table of sessions
//! (`sessions.rs`). It has only atomics, so any bytes in it are valid values. Raise
//! `LAYOUT_VERSION` with each change of a struct in this file.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::Counters;
use super::layout::MAX_SERIES;
use super::metrics::MetricCells;
use super::sessions::create_secret;

/// The state of the process that has a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum WorkerState {
    /// No process has the slot.
    Free = 0,
    /// The process loads its application.
    Booting = 1,
    /// The process accepts connections.
    Accepting = 2,
    /// The process accepts no more connections and finishes its requests.
    Draining = 3,
    /// The process has exited, or is about to.
    Gone = 4,
}

/// The start of the shared memory. Only the arbiter writes it; all processes read it.
#[repr(C, align(64))]
pub(crate) struct Header {
    /// `MAGIC`, once the header is written.
    pub(super) magic: AtomicU64,
    /// The `LAYOUT_VERSION` of the creator.
    pub(super) layout: AtomicU32,
    /// The size of a slot, in bytes.
    slot_size: AtomicU32,
    /// The number of slots.
    slots: AtomicU32,
    /// What the hashes of sessions have in them beside the key.
    pub(super) secret: AtomicU64,
    /// Number of workers that the server is to have.
    pub(super) wanted_workers: AtomicU32,
    /// Not 0 once the arbiter has begun to stop.
    pub(super) is_stopping: AtomicU32,
    /// The setting `timeout` in milliseconds; 0 turns it off.
    pub(super) timeout_ms: AtomicU32,
    /// The time of the arbiter's last heartbeat, on the monotonic clock.
    pub(super) arbiter_beat_ms: AtomicU64,
    /// The keys of the series of requests, in the order of their indices; 0 is free. Each worker
    /// appends.
    pub(super) series_keys: [AtomicU32; MAX_SERIES],
    /// The counters of workers whose slots have been released.
    pub(super) released: ReleasedCells,
}

/// The slot of one worker. Each thread that writes often has cache lines of its own.
#[repr(C, align(64))]
pub(crate) struct SlotCells {
    /// How many processes have had the slot.
    pub(super) generation: AtomicU32,
    /// The process that has the slot, 0 for none.
    pub(crate) pid: AtomicU32,
    /// The number of a `WorkerState`.
    pub(super) state: AtomicU32,
    /// Starts the part that the JavaScript thread writes.
    pub(super) javascript: CacheLine,
    /// The time of the last heartbeat, on the monotonic clock.
    pub(super) beat_ms: AtomicU64,
    /// Starts the part that the acceptor writes.
    pub(super) acceptor: CacheLine,
    /// Open connections. The acceptor increments it, the I/O thread decrements it.
    pub(crate) connections: AtomicU32,
    /// Not 0 while the acceptor takes no connections although the state is `Accepting`: it is
    /// paused, has no listeners, or has run out of descriptors.
    pub(crate) accept_paused: AtomicU32,
    /// The time of another worker's kick that this one has not acknowledged, in microseconds; 0
    /// without one, or `UNRESPONSIVE`. One word, so that an acknowledgement and the change to
    /// `UNRESPONSIVE` exclude each other.
    pub(crate) kicked_at_us: AtomicU64,
    /// Accepted connections.
    pub(super) accepted: AtomicU64,
    /// Starts the part that the I/O thread writes.
    pub(super) io: CacheLine,
    /// Requests in flight.
    pub(crate) in_flight: AtomicU32,
    /// Since when the oldest pending request waits for JavaScript; 0 without one.
    pub(crate) waiting_since_ms: AtomicU64,
    pub(super) counted: CountedCells,
    pub(super) metrics: MetricCells,
}

/// Starts a new cache line.
#[repr(C, align(64))]
pub(super) struct CacheLine;

/// The counters of the I/O thread. It is the only writer, so plain loads and stores suffice.
#[repr(C)]
pub(super) struct CountedCells {
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// The sums of the counters of released slots.
#[repr(C)]
pub(super) struct ReleasedCells {
    accepted: AtomicU64,
    counted: CountedCells,
    pub(super) metrics: MetricCells,
}

impl WorkerState {
    /// The state with this number, as it is passed between processes.
    #[must_use]
    pub fn from_number(number: u32) -> Option<WorkerState> {
        Some(match number {
            0 => WorkerState::Free,
            1 => WorkerState::Booting,
            2 => WorkerState::Accepting,
            3 => WorkerState::Draining,
            4 => WorkerState::Gone,
            _ => return None,
        })
    }
}

impl Header {
    /// Writes the header of a new board.
    pub(super) fn write(&self, slots: u32) {
        self.layout.store(LAYOUT_VERSION, Relaxed);
        self.slot_size.store(SLOT_SIZE, Relaxed);
        self.slots.store(slots, Relaxed);
        self.secret.store(create_secret(), Relaxed);
        self.init_series();
        self.magic.store(MAGIC, Relaxed);
    }

    /// Checks that the memory is a board of this layout with this number of slots.
    pub(super) fn check(&self, slots: u32) -> Result<(), String> {
        if self.magic.load(Relaxed) != MAGIC {
            return Err("the descriptor is not a scoreboard".to_owned());
        }
        let layout = self.layout.load(Relaxed);
        if layout != LAYOUT_VERSION {
            return Err(format!(
                "the scoreboard has layout {layout}, this program expects {LAYOUT_VERSION}"
            ));
        }
        let size = self.slot_size.load(Relaxed);
        if size != SLOT_SIZE {
            return Err(format!("the scoreboard's slots have {size} bytes, not {SLOT_SIZE}"));
        }
        let actual = self.slots.load(Relaxed);
        if actual != slots {
            return Err(format!("the scoreboard has {actual} slots, not {slots}"));
        }
        Ok(())
    }
}

impl SlotCells {
    /// An unknown number means that something else has written the slot; it counts as gone.
    pub(crate) fn state(&self) -> WorkerState {
        WorkerState::from_number(self.state.load(Relaxed)).unwrap_or(WorkerState::Gone)
    }

    /// Whether a process has the slot.
    pub(crate) fn is_taken(&self) -> bool {
        self.state() != WorkerState::Free
    }

    /// Reads the counters of the slot.
    pub(super) fn counters(&self) -> Counters {
        Counters { accepted: self.accepted.load(Relaxed), ..self.counted.read() }
    }

    /// Resets the slot for a new process, except generation, pid and state. `series` is the number
    /// of series in use.
    pub(super) fn clear(&self, series: usize) {
        self.beat_ms.store(0, Relaxed);
        self.connections.store(0, Relaxed);
        self.accept_paused.store(0, Relaxed);
        self.kicked_at_us.store(0, Relaxed);
        self.accepted.store(0, Relaxed);
        self.in_flight.store(0, Relaxed);
        self.waiting_since_ms.store(0, Relaxed);
        self.counted.write(&Counters::default());
        self.metrics.clear(series);
    }
}

impl ReleasedCells {
    /// Adds the counters of a released slot.
    pub(super) fn add(&self, counters: &Counters) {
        let mut sum = self.read();
        sum.add(counters);
        self.accepted.store(sum.accepted, Relaxed);
        self.counted.write(&sum);
    }

    /// Reads the sums.
    pub(super) fn read(&self) -> Counters {
        Counters { accepted: self.accepted.load(Relaxed), ..self.counted.read() }
    }
}

impl CountedCells {
    /// Counts a finished request.
    pub(super) fn record_request(&self, bytes_in: u64, bytes_out: u64) {
        increase(&self.requests, 1);
        increase(&self.bytes_in, bytes_in);
        increase(&self.bytes_out, bytes_out);
    }

    fn read(&self) -> Counters {
        Counters {
            accepted: 0,
            requests: self.requests.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }

    fn write(&self, counters: &Counters) {
        self.requests.store(counters.requests, Relaxed);
        self.bytes_in.store(counters.bytes_in, Relaxed);
        self.bytes_out.store(counters.bytes_out, Relaxed);
    }
}

/// Adds to a counter. It has one writer, so no locked instruction is needed.
pub(super) fn increase(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
}

/// The first bytes of a board.
const MAGIC: u64 = u64::from_be_bytes(*b"MONOCRS\0");
/// The version of the layout in this file.
const LAYOUT_VERSION: u32 = 2;
const SLOT_SIZE: u32 = size_of::<SlotCells>() as u32;

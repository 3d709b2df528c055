//! The TLS handshakes in progress. They have a deadline and a limit of their own, so that clients
//! that begin one and stall cost little and delay no other client.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context as TaskContext;

use crate::pressure::eviction::Shortage;
use crate::runtime::executor::TaskWaker;

/// The handshakes in progress, the oldest first.
pub(crate) struct Handshakes {
    queue: RefCell<VecDeque<Rc<PendingHandshake>>>,
    open_count: Cell<usize>,
    /// More handshakes than this evict the oldest one.
    max_open: usize,
}

/// One handshake as the queue holds it. A finished one may stay in the queue until its deadline.
pub(crate) struct PendingHandshake {
    started_at_ms: u64,
    deadline_ms: Cell<u64>,
    state: Cell<HandshakeState>,
    task: TaskWaker,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum HandshakeState {
    Open,
    /// The deadline has passed, or the handshake was evicted.
    Aborted,
    /// It has completed or failed.
    Finished,
}

impl Handshakes {
    pub fn new(max_open: usize) -> Self {
        Self { queue: RefCell::default(), open_count: Cell::new(0), max_open: max_open.max(1) }
    }

    /// The number of handshakes in progress.
    pub fn len(&self) -> usize {
        self.open_count.get()
    }

    /// Returns up to `count` of the handshakes in progress, the oldest first.
    pub fn oldest(&self, count: usize) -> Vec<Rc<PendingHandshake>> {
        let queue = self.queue.borrow();
        let open = queue.iter().filter(|pending| pending.state.get() == HandshakeState::Open);
        open.take(count).cloned().collect()
    }

    /// Returns whether one more handshake is one too many.
    pub fn shortage(&self) -> Option<Shortage> {
        let open = self.open_count.get();
        if open >= self.max_open.saturating_mul(MAX_OVERLOAD_FACTOR) {
            return Some(Shortage::HandshakesBadly);
        }
        // Clients that connect at the same time are not stalling: they have had no time to.
        (open >= self.max_open).then_some(Shortage::Handshakes)
    }

    /// Returns the deadline of the oldest handshake. The others have later deadlines.
    pub fn next_deadline(&self) -> Option<u64> {
        self.queue.borrow().front().map(|oldest| oldest.deadline_ms.get())
    }

    /// Shortens every deadline to `soon` if it is later.
    pub fn shorten_deadlines(&self, soon: u64) {
        for pending in self.queue.borrow().iter() {
            pending.deadline_ms.set(pending.deadline_ms.get().min(soon));
        }
    }

    /// Aborts the handshakes whose deadline has passed.
    pub fn abort_expired(&self, now: u64) {
        let mut queue = self.queue.borrow_mut();
        while let Some(oldest) = queue.front()
            && oldest.deadline_ms.get() <= now
        {
            if oldest.state.get() == HandshakeState::Open {
                oldest.abort();
            }
            queue.pop_front();
        }
    }

    /// Adds a handshake that begins at `now` and ends at `deadline_ms` at the latest.
    pub fn enter(&self, now: u64, deadline_ms: u64) -> Rc<PendingHandshake> {
        let pending = Rc::new(PendingHandshake {
            started_at_ms: now,
            deadline_ms: Cell::new(deadline_ms),
            state: Cell::new(HandshakeState::Open),
            task: TaskWaker::default(),
        });
        self.open_count.set(self.open_count.get() + 1);
        let mut queue = self.queue.borrow_mut();
        while queue.front().is_some_and(|pending| pending.state.get() == HandshakeState::Finished) {
            queue.pop_front();
        }
        queue.push_back(pending.clone());
        pending
    }

    /// Counts a handshake as finished. Returns whether it was aborted.
    pub fn finish(&self, pending: &PendingHandshake) -> bool {
        let state = pending.state.replace(HandshakeState::Finished);
        pending.task.clear();
        self.open_count.set(self.open_count.get() - 1);
        state == HandshakeState::Aborted
    }
}

impl PendingHandshake {
    /// Returns when the handshake began, in milliseconds of the context's clock.
    pub fn started_at_ms(&self) -> u64 {
        self.started_at_ms
    }

    /// Whether the deadline has passed, or the handshake was evicted.
    pub fn is_aborted(&self) -> bool {
        self.state.get() == HandshakeState::Aborted
    }

    /// Has this task woken when the handshake is aborted.
    pub fn register(&self, cx: &TaskContext<'_>) {
        self.task.register(cx);
    }

    /// Aborts the handshake: its task closes the connection in its next turn.
    pub fn abort(&self) {
        self.state.set(HandshakeState::Aborted);
        self.task.wake();
    }
}

/// From this multiple of the handshake limit on, a handshake of any age is evicted.
const MAX_OVERLOAD_FACTOR: usize = 4;

//! The events that wait to be delivered to JavaScript.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::bridge::event_batch::EventBatch;
use crate::bridge::handoff::Handoff;
use crate::runtime::alarms::{Alarm, Alarms};

/// The events of this turn, in the order of their emission.
pub(crate) struct Outbox {
    batch: RefCell<EventBatch>,
    /// Whether `batch` has an event that must be delivered at the end of this turn.
    is_due: Cell<bool>,
    /// Whether no event waits to be batched.
    delivers_at_once: Cell<bool>,
    /// Number of chunks from tunnels in `batch`. An idle tunnel must not delay other requests.
    tunnel_chunks: Cell<usize>,
    alarms: Rc<Alarms>,
    handoff: Arc<Handoff>,
}

impl Outbox {
    /// Creates an empty outbox.
    pub fn new(alarms: Rc<Alarms>, handoff: Arc<Handoff>) -> Self {
        Self {
            batch: RefCell::default(),
            is_due: Cell::new(false),
            delivers_at_once: Cell::new(false),
            tunnel_chunks: Cell::new(0),
            alarms,
            handoff,
        }
    }

    /// Adds events, which are delivered at the end of this turn.
    pub fn emit(&self, add: impl FnOnce(&mut EventBatch)) {
        add(&mut self.batch.borrow_mut());
        self.is_due.set(true);
    }

    /// Adds events that may wait up to [`BATCHING_DELAY`] to be delivered with others. A wake of
    /// JavaScript for the close of a short connection costs as much as one for its request.
    pub fn emit_later(&self, add: impl FnOnce(&mut EventBatch)) {
        if self.delivers_at_once.get() {
            return self.emit(add);
        }
        add(&mut self.batch.borrow_mut());
        if !self.is_due.get() {
            self.alarms.set_if_unset(Alarm::Batch, BATCHING_DELAY);
        }
    }

    /// Delivers all events at once from now on. A server has closed: its application waits for the
    /// last connection-closed event.
    pub fn stop_batching(&self) {
        self.delivers_at_once.set(true);
        self.end_batching_delay();
    }

    /// Delivers the events that have waited to be batched at the end of this turn, if there are
    /// any.
    pub fn end_batching_delay(&self) {
        if !self.batch.borrow().is_empty() {
            self.is_due.set(true);
        }
    }

    /// Counts a chunk of a tunnel among the events of this turn.
    pub fn count_tunnel_chunk(&self) {
        self.tunnel_chunks.set(self.tunnel_chunks.get() + 1);
    }

    /// The number of chunks from tunnels among the events of this turn.
    pub fn tunnel_chunks(&self) -> usize {
        self.tunnel_chunks.get()
    }

    /// Withdraws a request that JavaScript has not taken yet. Returns whether it did.
    pub fn withdraw(&self, id: u32) -> bool {
        self.batch.borrow_mut().withdraw(id) || self.handoff.withdraw(id)
    }

    /// Whether the events must be delivered at the end of this turn.
    pub fn is_due(&self) -> bool {
        self.is_due.get()
    }

    /// The length of the events as JavaScript reads them.
    pub fn len(&self) -> usize {
        self.batch.borrow().text.len()
    }

    /// Withdraws a request that has waited for JavaScript for at least `time`. Returns whether it
    /// did.
    pub fn withdraw_after(&self, id: u32, time: Duration) -> bool {
        self.handoff.withdraw_after(id, time)
    }

    /// Delivers the events to JavaScript.
    pub fn deliver(&self) {
        self.is_due.set(false);
        self.tunnel_chunks.set(0);
        if let Some(after) = self.handoff.deliver_batch(&mut self.batch.borrow_mut()) {
            self.alarms.set_if_unset(Alarm::LateRequests, after);
        }
    }
}

/// Maximum time that a connection-closed event waits to be batched with a request.
const BATCHING_DELAY: Duration = Duration::from_millis(4);

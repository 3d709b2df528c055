//! What a connection holds between two turns of its task, memory and a request slot, and how an
//! eviction takes it away.

use std::cell::Cell;

use super::{Connection, ConnectionState, Turn};
use crate::guard::Refusal;
use crate::pressure::eviction::{Progress, Shortage, has_stalled};
use crate::pressure::limits::Limits;

/// Whether a connection has been chosen for eviction.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Eviction {
    /// It has not been chosen.
    None,
    /// Its task has yet to carry out the eviction.
    Pending(Shortage),
    /// The connection is closing.
    CarriedOut,
}

/// What a connection holds between two turns of its task. Times are milliseconds of the context's
/// clock.
pub(crate) struct Footprint {
    /// Bytes that the connection holds; see [`crate::pressure::memory`].
    held_bytes: Cell<usize>,
    /// When the connection last began to hold bytes.
    held_since: Cell<u64>,
    /// Since when the client has been late with reading its response; `u64::MAX` if no bytes wait
    /// for it.
    pub(crate) output_stalled_since: Cell<u64>,
    /// Whether the connection has been chosen for eviction.
    pub(crate) eviction: Cell<Eviction>,
    /// Whether the write queue holds a complete response after its exchange has finished. Such a
    /// response counts as a request in flight.
    pub(crate) has_unsent_response: Cell<bool>,
}

impl Default for Footprint {
    fn default() -> Self {
        Self {
            held_bytes: Cell::new(0),
            held_since: Cell::new(0),
            output_stalled_since: Cell::new(u64::MAX),
            eviction: Cell::new(Eviction::None),
            has_unsent_response: Cell::new(false),
        }
    }
}

impl Connection {
    /// Records the bytes that the connection holds until its next turn, and whether a complete
    /// response is unsent.
    pub(crate) fn update_accounting(&self) {
        let shared = &self.shared;
        let (is_unsent, queued) = {
            let out = shared.write_queue.borrow();
            (!out.is_empty(), out.owned_len())
        };
        let exchange = shared.exchange.borrow();
        let buffered = exchange.as_ref().map_or(0, |exchange| exchange.body.buffered_len);
        shared.set_unsent_response(is_unsent && exchange.is_none() && self.http2.is_none());
        let message = shared.parsed_message.borrow().body.len();
        shared.set_held_bytes(
            queued + buffered + self.read_buffer.len() + message + self.http2_held_bytes(),
        );
    }

    /// Carries out an eviction. The client gets an error response if no response byte waits and
    /// either JavaScript has not received the request, or a request slot is needed and the client
    /// is late with its body. Otherwise the connection is reset, which also drops what the kernel
    /// holds for it. A connection without a request is closed. For HTTP/2, only the slow streams
    /// are evicted.
    pub(crate) fn carry_out_eviction(&mut self, shortage: Shortage) -> Turn {
        let shared = &self.shared;
        shared.footprint.eviction.set(Eviction::CarriedOut);
        if shortage == Shortage::Descriptors {
            return Turn::Close;
        }
        if self.http2.is_some() {
            self.evict_streams(shortage);
            return Turn::Wait;
        }
        let is_late = has_stalled(shared.body_late_since(), shared.ctx.clock.now_ms());
        let has_no_output = shared.write_queue.borrow().is_empty();
        if shortage == Shortage::RequestSlots && is_late && has_no_output {
            return self.refuse(Refusal::BodyTimeout);
        }
        let is_undispatched =
            shared.exchange.borrow().as_ref().is_none_or(|exchange| !exchange.is_dispatched);
        if is_undispatched && has_no_output && !shared.ending.closes() {
            return self.refuse(Refusal::Overloaded);
        }
        self.stream.reset_on_close();
        Turn::Close
    }
}

impl ConnectionState {
    /// Returns how long the connection has waited, unless a request is in flight or bytes are
    /// unsent.
    pub fn waiting_progress(&self) -> Option<Progress> {
        if self.is_busy() || self.ending.is_aborted() || self.is_evicted() {
            return None;
        }
        let awaits_head = self.requests.get() == 0 || self.held_bytes() > 0;
        Some(waiting_progress(self.timer.wait_ends_at.get(), awaits_head, &self.limits()))
    }

    /// Returns the bytes that the connection held at the end of its last turn.
    pub fn held_bytes(&self) -> usize {
        self.footprint.held_bytes.get()
    }

    /// Returns when the connection last began to hold bytes, in milliseconds of the context's
    /// clock.
    pub fn held_since(&self) -> u64 {
        self.footprint.held_since.get()
    }

    /// Returns the time of the client's last progress, in milliseconds of the context's clock: with
    /// a request body before the response has begun, or with reading a response. `u64::MAX` if
    /// nothing is expected of the client. The value is that of the last check.
    pub fn stalled_since(&self) -> u64 {
        let streams = self.streams.get().map_or(u64::MAX, |streams| streams.lagging_since());
        self.footprint.output_stalled_since.get().min(self.body_late_since()).min(streams)
    }

    /// Returns since when the client has been late with a request body, unless the response has
    /// begun.
    fn body_late_since(&self) -> u64 {
        // If the exchange is borrowed, its own turn is running, and it is the one that needs a
        // slot.
        let Ok(exchange) = self.exchange.try_borrow() else { return u64::MAX };
        exchange.as_ref().map_or(u64::MAX, |it| it.body_late_since(&self.limits.borrow()))
    }

    /// Whether the connection has been chosen for eviction.
    pub fn is_evicted(&self) -> bool {
        self.footprint.eviction.get() != Eviction::None
    }

    /// Evicts the connection, in the next turn of its task.
    pub fn evict(&self, shortage: Shortage) {
        self.footprint.eviction.set(Eviction::Pending(shortage));
        self.wake();
    }

    /// Sets the bytes that the connection holds, also in the sum of the I/O thread.
    pub(crate) fn set_held_bytes(&self, now: usize) {
        let before = self.footprint.held_bytes.replace(now);
        if before == now {
            return;
        }
        if before == 0 {
            self.footprint.held_since.set(self.ctx.clock.now_ms());
        }
        let handoff = &self.ctx.handoff;
        let memory = &self.ctx.pressure.memory;
        if let Some(window) = memory.record_change(handoff.waiting_bytes(), before, now) {
            handoff.ring.set_response_buffer(window as u32);
        }
    }

    /// Sets whether the connection has a complete response that the client has not read. Such a
    /// response counts as a request in flight.
    pub(crate) fn set_unsent_response(&self, is_unsent: bool) {
        if self.footprint.has_unsent_response.replace(is_unsent) == is_unsent {
            return;
        }
        let (ctx, slot) = (&self.ctx, &self.ctx.handoff.slot);
        if is_unsent {
            ctx.tables.unsent_responses.set(ctx.tables.unsent_responses.get() + 1);
            slot.response_unsent();
        } else {
            ctx.tables.unsent_responses.set(ctx.tables.unsent_responses.get() - 1);
            slot.response_sent();
        }
    }
}

/// Returns the progress of a connection that waits for a request until `wait_ends_at`. Without a
/// complete head, the client owes bytes since its accept or the head's first byte.
pub(super) fn waiting_progress(wait_ends_at: u64, awaits_head: bool, limits: &Limits) -> Progress {
    if !awaits_head {
        return Progress::Idle { until: wait_ends_at };
    }
    let timeout = limits.settings.header_timeout.as_millis() as u64;
    Progress::Stalled { since: wait_ends_at.saturating_sub(timeout) }
}

//! What a connection holds between two turns of its task, memory and a request slot, and how an
//! eviction takes it away.

use super::{Connection, ConnectionState, Turn};
use crate::guard::Refusal;
use crate::pressure::admission::{STALLED_MS, WaitKind};

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
        let buffered = exchange.as_ref().map_or(0, |exchange| exchange.buffered_len);
        shared.set_unsent_response(is_unsent && exchange.is_none() && self.http2.is_none());
        let message = shared.parsed_message.borrow().body.len();
        shared.set_held_bytes(
            queued + buffered + self.read_buffer.len() + message + self.http2_held_bytes(),
        );
    }

    /// Carries out an eviction. The client gets an error response if no response byte waits and
    /// either JavaScript has not received the request, or a request slot is needed and the client
    /// is late with its body. Otherwise the connection is reset, which also drops what the kernel
    /// holds for it. For HTTP/2, only the slow streams are evicted.
    pub(crate) fn carry_out_eviction(&mut self) -> Turn {
        let frees_request_slot = self.shared.evicts_for_request.take();
        if self.http2.is_some() {
            if frees_request_slot {
                self.evict_lagging_streams();
            } else {
                self.evict_slow_streams();
            }
            return Turn::Wait;
        }
        let shared = &self.shared;
        let is_late =
            shared.ctx.clock.now_ms() >= shared.body_late_since().saturating_add(STALLED_MS);
        if frees_request_slot && is_late && shared.write_queue.borrow().is_empty() {
            return self.refuse(Refusal::BodyTimeout);
        }
        let is_undispatched =
            shared.exchange.borrow().as_ref().is_none_or(|exchange| !exchange.is_dispatched);
        if is_undispatched
            && shared.write_queue.borrow().is_empty()
            && !shared.closes_after_response.get()
        {
            return self.refuse(Refusal::Overloaded);
        }
        self.stream.reset_on_close();
        Turn::Close
    }
}

impl ConnectionState {
    /// Returns what the connection waits for, unless a request is in flight or bytes are unsent.
    pub fn wait_kind(&self) -> Option<WaitKind> {
        if self.is_busy() || self.is_aborted.get() {
            return None;
        }
        let awaits_head = self.requests.get() == 0 || self.held_bytes() > 0;
        Some(if awaits_head { WaitKind::Head } else { WaitKind::Next })
    }

    /// Returns the end of that wait, in milliseconds of the context's clock. The connection with
    /// the earliest end has waited longest.
    pub fn wait_ends_at(&self) -> u64 {
        self.wait_ends_at.get()
    }

    /// Evicts the connection at once, without an error response.
    pub fn evict_now(&self) {
        self.is_aborted.set(true);
        self.wake();
    }

    /// Returns the bytes that the connection held at the end of its last turn.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.get()
    }

    /// Returns when the connection last began to hold bytes, in milliseconds of the context's
    /// clock.
    pub fn held_since(&self) -> u64 {
        self.held_since.get()
    }

    /// Returns since when the client has been slow, in milliseconds of the context's clock: with a
    /// request body before the response has begun, or with reading a response. `u64::MAX` if the
    /// client is not slow. The value is that of the last check.
    pub fn slow_since(&self) -> u64 {
        let streams = self.streams.get().map_or(u64::MAX, |streams| streams.lagging_since());
        self.output_stalled_since.get().min(self.body_late_since()).min(streams)
    }

    /// Returns since when the client has been late with a request body, unless the response has
    /// begun.
    fn body_late_since(&self) -> u64 {
        // If the exchange is borrowed, its own turn is running, and it is the one that needs a
        // slot.
        let exchange = self.exchange.try_borrow();
        let is_body_owed =
            exchange.is_ok_and(|it| it.as_ref().is_some_and(|exchange| !exchange.is_head_sent));
        if is_body_owed { self.body_late_since.get() } else { u64::MAX }
    }

    /// Whether the connection has been chosen for eviction.
    pub fn is_evicted(&self) -> bool {
        self.is_evicted.get()
    }

    /// Evicts the connection so that another request can take its slot.
    pub fn evict_for_request(&self) {
        self.evicts_for_request.set(true);
        self.evict();
    }

    /// Evicts the connection to free memory.
    pub fn evict(&self) {
        self.is_evicted.set(true);
        self.has_pending_eviction.set(true);
        self.wake();
    }

    /// Sets the bytes that the connection holds, also in the sum of the I/O thread.
    pub(crate) fn set_held_bytes(&self, now: usize) {
        let before = self.held_bytes.replace(now);
        if before == now {
            return;
        }
        if before == 0 {
            self.held_since.set(self.ctx.clock.now_ms());
        }
        self.ctx.pressure.memory.record_change(&self.ctx.handoff, before, now);
    }

    /// Sets whether the connection has a complete response that the client has not read. Such a
    /// response counts as a request in flight.
    pub(crate) fn set_unsent_response(&self, is_unsent: bool) {
        if self.has_unsent_response.replace(is_unsent) == is_unsent {
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

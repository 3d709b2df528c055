//! What a connection holds between two turns: bytes of memory, and its place among the requests in
//! flight.

use super::{Connection, ConnectionState, Turn};
use crate::guard::Refusal;
use crate::pressure::admission::{STALLED_MS, WaitKind};

impl Connection {
    /// Records the memory that is held until the next turn.
    pub(crate) fn update_accounting(&self) {
        let shared = &self.shared;
        let (unsent, held) = {
            let out = shared.write_queue.borrow();
            (!out.is_empty(), out.owned_len())
        };
        let exchange = shared.exchange.borrow();
        let collected = exchange.as_ref().map_or(0, |exchange| exchange.buffered_len);
        shared.set_writing(unsent && exchange.is_none() && self.http2.is_none());
        let message = shared.parsed_message.borrow().body.len();
        shared.set_held_bytes(
            held + collected + self.read_buffer.len() + message + self.http2_held_bytes(),
        );
    }

    /// Carries out an eviction. The client gets an error response if nothing of a response has been
    /// sent and either JavaScript does not have the request, or a request slot is needed and the
    /// client is late with its body. Otherwise the connection is reset, which also drops what the
    /// kernel holds for it.
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
        let is_late = shared.ctx.now_ms() >= shared.body_late_since().saturating_add(STALLED_MS);
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
        let in_head = self.requests.get() == 0 || self.held_bytes() > 0;
        Some(if in_head { WaitKind::Head } else { WaitKind::Next })
    }

    /// The end of that wait in milliseconds of the context's clock; the earliest has waited
    /// longest.
    pub fn wait_ends_at(&self) -> u64 {
        self.wait_ends_at.get()
    }

    /// Aborts the connection at once.
    pub fn evict_now(&self) {
        self.is_aborted.set(true);
        self.wake();
    }

    /// Bytes held at the end of the last turn.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.get()
    }

    /// Since when the connection has held memory, in milliseconds of the context's clock.
    pub fn held_since(&self) -> u64 {
        self.held_since.get()
    }

    /// Since when the client has been slow, as of the last check: with a request body before the
    /// response has begun, or with reading a response. `u64::MAX` if it is not.
    pub fn slow_since(&self) -> u64 {
        let streams = self.streams.get().map_or(u64::MAX, |streams| streams.lagging_since());
        self.output_stalled_since.get().min(self.body_late_since()).min(streams)
    }

    fn body_late_since(&self) -> u64 {
        // If the exchange is borrowed, its own turn is running: it is the one that asks for a slot.
        let exchange = self.exchange.try_borrow();
        let owes =
            exchange.is_ok_and(|it| it.as_ref().is_some_and(|exchange| !exchange.is_head_sent));
        if owes { self.body_late_since.get() } else { u64::MAX }
    }

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

    pub(crate) fn set_held_bytes(&self, now: usize) {
        let before = self.held_bytes.replace(now);
        if before == now {
            return;
        }
        if before == 0 {
            self.held_since.set(self.ctx.now_ms());
        }
        self.ctx.memory.record_change(&self.ctx.handoff, before, now);
    }

    /// Counts a response that JavaScript has completed and the client has not read as a request in
    /// flight.
    pub(crate) fn set_writing(&self, writing: bool) {
        if self.has_unsent_response.replace(writing) == writing {
            return;
        }
        let (ctx, slot) = (&self.ctx, &self.ctx.handoff.slot);
        if writing {
            ctx.unsent_responses.set(ctx.unsent_responses.get() + 1);
            slot.response_unsent();
        } else {
            ctx.unsent_responses.set(ctx.unsent_responses.get() - 1);
            slot.response_sent();
        }
    }
}

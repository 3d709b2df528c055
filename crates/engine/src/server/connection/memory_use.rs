//! What a connection holds between two turns: bytes, and its place among those that are being answered.

use super::{Connection, ConnectionState, Turn};
use crate::guard::Refusal;
use crate::pressure::admission::{STALLED_MS, WaitKind};

impl Connection {
    /// Says what is held until the next turn.
    pub(crate) fn update_accounting(&self) {
        let shared = &self.shared;
        let (unsent, held) = {
            let out = shared.out.borrow();
            (!out.is_empty(), out.owned_len())
        };
        let exchange = shared.exchange.borrow();
        let collected = exchange.as_ref().map_or(0, |exchange| exchange.buffered_len);
        shared.set_writing(unsent && exchange.is_none() && self.http2.is_none());
        let message = shared.parsed_message.borrow().body.len();
        shared.hold(held + collected + self.read_buffer.len() + message + self.http2_held_bytes());
    }

    /// The connection is to make room: with an answer where its place is wanted and its client is behind with a body, and
    /// while JavaScript does not have its request and nothing has been said; else with a reset, which also throws away
    /// what the kernel holds for it.
    pub(crate) fn leave(&mut self) -> Turn {
        let for_request = self.shared.is_evicted_for_request.take();
        if self.http2.is_some() {
            if for_request {
                self.evict_lagging_streams();
            } else {
                self.evict_slow_streams();
            }
            return Turn::Wait;
        }
        let shared = &self.shared;
        let is_late = shared.ctx.now_ms() >= shared.late_since().saturating_add(STALLED_MS);
        if for_request && is_late && shared.out.borrow().is_empty() {
            return self.refuse(Refusal::BodyTimeout);
        }
        let unheard =
            shared.exchange.borrow().as_ref().is_none_or(|exchange| !exchange.is_dispatched);
        if unheard && shared.out.borrow().is_empty() && !shared.closes_after_response.get() {
            return self.refuse(Refusal::Overloaded);
        }
        self.stream.reset_on_close();
        Turn::Close
    }
}

impl ConnectionState {
    /// What it waits for, if it has no request in hand and nothing to send.
    pub fn waits(&self) -> Option<WaitKind> {
        if self.is_busy() || self.is_aborted.get() {
            return None;
        }
        let in_head = self.requests.get() == 0 || self.held() > 0;
        Some(if in_head { WaitKind::Head } else { WaitKind::Next })
    }

    /// The end of that wait, on the clock of the context: the earliest has waited longest.
    pub fn waits_until(&self) -> u64 {
        self.wait_ends_at.get()
    }

    /// Closes at once.
    pub fn evict_now(&self) {
        self.is_aborted.set(true);
        self.wake();
    }

    /// Bytes that it held when its last turn ended.
    pub fn held(&self) -> usize {
        self.held_bytes.get()
    }

    /// Since when it has held something, on the clock of the context.
    pub fn holds_since(&self) -> u64 {
        self.held_since.get()
    }

    /// Since when its client has been behind with a body that nothing has been answered yet, or with taking an answer, as far
    /// as has been looked.
    pub fn behind_since(&self) -> u64 {
        let streams = self.streams.get().map_or(u64::MAX, |streams| streams.lagging_since());
        self.output_stalled_since.get().min(self.late_since()).min(streams)
    }

    fn late_since(&self) -> u64 {
        // The one that is looked at by a turn of its own is the one that asks for a place.
        let exchange = self.exchange.try_borrow();
        let owes = exchange.is_ok_and(|it| it.as_ref().is_some_and(|exchange| !exchange.head_sent));
        if owes { self.body_late_since.get() } else { u64::MAX }
    }

    pub fn is_evicted(&self) -> bool {
        self.is_evicted.get()
    }

    /// Makes the connection give its place to another request.
    pub fn evict_for_request(&self) {
        self.is_evicted_for_request.set(true);
        self.evict();
    }

    /// Makes the connection end for the sake of others, as memory is short.
    pub fn evict(&self) {
        self.is_evicted.set(true);
        self.has_pending_eviction.set(true);
        self.wake();
    }

    pub(crate) fn hold(&self, now: usize) {
        let before = self.held_bytes.replace(now);
        if before == now {
            return;
        }
        if before == 0 {
            self.held_since.set(self.ctx.now_ms());
        }
        self.ctx.memory.change(&self.ctx.handoff, before, now);
    }

    /// An answer that JavaScript has completed and the client has not taken counts as a request in hand.
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

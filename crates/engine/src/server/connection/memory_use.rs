//! What a connection holds between two turns: bytes, and its place among those that are being answered.

use super::{Connection, Shared, Turn};
use crate::guard::Refusal;
use crate::pressure::admission::{STALLED_MS, Wait};

impl Connection {
    /// Says what is held until the next turn.
    pub(crate) fn settle(&self) {
        let shared = &self.shared;
        let (unsent, held) = {
            let out = shared.out.borrow();
            (!out.is_empty(), out.owned_len())
        };
        let current = shared.current.borrow();
        let collected = current.as_ref().map_or(0, |current| current.collected_len);
        shared.set_writing(unsent && current.is_none() && self.http2.is_none());
        let message = shared.parsed_message.borrow().body.len();
        shared.hold(held + collected + self.carry.len() + message + self.http2_held_bytes());
    }

    /// The connection is to make room: with an answer where its place is wanted and its client is behind with a body, and
    /// while JavaScript does not have its request and nothing has been said; else with a reset, which also throws away
    /// what the kernel holds for it.
    pub(crate) fn leave(&mut self) -> Turn {
        let for_request = self.shared.for_request.take();
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
        let unheard = shared.current.borrow().as_ref().is_none_or(|current| !current.delivered);
        if unheard && shared.out.borrow().is_empty() && !shared.close.get() {
            return self.refuse(Refusal::Overloaded);
        }
        self.stream.reset_on_close();
        Turn::Gone
    }
}

impl Shared {
    /// What it waits for, if it has no request in hand and nothing to send.
    pub fn waits(&self) -> Option<Wait> {
        if self.is_busy() || self.cut.get() {
            return None;
        }
        let in_head = self.requests.get() == 0 || self.held() > 0;
        Some(if in_head { Wait::Head } else { Wait::Next })
    }

    /// The end of that wait, on the clock of the context: the earliest has waited longest.
    pub fn waits_until(&self) -> u64 {
        self.waits_until.get()
    }

    /// Closes at once.
    pub fn give_way(&self) {
        self.cut.set(true);
        self.wake();
    }

    /// Bytes that it held when its last turn ended.
    pub fn held(&self) -> usize {
        self.held.get()
    }

    /// Since when it has held something, on the clock of the context.
    pub fn holds_since(&self) -> u64 {
        self.holds_since.get()
    }

    /// Since when its client has been behind with a body that nothing has been answered yet, or with taking an answer, as far
    /// as has been looked.
    pub fn behind_since(&self) -> u64 {
        let streams = self.streams.get().map_or(u64::MAX, |streams| streams.lagging_since());
        self.stalled_since.get().min(self.late_since()).min(streams)
    }

    fn late_since(&self) -> u64 {
        // The one that is looked at by a turn of its own is the one that asks for a place.
        let current = self.current.try_borrow();
        let owes = current.is_ok_and(|it| it.as_ref().is_some_and(|current| !current.head_sent));
        if owes { self.late_since.get() } else { u64::MAX }
    }

    pub fn is_shed(&self) -> bool {
        self.shed.get()
    }

    /// Makes the connection give its place to another request.
    pub fn make_way(&self) {
        self.for_request.set(true);
        self.shed();
    }

    /// Makes the connection end for the sake of others, as memory is short.
    pub fn shed(&self) {
        self.shed.set(true);
        self.leaves.set(true);
        self.wake();
    }

    pub(crate) fn hold(&self, now: usize) {
        let before = self.held.replace(now);
        if before == now {
            return;
        }
        if before == 0 {
            self.holds_since.set(self.ctx.now_ms());
        }
        self.ctx.memory.change(&self.ctx.handoff, before, now);
    }

    /// An answer that JavaScript has completed and the client has not taken counts as a request in hand.
    pub(crate) fn set_writing(&self, writing: bool) {
        if self.writing.replace(writing) == writing {
            return;
        }
        let (ctx, slot) = (&self.ctx, &self.ctx.handoff.slot);
        if writing {
            ctx.writing.set(ctx.writing.get() + 1);
            slot.response_unsent();
        } else {
            ctx.writing.set(ctx.writing.get() - 1);
            slot.response_sent();
        }
    }
}

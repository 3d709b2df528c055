//! The end of a connection: the last bytes, half a close, and the wait for the client's (RFC 9112 section 9.6).

use std::task::{Context, Poll};

use super::{Connection, ConnectionState, Phase, Turn};
use crate::guard::Refusal;

impl Connection {
    /// The client has ended its side. As on node it counts as gone while an answer is due; but what a handler says at
    /// once, before node would see the end, still goes out (`printf 'GET ...' | nc` reads its answer).
    pub(crate) fn on_end(&mut self) -> Turn {
        let awaits_head = self.shared.exchange.borrow().is_none() && self.in_head();
        if awaits_head && self.shared.limits().node_compatible {
            return self.refuse(Refusal::TruncatedHead);
        }
        let shared = &self.shared;
        match shared.exchange.borrow().as_ref() {
            None => return Turn::Flush,
            // Its body will never be whole, unless that has come and waits for JavaScript to say whether it is one.
            Some(exchange) if self.guard.is_in_message() && !exchange.upgrade_undecided => {
                if exchange.response_complete {
                    return Turn::Flush;
                }
            }
            // Credit or the socket moves it on.
            Some(exchange) if !exchange.body_done || exchange.response_complete => {
                return Turn::Wait;
            }
            // What it has asked for is answered.
            Some(_) if shared.limits().half_open => return Turn::Wait,
            // JavaScript waits for room, and has perhaps been given all of the answer already.
            Some(exchange) if exchange.notifies_when_sent => return Turn::Wait,
            Some(_) => {}
        }
        if self.has_javascript_passed_end() { Turn::Close } else { Turn::Wait }
    }

    /// Whether JavaScript has had its turn since the client's end was seen, and has written nothing that is not read yet.
    /// Until it has, the connection is woken to look again.
    pub(crate) fn has_javascript_passed_end(&mut self) -> bool {
        let ctx = &self.shared.ctx;
        // What is told must have been handed over before JavaScript can have passed it.
        if self.end_seen_at.is_none() && !ctx.has_events_due() {
            self.end_seen_at = Some(ctx.handoff.takes());
        }
        let passed = self.end_seen_at.is_some_and(|seen_at| ctx.handoff.has_passed(seen_at));
        // In this order: an answer that JavaScript has written on its way is found in the ring.
        if passed && !ctx.handoff.ring.is_pending() {
            return true;
        }
        ctx.awaiting_javascript.borrow_mut().push(self.shared.clone());
        ctx.ring_watch.notify_one();
        false
    }

    pub(crate) fn begin_flush(&mut self) {
        self.phase = Phase::Flushing;
        self.arm_flush();
    }

    /// Sends what is left and half-closes.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> Turn {
        match self.send(cx) {
            Poll::Pending => return self.flush_waits(),
            Poll::Ready(Err(_)) => return Turn::Close,
            Poll::Ready(Ok(())) => {}
        }
        self.notify_sent();
        // JavaScript, told that the rest of a body will not come, would destroy the connection under the client that is
        // still to read its answer: it hears of it when that is over.
        if !self.shared.closes_early() {
            self.shared.abort();
        }
        // Nothing can come then whose answer, a reset, would be in the way of ours. A `close_notify` comes when all has
        // been read.
        let closes = self.client_is_done && !self.stream.has_unread();
        let end =
            if closes { self.stream.poll_close_notify(cx) } else { self.stream.poll_shutdown(cx) };
        match end {
            Poll::Ready(Ok(())) if closes => return Turn::Close,
            Poll::Ready(Ok(())) => {}
            // TLS has something to say first.
            Poll::Pending => return self.flush_waits(),
            // The peer is gone.
            Poll::Ready(Err(_)) => return Turn::Close,
        }
        self.phase = Phase::Lingering;
        let shared = &self.shared;
        shared.wait(shared.limits().settings.linger_timeout);
        shared.set_deadline_at(shared.wait_ends_at.get());
        Turn::Again
    }

    fn flush_waits(&mut self) -> Turn {
        if self.shared.is_deadline_due.replace(false) {
            if self.output_expired(self.shared.ctx.now_ms()) {
                self.stream.reset_on_close();
                return Turn::Close;
            }
            self.arm_flush();
        }
        Turn::Wait
    }

    /// Reads until the client has closed too, within bounds.
    pub(crate) fn linger(&mut self, cx: &mut Context<'_>) -> Turn {
        let shared = self.shared.clone();
        if shared.wait_ends_at.get() <= shared.ctx.now_ms() {
            return Turn::Close;
        }
        let mut scratch = shared.ctx.scratch.borrow_mut();
        for _ in 0..READS_A_TURN {
            match self.stream.poll_read(cx, &mut scratch) {
                Poll::Pending => return Turn::Wait,
                Poll::Ready(Ok(count)) if count > 0 && count < self.linger => self.linger -= count,
                Poll::Ready(_) => return Turn::Close,
            }
        }
        Turn::Again
    }
}

impl ConnectionState {
    /// Begins the drain.
    pub fn drain(&self) {
        self.drain_tunnel();
        if self.streams.get().is_some() {
            // Its client is told at once.
            self.wake();
        }
        self.shorten_drain();
    }

    /// An idle connection gets a while for a request that is on its way.
    pub fn shorten_drain(&self) {
        if self.exchange.borrow().is_none() {
            let soon = self.ctx.deadline(self.ctx.idle_drain.get()).min(self.wait_ends_at.get());
            self.wait_ends_at.set(soon);
            self.set_deadline_at(self.deadline.get().min(soon));
        }
    }
}

/// Reads of what nobody wants before the clock is looked at.
const READS_A_TURN: usize = 4;

//! Closes a connection: the last bytes, a half-close, and the wait for the client's close (RFC 9112
//! section 9.6).

use std::task::{Context, Poll};

use super::{Connection, ConnectionState, Phase, Turn};
use crate::guard::Refusal;

impl Connection {
    /// Handles the client's half-close. As in Node, a client with a pending response counts as
    /// disconnected. A response that the handler writes at once, before Node would notice the
    /// half-close, is still sent: `printf 'GET ...' | nc` reads its response.
    pub(crate) fn handle_half_close(&mut self) -> Turn {
        let awaits_head = self.shared.exchange.borrow().is_none() && self.has_partial_head();
        if awaits_head && self.shared.limits().node_compatible {
            return self.refuse(Refusal::TruncatedHead);
        }
        let shared = &self.shared;
        match shared.exchange.borrow().as_ref() {
            None => return Turn::Flush,
            // The body can never be complete, unless it has arrived and waits for JavaScript to
            // decide on the upgrade.
            Some(exchange) if self.guard.is_in_message() && !exchange.is_upgrade_undecided => {
                if exchange.is_response_complete {
                    return Turn::Flush;
                }
            }
            // Credit or the socket continues the exchange.
            Some(exchange) if !exchange.is_body_done || exchange.is_response_complete => {
                return Turn::Wait;
            }
            // The request is answered even though the client has half-closed.
            Some(_) if shared.limits().half_open => return Turn::Wait,
            // JavaScript waits for room, and may have passed on all of the response already.
            Some(exchange) if exchange.notifies_when_sent => return Turn::Wait,
            Some(_) => {}
        }
        if self.has_javascript_passed_end() { Turn::Close } else { Turn::Wait }
    }

    /// Whether JavaScript has had its turn since the half-close was noticed and has written nothing
    /// that is still unread. Until then, the connection is woken to check again.
    pub(crate) fn has_javascript_passed_end(&mut self) -> bool {
        let ctx = &self.shared.ctx;
        // Emitted events must have been delivered before JavaScript can have taken them.
        if self.half_close_noticed_at.is_none() && !ctx.has_events_due() {
            self.half_close_noticed_at = Some(ctx.handoff.takes());
        }
        let passed =
            self.half_close_noticed_at.is_some_and(|seen_at| ctx.handoff.has_passed(seen_at));
        // The order matters: a response that JavaScript was writing meanwhile is found in the ring.
        if passed && !ctx.handoff.ring.has_unread_records() {
            return true;
        }
        ctx.awaiting_javascript.borrow_mut().push(self.shared.clone());
        ctx.ring_watch.notify_one();
        false
    }

    pub(crate) fn begin_flush(&mut self) {
        self.phase = Phase::Flushing;
        self.register_flush_deadline();
    }

    /// Sends what is left and half-closes.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> Turn {
        match self.send(cx) {
            Poll::Pending => return self.await_flush(),
            Poll::Ready(Err(_)) => return Turn::Close,
            Poll::Ready(Ok(())) => {}
        }
        self.notify_sent();
        // JavaScript would destroy the connection if it knew that the rest of the body is not read,
        // and the client has not read the response yet. It is notified afterwards.
        if !self.shared.closes_before_body_end() {
            self.shared.abort_exchange();
        }
        // The client has sent everything, so no reset can overtake our response. A `close_notify`
        // arrives after everything is read.
        let closes = self.is_client_done && !self.stream.has_unread();
        let end =
            if closes { self.stream.poll_close_notify(cx) } else { self.stream.poll_shutdown(cx) };
        match end {
            Poll::Ready(Ok(())) if closes => return Turn::Close,
            Poll::Ready(Ok(())) => {}
            // TLS must send something first.
            Poll::Pending => return self.await_flush(),
            // The peer has disconnected.
            Poll::Ready(Err(_)) => return Turn::Close,
        }
        self.phase = Phase::Lingering;
        let shared = &self.shared;
        shared.start_wait(shared.limits().settings.linger_timeout);
        shared.set_deadline_at(shared.wait_ends_at.get());
        Turn::Again
    }

    fn await_flush(&mut self) -> Turn {
        if self.shared.is_deadline_due.replace(false) {
            if self.is_reader_too_slow(self.shared.ctx.now_ms()) {
                self.stream.reset_on_close();
                return Turn::Close;
            }
            self.register_flush_deadline();
        }
        Turn::Wait
    }

    /// Reads until the client closes too, within bounds of time and bytes.
    pub(crate) fn linger(&mut self, cx: &mut Context<'_>) -> Turn {
        let shared = self.shared.clone();
        if shared.wait_ends_at.get() <= shared.ctx.now_ms() {
            return Turn::Close;
        }
        let mut scratch = shared.ctx.read_scratch.borrow_mut();
        for _ in 0..READS_PER_TURN {
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
    /// Begins the drain of a connection.
    pub fn drain(&self) {
        self.drain_tunnel();
        if self.streams.get().is_some() {
            // Sends GOAWAY to an HTTP/2 client at once.
            self.wake();
        }
        self.shorten_drain();
    }

    /// Shortens the wait of an idle connection; a request may be on its way.
    pub fn shorten_drain(&self) {
        if self.exchange.borrow().is_none() {
            let soon = self.ctx.deadline(self.ctx.idle_drain.get()).min(self.wait_ends_at.get());
            self.wait_ends_at.set(soon);
            self.set_deadline_at(self.deadline.get().min(soon));
        }
    }
}

/// Reads of discarded bytes per turn, before the clock is checked.
const READS_PER_TURN: usize = 4;

//! The closing phases of a connection: sends the last bytes, half-closes, and waits for the
//! client's close (RFC 9112 section 9.6).

use std::task::{Context, Poll};
use std::time::Duration;

use super::{Connection, ConnectionState, Phase, Turn};
use crate::exchange::ExchangeEnd;
use crate::guard::Refusal;
use crate::server::io_thread::alarms::watch_ring;

impl Connection {
    /// Handles the client's half-close. As in Node, a client that half-closes before its response
    /// counts as disconnected. A response that the handler writes at once is still sent, because
    /// Node would not have noticed the half-close yet: `printf 'GET ...' | nc` reads its response.
    pub(crate) fn handle_half_close(&mut self) -> Turn {
        let awaits_head = self.shared.exchange.borrow().is_none() && self.has_partial_head();
        if awaits_head && self.shared.limits().node_compatible {
            return self.refuse(Refusal::TruncatedHead);
        }
        let shared = &self.shared;
        match shared.exchange.borrow().as_ref() {
            None => return Turn::Flush,
            // The body can never be complete. The exception is a body that has arrived and waits
            // until JavaScript decides on the upgrade.
            Some(exchange) if self.guard.is_in_message() && !exchange.is_upgrade_undecided() => {
                if exchange.response.is_complete {
                    return Turn::Flush;
                }
            }
            // The exchange continues with more credit, or once the socket accepts more.
            Some(exchange) if !exchange.body.is_done || exchange.response.is_complete => {
                return Turn::Wait;
            }
            // With Node's `httpAllowHalfOpen`, a half-closed client still receives its response.
            Some(_) if shared.limits().half_open => return Turn::Wait,
            // JavaScript waits until bytes have been sent, and may have written the whole response.
            Some(exchange) if exchange.response.notifies_when_sent => return Turn::Wait,
            Some(_) => {}
        }
        if self.has_javascript_passed_end() { Turn::Close } else { Turn::Wait }
    }

    /// Withdraws the request in flight if JavaScript has not taken it and the client half-closes
    /// later than [`HALF_CLOSE_TIME`] after it. Returns whether it did. Such a client has given up:
    /// one that sends nothing more, like `nc`, half-closes right after its request.
    pub(crate) fn withdraw_late_half_close(&self) -> bool {
        let shared = &self.shared;
        let exchange = shared.exchange.borrow();
        let waiting = exchange.as_ref().filter(|exchange| exchange.is_dispatched);
        let limits = shared.limits();
        !limits.half_open
            && !limits.node_compatible
            && waiting.is_some_and(|exchange| {
                shared.ctx.outbox.withdraw_after(exchange.id, HALF_CLOSE_TIME)
            })
    }

    /// Whether JavaScript has processed a batch since the task noticed the half-close, and all its
    /// records have been read. If not, schedules a wake of the connection to check again.
    pub(crate) fn has_javascript_passed_end(&mut self) -> bool {
        let ctx = &self.shared.ctx;
        // JavaScript can take only events that have been delivered.
        if self.half_close_noticed_at.is_none() && !ctx.outbox.is_due() {
            self.half_close_noticed_at = Some(ctx.handoff.takes());
        }
        let has_passed =
            self.half_close_noticed_at.is_some_and(|seen_at| ctx.handoff.has_passed(seen_at));
        // Check the ring after the batch: JavaScript may have written a response meanwhile.
        if has_passed && !ctx.handoff.ring.has_unread_records() {
            return true;
        }
        ctx.tables.awaiting_javascript.borrow_mut().push(self.shared.clone());
        watch_ring(ctx);
        false
    }

    /// Starts the phase that sends the last response.
    pub(crate) fn begin_flush(&mut self) {
        self.phase = Phase::Flushing;
        self.register_flush_deadline();
    }

    /// Sends the rest of the write queue, then half-closes the connection.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> Turn {
        match self.send(cx) {
            Poll::Pending => return self.await_flush(),
            Poll::Ready(Err(_)) => return Turn::Close,
            Poll::Ready(Ok(())) => {}
        }
        self.notify_sent();
        // If the rest of the request body is not read, JavaScript is notified only after the close.
        // It would destroy the socket before the client has read the response.
        if !self.shared.closes_before_body_end() {
            self.shared.end_current_exchange(ExchangeEnd::Closing);
        }
        // A client that has sent everything causes no reset that could destroy our response, so the
        // connection may close at once, after the TLS `close_notify`.
        let closes_at_once = self.is_client_done && !self.stream.has_unread();
        let end = if closes_at_once {
            self.stream.poll_close_notify(cx)
        } else {
            self.stream.poll_shutdown(cx)
        };
        match end {
            Poll::Ready(Ok(())) if closes_at_once => return Turn::Close,
            Poll::Ready(Ok(())) => {}
            // TLS must send a record first.
            Poll::Pending => return self.await_flush(),
            // The client has disconnected.
            Poll::Ready(Err(_)) => return Turn::Close,
        }
        self.phase = Phase::Lingering;
        let shared = &self.shared;
        shared.start_wait(shared.limits().settings.linger_timeout);
        shared.set_deadline_at(shared.timer.wait_ends_at.get());
        Turn::Again
    }

    /// Waits until the socket accepts more, or closes the connection if the client reads too
    /// slowly.
    fn await_flush(&mut self) -> Turn {
        if self.shared.timer.is_due.replace(false) {
            if self.is_reader_too_slow(self.shared.ctx.clock.now_ms()) {
                self.stream.reset_on_close();
                return Turn::Close;
            }
            self.register_flush_deadline();
        }
        Turn::Wait
    }

    /// Reads and discards bytes until the client closes too, for up to `linger_timeout` and a
    /// number of bytes.
    pub(crate) fn linger(&mut self, cx: &mut Context<'_>) -> Turn {
        let shared = self.shared.clone();
        if shared.timer.wait_ends_at.get() <= shared.ctx.clock.now_ms() {
            return Turn::Close;
        }
        let mut scratch = shared.ctx.scratch.read.borrow_mut();
        for _ in 0..MAX_LINGER_READS_PER_STEP {
            match self.poll_read(cx, &mut scratch) {
                Poll::Pending => return Turn::Wait,
                Poll::Ready(Ok(count)) if count > 0 && count < self.linger => self.linger -= count,
                Poll::Ready(_) => return Turn::Close,
            }
        }
        Turn::Again
    }
}

impl ConnectionState {
    /// Begins the drain of the connection.
    pub fn drain(&self) {
        self.drain_tunnel();
        if self.streams.get().is_some() {
            // Sends GOAWAY to an HTTP/2 client at once.
            self.wake();
        }
        self.shorten_drain();
    }

    /// Shortens the wait of an idle connection to `idle_drain`, during which a request may arrive.
    pub fn shorten_drain(&self) {
        if self.exchange.borrow().is_none() {
            let soon = self
                .ctx
                .clock
                .deadline(self.ctx.lifecycle.idle_drain.get())
                .min(self.timer.wait_ends_at.get());
            self.timer.wait_ends_at.set(soon);
            self.set_deadline_at(self.timer.deadline.get().min(soon));
        }
    }
}

/// Time after a request in which a client may half-close and still receive the response.
const HALF_CLOSE_TIME: Duration = Duration::from_millis(200);
/// Maximum reads of discarded bytes per step, before the clock is checked.
const MAX_LINGER_READS_PER_STEP: usize = 4;

//! Deadlines of an HTTP/2 connection and its streams. The timer wheel holds one entry per
//! connection, for the earliest deadline. When it fires, all streams are checked to find the one
//! that is due.

use std::rc::Rc;

use h2::Reason;

use super::Session;
use super::exchange::StreamExchange;
use crate::exchange::ExchangeEnd;
use crate::exchange::min_rate::RateBounds;
use crate::server::connection::{Connection, ConnectionState, Turn};

impl StreamExchange {
    /// Returns the time of the next check of this stream, in milliseconds of the context's clock.
    pub fn deadline(&self) -> u64 {
        let exchange = self.exchange.borrow();
        let is_body_pending = !exchange.body.is_done;
        let deadline = exchange.deadline(is_body_pending, &self.shared.limits.borrow());
        deadline.min(self.drain_deadline.get())
    }

    /// Refuses or resets the stream if one of its deadlines has passed. Returns whether the client
    /// has stopped reading its response.
    fn check_deadlines(self: &Rc<Self>, now: u64) -> bool {
        let is_stalled = self.is_read_too_slowly(now);
        if self.drain_deadline.get() <= now {
            self.drain_tunnel();
        }
        if is_stalled || self.drain_deadline.get() <= now {
            self.abort(Reason::CANCEL);
        } else {
            self.check_request_deadlines(now);
        }
        is_stalled
    }

    fn check_request_deadlines(&self, now: u64) {
        let mut exchange = self.exchange.borrow_mut();
        let is_body_pending = !exchange.body.is_done;
        let due = exchange.due(now, is_body_pending, &self.shared.limits.borrow());
        let Some(due) = due else { return };
        let refusal = self.shared.refusal_of_due(&mut exchange, due);
        drop(exchange);
        match refusal {
            Some(refusal) => self.refuse(refusal),
            // As much of the body has arrived as was wanted, so the reset carries `NO_ERROR`.
            None => self.end(ExchangeEnd::TimedOut),
        }
    }

    /// Returns whether the client reads the response too slowly. A closed flow-control window
    /// counts as not reading, because only the client can open it.
    fn is_read_too_slowly(&self, now: u64) -> bool {
        let bounds = RateBounds::of_response(&self.shared.limits());
        let sent = self.unsent.take_sent();
        let mut rate = self.response_rate.get();
        if self.unsent.bytes() == 0 {
            rate.stop();
        } else if rate.is_off() {
            rate.start(now, bounds);
        } else if sent > 0 {
            rate.record_bytes(now, sent as u64, bounds);
        }
        self.response_rate.set(rate);
        rate.deadline(bounds) <= now
    }
}

impl ConnectionState {
    /// Schedules the next check of a stream on the timer wheel.
    pub(crate) fn watch_stream(&self, stream: &StreamExchange) {
        self.set_deadline_no_later_than(
            stream.deadline().min(self.ctx.clock.now_ms() + STREAM_CHECK_INTERVAL_MS),
        );
    }

    /// Starts the idle timer after the last stream has closed. The head of the next request may
    /// already have begun.
    pub(crate) fn wait_for_next_stream(&self, header_block_deadline: u64, is_draining: bool) {
        self.start_wait(self.idle_time(is_draining));
        self.set_deadline_at(self.timer.wait_ends_at.get().min(header_block_deadline));
    }
}

impl Connection {
    /// Handles the deadline of the connection that has fired.
    pub(crate) fn on_http2_deadline(&mut self, session: &mut Session) -> Option<Turn> {
        let now = match self.take_expired_deadline() {
            Ok(now) => now,
            Err(turn) => return turn,
        };
        let shared = self.shared.clone();
        if session.is_handshaking() && shared.timer.wait_ends_at.get() <= now {
            return Some(Turn::Close);
        }
        let streams = session.streams.clone();
        let had_streams = !streams.is_empty();
        let mut has_stalled = false;
        for stream in streams.all() {
            has_stalled |= stream.check_deadlines(now);
        }
        if has_stalled {
            session.refuse_waiting();
        }
        streams.update_stalled(now);
        if had_streams && streams.is_empty() {
            shared.wait_for_next_stream(session.header_block_deadline, session.is_draining());
        }
        if session.header_block_deadline <= now {
            // RFC 9113 section 10.5: the header block has not ended in time.
            session.abort(Reason::ENHANCE_YOUR_CALM);
        } else if streams.is_empty() && shared.timer.wait_ends_at.get() <= now {
            if session.is_draining() {
                session.abort(Reason::NO_ERROR);
            } else {
                session.drain();
                shared.start_wait(shared.ctx.lifecycle.idle_drain.get());
            }
        }
        self.arm_http2_timer(session, now);
        None
    }

    fn arm_http2_timer(&self, session: &Session, now: u64) {
        let shared = &self.shared;
        let streams = session.streams.all();
        let next = if streams.is_empty() {
            shared.timer.wait_ends_at.get()
        } else {
            let first = streams.iter().map(Rc::as_ref).map(StreamExchange::deadline).min();
            first.unwrap_or(u64::MAX).min(now + STREAM_CHECK_INTERVAL_MS)
        };
        shared.set_deadline_at(
            next.max(now + 1).min(session.header_block_deadline).min(self.output_deadline(now)),
        );
    }
}

/// Interval at which the progress of open streams is checked, in milliseconds.
const STREAM_CHECK_INTERVAL_MS: u64 = 2_000;

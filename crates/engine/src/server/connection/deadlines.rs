//! Every deadline of an HTTP/1 connection. The timer wheel has one entry per connection, for the
//! earliest deadline. When the entry expires, the task determines which deadline has passed
//! (`expiry.rs`). Bytes only move deadlines later, so no byte sets the wheel.

use super::{Connection, Phase};
use crate::exchange::min_rate::RateBounds;
use crate::exchange::request_body::RequestBody;
use crate::pressure::limits::IDLE_RELEASE_DELAY;

impl Connection {
    /// Returns the earliest deadline of a tunnel, except that of reading.
    pub(crate) fn tunnel_deadline(&self) -> u64 {
        self.shared.timer.wait_ends_at.get().min(self.exchange_deadline())
    }

    /// Registers the earliest deadline of a tunnel with the timer wheel.
    pub(crate) fn register_tunnel_deadline(&self, now: u64) {
        self.shared.set_deadline_at(self.tunnel_deadline().min(self.output_deadline(now)));
    }

    /// Frees every buffer of a connection that waits but whose task must stay. The next request
    /// allocates them again, which would cost too much after every request.
    pub(crate) fn free_buffers(&mut self) {
        self.stream.flush_held();
        if self.shared.write_queue.borrow_mut().release_if_empty() {
            self.shared.parsed_message.borrow_mut().free_buffers();
            self.has_freed_buffers = true;
        }
    }

    /// Registers the deadline of the next request, or of the rest of its head, with the timer
    /// wheel.
    fn register_head_deadline(&self) {
        let until = self.shared.timer.wait_ends_at.get();
        self.shared
            .set_deadline_at(until.min(self.output_deadline(self.shared.ctx.clock.now_ms())));
    }

    /// Registers the earliest deadline of the connection with the timer wheel.
    pub(crate) fn register_deadline(&self, now: u64) {
        let shared = &self.shared;
        let next = if shared.exchange.borrow().is_some() {
            let is_paused = self.with_body(|body, _| body.rate().is_paused()) == Some(true);
            let check = if is_paused { now + PROGRESS_CHECK_INTERVAL_MS } else { u64::MAX };
            self.exchange_deadline().min(check)
        } else if self.has_partial_head() || self.has_freed_buffers {
            shared.timer.wait_ends_at.get()
        } else {
            shared.timer.wait_ends_at.get().min(now + IDLE_RELEASE_DELAY.as_millis() as u64)
        };
        shared.set_deadline_at(next.min(self.output_deadline(now)));
    }

    /// Starts the wait for the next request, or for the rest of its head if that has begun.
    pub(crate) fn await_next_request(&mut self) {
        let shared = &self.shared;
        self.has_freed_buffers = false;
        if !self.read_buffer.is_empty() {
            shared.start_wait(shared.limits().settings.header_timeout);
            return self.register_head_deadline();
        }
        let idle = shared.idle_time(false);
        shared.start_wait(idle);
        shared.set_deadline(IDLE_RELEASE_DELAY.min(idle));
    }

    /// Starts the timeout of a head at its first byte; later bytes do not restart it. The first
    /// head of a connection is timed from the accept.
    pub(crate) fn start_head_timeout(&mut self) {
        let shared = &self.shared;
        if shared.requests.get() > 0 && !shared.ctx.lifecycle.is_draining.get() {
            shared.start_wait(shared.limits().settings.header_timeout);
        }
        self.register_head_deadline();
    }

    /// Registers the deadlines of a request that has been dispatched: of its body, of its response,
    /// and of an earlier response that the client has not read.
    pub(crate) fn start_exchange_deadlines(&mut self) {
        if self.guard.is_in_message() {
            let is_off = |connection: &Self| {
                connection.with_body(|body, _| body.rate().is_off()).unwrap_or(true)
            };
            if is_off(self) {
                self.start_body_clock();
            }
            if !is_off(self) {
                return;
            }
        } else if let Some(exchange) = self.shared.exchange.borrow_mut().as_mut() {
            exchange.body.stop_clock();
        }
        if !self.shared.limits().settings.request_timeout.is_zero() || !self.response_rate.is_off()
        {
            self.register_deadline(self.shared.ctx.clock.now_ms());
        }
    }

    /// Starts or resumes the clock of the request body, because the client must send more.
    pub(crate) fn start_body_clock(&mut self) {
        if !self.guard.is_in_message() {
            return;
        }
        let now = self.shared.ctx.clock.now_ms();
        if self.with_body(|body, bounds| body.start_clock(now, bounds)) == Some(true) {
            self.register_deadline(now);
        }
    }

    /// Pauses the clock of the request body, because nothing is read: JavaScript grants no credit.
    pub(crate) fn pause_body_clock(&mut self) {
        let now = self.shared.ctx.clock.now_ms();
        if self.with_body(|body, _| body.pause_clock(now)) == Some(true) {
            self.register_deadline(now);
        }
    }

    /// Records `count` received bytes of the request body, which move its deadline later.
    pub(crate) fn record_received(&mut self, count: usize) {
        let now = self.shared.ctx.clock.now_ms();
        self.with_body(|body, bounds| body.record_arrival(count, now, bounds));
    }

    /// Calls `change` with the body of the request in flight, if there is one, and its limits.
    fn with_body<T>(&self, change: impl FnOnce(&mut RequestBody, RateBounds) -> T) -> Option<T> {
        let mut exchange = self.shared.exchange.borrow_mut();
        let body = &mut exchange.as_mut()?.body;
        Some(change(body, RateBounds::of_body(&self.shared.limits.borrow())))
    }

    /// Returns the earliest deadline of the exchange in flight.
    fn exchange_deadline(&self) -> u64 {
        let is_in_body = self.guard.is_in_message();
        let exchange = self.shared.exchange.borrow();
        exchange
            .as_ref()
            .map_or(u64::MAX, |it| it.deadline(is_in_body, &self.shared.limits.borrow()))
    }

    /// Starts the response clock, because the socket accepts no more until the client reads.
    pub(crate) fn start_response_clock(&mut self) {
        if !self.response_rate.is_off() {
            return;
        }
        let now = self.shared.ctx.clock.now_ms();
        self.response_rate.start(now, self.response_rate_bounds());
        self.shared.footprint.output_stalled_since.set(now);
        self.shared.set_deadline_no_later_than(self.output_deadline(now));
    }

    /// Stops the response clock, because all bytes have been sent.
    pub(crate) fn stop_response_clock(&mut self) {
        if self.response_rate.is_off() {
            return;
        }
        self.response_rate.stop();
        self.shared.footprint.output_stalled_since.set(u64::MAX);
        let is_serving = matches!(self.phase, Phase::Serving);
        if is_serving && self.shared.exchange.borrow().is_none() && self.read_buffer.is_empty() {
            self.await_next_request();
        }
    }

    /// Whether the client reads too slowly. Bytes count once the client's TCP has acknowledged
    /// them. The kernel buffers hundreds of kilobytes, and an acceptable client may need minutes
    /// for them.
    pub(crate) fn is_reader_too_slow(&mut self, now: u64) -> bool {
        if !self.response_rate.is_running() {
            return false;
        }
        let bounds = self.response_rate_bounds();
        let acknowledged = self.acknowledged_bytes();
        if acknowledged > self.last_acknowledged {
            self.response_rate.record_bytes(now, acknowledged - self.last_acknowledged, bounds);
            self.last_acknowledged = acknowledged;
            self.shared.footprint.output_stalled_since.set(self.response_rate.late_since(bounds));
        }
        self.response_rate.deadline(bounds) <= now
    }

    /// Returns the number of bytes that the client's TCP has acknowledged.
    pub(crate) fn acknowledged_bytes(&self) -> u64 {
        self.shared.write_queue.borrow().total_sent().saturating_sub(self.stream.unacknowledged())
    }

    /// Returns when to check again how much the client has read, at most
    /// [`PROGRESS_CHECK_INTERVAL_MS`] after `now`.
    pub(crate) fn output_deadline(&self, now: u64) -> u64 {
        let bounds = self.response_rate_bounds();
        match self.response_rate.deadline(bounds) {
            u64::MAX => u64::MAX,
            deadline => deadline.min(now + PROGRESS_CHECK_INTERVAL_MS),
        }
    }

    /// Returns the limits of reading the response.
    fn response_rate_bounds(&self) -> RateBounds {
        RateBounds::of_response(&self.shared.limits())
    }

    /// Registers the deadline of the connection's last response with the timer wheel.
    pub(crate) fn register_flush_deadline(&mut self) {
        let now = self.shared.ctx.clock.now_ms();
        if self.response_rate.is_off() {
            self.response_rate.start(now, self.response_rate_bounds());
        }
        self.shared.set_deadline_at(self.output_deadline(now));
    }
}

/// Interval in milliseconds of two checks: how many bytes the client has acknowledged, and whether
/// a client is still connected while nothing is read from it.
const PROGRESS_CHECK_INTERVAL_MS: u64 = 2_000;

//! Every deadline of a connection. The wheel has one entry per connection, for the earliest
//! deadline; which one it was is determined when the entry expires. Deadlines only move later while
//! bytes move, so no byte sets the wheel.

use super::min_rate::{MinRate, RateBounds};
use super::{Connection, Exchange, Phase, Turn};
use crate::guard::Refusal;
use crate::pressure::limits::IDLE_RELEASE_DELAY;

impl Connection {
    /// Returns the time if a deadline has passed. Otherwise, or if the client reads too slowly,
    /// returns the step that the connection takes.
    pub(crate) fn take_due(&mut self) -> Result<u64, Option<Turn>> {
        self.shared.is_deadline_due.set(false);
        let now = self.shared.ctx.now_ms();
        if self.shared.deadline.get() > now {
            return Err(None);
        }
        if self.output_expired(now) {
            self.stream.reset_on_close();
            return Err(Some(Turn::Close));
        }
        Ok(now)
    }

    /// Handles a passed deadline; returns `None` if the connection continues.
    pub(crate) fn on_deadline(&mut self) -> Option<Turn> {
        let now = match self.take_due() {
            Ok(now) => now,
            Err(turn) => return turn,
        };
        let shared = self.shared.clone();
        let turn = if shared.exchange.borrow().is_some() {
            self.exchange_expired(now)
        } else {
            self.wait_expired(now)
        };
        if turn.is_none() {
            self.arm(now);
        }
        turn
    }

    /// Handles a deadline while a request is in flight.
    fn exchange_expired(&mut self, now: u64) -> Option<Turn> {
        let shared = self.shared.clone();
        if self.input.is_paused() && self.stream.is_reset() {
            return Some(Turn::Close);
        }
        if self.discard_deadline() <= now {
            // The rest of a discarded request body has not arrived in time.
            shared.abort();
            return Some(Turn::Flush);
        }
        if self.input.deadline(self.input_bounds()) <= now {
            return Some(self.refuse(Refusal::BodyTimeout));
        }
        if self.answer_deadline() <= now {
            let waited = shared.withdraw();
            let refusal = if waited { Refusal::DispatchTimeout } else { Refusal::ResponseTimeout };
            return Some(self.refuse(refusal));
        }
        None
    }

    /// Handles a deadline of a tunnel: the application must answer, the client must read, and must
    /// close after its WebSocket was closed or the upgrade was refused.
    pub(crate) fn on_tunnel_deadline(&mut self) -> Option<Turn> {
        let shared = self.shared.clone();
        shared.is_deadline_due.set(false);
        let now = shared.ctx.now_ms();
        if self.output_expired(now) {
            self.stream.reset_on_close();
            return Some(Turn::Close);
        }
        if self.tunnel_deadline() <= now {
            shared.abort();
            return Some(Turn::Flush);
        }
        self.arm_tunnel(now);
        None
    }

    fn tunnel_deadline(&self) -> u64 {
        self.shared.wait_ends_at.get().min(self.answer_deadline()).min(self.discard_deadline())
    }

    /// Registers the earliest deadline of a tunnel with the wheel.
    pub(crate) fn arm_tunnel(&self, now: u64) {
        self.shared.set_deadline_at(self.tunnel_deadline().min(self.output_deadline(now)));
    }

    /// Handles a header or idle timeout, when no request is in flight.
    fn wait_expired(&mut self, now: u64) -> Option<Turn> {
        let shared = self.shared.clone();
        if self.in_head() {
            if self.waits_for_reader {
                // The client may be late with reading; the output clock measures that.
                shared.wait(shared.limits().settings.header_timeout);
            }
            return (shared.wait_ends_at.get() <= now).then(|| self.refuse(Refusal::HeadTimeout));
        }
        if !shared.out.borrow().is_empty() {
            // The client is still reading its last response.
            shared.wait(shared.limits().settings.keepalive);
        }
        if shared.wait_ends_at.get() <= now {
            return Some(Turn::Flush);
        }
        if self.can_make_idle() {
            return Some(Turn::MakeIdle);
        }
        self.free_buffers();
        None
    }

    /// Frees every buffer of a connection whose task must stay. The next request allocates them
    /// again, which costs too much after every request.
    fn free_buffers(&mut self) {
        self.stream.flush_held();
        if self.shared.out.borrow_mut().release_if_empty() {
            self.shared.parsed_message.borrow_mut().free_buffers();
            self.has_freed_buffers = true;
        }
    }

    /// Registers the deadline of the next request, or of the rest of its head, with the wheel.
    fn arm_head(&self) {
        let until = self.shared.wait_ends_at.get();
        self.shared.set_deadline_at(until.min(self.output_deadline(self.shared.ctx.now_ms())));
    }

    /// Registers the earliest deadline with the wheel.
    fn arm(&self, now: u64) {
        let shared = &self.shared;
        let next = if shared.exchange.borrow().is_some() {
            let check =
                if self.input.is_paused() { now + PROGRESS_CHECK_INTERVAL_MS } else { u64::MAX };
            self.input
                .deadline(self.input_bounds())
                .min(self.discard_deadline())
                .min(self.answer_deadline())
                .min(check)
        } else if self.in_head() || self.has_freed_buffers {
            shared.wait_ends_at.get()
        } else {
            shared.wait_ends_at.get().min(now + IDLE_RELEASE_DELAY.as_millis() as u64)
        };
        shared.set_deadline_at(next.min(self.output_deadline(now)));
    }

    /// Starts the wait for the next request, or for the rest of its head if that has begun.
    pub(crate) fn begin_wait(&mut self) {
        let shared = &self.shared;
        let limits = shared.limits();
        self.input = MinRate::OFF;
        self.update_body_late_since();
        self.has_freed_buffers = false;
        if !self.read_buffer.is_empty() {
            shared.wait(limits.settings.header_timeout);
            return self.arm_head();
        }
        let idle = if shared.ctx.draining.get() {
            shared.ctx.idle_drain.get().min(limits.settings.keepalive)
        } else {
            limits.settings.keepalive + limits.keepalive_grace
        };
        shared.wait(idle);
        shared.set_deadline(IDLE_RELEASE_DELAY.min(idle));
    }

    /// Starts the timeout of a head at its first byte; later bytes do not restart it. The first
    /// head of a connection is timed from the accept.
    pub(crate) fn head_begins(&mut self) {
        let shared = &self.shared;
        if shared.requests.get() > 0 && !shared.ctx.draining.get() {
            shared.wait(shared.limits().settings.header_timeout);
        }
        self.arm_head();
    }

    /// Whether part of a head has arrived. Empty lines may precede a head and need not be followed
    /// by one (RFC 9112 section 2.2).
    pub(crate) fn in_head(&self) -> bool {
        !self.read_buffer.unread().iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// Starts the clocks of a request that has been dispatched: of a body that is still to come, or
    /// of an earlier response that the client has not read.
    pub(crate) fn exchange_begins(&mut self) {
        if self.guard.is_in_message() {
            if self.input.is_off() {
                self.input_waits();
            }
            if !self.input.is_off() {
                return;
            }
        } else {
            self.input.stop();
            self.update_body_late_since();
        }
        if !self.shared.limits().settings.request_timeout.is_zero() || !self.output.is_off() {
            self.arm(self.shared.ctx.now_ms());
        }
    }

    /// Starts or resumes the clock of the request body: the client must send more.
    pub(crate) fn input_waits(&mut self) {
        if !self.guard.is_in_message() || self.input.is_running() {
            return;
        }
        let now = self.shared.ctx.now_ms();
        if self.input.is_paused() {
            self.input.resume(now);
        } else if self.shared.exchange.borrow().as_ref().is_some_and(Exchange::owes_body) {
            self.input.start(now, self.input_bounds());
        } else {
            return;
        }
        self.update_body_late_since();
        self.arm(now);
    }

    /// Pauses the clock of the request body: JavaScript has granted no credit, so nothing is read.
    pub(crate) fn input_pauses(&mut self) {
        if self.input.is_running() {
            let now = self.shared.ctx.now_ms();
            self.input.pause(now);
            self.update_body_late_since();
            self.arm(now);
        }
    }

    pub(crate) fn input_moved(&mut self, count: usize) {
        if !self.input.is_off() {
            let now = self.shared.ctx.now_ms();
            self.input.resume(now);
            self.input.moved(now, count as u64, self.input_bounds());
            self.update_body_late_since();
        }
    }

    /// Publishes since when the body is late, for the choice of an eviction.
    fn update_body_late_since(&self) {
        self.shared.body_late_since.set(self.input.behind_since(self.input_bounds()));
    }

    fn input_bounds(&self) -> RateBounds {
        RateBounds::of_body(&self.shared.limits())
    }

    fn discard_deadline(&self) -> u64 {
        self.shared.exchange.borrow().as_ref().map_or(u64::MAX, Exchange::discard_deadline)
    }

    pub(crate) fn answer_deadline(&self) -> u64 {
        let client_owes = self.input.is_running() && self.guard.is_in_message();
        match self.shared.exchange.borrow().as_ref() {
            Some(exchange) if !client_owes => exchange.answer_deadline(&self.shared, self.input),
            _ => u64::MAX,
        }
    }

    /// Starts the output clock: the socket accepts no more until the client reads.
    pub(crate) fn output_waits(&mut self) {
        if !self.output.is_off() {
            return;
        }
        let now = self.shared.ctx.now_ms();
        self.output.start(now, self.output_bounds());
        self.shared.output_stalled_since.set(now);
        self.shared.set_deadline_no_later_than(self.output_deadline(now));
    }

    /// Stops the output clock: everything is sent.
    pub(crate) fn output_done(&mut self) {
        if self.output.is_off() {
            return;
        }
        self.output.stop();
        self.shared.output_stalled_since.set(u64::MAX);
        let serving = matches!(self.phase, Phase::Serving);
        if serving && self.shared.exchange.borrow().is_none() && self.read_buffer.is_empty() {
            self.begin_wait();
        }
    }

    /// Whether the client reads too slowly. Bytes count when the client's TCP has acknowledged
    /// them: the kernel buffers hundreds of kilobytes, which a slow but acceptable client reads for
    /// minutes.
    pub(crate) fn output_expired(&mut self, now: u64) -> bool {
        if !self.output.is_running() {
            return false;
        }
        let bounds = self.output_bounds();
        let acknowledged = self.arrived();
        if acknowledged > self.acknowledged {
            self.output.moved(now, acknowledged - self.acknowledged, bounds);
            self.acknowledged = acknowledged;
            self.shared.output_stalled_since.set(self.output.behind_since(bounds));
        }
        self.output.deadline(bounds) <= now
    }

    /// Bytes that the client's TCP has acknowledged; the kernel may hold hundreds of kilobytes
    /// more.
    pub(crate) fn arrived(&self) -> u64 {
        self.shared.out.borrow().total_sent().saturating_sub(self.stream.unacknowledged())
    }

    /// When to check the client's progress again.
    pub(crate) fn output_deadline(&self, now: u64) -> u64 {
        let bounds = self.output_bounds();
        match self.output.deadline(bounds) {
            u64::MAX => u64::MAX,
            deadline => deadline.min(now + PROGRESS_CHECK_INTERVAL_MS),
        }
    }

    fn output_bounds(&self) -> RateBounds {
        RateBounds::of_answer(&self.shared.limits())
    }

    /// Registers the deadline of the connection's last response with the wheel.
    pub(crate) fn arm_flush(&mut self) {
        let now = self.shared.ctx.now_ms();
        if self.output.is_off() {
            self.output.start(now, self.output_bounds());
        }
        self.shared.set_deadline_at(self.output_deadline(now));
    }
}

/// Interval in milliseconds at which acknowledged bytes are checked, and whether a client that is
/// not being read from is still connected.
const PROGRESS_CHECK_INTERVAL_MS: u64 = 2_000;

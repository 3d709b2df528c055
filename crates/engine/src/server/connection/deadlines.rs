//! Every deadline of a connection. The wheel has one entry for it, the earliest; which clock it was is found out when
//! it comes up. Deadlines only ever move later while bytes move, so nothing is set anew for a byte.

use super::min_rate::{MinRate, RateBounds};
use super::{Connection, Exchange, Phase, Turn};
use crate::guard::Refusal;
use crate::pressure::limits::IDLE_RELEASE_DELAY;

impl Connection {
    /// The time, if a deadline has come; else, or if its client has taken too little, what the connection does.
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

    /// What the deadline that has come means. Without a turn the connection goes on.
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

    /// A request is in hand.
    fn exchange_expired(&mut self, now: u64) -> Option<Turn> {
        let shared = self.shared.clone();
        if self.input.is_paused() && self.stream.is_reset() {
            return Some(Turn::Close);
        }
        if self.discard_deadline() <= now {
            // The rest of a request body that nobody wants has not come in time.
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

    /// The connection is a tunnel: its application has to answer, its client to take what is sent and, once its
    /// WebSocket is closed, or it has been refused, to close too.
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

    /// Sets the wheel for a tunnel.
    pub(crate) fn arm_tunnel(&self, now: u64) {
        self.shared.set_deadline_at(self.tunnel_deadline().min(self.output_deadline(now)));
    }

    /// None is.
    fn wait_expired(&mut self, now: u64) -> Option<Turn> {
        let shared = self.shared.clone();
        if self.in_head() {
            if self.waits_for_reader {
                // The client is late with its reading, if with anything, and that has a clock of its own.
                shared.wait(shared.limits().settings.header_timeout);
            }
            return (shared.wait_ends_at.get() <= now).then(|| self.refuse(Refusal::HeadTimeout));
        }
        if !shared.out.borrow().is_empty() {
            // It still reads its last answer.
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

    /// Gives back every buffer, where the task must stay. What is given back is made again with the next request, which
    /// costs too much to be done behind each.
    fn free_buffers(&mut self) {
        self.stream.flush_held();
        if self.shared.out.borrow_mut().release_if_empty() {
            self.shared.parsed_message.borrow_mut().free_buffers();
            self.has_freed_buffers = true;
        }
    }

    /// Sets the wheel to when the next request, or the rest of its head, is due.
    fn arm_head(&self) {
        let until = self.shared.wait_ends_at.get();
        self.shared.set_deadline_at(until.min(self.output_deadline(self.shared.ctx.now_ms())));
    }

    /// Sets the wheel to the earliest deadline.
    fn arm(&self, now: u64) {
        let shared = &self.shared;
        let next = if shared.exchange.borrow().is_some() {
            let look = if self.input.is_paused() { now + LOOK_EVERY_MS } else { u64::MAX };
            self.input
                .deadline(self.input_bounds())
                .min(self.discard_deadline())
                .min(self.answer_deadline())
                .min(look)
        } else if self.in_head() || self.has_freed_buffers {
            shared.wait_ends_at.get()
        } else {
            shared.wait_ends_at.get().min(now + IDLE_RELEASE_DELAY.as_millis() as u64)
        };
        shared.set_deadline_at(next.min(self.output_deadline(now)));
    }

    /// Waits for the next request, or for the rest of its head if that has begun.
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

    /// The first bytes of a head: from here on it has its own time, which no byte starts again. The first head of a
    /// connection has it from its accept.
    pub(crate) fn head_begins(&mut self) {
        let shared = &self.shared;
        if shared.requests.get() > 0 && !shared.ctx.draining.get() {
            shared.wait(shared.limits().settings.header_timeout);
        }
        self.arm_head();
    }

    /// Empty lines may stand before a head, and none need follow (RFC 9112 section 2.2).
    pub(crate) fn in_head(&self) -> bool {
        !self.read_buffer.unread().iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// The request in hand has begun to be read; a body that is still to come needs a clock, and so does an answer before
    /// it that its client has not taken.
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

    /// The client is asked for more of a body.
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

    /// It is not: JavaScript has not given credit.
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

    /// For those who look from outside.
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

    /// The socket takes no more: from here on the client has to read.
    pub(crate) fn output_waits(&mut self) {
        if !self.output.is_off() {
            return;
        }
        let now = self.shared.ctx.now_ms();
        self.output.start(now, self.output_bounds());
        self.shared.output_stalled_since.set(now);
        self.shared.set_deadline_no_later_than(self.output_deadline(now));
    }

    /// Everything is sent.
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

    /// Whether the client has taken too little, by what its side has acknowledged: the kernel takes bytes from us by
    /// hundreds of kilobytes, which a slow client that is fast enough reads for minutes.
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

    /// Bytes that the client's side has acknowledged: the kernel takes hundreds of kilobytes that nobody reads.
    pub(crate) fn arrived(&self) -> u64 {
        self.shared.out.borrow().total_sent().saturating_sub(self.stream.unacknowledged())
    }

    /// When to look at the client's progress again.
    pub(crate) fn output_deadline(&self, now: u64) -> u64 {
        let bounds = self.output_bounds();
        match self.output.deadline(bounds) {
            u64::MAX => u64::MAX,
            deadline => deadline.min(now + LOOK_EVERY_MS),
        }
    }

    fn output_bounds(&self) -> RateBounds {
        RateBounds::of_answer(&self.shared.limits())
    }

    /// Sets the wheel for the last answer of the connection.
    pub(crate) fn arm_flush(&mut self) {
        let now = self.shared.ctx.now_ms();
        if self.output.is_off() {
            self.output.start(now, self.output_bounds());
        }
        self.shared.set_deadline_at(self.output_deadline(now));
    }
}

/// How often is looked at what a slow reader has acknowledged, and whether a client is there that is not read from.
const LOOK_EVERY_MS: u64 = 2_000;

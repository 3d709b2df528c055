//! Every deadline of a connection of HTTP/2. The wheel has one entry for it, the earliest; which stream's it was is found
//! by a look at all of them.

use std::rc::Rc;

use h2::Reason;

use super::Session;
use super::exchange::StreamExchange;
use crate::guard::Refusal;
use crate::server::connection::min_rate::Bounds;
use crate::server::connection::{Connection, Current, Shared, Turn};

impl StreamExchange {
    pub fn pause_input(&self) {
        let mut pace = self.input.get();
        pace.pause(self.shared.ctx.now_ms());
        self.input.set(pace);
    }

    /// The client is asked for more of a body.
    pub fn resume_input(&self, current: &Current) {
        let now = self.shared.ctx.now_ms();
        let mut pace = self.input.get();
        if !pace.is_off() {
            pace.resume(now);
        } else if current.owes_body() {
            pace.start(now, self.input_bounds());
        }
        self.input.set(pace);
    }

    pub fn input_moved(&self, count: usize) {
        let now = self.shared.ctx.now_ms();
        let mut pace = self.input.get();
        if !pace.is_off() {
            pace.resume(now);
            pace.moved(now, count as u64, self.input_bounds());
            self.input.set(pace);
        }
    }

    pub fn stop_input(&self) {
        let mut pace = self.input.get();
        pace.stop();
        self.input.set(pace);
    }

    fn input_bounds(&self) -> Bounds {
        Bounds::of_body(&self.shared.limits())
    }

    /// When it has to be looked at again, whatever happens.
    pub fn deadline(&self) -> u64 {
        let current = self.current.borrow();
        let input = self.input.get();
        let takes_over = current.tunnel.is_some();
        let body = if takes_over { u64::MAX } else { input.deadline(self.input_bounds()) };
        let client_owes = !takes_over && input.is_running() && !current.body_done;
        let answer =
            if client_owes { u64::MAX } else { current.answer_deadline(&self.shared, input) };
        body.min(answer).min(current.discard_deadline()).min(self.leaves_by.get())
    }

    /// Looks which deadline has passed, and ends it if one has. Says whether the client has not taken its answer.
    fn look(&self, now: u64) -> bool {
        let stands = self.output_expired(now);
        if stands || self.leaves_by.get() <= now {
            self.cut(Reason::CANCEL);
        } else {
            self.look_at_request(now);
        }
        stands
    }

    fn look_at_request(&self, now: u64) {
        let current = self.current.borrow();
        if current.discard_deadline() <= now {
            drop(current);
            // Complete as far as it was wanted: the reset says that nothing is wrong.
            return self.close(true);
        }
        let is_tunnel = current.tunnel.is_some();
        drop(current);
        if !is_tunnel && self.input.get().deadline(self.input_bounds()) <= now {
            return self.refuse(Refusal::BodyTimeout);
        }
        if self.deadline() <= now {
            let mut current = self.current.borrow_mut();
            let waited = !current.delivered || current.withdraw(&self.shared.ctx);
            drop(current);
            self.refuse(if waited { Refusal::DispatchTimeout } else { Refusal::ResponseTimeout });
        }
    }

    /// Whether the client has taken too little of the answer: its windows are its own to open.
    fn output_expired(&self, now: u64) -> bool {
        let bounds = Bounds::of_answer(&self.shared.limits());
        let moved = self.unsent.take_moved();
        let mut pace = self.output.get();
        if self.unsent.bytes() == 0 {
            pace.stop();
        } else if pace.is_off() {
            pace.start(now, bounds);
        } else if moved > 0 {
            pace.moved(now, moved as u64, bounds);
        }
        self.output.set(pace);
        pace.deadline(bounds) <= now
    }
}

impl Shared {
    /// Sees to it that the wheel comes up for a stream.
    pub(crate) fn watch(&self, exchange: &StreamExchange) {
        self.look_again_at(exchange.deadline().min(self.ctx.now_ms() + LOOK_EVERY_MS));
    }

    /// No stream is open: from here on the connection waits for the next, whose head may have begun.
    pub(crate) fn wait_for_stream(&self, head_until: u64, is_leaving: bool) {
        let limits = self.limits();
        let idle = if is_leaving || self.ctx.draining.get() {
            self.ctx.idle_drain.get().min(limits.keepalive)
        } else {
            limits.keepalive + limits.keepalive_grace
        };
        self.wait(idle);
        self.set_deadline_at(self.waits_until.get().min(head_until));
    }
}

impl Connection {
    /// What the deadline that has come means.
    pub(crate) fn on_http2_deadline(&mut self, session: &mut Session) -> Option<Turn> {
        let now = match self.take_due() {
            Ok(now) => now,
            Err(turn) => return turn,
        };
        let shared = self.shared.clone();
        if session.is_opening() && shared.waits_until.get() <= now {
            return Some(Turn::Gone);
        }
        let streams = session.streams.clone();
        let had_streams = !streams.is_empty();
        let mut one_stands = false;
        for exchange in streams.all() {
            one_stands |= exchange.look(now);
        }
        if one_stands {
            session.refuse_waiting();
        }
        streams.look_at_standing(now);
        if had_streams && streams.is_empty() {
            shared.wait_for_stream(session.head_until, session.is_leaving());
        }
        if session.head_until <= now {
            // RFC 9113 section 10.5: a head that does not end.
            session.end(Reason::ENHANCE_YOUR_CALM);
        } else if streams.is_empty() && shared.waits_until.get() <= now {
            if session.is_leaving() {
                session.end(Reason::NO_ERROR);
            } else {
                session.leave();
                shared.wait(shared.ctx.idle_drain.get());
            }
        }
        self.arm_http2(session, now);
        None
    }

    fn arm_http2(&self, session: &Session, now: u64) {
        let shared = &self.shared;
        let streams = session.streams.all();
        let next = if streams.is_empty() {
            shared.waits_until.get()
        } else {
            let first = streams.iter().map(Rc::as_ref).map(StreamExchange::deadline).min();
            first.unwrap_or(u64::MAX).min(now + LOOK_EVERY_MS)
        };
        shared.set_deadline_at(
            next.max(now + 1).min(session.head_until).min(self.output_deadline(now)),
        );
    }
}

/// How often streams are looked at for what moves in them.
const LOOK_EVERY_MS: u64 = 2_000;

//! Answers of the engine's own, and their lines in the access log.

use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use super::{Connection, ConnectionState, TableEntry, Turn};
use crate::bridge::ring::HeadFlags;
use crate::exchange::request_head::Span;
use crate::guard::{PartialRequest, Refusal};
use crate::http1::encoder;
use crate::log::access::{AccessEntry, RequestFields};
use crate::server::context::Context;

/// Who answers what has been refused on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// Nothing has been.
    Nothing,
    /// The engine has, and ends the connection.
    ByEngine,
    /// The engine ends the connection and says nothing.
    Silently,
    /// The program does, as on node.
    Waits,
    /// It has.
    Answered,
}

/// Takes what the program says to a client that was refused.
pub(crate) fn answer_refused(ctx: &Context, id: u32, bytes: &[u8], end: bool) {
    let connections = ctx.connections.borrow();
    let shared = connections.find(id).and_then(TableEntry::serving);
    let Some(shared) = shared.filter(|shared| shared.refusal_response.get() == Refused::Waits)
    else {
        return;
    };
    shared.out.borrow_mut().append(|out| out.extend_from_slice(bytes));
    if end {
        shared.refusal_response.set(Refused::Answered);
    }
    shared.touch();
}

/// Whether the engine has answered a client that it ends the connection of. JavaScript, which hears that the rest of the
/// request will not come, destroys the connection then: the client is still to read the answer.
pub(crate) fn is_refused(ctx: &Context, id: u32) -> bool {
    let connections = ctx.connections.borrow();
    let shared = connections.find(id).and_then(TableEntry::serving);
    shared.is_some_and(|shared| shared.refusal_response.get() == Refused::ByEngine)
}

impl Connection {
    /// Waits for the program's answer to what was refused, and throws away what the client still sends.
    pub(crate) fn await_answer(&mut self, cx: &mut TaskContext<'_>) -> Turn {
        let shared = self.shared.clone();
        if matches!(self.send(cx), Poll::Ready(Err(_))) {
            return Turn::Close;
        }
        let is_over = shared.wait_ends_at.get() <= shared.ctx.now_ms();
        if is_over || shared.refusal_response.get() == Refused::Answered {
            return Turn::Flush;
        }
        if self.linger > 0 && !self.input_ended {
            match self.stream.poll_read(cx, &mut shared.ctx.scratch.borrow_mut()) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return Turn::Close,
                Poll::Ready(Ok(0)) => self.input_ended = true,
                Poll::Ready(Ok(count)) => {
                    self.linger = self.linger.saturating_sub(count);
                    return Turn::Again;
                }
            }
        }
        // Then node ends its side as well, as soon as the program has had its turn.
        let ends = self.input_ended && !shared.limits().half_open;
        if ends && self.has_javascript_passed_end() { Turn::Flush } else { Turn::Wait }
    }
}

impl ConnectionState {
    /// Writes an answer of the engine's own, unless the program does, and ends the connection behind it.
    pub(crate) fn refuse(&self, refusal: Refusal, fault: &PartialRequest) {
        self.closes_after_response.set(true);
        match self.exchange.borrow_mut().as_mut() {
            // An answer is on its way: nothing can be said any more.
            Some(exchange) if exchange.head_sent => {}
            Some(exchange) => {
                exchange.status = self.status_of(refusal);
                exchange.sent_bytes = self.write_refusal(refusal, fault);
                // From here on the log has something to tell.
                exchange.head_sent = true;
            }
            None => {
                let sent = self.write_refusal(refusal, fault);
                self.ctx.handoff.slot.request_started();
                self.ctx.count(self.status_of(refusal), 0, sent, 0);
                self.log_refused(refusal, fault, sent);
            }
        }
        self.abort();
    }

    /// Writes the answer to a refused request and returns how long its body is.
    fn write_refusal(&self, refusal: Refusal, fault: &PartialRequest) -> u64 {
        if matches!(self.refusal_response.get(), Refused::Waits | Refused::Silently) {
            return 0;
        }
        self.refusal_response.set(Refused::ByEngine);
        if self.limits().node_compatible {
            let status = self.status_of(refusal);
            self.out.borrow_mut().append(|out| encoder::write_bare_refusal(out, status));
            return 0;
        }
        let (fields, body) = encoder::refusal_content(refusal, fault.format);
        let flags = HeadFlags::new(1 | 2 | 4 | 32);
        let date = self.ctx.date.borrow();
        let options = encoder::HeadOptions {
            closes: true,
            keepalive_secs: 0,
            date: date.text(),
            length: Some(body.len() as u64),
        };
        let body = if fault.is_head_request { "" } else { &body };
        self.out.borrow_mut().append(|out| {
            encoder::write_head(out, refusal.status(), None, fields.as_bytes(), flags, &options);
            out.extend_from_slice(body.as_bytes());
        });
        body.len() as u64
    }

    fn status_of(&self, refusal: Refusal) -> u16 {
        if self.limits().node_compatible { refusal.status_on_node() } else { refusal.status() }
    }

    /// A line for a request that never became one, with as much as could be read.
    pub(crate) fn log_refused(&self, refusal: Refusal, fault: &PartialRequest, sent: u64) {
        let mut access = self.ctx.access.borrow_mut();
        let Some(log) = access.as_mut() else { return };
        let part = |span: Span| if span.is_empty() { b"-" } else { span.of(&fault.bytes) };
        log.log(&AccessEntry {
            remote: Some(self.remote()).filter(|remote| !remote.is_empty()),
            method: part(fault.method),
            target: part(fault.target),
            version: part(fault.version),
            status: self.status_of(refusal),
            body_bytes: sent,
            duration: Duration::ZERO,
            request_fields: RequestFields::Spans { head: &fault.bytes, fields: &fault.fields },
            response_fields: b"",
            pid: self.ctx.pid,
        });
    }
}

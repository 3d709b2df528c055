//! Answers of the engine's own, and their lines in the access log.

use std::time::Duration;

use super::Shared;
use crate::access::{Entry, RequestFields};
use crate::encoder;
use crate::guard::{Fault, Refusal};
use crate::request::Span;
use crate::ring::HeadFlags;

impl Shared {
    /// Writes an answer of the engine's own and ends the connection behind it.
    pub(super) fn refuse(&self, refusal: Refusal, fault: &Fault) {
        self.close.set(true);
        match self.current.borrow_mut().as_mut() {
            // An answer is on its way: nothing can be said any more.
            Some(current) if current.head_sent => {}
            Some(current) => {
                current.status = refusal.status();
                current.sent_bytes = self.say(refusal, fault);
                // From here on the log has something to tell.
                current.head_sent = true;
            }
            None => {
                let sent = self.say(refusal, fault);
                self.ctx.crossing.slot.request_started();
                self.ctx.count(refusal.status(), 0, sent, 0);
                self.log_refused(refusal, fault, sent);
            }
        }
        self.abort();
    }

    /// Writes the answer to a refused request and returns how long its body is.
    fn say(&self, refusal: Refusal, fault: &Fault) -> u64 {
        let (fields, body) = encoder::refusal(refusal, fault.media);
        let flags = HeadFlags::new(1 | 2 | 4 | 32);
        let date = self.ctx.date.borrow();
        let decision = encoder::Decision {
            close: true,
            keepalive_secs: 0,
            date: date.text(),
            length: Some(body.len() as u64),
        };
        let body = if fault.is_head { "" } else { &body };
        self.out.borrow_mut().append(|out| {
            encoder::head(out, refusal.status(), None, fields.as_bytes(), flags, &decision);
            out.extend_from_slice(body.as_bytes());
        });
        body.len() as u64
    }

    /// A line for a request that never became one, with as much as could be read.
    pub(super) fn log_refused(&self, refusal: Refusal, fault: &Fault, sent: u64) {
        let mut access = self.ctx.access.borrow_mut();
        let Some(log) = access.as_mut() else { return };
        let part = |span: Span| if span.is_empty() { b"-" } else { span.of(&fault.bytes) };
        log.log(&Entry {
            remote: Some(self.remote()).filter(|remote| !remote.is_empty()),
            method: part(fault.method),
            target: part(fault.target),
            version: part(fault.version),
            status: refusal.status(),
            body_bytes: sent,
            duration: Duration::ZERO,
            request_fields: RequestFields::Spans { head: &fault.bytes, fields: &fault.fields },
            response_fields: b"",
            pid: self.ctx.pid,
        });
    }
}

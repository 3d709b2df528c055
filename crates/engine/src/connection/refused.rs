//! Answers of the engine's own.

use super::Shared;
use crate::encoder;
use crate::guard::Refusal;
use crate::ring::HeadFlags;

impl Shared {
    /// Writes an answer of the engine's own and ends the connection behind it.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.close.set(true);
        let text = refusal.text();
        match self.current.borrow_mut().as_mut() {
            // An answer is on its way: nothing can be said any more.
            Some(current) if current.head_sent => {}
            Some(current) => {
                current.status = refusal.status();
                current.sent_bytes = text.len() as u64 + 1;
                self.say(refusal);
            }
            None => {
                self.say(refusal);
                let slot = &self.ctx.crossing.slot;
                slot.request_started();
                slot.request_finished(refusal.status(), 0, text.len() as u64 + 1, 0);
            }
        }
        self.abort();
    }

    fn say(&self, refusal: Refusal) {
        let text = refusal.text();
        let fields: &[u8] = match refusal {
            Refusal::Unserved => b"Content-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\n",
            _ => b"Content-Type: text/plain; charset=utf-8\r\n",
        };
        let flags = HeadFlags::new(1 | 2 | 4 | 32);
        let date = self.ctx.date.borrow();
        let decision = encoder::Decision {
            close: true,
            keepalive_secs: 0,
            date: date.text(),
            length: Some(text.len() as u64 + 1),
        };
        self.out.borrow_mut().append(|out| {
            encoder::head(out, refusal.status(), None, fields, flags, &decision);
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        });
    }
}

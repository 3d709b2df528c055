//! JavaScript's side of an exchange on HTTP/1: commands become bytes in the out queue.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Current, Shared};
use crate::bridge::ring::ResponseHead;
use crate::exchange::request_head::Framing;
use crate::exchange::response_sink::ResponseSink;
use crate::http1::encoder::{self, HeadOptions};

impl ResponseSink for Shared {
    fn send_interim(&self, head: &ResponseHead<'_>) {
        self.with_current(|current| {
            current.informs(head.status);
            // RFC 9110 section 15.2: none to a client of HTTP/1.0.
            if !current.head_sent && current.takes_interim {
                self.out.borrow_mut().append(|out| {
                    encoder::write_interim_head(out, head.status, head.reason, head.fields)
                });
            }
        });
    }

    fn send_head(&self, head: &ResponseHead<'_>, length: Option<u64>) {
        self.with_current(|current| {
            if std::mem::replace(&mut current.head_sent, true) {
                return;
            }
            current.expects = false;
            let ctx = &self.ctx;
            let limits = self.limits();
            let limit = limits.settings.limit_requests_per_connection;
            let close = head.flags.close()
                || !current.keep_alive
                || ctx.draining.get()
                || limits.settings.keepalive.is_zero()
                || (limit > 0 && self.requests.get() >= limit)
                || (head.flags.discards() && !current.passes_soon(limits.max_discarded));
            if close {
                self.close.set(true);
            }
            current.status = head.status;
            current.no_body = head.flags.no_body();
            current.chunked = head.flags.frames_chunks() && !current.no_body;
            // Node has rendered them, which knows nothing of a drain, a limit or a body that is still to come.
            let says_otherwise =
                close && current.keep_alive && !head.flags.close() && !head.flags.connection();
            let fields = if says_otherwise {
                Cow::Owned(encoder::rewrite_as_closing(head.fields))
            } else {
                Cow::Borrowed(head.fields)
            };
            if let Some(log) = &mut current.log {
                log.response_fields.extend_from_slice(&fields);
            }
            let date = ctx.date.borrow();
            let options = HeadOptions {
                closes: close,
                keepalive_secs: limits.settings.keepalive.as_secs(),
                date: date.text(),
                length: length.filter(|_| head.flags.length()),
            };
            self.out.borrow_mut().append(|out| {
                encoder::write_head(out, head.status, head.reason, &fields, head.flags, &options);
            });
        });
    }

    fn send_data(&self, bytes: &[u8]) {
        self.with_current(|current| {
            if current.tunnel.is_some() {
                let count = self.look_at_tunnel(current, bytes);
                self.out.borrow_mut().append(|out| out.extend_from_slice(&bytes[..count]));
                return self.look_behind_tunnel(current);
            }
            if !current.takes_data(bytes.len()) {
                return;
            }
            self.out.borrow_mut().append(|out| {
                if current.chunked {
                    encoder::write_chunk_size(out, bytes.len());
                }
                out.extend_from_slice(bytes);
                if current.chunked {
                    out.extend_from_slice(encoder::CRLF);
                }
            });
        });
    }

    fn send_large(&self, bytes: Bytes) {
        self.piece(bytes, false);
    }

    fn send_borrowed(&self, bytes: Bytes) {
        self.piece(bytes, true);
    }

    fn add_trailers(&self, fields: &[u8]) {
        self.with_current(|current| current.trailers.extend_from_slice(fields));
    }

    fn end(&self, discard: bool) {
        self.with_current(|current| {
            if std::mem::replace(&mut current.ended, true) {
                return;
            }
            if current.tunnel.is_none() {
                self.complete(current, discard);
            }
            current.awaits_rest(self);
            self.look_again_at(current.discard_deadline());
        });
    }

    fn abort(&self) {
        self.cut.set(true);
        self.touch();
    }

    fn grant_credit(&self, bytes: u32) {
        self.with_current(|current| current.credit = current.credit.saturating_add(bytes as usize));
    }

    fn decide_upgrade(&self, taken: bool) {
        self.with_current(|current| self.decide_upgrade(current, taken));
    }

    fn notify_when_sent(&self) {
        self.with_current(|current| current.notify = true);
    }
}

impl Shared {
    /// The answer is complete.
    fn complete(&self, current: &mut Current, discard: bool) {
        current.undecided = false;
        if !current.head_sent {
            // Nothing was said and nothing will be: cutting the connection is the only honest answer.
            self.cut.set(true);
        }
        if current.chunked {
            let trailers = std::mem::take(&mut current.trailers);
            self.out.borrow_mut().append(|out| encoder::write_last_chunk(out, &trailers));
        }
        current.discard = discard;
    }

    /// A piece of the body that need not be copied.
    fn piece(&self, bytes: Bytes, lent: bool) {
        self.with_current(|current| {
            if current.tunnel.is_some() {
                let count = self.look_at_tunnel(current, &bytes);
                self.out.borrow_mut().push(bytes.slice(..count));
                return self.look_behind_tunnel(current);
            }
            if !current.takes_data(bytes.len()) {
                return;
            }
            let mut out = self.out.borrow_mut();
            if current.chunked {
                out.append(|out| encoder::write_chunk_size(out, bytes.len()));
            }
            if lent {
                out.push_borrowed(bytes);
            } else {
                out.push(bytes);
            }
            if current.chunked {
                out.append(|out| out.extend_from_slice(encoder::CRLF));
            }
        });
    }

    /// Changes the exchange in hand and wakes the task.
    fn with_current(&self, change: impl FnOnce(&mut Current)) {
        if let Some(current) = self.current.borrow_mut().as_mut() {
            change(current);
        }
        self.touch();
    }
}

impl Current {
    /// Whether what is left of the request's body is known to be little: worth reading to keep the connection.
    fn passes_soon(&self, most: u64) -> bool {
        self.body_done
            || match self.framing {
                Framing::None => true,
                Framing::Length(length) => length.saturating_sub(self.body_bytes) <= most,
                Framing::Chunked => most == u64::MAX,
            }
    }

    /// Whether body bytes may be written now; counts them.
    pub(crate) fn takes_data(&mut self, len: usize) -> bool {
        let takes = self.head_sent && !self.ended && !self.no_body && len > 0;
        if takes {
            self.sent_bytes += len as u64;
        }
        takes
    }
}

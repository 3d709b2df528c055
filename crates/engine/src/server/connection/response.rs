//! The response of an HTTP/1 exchange. Records from JavaScript become bytes in the write queue.

use std::borrow::Cow;

use bytes::Bytes;

use super::{ConnectionState, Exchange};
use crate::bridge::ring::ResponseHead;
use crate::exchange::request_head::Framing;
use crate::exchange::response_sink::ResponseSink;
use crate::http1::encoder::{self, HeadOptions};

impl ResponseSink for ConnectionState {
    fn send_interim(&self, head: &ResponseHead<'_>) {
        self.change_exchange(|exchange| {
            exchange.record_interim(head.status);
            // HTTP/1.0 clients get no 1xx response (RFC 9110 section 15.2).
            if !exchange.is_head_sent && exchange.accepts_interim {
                self.write_queue.borrow_mut().append(|out| {
                    encoder::write_interim_head(out, head.status, head.reason, head.fields);
                });
            }
        });
    }

    fn send_head(&self, head: &ResponseHead<'_>, length: Option<u64>) {
        self.change_exchange(|exchange| {
            if std::mem::replace(&mut exchange.is_head_sent, true) {
                return;
            }
            exchange.awaits_continue = false;
            let ctx = &self.ctx;
            let limits = self.limits();
            let limit = limits.settings.limit_requests_per_connection;
            let closes = head.flags.closes()
                || !exchange.allows_keep_alive
                || ctx.lifecycle.is_draining.get()
                || limits.settings.keepalive.is_zero()
                || (limit > 0 && self.requests.get() >= limit)
                || (head.flags.discards_request_body()
                    && !exchange.is_rest_short(limits.max_discarded));
            if closes {
                self.closes_after_response.set(true);
            }
            exchange.learn_from_fields(ctx, head.fields);
            exchange.status = head.status;
            exchange.has_no_body = head.flags.has_no_body();
            exchange.is_chunked = head.flags.sends_chunks() && !exchange.has_no_body;
            // JavaScript has rendered the fields, but only the engine knows of a drain, a limit or
            // an unread body.
            let needs_rewrite = closes
                && exchange.allows_keep_alive
                && !head.flags.closes()
                && !head.flags.adds_connection();
            let fields = if needs_rewrite {
                Cow::Owned(encoder::rewrite_as_closing(head.fields))
            } else {
                Cow::Borrowed(head.fields)
            };
            if let Some(log) = &mut exchange.log_info {
                log.response_fields.extend_from_slice(&fields);
            }
            let date = ctx.date();
            let options = HeadOptions {
                closes,
                keepalive_secs: limits.settings.keepalive.as_secs(),
                date: date.text(),
                length: length.filter(|_| head.flags.adds_length()),
            };
            self.write_queue.borrow_mut().append(|out| {
                encoder::write_head(out, head.status, head.reason, &fields, head.flags, &options);
            });
        });
    }

    fn send_data(&self, bytes: &[u8]) {
        self.change_exchange(|exchange| {
            if exchange.tunnel.is_some() {
                let count = self.inspect_tunnel_bytes(exchange, bytes);
                self.write_queue.borrow_mut().append(|out| out.extend_from_slice(&bytes[..count]));
                return self.close_websocket_at_boundary(exchange);
            }
            exchange.learn_from_body(&self.ctx, bytes);
            if !exchange.count_response_bytes(bytes.len()) {
                return;
            }
            self.write_queue.borrow_mut().append(|out| {
                if exchange.is_chunked {
                    encoder::write_chunk_size(out, bytes.len());
                }
                out.extend_from_slice(bytes);
                if exchange.is_chunked {
                    out.extend_from_slice(encoder::CRLF);
                }
            });
        });
    }

    fn send_large(&self, bytes: Bytes) {
        self.append_chunk(bytes, false);
    }

    fn send_borrowed(&self, bytes: Bytes) {
        self.append_chunk(bytes, true);
    }

    fn add_trailers(&self, fields: &[u8]) {
        self.change_exchange(|exchange| exchange.trailers.extend_from_slice(fields));
    }

    fn end(&self, discard: bool) {
        self.change_exchange(|exchange| {
            if std::mem::replace(&mut exchange.is_response_complete, true) {
                return;
            }
            if exchange.tunnel.is_none() {
                self.complete(exchange, discard);
            }
            exchange.start_discard_timer(self);
            self.set_deadline_no_later_than(exchange.discard_deadline());
        });
    }

    fn abort(&self) {
        self.is_aborted.set(true);
        self.queue_wake();
    }

    fn grant_credit(&self, bytes: u32) {
        self.change_exchange(|exchange| {
            exchange.credit = exchange.credit.saturating_add(bytes as usize);
        });
    }

    fn decide_upgrade(&self, taken: bool) {
        self.change_exchange(|exchange| self.decide_upgrade(exchange, taken));
    }

    fn notify_when_sent(&self) {
        self.change_exchange(|exchange| exchange.notifies_when_sent = true);
    }
}

impl ConnectionState {
    /// Writes the end of the response. With `discard`, the rest of the request body is dropped.
    fn complete(&self, exchange: &mut Exchange, discard: bool) {
        exchange.is_upgrade_undecided = false;
        if !exchange.is_head_sent {
            // A response without a head cannot be completed, so the connection is aborted.
            self.is_aborted.set(true);
        }
        if exchange.is_chunked {
            let trailers = std::mem::take(&mut exchange.trailers);
            self.write_queue.borrow_mut().append(|out| encoder::write_last_chunk(out, &trailers));
        }
        exchange.discards_body = discard;
    }

    /// Appends a response chunk without a copy. A borrowed chunk returns to JavaScript once it is
    /// sent.
    fn append_chunk(&self, bytes: Bytes, is_borrowed: bool) {
        self.change_exchange(|exchange| {
            if exchange.tunnel.is_some() {
                let count = self.inspect_tunnel_bytes(exchange, &bytes);
                self.write_queue.borrow_mut().push(bytes.slice(..count));
                return self.close_websocket_at_boundary(exchange);
            }
            exchange.learn_from_body(&self.ctx, &bytes);
            if !exchange.count_response_bytes(bytes.len()) {
                return;
            }
            let mut out = self.write_queue.borrow_mut();
            if exchange.is_chunked {
                out.append(|out| encoder::write_chunk_size(out, bytes.len()));
            }
            if is_borrowed {
                out.push_borrowed(bytes);
            } else {
                out.push(bytes);
            }
            if exchange.is_chunked {
                out.append(|out| out.extend_from_slice(encoder::CRLF));
            }
        });
    }

    /// Changes the exchange in flight, if there is one, and schedules a wake of the task.
    fn change_exchange(&self, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.exchange.borrow_mut().as_mut() {
            change(exchange);
        }
        self.queue_wake();
    }
}

impl Exchange {
    /// Whether the rest of the request body is known to be at most `max` bytes. A short rest is
    /// read, which keeps the connection open.
    fn is_rest_short(&self, max: u64) -> bool {
        self.is_body_done
            || match self.framing {
                Framing::None => true,
                Framing::Length(length) => length.saturating_sub(self.body_bytes) <= max,
                Framing::Chunked => max == u64::MAX,
            }
    }

    /// Counts response body bytes if they may be written now, and returns whether they may.
    pub(crate) fn count_response_bytes(&mut self, len: usize) -> bool {
        let may_write =
            self.is_head_sent && !self.is_response_complete && !self.has_no_body && len > 0;
        if may_write {
            self.sent_bytes += len as u64;
        }
        may_write
    }
}

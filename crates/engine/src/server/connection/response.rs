//! The output of an HTTP/1 exchange, a response or a tunnel. Records from JavaScript become bytes
//! in the write queue.

use std::borrow::Cow;

use bytes::Bytes;

use super::ending::Ending;
use super::state::ConnectionState;
use crate::bridge::ring::ResponseHead;
use crate::buffers::write_queue::WriteQueue;
use crate::exchange::response::ResponseFraming;
use crate::exchange::response_sink::ResponseSink;
use crate::exchange::tunnel::TunnelWrite;
use crate::exchange::websocket::SERVICE_RESTART_FRAME;
use crate::exchange::{Completion, Exchange};
use crate::http1::encoder::{self, HeadOptions};

impl ResponseSink for ConnectionState {
    fn send_interim(&self, head: &ResponseHead<'_>) {
        self.change_exchange(|exchange| {
            if exchange.begin_interim(head.status) {
                self.write_queue.borrow_mut().append(|out| {
                    encoder::write_interim_head(out, head.status, head.reason, head.fields);
                });
            }
        });
    }

    fn send_head(&self, head: &ResponseHead<'_>, length: Option<u64>) {
        self.change_exchange(|exchange| {
            let framing = ResponseFraming {
                has_no_body: head.flags.has_no_body(),
                is_chunked: head.flags.sends_chunks(),
            };
            if !exchange.begin_response(head.status, framing) {
                return;
            }
            let ctx = &self.ctx;
            let limits = self.limits();
            let limit = limits.settings.limit_requests_per_connection;
            let closes = head.flags.closes()
                || !exchange.allows_keep_alive
                || ctx.lifecycle.is_draining.get()
                || limits.settings.keepalive.is_zero()
                || (limit > 0 && self.requests.get() >= limit)
                || (head.flags.discards_request_body()
                    && !exchange.body.is_rest_short(limits.max_discarded));
            if closes {
                self.ending.set(Ending::AfterResponse);
            }
            exchange.learn_from_fields(ctx, head.fields);
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
            exchange.log_response_fields(&fields);
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
            if exchange.is_tunnel() {
                return self.write_tunnel(exchange, bytes, |out, len| {
                    out.append(|out| out.extend_from_slice(&bytes[..len]));
                });
            }
            exchange.learn_from_body(&self.ctx, bytes);
            if !exchange.response.write(bytes.len()) {
                return;
            }
            self.write_queue.borrow_mut().append(|out| {
                if exchange.response.is_chunked {
                    encoder::write_chunk_size(out, bytes.len());
                }
                out.extend_from_slice(bytes);
                if exchange.response.is_chunked {
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
        self.change_exchange(|exchange| exchange.response.trailers.extend_from_slice(fields));
    }

    fn end(&self, discard: bool) {
        self.change_exchange(|exchange| {
            let now = self.ctx.clock.now_ms();
            match exchange.complete(discard, now, &self.limits.borrow()) {
                Completion::Repeated => return,
                Completion::Tunnel => {}
                // The connection is aborted.
                Completion::Headless => self.ending.set(Ending::Aborted),
                Completion::Response if exchange.response.is_chunked => {
                    let trailers = std::mem::take(&mut exchange.response.trailers);
                    let mut out = self.write_queue.borrow_mut();
                    out.append(|out| encoder::write_last_chunk(out, &trailers));
                }
                Completion::Response => {}
            }
            self.set_deadline_no_later_than(exchange.body.discard_deadline());
        });
    }

    fn abort(&self) {
        self.close(Ending::Aborted);
    }

    fn grant_credit(&self, bytes: u32) {
        self.change_exchange(|exchange| exchange.body.grant(bytes));
    }

    fn decide_upgrade(&self, taken: bool) {
        self.change_exchange(|exchange| self.decide_upgrade(exchange, taken));
    }

    fn notify_when_sent(&self) {
        self.change_exchange(|exchange| exchange.response.notifies_when_sent = true);
    }

    fn error_flags(&self) -> u8 {
        self.exchange.borrow().as_ref().map_or(0, Exchange::error_flags)
    }
}

impl ConnectionState {
    /// Appends a response chunk without a copy. A borrowed chunk returns to JavaScript once it is
    /// sent.
    fn append_chunk(&self, bytes: Bytes, is_borrowed: bool) {
        self.change_exchange(|exchange| {
            if exchange.is_tunnel() {
                return self
                    .write_tunnel(exchange, &bytes, |out, len| out.push(bytes.slice(..len)));
            }
            exchange.learn_from_body(&self.ctx, &bytes);
            if !exchange.response.write(bytes.len()) {
                return;
            }
            let mut out = self.write_queue.borrow_mut();
            if exchange.response.is_chunked {
                out.append(|out| encoder::write_chunk_size(out, bytes.len()));
            }
            if is_borrowed {
                out.push_borrowed(bytes);
            } else {
                out.push(bytes);
            }
            if exchange.response.is_chunked {
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

    /// Turns the connection into a tunnel if JavaScript takes it over (`taken`). Otherwise the
    /// request is served as an ordinary one.
    pub(crate) fn decide_upgrade(&self, exchange: &mut Exchange, taken: bool) {
        if self.begin_tunnel(exchange, taken, true) {
            self.ending.set(Ending::AfterResponse);
            self.timer.wait_ends_at.set(u64::MAX);
        }
    }

    /// Begins or continues the drain of a tunnel. A WebSocket gets a close frame once it is old
    /// enough and a frame may begin.
    pub(crate) fn drain_tunnel(&self) {
        if let Some(exchange) = self.exchange.borrow_mut().as_mut() {
            self.close_websocket(&exchange.drain_tunnel(self.ctx.clock.now()));
        }
    }

    /// Writes bytes of the application into a tunnel; `push` adds the given number of them to the
    /// write queue.
    pub(crate) fn write_tunnel(
        &self,
        exchange: &mut Exchange,
        bytes: &[u8],
        push: impl FnOnce(&mut WriteQueue, usize),
    ) {
        let write = exchange.write_tunnel(bytes, self.ctx.clock.now());
        push(&mut self.write_queue.borrow_mut(), write.head_len + write.len);
        self.close_websocket(&write);
    }

    /// Sends the close frame of a drain, and starts its wait.
    fn close_websocket(&self, write: &TunnelWrite) {
        if write.closes {
            let mut out = self.write_queue.borrow_mut();
            out.append(|out| out.extend_from_slice(&SERVICE_RESTART_FRAME));
            self.queue_wake();
        }
        if let Some(wait) = write.wait {
            self.start_wait(wait);
            self.set_deadline_at(self.timer.deadline.get().min(self.timer.wait_ends_at.get()));
        }
    }
}

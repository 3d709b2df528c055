//! The request body of a stream. JavaScript grants credit for it. Bytes without credit stay in h2
//! and keep the client's window closed.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::exchange::StreamExchange;
use super::head;
use crate::guard::{Refusal, read_http2_trailers};
use crate::server::connection::{Exchange, request_body};

/// Result of reading from a body.
enum BodyPoll {
    /// Nothing more has arrived.
    Pending,
    /// The client has reset the stream, or the connection is closed.
    Reset,
    Refused(Refusal),
}

impl StreamExchange {
    /// Handles a wake-up of the stream by h2. Returns whether the client has reset it before its
    /// response was complete.
    pub fn poll_stream(&self) -> bool {
        self.poll_body();
        let mut output = self.output.borrow_mut();
        let Some(open) = output.as_mut() else { return false };
        let cx = &mut Context::from_waker(&self.waker);
        let reset = match &mut open.stream {
            Some(stream) => stream.poll_reset(cx).is_ready(),
            None => open.respond.poll_reset(cx).is_ready(),
        };
        drop(output);
        if reset {
            self.on_client_reset();
        }
        reset
    }

    /// Withdraws the request if JavaScript has not begun it, and closes the stream.
    fn on_client_reset(&self) {
        self.exchange.borrow_mut().withdraw(&self.shared.ctx);
        self.close(true);
    }

    /// Takes the bytes of the body that have arrived, as far as JavaScript has granted credit.
    pub fn poll_body(&self) {
        if self.is_closed() {
            return;
        }
        let mut exchange = self.exchange.borrow_mut();
        let outcome = self.read_body(&mut exchange);
        if let BodyPoll::Refused(refusal) = outcome {
            drop(exchange);
            return self.refuse(refusal);
        }
        if let BodyPoll::Reset = outcome {
            drop(exchange);
            return self.on_client_reset();
        }
        if let Err(refusal) = self.dispatch_when_admitted(&mut exchange) {
            drop(exchange);
            self.refuse(refusal);
        }
    }

    /// Passes the request to JavaScript with the body bytes that have arrived.
    pub fn stop_buffering_body(self: &Rc<Self>) {
        self.exchange.borrow_mut().is_body_bufferable = false;
        self.mark_dirty();
        self.shared.wake();
    }

    /// Passes the request to JavaScript when it is admitted, with the whole body if possible.
    fn dispatch_when_admitted(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let shared = &self.shared;
        let trailers = self.request_trailers.get().map_or(&[][..], Vec::as_slice);
        if exchange.is_dispatched {
            shared.emit_request(exchange, trailers);
            return Ok(());
        }
        if shared.may_buffer_body(exchange) {
            shared.buffer_body(exchange);
            return Ok(());
        }
        if !self.try_admit(exchange)? {
            return Ok(());
        }
        if let Some(streams) = self.streams.upgrade() {
            streams
                .buffered_body_bytes
                .set(streams.buffered_body_bytes.get() - exchange.buffered_len);
        }
        shared.emit_request(exchange, trailers);
        Ok(())
    }

    /// Updates the stream's window after the client has acknowledged our settings. h2 subtracts a
    /// smaller initial window from open streams, but sends the missing window update only after the
    /// next read. Releasing 0 bytes makes h2 check at once.
    pub fn renew_window(self: &Rc<Self>) {
        if let Some(body) = self.request_body.borrow_mut().as_mut() {
            let _ = body.flow_control().release_capacity(0);
        }
    }

    fn read_body(&self, exchange: &mut Exchange) -> BodyPoll {
        let mut request_body = self.request_body.borrow_mut();
        let cx = &mut Context::from_waker(&self.waker);
        while let Some(body) = request_body.as_mut() {
            if exchange.is_body_done || exchange.is_upgrade_undecided {
                break;
            }
            if exchange.credit == 0 && !exchange.discards_body {
                self.pause_body_timer();
                break;
            }
            match body.poll_data(cx) {
                Poll::Pending => {
                    self.resume_body_timer(exchange);
                    break;
                }
                Poll::Ready(Some(Ok(data))) => {
                    // An error means that the stream is closed; no data would have arrived then.
                    let _ = body.flow_control().release_capacity(data.len());
                    if let Err(refusal) = self.take_chunk(exchange, data) {
                        return BodyPoll::Refused(refusal);
                    }
                }
                Poll::Ready(Some(Err(_))) => return BodyPoll::Reset,
                Poll::Ready(None) => {
                    match body.poll_trailers(cx) {
                        Poll::Pending => break,
                        Poll::Ready(Err(_)) => return BodyPoll::Reset,
                        Poll::Ready(Ok(None)) => {}
                        Poll::Ready(Ok(Some(fields))) => {
                            let lines = head::trailer_lines(&fields);
                            let limits = self.shared.limits();
                            match lines.and_then(|lines| read_http2_trailers(&lines, &limits)) {
                                Ok(lines) => drop(self.request_trailers.set(lines)),
                                Err(refusal) => return BodyPoll::Refused(refusal),
                            }
                        }
                    }
                    exchange.is_body_done = true;
                }
            }
            if exchange.is_body_done {
                *request_body = None;
                self.stop_body_timer();
            }
        }
        BodyPoll::Pending
    }

    fn take_chunk(&self, exchange: &mut Exchange, data: Bytes) -> Result<(), Refusal> {
        let len = data.len();
        exchange.body_bytes += len as u64;
        self.record_body_progress(len);
        if exchange.tunnel.is_some() {
            let ctx = &self.shared.ctx;
            ctx.outbox.count_tunnel_chunk();
        } else {
            let max_len = self.shared.limits().settings.limit_request_body;
            if max_len > 0 && exchange.body_bytes > max_len {
                return Err(Refusal::BodyTooLarge);
            }
        }
        if exchange.discards_body {
            exchange.discarded += len as u64;
            // A reset costs less than reading on. It carries `NO_ERROR` (RFC 9113 section 8.1).
            exchange.is_body_done = exchange.discarded > self.shared.limits().max_discarded;
            return Ok(());
        }
        exchange.credit = exchange.credit.saturating_sub(len);
        exchange.start_discard_timer(&self.shared);
        if exchange.is_dispatched {
            self.shared.ctx.outbox.emit(|batch| {
                for piece in request_body::split_chunks(data) {
                    batch.push_data(exchange.id, piece);
                }
            });
        } else if len > 0 {
            if let Some(streams) = self.streams.upgrade() {
                streams.buffered_body_bytes.set(streams.buffered_body_bytes.get() + len);
            }
            exchange.buffered_len += len;
            exchange.buffered_chunks.push(data);
        }
        Ok(())
    }
}

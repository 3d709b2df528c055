//! The request body of a stream. JavaScript grants credit for it. Bytes without credit stay in h2
//! and keep the client's window closed.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::exchange::StreamExchange;
use super::head;
use super::stream_admission::try_admit;
use crate::exchange::min_rate::RateBounds;
use crate::exchange::{Exchange, ExchangeEnd};
use crate::guard::{Refusal, read_http2_trailers};

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
            self.end(ExchangeEnd::ClientGone);
        }
        reset
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
            return self.end(ExchangeEnd::ClientGone);
        }
        if let Err(refusal) = self.dispatch_when_admitted(&mut exchange) {
            drop(exchange);
            self.refuse(refusal);
        }
    }

    /// Passes the request to JavaScript with the body bytes that have arrived.
    pub fn stop_buffering_body(self: &Rc<Self>) {
        self.exchange.borrow_mut().body.is_bufferable = false;
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
        if !try_admit(self, exchange)? {
            return Ok(());
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
            if exchange.body.is_done || exchange.is_upgrade_undecided() {
                break;
            }
            if exchange.body.credit == 0 && !exchange.body.is_discarded {
                exchange.body.pause_clock(self.shared.ctx.clock.now_ms());
                break;
            }
            match body.poll_data(cx) {
                Poll::Pending => {
                    let bounds = RateBounds::of_body(&self.shared.limits.borrow());
                    exchange.body.start_clock(self.shared.ctx.clock.now_ms(), bounds);
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
                    exchange.body.is_done = true;
                }
            }
            if exchange.body.is_done {
                *request_body = None;
                exchange.body.stop_clock();
            }
        }
        BodyPoll::Pending
    }

    fn take_chunk(&self, exchange: &mut Exchange, data: Bytes) -> Result<(), Refusal> {
        let limits = self.shared.limits();
        let max_len = limits.settings.limit_request_body;
        let len = data.len() as u64;
        if max_len > 0 && !exchange.is_tunnel() && exchange.body.received + len > max_len {
            return Err(Refusal::BodyTooLarge);
        }
        let now = self.shared.ctx.clock.now_ms();
        exchange.body.record_arrival(data.len(), now, RateBounds::of_body(&limits));
        // Where too much is dropped, the reset carries `NO_ERROR` (RFC 9113 section 8.1).
        self.shared.receive_body(exchange, data);
        Ok(())
    }
}

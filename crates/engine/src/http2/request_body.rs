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
        self.current.borrow_mut().withdraw(&self.shared.ctx);
        self.close(true);
    }

    /// Takes the bytes of the body that have arrived, as far as JavaScript has granted credit.
    pub fn poll_body(&self) {
        if self.is_closed() {
            return;
        }
        let mut current = self.current.borrow_mut();
        let outcome = self.read_body(&mut current);
        if let BodyPoll::Refused(refusal) = outcome {
            drop(current);
            return self.refuse(refusal);
        }
        if let BodyPoll::Reset = outcome {
            drop(current);
            return self.on_client_reset();
        }
        if let Err(refusal) = self.dispatch_when_admitted(&mut current) {
            drop(current);
            self.refuse(refusal);
        }
    }

    /// Passes the request to JavaScript with the body bytes that have arrived.
    pub fn stop_buffering_body(self: &Rc<Self>) {
        self.current.borrow_mut().may_buffer_body = false;
        self.mark_dirty();
        self.shared.wake();
    }

    /// Passes the request to JavaScript when it is admitted, with the whole body if possible.
    fn dispatch_when_admitted(&self, current: &mut Exchange) -> Result<(), Refusal> {
        let shared = &self.shared;
        let trailers = self.request_trailers.get().map_or(&[][..], Vec::as_slice);
        if current.is_dispatched {
            shared.deliver(current, trailers);
            return Ok(());
        }
        if shared.may_buffer_body(current) {
            shared.buffer_body(current);
            return Ok(());
        }
        if !self.try_admit(current)? {
            return Ok(());
        }
        if let Some(streams) = self.streams.upgrade() {
            streams
                .buffered_body_bytes
                .set(streams.buffered_body_bytes.get() - current.buffered_len);
        }
        shared.deliver(current, trailers);
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

    fn read_body(&self, current: &mut Exchange) -> BodyPoll {
        let mut receiving = self.request_body.borrow_mut();
        let cx = &mut Context::from_waker(&self.waker);
        while let Some(body) = receiving.as_mut() {
            if current.body_done || current.upgrade_undecided {
                break;
            }
            if current.credit == 0 && !current.discards_body {
                self.pause_input();
                break;
            }
            match body.poll_data(cx) {
                Poll::Pending => {
                    self.resume_input(current);
                    break;
                }
                Poll::Ready(Some(Ok(data))) => {
                    // An error means that the stream is closed; no data would have arrived then.
                    let _ = body.flow_control().release_capacity(data.len());
                    if let Err(refusal) = self.take_chunk(current, data) {
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
                    current.body_done = true;
                }
            }
            if current.body_done {
                *receiving = None;
                self.stop_input();
            }
        }
        BodyPoll::Pending
    }

    fn take_chunk(&self, current: &mut Exchange, data: Bytes) -> Result<(), Refusal> {
        let len = data.len();
        current.body_bytes += len as u64;
        self.input_moved(len);
        if current.tunnel.is_some() {
            let ctx = &self.shared.ctx;
            ctx.tunnel_chunks.set(ctx.tunnel_chunks.get() + 1);
        } else {
            let most = self.shared.limits().settings.limit_request_body;
            if most > 0 && current.body_bytes > most {
                return Err(Refusal::BodyTooLarge);
            }
        }
        if current.discards_body {
            current.discarded += len as u64;
            // A reset costs less than reading on. It carries NO_ERROR (RFC 9113 section 8.1).
            current.body_done = current.discarded > self.shared.limits().max_discarded;
            return Ok(());
        }
        current.credit = current.credit.saturating_sub(len);
        current.start_discard_timer(&self.shared);
        if current.is_dispatched {
            self.shared.ctx.emit(|batch| {
                for piece in request_body::pieces(data) {
                    batch.data(current.id, piece);
                }
            });
        } else if len > 0 {
            if let Some(streams) = self.streams.upgrade() {
                streams.buffered_body_bytes.set(streams.buffered_body_bytes.get() + len);
            }
            current.buffered_len += len;
            current.buffered_chunks.push(data);
        }
        Ok(())
    }
}

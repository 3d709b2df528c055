//! The serving phase of a connection: reads requests, passes them to the guard, and sends
//! responses.

use std::task::{Context, Poll};

use super::{Connection, Turn};
use crate::buffers::sizes::READ_AHEAD;
use crate::exchange::ExchangeEnd;
use crate::exchange::request_head::Framing;
use crate::guard::{Progress, Refusal};
use crate::http1::parsed_message::MAX_SEPARATE_CHUNKS;

impl Connection {
    /// Takes one step of the serving phase: sends what is written, handles a passed deadline, then
    /// finishes an exchange, releases buffered input or reads more.
    pub(crate) fn serve(&mut self, cx: &mut Context<'_>) -> Turn {
        let shared = self.shared.clone();
        if shared.is_tunnel() {
            return self.tunnel(cx);
        }
        if self.http2.is_some() {
            return self.serve_http2(cx);
        }
        match self.send(cx) {
            Poll::Ready(Err(_)) => return Turn::Close,
            Poll::Ready(Ok(())) => self.notify_sent(),
            Poll::Pending => {}
        }
        if shared.timer.is_due.get()
            && let Some(turn) = self.handle_deadline()
        {
            return turn;
        }
        let (has_exchange, is_finished, is_body_done) = match shared.exchange.borrow().as_ref() {
            Some(exchange) => (true, exchange.is_finished(), exchange.body.is_done),
            None => (false, false, true),
        };
        if is_finished {
            return self.finish_exchange();
        }
        if !is_body_done {
            if shared.closes_before_body_end() {
                return Turn::Flush;
            }
            if self.reads_body_directly() {
                return self.read_body(cx);
            }
            // JavaScript may have granted credit.
            self.dispatch_body();
            if shared.is_finished() {
                return Turn::Again;
            }
        }
        // While the client does not read its responses, no further request passes the guard.
        let max_unsent = if shared.ctx.affinity.is_some() { 0 } else { READ_AHEAD };
        self.waits_for_reader = !has_exchange && shared.write_queue.borrow().len() > max_unsent;
        if self.waits_for_reader {
            return Turn::Wait;
        }
        let is_protocol_known =
            !self.awaits_preface || self.read_buffer.is_empty() || self.detect_preface();
        if self.http2.is_some() {
            return Turn::Again;
        }
        if is_protocol_known && !self.read_buffer.is_empty() && self.may_release() {
            let was_at_head = self.guard.is_at_head();
            let mut read_buffer = std::mem::take(&mut self.read_buffer);
            let consumed = match self.release(read_buffer.unread()) {
                Ok(consumed) => consumed,
                Err(refusal) => {
                    return self.refuse_input(refusal, Some(read_buffer.unread()));
                }
            };
            read_buffer.consume(consumed);
            self.read_buffer = read_buffer;
            if consumed > 0 {
                return self.after_release();
            }
            // The bytes are no PROXY protocol header, so they are HTTP/1 or HTTP/2 of the client.
            if !was_at_head && self.guard.is_at_head() {
                return Turn::Again;
            }
        }
        self.read(cx)
    }

    /// Reads from the socket and passes the bytes to the guard.
    fn read(&mut self, cx: &mut Context<'_>) -> Turn {
        if self.has_input_ended {
            return self.handle_half_close();
        }
        let shared = self.shared.clone();
        // A request head may be as long as its limits allow. While a request is in flight, at most
        // `READ_AHEAD` bytes of the next ones are read.
        let is_head = shared.exchange.borrow().is_none();
        let max_buffered = READ_AHEAD.max(if is_head { shared.limits().head_buffer() } else { 0 });
        if self.read_buffer.len() > max_buffered
            || shared.parsed_message.borrow().body.len() >= READ_AHEAD
        {
            self.pause_body_clock();
            return Turn::Wait;
        }
        let mut scratch = shared.ctx.scratch.read.borrow_mut();
        let count = match self.receive(cx, &mut scratch) {
            Ok(count) => count,
            Err(turn) => return turn,
        };
        let input = &scratch[..count];
        shared.parsed_message.borrow_mut().separate_chunks = MAX_SEPARATE_CHUNKS;
        if !self.read_buffer.is_empty() || !self.may_release() || self.awaits_preface {
            self.read_buffer.push(input);
            drop(scratch);
            if self.awaits_preface {
                self.start_head_timeout();
            }
            // Take another step: the socket wakes the task only after a read has found it empty.
            return Turn::Again;
        }
        let consumed = match self.release(input) {
            Ok(consumed) => consumed,
            Err(refusal) => return self.refuse_input(refusal, Some(input)),
        };
        self.read_buffer.push(&input[consumed..]);
        drop(scratch);
        if consumed > 0 {
            return self.after_release();
        }
        self.start_head_timeout();
        Turn::Again
    }

    /// Reads what the client has sent into `buf` and returns the number of bytes. Returns the step
    /// to take if there is no data, or at the end of the input.
    pub(crate) fn receive(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Result<usize, Turn> {
        match self.poll_read(cx, buf) {
            Poll::Pending => {
                self.start_body_clock();
                Err(Turn::Wait)
            }
            Poll::Ready(Err(_)) => Err(Turn::Close),
            Poll::Ready(Ok(0)) => {
                self.has_input_ended = true;
                if self.withdraw_late_half_close() {
                    return Err(Turn::Close);
                }
                Err(self.handle_half_close())
            }
            Poll::Ready(Ok(count)) => {
                self.record_received(count);
                Ok(count)
            }
        }
    }

    /// Reads from the socket and counts the bytes.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        let read = self.stream.poll_read(cx, buf);
        if let Poll::Ready(Ok(count)) = read {
            self.shared.count_received(count);
        }
        read
    }

    /// Whether the guard may parse more input. It may inside a body, or before a head if no request
    /// is in flight.
    fn may_release(&self) -> bool {
        if self.guard.is_in_message() {
            return !self.shared.is_undecided()
                && self.shared.parsed_message.borrow().body.len()
                    < self.shared.ctx.pressure.memory.max_read_ahead();
        }
        self.shared.exchange.borrow().is_none() && !self.guard.is_complete()
    }

    /// Passes input to the guard and returns the number of bytes that the guard consumed.
    fn release(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let shared = &self.shared;
        let limits = shared.limits();
        let message = &mut *shared.parsed_message.borrow_mut();
        let mut head = shared.ctx.scratch.parsed_head.borrow_mut();
        let mut consumed = 0;
        if self.guard.is_awaiting_head() {
            message.start_head();
        }
        while consumed < input.len() && message.body.len() < READ_AHEAD {
            let awaits_head = self.guard.is_awaiting_head();
            if awaits_head && limits.node_compatible {
                consumed += count_empty_lines(&input[consumed..]);
            }
            let into = if awaits_head { &mut message.head } else { message.body.tail_mut() };
            let (count, progress) =
                self.guard.advance(&input[consumed..], into, &mut head, &limits)?;
            consumed += count;
            match progress {
                Progress::ProxyHeader => {
                    shared.set_proxied_addresses(self.guard.proxied_addresses());
                    // The bytes that follow may be the HTTP/2 preface.
                    if self.awaits_preface {
                        break;
                    }
                }
                Progress::Head => {
                    // The state of TLS cannot leave the process.
                    if let Some(affinity) = &shared.ctx.affinity
                        && !std::mem::take(&mut self.is_transferred)
                        && !self.stream.is_secure()
                    {
                        let peer = shared.client.peer.get();
                        self.destination = affinity.destination_of(&head, &message.head, peer);
                    }
                    // The bytes after an upgrade request are a body only if JavaScript declines the
                    // upgrade. On Node, the program sees the request before a fault in its body.
                    let is_dispatched_first =
                        limits.node_compatible && head.framing == Framing::Chunked;
                    if self.guard.is_complete()
                        || head.is_upgrade
                        || is_dispatched_first
                        || self.destination.is_some()
                    {
                        break;
                    }
                }
                Progress::Complete => break,
                Progress::NextChunk => {
                    if message.ends_piece() {
                        break;
                    }
                }
                Progress::More => {
                    if count == 0 {
                        break;
                    }
                }
            }
        }
        Ok(consumed)
    }

    /// Begins an exchange if the guard has released a head, and dispatches what it has released.
    fn after_release(&mut self) -> Turn {
        if self.guard.is_awaiting_head() {
            // Only empty lines or a PROXY protocol header have arrived.
            return Turn::Again;
        }
        if let Some(destination) = self.destination.take() {
            return self.transfer(destination);
        }
        self.shared.keep_upgrade_bytes(self.read_buffer.unread());
        self.half_close_noticed_at = None;
        let is_new = self.shared.exchange.borrow().is_none();
        if is_new && let Some(turn) = self.answer_health_check() {
            return turn;
        }
        if is_new && let Err(refusal) = self.begin_exchange() {
            return self.refuse(refusal);
        }
        self.dispatch_body();
        self.start_exchange_deadlines();
        Turn::Again
    }

    /// Finishes the exchange in flight. Then waits for the next request, or closes the connection.
    fn finish_exchange(&mut self) -> Turn {
        let shared = self.shared.clone();
        let Some(mut exchange) = shared.exchange.take() else { return Turn::Again };
        shared.end_exchange(&mut exchange, ExchangeEnd::Complete);
        let is_input_complete =
            self.guard.is_complete() && shared.parsed_message.borrow().body.is_empty();
        if shared.ending.closes() || !is_input_complete {
            self.is_client_done =
                is_input_complete && !exchange.allows_keep_alive && self.read_buffer.is_empty();
            return Turn::Flush;
        }
        self.guard.start_next_message();
        if shared.limits().node_compatible {
            let empty_lines = count_empty_lines(self.read_buffer.unread());
            self.read_buffer.consume(empty_lines);
        }
        self.await_next_request();
        Turn::Again
    }
}

/// Returns the number of bytes of the empty lines at the start of `input`. Node ignores any number
/// of them before a request.
fn count_empty_lines(input: &[u8]) -> usize {
    input.chunks_exact(2).take_while(|&line| line == b"\r\n").count() * 2
}

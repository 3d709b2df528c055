//! Streaming of request bodies to JavaScript. A body with a `Content-Length` only needs to be
//! counted once its request has been dispatched. The socket is then read straight into the memory
//! that JavaScript receives, past the guard.

use std::task::Context;

use bytes::Bytes;

use super::{Connection, ConnectionState, Exchange, Turn};
use crate::buffers::sizes::{MAX_BODY_CHUNK, WIDE_BODY_CHUNK};
use crate::exchange::request_head::Framing;

impl Connection {
    /// Whether the socket may be read straight into the memory for JavaScript: its next bytes are
    /// only body, and all bytes before them have been dispatched.
    pub(crate) fn reads_body_directly(&mut self) -> bool {
        let shared = &self.shared;
        let mut exchange = shared.exchange.borrow_mut();
        let Some(exchange) = exchange.as_mut() else { return false };
        if exchange.reads_directly {
            return true;
        }
        let (Framing::Length(length), Some(left)) = (exchange.framing, self.guard.remaining_body())
        else {
            return false;
        };
        // Bytes that the guard has released but that are not dispatched yet are not counted.
        let is_all_dispatched = exchange.body_bytes + left == length;
        if !exchange.is_dispatched
            || exchange.is_upgrade_undecided
            || !is_all_dispatched
            || !self.read_buffer.is_empty()
        {
            return false;
        }
        exchange.reads_directly = true;
        true
    }

    /// Reads the next body chunk from the socket and passes it to JavaScript.
    pub(crate) fn read_body(&mut self, cx: &mut Context<'_>) -> Turn {
        if self.has_input_ended {
            return self.handle_half_close();
        }
        let shared = self.shared.clone();
        let left = self.guard.remaining_body().unwrap_or(0);
        let Some((credit, last_filled)) = shared.exchange.borrow().as_ref().map(|exchange| {
            // A discarded body is read in small chunks, so that reading stops close to the limit.
            (
                if exchange.discards_body { MAX_BODY_CHUNK } else { exchange.credit },
                exchange.last_read_filled,
            )
        }) else {
            return Turn::Again;
        };
        let max = usize::try_from(left).unwrap_or(usize::MAX).min(credit);
        if max == 0 {
            self.pause_body_clock();
            return Turn::Wait;
        }
        let handoff = &shared.ctx.handoff;
        let is_wide = last_filled && max >= WIDE_BODY_CHUNK / 4 * 3;
        let mut chunk =
            if is_wide { &handoff.wide_body_buffers } else { &handoff.body_buffers }.take();
        let max = max.min(chunk.space().len());
        let count = match self.receive(cx, &mut chunk.space()[..max]) {
            Ok(count) => count,
            Err(turn) => return turn,
        };
        self.guard.skip_body(count);
        if let Some(exchange) = shared.exchange.borrow_mut().as_mut() {
            exchange.last_read_filled = count == max;
            emit_body_chunk(&shared, exchange, chunk.into_bytes(count));
            if self.guard.is_complete() {
                exchange.is_body_done = true;
            }
            // A body whose rest is not wanted ends here, too.
            if exchange.is_body_done {
                shared.emit_request(exchange, &[]);
            }
        }
        self.start_exchange_deadlines();
        Turn::Again
    }
}

/// Passes a body chunk to JavaScript, or buffers it until the request is dispatched. A chunk of a
/// discarded body is only counted.
pub(crate) fn emit_body_chunk(shared: &ConnectionState, exchange: &mut Exchange, data: Bytes) {
    if exchange.discards_body {
        return discard_body_bytes(shared, exchange, data.len());
    }
    count_body_bytes(exchange, data.len());
    exchange.start_discard_timer(shared);
    if exchange.is_dispatched {
        shared.ctx.outbox.emit(|batch| {
            for chunk in split_chunks(data) {
                batch.push_data(exchange.id, chunk);
            }
        });
    } else {
        exchange.buffered_len += data.len();
        exchange.buffered_chunks.push(data);
    }
}

/// Counts body bytes that JavaScript receives, and takes them from its credit.
pub(crate) fn count_body_bytes(exchange: &mut Exchange, count: usize) {
    exchange.body_bytes += count as u64;
    exchange.credit = exchange.credit.saturating_sub(count);
}

/// Counts discarded body bytes. Over `Limits::max_discarded`, no more of the body is read and the
/// connection closes.
pub(crate) fn discard_body_bytes(shared: &ConnectionState, exchange: &mut Exchange, count: usize) {
    exchange.body_bytes += count as u64;
    exchange.discarded += count as u64;
    if exchange.discarded > shared.limits().max_discarded {
        // A close costs less than reading on. The response has no `Connection: close`, so the
        // connection lingers until the client has read the response.
        shared.closes_after_response.set(true);
        exchange.is_body_done = true;
    }
}

/// Splits data into chunks of at max [`WIDE_BODY_CHUNK`] bytes, the maximum of one event.
pub(crate) fn split_chunks(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let chunk = data.split_to(data.len().min(WIDE_BODY_CHUNK));
        (!chunk.is_empty()).then_some(chunk)
    })
}

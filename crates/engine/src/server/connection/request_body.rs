//! The request body as JavaScript streams it. After a request with a `Content-Length` has been
//! dispatched, its body only needs to be counted. The socket is then read straight into the memory
//! that JavaScript receives, past the guard's buffers.

use std::task::Context;

use bytes::Bytes;

use super::{Connection, ConnectionState, Exchange, Turn};
use crate::exchange::request_head::Framing;
use crate::pressure::limits::{MAX_BODY_CHUNK, WIDE_BODY_CHUNK};

impl Connection {
    /// Whether the next bytes of the socket are only body, and everything before them has been
    /// dispatched.
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
        // Bytes between the guard and JavaScript have been released but not counted yet.
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

    /// Reads the next chunk of the body.
    pub(crate) fn read_body(&mut self, cx: &mut Context<'_>) -> Turn {
        if self.has_input_ended {
            return self.handle_half_close();
        }
        let shared = self.shared.clone();
        let left = self.guard.remaining_body().unwrap_or(0);
        let Some((credit, fills)) = shared.exchange.borrow().as_ref().map(|exchange| {
            // A discarded body is read in small chunks: reading stops at its limit.
            (
                if exchange.discards_body { MAX_BODY_CHUNK } else { exchange.credit },
                exchange.last_read_filled,
            )
        }) else {
            return Turn::Again;
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(credit);
        if most == 0 {
            self.pause_body_clock();
            return Turn::Wait;
        }
        let handoff = &shared.ctx.handoff;
        let is_wide = fills && most >= WIDE_BODY_CHUNK / 4 * 3;
        let mut chunk =
            if is_wide { &handoff.wide_body_buffers } else { &handoff.body_buffers }.take();
        let most = most.min(chunk.space().len());
        let count = match self.receive(cx, &mut chunk.space()[..most]) {
            Ok(count) => count,
            Err(turn) => return turn,
        };
        self.guard.skip_body(count);
        if let Some(exchange) = shared.exchange.borrow_mut().as_mut() {
            exchange.last_read_filled = count == most;
            emit_body_chunk(&shared, exchange, chunk.into_bytes(count));
            if self.guard.is_complete() {
                exchange.is_body_done = true;
            }
            // Also if the rest of the body is given up.
            if exchange.is_body_done {
                shared.emit_request(exchange, &[]);
            }
        }
        self.start_exchange_deadlines();
        Turn::Again
    }
}

/// Passes a body chunk to JavaScript, or counts it if the body is discarded.
pub(crate) fn emit_body_chunk(shared: &ConnectionState, exchange: &mut Exchange, data: Bytes) {
    if exchange.discards_body {
        return discard_body_bytes(shared, exchange, data.len());
    }
    count_body_bytes(exchange, data.len());
    exchange.start_discard_timer(shared);
    if exchange.is_dispatched {
        shared.ctx.emit(|batch| {
            for chunk in split_chunks(data) {
                batch.push_data(exchange.id, chunk);
            }
        });
    } else {
        exchange.buffered_len += data.len();
        exchange.buffered_chunks.push(data);
    }
}

/// Counts body bytes that JavaScript receives.
pub(crate) fn count_body_bytes(exchange: &mut Exchange, count: usize) {
    exchange.body_bytes += count as u64;
    exchange.credit = exchange.credit.saturating_sub(count);
}

/// Counts discarded body bytes, and stops reading at the limit.
pub(crate) fn discard_body_bytes(shared: &ConnectionState, exchange: &mut Exchange, count: usize) {
    exchange.body_bytes += count as u64;
    exchange.discarded += count as u64;
    if exchange.discarded > shared.limits().max_discarded {
        // Closing costs less than reading on. The response did not announce it, so the connection
        // lingers for the client to read the response.
        shared.closes_after_response.set(true);
        exchange.is_body_done = true;
    }
}

/// Splits data into the chunks that are passed to JavaScript.
pub(crate) fn split_chunks(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let chunk = data.split_to(data.len().min(WIDE_BODY_CHUNK));
        (!chunk.is_empty()).then_some(chunk)
    })
}

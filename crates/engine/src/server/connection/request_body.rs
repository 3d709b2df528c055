//! The body of a request as JavaScript streams it. Once a request with a `Content-Length` has crossed there is nothing
//! left to be read in its body, only counted. So the socket is read straight into what JavaScript gets, past the guard's
//! buffers.

use std::task::Context;

use bytes::Bytes;

use super::{Connection, ConnectionState, Exchange, Turn};
use crate::exchange::request_head::Framing;
use crate::pressure::limits::{MAX_BODY_CHUNK, WIDE_BODY_CHUNK};

impl Connection {
    /// Whether what comes next on the socket is body and nothing else, and everything that came before has crossed.
    pub(crate) fn is_direct(&mut self) -> bool {
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
        // What is still on its way has been released by the guard and is not yet counted.
        let all_crossed = exchange.body_bytes + left == length;
        if !exchange.is_dispatched
            || exchange.upgrade_undecided
            || !all_crossed
            || !self.read_buffer.is_empty()
        {
            return false;
        }
        exchange.reads_directly = true;
        true
    }

    /// Reads the next piece.
    pub(crate) fn read_body(&mut self, cx: &mut Context<'_>) -> Turn {
        if self.input_ended {
            return self.on_end();
        }
        let shared = self.shared.clone();
        let left = self.guard.remaining_body().unwrap_or(0);
        let Some((credit, fills)) = shared.exchange.borrow().as_ref().map(|exchange| {
            // Nothing wide is read of what nobody wants: it is to end at its bound.
            (
                if exchange.discards_body { MAX_BODY_CHUNK } else { exchange.credit },
                exchange.last_read_filled,
            )
        }) else {
            return Turn::Again;
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(credit);
        if most == 0 {
            self.input_pauses();
            return Turn::Wait;
        }
        let handoff = &shared.ctx.handoff;
        let is_wide = fills && most >= WIDE_BODY_CHUNK / 4 * 3;
        let mut piece =
            if is_wide { &handoff.wide_body_buffers } else { &handoff.body_buffers }.take();
        let most = most.min(piece.space().len());
        let count = match self.receive(cx, &mut piece.space()[..most]) {
            Ok(count) => count,
            Err(turn) => return turn,
        };
        self.guard.skip_body(count);
        if let Some(exchange) = shared.exchange.borrow_mut().as_mut() {
            exchange.last_read_filled = count == most;
            self::piece(&shared, exchange, piece.into_bytes(count));
            if self.guard.is_complete() {
                exchange.body_done = true;
            }
            // Also where the rest is given up.
            if exchange.body_done {
                shared.deliver(exchange, &[]);
            }
        }
        self.exchange_begins();
        Turn::Again
    }
}

/// Gives JavaScript a piece of a body, or counts it where nobody wants it.
pub(crate) fn piece(shared: &ConnectionState, exchange: &mut Exchange, data: Bytes) {
    if exchange.discards_body {
        return discard(shared, exchange, data.len());
    }
    count(exchange, data.len());
    exchange.start_discard_timer(shared);
    if exchange.is_dispatched {
        shared.ctx.emit(|batch| {
            for piece in pieces(data) {
                batch.data(exchange.id, piece);
            }
        });
    } else {
        exchange.buffered_len += data.len();
        exchange.buffered_chunks.push(data);
    }
}

/// Counts bytes of a body that JavaScript gets.
pub(crate) fn count(exchange: &mut Exchange, count: usize) {
    exchange.body_bytes += count as u64;
    exchange.credit = exchange.credit.saturating_sub(count);
}

/// Bytes of a body that nobody wants.
pub(crate) fn discard(shared: &ConnectionState, exchange: &mut Exchange, count: usize) {
    exchange.body_bytes += count as u64;
    exchange.discarded += count as u64;
    if exchange.discarded > shared.limits().max_discarded {
        // Closing costs less than reading on; the answer said nothing of it, and the lingering lets it be read.
        shared.closes_after_response.set(true);
        exchange.body_done = true;
    }
}

/// Cuts data into what crosses at once.
pub(crate) fn pieces(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = data.split_to(data.len().min(WIDE_BODY_CHUNK));
        (!piece.is_empty()).then_some(piece)
    })
}

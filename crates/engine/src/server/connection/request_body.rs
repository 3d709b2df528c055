//! The body of a request as JavaScript streams it. Once a request with a `Content-Length` has crossed there is nothing
//! left to be read in its body, only counted. So the socket is read straight into what JavaScript gets, past the guard's
//! buffers.

use std::task::Context;

use bytes::Bytes;

use super::{Connection, Current, Shared, Turn};
use crate::exchange::request_head::Framing;
use crate::pressure::limits::{MAX_BODY_CHUNK, WIDE_BODY_CHUNK};

impl Connection {
    /// Whether what comes next on the socket is body and nothing else, and everything that came before has crossed.
    pub(crate) fn is_direct(&mut self) -> bool {
        let shared = &self.shared;
        let mut current = shared.current.borrow_mut();
        let Some(current) = current.as_mut() else { return false };
        if current.direct {
            return true;
        }
        let (Framing::Length(length), Some(left)) = (current.framing, self.guard.remaining_body())
        else {
            return false;
        };
        // What is still on its way has been released by the guard and is not yet counted.
        let all_crossed = current.body_bytes + left == length;
        if !current.delivered || current.undecided || !all_crossed || !self.carry.is_empty() {
            return false;
        }
        current.direct = true;
        true
    }

    /// Reads the next piece.
    pub(crate) fn read_body(&mut self, cx: &mut Context<'_>) -> Turn {
        if self.input_ended {
            return self.on_end();
        }
        let shared = self.shared.clone();
        let left = self.guard.remaining_body().unwrap_or(0);
        let Some((credit, fills)) = shared.current.borrow().as_ref().map(|current| {
            // Nothing wide is read of what nobody wants: it is to end at its bound.
            (if current.discard { MAX_BODY_CHUNK } else { current.credit }, current.fills)
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
        if let Some(current) = shared.current.borrow_mut().as_mut() {
            current.fills = count == most;
            self::piece(&shared, current, piece.into_bytes(count));
            if self.guard.is_complete() {
                current.body_done = true;
            }
            // Also where the rest is given up.
            if current.body_done {
                shared.deliver(current, &[]);
            }
        }
        self.exchange_begins();
        Turn::Again
    }
}

/// Gives JavaScript a piece of a body, or counts it where nobody wants it.
pub(crate) fn piece(shared: &Shared, current: &mut Current, data: Bytes) {
    if current.discard {
        return discard(shared, current, data.len());
    }
    count(current, data.len());
    current.awaits_rest(shared);
    if current.delivered {
        shared.ctx.tell(|batch| {
            for piece in pieces(data) {
                batch.data(current.id, piece);
            }
        });
    } else {
        current.collected_len += data.len();
        current.collected.push(data);
    }
}

/// Counts bytes of a body that JavaScript gets.
pub(crate) fn count(current: &mut Current, count: usize) {
    current.body_bytes += count as u64;
    current.credit = current.credit.saturating_sub(count);
}

/// Bytes of a body that nobody wants.
pub(crate) fn discard(shared: &Shared, current: &mut Current, count: usize) {
    current.body_bytes += count as u64;
    current.discarded += count as u64;
    if current.discarded > shared.limits().max_discarded {
        // Closing costs less than reading on; the answer said nothing of it, and the lingering lets it be read.
        shared.close.set(true);
        current.body_done = true;
    }
}

/// Cuts data into what crosses at once.
pub(crate) fn pieces(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let piece = data.split_to(data.len().min(WIDE_BODY_CHUNK));
        (!piece.is_empty()).then_some(piece)
    })
}

//! Streaming of request bodies to JavaScript. A body with a `Content-Length` only needs to be
//! counted once its request has been dispatched. The socket is then read straight into the memory
//! that JavaScript receives, past the guard.

use std::task::Context;

use super::ending::Ending;
use super::input::{handle_half_close, receive};
use super::{Connection, Turn};
use crate::buffers::sizes::{MAX_BODY_CHUNK, WIDE_BODY_CHUNK};
use crate::exchange::request_head::Framing;

/// Whether the socket may be read straight into the memory for JavaScript: its next bytes are
/// only body, and all bytes before them have been dispatched.
pub(crate) fn reads_body_directly(connection: &mut Connection) -> bool {
    let shared = &connection.shared;
    let mut exchange = shared.exchange.borrow_mut();
    let Some(exchange) = exchange.as_mut() else { return false };
    if exchange.body.reads_directly {
        return true;
    }
    let (Framing::Length(length), Some(left)) =
        (exchange.body.framing, connection.guard.remaining_body())
    else {
        return false;
    };
    // Bytes that the guard has released but that are not dispatched yet are not counted.
    let is_all_dispatched = exchange.body.received + left == length;
    if !exchange.is_dispatched
        || exchange.is_upgrade_undecided()
        || !is_all_dispatched
        || !connection.read_buffer.is_empty()
    {
        return false;
    }
    exchange.body.reads_directly = true;
    true
}

/// Reads the next body chunk from the socket and passes it to JavaScript.
pub(crate) fn read_body(connection: &mut Connection, cx: &mut Context<'_>) -> Turn {
    if connection.has_input_ended {
        return handle_half_close(connection);
    }
    let shared = connection.shared.clone();
    let left = connection.guard.remaining_body().unwrap_or(0);
    let Some((credit, last_filled)) = shared.exchange.borrow().as_ref().map(|exchange| {
        let body = &exchange.body;
        // A discarded body is read in small chunks, so that reading stops close to the limit.
        (if body.is_discarded { MAX_BODY_CHUNK } else { body.credit }, body.last_read_filled)
    }) else {
        return Turn::Again;
    };
    let max = usize::try_from(left).unwrap_or(usize::MAX).min(credit);
    if max == 0 {
        connection.pause_body_clock();
        return Turn::Wait;
    }
    let handoff = &shared.ctx.handoff;
    let is_wide = last_filled && max >= WIDE_BODY_CHUNK / 4 * 3;
    let mut chunk = if is_wide { &handoff.wide_body_buffers } else { &handoff.body_buffers }.take();
    let max = max.min(chunk.space().len());
    let count = match receive(connection, cx, &mut chunk.space()[..max]) {
        Ok(count) => count,
        Err(turn) => return turn,
    };
    connection.guard.skip_body(count);
    if let Some(exchange) = shared.exchange.borrow_mut().as_mut() {
        exchange.body.last_read_filled = count == max;
        if !shared.receive_body(exchange, chunk.into_bytes(count)) {
            shared.ending.set(Ending::AfterResponse);
        }
        if connection.guard.is_complete() {
            exchange.body.is_done = true;
        }
        // A body whose rest is not wanted ends here, too.
        if exchange.body.is_done {
            shared.emit_request(exchange, &[]);
        }
    }
    connection.start_exchange_deadlines();
    Turn::Again
}

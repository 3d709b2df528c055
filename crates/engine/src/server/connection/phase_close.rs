//! The closing phases of a connection: sends the last bytes, half-closes, and waits for the
//! client's close (RFC 9112 section 9.6).

use std::task::{Context, Poll};

use super::{Connection, Phase, Turn};
use crate::exchange::ExchangeEnd;

/// Sends the rest of the write queue, then half-closes the connection.
pub(crate) fn flush(connection: &mut Connection, cx: &mut Context<'_>) -> Turn {
    match connection.send(cx) {
        Poll::Pending => return await_flush(connection),
        Poll::Ready(Err(_)) => return Turn::Close,
        Poll::Ready(Ok(())) => {}
    }
    connection.notify_sent();
    // If the rest of the request body is not read, JavaScript is notified only after the close.
    // It would destroy the socket before the client has read the response.
    if !connection.shared.closes_before_body_end() {
        connection.shared.end_current_exchange(ExchangeEnd::Closing);
    }
    // A client that has sent everything causes no reset that could destroy our response, so the
    // connection may close at once, after the TLS `close_notify`.
    let closes_at_once = connection.is_client_done && !connection.stream.has_unread();
    let end = if closes_at_once {
        connection.stream.poll_close_notify(cx)
    } else {
        connection.stream.poll_shutdown(cx)
    };
    match end {
        Poll::Ready(Ok(())) if closes_at_once => return Turn::Close,
        Poll::Ready(Ok(())) => {}
        // TLS must send a record first.
        Poll::Pending => return await_flush(connection),
        // The client has disconnected.
        Poll::Ready(Err(_)) => return Turn::Close,
    }
    connection.phase = Phase::Lingering;
    let shared = &connection.shared;
    shared.start_wait(shared.limits().settings.linger_timeout);
    shared.set_deadline_at(shared.timer.wait_ends_at.get());
    Turn::Again
}

/// Waits until the socket accepts more, or closes the connection if the client reads too
/// slowly.
fn await_flush(connection: &mut Connection) -> Turn {
    if connection.shared.timer.is_due.replace(false) {
        if connection.is_reader_too_slow(connection.shared.ctx.clock.now_ms()) {
            connection.stream.reset_on_close();
            return Turn::Close;
        }
        connection.register_flush_deadline();
    }
    Turn::Wait
}

/// Reads and discards bytes until the client closes too, for up to `linger_timeout` and a
/// number of bytes.
pub(crate) fn linger(connection: &mut Connection, cx: &mut Context<'_>) -> Turn {
    let shared = connection.shared.clone();
    if shared.timer.wait_ends_at.get() <= shared.ctx.clock.now_ms() {
        return Turn::Close;
    }
    let mut scratch = shared.ctx.scratch.read.borrow_mut();
    for _ in 0..MAX_LINGER_READS_PER_STEP {
        match connection.poll_read(cx, &mut scratch) {
            Poll::Pending => return Turn::Wait,
            Poll::Ready(Ok(count)) if count > 0 && count < connection.linger => {
                connection.linger -= count;
            }
            Poll::Ready(_) => return Turn::Close,
        }
    }
    Turn::Again
}

/// Maximum reads of discarded bytes per step, before the clock is checked.
const MAX_LINGER_READS_PER_STEP: usize = 4;

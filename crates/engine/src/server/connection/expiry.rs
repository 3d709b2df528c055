//! What happens when the deadline of an HTTP/1 connection or a tunnel has passed.

use super::idle::can_make_idle;
use super::{Connection, Turn};
use crate::exchange::ExchangeEnd;
use crate::guard::Refusal;

/// Returns the time in milliseconds of the context's clock if the deadline has passed. Returns
/// an error if none has passed, or the step that closes the connection if the client reads too
/// slowly.
pub(crate) fn take_expired_deadline(connection: &mut Connection) -> Result<u64, Option<Turn>> {
    connection.shared.timer.is_due.set(false);
    let now = connection.shared.ctx.clock.now_ms();
    if connection.shared.timer.deadline.get() > now {
        return Err(None);
    }
    if connection.is_reader_too_slow(now) {
        connection.stream.reset_on_close();
        return Err(Some(Turn::Close));
    }
    Ok(now)
}

/// Handles a passed deadline. Returns `None` if the connection continues.
pub(crate) fn handle_deadline(connection: &mut Connection) -> Option<Turn> {
    let now = match take_expired_deadline(connection) {
        Ok(now) => now,
        Err(turn) => return turn,
    };
    let shared = connection.shared.clone();
    let turn = if shared.exchange.borrow().is_some() {
        handle_exchange_deadline(connection, now)
    } else {
        handle_wait_deadline(connection, now)
    };
    if turn.is_none() {
        connection.register_deadline(now);
    }
    turn
}

/// Handles a deadline while a request is in flight.
fn handle_exchange_deadline(connection: &mut Connection, now: u64) -> Option<Turn> {
    let shared = connection.shared.clone();
    let is_in_body = connection.guard.is_in_message();
    let refusal = {
        let mut exchange = shared.exchange.borrow_mut();
        let exchange = exchange.as_mut()?;
        if exchange.body.rate().is_paused() && connection.stream.is_reset() {
            return Some(Turn::Close);
        }
        let due = exchange.due(now, is_in_body, &shared.limits.borrow())?;
        shared.refusal_of_due(exchange, due)
    };
    Some(match refusal {
        Some(refusal) => connection.refuse(refusal),
        None => {
            shared.end_current_exchange(ExchangeEnd::TimedOut);
            Turn::Flush
        }
    })
}

/// Handles a passed deadline of a tunnel. The application must respond and the client must
/// read. The client must also close after its WebSocket was closed or its upgrade was refused.
/// A drain continues when a WebSocket is old enough to be closed.
pub(crate) fn handle_tunnel_deadline(connection: &mut Connection) -> Option<Turn> {
    let shared = connection.shared.clone();
    shared.timer.is_due.set(false);
    let now = shared.ctx.clock.now_ms();
    if connection.is_reader_too_slow(now) {
        connection.stream.reset_on_close();
        return Some(Turn::Close);
    }
    if shared.ctx.lifecycle.is_draining.get() && shared.timer.wait_ends_at.get() <= now {
        shared.drain_tunnel();
        if shared.timer.wait_ends_at.get() > now {
            connection.register_tunnel_deadline(now);
            // The next step sends the close frame.
            return Some(Turn::Again);
        }
    }
    if connection.tunnel_deadline() <= now {
        shared.end_current_exchange(ExchangeEnd::TimedOut);
        return Some(Turn::Flush);
    }
    connection.register_tunnel_deadline(now);
    None
}

/// Handles a passed `header_timeout` or `keepalive` timeout, when no request is in flight.
fn handle_wait_deadline(connection: &mut Connection, now: u64) -> Option<Turn> {
    let shared = connection.shared.clone();
    if connection.has_partial_head() {
        if connection.waits_for_reader {
            // The client may be late with reading, which the response clock measures.
            shared.start_wait(shared.limits().settings.header_timeout);
        }
        return (shared.timer.wait_ends_at.get() <= now)
            .then(|| connection.refuse(Refusal::HeadTimeout));
    }
    if !shared.write_queue.borrow().is_empty() {
        // The client is still reading its last response.
        shared.start_wait(shared.limits().settings.keepalive);
    }
    if shared.timer.wait_ends_at.get() <= now {
        // As in Node, a client that has sent nothing since the accept gets a response.
        let is_refused = shared.limits().node_compatible
            && shared.requests.get() == 0
            && !shared.ctx.lifecycle.is_draining.get();
        return Some(if is_refused {
            connection.refuse(Refusal::HeadTimeout)
        } else {
            Turn::Flush
        });
    }
    if can_make_idle(connection) {
        return Some(Turn::MakeIdle);
    }
    connection.free_buffers();
    None
}

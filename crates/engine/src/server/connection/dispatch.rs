//! Dispatches requests to JavaScript. An exchange begins with a request head that the guard has
//! released. The body follows as far as JavaScript grants credit.

use super::Connection;
use super::ending::Ending;
use crate::buffers::sizes::{MAX_BODY_CHUNK, SHORT_CHUNK};
use crate::exchange::Exchange;
use crate::exchange::request_body::Received;
use crate::guard::Refusal;
use crate::server::admission::admit_request;

/// Begins the exchange of the request head that the guard has just released. Refuses it if too
/// many requests are in flight, or if a body does not fit into memory.
pub(crate) fn begin_exchange(connection: &mut Connection) -> Result<(), Refusal> {
    let shared = &connection.shared;
    shared.emit_connection(&connection.stream);
    let ctx = &shared.ctx;
    let head = ctx.scratch.parsed_head.borrow();
    let others = ctx.tables.in_flight() - usize::from(shared.footprint.has_unsent_response.get());
    if !admit_request(ctx, others, &head) {
        return Err(Refusal::Overloaded);
    }
    let version: &[u8] = if head.minor_version == 1 { b"HTTP/1.1" } else { b"HTTP/1.0" };
    shared.timer.deadline.set(u64::MAX);
    shared.requests.set(shared.requests.get().saturating_add(1));
    let message = shared.parsed_message.borrow();
    let mut exchange = shared.new_exchange(&head, &message.head, version);
    exchange.id = shared.register_exchange(shared.clone());
    *shared.exchange.borrow_mut() = Some(exchange);
    Ok(())
}

/// Dispatches the body bytes that the guard has released, and the request itself if that has
/// not been done. A request whose body may soon be complete waits for it.
pub(crate) fn dispatch_body(connection: &mut Connection) {
    let shared = &connection.shared;
    let mut exchange = shared.exchange.borrow_mut();
    let Some(exchange) = exchange.as_mut() else { return };
    let mut message = shared.parsed_message.borrow_mut();
    let received = &mut message.body;
    let at_once =
        if is_whole_short_body(connection, exchange, received.len()) { received.len() } else { 0 };
    if at_once > 0 {
        exchange.body.count(at_once);
        exchange.body.is_done = true;
    }
    while !exchange.body.is_done {
        if received.is_empty() {
            // The guard determines from the framing whether the body is complete.
            exchange.body.is_done = connection.guard.is_complete();
            break;
        }
        if exchange.body.is_discarded {
            let max = shared.limits.borrow().max_discarded;
            let dropped = exchange.body.drop_bytes(received.len(), max);
            received.consume(received.len());
            if dropped == Received::TooManyDropped {
                // The response has no `Connection: close`, so the connection lingers until the
                // client has read it.
                shared.ending.set(Ending::AfterResponse);
            }
        } else if exchange.body.credit == 0 {
            break;
        } else {
            let chunk = received.take(exchange.body.credit.min(MAX_BODY_CHUNK));
            shared.receive_body(exchange, chunk);
        }
    }
    drop(message);
    if shared.may_buffer_body(exchange) {
        shared.buffer_body(exchange);
    } else {
        shared.emit_request(exchange, connection.guard.trailers());
        shared.parsed_message.borrow_mut().body.consume(at_once);
    }
}

/// Whether `count` bytes are a whole short body, which is written into the batch directly.
fn is_whole_short_body(connection: &Connection, exchange: &Exchange, count: usize) -> bool {
    let is_first =
        !exchange.is_dispatched && exchange.body.chunks.is_empty() && !exchange.body.is_discarded;
    is_first
        && (1..=SHORT_CHUNK.min(exchange.body.credit)).contains(&count)
        && connection.guard.is_complete()
        && connection.guard.trailers().is_empty()
}

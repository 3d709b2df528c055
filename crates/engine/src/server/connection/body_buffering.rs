//! Ends the wait of requests for their bodies.

use super::state::ConnectionState;
use super::table::TableEntry;
use crate::runtime::alarms::Alarm;
use crate::server::context::Context;

/// Ends the wait of each request whose deadline has passed.
pub(crate) fn end_body_buffering(ctx: &Context) {
    let (now, waiting) = (ctx.clock.now_ms(), &ctx.pressure.body_buffering);
    let connections = ctx.tables.connections.borrow();
    while let Some((connection, exchange)) = waiting.take_due(now) {
        if let Some(shared) = connections.find(connection).and_then(TableEntry::serving) {
            stop_buffering_body(shared, exchange);
        }
    }
    if let Some(next) = waiting.next_deadline() {
        ctx.alarms.set(Alarm::BodyBuffering, ctx.clock.to_time(next));
    }
}

/// Ends the wait of a request: it is dispatched with the body bytes that have arrived.
fn stop_buffering_body(shared: &ConnectionState, exchange_id: u32) {
    if let Some(streams) = shared.streams.get() {
        return streams.stop_buffering_body(exchange_id);
    }
    if let Some(exchange) = shared.exchange.borrow_mut().as_mut()
        && exchange.id == exchange_id
        && !exchange.is_dispatched
    {
        exchange.body.is_bufferable = false;
        shared.wake();
    }
}

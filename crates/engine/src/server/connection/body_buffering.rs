//! Request body buffering. A request whose body is incomplete waits for up to `request_buffer_time`
//! before it is dispatched. A slow client then costs JavaScript nothing, and a form is dispatched
//! in one event. All requests wait for the same time, so a queue keeps their deadlines in order.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::{ConnectionState, TableEntry};
use crate::exchange::Exchange;
use crate::exchange::request_head::SavedHead;
use crate::runtime::alarms::Alarm;
use crate::server::context::Context;

/// Requests that wait for their bodies, the earliest deadline first.
#[derive(Default)]
pub(crate) struct BodyBuffering {
    queue: RefCell<VecDeque<BufferingRequest>>,
}

/// A request that may still wait. It is found by its ids at the deadline, because most requests
/// have been dispatched long before.
struct BufferingRequest {
    /// Deadline in milliseconds of the context's clock.
    until: u64,
    connection: u32,
    exchange: u32,
}

impl ConnectionState {
    /// Whether the request may wait for more of its body before it is dispatched.
    pub(crate) fn may_buffer_body(&self, exchange: &Exchange) -> bool {
        exchange.body.is_bufferable
            && !exchange.body.is_done
            && !exchange.is_dispatched
            && exchange.body.buffered_len < self.ctx.pressure.memory.max_buffered_body()
    }

    /// Copies the head for a later turn, unless it was copied before. At the first call,
    /// `ctx.scratch.parsed_head` must still be the head of this request.
    pub(crate) fn save_head(&self, exchange: &mut Exchange) {
        if exchange.saved_head.is_none() {
            let head = self.ctx.scratch.parsed_head.borrow();
            let bytes = self.parsed_message.borrow().head.clone();
            exchange.saved_head = Some(Box::new(SavedHead { head: head.clone(), bytes }));
        }
    }

    /// Starts the wait of a request for its body, unless it waits already.
    pub(crate) fn buffer_body(&self, exchange: &mut Exchange) {
        if exchange.saved_head.is_some() {
            return;
        }
        self.save_head(exchange);
        let ctx = &self.ctx;
        let until = ctx.clock.deadline(ctx.limits.settings.request_buffer_time);
        let waiting = BufferingRequest { until, connection: self.id, exchange: exchange.id };
        ctx.pressure.body_buffering.queue.borrow_mut().push_back(waiting);
        ctx.alarms.set(Alarm::BodyBuffering, ctx.clock.to_time(until));
    }

    /// Ends the wait of a request: it is dispatched with the body bytes that have arrived.
    fn stop_buffering_body(&self, exchange_id: u32) {
        if let Some(streams) = self.streams.get() {
            return streams.stop_buffering_body(exchange_id);
        }
        if let Some(exchange) = self.exchange.borrow_mut().as_mut()
            && exchange.id == exchange_id
            && !exchange.is_dispatched
        {
            exchange.body.is_bufferable = false;
            self.wake();
        }
    }
}

/// Ends the wait of each request whose deadline has passed.
pub(crate) fn end_body_buffering(ctx: &Context) {
    let now = ctx.clock.now_ms();
    let mut queue = ctx.pressure.body_buffering.queue.borrow_mut();
    let connections = ctx.tables.connections.borrow();
    while let Some(&BufferingRequest { until, connection, exchange }) = queue.front()
        && until <= now
    {
        queue.pop_front();
        if let Some(shared) = connections.find(connection).and_then(TableEntry::serving) {
            shared.stop_buffering_body(exchange);
        }
    }
    if let Some(next) = queue.front() {
        ctx.alarms.set(Alarm::BodyBuffering, ctx.clock.to_time(next.until));
    }
}

//! Dispatches requests to JavaScript. An exchange begins with the head that the guard released; the
//! body follows as far as JavaScript grants credit.

use super::{Connection, Exchange, request_body};
use crate::bridge::event_batch::SHORT;
use crate::guard::Refusal;
use crate::pressure::admission;
use crate::pressure::limits::MAX_BODY_CHUNK;

impl Connection {
    /// Begins the exchange of the head that was just released, if it is admitted.
    pub(crate) fn begin_exchange(&mut self) -> Result<(), Refusal> {
        let shared = &self.shared;
        shared.emit_connection(&self.stream);
        let ctx = &shared.ctx;
        let head = ctx.parsed_head.borrow();
        let others = ctx.in_flight() - usize::from(shared.has_unsent_response.get());
        if !admission::admit_request(ctx, others, &head) {
            return Err(Refusal::Overloaded);
        }
        let id = ctx.exchanges.borrow_mut().insert_with(|_| shared.clone());
        ctx.handoff.slot.request_started();
        let version: &[u8] = if head.minor_version == 1 { b"HTTP/1.1" } else { b"HTTP/1.0" };
        shared.deadline.set(u64::MAX);
        shared.requests.set(shared.requests.get().saturating_add(1));
        let message = shared.parsed_message.borrow();
        *shared.exchange.borrow_mut() = Some(Exchange::new(ctx, id, &head, &message.head, version));
        Ok(())
    }

    /// Dispatches the request, with the whole body if possible, or the body bytes that have
    /// arrived.
    pub(crate) fn dispatch_body(&mut self) {
        let shared = &self.shared;
        let mut exchange = shared.exchange.borrow_mut();
        let Some(exchange) = exchange.as_mut() else { return };
        let mut message = shared.parsed_message.borrow_mut();
        let came = &mut message.body;
        let at_once = if self.is_whole_short_body(exchange, came.len()) { came.len() } else { 0 };
        if at_once > 0 {
            request_body::count_body_bytes(exchange, at_once);
            exchange.is_body_done = true;
        }
        while !exchange.is_body_done {
            if came.is_empty() {
                // The guard knows from the framing whether the body is complete.
                exchange.is_body_done = self.guard.is_complete();
                break;
            }
            if exchange.discards_body {
                request_body::discard_body_bytes(shared, exchange, came.len());
                came.consume(came.len());
            } else if exchange.credit == 0 {
                break;
            } else {
                request_body::emit_body_chunk(
                    shared,
                    exchange,
                    came.take(exchange.credit.min(MAX_BODY_CHUNK)),
                );
            }
        }
        drop(message);
        if shared.may_buffer_body(exchange) {
            shared.buffer_body(exchange);
        } else {
            shared.emit_request(exchange, self.guard.trailers());
            shared.parsed_message.borrow_mut().body.consume(at_once);
        }
    }

    /// Whether `count` bytes are a whole short body, which is passed to JavaScript without a copy.
    fn is_whole_short_body(&self, exchange: &Exchange, count: usize) -> bool {
        let is_first = !exchange.is_dispatched
            && exchange.buffered_chunks.is_empty()
            && !exchange.discards_body;
        is_first
            && (1..=SHORT.min(exchange.credit)).contains(&count)
            && self.guard.is_complete()
            && self.guard.trailers().is_empty()
    }
}

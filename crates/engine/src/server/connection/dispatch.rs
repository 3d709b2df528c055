//! Dispatches requests to JavaScript. An exchange begins with a request head that the guard has
//! released. The body follows as far as JavaScript grants credit.

use bytes::Bytes;

use super::ending::Ending;
use super::exchange::split_chunks;
use super::{Connection, ConnectionState};
use crate::bridge::event_batch::RequestBody;
use crate::buffers::sizes::{MAX_BODY_CHUNK, SHORT_CHUNK};
use crate::exchange::Exchange;
use crate::exchange::request_body::Received;
use crate::exchange::request_head::Framing;
use crate::exchange::tunnel::Upgrade;
use crate::guard::Refusal;
use crate::server::admission::admit_request;

impl Connection {
    /// Begins the exchange of the request head that the guard has just released. Refuses it if too
    /// many requests are in flight, or if a body does not fit into memory.
    pub(crate) fn begin_exchange(&mut self) -> Result<(), Refusal> {
        let shared = &self.shared;
        shared.emit_connection(&self.stream);
        let ctx = &shared.ctx;
        let head = ctx.scratch.parsed_head.borrow();
        let others =
            ctx.tables.in_flight() - usize::from(shared.footprint.has_unsent_response.get());
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
    pub(crate) fn dispatch_body(&mut self) {
        let shared = &self.shared;
        let mut exchange = shared.exchange.borrow_mut();
        let Some(exchange) = exchange.as_mut() else { return };
        let mut message = shared.parsed_message.borrow_mut();
        let received = &mut message.body;
        let at_once =
            if self.is_whole_short_body(exchange, received.len()) { received.len() } else { 0 };
        if at_once > 0 {
            exchange.body.count(at_once);
            exchange.body.is_done = true;
        }
        while !exchange.body.is_done {
            if received.is_empty() {
                // The guard determines from the framing whether the body is complete.
                exchange.body.is_done = self.guard.is_complete();
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
            shared.emit_request(exchange, self.guard.trailers());
            shared.parsed_message.borrow_mut().body.consume(at_once);
        }
    }

    /// Whether `count` bytes are a whole short body, which is written into the batch directly.
    fn is_whole_short_body(&self, exchange: &Exchange, count: usize) -> bool {
        let is_first = !exchange.is_dispatched
            && exchange.body.chunks.is_empty()
            && !exchange.body.is_discarded;
        is_first
            && (1..=SHORT_CHUNK.min(exchange.body.credit)).contains(&count)
            && self.guard.is_complete()
            && self.guard.trailers().is_empty()
    }
}

impl ConnectionState {
    /// Emits the request with the body bytes received so far; after that, emits the end of the
    /// body. At the first call, `ctx.scratch.parsed_head` must still be the head of this request,
    /// unless [`Self::save_head`] has copied it.
    pub(crate) fn emit_request(&self, exchange: &mut Exchange, trailers: &[u8]) {
        if exchange.is_dispatched {
            // The end is emitted for a discarded body too: the application may wait for it.
            if exchange.body.is_done && !std::mem::replace(&mut exchange.body.is_end_emitted, true)
            {
                self.ctx.outbox.emit(|batch| batch.push_end(exchange.id, trailers));
            }
            return;
        }
        exchange.is_dispatched = true;
        exchange.body.buffered_len = 0;
        // The chunks of a client stay separate, as on node:http.
        let is_one_piece =
            exchange.body.framing != Framing::Chunked || exchange.body.chunks.len() <= 1;
        let whole = exchange.body.is_done && trailers.is_empty() && is_one_piece;
        exchange.body.is_end_emitted = exchange.body.is_done;
        let message = self.parsed_message.borrow();
        let body = match (whole, exchange.body.chunks.is_empty()) {
            (true, true) if message.body.is_empty() => RequestBody::None,
            (true, true) => RequestBody::Short(message.body.unread()),
            (true, false) => RequestBody::Whole(join_chunks(&mut exchange.body.chunks)),
            (false, _) => RequestBody::Streams,
        };
        let kept = exchange.saved_head.take();
        let shared_head = self.ctx.scratch.parsed_head.borrow();
        let (head, bytes) = match &kept {
            Some(kept) => (&kept.head, &kept.bytes),
            None => (&*shared_head, &message.head),
        };
        let ahead = if head.is_upgrade { self.upgrade_bytes.take() } else { None };
        if let Upgrade::Undecided { ahead: len } = &mut exchange.upgrade {
            *len = ahead.as_ref().map_or(0, |ahead| ahead.len());
        }
        self.ctx.outbox.emit(|batch| {
            let policy = &self.limits.borrow().parse_policy;
            batch.push_request(
                (exchange.id, self.id),
                head,
                bytes,
                body,
                ahead.map(Bytes::from),
                policy,
            );
            for chunk in exchange.body.chunks.drain(..).flat_map(split_chunks) {
                batch.push_data(exchange.id, chunk);
            }
            if !whole && exchange.body.is_done {
                batch.push_end(exchange.id, trailers);
            }
        });
    }
}

/// Joins chunks into one. A single chunk is not copied.
fn join_chunks(chunks: &mut Vec<Bytes>) -> Bytes {
    if chunks.len() == 1 {
        return chunks.pop().unwrap_or_default();
    }
    let whole = chunks.concat();
    chunks.clear();
    Bytes::from(whole)
}

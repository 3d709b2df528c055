//! What an I/O thread does at the beginning and the end of an exchange, for HTTP/1 and HTTP/2:
//! tables, counters, the access log, and the events for JavaScript.

use std::rc::Rc;

use bytes::Bytes;

use super::state::ConnectionState;
use crate::bridge::event_batch::RequestBody;
use crate::bridge::wire::head_flag;
use crate::buffers::sizes::{MIN_BODY_CREDIT, WIDE_BODY_CHUNK};
use crate::exchange::deadlines::Due;
use crate::exchange::request_body::Received;
use crate::exchange::request_head::{Framing, RequestHead, SavedHead};
use crate::exchange::response_sink::ResponseSink;
use crate::exchange::tunnel::Upgrade;
use crate::exchange::{Exchange, ExchangeEnd, ExchangeStart};
use crate::guard::Refusal;
use crate::log::access::{AccessEntry, RequestFields};
use crate::runtime::alarms::Alarm;
use crate::scoreboard::layout::MetricCell;
use crate::scoreboard::{FinishedRequest, SeriesKey, find_method, find_protocol};
use crate::server::affinity::MAX_SEARCHED;
use crate::server::context::Context;

impl ConnectionState {
    /// Creates the exchange of a new request. The spans of `head` are ranges of `bytes`; `version`
    /// is the protocol version for the access log.
    pub(crate) fn new_exchange(
        &self,
        head: &RequestHead,
        bytes: &[u8],
        version: &'static [u8],
    ) -> Exchange {
        let ctx = &self.ctx;
        let settings = &ctx.limits.settings;
        let affinity = ctx.affinity.as_ref();
        let start = ExchangeStart {
            now: ctx.clock.now(),
            now_ms: ctx.clock.now_ms(),
            method: find_method(head.method.of(bytes)),
            protocol: find_protocol(version),
            // Many tunnels last for hours, so each gets the minimum.
            credit: if head.is_upgrade {
                MIN_BODY_CREDIT
            } else {
                ctx.max_body_credit().max(settings.request_buffer_size)
            },
            may_buffer: !settings.request_buffer_time.is_zero(),
            may_create_session: affinity
                .is_some_and(|affinity| affinity.may_create_session(head, bytes)),
            log_info: ctx
                .logs
                .access
                .borrow()
                .as_ref()
                .map(|_| ctx.scratch.log_info.borrow_mut().take(head, bytes, version)),
        };
        Exchange::new(head, bytes, start)
    }

    /// Adds an exchange to the table and to the counts of requests in flight. Returns its id.
    pub(crate) fn register_exchange(&self, sink: Rc<dyn ResponseSink>) -> u32 {
        let id = self.ctx.tables.exchanges.borrow_mut().insert_with(|_| sink);
        self.ctx.handoff.slot.request_started();
        self.count_exchange(1);
        id
    }

    /// Ends an exchange: removes it from the table and counts it. It gets its access log line, and
    /// JavaScript an event if it waits for something. Does nothing if the exchange has ended
    /// before.
    pub(crate) fn end_exchange(&self, exchange: &mut Exchange, end: ExchangeEnd) {
        let Some(ended) = exchange.end(end) else { return };
        self.ctx.tables.exchanges.borrow_mut().remove(exchange.id);
        self.count_exchange(-1);
        let elapsed = self.ctx.clock.now().duration_since(exchange.started);
        let mut response_time = elapsed;
        if let Upgrade::Tunnel(tunnel) = &exchange.upgrade {
            self.ctx.change_tunnel_count(|count| count - 1);
            // A tunnel may last for hours, so only the time to its response counts as the duration
            // of the request.
            response_time = tunnel.response_time.unwrap_or(elapsed);
        }
        let (status, sent_bytes) = (exchange.response.status, exchange.response.sent_bytes);
        self.ctx.count_finished_request(&FinishedRequest {
            key: SeriesKey::new(exchange.method, status, exchange.protocol),
            bytes_in: exchange.body.received,
            bytes_out: sent_bytes,
            us: response_time.as_micros() as u64,
        });
        if let Some(info) = exchange.log_info.take() {
            if ended.is_logged
                && let Some(log) = self.ctx.logs.access.borrow_mut().as_mut()
            {
                let forwarded = info.client.map(|client| client.ip().to_canonical().to_string());
                log.log(&AccessEntry {
                    remote: forwarded.as_deref().or_else(|| self.client.logged()),
                    method: info.method.of(&info.head),
                    target: info.target.of(&info.head),
                    version: info.version,
                    status,
                    body_bytes: sent_bytes,
                    duration: elapsed,
                    request_fields: RequestFields::Spans { head: &info.head, fields: &info.fields },
                    response_fields: &info.response_fields,
                    pid: self.ctx.logs.pid,
                });
            }
            self.ctx.scratch.log_info.borrow_mut().recycle(info);
        }
        if ended.is_awaited {
            self.ctx.outbox.emit(|batch| batch.push_aborted(exchange.id));
        }
    }

    /// Counts the exchanges of this connection. With the first one, it becomes active.
    fn count_exchange(&self, change: i32) {
        let before = self.exchange_count.get();
        let count = before.saturating_add_signed(change);
        self.exchange_count.set(count);
        if (before == 0) != (count == 0) {
            self.ctx.handoff.slot.change_gauge(MetricCell::ConnectionsActive, change);
        }
    }

    /// Copies the bytes after the head of an upgrade request, which are dispatched with it.
    pub(crate) fn keep_upgrade_bytes(&self, read_buffer: &[u8]) {
        if self.ctx.scratch.parsed_head.borrow().is_upgrade
            && self.exchange.borrow().is_none()
            && !read_buffer.is_empty()
        {
            self.parsed_message.borrow().upgrade_bytes.set(Some(read_buffer.into()));
        }
    }

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
        ctx.pressure.body_buffering.push(until, (self.id, exchange.id));
        ctx.alarms.set(Alarm::BodyBuffering, ctx.clock.to_time(until));
    }

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
        let ahead = if head.is_upgrade { message.upgrade_bytes.take() } else { None };
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

    /// Passes bytes of a request body or a tunnel to JavaScript, or buffers or drops them. Returns
    /// false if more have been dropped than may be.
    pub(crate) fn receive_body(&self, exchange: &mut Exchange, data: Bytes) -> bool {
        if exchange.is_tunnel() {
            self.ctx.outbox.count_tunnel_chunk();
        }
        match exchange.receive(data, self.ctx.clock.now_ms(), &self.limits.borrow()) {
            Received::Emitted(data) => self.ctx.outbox.emit(|batch| {
                for chunk in split_chunks(data) {
                    batch.push_data(exchange.id, chunk);
                }
            }),
            Received::Buffered | Received::Dropped => {}
            Received::TooManyDropped => return false,
        }
        true
    }

    /// Turns an exchange into a tunnel if JavaScript takes it over (`taken`). Otherwise the request
    /// is served as an ordinary one. Returns whether it has become a tunnel.
    pub(crate) fn begin_tunnel(
        &self,
        exchange: &mut Exchange,
        taken: bool,
        has_input: bool,
    ) -> bool {
        let is_draining = self.ctx.lifecycle.is_draining.get();
        let is_tunnel = exchange.decide_upgrade(taken, has_input, is_draining);
        if is_tunnel {
            self.ctx.count_tunnel();
        }
        is_tunnel
    }

    /// Returns the refusal of a request whose deadline has passed. A request that JavaScript has
    /// not taken is withdrawn. Returns `None` if the response is complete, and only the rest of the
    /// request body is missing.
    pub(crate) fn refusal_of_due(&self, exchange: &mut Exchange, due: Due) -> Option<Refusal> {
        match due {
            Due::Discard => None,
            Due::Body => Some(Refusal::BodyTimeout),
            Due::Response if !exchange.is_dispatched || exchange.withdraw(&self.ctx) => {
                Some(Refusal::DispatchTimeout)
            }
            Due::Response => Some(Refusal::ResponseTimeout),
        }
    }
}

impl Exchange {
    /// Withdraws the request if JavaScript has not taken it yet. Returns whether the request was
    /// withdrawn.
    pub(crate) fn withdraw(&mut self, ctx: &Context) -> bool {
        if !self.is_dispatched {
            return false;
        }
        let withdrawn = ctx.outbox.withdraw(self.id);
        // JavaScript is not notified of the end of a withdrawn request.
        self.is_dispatched = !withdrawn;
        withdrawn
    }

    /// Returns the flags of [`ResponseSink::error_flags`].
    pub(crate) fn error_flags(&self) -> u8 {
        let no_body = if self.method == find_method(b"HEAD") { head_flag::NO_BODY } else { 0 };
        let close = if self.is_upgrade_undecided() { head_flag::CLOSE } else { 0 };
        no_body | close
    }

    /// Learns the session that the response creates from the fields of its head, if it has one.
    pub(crate) fn learn_from_fields(&self, ctx: &Context, fields: &[u8]) {
        if self.may_create_session
            && let Some(affinity) = &ctx.affinity
        {
            affinity.learn_from_fields(fields);
        }
    }

    /// Learns the session that the response creates from a part of its body, if it has one there.
    pub(crate) fn learn_from_body(&mut self, ctx: &Context, part: &[u8]) {
        if self.may_create_session
            && let Some(affinity) = &ctx.affinity
        {
            let is_searched = self.response.sent_bytes < MAX_SEARCHED;
            self.may_create_session = is_searched && !affinity.learn_from_body(part);
        }
    }
}

/// Splits data into chunks of at most [`WIDE_BODY_CHUNK`] bytes, the maximum of one event.
fn split_chunks(mut data: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let chunk = data.split_to(data.len().min(WIDE_BODY_CHUNK));
        (!chunk.is_empty()).then_some(chunk)
    })
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

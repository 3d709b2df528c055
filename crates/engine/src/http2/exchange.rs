//! One HTTP/2 stream: a request and its response. Commands from JavaScript are queued here until
//! the connection's task passes them to h2 in its next turn.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response};

use super::counted_bytes::{CountedBytes, UnsentBytes};
use super::fields;
use super::page::send_refusal;
use super::stream_admission::{record_response, set_buffered_in_js, stop_waiting};
use super::streams::Streams;
use crate::exchange::min_rate::{MinRate, RateBounds};
use crate::exchange::request_label::RequestLabel;
use crate::exchange::{Exchange, ExchangeEnd};
use crate::guard::{ErrorFormat, PartialRequest, Refusal};
use crate::pressure::stream_budget::StreamShare;
use crate::server::connection::state::ConnectionState;

/// The state of a stream, from the head of its request until it is closed.
pub(crate) struct StreamExchange {
    pub(crate) shared: Rc<ConnectionState>,
    /// Table of the connection's streams, which owns this one.
    pub(crate) streams: Weak<Streams>,
    /// Slot of the stream in that table.
    slot: usize,
    /// The parts that HTTP/1 and HTTP/2 have in common.
    pub(crate) exchange: RefCell<Exchange>,
    /// What h2 still has to send; `None` once the stream is closed.
    pub(crate) output: RefCell<Option<StreamOutput>>,
    /// h2's reader of the request body; `None` once the body is complete or no longer wanted.
    pub(crate) request_body: RefCell<Option<RecvStream>>,
    /// Trailers of the request as `Name: value` lines.
    pub(crate) request_trailers: OnceCell<Vec<u8>>,
    /// Counter of the response bytes that h2 has not sent.
    pub(crate) unsent: Rc<UnsentBytes>,
    /// Waker that queues this stream for the connection's next turn.
    pub(crate) waker: Waker,
    /// Stream identifier on this connection (RFC 9113 section 5.1.1).
    pub(crate) stream_id: u32,
    /// Whether the stream is already in the list of streams with new commands from JavaScript.
    is_dirty: Cell<bool>,
    /// Reason with which to reset the stream in the next turn.
    pub(crate) pending_reset: Cell<Option<Reason>>,
    /// Rate at which the client reads the response.
    pub(crate) response_rate: Cell<MinRate>,
    /// When the drain of the tunnel must continue, or end; `u64::MAX` outside a drain.
    pub(crate) drain_deadline: Cell<u64>,
    /// Format of an error response of the engine.
    pub(crate) error_format: ErrorFormat,
    is_head_request: bool,
    /// Whether the request is an extended CONNECT, such as a WebSocket (RFC 8441).
    is_extended_connect: bool,
    /// What the stream takes of the budget of its connection.
    pub(crate) share: Cell<StreamShare>,
}

/// Parts of the response that h2 has not been given yet.
pub(crate) struct StreamOutput {
    /// h2's writer of the response head.
    pub respond: SendResponse<CountedBytes>,
    /// h2's writer of the body; present once the head has been given to h2.
    pub stream: Option<SendStream<CountedBytes>>,
    /// The head, until it is given to h2.
    pub head: Option<Response<()>>,
    /// Body bytes in order, before those in `tail`.
    pub chunks: Vec<Bytes>,
    /// The newest body bytes; later writes are appended to them.
    pub tail: Vec<u8>,
    /// Whether h2 has been given the end of the response.
    pub is_finished: bool,
}

/// Arguments of [`StreamExchange::new`].
pub(crate) struct NewStream {
    pub exchange: Exchange,
    pub respond: SendResponse<CountedBytes>,
    pub body: Option<RecvStream>,
    pub error_format: ErrorFormat,
    pub is_head_request: bool,
    pub is_extended_connect: bool,
}

impl StreamExchange {
    pub fn new(
        shared: Rc<ConnectionState>,
        streams: &Rc<Streams>,
        slot: usize,
        waker: Waker,
        new_stream: NewStream,
    ) -> Rc<Self> {
        let NewStream {
            exchange,
            respond,
            body,
            error_format,
            is_head_request,
            is_extended_connect,
        } = new_stream;
        Rc::new(Self {
            shared,
            streams: Rc::downgrade(streams),
            slot,
            exchange: RefCell::new(exchange),
            stream_id: respond.stream_id().as_u32(),
            output: RefCell::new(Some(StreamOutput {
                respond,
                stream: None,
                head: None,
                chunks: Vec::new(),
                tail: Vec::new(),
                is_finished: false,
            })),
            request_body: RefCell::new(body),
            request_trailers: OnceCell::new(),
            unsent: UnsentBytes::new(slot, streams.unsent.clone()),
            waker,
            is_dirty: Cell::new(false),
            pending_reset: Cell::new(None),
            response_rate: Cell::new(MinRate::OFF),
            drain_deadline: Cell::new(u64::MAX),
            error_format,
            is_head_request,
            is_extended_connect,
            share: Cell::default(),
        })
    }

    pub fn id(&self) -> u32 {
        self.exchange.borrow().id
    }

    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    pub fn is_closed(&self) -> bool {
        self.output.borrow().is_none()
    }

    /// Returns the status that the client sees. To an extended CONNECT each 2xx status means that
    /// the tunnel is open (RFC 8441 section 5). On HTTP/1, a 200 without an upgrade refuses it. The
    /// client therefore gets 501, as in RFC 9220 section 3.
    pub fn visible_status(&self, status: u16) -> u16 {
        if self.is_extended_connect && (200..300).contains(&status) { 501 } else { status }
    }

    /// Returns the request if its response is not complete.
    pub fn in_flight(&self) -> Option<(RequestLabel, Instant)> {
        self.exchange.try_borrow().ok()?.in_flight()
    }

    /// Adds the stream to those that the connection's task looks at in its next turn.
    pub fn mark_dirty(self: &Rc<Self>) {
        if !self.is_dirty.replace(true)
            && let Some(streams) = self.streams.upgrade()
        {
            streams.push_dirty(self.clone());
        }
        self.shared.queue_wake();
    }

    /// Passes the queued commands to h2. Returns the reason if the stream must be reset afterwards.
    pub fn flush(&self) -> Option<Reason> {
        self.is_dirty.set(false);
        if self.send().is_err() {
            // The client has reset the stream, or the connection is closed.
            self.end(ExchangeEnd::ClientGone);
            return None;
        }
        let reset = self.pending_reset.take();
        if reset.is_none() {
            record_response(self, &self.exchange.borrow());
            self.poll_body();
            self.finish_if_sent();
        }
        reset
    }

    fn send(&self) -> Result<(), h2::Error> {
        let exchange = self.exchange.borrow();
        let mut output = self.output.borrow_mut();
        let Some(output) = output.as_mut() else { return Ok(()) };
        if !output.tail.is_empty() {
            output.chunks.push(Bytes::from(std::mem::take(&mut output.tail)));
        }
        let is_last = exchange.response.is_complete && exchange.response.trailers.is_empty();
        if let Some(head) = output.head.take() {
            let ends = exchange.response.has_no_body || (is_last && output.chunks.is_empty());
            output.stream = Some(output.respond.send_response(head, ends)?);
            output.is_finished = ends;
        }
        let Some(stream) = output.stream.as_mut().filter(|_| !output.is_finished) else {
            return Ok(());
        };
        let count = output.chunks.len();
        for (index, chunk) in output.chunks.drain(..).enumerate() {
            let ends = is_last && index + 1 == count;
            stream.send_data(self.unsent.wrap(chunk), ends)?;
            output.is_finished = ends;
        }
        if exchange.response.is_complete && !output.is_finished {
            output.is_finished = true;
            if is_last {
                stream.send_data(self.unsent.wrap(Bytes::new()), true)?;
            } else {
                let mut trailers = HeaderMap::new();
                fields::parse_lines(&exchange.response.trailers, &mut trailers);
                stream.send_trailers(trailers)?;
            }
        }
        Ok(())
    }

    /// Notifies JavaScript, if it asked for it, once all bytes have been sent. Closes the stream if
    /// request and response are complete.
    pub fn finish_if_sent(&self) {
        if self.unsent.bytes() > 0 || self.is_closed() {
            return;
        }
        let mut exchange = self.exchange.borrow_mut();
        if exchange.take_notification() {
            self.shared.ctx.outbox.emit(|batch| batch.push_drained(exchange.id));
        }
        if exchange.is_finished() {
            drop(exchange);
            self.end(ExchangeEnd::Complete);
        }
    }

    /// Returns whether the whole response has been sent. A reset then carries `NO_ERROR` (RFC 9113
    /// section 8.1).
    pub fn is_fully_sent(&self) -> bool {
        let output = self.output.borrow();
        self.unsent.bytes() == 0 && output.as_ref().is_none_or(|output| output.is_finished)
    }

    /// Returns the number of bytes that the engine and h2 hold for this stream.
    pub fn held_bytes(&self) -> usize {
        self.unsent.bytes() + self.body_bytes()
    }

    /// Returns the number of body bytes that are held until JavaScript receives the request, or
    /// grants credit.
    pub fn body_bytes(&self) -> usize {
        let body = &self.exchange.borrow().body;
        if body.credit > 0 || body.is_done {
            return body.buffered_len;
        }
        let mut request_body = self.request_body.borrow_mut();
        body.buffered_len
            + request_body.as_mut().map_or(0, |body| body.flow_control().used_capacity())
    }

    /// Resets the stream and notifies JavaScript.
    pub fn abort(&self, reason: Reason) {
        if let Some(output) = self.output.borrow_mut().as_mut() {
            match &mut output.stream {
                Some(stream) => stream.send_reset(reason),
                None => output.respond.send_reset(reason),
            }
        }
        self.end(ExchangeEnd::Reset);
    }

    /// Sends the error response of the engine and closes the stream. If a response has begun, the
    /// stream is reset.
    pub fn refuse(&self, refusal: Refusal) {
        let partial = PartialRequest {
            format: self.error_format,
            is_head_request: self.is_head_request,
            ..PartialRequest::default()
        };
        let (shared, unsent) = (&self.shared, &self.unsent);
        let is_refused = self.exchange.borrow_mut().refuse(refusal.status(), || {
            let mut output = self.output.borrow_mut();
            output.as_mut().map_or(0, |output| {
                let respond = (&mut output.respond, unsent);
                send_refusal(shared.ctx.date().text(), respond, refusal, &partial)
            })
        });
        if !is_refused {
            return self.abort(Reason::CANCEL);
        }
        shared.ctx.count_refusal(refusal);
        self.end(ExchangeEnd::Refused);
    }

    /// Removes the stream from all tables. h2 still sends what it has of the response. The rest of
    /// the request is ignored.
    pub fn end(&self, end: ExchangeEnd) {
        set_buffered_in_js(self, 0);
        let Some(output) = self.output.take() else { return };
        drop(self.request_body.take());
        drop(output);
        if let Some(streams) = self.streams.upgrade() {
            streams.remove(self.slot);
            stop_waiting(self, &streams);
        }
        let mut exchange = self.exchange.borrow_mut();
        if end == ExchangeEnd::ClientGone {
            exchange.withdraw(&self.shared.ctx);
        }
        self.shared.end_exchange(&mut exchange, end);
        if exchange.is_dispatched {
            self.shared.ctx.outbox.emit(|batch| batch.push_stream_closed(exchange.id));
        }
    }

    /// Returns the time of the next check of this stream, in milliseconds of the context's clock.
    pub fn deadline(&self) -> u64 {
        let exchange = self.exchange.borrow();
        let is_body_pending = !exchange.body.is_done;
        let deadline = exchange.deadline(is_body_pending, &self.shared.limits.borrow());
        deadline.min(self.drain_deadline.get())
    }

    /// Refuses or resets the stream if one of its deadlines has passed. Returns whether the client
    /// has stopped reading its response.
    pub fn check_deadlines(self: &Rc<Self>, now: u64) -> bool {
        let is_stalled = self.is_read_too_slowly(now);
        if self.drain_deadline.get() <= now {
            self.drain_tunnel();
        }
        if is_stalled || self.drain_deadline.get() <= now {
            self.abort(Reason::CANCEL);
        } else {
            self.check_request_deadlines(now);
        }
        is_stalled
    }

    fn check_request_deadlines(&self, now: u64) {
        let mut exchange = self.exchange.borrow_mut();
        let is_body_pending = !exchange.body.is_done;
        let due = exchange.due(now, is_body_pending, &self.shared.limits.borrow());
        let Some(due) = due else { return };
        let refusal = self.shared.refusal_of_due(&mut exchange, due);
        drop(exchange);
        match refusal {
            Some(refusal) => self.refuse(refusal),
            // As much of the body has arrived as was wanted, so the reset carries `NO_ERROR`.
            None => self.end(ExchangeEnd::TimedOut),
        }
    }

    /// Returns whether the client reads the response too slowly. A closed flow-control window
    /// counts as not reading, because only the client can open it.
    fn is_read_too_slowly(&self, now: u64) -> bool {
        let bounds = RateBounds::of_response(&self.shared.limits());
        let sent = self.unsent.take_sent();
        let mut rate = self.response_rate.get();
        if self.unsent.bytes() == 0 {
            rate.stop();
        } else if rate.is_off() {
            rate.start(now, bounds);
        } else if sent > 0 {
            rate.record_bytes(now, sent as u64, bounds);
        }
        self.response_rate.set(rate);
        rate.deadline(bounds) <= now
    }

    /// Returns the time since which the client has read too little of the response; `u64::MAX` if
    /// no bytes are pending.
    pub(crate) fn response_stalled_since(&self) -> u64 {
        self.response_rate.get().late_since(RateBounds::of_response(&self.shared.limits()))
    }

    /// Returns the time since which the client has sent too little of the body; `u64::MAX` once the
    /// response has begun.
    pub(crate) fn body_late_since(&self) -> u64 {
        self.exchange.borrow().body_late_since(&self.shared.limits.borrow())
    }
}

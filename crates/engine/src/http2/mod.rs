//! HTTP/2 connections, on top of the h2 crate. The connection's task reads and scans the frames
//! (`frames.rs`) and passes them to h2.
//!
//! Each stream becomes an exchange (`exchange.rs`). Its request is written in the form of HTTP/1.1
//! (`head.rs`) and checked by the guard. h2 writes into the connection's write queue.

mod counted_bytes;
mod deadlines;
mod exchange;
mod fields;
mod frames;
mod h2_transport;
mod head;
mod request_body;
mod response;
mod session;
mod stream_admission;
mod streams;
mod trailer_scan;
mod tunnel;

use std::rc::Rc;
use std::task::{Context, Poll};

use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Method;
use http::request::Parts;

use self::counted_bytes::{CountedBytes, UnsentBytes};
use self::exchange::{NewStream, StreamExchange, send_refusal};
use self::frames::CLIENT_PREFACE;
pub use self::frames::{Flood, FrameScanner};
pub use self::head::write_request_head;
use self::response::StreamSink;
use self::session::IncomingStream;
pub(crate) use self::session::Session;
pub(crate) use self::streams::Streams;
use crate::buffers::sizes::READ_AHEAD;
use crate::exchange::ExchangeEnd;
use crate::exchange::min_rate::RateBounds;
use crate::exchange::request_head::{Framing, RequestHead};
use crate::guard::{PartialRequest, Refusal};
use crate::pressure::eviction::{Shortage, has_stalled};
use crate::pressure::limits::Cleartext;
use crate::server::admission::admit_request;
use crate::server::connection::{Connection, Eviction, Turn};

impl Connection {
    /// Returns whether the client may use HTTP/2, so that the first bytes must be searched for the
    /// preface.
    pub(crate) fn may_use_http2(&self) -> bool {
        self.must_use_http2() || self.cleartext_mode() == Cleartext::Beside
    }

    fn must_use_http2(&self) -> bool {
        self.stream.protocol() == Some(ALPN_H2) || self.cleartext_mode() == Cleartext::Alone
    }

    fn cleartext_mode(&self) -> Cleartext {
        if self.stream.is_secure() { Cleartext::Off } else { self.shared.limits().cleartext }
    }

    /// Searches the first bytes for the connection preface. Returns `false` while too few bytes
    /// have arrived.
    pub(crate) fn detect_preface(&mut self) -> bool {
        if !self.guard.is_at_head() {
            // The PROXY protocol header comes before the preface.
            return true;
        }
        let unread = self.read_buffer.unread();
        let length = unread.len().min(CLIENT_PREFACE.len());
        let is_preface = unread[..length] == CLIENT_PREFACE[..length];
        if !self.must_use_http2() && (!is_preface || length < CLIENT_PREFACE.len()) {
            self.awaits_preface = is_preface;
            return !is_preface;
        }
        self.awaits_preface = false;
        let first = std::mem::take(&mut self.read_buffer);
        let mut session = Session::new(&self.shared);
        self.accept_frames(&mut session, first.unread());
        self.http2 = Some(Box::new(session));
        true
    }

    /// Returns whether the client has sent neither the preface nor a request line with a version of
    /// HTTP/1. Such a client may expect frames, so it gets no HTTP/1 response. RFC 9113 section 3.4
    /// allows to omit the GOAWAY frame.
    pub(crate) fn is_invalid_preface(&self, refusal: Refusal, partial: &PartialRequest) -> bool {
        let is_line = matches!(
            refusal,
            Refusal::BadRequestLine | Refusal::BadMethod | Refusal::UnsupportedVersion
        );
        let is_first = self.shared.requests.get() == 0 && self.may_use_http2();
        is_line && is_first && !partial.bytes.windows(5).any(|part| part == b"HTTP/")
    }

    /// Runs a turn of a connection that speaks HTTP/2.
    pub(crate) fn serve_http2(&mut self, cx: &mut Context<'_>) -> Turn {
        let Some(mut session) = self.http2.take() else { return Turn::Close };
        let turn = self.run_http2_turn(&mut session, cx);
        self.http2 = Some(session);
        turn
    }

    fn run_http2_turn(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Turn {
        let shared = self.shared.clone();
        session.streams.set_connection_waker(cx.waker());
        if matches!(self.send(cx), Poll::Ready(Err(_))) {
            return Turn::Close;
        }
        if shared.timer.is_due.get()
            && let Some(turn) = self.on_http2_deadline(session)
        {
            return turn;
        }
        if shared.ctx.lifecycle.is_draining.get() && !session.is_draining() {
            session.drain();
            session.streams.all().iter().for_each(StreamExchange::drain_tunnel);
        }
        let was_idle = session.streams.is_empty() && !session.is_handshaking();
        let resets = session.flush();
        let was_backlogged = self.is_backlogged(session);
        let has_more = match self.read_frames(session, cx) {
            Ok(has_more) => has_more,
            Err(turn) => return turn,
        };
        let mut is_open = self.poll_session(session, cx);
        if is_open && !resets.is_empty() {
            // The resets follow what the streams have sent, as far as it could be sent.
            for (stream, reason) in resets {
                stream.abort(if stream.is_fully_sent() { Reason::NO_ERROR } else { reason });
            }
            is_open = self.poll_session(session, cx);
        }
        if !is_open {
            self.shared.end_streams(ExchangeEnd::ClientGone);
            return Turn::Flush;
        }
        if session.frames.take_settings_ack() {
            session.streams.all().iter().for_each(StreamExchange::renew_window);
        }
        session.poll_streams(&shared);
        session.admit_waiting(&shared, || self.acknowledged_bytes());
        if session.streams.is_empty() && !session.is_handshaking() && !was_idle {
            shared.wait_for_next_stream(session.header_block_deadline, session.is_draining());
        }
        if matches!(self.send(cx), Poll::Ready(Err(_))) {
            return Turn::Close;
        }
        // No waker is registered for lack of room, so the task runs again as soon as there is room.
        let was_blocked = std::mem::take(&mut session.input.borrow_mut().is_write_blocked);
        let has_room_again = (was_backlogged || was_blocked) && !self.is_backlogged(session);
        if has_more || has_room_again { Turn::Again } else { Turn::Wait }
    }

    /// Lets h2 read and write, and begins the streams that have arrived. Returns whether the
    /// connection stays open.
    fn poll_session(&mut self, session: &mut Session, cx: &mut Context<'_>) -> bool {
        loop {
            match session.poll(cx) {
                Poll::Ready(Some(incoming)) => self.begin_stream(session, incoming),
                Poll::Ready(None) => return false,
                Poll::Pending => return true,
            }
        }
    }

    /// Reads from the socket for h2. Returns whether there may be more to read.
    fn read_frames(&mut self, session: &mut Session, cx: &mut Context<'_>) -> Result<bool, Turn> {
        if self.is_backlogged(session) || session.input.borrow().is_eof {
            return Ok(false);
        }
        let shared = self.shared.clone();
        let mut scratch = shared.ctx.scratch.read.borrow_mut();
        let count = match self.poll_read(cx, &mut scratch) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(_)) => return Err(Turn::Close),
            Poll::Ready(Ok(count)) => count,
        };
        if count == 0 {
            session.input.borrow_mut().is_eof = true;
            return Ok(true);
        }
        self.accept_frames(session, &scratch[..count]);
        Ok(true)
    }

    /// Returns whether the buffers between the socket and h2 are full. The connection then stops
    /// reading, and h2 writes little.
    fn is_backlogged(&self, session: &Session) -> bool {
        session.input.borrow().bytes.len() + self.shared.write_queue.borrow().len() >= READ_AHEAD
    }

    /// Scans frames of the client and passes them to h2, unless they are a flood.
    fn accept_frames(&self, session: &mut Session, input: &[u8]) {
        let shared = &self.shared;
        let (now, limits) = (shared.ctx.clock.now_ms(), shared.limits());
        let is_flood = session.frames.scan(input, now, &limits.settings).is_err();
        if !is_flood || session.is_handshaking() {
            session.input.borrow_mut().bytes.push(input);
        }
        if is_flood {
            return session.abort(Reason::ENHANCE_YOUR_CALM);
        }
        session.reset_malformed_streams();
        if let Some(stream) = session
            .frames
            .current_data_stream()
            .and_then(|id| session.streams.find_by_stream_id(id))
        {
            // h2 passes on complete DATA frames only, and slow progress within one counts too.
            let bounds = RateBounds::of_body(&limits);
            stream.exchange.borrow_mut().body.record_arrival(0, now, bounds);
        }
        if !session.frames.is_in_header_block() {
            session.header_block_deadline = u64::MAX;
        } else if session.header_block_deadline == u64::MAX {
            session.header_block_deadline =
                shared.ctx.clock.deadline(limits.settings.header_timeout);
            shared.set_deadline_at(session.header_block_deadline.min(shared.timer.deadline.get()));
        }
    }

    /// Begins the exchange of a stream, or refuses its request.
    fn begin_stream(&mut self, session: &mut Session, (request, mut respond): IncomingStream) {
        let shared = self.shared.clone();
        if session.is_malformed(respond.stream_id().as_u32()) {
            return respond.send_reset(Reason::PROTOCOL_ERROR);
        }
        let (parts, body) = request.into_parts();
        let is_end_stream = body.is_end_stream();
        let mut message = shared.parsed_message.borrow_mut();
        message.start_head();
        let limits = shared.limits();
        shared.requests.set(shared.requests.get().saturating_add(1));
        let mut result = head::write_request_head(
            &parts,
            is_end_stream,
            &limits.parse_policy,
            &mut message.head,
        );
        if result.is_ok() {
            let mut head = shared.ctx.scratch.parsed_head.borrow_mut();
            result = self.guard.read_http2_head(&message.head, &mut head, &limits);
        }
        drop(message);
        if result.is_ok() && is_end_stream && shared.answer_health_stream(session, &mut respond) {
            return;
        }
        let result = result.and_then(|()| {
            let mut head = shared.ctx.scratch.parsed_head.borrow_mut();
            self.check_http2_head(&mut head, &parts, is_end_stream)
        });
        match result {
            Ok(()) => self.open_stream(session, &parts, body, respond),
            Err(refusal) => self.refuse_stream(session, respond, refusal, &parts.method),
        }
        if limits.settings.limit_requests_per_connection > 0
            && shared.requests.get() >= limits.settings.limit_requests_per_connection
        {
            session.drain();
        }
    }

    /// Adapts the head to HTTP/2 and checks whether there is room for the request.
    fn check_http2_head(
        &self,
        head: &mut RequestHead,
        parts: &Parts,
        is_end_stream: bool,
    ) -> Result<(), Refusal> {
        let (shared, ctx) = (&self.shared, &self.shared.ctx);
        let limits = shared.limits();
        if let Framing::Length(length) = head.framing
            && (is_end_stream
                || limits.settings.limit_request_body > 0
                    && length > limits.settings.limit_request_body)
        {
            return Err(if is_end_stream {
                Refusal::BadContentLength
            } else {
                Refusal::BodyTooLarge
            });
        }
        if !is_end_stream && head.framing == Framing::None && !head.is_upgrade {
            // The field is `Content-Length: 0`, but the stream is still open.
            head.framing = Framing::Chunked;
        }
        let is_https = parts.uri.scheme_str() == Some("https");
        head.is_secure |= is_https && self.guard.trusts_peer() && !self.stream.is_secure();
        if !admit_request(ctx, ctx.tables.in_flight(), head) {
            return Err(Refusal::Overloaded);
        }
        Ok(())
    }

    fn open_stream(
        &mut self,
        session: &mut Session,
        parts: &Parts,
        body: RecvStream,
        respond: SendResponse<CountedBytes>,
    ) {
        let shared = &self.shared;
        let ctx = &shared.ctx;
        shared.emit_connection(&self.stream);
        let (exchange, error_format) = {
            let (head, message) =
                (ctx.scratch.parsed_head.borrow(), shared.parsed_message.borrow());
            let mut exchange = shared.new_exchange(&head, &message.head, LOGGED_VERSION);
            exchange.allows_keep_alive = true;
            (exchange, PartialRequest::parse_head(&message.head).format)
        };
        let has_body = !exchange.body.is_done || exchange.is_upgrade_undecided();
        let new_stream = NewStream {
            exchange,
            respond,
            body: has_body.then_some(body),
            error_format,
            is_head_request: parts.method == Method::HEAD,
            is_extended_connect: parts.extensions.get::<Protocol>().is_some(),
        };
        let streams = &session.streams;
        let stream = streams.insert_with(|slot, waker| {
            StreamExchange::new(shared.clone(), streams, slot, waker, new_stream)
        });
        let id = shared.register_exchange(Rc::new(StreamSink(stream.clone())));
        stream.exchange.borrow_mut().id = id;
        if stream.poll_stream() {
            // The client has already reset the stream.
            let now = ctx.clock.now_ms();
            if session.frames.count_reset(now, &shared.limits().settings).is_err() {
                session.abort(Reason::ENHANCE_YOUR_CALM);
            }
        }
        shared.watch_stream(&stream);
    }

    /// Sends an error response to a request that does not become an exchange.
    fn refuse_stream(
        &self,
        session: &Session,
        mut respond: SendResponse<CountedBytes>,
        refusal: Refusal,
        method: &Method,
    ) {
        let shared = &self.shared;
        let mut partial = PartialRequest::parse_head(&shared.parsed_message.borrow().head);
        partial.is_head_request = method == Method::HEAD;
        partial.set_version(LOGGED_VERSION);
        let unsent = UnsentBytes::new(usize::MAX, session.streams.unsent.clone());
        let sent = send_refusal(shared, &mut respond, &unsent, refusal, &partial);
        shared.count_refusal(refusal);
        shared.account_refused(refusal, &partial, sent);
    }

    /// Returns the number of bytes that are held for HTTP/2.
    pub(crate) fn http2_held_bytes(&self) -> usize {
        self.http2.as_ref().map_or(0, |session| session.held_bytes())
    }

    /// Evicts the streams on which the client has stalled. If there are none and memory is short,
    /// evicts all that hold memory.
    pub(crate) fn evict_streams(&mut self, shortage: Shortage) {
        let shared = &self.shared;
        let Some(session) = &mut self.http2 else { return };
        let now = shared.ctx.clock.now_ms();
        let mut streams = session.streams.all();
        if shortage == Shortage::Memory {
            streams.retain(|stream| stream.held_bytes() > 0);
        }
        let mut is_any_stalled = false;
        for stream in &streams {
            if shortage == Shortage::RequestSlots && has_stalled(stream.body_late_since(), now) {
                stream.refuse(Refusal::BodyTimeout);
            } else if has_stalled(stream.response_stalled_since(), now) {
                stream.abort(Reason::ENHANCE_YOUR_CALM);
            } else {
                continue;
            }
            is_any_stalled = true;
        }
        if shortage == Shortage::Memory && !is_any_stalled {
            for stream in &streams {
                stream.abort(Reason::ENHANCE_YOUR_CALM);
            }
        }
        session.refuse_waiting();
        session.streams.update_stalled(now);
        shared.footprint.eviction.set(Eviction::None);
    }
}

/// ALPN protocol name of HTTP/2 (RFC 9113 section 3.2).
const ALPN_H2: &[u8] = b"h2";
/// Version of HTTP/2 as access logs write it.
const LOGGED_VERSION: &[u8] = b"HTTP/2.0";

//! Dispatches the requests of HTTP/2 streams: the guard checks each in the form of HTTP/1.1, and it
//! becomes an exchange.

use std::rc::Rc;

use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Method;
use http::request::Parts;

use super::Connection;
use super::error_response::account_refused;
use super::health::health_response;
use super::http2_deadlines::watch_stream;
use super::state::ConnectionState;
use crate::exchange::request_head::{Framing, RequestHead};
use crate::guard::{PartialRequest, Refusal};
use crate::http2::counted_bytes::{CountedBytes, UnsentBytes};
use crate::http2::exchange::{NewStream, StreamExchange};
use crate::http2::head::write_request_head;
use crate::http2::page::{page_head, send_page, send_refusal};
use crate::http2::response::StreamSink;
use crate::http2::session::{IncomingStream, Session};
use crate::server::admission::admit_request;

/// Begins the exchange of a stream, or refuses its request.
pub(super) fn begin_stream(
    connection: &mut Connection,
    session: &mut Session,
    (request, mut respond): IncomingStream,
) {
    let shared = connection.shared.clone();
    if session.is_malformed(respond.stream_id().as_u32()) {
        return respond.send_reset(Reason::PROTOCOL_ERROR);
    }
    let (parts, body) = request.into_parts();
    let is_end_stream = body.is_end_stream();
    let mut message = shared.parsed_message.borrow_mut();
    message.start_head();
    let limits = shared.limits();
    shared.requests.set(shared.requests.get().saturating_add(1));
    let mut result =
        write_request_head(&parts, is_end_stream, &limits.parse_policy, &mut message.head);
    if result.is_ok() {
        let mut head = shared.ctx.scratch.parsed_head.borrow_mut();
        result = connection.guard.read_http2_head(&message.head, &mut head, &limits);
    }
    drop(message);
    if result.is_ok() && is_end_stream && answer_health_stream(&shared, session, &mut respond) {
        return;
    }
    let result = result.and_then(|()| {
        let mut head = shared.ctx.scratch.parsed_head.borrow_mut();
        check_http2_head(connection, &mut head, &parts, is_end_stream)
    });
    match result {
        Ok(()) => open_stream(connection, session, &parts, body, respond),
        Err(refusal) => refuse_stream(connection, session, respond, refusal, &parts.method),
    }
    if limits.settings.limit_requests_per_connection > 0
        && shared.requests.get() >= limits.settings.limit_requests_per_connection
    {
        session.drain();
    }
}

/// Adapts the head to HTTP/2 and checks whether there is room for the request.
fn check_http2_head(
    connection: &Connection,
    head: &mut RequestHead,
    parts: &Parts,
    is_end_stream: bool,
) -> Result<(), Refusal> {
    let (shared, ctx) = (&connection.shared, &connection.shared.ctx);
    let limits = shared.limits();
    if let Framing::Length(length) = head.framing
        && (is_end_stream
            || limits.settings.limit_request_body > 0
                && length > limits.settings.limit_request_body)
    {
        return Err(if is_end_stream { Refusal::BadContentLength } else { Refusal::BodyTooLarge });
    }
    if !is_end_stream && head.framing == Framing::None && !head.is_upgrade {
        // The field is `Content-Length: 0`, but the stream is still open.
        head.framing = Framing::Chunked;
    }
    let is_https = parts.uri.scheme_str() == Some("https");
    head.is_secure |= is_https && connection.guard.trusts_peer() && !connection.stream.is_secure();
    if !admit_request(ctx, ctx.tables.in_flight(), head) {
        return Err(Refusal::Overloaded);
    }
    Ok(())
}

fn open_stream(
    connection: &mut Connection,
    session: &mut Session,
    parts: &Parts,
    body: RecvStream,
    respond: SendResponse<CountedBytes>,
) {
    let shared = &connection.shared;
    let ctx = &shared.ctx;
    shared.emit_connection(&connection.stream);
    let (exchange, error_format) = {
        let (head, message) = (ctx.scratch.parsed_head.borrow(), shared.parsed_message.borrow());
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
    watch_stream(shared, &stream);
}

/// Sends an error response to a request that does not become an exchange.
fn refuse_stream(
    connection: &Connection,
    session: &Session,
    mut respond: SendResponse<CountedBytes>,
    refusal: Refusal,
    method: &Method,
) {
    let shared = &connection.shared;
    let mut partial = PartialRequest::parse_head(&shared.parsed_message.borrow().head);
    partial.is_head_request = method == Method::HEAD;
    partial.set_version(LOGGED_VERSION);
    let unsent = UnsentBytes::new(usize::MAX, session.streams.unsent.clone());
    let sent = send_refusal(shared.ctx.date().text(), (&mut respond, &unsent), refusal, &partial);
    shared.ctx.count_refusal(refusal);
    account_refused(shared, refusal, &partial, sent);
}

/// Answers the request that the guard has released if it is a health check. Returns whether it
/// is.
fn answer_health_stream(
    shared: &ConnectionState,
    session: &Session,
    respond: &mut SendResponse<CountedBytes>,
) -> bool {
    let Some(response) = health_response(shared) else { return false };
    let unsent = UnsentBytes::new(usize::MAX, session.streams.unsent.clone());
    let head = page_head(response.status, response.fields);
    let date = shared.ctx.date();
    let output = (respond, &unsent);
    send_page((&head, date.text()), response.body.into(), output, response.is_head_request);
    true
}

/// Version of HTTP/2 as access logs write it.
const LOGGED_VERSION: &[u8] = b"HTTP/2.0";

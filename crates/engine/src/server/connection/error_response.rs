//! Error responses to refused requests: who writes them, their bytes, and their access log lines.

use std::time::Duration;

use bytes::Bytes;

use super::ending::Ending;
use super::refusal_state::{RefusalState, RepeatedError};
use super::state::ConnectionState;
use super::table::TableEntry;
use super::{Connection, Phase, Turn};
use crate::bridge::ring::HeadFlags;
use crate::bridge::wire::head_flag::{CLOSE, CONNECTION, DATE, LENGTH};
use crate::buffers::sizes::READ_AHEAD;
use crate::exchange::ExchangeEnd;
use crate::exchange::request_head::{Framing, Span};
use crate::guard::{PartialRequest, Refusal};
use crate::http1::encoder;
use crate::log::access::{AccessEntry, RequestFields};
use crate::pressure::limits::{MAX_DRAIN, MAX_LINGER};
use crate::scoreboard::{FinishedRequest, SeriesKey, find_method, find_protocol};
use crate::server::context::Context;

/// Writes the bytes of the application's response to a refused request.
pub(crate) fn write_application_response(ctx: &Context, id: u32, bytes: &[u8], end: bool) {
    let connections = ctx.tables.connections.borrow();
    let shared = connections.find(id).and_then(TableEntry::serving);
    let Some(shared) =
        shared.filter(|shared| shared.refusal_state.get() == RefusalState::AwaitsApplication)
    else {
        return;
    };
    shared.write_queue.borrow_mut().append(|out| out.extend_from_slice(bytes));
    if end {
        shared.refusal_state.set(RefusalState::RespondedByApplication);
    }
    shared.queue_wake();
}

/// Whether the engine has written an error response to the connection and closes it. JavaScript
/// then destroys its socket, because the request will never be complete, but the client must still
/// be able to read the response.
pub(crate) fn is_refused_by_engine(ctx: &Context, id: u32) -> bool {
    let connections = ctx.tables.connections.borrow();
    let shared = connections.find(id).and_then(TableEntry::serving);
    shared.is_some_and(|shared| shared.refusal_state.get() == RefusalState::RespondedByEngine)
}

impl Connection {
    /// Refuses the request, or the connection if there is no request. The application writes the
    /// response if the server behaves like Node; otherwise the engine does.
    pub(crate) fn refuse(&mut self, refusal: Refusal) -> Turn {
        self.refuse_input(refusal, None)
    }

    /// Like [`Self::refuse`], for input that is not in the read buffer. JavaScript receives it.
    pub(crate) fn refuse_input(&mut self, refusal: Refusal, input: Option<&[u8]>) -> Turn {
        // A client that is sending a body reads the response only after it has sent the body.
        let in_body = refusal == Refusal::BodyTooLarge || self.guard.is_in_message();
        self.linger = if in_body { MAX_DRAIN } else { MAX_LINGER };
        // With Node's behavior, JavaScript decides: the application may listen to 'clientError'.
        let is_left_to_application = refusal.kind() > 0 && self.shared.limits().node_compatible;
        if is_left_to_application || self.shared.ctx.servers.reports_refusals(self.shared.server_id)
        {
            self.shared.emit_connection(&self.stream);
            let unread = input.unwrap_or_else(|| self.read_buffer.unread());
            emit_refusal(&self.shared, refusal.kind(), unread);
        }
        let fault = self
            .guard
            .take_partial_request()
            .unwrap_or_else(|| Box::new(self.parse_partial_request()));
        if is_left_to_application {
            self.shared.refusal_state.set(RefusalState::AwaitsApplication);
            self.shared.start_wait(self.shared.limits().settings.header_timeout);
            self.shared.set_deadline_at(self.shared.timer.wait_ends_at.get());
            self.phase = Phase::Refused(RepeatedError::new(refusal));
        } else if self.is_invalid_preface(refusal, &fault) {
            self.shared.refusal_state.set(RefusalState::ClosedSilently);
        }
        refuse_request(&self.shared, refusal, &fault);
        if is_left_to_application { Turn::Again } else { Turn::Flush }
    }

    /// Parses as much as possible of a request that another part than the guard refuses.
    fn parse_partial_request(&self) -> PartialRequest {
        if self.guard.is_awaiting_head() {
            return PartialRequest::parse_head(self.read_buffer.unread());
        }
        let exchange = self.shared.exchange.borrow();
        if exchange.as_ref().is_some_and(|exchange| exchange.body.framing != Framing::None) {
            return self.guard.partial_request_of_body();
        }
        // The guard has released the head, so it is complete.
        PartialRequest::parse_head(&self.shared.parsed_message.borrow().head)
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
}

/// Passes refused input to JavaScript, for the event 'clientError'.
pub(crate) fn emit_refusal(shared: &ConnectionState, kind: u8, input: &[u8]) {
    let packet = Bytes::copy_from_slice(&input[..input.len().min(READ_AHEAD)]);
    shared.ctx.outbox.emit(|batch| batch.push_refusal(shared.id, kind, packet));
}

/// Refuses a request: writes the error response, unless the application does. The connection
/// closes after the response.
pub(crate) fn refuse_request(shared: &ConnectionState, refusal: Refusal, fault: &PartialRequest) {
    shared.ctx.count_refusal(refusal);
    shared.ending.set(Ending::AfterResponse);
    match shared.exchange.borrow_mut().as_mut() {
        Some(exchange) => {
            exchange.refuse(status_of(shared, refusal), || write_refusal(shared, refusal, fault));
        }
        None => {
            let sent = write_refusal(shared, refusal, fault);
            account_refused(shared, refusal, fault, sent);
        }
    }
    shared.end_current_exchange(ExchangeEnd::Refused);
}

/// Writes the error response, if the engine writes one, and returns the length of its body.
fn write_refusal(shared: &ConnectionState, refusal: Refusal, fault: &PartialRequest) -> u64 {
    if matches!(
        shared.refusal_state.get(),
        RefusalState::AwaitsApplication | RefusalState::ClosedSilently
    ) {
        return 0;
    }
    shared.refusal_state.set(RefusalState::RespondedByEngine);
    if shared.limits().node_compatible {
        let status = status_of(shared, refusal);
        shared.write_queue.borrow_mut().append(|out| encoder::write_bare_refusal(out, status));
        return 0;
    }
    let (fields, body) = encoder::refusal_content(refusal, fault.format);
    let flags = HeadFlags::new(DATE | CONNECTION | LENGTH | CLOSE);
    let date = shared.ctx.date();
    let options = encoder::HeadOptions {
        closes: true,
        keepalive_secs: 0,
        date: date.text(),
        length: Some(body.len() as u64),
    };
    let body = if fault.is_head_request { "" } else { &body };
    shared.write_queue.borrow_mut().append(|out| {
        encoder::write_head(out, refusal.status(), None, fields.as_bytes(), flags, &options);
        out.extend_from_slice(body.as_bytes());
    });
    body.len() as u64
}

/// Returns the status code of a refusal, which is Node's if the server behaves like Node.
fn status_of(shared: &ConnectionState, refusal: Refusal) -> u16 {
    if shared.limits().node_compatible { refusal.status_on_node() } else { refusal.status() }
}

/// Counts a request that was refused before it became an exchange, and writes its access log
/// line from the parts that could be parsed. `sent` is the length of the response's body.
pub(crate) fn account_refused(
    shared: &ConnectionState,
    refusal: Refusal,
    fault: &PartialRequest,
    sent: u64,
) {
    let status = status_of(shared, refusal);
    let method = find_method(fault.method.of(&fault.bytes));
    let protocol = find_protocol(fault.version.of(&fault.bytes));
    let key = SeriesKey::new(method, status, protocol);
    shared.ctx.handoff.slot.request_started();
    shared.ctx.count_finished_request(&FinishedRequest {
        key,
        bytes_in: 0,
        bytes_out: sent,
        us: 0,
    });
    let mut access = shared.ctx.logs.access.borrow_mut();
    let Some(log) = access.as_mut() else { return };
    let part = |span: Span| if span.is_empty() { b"-" } else { span.of(&fault.bytes) };
    log.log(&AccessEntry {
        remote: shared.client.logged(),
        method: part(fault.method),
        target: part(fault.target),
        version: part(fault.version),
        status,
        body_bytes: sent,
        duration: Duration::ZERO,
        request_fields: RequestFields::Spans { head: &fault.bytes, fields: &fault.fields },
        response_fields: b"",
        pid: shared.ctx.logs.pid,
    });
}

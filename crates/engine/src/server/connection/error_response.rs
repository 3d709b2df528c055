//! Error responses to refused requests: who writes them, their bytes, and their access log lines.

use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::ending::Ending;
use super::{Connection, ConnectionState, Phase, TableEntry, Turn};
use crate::bridge::ring::HeadFlags;
use crate::bridge::wire::head_flag::{CLOSE, CONNECTION, DATE, LENGTH};
use crate::bridge::wire::refusal_kind;
use crate::buffers::sizes::READ_AHEAD;
use crate::exchange::ExchangeEnd;
use crate::exchange::request_head::Span;
use crate::guard::{PartialRequest, Refusal};
use crate::http1::encoder;
use crate::log::access::{AccessEntry, RequestFields};
use crate::scoreboard::layout::MetricCell;
use crate::scoreboard::{FinishedRequest, SeriesKey, find_method, find_protocol};
use crate::server::context::Context;

/// Who writes the response to a refused request, and how far that is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RefusalState {
    /// No request was refused.
    NotRefused,
    /// The engine has written the response and closes the connection.
    RespondedByEngine,
    /// The engine closes the connection without a response.
    ClosedSilently,
    /// The application will write the response, as in Node's `'clientError'` event.
    AwaitsApplication,
    /// The application has written the response.
    RespondedByApplication,
}

/// The error that Node's parser reports again for whatever follows refused input.
#[derive(Clone, Copy)]
pub(crate) struct RepeatedError {
    kind: u8,
    reports_left: u8,
}

impl RepeatedError {
    /// A timeout and the end of the input are no errors of the parser, so they are not repeated.
    pub(crate) fn new(refusal: Refusal) -> Self {
        let kind = refusal.kind();
        let is_repeated = kind != refusal_kind::TIMEOUT && kind != refusal_kind::TRUNCATED_HEAD;
        Self { kind, reports_left: if is_repeated { MAX_REPORTS } else { 0 } }
    }

    /// Reports the error for further input.
    fn report(&mut self, shared: &ConnectionState, input: &[u8]) {
        if self.reports_left > 0 {
            self.reports_left -= 1;
            shared.emit_refusal(self.kind, input);
        }
    }
}

/// Number of times that an error is reported again. Each report costs the application an event.
const MAX_REPORTS: u8 = 32;

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
    /// Takes a step while the application's response to a refused request is pending. Discards what
    /// the client still sends.
    pub(crate) fn await_application_response(&mut self, cx: &mut TaskContext<'_>) -> Turn {
        let shared = self.shared.clone();
        if matches!(self.send(cx), Poll::Ready(Err(_))) {
            return Turn::Close;
        }
        let is_timed_out = shared.timer.wait_ends_at.get() <= shared.ctx.clock.now_ms();
        if is_timed_out || shared.refusal_state.get() == RefusalState::RespondedByApplication {
            return Turn::Flush;
        }
        if self.linger > 0 && !self.has_input_ended {
            let mut scratch = shared.ctx.scratch.read.borrow_mut();
            match self.poll_read(cx, &mut scratch) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return Turn::Close,
                Poll::Ready(Ok(0)) => self.has_input_ended = true,
                Poll::Ready(Ok(count)) => {
                    self.linger = self.linger.saturating_sub(count);
                    if let Phase::Refused(error) = &mut self.phase {
                        error.report(&shared, &scratch[..count]);
                    }
                    return Turn::Again;
                }
            }
        }
        // After a half-close, Node closes its side too, once the application has had a turn.
        let may_close = self.has_input_ended && !shared.limits().half_open;
        if may_close && self.has_javascript_passed_end() { Turn::Flush } else { Turn::Wait }
    }
}

impl ConnectionState {
    /// Passes refused input to JavaScript, for the event 'clientError'.
    pub(crate) fn emit_refusal(&self, kind: u8, input: &[u8]) {
        let packet = Bytes::copy_from_slice(&input[..input.len().min(READ_AHEAD)]);
        self.ctx.outbox.emit(|batch| batch.push_refusal(self.id, kind, packet));
    }

    /// Refuses a request: writes the error response, unless the application does. The connection
    /// closes after the response.
    pub(crate) fn refuse(&self, refusal: Refusal, fault: &PartialRequest) {
        self.count_refusal(refusal);
        self.ending.set(Ending::AfterResponse);
        match self.exchange.borrow_mut().as_mut() {
            Some(exchange) => {
                exchange.refuse(self.status_of(refusal), || self.write_refusal(refusal, fault));
            }
            None => {
                let sent = self.write_refusal(refusal, fault);
                self.account_refused(refusal, fault, sent);
            }
        }
        self.end_current_exchange(ExchangeEnd::Refused);
    }

    /// Writes the error response, if the engine writes one, and returns the length of its body.
    fn write_refusal(&self, refusal: Refusal, fault: &PartialRequest) -> u64 {
        if matches!(
            self.refusal_state.get(),
            RefusalState::AwaitsApplication | RefusalState::ClosedSilently
        ) {
            return 0;
        }
        self.refusal_state.set(RefusalState::RespondedByEngine);
        if self.limits().node_compatible {
            let status = self.status_of(refusal);
            self.write_queue.borrow_mut().append(|out| encoder::write_bare_refusal(out, status));
            return 0;
        }
        let (fields, body) = encoder::refusal_content(refusal, fault.format);
        let flags = HeadFlags::new(DATE | CONNECTION | LENGTH | CLOSE);
        let date = self.ctx.date();
        let options = encoder::HeadOptions {
            closes: true,
            keepalive_secs: 0,
            date: date.text(),
            length: Some(body.len() as u64),
        };
        let body = if fault.is_head_request { "" } else { &body };
        self.write_queue.borrow_mut().append(|out| {
            encoder::write_head(out, refusal.status(), None, fields.as_bytes(), flags, &options);
            out.extend_from_slice(body.as_bytes());
        });
        body.len() as u64
    }

    /// Counts a refusal by its reason.
    pub(crate) fn count_refusal(&self, refusal: Refusal) {
        self.ctx.count(refusal_cell(refusal));
    }

    /// Returns the status code of a refusal, which is Node's if the server behaves like Node.
    fn status_of(&self, refusal: Refusal) -> u16 {
        if self.limits().node_compatible { refusal.status_on_node() } else { refusal.status() }
    }

    /// Counts a request that was refused before it became an exchange, and writes its access log
    /// line from the parts that could be parsed. `sent` is the length of the response's body.
    pub(crate) fn account_refused(&self, refusal: Refusal, fault: &PartialRequest, sent: u64) {
        let status = self.status_of(refusal);
        let method = find_method(fault.method.of(&fault.bytes));
        let protocol = find_protocol(fault.version.of(&fault.bytes));
        let key = SeriesKey::new(method, status, protocol);
        self.ctx.handoff.slot.request_started();
        self.ctx.count_finished_request(&FinishedRequest {
            key,
            bytes_in: 0,
            bytes_out: sent,
            us: 0,
        });
        let mut access = self.ctx.logs.access.borrow_mut();
        let Some(log) = access.as_mut() else { return };
        let part = |span: Span| if span.is_empty() { b"-" } else { span.of(&fault.bytes) };
        log.log(&AccessEntry {
            remote: Some(self.remote()).filter(|remote| !remote.is_empty()),
            method: part(fault.method),
            target: part(fault.target),
            version: part(fault.version),
            status,
            body_bytes: sent,
            duration: Duration::ZERO,
            request_fields: RequestFields::Spans { head: &fault.bytes, fields: &fault.fields },
            response_fields: b"",
            pid: self.ctx.logs.pid,
        });
    }
}

/// Returns the counter of a reason to refuse a request.
fn refusal_cell(refusal: Refusal) -> MetricCell {
    match refusal {
        Refusal::Overloaded => MetricCell::RejectedRequestsOverload,
        Refusal::HeadTimeout => MetricCell::RejectedRequestsHeadTimeout,
        Refusal::BodyTimeout => MetricCell::RejectedRequestsBodyTimeout,
        Refusal::ResponseTimeout => MetricCell::RejectedRequestsResponseTimeout,
        Refusal::DispatchTimeout => MetricCell::RejectedRequestsDispatchTimeout,
        Refusal::FieldTooLarge | Refusal::TooManyFields | Refusal::UriTooLong => {
            MetricCell::RejectedRequestsHeadLimit
        }
        Refusal::BodyTooLarge => MetricCell::RejectedRequestsBodyLimit,
        Refusal::ProxyProtocolForbidden => MetricCell::RejectedRequestsForbidden,
        _ => MetricCell::RejectedRequestsMalformed,
    }
}

//! One request and its response, independent of the HTTP version: a state machine without sockets,
//! which is given the time. HTTP/1 and HTTP/2 carry what it decides (`server/connection/`,
//! `http2/`). Times are milliseconds of the context's clock.

pub(crate) mod deadlines;
pub(crate) mod log_info;
pub(crate) mod min_rate;
pub(crate) mod request_body;
pub mod request_head;
pub(crate) mod request_label;
pub(crate) mod response;
pub(crate) mod response_sink;
pub(crate) mod tunnel;
pub(crate) mod websocket;

use std::time::Instant;

use bytes::Bytes;

use self::log_info::LogInfo;
use self::request_body::{Received, RequestBody};
use self::request_head::{RequestHead, SavedHead};
use self::request_label::RequestLabel;
use self::response::{Response, ResponseFraming};
use self::tunnel::{Tunnel, TunnelWrite, Upgrade};
use crate::pressure::limits::Limits;

/// One request and its response, from the request head to the end of both.
pub(crate) struct Exchange {
    /// Id of the exchange in the table of exchanges, in events and in records of the ring.
    pub(crate) id: u32,
    /// When the request head was complete.
    pub(crate) started: Instant,
    /// The same in milliseconds.
    started_ms: u64,
    /// Number of the method, for the metrics.
    pub(crate) method: u8,
    /// Number of the protocol version, for the metrics.
    pub(crate) protocol: u8,
    /// Method and path of the request, for reports about requests in flight.
    pub(crate) label: RequestLabel,
    /// Whether the request allows the connection to persist (RFC 9112 section 9.3).
    pub(crate) allows_keep_alive: bool,
    /// Whether the client understands 1xx responses. HTTP/1.0 clients do not (RFC 9110 section
    /// 15.2).
    accepts_interim: bool,
    /// Whether the response may name a new session that this worker then owns.
    pub(crate) may_create_session: bool,
    /// Whether the request has been emitted to JavaScript.
    pub(crate) is_dispatched: bool,
    /// Copy of the request head, made if the request is dispatched in a later turn.
    pub(crate) saved_head: Option<Box<SavedHead>>,
    pub(crate) body: RequestBody,
    pub(crate) response: Response,
    pub(crate) upgrade: Upgrade,
    /// Data for the access log line; `None` if there is no access log.
    pub(crate) log_info: Option<Box<LogInfo>>,
    /// Why the exchange has ended; `None` while it is in flight.
    end: Option<ExchangeEnd>,
}

/// What [`Exchange::new`] needs besides the request head.
pub(crate) struct ExchangeStart {
    pub now: Instant,
    pub now_ms: u64,
    pub method: u8,
    pub protocol: u8,
    /// Number of request body bytes that JavaScript accepts at first.
    pub credit: usize,
    /// Whether requests may wait for their bodies before they are dispatched.
    pub may_buffer: bool,
    pub may_create_session: bool,
    pub log_info: Option<Box<LogInfo>>,
}

/// Why an exchange has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExchangeEnd {
    /// Request and response are complete.
    Complete,
    /// The engine has answered instead of the application, or could no longer answer.
    Refused,
    /// The connection is closed, or the client has reset the stream.
    ClientGone,
    /// The connection closes after the response, and the rest of the request body is not wanted.
    Closing,
    /// A deadline has passed after the response was complete: of the rest of the request body, or
    /// of a tunnel's close.
    TimedOut,
    /// The engine has reset the stream, for the application or to get rid of a slow client.
    Reset,
}

/// What is left to do at the end of an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ended {
    /// Whether JavaScript must be notified, because it waits for something that does not come.
    pub is_awaited: bool,
    /// Whether the exchange has a line in the access log: it has a response head.
    pub is_logged: bool,
}

/// How the application has completed its response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Completion {
    /// The response was complete already.
    Repeated,
    /// The response is complete.
    Response,
    /// The application has ended its side of a tunnel.
    Tunnel,
    /// The response has no head, so it cannot be completed.
    Headless,
}

impl Exchange {
    /// Creates the exchange of a new request. The spans of `head` are ranges of `bytes`.
    pub fn new(head: &RequestHead, bytes: &[u8], start: ExchangeStart) -> Self {
        Self {
            id: 0,
            started: start.now,
            started_ms: start.now_ms,
            method: start.method,
            protocol: start.protocol,
            label: RequestLabel::new(head, bytes),
            allows_keep_alive: head.allows_keep_alive,
            accepts_interim: head.minor_version == 1,
            may_create_session: start.may_create_session,
            is_dispatched: false,
            saved_head: None,
            body: RequestBody::new(head, start.credit, start.may_buffer),
            response: Response::default(),
            upgrade: if head.is_upgrade { Upgrade::Undecided { ahead: 0 } } else { Upgrade::None },
            log_info: start.log_info,
            end: None,
        }
    }

    /// Takes bytes of the client that have arrived. While JavaScript reads the body, each chunk
    /// restarts the timer for the rest of it.
    pub fn receive(&mut self, data: Bytes, now: u64, limits: &Limits) -> Received {
        let received = self.body.receive(data, self.is_dispatched, limits.max_discarded);
        if !self.body.is_discarded {
            self.start_discard_timer(now, limits);
        }
        received
    }

    /// Records a 1xx response. After 100 (Continue), the client no longer waits to send its body.
    /// Returns whether the response may be sent.
    pub fn begin_interim(&mut self, status: u16) -> bool {
        self.body.awaits_continue &= status != CONTINUE;
        !self.response.is_head_sent && self.accepts_interim
    }

    /// Begins the final response. Returns false if it has begun already.
    pub fn begin_response(&mut self, status: u16, framing: ResponseFraming) -> bool {
        self.body.awaits_continue = false;
        self.response.begin(status, framing)
    }

    /// Adds field lines of the response to the data for the access log.
    pub fn log_response_fields(&mut self, fields: &[u8]) {
        if let Some(log) = &mut self.log_info {
            log.response_fields.extend_from_slice(fields);
        }
    }

    /// Completes the response. With `discard`, the rest of the request body is dropped.
    pub fn complete(&mut self, discard: bool, now: u64, limits: &Limits) -> Completion {
        if std::mem::replace(&mut self.response.is_complete, true) {
            return Completion::Repeated;
        }
        let completion = if self.is_tunnel() {
            Completion::Tunnel
        } else {
            self.upgrade = Upgrade::None;
            self.body.is_discarded = discard;
            if self.response.is_head_sent { Completion::Response } else { Completion::Headless }
        };
        self.start_discard_timer(now, limits);
        completion
    }

    /// Records an error response of the engine with `sent` bytes of content. Returns false if a
    /// response has begun, so that no other may follow.
    pub fn refuse(&mut self, status: u16, sent: impl FnOnce() -> u64) -> bool {
        if self.response.is_head_sent {
            return false;
        }
        self.response.begin(status, ResponseFraming::default());
        self.response.sent_bytes = sent();
        true
    }

    /// Decides about an upgrade. `taken` means that the application takes over, `has_input` that
    /// the client may still send. Returns whether the exchange has become a tunnel.
    pub fn decide_upgrade(&mut self, taken: bool, has_input: bool, is_draining: bool) -> bool {
        let Upgrade::Undecided { ahead } = self.upgrade else { return false };
        if !taken {
            self.upgrade = Upgrade::None;
            return false;
        }
        // As in Node, a body of the request is part of the bytes after the head. JavaScript gets
        // their end as an event of its own.
        self.body.is_done = !has_input;
        self.body.is_end_emitted = false;
        self.upgrade = Upgrade::Tunnel(Box::new(Tunnel::new(ahead, is_draining)));
        true
    }

    /// Takes bytes that the application writes into its tunnel at `now`.
    pub fn write_tunnel(&mut self, bytes: &[u8], now: Instant) -> TunnelWrite {
        let Upgrade::Tunnel(tunnel) = &mut self.upgrade else { return TunnelWrite::default() };
        if self.response.is_complete {
            return TunnelWrite::default();
        }
        let write = tunnel.write(bytes, now.duration_since(self.started));
        if let Some(head) = &write.head {
            self.response.status = head.status;
            self.response.is_head_sent = true;
            self.log_response_fields(head.fields());
        }
        self.response.sent_bytes += write.len as u64;
        write
    }

    /// Begins or continues the drain of its tunnel at `now`.
    pub fn drain_tunnel(&mut self, now: Instant) -> TunnelWrite {
        let Upgrade::Tunnel(tunnel) = &mut self.upgrade else { return TunnelWrite::default() };
        tunnel.drain(now.duration_since(self.started))
    }

    /// Returns the state of the tunnel, if the exchange has become one.
    pub fn tunnel_mut(&mut self) -> Option<&mut Tunnel> {
        match &mut self.upgrade {
            Upgrade::Tunnel(tunnel) => Some(tunnel),
            Upgrade::None | Upgrade::Undecided { .. } => None,
        }
    }

    /// Whether the application has taken over the exchange, which is then a tunnel.
    pub fn is_tunnel(&self) -> bool {
        matches!(self.upgrade, Upgrade::Tunnel(_))
    }

    /// Whether JavaScript has yet to decide about an upgrade.
    pub fn is_upgrade_undecided(&self) -> bool {
        matches!(self.upgrade, Upgrade::Undecided { .. })
    }

    /// Returns the label and start time of the request while its response is incomplete.
    pub fn in_flight(&self) -> Option<(RequestLabel, Instant)> {
        (!self.response.is_complete).then_some((self.label, self.started))
    }

    /// Whether both sides of the exchange are complete and nothing waits for a notification.
    pub fn is_finished(&self) -> bool {
        self.response.is_complete && self.body.is_done && !self.response.notifies_when_sent
    }

    /// Takes the wish of JavaScript to be notified when all bytes have been sent.
    pub fn take_notification(&mut self) -> bool {
        std::mem::take(&mut self.response.notifies_when_sent)
    }

    /// Ends the exchange. Returns what is left to do, or `None` if it has ended before.
    pub fn end(&mut self, end: ExchangeEnd) -> Option<Ended> {
        if self.end.is_some() {
            return None;
        }
        self.end = Some(end);
        Some(Ended {
            is_awaited: self.is_dispatched && !self.is_finished(),
            is_logged: self.response.is_head_sent,
        })
    }
}

/// Status code 100 (Continue).
const CONTINUE: u16 = 100;

#[cfg(test)]
mod tests;

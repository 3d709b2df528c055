//! An exchange: one request and its response. HTTP/1 and HTTP/2 share this state; what only a
//! stream needs is in `http2/exchange.rs`.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::ConnectionState;
use super::tunnel::Tunnel;
use crate::buffers::sizes::MIN_BODY_CREDIT;
use crate::exchange::min_rate::MinRate;
use crate::exchange::request_head::{Framing, RequestHead, SavedHead, Span};
use crate::exchange::request_label::RequestLabel;
use crate::scoreboard::{find_method, find_protocol};
use crate::server::context::Context;

/// One request and its response, from the request head to the end of both.
pub(crate) struct Exchange {
    /// Id of the exchange in [`Context::exchanges`], in events and in records of the ring.
    pub(crate) id: u32,
    /// Whether the request allows the connection to persist (RFC 9112 section 9.3).
    pub(crate) allows_keep_alive: bool,
    /// When the request head was complete.
    pub(crate) started: Instant,
    /// Number of the method, for the metrics.
    pub(crate) method: u8,
    /// Number of the protocol version, for the metrics.
    pub(crate) protocol: u8,
    /// Method and path of the request, for reports about requests in flight.
    pub(crate) label: RequestLabel,
    /// Whether the request has been emitted to JavaScript.
    pub(crate) is_dispatched: bool,
    /// Body chunks received before the request is dispatched.
    pub(crate) buffered_chunks: Vec<Bytes>,
    /// Number of bytes in `buffered_chunks`. The request is dispatched at `request_buffer_size`.
    pub(crate) buffered_len: usize,
    /// Whether the request may wait for its body before it is dispatched, for up to
    /// `request_buffer_time`.
    pub(crate) is_body_bufferable: bool,
    /// Copy of the request head, made if the request is dispatched in a later turn.
    pub(crate) saved_head: Option<Box<SavedHead>>,
    /// Whether the rest of the request body is read straight into the memory that JavaScript
    /// receives, past the guard.
    pub(crate) reads_directly: bool,
    /// Whether the last direct read filled its buffer. The next buffer is larger then, because the
    /// client sends fast.
    pub(crate) last_read_filled: bool,
    /// Number of request body bytes that JavaScript accepts before it grants more.
    pub(crate) credit: usize,
    /// Number of request body bytes received so far.
    pub(crate) body_bytes: u64,
    /// Whether the client waits for 100 (Continue) before it sends the body (RFC 9110 section
    /// 10.1.1).
    pub(crate) awaits_continue: bool,
    /// Whether no more of the request body is read: it is complete, or the rest is not wanted.
    pub(crate) is_body_done: bool,
    /// Whether the end of the request body has been emitted to JavaScript.
    pub(crate) is_end_emitted: bool,
    /// Whether the rest of the request body is read and dropped.
    pub(crate) discards_body: bool,
    /// Number of request body bytes dropped so far; `Limits::max_discarded` bounds it.
    pub(crate) discarded: u64,
    /// When the rest of the request body must have arrived after the response is complete, in
    /// milliseconds of the context's clock; `u64::MAX` before that.
    pub(crate) discard_until: u64,
    /// Framing of the request body: none, a length, or chunked.
    pub(crate) framing: Framing,
    /// Whether the client understands 1xx responses. HTTP/1.0 clients do not (RFC 9110 section
    /// 15.2).
    pub(crate) accepts_interim: bool,
    /// Status code of the response; 0 before the response head.
    pub(crate) status: u16,
    /// Whether the response head has been written to the write queue.
    pub(crate) is_head_sent: bool,
    /// Whether the response has the chunked transfer coding (RFC 9112 section 7.1).
    pub(crate) is_chunked: bool,
    /// Whether the response must not have content, as for HEAD and 304 (RFC 9110 section 6.4.1).
    pub(crate) has_no_body: bool,
    /// Trailer field lines to send after a chunked response.
    pub(crate) trailers: Vec<u8>,
    /// Number of response body bytes written so far.
    pub(crate) sent_bytes: u64,
    /// Whether JavaScript has written the whole response.
    pub(crate) is_response_complete: bool,
    /// Whether JavaScript waits for the event that all written bytes have been sent.
    pub(crate) notifies_when_sent: bool,
    /// Whether the request is an upgrade or CONNECT that JavaScript has not yet accepted or
    /// declined.
    pub(crate) is_upgrade_undecided: bool,
    /// Number of bytes after an upgrade request's head that were emitted with the request.
    pub(crate) ahead: usize,
    /// State of the tunnel; `None` until JavaScript takes over the connection.
    pub(crate) tunnel: Option<Box<Tunnel>>,
    /// Whether the response may name a new session that this worker then owns.
    pub(crate) may_create_session: bool,
    /// Data for the access log line; `None` if there is no access log.
    pub(crate) log_info: Option<Box<LogInfo>>,
}

/// Data that an exchange keeps for its access log line.
#[derive(Default)]
pub(crate) struct LogInfo {
    /// Bytes of the request head; the spans below are ranges of them.
    pub(crate) head: Vec<u8>,
    /// Request method.
    pub(crate) method: Span,
    /// Request target.
    pub(crate) target: Span,
    /// Protocol version of the request, such as `HTTP/1.1`.
    pub(crate) version: &'static [u8],
    /// Names and values of the request header fields.
    pub(crate) fields: Vec<(Span, Span)>,
    /// Client address that a trusted proxy forwarded with this request.
    pub(crate) client: Option<SocketAddr>,
    /// Header field lines of the response.
    pub(crate) response_fields: Vec<u8>,
}

impl LogInfo {
    /// Copies the data of a new request into the buffers, which may be reused ones.
    fn begin(&mut self, head: &RequestHead, bytes: &[u8], version: &'static [u8]) {
        self.head.clear();
        self.head.extend_from_slice(&bytes[..head.len]);
        self.fields.clone_from(&head.fields);
        self.response_fields.clear();
        (self.method, self.target, self.client) = (head.method, head.target, head.client_addr);
        self.version = version;
    }

    /// Keeps the buffers for another exchange, unless they are larger than
    /// [`MAX_SPARE_LOG_INFO_BYTES`].
    pub(crate) fn recycle(self: Box<Self>, ctx: &Context) {
        let mut spare = ctx.scratch.log_info.borrow_mut();
        let bytes = self.head.capacity() + self.response_fields.capacity();
        if spare.len() < MAX_SPARE_LOG_INFOS && bytes <= MAX_SPARE_LOG_INFO_BYTES {
            spare.push(self);
        }
    }
}

impl Exchange {
    /// Creates the exchange of a new request. The spans of `head` are ranges of `bytes`; `version`
    /// is the protocol version for the access log.
    pub(crate) fn new(
        ctx: &Context,
        id: u32,
        head: &RequestHead,
        bytes: &[u8],
        version: &'static [u8],
    ) -> Self {
        let has_body = head.framing != Framing::None;
        let log_info = ctx.logs.access.borrow().as_ref().map(|_| {
            let mut info = ctx.scratch.log_info.borrow_mut().pop().unwrap_or_default();
            info.begin(head, bytes, version);
            info
        });
        Self {
            id,
            allows_keep_alive: head.allows_keep_alive,
            started: ctx.clock.now(),
            method: find_method(head.method.of(bytes)),
            protocol: find_protocol(version),
            label: RequestLabel::new(head, bytes),
            is_dispatched: false,
            buffered_chunks: Vec::new(),
            buffered_len: 0,
            // A client with `Expect` or `Upgrade` waits for JavaScript before it sends more.
            is_body_bufferable: has_body
                && !head.has_expect
                && !head.is_upgrade
                && !ctx.limits.settings.request_buffer_time.is_zero(),
            saved_head: None,
            reads_directly: false,
            last_read_filled: false,
            // Many tunnels last for hours, so each gets the minimum.
            credit: if head.is_upgrade {
                MIN_BODY_CREDIT
            } else {
                ctx.max_body_credit().max(ctx.limits.settings.request_buffer_size)
            },
            body_bytes: 0,
            awaits_continue: head.has_expect,
            is_body_done: !has_body,
            is_end_emitted: false,
            discards_body: false,
            discarded: 0,
            discard_until: u64::MAX,
            framing: head.framing,
            accepts_interim: head.minor_version == 1,
            status: 0,
            is_head_sent: false,
            is_chunked: false,
            has_no_body: false,
            trailers: Vec::new(),
            sent_bytes: 0,
            is_response_complete: false,
            notifies_when_sent: false,
            is_upgrade_undecided: head.is_upgrade,
            ahead: 0,
            tunnel: None,
            may_create_session: ctx
                .affinity
                .as_ref()
                .is_some_and(|affinity| affinity.may_create_session(head, bytes)),
            log_info,
        }
    }

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

    /// Records a 1xx response. After 100 (Continue), the client no longer waits to send its body.
    pub(crate) fn record_interim(&mut self, status: u16) {
        self.awaits_continue &= status != CONTINUE;
    }

    /// Whether the client must send its body now. It need not while it waits for 100 (Continue);
    /// see RFC 9110 section 10.1.1.
    pub(crate) fn owes_body(&self) -> bool {
        !self.awaits_continue || self.body_bytes > 0
    }

    /// Starts the timer for the rest of the request body once the response is complete. While
    /// JavaScript reads the body, each chunk restarts the timer, so that a reader that has stopped
    /// keeps no connection open. An accepted tunnel has no such timer: it may stay half-open.
    pub(crate) fn start_discard_timer(&mut self, shared: &ConnectionState) {
        let may_stay_half_open =
            self.tunnel.as_ref().is_some_and(|tunnel| !tunnel.is_refusal(self.status));
        if !self.is_response_complete || self.is_body_done || may_stay_half_open {
            return;
        }
        let limits = shared.limits();
        let idle = limits.settings.keepalive + limits.keepalive_grace;
        let time =
            if self.discards_body { limits.discard_time } else { limits.discard_time.min(idle) };
        self.discard_until = shared.ctx.clock.deadline(time);
    }

    /// Returns when the rest of the request body must have arrived after the response is complete;
    /// `u64::MAX` if the body is complete.
    pub(crate) fn discard_deadline(&self) -> u64 {
        if self.is_body_done { u64::MAX } else { self.discard_until }
    }

    /// Returns when the response head is due, in milliseconds of the context's clock:
    /// `request_timeout` after the head, or after the last body byte if that is later. `u64::MAX`
    /// without a timeout.
    pub(crate) fn response_deadline(&self, shared: &ConnectionState, input: MinRate) -> u64 {
        let limit = shared.limits().settings.request_timeout.as_millis() as u64;
        if limit == 0 || self.is_head_sent {
            return u64::MAX;
        }
        shared.ctx.clock.to_ms(self.started).max(input.last_moved_at()) + limit
    }

    /// Returns the label and start time of the request while its response is incomplete.
    pub(crate) fn in_flight(&self) -> Option<(RequestLabel, Instant)> {
        (!self.is_response_complete).then_some((self.label, self.started))
    }

    /// Whether both sides of the exchange are complete and nothing waits for a notification.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_response_complete && self.is_body_done && !self.notifies_when_sent
    }
}

/// Status code 100 (Continue).
const CONTINUE: u16 = 100;
/// Maximum number of [`LogInfo`] values that a thread keeps for reuse.
const MAX_SPARE_LOG_INFOS: usize = 64;
/// Maximum buffer size of a [`LogInfo`] value that is kept for reuse.
const MAX_SPARE_LOG_INFO_BYTES: usize = 4_096;

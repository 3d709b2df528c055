//! The current exchange of a connection: one request and its response.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::ConnectionState;
use super::body_buffering::SavedHead;
use super::min_rate::MinRate;
use super::tunnel::Tunnel;
use crate::bridge::in_flight::RequestLabel;
use crate::exchange::request_head::{Framing, RequestHead, Span};
use crate::pressure::limits::MIN_BODY_CREDIT;
use crate::server::context::Context;

/// One request and its response, from the request head to the end of both.
pub(crate) struct Exchange {
    /// Id under which JavaScript knows the exchange.
    pub(crate) id: u32,
    /// Whether the request allows the connection to stay open.
    pub(crate) allows_keep_alive: bool,
    /// When the head was complete.
    pub(crate) started: Instant,
    /// Method and path of the request, for reports of requests in flight.
    pub(crate) label: RequestLabel,
    /// Whether JavaScript has received the request.
    pub(crate) is_dispatched: bool,
    /// Body chunks that are buffered until the request is dispatched.
    pub(crate) buffered_chunks: Vec<Bytes>,
    /// Bytes of `buffered_chunks`.
    pub(crate) buffered_len: usize,
    /// Whether the request may wait for its body before it is dispatched.
    pub(crate) is_body_bufferable: bool,
    /// A copy of the head, if the request is not dispatched in the turn that read it.
    pub(crate) saved_head: Option<Box<SavedHead>>,
    /// Whether the rest of the body is read without passing through the guard.
    pub(crate) reads_directly: bool,
    /// Whether the last direct read filled its buffer; the next buffer is larger then.
    pub(crate) last_read_filled: bool,
    /// Body bytes that JavaScript still accepts.
    pub(crate) credit: usize,
    /// Body bytes received so far.
    pub(crate) body_bytes: u64,
    /// Whether the client waits for 100 Continue before it sends the body.
    pub(crate) awaits_continue: bool,
    /// Whether the request body is complete or given up.
    pub(crate) is_body_done: bool,
    /// Whether JavaScript has received the end of the body.
    pub(crate) is_end_emitted: bool,
    /// Whether the rest of the body is read and dropped.
    pub(crate) discards_body: bool,
    /// Body bytes dropped so far.
    pub(crate) discarded: u64,
    /// When the rest of a discarded body must have arrived; see [`Self::discard_deadline`].
    pub(crate) discard_until: u64,
    /// How the request body is framed.
    pub(crate) framing: Framing,
    /// Whether the client understands 1xx responses; HTTP/1.0 clients do not.
    pub(crate) accepts_interim: bool,
    /// Status code of the response; 0 before its head.
    pub(crate) status: u16,
    /// Whether the response head is in the write queue.
    pub(crate) is_head_sent: bool,
    /// Whether the response has chunked framing.
    pub(crate) is_chunked: bool,
    /// Whether the response must not have a body, as for HEAD and 304.
    pub(crate) has_no_body: bool,
    /// Trailer lines of a chunked response.
    pub(crate) trailers: Vec<u8>,
    /// Body bytes of the response so far.
    pub(crate) sent_bytes: u64,
    /// Whether JavaScript has completed the response.
    pub(crate) is_response_complete: bool,
    /// Whether JavaScript waits for the event that everything is sent.
    pub(crate) notifies_when_sent: bool,
    /// Whether the request is an upgrade that JavaScript has neither accepted nor declined yet.
    pub(crate) is_upgrade_undecided: bool,
    /// Bytes after the head that JavaScript has received with the request.
    pub(crate) ahead: usize,
    /// The tunnel, once JavaScript has taken over the connection.
    pub(crate) tunnel: Option<Box<Tunnel>>,
    /// Data for the access log; `None` without one.
    pub(crate) log_info: Option<Box<LogInfo>>,
}

/// Data for the access log line at the end of the exchange.
#[derive(Default)]
pub(crate) struct LogInfo {
    pub(crate) head: Vec<u8>,
    pub(crate) method: Span,
    pub(crate) target: Span,
    /// Protocol version, such as `HTTP/1.1`.
    pub(crate) version: &'static [u8],
    pub(crate) fields: Vec<(Span, Span)>,
    /// Client address that a trusted proxy forwarded for this request.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) response_fields: Vec<u8>,
}

impl LogInfo {
    /// Copies the data of a new request; the buffers may be reused ones.
    fn begin(&mut self, head: &RequestHead, bytes: &[u8], version: &'static [u8]) {
        self.head.clear();
        self.head.extend_from_slice(&bytes[..head.len]);
        self.fields.clone_from(&head.fields);
        self.response_fields.clear();
        (self.method, self.target, self.client) = (head.method, head.target, head.client_addr);
        self.version = version;
    }

    /// Returns the buffers to the pool, unless they are larger than most requests need.
    pub(crate) fn recycle(self: Box<Self>, ctx: &Context) {
        let mut spare = ctx.spare_log_info.borrow_mut();
        let bytes = self.head.capacity() + self.response_fields.capacity();
        if spare.len() < MAX_SPARE_LOG_INFOS && bytes <= MAX_SPARE_LOG_INFO_BYTES {
            spare.push(self);
        }
    }
}

impl Exchange {
    /// Creates the exchange of a new request. The spans of `head` are ranges of `bytes`.
    pub(crate) fn new(
        ctx: &Context,
        id: u32,
        head: &RequestHead,
        bytes: &[u8],
        version: &'static [u8],
    ) -> Self {
        let has_body = head.framing != Framing::None;
        let log_info = ctx.access_log.borrow().as_ref().map(|_| {
            let mut info = ctx.spare_log_info.borrow_mut().pop().unwrap_or_default();
            info.begin(head, bytes, version);
            info
        });
        Self {
            id,
            allows_keep_alive: head.allows_keep_alive,
            started: ctx.now(),
            label: RequestLabel::new(head, bytes),
            is_dispatched: false,
            buffered_chunks: Vec::new(),
            buffered_len: 0,
            // Such a client waits for JavaScript before it sends the body or changes the protocol.
            is_body_bufferable: has_body
                && !head.has_expect
                && !head.is_upgrade
                && !ctx.limits.settings.request_buffer_time.is_zero(),
            saved_head: None,
            reads_directly: false,
            last_read_filled: false,
            // Tunnels last for hours, on many connections: each gets the minimum.
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
            log_info,
        }
    }

    /// Withdraws the request if JavaScript has not taken it yet; returns whether it did.
    pub(crate) fn withdraw(&mut self, ctx: &Context) -> bool {
        if !self.is_dispatched {
            return false;
        }
        let withdrawn = ctx.batch.borrow_mut().withdraw(self.id) || ctx.handoff.withdraw(self.id);
        // JavaScript is not notified of the end of a withdrawn request.
        self.is_dispatched = !withdrawn;
        withdrawn
    }

    /// Records a 1xx response; 100 Continue satisfies the expectation.
    pub(crate) fn record_interim(&mut self, status: u16) {
        self.awaits_continue &= status != CONTINUE;
    }

    /// Whether the client must send its body now: not while it waits for 100 Continue (RFC 9110
    /// section 10.1.1).
    pub(crate) fn owes_body(&self) -> bool {
        !self.awaits_continue || self.body_bytes > 0
    }

    /// Starts the timer of the rest of the request body after the response is complete. If the body
    /// is read, the timer restarts with each chunk: a connection must not stay open for a reader
    /// that has stopped. A tunnel may stay half-open.
    pub(crate) fn start_discard_timer(&mut self, shared: &ConnectionState) {
        let goes_on = self.tunnel.as_ref().is_some_and(|tunnel| !tunnel.is_refusal(self.status));
        if !self.is_response_complete || self.is_body_done || goes_on {
            return;
        }
        let limits = shared.limits();
        let idle = limits.settings.keepalive + limits.keepalive_grace;
        let time =
            if self.discards_body { limits.discard_time } else { limits.discard_time.min(idle) };
        self.discard_until = shared.ctx.deadline(time);
    }

    /// When the rest of the body must have arrived after the response is complete.
    pub(crate) fn discard_deadline(&self) -> u64 {
        if self.is_body_done { u64::MAX } else { self.discard_until }
    }

    /// When the response head is due: `request_timeout` after the last byte of the request, or
    /// after the last byte that JavaScript granted credit for.
    pub(crate) fn response_deadline(&self, shared: &ConnectionState, input: MinRate) -> u64 {
        let limit = shared.limits().settings.request_timeout.as_millis() as u64;
        if limit == 0 || self.is_head_sent {
            return u64::MAX;
        }
        shared.ctx.to_clock_ms(self.started).max(input.last_moved_at()) + limit
    }

    /// Label and start time of the request while it has no complete response.
    pub(crate) fn in_flight(&self) -> Option<(RequestLabel, Instant)> {
        (!self.is_response_complete).then_some((self.label, self.started))
    }

    /// Whether both sides of the exchange are complete and nothing waits for a notification.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_response_complete && self.is_body_done && !self.notifies_when_sent
    }
}

/// The status code of 100 Continue.
const CONTINUE: u16 = 100;
/// Maximum number of [`LogInfo`] values kept for reuse.
const MAX_SPARE_LOG_INFOS: usize = 64;
/// Maximum bytes of a [`LogInfo`] value that is kept.
const MAX_SPARE_LOG_INFO_BYTES: usize = 4_096;

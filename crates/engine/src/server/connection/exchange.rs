//! The exchange in hand of a connection.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::ConnectionState;
use super::body_buffering::KeptHead;
use super::min_rate::MinRate;
use super::tunnel::Tunnel;
use crate::bridge::in_flight::RequestLabel;
use crate::exchange::request_head::{Framing, RequestHead, Span};
use crate::pressure::limits::MIN_BODY_CREDIT;
use crate::server::context::Context;

/// One request and its answer, from its head to the end of both.
pub(crate) struct Exchange {
    pub(crate) id: u32,
    pub(crate) keep_alive: bool,
    pub(crate) started: Instant,
    /// Its beginning, for whoever asks what is in hand.
    pub(crate) label: RequestLabel,
    /// The request has crossed to JavaScript.
    pub(crate) is_dispatched: bool,
    /// Body pieces that wait for the rest, to cross whole.
    pub(crate) buffered_chunks: Vec<Bytes>,
    pub(crate) buffered_len: usize,
    /// The request may wait for its body before it crosses.
    pub(crate) may_buffer_body: bool,
    /// The head, where it has waited.
    pub(crate) kept_head: Option<Box<KeptHead>>,
    /// What is left of its body is read past the guard.
    pub(crate) reads_directly: bool,
    /// Its last piece was full: the next one may be wide.
    pub(crate) last_read_filled: bool,
    pub(crate) credit: usize,
    pub(crate) body_bytes: u64,
    /// The client waits for the word to send its body.
    pub(crate) awaits_continue: bool,
    pub(crate) body_done: bool,
    /// JavaScript knows that the body is complete.
    pub(crate) end_emitted: bool,
    pub(crate) discards_body: bool,
    pub(crate) discarded: u64,
    /// See [`Self::discard_deadline`].
    pub(crate) discard_until: u64,
    /// What the framing says of the body's length.
    pub(crate) framing: Framing,
    /// The client understands interim answers.
    pub(crate) accepts_interim: bool,
    pub(crate) status: u16,
    pub(crate) head_sent: bool,
    pub(crate) chunked: bool,
    pub(crate) no_body: bool,
    pub(crate) trailers: Vec<u8>,
    pub(crate) sent_bytes: u64,
    pub(crate) response_complete: bool,
    /// JavaScript wants to know when everything is sent.
    pub(crate) notifies_when_sent: bool,
    /// The request asks for an upgrade, and JavaScript has not said yet whether it takes the connection over.
    pub(crate) upgrade_undecided: bool,
    /// Bytes behind the head that JavaScript has seen already.
    pub(crate) ahead: usize,
    /// JavaScript has taken the connection over.
    pub(crate) tunnel: Option<Box<Tunnel>>,
    pub(crate) log_info: Option<Box<LogInfo>>,
}

/// What the access log needs at the end of an exchange.
#[derive(Default)]
pub(crate) struct LogInfo {
    pub(crate) head: Vec<u8>,
    pub(crate) method: Span,
    pub(crate) target: Span,
    /// Such as `HTTP/1.1`.
    pub(crate) version: &'static [u8],
    pub(crate) fields: Vec<(Span, Span)>,
    /// As a trusted proxy told it for this request.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) response_fields: Vec<u8>,
}

impl LogInfo {
    /// Takes over what is known of a request that begins; its memory may have served another.
    fn begin(&mut self, head: &RequestHead, bytes: &[u8], version: &'static [u8]) {
        self.head.clear();
        self.head.extend_from_slice(&bytes[..head.len]);
        self.fields.clone_from(&head.fields);
        self.response_fields.clear();
        (self.method, self.target, self.client) = (head.method, head.target, head.client_addr);
        self.version = version;
    }

    /// Gives its memory to another exchange, if it is no more than most need.
    pub(crate) fn recycle(self: Box<Self>, ctx: &Context) {
        let mut spare = ctx.spare_log_info.borrow_mut();
        let bytes = self.head.capacity() + self.response_fields.capacity();
        if spare.len() < MOST_SPARE && bytes <= MOST_SPARE_BYTES {
            spare.push(self);
        }
    }
}

impl Exchange {
    /// A request that begins; `bytes` is what the spans of its head are ranges of.
    pub(crate) fn new(
        ctx: &Context,
        id: u32,
        head: &RequestHead,
        bytes: &[u8],
        version: &'static [u8],
    ) -> Self {
        let has_body = head.framing != Framing::None;
        let log_info = ctx.access.borrow().as_ref().map(|_| {
            let mut info = ctx.spare_log_info.borrow_mut().pop().unwrap_or_default();
            info.begin(head, bytes, version);
            info
        });
        Self {
            id,
            keep_alive: head.allows_keep_alive,
            started: ctx.now(),
            label: RequestLabel::new(head, bytes),
            is_dispatched: false,
            buffered_chunks: Vec::new(),
            buffered_len: 0,
            // Who waits for the word to send a body, or to speak another protocol, waits for JavaScript.
            may_buffer_body: has_body
                && !head.has_expect
                && !head.is_upgrade
                && !ctx.limits.settings.request_buffer_time.is_zero(),
            kept_head: None,
            reads_directly: false,
            last_read_filled: false,
            // What is tunnelled flows for hours, and on many connections.
            credit: if head.is_upgrade {
                MIN_BODY_CREDIT
            } else {
                ctx.body_credit().max(ctx.limits.settings.request_buffer_size)
            },
            body_bytes: 0,
            awaits_continue: head.has_expect,
            body_done: !has_body,
            end_emitted: false,
            discards_body: false,
            discarded: 0,
            discard_until: u64::MAX,
            framing: head.framing,
            accepts_interim: head.minor_version == 1,
            status: 0,
            head_sent: false,
            chunked: false,
            no_body: false,
            trailers: Vec::new(),
            sent_bytes: 0,
            response_complete: false,
            notifies_when_sent: false,
            upgrade_undecided: head.is_upgrade,
            ahead: 0,
            tunnel: None,
            log_info,
        }
    }

    /// Takes it back if JavaScript has not taken it, and says whether that is so.
    pub(crate) fn withdraw(&mut self, ctx: &Context) -> bool {
        if !self.is_dispatched {
            return false;
        }
        let withdrawn = ctx.batch.borrow_mut().withdraw(self.id) || ctx.handoff.withdraw(self.id);
        // JavaScript need not hear of its end.
        self.is_dispatched = !withdrawn;
        withdrawn
    }

    /// An interim answer: the client may have its word.
    pub(crate) fn record_interim(&mut self, status: u16) {
        self.awaits_continue &= status != CONTINUE;
    }

    /// Whether the client owes its body: not while it waits for the word to send it (RFC 9110 section 10.1.1).
    pub(crate) fn owes_body(&self) -> bool {
        !self.awaits_continue || self.body_bytes > 0
    }

    /// The answer is complete. What is left of the body has so long to come, and where somebody reads on, each of its
    /// pieces: a connection must not stay for a reader that has stopped. A tunnel goes on by half.
    pub(crate) fn start_discard_timer(&mut self, shared: &ConnectionState) {
        let goes_on = self.tunnel.as_ref().is_some_and(|tunnel| !tunnel.is_refusal(self.status));
        if !self.response_complete || self.body_done || goes_on {
            return;
        }
        let limits = shared.limits();
        let idle = limits.settings.keepalive + limits.keepalive_grace;
        let time =
            if self.discards_body { limits.discard_time } else { limits.discard_time.min(idle) };
        self.discard_until = shared.ctx.deadline(time);
    }

    /// When what is left of a body behind its answer must have come.
    pub(crate) fn discard_deadline(&self) -> u64 {
        if self.body_done { u64::MAX } else { self.discard_until }
    }

    /// When the head of the answer is due: so long after the last byte of the request, or after the last one that
    /// JavaScript let us read.
    pub(crate) fn answer_deadline(&self, shared: &ConnectionState, input: MinRate) -> u64 {
        let limit = shared.limits().settings.request_timeout.as_millis() as u64;
        if limit == 0 || self.head_sent {
            return u64::MAX;
        }
        shared.ctx.ms(self.started).max(input.last_moved()) + limit
    }

    /// What is told of it while it is not answered.
    pub(crate) fn in_hand(&self) -> Option<(RequestLabel, Instant)> {
        (!self.response_complete).then_some((self.label, self.started))
    }

    /// Nothing is left to do for it but to begin the next.
    pub(crate) fn is_finished(&self) -> bool {
        self.response_complete && self.body_done && !self.notifies_when_sent
    }
}

/// The status that is the word to send a body.
const CONTINUE: u16 = 100;
/// Facts for the log that are kept for the next requests.
const MOST_SPARE: usize = 64;
/// The memory of each at most.
const MOST_SPARE_BYTES: usize = 4_096;

//! A connection that has left HTTP (RFC 9110 section 7.8, and CONNECT, section 9.3.6): bytes go through in both
//! directions, and JavaScript decides when each ends. The exchange stays in hand until both have.
//!
//! The application answers the request itself, with the bytes it writes first; they are looked at for the access log and
//! for whether a WebSocket begins, which a drain closes with a frame of its own.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::websocket::{RESTART, WebSocketFrames};
use super::{Connection, ConnectionState, Exchange, Turn, request_body};
use crate::pressure::limits::{MAX_TUNNEL_HEAD, TUNNEL_CLOSE_TIME};

/// What an exchange keeps once it is a tunnel.
pub(crate) struct Tunnel {
    pub(crate) said: TunnelPhase,
    /// The connection's task has let go of HTTP.
    entered: bool,
    /// Our side is shut: the client reads the end.
    shut: bool,
    /// The worker drains.
    pub(crate) leaving: bool,
    /// The engine has closed the WebSocket: what the application still writes goes nowhere (RFC 6455 section 5.5.1).
    pub(crate) closed: bool,
    /// From the request to the application's answer, for the statistics of requests.
    pub(crate) answered: Option<Duration>,
}

/// How far the application's bytes have been understood.
pub(crate) enum TunnelPhase {
    /// Up to here they are, or may be, the head of an answer.
    Head(Vec<u8>),
    WebSocket(WebSocketFrames),
    /// Anything else, passed on as it is.
    Bytes,
}

impl ConnectionState {
    /// JavaScript takes the connection over, or says that the request is an ordinary one.
    pub(crate) fn decide_upgrade(&self, exchange: &mut Exchange, taken: bool) {
        if !std::mem::take(&mut exchange.upgrade_undecided) || !taken {
            return;
        }
        self.closes_after_response.set(true);
        self.wait_ends_at.set(u64::MAX);
        // Its body, if it has one, belongs to what comes behind the head, as on node.
        exchange.body_done = false;
        exchange.tunnel = Some(Box::new(Tunnel::new(self.ctx.draining.get())));
        self.ctx.tunnels.set(self.ctx.tunnels.get() + 1);
    }

    /// Tells a tunnel that the worker drains.
    pub(crate) fn drain_tunnel(&self) {
        let mut exchange = self.exchange.borrow_mut();
        let Some(tunnel) = exchange.as_mut().and_then(|exchange| exchange.tunnel.as_mut()) else {
            return;
        };
        tunnel.leaving = true;
        if let TunnelPhase::WebSocket(frames) = &tunnel.said {
            self.start_close_timer();
            tunnel.closed = self.close_websocket(frames);
        }
    }

    /// From here on the time for the close runs.
    fn start_close_timer(&self) {
        self.wait(TUNNEL_CLOSE_TIME);
        self.set_deadline_at(self.deadline.get().min(self.wait_ends_at.get()));
    }

    /// Says to the client that it is to come back, if a frame of the engine's own may stand here. Returns whether the
    /// engine has closed the WebSocket.
    fn close_websocket(&self, frames: &WebSocketFrames) -> bool {
        if !frames.at_boundary() || frames.is_closed() {
            return false;
        }
        self.out.borrow_mut().append(|out| out.extend_from_slice(&RESTART));
        self.touch();
        true
    }

    /// Looks at bytes of the application; returns how many of them go to the client.
    pub(crate) fn inspect_tunnel_bytes(&self, exchange: &mut Exchange, bytes: &[u8]) -> usize {
        let Some(tunnel) = &mut exchange.tunnel else { return 0 };
        if exchange.response_complete || tunnel.closed {
            return 0;
        }
        let mut head_rest = 0;
        if let TunnelPhase::Head(head) = &mut tunnel.said {
            let before = head.len();
            head.extend_from_slice(&bytes[..bytes.len().min(MAX_TUNNEL_HEAD - before)]);
            let end = memchr::memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
            if end.is_none() && head.len() < MAX_TUNNEL_HEAD {
                return bytes.len();
            }
            // The end lies behind what had come before, or it would have been found then.
            head_rest = end.map_or(0, |end| end - before);
            let head = std::mem::take(head);
            let answer = TunnelResponse::read(&head[..end.unwrap_or(0)]);
            tunnel.said = TunnelPhase::Bytes;
            if answer.websocket {
                tunnel.said = TunnelPhase::WebSocket(WebSocketFrames::default());
                if tunnel.leaving {
                    self.start_close_timer();
                }
            }
            tunnel.answered = Some(self.ctx.now().duration_since(exchange.started));
            exchange.status = answer.status;
            exchange.head_sent = true;
            if let Some(log) = &mut exchange.log_info {
                log.response_fields.extend_from_slice(answer.fields);
            }
        }
        let rest = &bytes[head_rest..];
        let count = match &mut tunnel.said {
            // Behind the frame in hand the engine's own follows, and then nothing.
            TunnelPhase::WebSocket(frames) => frames.advance(rest, tunnel.leaving),
            _ => rest.len(),
        };
        exchange.sent_bytes += count as u64;
        head_rest + count
    }

    /// Behind bytes of the application: the place for a close frame of the engine's own, if one is due.
    pub(crate) fn close_websocket_at_boundary(&self, exchange: &mut Exchange) {
        if let Some(tunnel) = &mut exchange.tunnel
            && tunnel.leaving
            && !tunnel.closed
            && let TunnelPhase::WebSocket(frames) = &tunnel.said
        {
            tunnel.closed = self.close_websocket(frames);
        }
    }
}

/// What the head of the application's answer says.
pub(crate) struct TunnelResponse<'a> {
    pub(crate) status: u16,
    /// Its `Name: value` lines.
    pub(crate) fields: &'a [u8],
    pub(crate) websocket: bool,
}

impl<'a> TunnelResponse<'a> {
    /// Reads a head; one that is none says nothing.
    pub(crate) fn read(head: &'a [u8]) -> Self {
        let nothing = Self { status: 0, fields: b"", websocket: false };
        let Some(line) = memchr::memchr(b'\n', head) else { return nothing };
        let Some(status) = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3)) else {
            return nothing;
        };
        let Some(status) = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok())
        else {
            return nothing;
        };
        let fields = &head[line + 1..head.len() - 2];
        let websocket = status == 101
            && fields.split(|&byte| byte == b'\n').any(|line| {
                let mut parts = line.splitn(2, |&byte| byte == b':');
                let mut is = |text: &[u8]| {
                    parts.next().is_some_and(|part| part.trim_ascii().eq_ignore_ascii_case(text))
                };
                is(b"upgrade") && is(b"websocket")
            });
        Self { status, fields, websocket }
    }
}

impl Tunnel {
    /// One that begins; `leaving` says that the worker drains.
    pub fn new(leaving: bool) -> Self {
        Self {
            said: TunnelPhase::Head(Vec::new()),
            entered: false,
            shut: false,
            leaving,
            closed: false,
            answered: None,
        }
    }

    /// Whether an application that has ended its side has not taken the connection over, but refused to: the answer is an
    /// ordinary one then, or there is none, and nothing of the client is waited for.
    pub(crate) fn is_refusal(&self, status: u16) -> bool {
        match &self.said {
            TunnelPhase::Head(head) => head.is_empty(),
            TunnelPhase::WebSocket(_) | TunnelPhase::Bytes => status >= 300,
        }
    }

    /// How long the application took to answer, once it has.
    pub fn answered(&self) -> Option<Duration> {
        self.answered
    }
}

impl Connection {
    /// One turn of a tunnel.
    pub(crate) fn tunnel(&mut self, cx: &mut Context<'_>) -> Turn {
        let shared = self.shared.clone();
        let sent = match self.send(cx) {
            Poll::Ready(Err(_)) => return Turn::Close,
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        if shared.is_deadline_due.get()
            && let Some(turn) = self.on_tunnel_deadline()
        {
            return turn;
        }
        if sent {
            self.notify_sent();
        }
        let mut exchange = shared.exchange.borrow_mut();
        let Some(exchange) = exchange.as_mut() else { return Turn::Flush };
        if let Some(turn) = self.end_output(exchange, sent, cx) {
            return turn;
        }
        self.read_tunnel(exchange, cx)
    }

    /// Ends our side behind the last byte, and the connection once both sides have ended.
    fn end_output(
        &mut self,
        exchange: &mut Exchange,
        sent: bool,
        cx: &mut Context<'_>,
    ) -> Option<Turn> {
        let Some(tunnel) = &mut exchange.tunnel else { return Some(Turn::Again) };
        if !std::mem::replace(&mut tunnel.entered, true) {
            self.release_to_tunnel(exchange.ahead);
            // The clock of the answer looks at what is in hand.
            return Some(Turn::Again);
        }
        if sent && exchange.response_complete && !std::mem::replace(&mut tunnel.shut, true) {
            // A socket's shutdown is immediate; an error means that the peer is gone.
            if !matches!(self.stream.poll_shutdown(cx), Poll::Ready(Ok(()))) {
                return Some(Turn::Close);
            }
        }
        (tunnel.shut && exchange.body_done && !exchange.notifies_when_sent).then_some(Turn::Close)
    }

    /// The socket and what was read behind the head are JavaScript's now.
    fn release_to_tunnel(&mut self, told: usize) {
        self.read_buffer.consume(told);
        self.input.stop();
        // The wheel finds out which clock it is when it comes up.
        self.shared.is_deadline_due.set(true);
    }

    /// Reads as far as JavaScript's credit goes.
    fn read_tunnel(&mut self, exchange: &mut Exchange, cx: &mut Context<'_>) -> Turn {
        let shared = &self.shared;
        if exchange.body_done || exchange.credit == 0 {
            return Turn::Wait;
        }
        if !self.read_buffer.is_empty() {
            let piece = self.read_buffer.take(exchange.credit);
            shared.emit_tunnel_bytes(exchange, piece);
            return Turn::Again;
        }
        if self.input_ended {
            return self.end_input(exchange);
        }
        let mut scratch = shared.ctx.scratch.borrow_mut();
        let most = exchange.credit.min(scratch.len());
        match self.stream.poll_read(cx, &mut scratch[..most]) {
            Poll::Pending => Turn::Wait,
            Poll::Ready(Err(_)) => Turn::Close,
            Poll::Ready(Ok(0)) => {
                drop(scratch);
                self.end_input(exchange)
            }
            Poll::Ready(Ok(count)) => {
                shared.emit_tunnel_bytes(exchange, Bytes::copy_from_slice(&scratch[..count]));
                Turn::Again
            }
        }
    }

    fn end_input(&mut self, exchange: &mut Exchange) -> Turn {
        self.input_ended = true;
        exchange.body_done = true;
        self.shared.ctx.emit(|batch| batch.end(exchange.id, b""));
        Turn::Again
    }
}

impl ConnectionState {
    /// Whether JavaScript has taken the connection over.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(|exchange| exchange.tunnel.is_some())
    }

    /// Whether JavaScript has not said yet what becomes of the request in hand.
    pub(crate) fn is_undecided(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(|exchange| exchange.upgrade_undecided)
    }

    /// Keeps what has come behind the head that was just released, if it asks for an upgrade: it crosses with it.
    pub(crate) fn keep_upgrade_bytes(&self, read_buffer: &[u8]) {
        if self.ctx.head.borrow().is_upgrade
            && self.exchange.borrow().is_none()
            && !read_buffer.is_empty()
        {
            self.upgrade_bytes.set(Some(read_buffer.into()));
        }
    }

    /// Tells JavaScript of bytes of the client.
    fn emit_tunnel_bytes(&self, exchange: &mut Exchange, bytes: Bytes) {
        exchange.credit -= bytes.len();
        exchange.body_bytes += bytes.len() as u64;
        exchange.start_discard_timer(self);
        self.ctx.tunnel_chunks.set(self.ctx.tunnel_chunks.get() + 1);
        self.ctx.emit(|batch| {
            for piece in request_body::pieces(bytes) {
                batch.data(exchange.id, piece);
            }
        });
    }
}

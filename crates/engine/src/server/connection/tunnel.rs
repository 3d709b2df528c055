//! A tunnel: a connection that no longer uses HTTP after an upgrade (RFC 9110 section 7.8) or
//! CONNECT (section 9.3.6). Bytes pass in both directions, and JavaScript decides when each
//! direction ends. The exchange stays in flight until both have ended.
//!
//! The application writes the response itself. The engine parses it for the access log, and to
//! detect a WebSocket, which a drain closes with a frame of its own.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::{Connection, ConnectionState, Exchange, Turn, request_body};
use crate::exchange::websocket::{SERVICE_RESTART_FRAME, WebSocketFrames};
use crate::pressure::limits::{MAX_TUNNEL_HEAD, TUNNEL_CLOSE_TIME};

/// State of an exchange that has become a tunnel.
pub(crate) struct Tunnel {
    /// What the application has written so far.
    pub(crate) phase: TunnelPhase,
    /// Whether the connection's task has stopped parsing HTTP.
    is_entered: bool,
    /// Whether the engine has half-closed the connection, after the last byte of the application.
    is_shut_down: bool,
    /// Whether the worker is draining.
    pub(crate) is_draining: bool,
    /// Whether the engine has sent a close frame on the WebSocket. Later bytes of the application
    /// are dropped (RFC 6455 section 5.5.1).
    pub(crate) is_websocket_closed: bool,
    /// Time from the request to the head of the application's response; `None` before it.
    pub(crate) response_time: Option<Duration>,
}

/// What the engine knows about the bytes that the application has written into a tunnel.
pub(crate) enum TunnelPhase {
    /// The bytes so far, which may be part of a response head.
    Head(Vec<u8>),
    /// The application has accepted a WebSocket, whose frames are followed.
    WebSocket(WebSocketFrames),
    /// The bytes are of another protocol and pass through unchanged.
    Bytes,
}

impl ConnectionState {
    /// Turns the connection into a tunnel if JavaScript takes it over (`taken`). Otherwise the
    /// request is served as an ordinary one.
    pub(crate) fn decide_upgrade(&self, exchange: &mut Exchange, taken: bool) {
        if !std::mem::take(&mut exchange.is_upgrade_undecided) || !taken {
            return;
        }
        self.closes_after_response.set(true);
        self.wait_ends_at.set(u64::MAX);
        // As in Node, a body of the request is part of the bytes after the head.
        exchange.is_body_done = false;
        exchange.tunnel = Some(Box::new(Tunnel::new(self.ctx.lifecycle.is_draining.get())));
        self.ctx.count_tunnel();
    }

    /// Begins the drain of a tunnel. A WebSocket gets a close frame once a frame may begin.
    pub(crate) fn drain_tunnel(&self) {
        let mut exchange = self.exchange.borrow_mut();
        let Some(tunnel) = exchange.as_mut().and_then(|exchange| exchange.tunnel.as_mut()) else {
            return;
        };
        tunnel.is_draining = true;
        if let TunnelPhase::WebSocket(frames) = &tunnel.phase {
            self.start_close_timer();
            tunnel.is_websocket_closed = self.close_websocket(frames);
        }
    }

    /// Starts the timeout in which the client must close after the WebSocket's close frame.
    fn start_close_timer(&self) {
        self.start_wait(TUNNEL_CLOSE_TIME);
        self.set_deadline_at(self.deadline.get().min(self.wait_ends_at.get()));
    }

    /// Sends a close frame with code 1012 if a frame may begin here and the application has sent no
    /// close frame. Returns whether it was sent.
    fn close_websocket(&self, frames: &WebSocketFrames) -> bool {
        if !frames.is_at_boundary() || frames.is_closed() {
            return false;
        }
        self.write_queue.borrow_mut().append(|out| out.extend_from_slice(&SERVICE_RESTART_FRAME));
        self.queue_wake();
        true
    }

    /// Inspects bytes that the application writes into a tunnel. Returns how many of them may be
    /// sent to the client.
    pub(crate) fn inspect_tunnel_bytes(&self, exchange: &mut Exchange, bytes: &[u8]) -> usize {
        let Some(tunnel) = &mut exchange.tunnel else { return 0 };
        if exchange.is_response_complete || tunnel.is_websocket_closed {
            return 0;
        }
        let mut head_rest = 0;
        if let TunnelPhase::Head(head) = &mut tunnel.phase {
            let before = head.len();
            head.extend_from_slice(&bytes[..bytes.len().min(MAX_TUNNEL_HEAD - before)]);
            let end = memchr::memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
            if end.is_none() && head.len() < MAX_TUNNEL_HEAD {
                return bytes.len();
            }
            // The head ends in these bytes: an end in the earlier ones would have been found.
            head_rest = end.map_or(0, |end| end - before);
            let head = std::mem::take(head);
            let response = TunnelResponse::parse(&head[..end.unwrap_or(0)]);
            tunnel.phase = TunnelPhase::Bytes;
            if response.is_websocket {
                tunnel.phase = TunnelPhase::WebSocket(WebSocketFrames::default());
                if tunnel.is_draining {
                    self.start_close_timer();
                }
            }
            tunnel.response_time = Some(self.ctx.clock.now().duration_since(exchange.started));
            exchange.status = response.status;
            exchange.is_head_sent = true;
            if let Some(log) = &mut exchange.log_info {
                log.response_fields.extend_from_slice(response.fields);
            }
        }
        let rest = &bytes[head_rest..];
        let count = match &mut tunnel.phase {
            // During a drain, the engine's close frame follows the current frame.
            TunnelPhase::WebSocket(frames) => frames.advance(rest, tunnel.is_draining),
            _ => rest.len(),
        };
        exchange.sent_bytes += count as u64;
        head_rest + count
    }

    /// Sends the close frame of a drain if a frame may begin after the bytes that the application
    /// has just written.
    pub(crate) fn close_websocket_at_boundary(&self, exchange: &mut Exchange) {
        if let Some(tunnel) = &mut exchange.tunnel
            && tunnel.is_draining
            && !tunnel.is_websocket_closed
            && let TunnelPhase::WebSocket(frames) = &tunnel.phase
        {
            tunnel.is_websocket_closed = self.close_websocket(frames);
        }
    }
}

/// Parsed head of the response that an application writes into a tunnel.
pub(crate) struct TunnelResponse<'a> {
    /// Status code; 0 if the bytes are not an HTTP/1.1 response head.
    pub(crate) status: u16,
    /// Header field lines of the response, `Name: value`.
    pub(crate) fields: &'a [u8],
    /// Whether the response accepts a WebSocket: 101 with `Upgrade: websocket`.
    pub(crate) is_websocket: bool,
}

impl<'a> TunnelResponse<'a> {
    /// Parses a response head. The status is 0 if the bytes are not one.
    pub(crate) fn parse(head: &'a [u8]) -> Self {
        let nothing = Self { status: 0, fields: b"", is_websocket: false };
        let Some(line) = memchr::memchr(b'\n', head) else { return nothing };
        let Some(status) = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3)) else {
            return nothing;
        };
        let Some(status) = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok())
        else {
            return nothing;
        };
        let fields = &head[line + 1..head.len() - 2];
        let is_websocket = status == 101
            && fields.split(|&byte| byte == b'\n').any(|line| {
                let mut parts = line.splitn(2, |&byte| byte == b':');
                let mut is = |text: &[u8]| {
                    parts.next().is_some_and(|part| part.trim_ascii().eq_ignore_ascii_case(text))
                };
                is(b"upgrade") && is(b"websocket")
            });
        Self { status, fields, is_websocket }
    }
}

impl Tunnel {
    /// Creates the state of a new tunnel; `is_draining` is whether the worker is draining.
    pub fn new(is_draining: bool) -> Self {
        Self {
            phase: TunnelPhase::Head(Vec::new()),
            is_entered: false,
            is_shut_down: false,
            is_draining,
            is_websocket_closed: false,
            response_time: None,
        }
    }

    /// Whether the application has refused the upgrade instead of taking it over: it has ended its
    /// side after an ordinary response, or without one. No more bytes of the client are expected
    /// then.
    pub(crate) fn is_refusal(&self, status: u16) -> bool {
        match &self.phase {
            TunnelPhase::Head(head) => head.is_empty(),
            TunnelPhase::WebSocket(_) | TunnelPhase::Bytes => status >= 300,
        }
    }

    /// Returns the time from the request to the head of the application's response, once it has
    /// been written.
    pub fn response_time(&self) -> Option<Duration> {
        self.response_time
    }
}

impl Connection {
    /// Takes one step of a tunnel: sends, then reads.
    pub(crate) fn tunnel(&mut self, cx: &mut Context<'_>) -> Turn {
        let shared = self.shared.clone();
        let is_all_sent = match self.send(cx) {
            Poll::Ready(Err(_)) => return Turn::Close,
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        if shared.is_deadline_due.get()
            && let Some(turn) = self.handle_tunnel_deadline()
        {
            return turn;
        }
        if is_all_sent {
            self.notify_sent();
        }
        let mut exchange = shared.exchange.borrow_mut();
        let Some(exchange) = exchange.as_mut() else { return Turn::Flush };
        if let Some(turn) = self.end_output(exchange, is_all_sent, cx) {
            return turn;
        }
        self.read_tunnel(exchange, cx)
    }

    /// Half-closes the connection after the last byte of the application. Closes it once both sides
    /// have ended.
    fn end_output(
        &mut self,
        exchange: &mut Exchange,
        is_all_sent: bool,
        cx: &mut Context<'_>,
    ) -> Option<Turn> {
        let Some(tunnel) = &mut exchange.tunnel else { return Some(Turn::Again) };
        if !std::mem::replace(&mut tunnel.is_entered, true) {
            self.release_to_tunnel(exchange.ahead);
            // Take another step, which checks the deadlines of a tunnel.
            return Some(Turn::Again);
        }
        if is_all_sent
            && exchange.is_response_complete
            && !std::mem::replace(&mut tunnel.is_shut_down, true)
        {
            // A half-close is immediate. An error means that the client has disconnected.
            if !matches!(self.stream.poll_shutdown(cx), Poll::Ready(Ok(()))) {
                return Some(Turn::Close);
            }
        }
        (tunnel.is_shut_down && exchange.is_body_done && !exchange.notifies_when_sent)
            .then_some(Turn::Close)
    }

    /// Switches from HTTP to the tunnel. The `dispatched` bytes after the head were emitted with
    /// the request, so they are dropped here.
    fn release_to_tunnel(&mut self, dispatched: usize) {
        self.read_buffer.consume(dispatched);
        self.body_rate.stop();
        // The deadline handler registers the deadlines of the tunnel.
        self.shared.is_deadline_due.set(true);
    }

    /// Reads bytes of the client, as far as JavaScript has granted credit.
    fn read_tunnel(&mut self, exchange: &mut Exchange, cx: &mut Context<'_>) -> Turn {
        let shared = &self.shared;
        if exchange.is_body_done || exchange.credit == 0 {
            return Turn::Wait;
        }
        if !self.read_buffer.is_empty() {
            let chunk = self.read_buffer.take(exchange.credit);
            shared.emit_tunnel_bytes(exchange, chunk);
            return Turn::Again;
        }
        if self.has_input_ended {
            return self.end_input(exchange);
        }
        let mut scratch = shared.ctx.scratch.read.borrow_mut();
        let most = exchange.credit.min(scratch.len());
        match self.stream.poll_read(cx, &mut scratch[..most]) {
            Poll::Pending => Turn::Wait,
            Poll::Ready(Err(_)) => Turn::Close,
            Poll::Ready(Ok(0)) => {
                drop(scratch);
                self.end_input(exchange)
            }
            Poll::Ready(Ok(count)) => {
                shared.count_received(count);
                shared.emit_tunnel_bytes(exchange, Bytes::copy_from_slice(&scratch[..count]));
                Turn::Again
            }
        }
    }

    /// Emits the end of the client's bytes to JavaScript.
    fn end_input(&mut self, exchange: &mut Exchange) -> Turn {
        self.has_input_ended = true;
        exchange.is_body_done = true;
        self.shared.ctx.outbox.emit(|batch| batch.push_end(exchange.id, b""));
        Turn::Again
    }
}

impl ConnectionState {
    /// Whether JavaScript has taken over the connection, which is then a tunnel.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(|exchange| exchange.tunnel.is_some())
    }

    /// Whether JavaScript has yet to decide on the upgrade request in flight.
    pub(crate) fn is_undecided(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(|exchange| exchange.is_upgrade_undecided)
    }

    /// Copies the bytes after the head of an upgrade request, which are dispatched with it.
    pub(crate) fn keep_upgrade_bytes(&self, read_buffer: &[u8]) {
        if self.ctx.scratch.parsed_head.borrow().is_upgrade
            && self.exchange.borrow().is_none()
            && !read_buffer.is_empty()
        {
            self.upgrade_bytes.set(Some(read_buffer.into()));
        }
    }

    /// Emits bytes of the client to JavaScript, and takes them from its credit.
    fn emit_tunnel_bytes(&self, exchange: &mut Exchange, bytes: Bytes) {
        exchange.credit -= bytes.len();
        exchange.body_bytes += bytes.len() as u64;
        exchange.start_discard_timer(self);
        self.ctx.outbox.count_tunnel_chunk();
        self.ctx.outbox.emit(|batch| {
            for chunk in request_body::split_chunks(bytes) {
                batch.push_data(exchange.id, chunk);
            }
        });
    }
}

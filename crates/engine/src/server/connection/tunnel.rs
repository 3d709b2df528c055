//! A connection that has left HTTP (RFC 9110 section 7.8, and CONNECT, section 9.3.6): bytes go through in both
//! directions, and JavaScript decides when each ends. The exchange stays in hand until both have.
//!
//! The application answers the request itself, with the bytes it writes first; they are looked at for the access log and
//! for whether a WebSocket begins, which a drain closes with a frame of its own.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::websocket::{Frames, RESTART};
use super::{Connection, Current, Shared, Turn, request_body};
use crate::pressure::limits::{MAX_TUNNEL_HEAD, TUNNEL_CLOSE_TIME};

/// What an exchange keeps once it is a tunnel.
pub(crate) struct Tunnel {
    pub(crate) said: Said,
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
pub(crate) enum Said {
    /// Up to here they are, or may be, the head of an answer.
    Head(Vec<u8>),
    WebSocket(Frames),
    /// Anything else, passed on as it is.
    Bytes,
}

impl Shared {
    /// JavaScript takes the connection over, or says that the request is an ordinary one.
    pub(crate) fn decide_upgrade(&self, current: &mut Current, taken: bool) {
        if !std::mem::take(&mut current.undecided) || !taken {
            return;
        }
        self.close.set(true);
        self.waits_until.set(u64::MAX);
        // Its body, if it has one, belongs to what comes behind the head, as on node.
        current.body_done = false;
        current.tunnel = Some(Box::new(Tunnel::new(self.ctx.draining.get())));
        self.ctx.tunnels.set(self.ctx.tunnels.get() + 1);
    }

    /// Tells a tunnel that the worker drains.
    pub(crate) fn drain_tunnel(&self) {
        let mut current = self.current.borrow_mut();
        let Some(tunnel) = current.as_mut().and_then(|current| current.tunnel.as_mut()) else {
            return;
        };
        tunnel.leaving = true;
        if let Said::WebSocket(frames) = &tunnel.said {
            self.leave_soon();
            tunnel.closed = self.close_websocket(frames);
        }
    }

    /// From here on the time for the close runs.
    fn leave_soon(&self) {
        self.wait(TUNNEL_CLOSE_TIME);
        self.set_deadline_at(self.deadline.get().min(self.waits_until.get()));
    }

    /// Says to the client that it is to come back, if a frame of the engine's own may stand here. Returns whether the
    /// engine has closed the WebSocket.
    fn close_websocket(&self, frames: &Frames) -> bool {
        if !frames.at_boundary() || frames.is_closed() {
            return false;
        }
        self.out.borrow_mut().append(|out| out.extend_from_slice(&RESTART));
        self.touch();
        true
    }

    /// Looks at bytes of the application; returns how many of them go to the client.
    pub(crate) fn look_at_tunnel(&self, current: &mut Current, bytes: &[u8]) -> usize {
        let Some(tunnel) = &mut current.tunnel else { return 0 };
        if current.ended || tunnel.closed {
            return 0;
        }
        let mut head_rest = 0;
        if let Said::Head(head) = &mut tunnel.said {
            let before = head.len();
            head.extend_from_slice(&bytes[..bytes.len().min(MAX_TUNNEL_HEAD - before)]);
            let end = memchr::memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
            if end.is_none() && head.len() < MAX_TUNNEL_HEAD {
                return bytes.len();
            }
            // The end lies behind what had come before, or it would have been found then.
            head_rest = end.map_or(0, |end| end - before);
            let head = std::mem::take(head);
            let answer = Answered::read(&head[..end.unwrap_or(0)]);
            tunnel.said = Said::Bytes;
            if answer.websocket {
                tunnel.said = Said::WebSocket(Frames::default());
                if tunnel.leaving {
                    self.leave_soon();
                }
            }
            tunnel.answered = Some(self.ctx.now().duration_since(current.started));
            current.status = answer.status;
            current.head_sent = true;
            if let Some(log) = &mut current.log {
                log.response_fields.extend_from_slice(answer.fields);
            }
        }
        let rest = &bytes[head_rest..];
        let count = match &mut tunnel.said {
            // Behind the frame in hand the engine's own follows, and then nothing.
            Said::WebSocket(frames) => frames.advance(rest, tunnel.leaving),
            _ => rest.len(),
        };
        current.sent_bytes += count as u64;
        head_rest + count
    }

    /// Behind bytes of the application: the place for a close frame of the engine's own, if one is due.
    pub(crate) fn look_behind_tunnel(&self, current: &mut Current) {
        if let Some(tunnel) = &mut current.tunnel
            && tunnel.leaving
            && !tunnel.closed
            && let Said::WebSocket(frames) = &tunnel.said
        {
            tunnel.closed = self.close_websocket(frames);
        }
    }
}

/// What the head of the application's answer says.
pub(crate) struct Answered<'a> {
    pub(crate) status: u16,
    /// Its `Name: value` lines.
    pub(crate) fields: &'a [u8],
    pub(crate) websocket: bool,
}

impl<'a> Answered<'a> {
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
            said: Said::Head(Vec::new()),
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
            Said::Head(head) => head.is_empty(),
            Said::WebSocket(_) | Said::Bytes => status >= 300,
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
            Poll::Ready(Err(_)) => return Turn::Gone,
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        if shared.due.get()
            && let Some(turn) = self.on_tunnel_deadline()
        {
            return turn;
        }
        if sent {
            self.notify_sent();
        }
        let mut current = shared.current.borrow_mut();
        let Some(current) = current.as_mut() else { return Turn::Flush };
        if let Some(turn) = self.end_output(current, sent, cx) {
            return turn;
        }
        self.read_tunnel(current, cx)
    }

    /// Ends our side behind the last byte, and the connection once both sides have ended.
    fn end_output(
        &mut self,
        current: &mut Current,
        sent: bool,
        cx: &mut Context<'_>,
    ) -> Option<Turn> {
        let Some(tunnel) = &mut current.tunnel else { return Some(Turn::Again) };
        if !std::mem::replace(&mut tunnel.entered, true) {
            self.leave_http(current.ahead);
            // The clock of the answer looks at what is in hand.
            return Some(Turn::Again);
        }
        if sent && current.ended && !std::mem::replace(&mut tunnel.shut, true) {
            // A socket's shutdown is immediate; an error means that the peer is gone.
            if !matches!(self.stream.poll_shutdown(cx), Poll::Ready(Ok(()))) {
                return Some(Turn::Gone);
            }
        }
        (tunnel.shut && current.body_done && !current.notify).then_some(Turn::Gone)
    }

    /// The socket and what was read behind the head are JavaScript's now.
    fn leave_http(&mut self, told: usize) {
        self.carry.consume(told);
        self.input.stop();
        // The wheel finds out which clock it is when it comes up.
        self.shared.due.set(true);
    }

    /// Reads as far as JavaScript's credit goes.
    fn read_tunnel(&mut self, current: &mut Current, cx: &mut Context<'_>) -> Turn {
        let shared = &self.shared;
        if current.body_done || current.credit == 0 {
            return Turn::Wait;
        }
        if !self.carry.is_empty() {
            let piece = self.carry.take(current.credit);
            shared.take_in(current, piece);
            return Turn::Again;
        }
        if self.input_ended {
            return self.end_input(current);
        }
        let mut scratch = shared.ctx.scratch.borrow_mut();
        let most = current.credit.min(scratch.len());
        match self.stream.poll_read(cx, &mut scratch[..most]) {
            Poll::Pending => Turn::Wait,
            Poll::Ready(Err(_)) => Turn::Gone,
            Poll::Ready(Ok(0)) => {
                drop(scratch);
                self.end_input(current)
            }
            Poll::Ready(Ok(count)) => {
                shared.take_in(current, Bytes::copy_from_slice(&scratch[..count]));
                Turn::Again
            }
        }
    }

    fn end_input(&mut self, current: &mut Current) -> Turn {
        self.input_ended = true;
        current.body_done = true;
        self.shared.ctx.tell(|batch| batch.end(current.id, b""));
        Turn::Again
    }
}

impl Shared {
    /// Whether JavaScript has taken the connection over.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.current.borrow().as_ref().is_some_and(|current| current.tunnel.is_some())
    }

    /// Whether JavaScript has not said yet what becomes of the request in hand.
    pub(crate) fn is_undecided(&self) -> bool {
        self.current.borrow().as_ref().is_some_and(|current| current.undecided)
    }

    /// Keeps what has come behind the head that was just released, if it asks for an upgrade: it crosses with it.
    pub(crate) fn note_ahead(&self, carry: &[u8]) {
        if self.ctx.head.borrow().is_upgrade && self.current.borrow().is_none() && !carry.is_empty()
        {
            self.ahead.set(Some(carry.into()));
        }
    }

    /// Tells JavaScript of bytes of the client.
    fn take_in(&self, current: &mut Current, bytes: Bytes) {
        current.credit -= bytes.len();
        current.body_bytes += bytes.len() as u64;
        current.awaits_rest(self);
        self.ctx.tunnelled.set(self.ctx.tunnelled.get() + 1);
        self.ctx.tell(|batch| {
            for piece in request_body::pieces(bytes) {
                batch.data(current.id, piece);
            }
        });
    }
}

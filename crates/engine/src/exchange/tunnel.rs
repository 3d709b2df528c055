//! An exchange that has become a tunnel: an upgrade (RFC 9110 section 7.8), a CONNECT (section
//! 9.3.6) or, on HTTP/2, an extended CONNECT (RFC 8441). The application writes the response
//! itself. The engine parses it for the access log, and to detect a WebSocket, which a drain closes
//! with a frame of its own.

use std::time::Duration;

use super::websocket::WebSocketFrames;
use crate::pressure::limits::{MAX_TUNNEL_HEAD, MIN_WEBSOCKET_TIME, TUNNEL_CLOSE_TIME};

/// Whether the application may take over an exchange, or has.
pub(crate) enum Upgrade {
    /// The request is no upgrade, or the application has declined it.
    None,
    /// The application has yet to decide. `ahead` is the number of bytes after the request head
    /// that were emitted with the request.
    Undecided { ahead: usize },
    /// The application has taken over.
    Tunnel(Box<Tunnel>),
}

/// State of an exchange that has become a tunnel.
pub(crate) struct Tunnel {
    /// What the application has written so far.
    phase: TunnelPhase,
    /// Number of bytes after the request head that were emitted with the request.
    pub(crate) ahead: usize,
    /// Whether the connection's task has stopped parsing HTTP.
    pub(crate) is_entered: bool,
    /// Whether the engine has half-closed the connection, after the last byte of the application.
    pub(crate) is_shut_down: bool,
    drain: Drain,
    /// Whether the engine has sent a close frame on the WebSocket. Later bytes of the application
    /// are dropped (RFC 6455 section 5.5.1).
    is_websocket_closed: bool,
    /// Time from the request to the head of the application's response; `None` before it.
    pub(crate) response_time: Option<Duration>,
}

/// How far the drain of a tunnel has come.
#[derive(Clone, Copy, PartialEq)]
enum Drain {
    /// The worker is not draining.
    None,
    /// The worker is draining. The tunnel is no WebSocket, or none that is old enough to be closed.
    Waiting,
    /// The engine closes the WebSocket once a frame may begin, and then waits for the client.
    Closing,
}

/// What the engine knows about the bytes that the application has written into a tunnel.
enum TunnelPhase {
    /// The bytes so far, which may be part of a response head.
    Head(Vec<u8>),
    /// The application has accepted a WebSocket, whose frames are followed.
    WebSocket(WebSocketFrames),
    /// The bytes are of another protocol and pass through unchanged.
    Bytes,
}

/// What becomes of bytes that the application has written into a tunnel.
#[derive(Default)]
pub(crate) struct TunnelWrite {
    /// The complete response head, if it ends in these bytes.
    pub head: Option<TunnelHead>,
    /// Number of bytes that belong to the response head. They come first.
    pub head_len: usize,
    /// Number of bytes after the head to send to the client. The rest is dropped.
    pub len: usize,
    /// Whether a close frame of the engine follows these bytes.
    pub closes: bool,
    /// The time after which the drain must continue: it closes a WebSocket that was too young, or
    /// aborts one that the client has not closed.
    pub wait: Option<Duration>,
}

/// The head of the response that an application has written into a tunnel.
pub(crate) struct TunnelHead {
    /// Status code; 0 if the bytes are not an HTTP/1.1 response head.
    pub status: u16,
    bytes: Vec<u8>,
    fields_start: usize,
    /// Whether the response accepts a WebSocket: 101 with `Upgrade: websocket`.
    is_websocket: bool,
}

impl Tunnel {
    /// Creates the state of a new tunnel. `is_draining` means that the worker is draining.
    pub fn new(ahead: usize, is_draining: bool) -> Self {
        Self {
            phase: TunnelPhase::Head(Vec::new()),
            ahead,
            is_entered: false,
            is_shut_down: false,
            drain: if is_draining { Drain::Waiting } else { Drain::None },
            is_websocket_closed: false,
            response_time: None,
        }
    }

    /// Takes bytes of the application, `elapsed` after the request.
    pub fn write(&mut self, bytes: &[u8], elapsed: Duration) -> TunnelWrite {
        let mut write = TunnelWrite::default();
        if self.is_websocket_closed {
            return write;
        }
        if let TunnelPhase::Head(head) = &mut self.phase {
            let before = head.len();
            head.extend_from_slice(&bytes[..bytes.len().min(MAX_TUNNEL_HEAD - before)]);
            let end = memchr::memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
            if end.is_none() && head.len() < MAX_TUNNEL_HEAD {
                write.head_len = bytes.len();
                return write;
            }
            // The head ends in these bytes: an end in the earlier ones would have been found.
            write.head_len = end.map_or(0, |end| end - before);
            let mut head = std::mem::take(head);
            head.truncate(end.unwrap_or(0));
            let head = TunnelHead::parse(head);
            self.phase = TunnelPhase::Bytes;
            if head.is_websocket {
                self.phase = TunnelPhase::WebSocket(WebSocketFrames::default());
                write.wait = (self.drain != Drain::None).then_some(MIN_WEBSOCKET_TIME);
            }
            self.response_time = Some(elapsed);
            write.head = Some(head);
        }
        let rest = &bytes[write.head_len..];
        write.len = match &mut self.phase {
            // During a drain, the engine's close frame follows the current frame.
            TunnelPhase::WebSocket(frames) => frames.advance(rest, self.drain == Drain::Closing),
            TunnelPhase::Head(_) | TunnelPhase::Bytes => rest.len(),
        };
        write.closes = self.closes_websocket();
        write
    }

    /// Begins or continues the drain of the tunnel, `elapsed` after the request. A WebSocket gets a
    /// close frame once it is old enough and a frame may begin.
    pub fn drain(&mut self, elapsed: Duration) -> TunnelWrite {
        let (TunnelPhase::WebSocket(_), Some(accepted)) = (&self.phase, self.response_time) else {
            self.drain = Drain::Waiting;
            return TunnelWrite::default();
        };
        if self.drain == Drain::Closing {
            return TunnelWrite::default();
        }
        let age = elapsed.saturating_sub(accepted);
        if let Some(rest) = MIN_WEBSOCKET_TIME.checked_sub(age).filter(|rest| !rest.is_zero()) {
            self.drain = Drain::Waiting;
            return TunnelWrite { wait: Some(rest), ..Default::default() };
        }
        self.drain = Drain::Closing;
        let wait = Some(TUNNEL_CLOSE_TIME);
        TunnelWrite { closes: self.closes_websocket(), wait, ..Default::default() }
    }

    /// Closes the WebSocket in a drain if a frame may begin here and the application has sent no
    /// close frame. Returns whether a close frame must be sent.
    fn closes_websocket(&mut self) -> bool {
        let TunnelPhase::WebSocket(frames) = &self.phase else { return false };
        let closes = self.drain == Drain::Closing
            && !self.is_websocket_closed
            && frames.is_at_boundary()
            && !frames.is_closed();
        self.is_websocket_closed |= closes;
        closes
    }

    /// Whether the application has refused the upgrade instead of taking it over: it has ended its
    /// side after an ordinary response, or without one. No more bytes of the client are expected
    /// then.
    pub fn is_refusal(&self, status: u16) -> bool {
        match &self.phase {
            TunnelPhase::Head(head) => head.is_empty(),
            TunnelPhase::WebSocket(_) | TunnelPhase::Bytes => status >= 300,
        }
    }
}

impl TunnelHead {
    /// Parses a response head. The status is 0 if the bytes are not one.
    fn parse(bytes: Vec<u8>) -> Self {
        let line = memchr::memchr(b'\n', &bytes).map(|end| &bytes[..end]);
        let status = line.and_then(|line| {
            let digits = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
            std::str::from_utf8(digits).ok()?.parse().ok()
        });
        let (Some(status), Some(line)) = (status, line) else {
            return Self { status: 0, bytes: Vec::new(), fields_start: 0, is_websocket: false };
        };
        let fields_start = line.len() + 1;
        let mut head = Self { status, bytes, fields_start, is_websocket: false };
        head.is_websocket = status == 101 && head.has_upgrade_to_websocket();
        head
    }

    /// Returns the header field lines, `Name: value`.
    pub fn fields(&self) -> &[u8] {
        // The empty line at the end is no field.
        let end = self.bytes.len().saturating_sub(2).max(self.fields_start);
        self.bytes.get(self.fields_start..end).unwrap_or_default()
    }

    fn has_upgrade_to_websocket(&self) -> bool {
        self.fields().split(|&byte| byte == b'\n').any(|line| {
            let mut parts = line.splitn(2, |&byte| byte == b':');
            let mut is = |text: &[u8]| {
                parts.next().is_some_and(|part| part.trim_ascii().eq_ignore_ascii_case(text))
            };
            is(b"upgrade") && is(b"websocket")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTS: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n";
    /// A text frame with the payload `hi`.
    const FRAME: &[u8] = &[0x81, 2, b'h', b'i'];
    /// When a WebSocket that `write` has accepted may be closed.
    const LATER: Duration = MIN_WEBSOCKET_TIME.saturating_add(Duration::from_secs(1));

    /// Writes bytes in parts of `step`. Returns the bytes of the head and of the rest that are
    /// sent, the status, and after how many bytes the close frame follows.
    fn write(tunnel: &mut Tunnel, bytes: &[u8], step: usize) -> (Vec<u8>, u16, Option<usize>) {
        let (mut sent, mut status, mut closed) = (Vec::new(), 0, None);
        for part in bytes.chunks(step) {
            let write = tunnel.write(part, Duration::from_secs(1));
            sent.extend_from_slice(&part[..write.head_len + write.len]);
            if let Some(head) = write.head {
                status = head.status;
            }
            if write.closes {
                closed = Some(sent.len());
            }
        }
        (sent, status, closed)
    }

    #[test]
    fn all_bytes_pass_however_they_are_split() {
        let all = [ACCEPTS, FRAME, FRAME].concat();
        for step in 1..all.len() {
            let mut tunnel = Tunnel::new(0, false);
            assert_eq!(write(&mut tunnel, &all, step), (all.clone(), 101, None));
            assert_eq!(tunnel.response_time, Some(Duration::from_secs(1)));
        }
    }

    #[test]
    fn a_drain_closes_a_websocket_after_the_current_frame() {
        for step in [1, 3, 1_000] {
            let mut tunnel = Tunnel::new(0, false);
            write(&mut tunnel, &[ACCEPTS, &FRAME[..3]].concat(), 1_000);
            let drain = tunnel.drain(LATER);
            assert!(drain.wait == Some(TUNNEL_CLOSE_TIME) && !drain.closes);
            let rest = [&FRAME[3..], FRAME].concat();
            assert_eq!(write(&mut tunnel, &rest, step), (b"i".to_vec(), 0, Some(1)));
            let again = tunnel.drain(LATER);
            assert!(!again.closes && again.wait.is_none(), "one close frame is enough");
        }
    }

    #[test]
    fn a_drain_closes_a_websocket_at_once_if_a_frame_may_begin() {
        let mut tunnel = Tunnel::new(0, false);
        write(&mut tunnel, ACCEPTS, 1_000);
        assert!(tunnel.drain(LATER).closes);
        assert_eq!(write(&mut tunnel, FRAME, 1_000).0, b"");
    }

    #[test]
    fn a_drain_leaves_a_young_websocket_its_first_second() {
        let mut tunnel = Tunnel::new(0, false);
        write(&mut tunnel, ACCEPTS, 1_000);
        let drain = tunnel.drain(Duration::from_millis(1_700));
        assert!(!drain.closes && drain.wait == Some(Duration::from_millis(300)));
        assert_eq!(write(&mut tunnel, FRAME, 1_000).0, FRAME);
        let drain = tunnel.drain(LATER);
        assert!(drain.closes && drain.wait == Some(TUNNEL_CLOSE_TIME));
    }

    #[test]
    fn a_websocket_that_is_accepted_in_a_drain_is_closed_after_its_first_second() {
        let mut tunnel = Tunnel::new(0, true);
        let write = tunnel.write(ACCEPTS, Duration::ZERO);
        assert!(!write.closes && write.wait == Some(MIN_WEBSOCKET_TIME));
        assert!(tunnel.drain(MIN_WEBSOCKET_TIME).closes);
    }

    #[test]
    fn a_drain_leaves_other_protocols_and_closed_websockets_alone() {
        let mut other = Tunnel::new(0, true);
        let accepts = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\n".to_vec();
        assert_eq!(write(&mut other, &accepts, 9), (accepts.clone(), 101, None));
        assert!(!other.drain(LATER).closes);
        let mut closed = Tunnel::new(0, false);
        write(&mut closed, &[ACCEPTS, &[0x88, 0]].concat(), 1_000);
        assert!(!closed.drain(LATER).closes, "the application has sent its close frame");
    }

    #[test]
    fn what_is_no_response_head_passes_with_status_0() {
        let long = vec![b'x'; MAX_TUNNEL_HEAD + 10];
        for step in [1_000, MAX_TUNNEL_HEAD * 2] {
            let mut tunnel = Tunnel::new(0, false);
            assert_eq!(write(&mut tunnel, &long, step), (long.clone(), 0, None));
        }
        let mut tunnel = Tunnel::new(0, false);
        assert_eq!(write(&mut tunnel, b"SSH-2.0\r\n\r\n", 100).1, 0);
    }

    #[test]
    fn a_head_has_its_field_lines() {
        let fields = |head: &[u8]| TunnelHead::parse(head.to_vec()).fields().to_vec();
        assert_eq!(fields(ACCEPTS), b"Upgrade: WebSocket\r\n");
        assert_eq!(fields(b"HTTP/1.1 200 OK\r\n\r\n"), b"");
        assert_eq!(fields(b"nothing\r\n\r\n"), b"");
    }

    #[test]
    fn an_end_without_a_response_or_with_an_error_refuses_the_upgrade() {
        let mut tunnel = Tunnel::new(0, false);
        assert!(tunnel.is_refusal(0));
        write(&mut tunnel, ACCEPTS, 1_000);
        assert!(!tunnel.is_refusal(101));
        assert!(tunnel.is_refusal(404));
    }
}

//! h2's side of a connection, and how it ends.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::server::{self, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;

use super::counted_bytes::CountedBytes;
use super::exchange::StreamExchange;
use super::frames::FrameScanner;
use super::h2_transport::{H2Input, H2Transport};
use super::streams::Streams;
use crate::pressure::settings::Settings;
use crate::server::connection::Shared;

/// A stream that has begun.
pub(crate) type IncomingStream = (Request<RecvStream>, SendResponse<CountedBytes>);

/// What a connection has of HTTP/2.
pub(crate) struct Session {
    state: SessionState,
    pub(crate) input: Rc<RefCell<H2Input>>,
    pub(crate) frames: FrameScanner,
    pub(crate) streams: Rc<Streams>,
    /// The client has been told that the connection ends.
    is_draining: bool,
    /// How it has to end, said before it has begun.
    pending_abort: Option<Reason>,
    /// A frame that has begun has to have come by then; `u64::MAX` when none has.
    pub(crate) header_block_deadline: u64,
}

enum SessionState {
    /// Our settings are on their way, the client's preface is.
    Handshaking(Box<Handshake<H2Transport, CountedBytes>>),
    Open(Box<server::Connection<H2Transport, CountedBytes>>),
}

impl Session {
    pub fn new(shared: &Rc<Shared>) -> Self {
        let limits = shared.limits();
        let streams = shared.streams.get_or_init(|| Rc::new(Streams::new())).clone();
        let input = Rc::new(RefCell::new(H2Input::default()));
        let transport = H2Transport { input: input.clone(), shared: shared.clone() };
        Self {
            state: SessionState::Handshaking(Box::new(
                builder(&limits.settings).handshake(transport),
            )),
            input,
            frames: FrameScanner::default(),
            streams,
            is_draining: false,
            pending_abort: None,
            header_block_deadline: u64::MAX,
        }
    }

    /// Lets h2 read and write, and returns the next stream that has begun; `None` at the end of the connection.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<IncomingStream>> {
        if let SessionState::Handshaking(handshake) = &mut self.state {
            match Pin::new(handshake.as_mut()).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Ready(Ok(connection)) => {
                    self.state = SessionState::Open(Box::new(connection));
                    if std::mem::take(&mut self.is_draining) {
                        self.drain();
                    }
                    if let Some(reason) = self.pending_abort.take() {
                        self.abort(reason);
                    }
                }
            }
        }
        let SessionState::Open(connection) = &mut self.state else { return Poll::Pending };
        // An error has been told to the client, as far as it can be.
        connection.poll_accept(cx).map(|next| next.and_then(Result::ok))
    }

    /// Whether the client's preface has not come whole.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.state, SessionState::Handshaking(_))
    }

    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Lets the client know that it is to open no further streams; those that are open, or on their way, are answered.
    pub fn drain(&mut self) {
        if std::mem::replace(&mut self.is_draining, true) {
            return;
        }
        if let SessionState::Open(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }

    /// Ends the connection now.
    pub fn abort(&mut self, reason: Reason) {
        match &mut self.state {
            SessionState::Open(connection) => connection.abrupt_shutdown(reason),
            SessionState::Handshaking(_) => self.pending_abort = Some(reason),
        }
        self.header_block_deadline = u64::MAX;
    }

    /// Gives what JavaScript has said to h2, and returns the streams that are to be reset behind it.
    pub(crate) fn flush(&self) -> Vec<(Rc<StreamExchange>, Reason)> {
        let mut resets = Vec::new();
        for exchange in self.streams.take_dirty() {
            if let Some(reason) = exchange.flush() {
                resets.push((exchange, reason));
            }
        }
        resets
    }

    /// Looks at the streams that h2 has woken.
    pub fn poll_streams(&mut self, shared: &Shared) {
        for slot in self.streams.take_woken_slots() {
            let Some(exchange) = self.streams.at(slot) else { continue };
            if exchange.poll_stream() {
                let now = shared.ctx.now_ms();
                if self.frames.count_reset(now, &shared.limits().settings).is_err() {
                    self.abort(Reason::ENHANCE_YOUR_CALM);
                }
            }
            exchange.finish_if_sent();
        }
        for slot in self.streams.totals.take_sent_slots() {
            if let Some(exchange) = self.streams.at(slot) {
                exchange.finish_if_sent();
            }
        }
    }

    /// Bytes that are held for the connection.
    pub fn held_bytes(&self) -> usize {
        let streams = &self.streams;
        let known = streams.totals.bytes()
            + streams.buffered_body_bytes.get()
            + streams.admission.held_bytes();
        let paused: usize = streams.all().iter().map(|exchange| exchange.paused_bytes()).sum();
        known + paused + self.input.borrow().bytes.len()
    }
}

fn builder(settings: &Settings) -> server::Builder {
    let window = settings.http2_initial_window_size as u32;
    let streams = settings.http2_max_concurrent_streams;
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(window)
        .initial_connection_window_size(
            window.saturating_mul(CONNECTION_WINDOW_STREAMS).min(MAX_WINDOW_BYTES),
        )
        .max_concurrent_streams(streams)
        .max_frame_size(settings.http2_max_frame_size as u32)
        .max_header_list_size(settings.http2_max_header_list_size as u32)
        // Beyond it a client has opened and reset more than it may have open: we have not even seen them.
        .max_pending_accept_reset_streams(streams.min(settings.http2_max_resets) as usize)
        .max_concurrent_reset_streams(streams.saturating_mul(REMEMBERED_RESETS_FACTOR) as usize)
        .reset_stream_duration(REMEMBERED_RESET_TIME)
        .enable_connect_protocol();
    builder
}

/// A client goes on sending until it hears of a reset (RFC 9113 section 5.1), and what comes for a stream that nobody
/// remembers is a mistake of its own, of which h2 forgives a connection few. So as many are remembered as can be open at
/// once, several times over, and until a slow client's window has come.
const REMEMBERED_RESETS_FACTOR: u32 = 4;
const REMEMBERED_RESET_TIME: Duration = Duration::from_secs(10);
/// The window of the connection is that of so many streams.
const CONNECTION_WINDOW_STREAMS: u32 = 16;
const MAX_WINDOW_BYTES: u32 = (1 << 31) - 1;

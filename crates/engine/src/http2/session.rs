//! The h2 state of a connection, from the handshake to the close.

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
use crate::buffers::sizes::{CONNECTION_WINDOW_STREAMS, MAX_WINDOW_BYTES};
use crate::guard::Refusal;
use crate::pressure::eviction::{Shortage, has_stalled};
use crate::pressure::settings::Settings;
use crate::server::connection::state::ConnectionState;

/// A stream that the client has opened: its request and the writer of its response.
pub(crate) type IncomingStream = (Request<RecvStream>, SendResponse<CountedBytes>);

/// The HTTP/2 part of a connection.
pub(crate) struct Session {
    state: SessionState,
    /// Bytes on their way to h2.
    pub(crate) input: Rc<RefCell<H2Input>>,
    /// Scanner of the client's frames.
    pub(crate) frames: FrameScanner,
    pub(crate) streams: Rc<Streams>,
    /// Highest identifier of a stream that h2 has passed on.
    last_begun: u32,
    /// Whether a GOAWAY frame has asked the client to open no more streams.
    is_draining: bool,
    /// Reason of an abort that was requested before the handshake was complete.
    pending_abort: Option<Reason>,
    /// Time by which the open header block must be complete; `u64::MAX` when none is open.
    pub(crate) header_block_deadline: u64,
}

enum SessionState {
    /// Our settings have been queued, the client's preface is incomplete.
    Handshaking(Box<Handshake<H2Transport, CountedBytes>>),
    Open(Box<server::Connection<H2Transport, CountedBytes>>),
}

impl Session {
    pub fn new(shared: &Rc<ConnectionState>) -> Self {
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
            last_begun: 0,
            is_draining: false,
            pending_abort: None,
            header_block_deadline: u64::MAX,
        }
    }

    /// Lets h2 read and write. Returns the next stream that the client has opened, or `None` when
    /// the connection is closed.
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
        // h2 has already reported an error to the client, as far as possible.
        connection.poll_accept(cx).map(|next| next.and_then(Result::ok))
    }

    /// Returns whether the client's preface is incomplete.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.state, SessionState::Handshaking(_))
    }

    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Sends GOAWAY so that the client opens no more streams. Streams that are open or on their way
    /// are served.
    pub fn drain(&mut self) {
        if std::mem::replace(&mut self.is_draining, true) {
            return;
        }
        if let SessionState::Open(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }

    /// Closes the connection at once with a GOAWAY frame.
    pub fn abort(&mut self, reason: Reason) {
        match &mut self.state {
            SessionState::Open(connection) => connection.abrupt_shutdown(reason),
            SessionState::Handshaking(_) => self.pending_abort = Some(reason),
        }
        self.header_block_deadline = u64::MAX;
    }

    /// Passes the commands from JavaScript to h2. Returns the streams that must be reset
    /// afterwards.
    pub(crate) fn flush(&self) -> Vec<(Rc<StreamExchange>, Reason)> {
        let mut resets = Vec::new();
        for stream in self.streams.take_dirty() {
            if let Some(reason) = stream.flush() {
                resets.push((stream, reason));
            }
        }
        resets
    }

    /// Handles the streams that h2 has woken.
    pub fn poll_streams(&mut self, shared: &ConnectionState) {
        for slot in self.streams.take_woken_slots() {
            let Some(stream) = self.streams.get(slot) else { continue };
            if stream.poll_stream() {
                let now = shared.ctx.clock.now_ms();
                if self.frames.count_reset(now, &shared.limits().settings).is_err() {
                    self.abort(Reason::ENHANCE_YOUR_CALM);
                }
            }
            stream.finish_if_sent();
        }
        for slot in self.streams.unsent.take_sent_slots() {
            if let Some(stream) = self.streams.get(slot) {
                stream.finish_if_sent();
            }
        }
    }

    /// Resets the open streams whose trailers have a pseudo-header field (RFC 9113 section 8.1.1).
    /// Streams that h2 has not passed on yet are reset when they begin.
    pub(crate) fn reset_malformed_streams(&mut self) {
        let (streams, last_begun) = (&self.streams, self.last_begun);
        self.frames.reset_malformed(|id| {
            if let Some(stream) = streams.find_by_stream_id(id) {
                stream.shared.ctx.count_refusal(Refusal::BadTrailer);
                stream.exchange.borrow_mut().withdraw(&stream.shared.ctx);
                stream.abort(Reason::PROTOCOL_ERROR);
            }
            id <= last_begun
        });
    }

    /// Begins a stream. Returns whether its trailers, which have already arrived, are malformed.
    pub(crate) fn is_malformed(&mut self, stream_id: u32) -> bool {
        self.last_begun = stream_id;
        let mut is_malformed = false;
        self.frames.reset_malformed(|id| {
            is_malformed |= id == stream_id;
            id <= stream_id
        });
        is_malformed
    }

    /// Refuses all waiting requests because the client does not read its responses. With
    /// `REFUSED_STREAM`, the client may retry on another connection.
    pub(crate) fn refuse_waiting(&mut self) {
        let waiting = self.streams.admission.take_waiting();
        if waiting.is_empty() {
            return;
        }
        for stream in waiting {
            stream.abort(Reason::REFUSED_STREAM);
        }
        self.drain();
    }

    /// Evicts the streams on which the client has stalled. If there are none and memory is short,
    /// evicts all that hold memory.
    pub(crate) fn evict_streams(&mut self, shared: &ConnectionState, shortage: Shortage) {
        let now = shared.ctx.clock.now_ms();
        let mut streams = self.streams.all();
        if shortage == Shortage::Memory {
            streams.retain(|stream| stream.held_bytes() > 0);
        }
        let mut is_any_stalled = false;
        for stream in &streams {
            if shortage == Shortage::RequestSlots && has_stalled(stream.body_late_since(), now) {
                stream.refuse(Refusal::BodyTimeout);
            } else if has_stalled(stream.response_stalled_since(), now) {
                stream.abort(Reason::ENHANCE_YOUR_CALM);
            } else {
                continue;
            }
            is_any_stalled = true;
        }
        if shortage == Shortage::Memory && !is_any_stalled {
            for stream in &streams {
                stream.abort(Reason::ENHANCE_YOUR_CALM);
            }
        }
        self.refuse_waiting();
        self.streams.update_stalled(now);
        shared.forget_eviction();
    }

    /// Returns the number of bytes that are held for the connection.
    pub fn held_bytes(&self) -> usize {
        let streams = &self.streams;
        let known = streams.unsent.bytes() + streams.admission.held_bytes();
        let bodies: usize = streams.all().iter().map(|stream| stream.body_bytes()).sum();
        known + bodies + self.input.borrow().bytes.len()
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
        // A client beyond this limit has reset more streams than it may open, before we have
        // accepted them.
        .max_pending_accept_reset_streams(streams.min(settings.http2_max_resets) as usize)
        .max_concurrent_reset_streams(streams.saturating_mul(REMEMBERED_RESETS_FACTOR) as usize)
        .reset_stream_duration(REMEMBERED_RESET_TIME)
        .enable_connect_protocol();
    builder
}

/// Number of reset streams that h2 remembers, as a multiple of the maximum of open streams. A
/// client may send frames until it receives our reset (RFC 9113 section 5.1). Frames for a
/// forgotten stream are a connection error, and h2 allows few of them.
const REMEMBERED_RESETS_FACTOR: u32 = 4;
/// Time for which h2 remembers a reset stream: by then, the window of a slow client has arrived.
const REMEMBERED_RESET_TIME: Duration = Duration::from_secs(10);

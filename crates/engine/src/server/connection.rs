//! A connection: the part that its task owns. `state.rs` has the part that the reader of the ring
//! changes too.
//!
//! The task (`task.rs`) reads from the socket and passes the bytes to the guard, which releases one
//! message. The task then dispatches the message to JavaScript and sends the bytes that the encoder
//! wrote. Records from JavaScript change the state through
//! [`ResponseSink`](crate::exchange::response_sink::ResponseSink). They wake the task at most once
//! per turn. Each phase is a module of functions over the connection: `phase_serve.rs` and
//! `phase_http2.rs` serve, `tunnel.rs` forwards bytes, `phase_close.rs` closes. They import the
//! modules of their steps, and these import this one, never the other way around.

pub(crate) mod body_buffering;
mod client;
mod deadlines;
mod dispatch;
mod ending;
pub(crate) mod error_response;
mod exchange;
mod expiry;
mod footprint;
mod health;
mod http2_deadlines;
mod http2_dispatch;
mod idle;
mod input;
mod memory_use;
pub(crate) mod permit;
mod phase_close;
mod phase_http2;
mod phase_refused;
mod phase_serve;
mod refusal_state;
mod request_body;
mod response;
mod socket_options;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod task;
pub(crate) mod transfer;
mod tunnel;

use std::cell::OnceCell;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::buffers::read_buffer::ReadBuffer;
use crate::buffers::sizes::MAX_COALESCED_CLOSE_BYTES;
use crate::exchange::min_rate::MinRate;
use crate::guard::Guard;
use crate::http2::session::Session;
use crate::pressure::limits::{Cleartext, IDLE_RELEASE_DELAY, MAX_DRAIN};
use crate::server::affinity::Destination;
use crate::transport::stream::Stream;
use permit::ConnectionPermit;
use refusal_state::RepeatedError;
use state::ConnectionState;
use table::TableEntry;

/// What the task of a connection does now.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    /// The task reads requests and sends responses.
    Serving,
    /// A request was refused, and the application writes the response, as in Node. Like Node's
    /// parser, the connection reports the error again for what it reads next.
    Refused(RepeatedError),
    /// The task sends the last response, then half-closes the connection.
    Flushing,
    /// The connection is half-closed. Bytes that the client still sends are discarded, so that it
    /// reads the response before a reset destroys it (RFC 9112 section 9.6).
    Lingering,
}

/// What the connection's task does after one step.
pub(crate) enum Turn {
    /// Run another step at once.
    Again,
    /// Wait for the socket, a deadline or JavaScript.
    Wait,
    /// Send the write queue, then half-close.
    Flush,
    /// Drop the connection.
    Close,
    /// Replace the task by an idle record: nothing is left to do until the next request.
    MakeIdle,
}

/// The part of a connection that only its task uses.
pub(crate) struct Connection {
    /// State that the reader of the ring also changes.
    pub(crate) shared: Rc<ConnectionState>,
    /// Keeps the connection counted until every other field is dropped.
    pub(crate) permit: ConnectionPermit,
    /// The socket, with or without TLS.
    pub(crate) stream: Stream,
    pub(crate) phase: Phase,
    /// Parser that checks every byte before anything else uses it.
    pub(crate) guard: Guard,
    /// Received bytes that the guard has not consumed: part of a head, or pipelined requests.
    pub(crate) read_buffer: ReadBuffer,
    /// Whether the client has half-closed the connection.
    pub(crate) has_input_ended: bool,
    /// Number of batches that JavaScript had taken when the task noticed the client's half-close
    /// during the exchange in flight; `None` if it has not.
    pub(crate) half_close_noticed_at: Option<u64>,
    /// Minimum rate at which the client must read the response.
    pub(crate) response_rate: MinRate,
    /// Number of bytes that the client's TCP had acknowledged at the last check.
    pub(crate) last_acknowledged: u64,
    /// Whether the task reads no further request until the client has read more of its responses.
    pub(crate) waits_for_reader: bool,
    /// Whether the buffers have been freed since the connection began to wait for a request.
    pub(crate) has_freed_buffers: bool,
    /// Whether the client has declared its last request (`Connection: close`) and every byte of it
    /// has been read.
    pub(crate) is_client_done: bool,
    /// Number of bytes that may still be read and discarded while the connection closes.
    pub(crate) linger: usize,
    /// Whether the first bytes may still turn out to be the HTTP/2 preface (RFC 9113 section 3.4).
    pub(crate) awaits_preface: bool,
    /// The worker that the request just released belongs to, if it is another one.
    pub(crate) destination: Option<Destination>,
    /// Whether the next request is served here, whatever session it belongs to: another worker has
    /// transferred the connection for it.
    pub(crate) is_transferred: bool,
    /// The HTTP/2 session, if the connection uses HTTP/2.
    pub(crate) http2: Option<Box<Session>>,
}

impl Connection {
    /// Creates an accepted connection and adds it to the table.
    pub fn new(permit: ConnectionPermit, stream: Stream) -> Self {
        let (ctx, peer, server_id) = (permit.ctx().clone(), permit.peer(), permit.server_id());
        let state = OnceCell::new();
        ctx.tables.connections.borrow_mut().insert_with(|id| {
            let shared =
                state.get_or_init(|| ConnectionState::new(ctx.clone(), id, server_id, peer));
            TableEntry::Serving(shared.clone())
        });
        let shared = state
            .into_inner()
            .unwrap_or_else(|| ConnectionState::new(ctx.clone(), 0, server_id, peer));
        shared.start_wait(shared.limits().settings.header_timeout);
        shared.client.set_proxied(permit.proxied());
        if ctx.announces_at_accept {
            shared.emit_connection(&stream);
        }
        ctx.start_clock();
        if ctx.lifecycle.is_draining.get() {
            shared.drain();
        }
        // A PROXY protocol header precedes the TLS handshake, so it has been read already.
        let is_past_proxy_header = stream.is_secure();
        Self::resumed(shared, permit, stream, is_past_proxy_header)
    }

    /// Creates a connection that waits for a request, either a new one or a resumed one.
    /// `is_past_proxy_header` is true if the next bytes are a request head.
    pub(crate) fn resumed(
        shared: Rc<ConnectionState>,
        permit: ConnectionPermit,
        stream: Stream,
        is_past_proxy_header: bool,
    ) -> Self {
        let mut guard = Guard::for_peer(&shared.limits().parse_policy, &permit.peer());
        if is_past_proxy_header {
            guard.start_next_message();
        }
        let total_sent = shared.write_queue.borrow().total_sent();
        let release_at = shared.ctx.clock.deadline(IDLE_RELEASE_DELAY);
        shared.set_deadline_at(shared.timer.wait_ends_at.get().min(release_at));
        let mut connection = Self {
            shared,
            permit,
            stream,
            phase: Phase::Serving,
            guard,
            read_buffer: ReadBuffer::default(),
            has_input_ended: false,
            half_close_noticed_at: None,
            response_rate: MinRate::OFF,
            last_acknowledged: total_sent,
            waits_for_reader: false,
            has_freed_buffers: false,
            is_client_done: false,
            linger: MAX_DRAIN,
            awaits_preface: false,
            destination: None,
            is_transferred: false,
            http2: None,
        };
        connection.awaits_preface =
            connection.shared.requests.get() == 0 && connection.may_use_http2();
        connection
    }

    /// Sends the write queue as far as the socket accepts it.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut out = self.shared.write_queue.borrow_mut();
        if out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if out.len() <= MAX_COALESCED_CLOSE_BYTES && self.shared.ends_now() {
            self.stream.mark_next_write_last();
        }
        let sent = out.poll_send(&mut self.stream, cx, self.shared.ctx.max_burst());
        drop(out);
        match sent {
            Poll::Pending => self.start_response_clock(),
            Poll::Ready(Ok(())) => self.stop_response_clock(),
            Poll::Ready(Err(_)) => {}
        }
        sent
    }

    /// Reads from the socket and counts the bytes.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        let read = self.stream.poll_read(cx, buf);
        if let Poll::Ready(Ok(count)) = read {
            self.shared.count_received(count);
        }
        read
    }

    /// Notifies JavaScript that all bytes of the exchange have been sent, if it waits for that.
    pub(crate) fn notify_sent(&mut self) {
        let mut exchange = self.shared.exchange.borrow_mut();
        if let Some(exchange) = exchange.as_mut()
            && exchange.take_notification()
        {
            self.shared.ctx.outbox.emit(|batch| batch.push_drained(exchange.id));
            // JavaScript gets a turn after this event, even if the client has half-closed.
            self.half_close_noticed_at = None;
        }
    }

    /// Starts the phase that sends the last response.
    pub(crate) fn begin_flush(&mut self) {
        self.phase = Phase::Flushing;
        self.register_flush_deadline();
    }

    /// Whether JavaScript has processed a batch since the task noticed the half-close, and all its
    /// records have been read. If not, schedules a wake of the connection to check again.
    pub(crate) fn has_javascript_passed_end(&mut self) -> bool {
        let ctx = &self.shared.ctx;
        // JavaScript can take only events that have been delivered.
        if self.half_close_noticed_at.is_none() && !ctx.outbox.is_due() {
            self.half_close_noticed_at = Some(ctx.handoff.takes());
        }
        let has_passed =
            self.half_close_noticed_at.is_some_and(|seen_at| ctx.handoff.has_passed(seen_at));
        // Check the ring after the batch: JavaScript may have written a response meanwhile.
        if has_passed && !ctx.handoff.ring.has_unread_records() {
            return true;
        }
        ctx.tables.awaiting_javascript.borrow_mut().push(self.shared.clone());
        ctx.watch_ring();
        false
    }

    /// Whether part of a request head has arrived. Empty lines before a head do not count (RFC 9112
    /// section 2.2).
    pub(crate) fn has_partial_head(&self) -> bool {
        !self.read_buffer.unread().iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// Returns whether the client may use HTTP/2, so that the first bytes must be searched for the
    /// preface.
    pub(crate) fn may_use_http2(&self) -> bool {
        self.must_use_http2() || self.cleartext_mode() == Cleartext::Beside
    }

    pub(crate) fn must_use_http2(&self) -> bool {
        self.stream.protocol() == Some(ALPN_H2) || self.cleartext_mode() == Cleartext::Alone
    }

    fn cleartext_mode(&self) -> Cleartext {
        if self.stream.is_secure() { Cleartext::Off } else { self.shared.limits().cleartext }
    }
}

/// ALPN protocol name of HTTP/2 (RFC 9113 section 3.2).
const ALPN_H2: &[u8] = b"h2";

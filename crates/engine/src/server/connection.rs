//! A connection: the task that owns the socket, and the state that it shares with the ring's
//! reader.
//!
//! The task reads from the socket, lets the guard release one message, dispatches it to JavaScript,
//! and sends the bytes that the encoder wrote. Records from JavaScript change the shared state
//! through [`ResponseSink`](crate::exchange::response_sink::ResponseSink) and wake the task at most
//! once per turn. `phase_serve.rs` is one turn, `dispatch.rs` passes requests to JavaScript,
//! `deadlines.rs` has every deadline, `phase_close.rs` closes the connection.

pub(crate) mod accounting;
pub(crate) mod body_buffering;
pub(crate) mod deadlines;
pub(crate) mod dispatch;
pub(crate) mod error_response;
pub(crate) mod exchange;
pub(crate) mod idle;
pub(crate) mod memory_use;
pub(crate) mod min_rate;
pub(crate) mod permit;
pub(crate) mod phase_close;
pub(crate) mod phase_serve;
pub(crate) mod request_body;
pub(crate) mod response;
pub(crate) mod socket_options;
pub(crate) mod state;
pub(crate) mod tunnel;
pub(crate) mod websocket;

use std::cell::OnceCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;

use crate::buffers::read_buffer::ReadBuffer;
use crate::exchange::request_head::Framing;
use crate::guard::{Guard, PartialRequest, Refusal};
use crate::http2::Session;
use crate::pressure::admission::Verdict;
use crate::pressure::limits::{IDLE_RELEASE_DELAY, MAX_DRAIN, MAX_LINGER, READ_AHEAD};
use crate::runtime::executor;
use crate::runtime::sockets::RegisteredFd;
use crate::server::context::Context;
use crate::transport::listener::{AcceptedConnection, PeerAddr};
use crate::transport::stream::Stream;
use crate::transport::tls;
pub(crate) use body_buffering::{BodyBuffering, end_body_buffering};
use error_response::RefusalState;
pub(crate) use error_response::{is_refused_by_engine, write_application_response};
pub(crate) use exchange::Exchange;
pub(crate) use exchange::LogInfo;
pub(crate) use idle::{
    TableEntry, abort_connection, abort_connections, advance_wheel, close_connection, evict_now,
    resume,
};
use min_rate::MinRate;
pub(crate) use permit::ConnectionPermit;
pub(crate) use state::ConnectionState;

/// The phase of a connection's life.
pub(crate) enum Phase {
    /// Requests are read and answered.
    Serving,
    /// The last request was refused, and the application writes the response to it.
    Refused,
    /// The last response is being sent; then the connection is half-closed.
    Flushing,
    /// The connection is half-closed. Bytes that the client still sends are discarded, so that it
    /// reads the response before a reset destroys it (RFC 9112 section 9.6).
    Lingering,
}

/// The result of one step of the connection's task.
pub(crate) enum Turn {
    /// Run another step at once.
    Again,
    /// Wait for the socket, a deadline or JavaScript.
    Wait,
    /// Send the write queue, then half-close.
    Flush,
    /// Drop the connection.
    Close,
    /// Nothing is left to do until the next request; the connection needs no task for that.
    MakeIdle,
}

/// How a connection's task finishes.
pub(crate) enum TaskEnd {
    /// The connection is closed.
    Closed,
    /// The connection continues as an idle record.
    Idle,
}

/// The task of a connection. A connection that waits for a request has none (`idle.rs`).
struct Task(Option<Connection>);

/// A connection as its task owns it.
pub(crate) struct Connection {
    pub(crate) shared: Rc<ConnectionState>,
    /// Keeps the connection counted until every other field is dropped.
    pub(crate) permit: ConnectionPermit,
    pub(crate) stream: Stream,
    pub(crate) phase: Phase,
    pub(crate) guard: Guard,
    /// Received bytes that the guard could not use yet: part of a head, or pipelined requests.
    pub(crate) read_buffer: ReadBuffer,
    /// Whether the client has half-closed its side.
    pub(crate) has_input_ended: bool,
    /// How many batches JavaScript had taken when the client's half-close was noticed during the
    /// current exchange.
    pub(crate) half_close_noticed_at: Option<u64>,
    /// Minimum rate of the request body that the client is sending.
    pub(crate) body_rate: MinRate,
    /// Minimum rate at which the client reads the response.
    pub(crate) response_rate: MinRate,
    /// Bytes that the client's TCP had acknowledged at the last check.
    pub(crate) last_acknowledged: u64,
    /// Whether reading is paused until the client has read more of its responses, although a
    /// complete request head may have arrived.
    pub(crate) waits_for_reader: bool,
    /// Whether the buffers of this connection have been freed while it waits.
    pub(crate) has_freed_buffers: bool,
    /// Whether the client has announced its last request and all its requests have been read.
    pub(crate) is_client_done: bool,
    /// Bytes that may still be read and discarded while the connection closes.
    pub(crate) linger: usize,
    /// Whether the first bytes may still be the HTTP/2 preface.
    pub(crate) awaits_preface: bool,
    /// The HTTP/2 session, if the connection uses HTTP/2.
    pub(crate) http2: Option<Box<Session>>,
}

impl Connection {
    pub fn new(permit: ConnectionPermit, stream: Stream) -> Self {
        let (ctx, peer, server_id) = (permit.ctx().clone(), permit.peer(), permit.server_id());
        let made = OnceCell::new();
        ctx.connections.borrow_mut().insert_with(|id| {
            let shared =
                made.get_or_init(|| ConnectionState::new(ctx.clone(), id, server_id, peer));
            TableEntry::Serving(shared.clone())
        });
        let shared = made
            .into_inner()
            .unwrap_or_else(|| ConnectionState::new(ctx.clone(), 0, server_id, peer));
        shared.start_wait(shared.limits().settings.header_timeout);
        shared.set_proxied_addresses(permit.proxied());
        if ctx.announces_at_accept {
            shared.emit_connection(&stream);
        }
        ctx.connection_opened.notify_one();
        if ctx.is_draining.get() {
            shared.drain();
        }
        // A PROXY protocol header precedes the TLS handshake, so it has been read already.
        let is_past_proxy_header = stream.is_secure();
        Self::resumed(shared, permit, stream, is_past_proxy_header)
    }

    /// Creates a connection that waits for a request, either a new one or a resumed one.
    /// `is_past_proxy_header` is true if the next bytes are a request head.
    fn resumed(
        shared: Rc<ConnectionState>,
        permit: ConnectionPermit,
        stream: Stream,
        is_past_proxy_header: bool,
    ) -> Self {
        let mut guard = Guard::for_peer(&shared.limits().parse_policy, &permit.peer());
        if is_past_proxy_header {
            guard.start_next_message();
        }
        let soon = shared.ctx.deadline(IDLE_RELEASE_DELAY);
        shared.set_deadline_at(shared.wait_ends_at.get().min(soon));
        let mut connection = Self {
            shared,
            permit,
            stream,
            phase: Phase::Serving,
            guard,
            read_buffer: ReadBuffer::default(),
            has_input_ended: false,
            half_close_noticed_at: None,
            body_rate: MinRate::OFF,
            response_rate: MinRate::OFF,
            last_acknowledged: 0,
            waits_for_reader: false,
            has_freed_buffers: false,
            is_client_done: false,
            linger: MAX_DRAIN,
            awaits_preface: false,
            http2: None,
        };
        connection.awaits_preface =
            connection.shared.requests.get() == 0 && connection.may_use_http2();
        connection
    }

    /// Runs turns until the connection has nothing to do.
    fn run_turns(&mut self, cx: &mut TaskContext<'_>) -> Poll<TaskEnd> {
        for option in self.shared.pending_socket_options.take() {
            self.stream.set_option(option);
        }
        if self.shared.is_aborted.get() {
            // Sends what was written before, as far as the socket accepts it, like Node's writes.
            let _ = self.send(cx);
            if self.shared.aborts_with_reset.get() {
                self.stream.reset_on_close();
            }
            return Poll::Ready(TaskEnd::Closed);
        }
        if self.shared.closes_after_write.take() && matches!(self.phase, Phase::Serving) {
            self.begin_flush();
        }
        if self.shared.has_pending_eviction.take() {
            match self.carry_out_eviction() {
                Turn::Close => return Poll::Ready(TaskEnd::Closed),
                Turn::Flush => self.begin_flush(),
                Turn::Again | Turn::Wait | Turn::MakeIdle => {}
            }
        }
        for _ in 0..MAX_TURNS {
            let turn = match self.phase {
                Phase::Serving => self.serve(cx),
                Phase::Refused => self.await_application_response(cx),
                Phase::Flushing => self.flush(cx),
                Phase::Lingering => self.linger(cx),
            };
            match turn {
                Turn::Again => {}
                Turn::Wait => return Poll::Pending,
                Turn::Flush => self.begin_flush(),
                Turn::MakeIdle => return Poll::Ready(TaskEnd::Idle),
                Turn::Close => return Poll::Ready(TaskEnd::Closed),
            }
        }
        // Yield: a client that sends without pause must not occupy the thread.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends the write queue as far as the socket accepts it.
    pub(crate) fn send(&mut self, cx: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
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
            Poll::Pending => self.start_output_clock(),
            Poll::Ready(Ok(())) => self.stop_output_clock(),
            Poll::Ready(Err(_)) => {}
        }
        sent
    }

    /// Notifies JavaScript that everything is sent, if it asked for that.
    fn notify_sent(&mut self) {
        let mut exchange = self.shared.exchange.borrow_mut();
        if let Some(exchange) = exchange.as_mut()
            && std::mem::take(&mut exchange.notifies_when_sent)
        {
            self.shared.ctx.emit(|batch| batch.push_drained(exchange.id));
            // JavaScript has a turn after this event, even if the client has half-closed.
            self.half_close_noticed_at = None;
        }
    }

    /// Collects what is known of a request that is refused by another part than the guard.
    fn parse_partial_request(&self) -> PartialRequest {
        if self.guard.is_awaiting_head() {
            return PartialRequest::parse_head(self.read_buffer.unread());
        }
        let exchange = self.shared.exchange.borrow();
        if exchange.as_ref().is_some_and(|exchange| exchange.framing != Framing::None) {
            return self.guard.partial_request_of_body();
        }
        // The head is complete, as the guard released it.
        PartialRequest::parse_head(&self.shared.parsed_message.borrow().head)
    }

    fn refuse(&mut self, refusal: Refusal) -> Turn {
        // A client that is sending a body reads the response after it.
        let in_body = refusal == Refusal::BodyTooLarge || self.guard.is_in_message();
        self.linger = if in_body { MAX_DRAIN } else { MAX_LINGER };
        // With Node's behavior the application may answer; JavaScript knows whether it listens.
        let is_answered = refusal.kind() > 0 && self.shared.limits().node_compatible;
        if is_answered || self.shared.ctx.reports_refusals(self.shared.server_id) {
            self.shared.emit_connection(&self.stream);
            let unread = self.read_buffer.unread();
            let packet = Bytes::copy_from_slice(&unread[..unread.len().min(READ_AHEAD)]);
            let kind = refusal.kind();
            self.shared.ctx.emit(|batch| batch.push_refusal(self.shared.id, kind, packet));
        }
        let fault = self
            .guard
            .take_partial_request()
            .unwrap_or_else(|| Box::new(self.parse_partial_request()));
        if is_answered {
            self.shared.refusal_state.set(RefusalState::AwaitsApplication);
            self.shared.start_wait(self.shared.limits().settings.header_timeout);
            self.shared.set_deadline_at(self.shared.wait_ends_at.get());
            self.phase = Phase::Refused;
        } else if self.is_invalid_preface(refusal, &fault) {
            self.shared.refusal_state.set(RefusalState::ClosedSilently);
        }
        self.shared.refuse(refusal, &fault);
        if is_answered { Turn::Again } else { Turn::Flush }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Some(connection) = self.0.as_mut() else { return Poll::Ready(()) };
        connection.shared.task.register(cx);
        let end = connection.run_turns(cx);
        connection.update_accounting();
        match end {
            Poll::Pending => Poll::Pending,
            Poll::Ready(TaskEnd::Closed) => Poll::Ready(()),
            Poll::Ready(TaskEnd::Idle) => {
                if let Some(connection) = self.0.take() {
                    idle::make_idle(connection);
                }
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let Some(connection) = &self.0 else { return };
        let shared = &connection.shared;
        shared.abort_exchange();
        shared.abort_streams();
        shared.set_writing(false);
        shared.set_held_bytes(0);
        idle::remove_closed(&shared.ctx, shared);
    }
}

/// Starts an accepted connection, with a TLS handshake if its listener requires one.
pub(crate) fn begin_connection(ctx: &Rc<Context>, accepted: AcceptedConnection) {
    let unix = matches!(accepted.peer, PeerAddr::Unix);
    let (verdict, share) = ctx.admission.admit(ctx, &accepted);
    let permit = ConnectionPermit::new(ctx.clone(), (accepted.peer, accepted.server_id), share);
    if verdict == Verdict::Closed {
        drop(accepted);
        permit.emit_unserved();
        return ctx.handoff.descriptor_freed();
    }
    let socket = RegisteredFd::new(accepted.fd, &ctx.sockets).into_socket(!unix);
    if !accepted.is_tls {
        let refusal = (verdict == Verdict::Refused).then_some(Refusal::Overloaded);
        serve(permit, Stream::Plain(socket), refusal);
    } else if verdict == Verdict::Admitted {
        tls::begin_handshake(permit, socket);
    } else {
        // No response can be sent before the handshake.
        permit.emit_unserved();
    }
}

/// Closes an accepted connection before anything was read from it.
pub(crate) fn close_accepted(ctx: &Rc<Context>, accepted: &AcceptedConnection) {
    let (_, share) = ctx.admission.admit(ctx, accepted);
    ConnectionPermit::new(ctx.clone(), (accepted.peer, accepted.server_id), share).emit_unserved();
}

/// Serves HTTP on a connection, or refuses it with `refusal`.
pub(crate) fn serve(permit: ConnectionPermit, stream: Stream, refusal: Option<Refusal>) {
    let mut connection = Connection::new(permit, stream);
    if let Some(refusal) = refusal {
        connection.refuse(refusal);
        connection.begin_flush();
    }
    executor::spawn(Task(Some(connection)));
}

/// Bytes up to which the end of the last response is sent together with the close of the
/// connection. A longer one has filled TLS records before.
const MAX_COALESCED_CLOSE_BYTES: usize = 16_384;
/// Turns of a connection before other connections have theirs.
const MAX_TURNS: usize = 16;

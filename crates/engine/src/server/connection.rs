//! A connection: the task that owns the socket, and the state that it shares with the reader of
//! the ring.
//!
//! The task reads from the socket and passes the bytes to the guard, which releases one message.
//! The task then dispatches the message to JavaScript and sends the bytes that the encoder wrote.
//! Records from JavaScript change the shared state through
//! [`ResponseSink`](crate::exchange::response_sink::ResponseSink). They wake the task at most once
//! per turn. `phase_serve.rs` has one turn, `dispatch.rs` passes requests to JavaScript,
//! `deadlines.rs` has every deadline, and `phase_close.rs` closes the connection.

pub(crate) mod body_buffering;
pub(crate) mod deadlines;
pub(crate) mod dispatch;
pub(crate) mod ending;
pub(crate) mod error_response;
pub(crate) mod exchange;
pub(crate) mod health;
pub(crate) mod idle;
pub(crate) mod memory_use;
pub(crate) mod permit;
pub(crate) mod phase_close;
pub(crate) mod phase_serve;
pub(crate) mod request_body;
pub(crate) mod response;
pub(crate) mod socket_options;
pub(crate) mod state;
pub(crate) mod transfer;
pub(crate) mod tunnel;

use std::cell::OnceCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use crate::buffers::read_buffer::ReadBuffer;
use crate::buffers::sizes::MAX_COALESCED_CLOSE_BYTES;
use crate::exchange::ExchangeEnd;
use crate::exchange::min_rate::MinRate;
use crate::exchange::request_head::Framing;
use crate::guard::{Guard, PartialRequest, Refusal};
use crate::http2::Session;
use crate::pressure::limits::{IDLE_RELEASE_DELAY, MAX_DRAIN, MAX_LINGER};
use crate::server::affinity::Destination;
use crate::server::io_thread::alarms::start_clock;
use crate::transport::stream::Stream;
use crate::transport::transfer::Transfer;
pub(crate) use body_buffering::{BodyBuffering, end_body_buffering};
use ending::Ending;
use error_response::RefusalState;
use error_response::RepeatedError;
pub(crate) use error_response::{is_refused_by_engine, write_application_response};
pub(crate) use idle::{
    TableEntry, abort_connection, abort_connections, advance_wheel, byte_counts_of,
    close_connection, resume,
};
pub(crate) use memory_use::Eviction;
pub(crate) use permit::ConnectionPermit;
pub(crate) use state::ConnectionState;

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

/// How a connection's task finishes.
pub(crate) enum TaskEnd {
    /// The connection is closed.
    Closed,
    /// The connection continues as an idle record without a task.
    Idle,
}

/// The task of a connection. It is empty once the connection has become idle (`idle.rs`).
struct Task(Option<Connection>);

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
        shared.set_proxied_addresses(permit.proxied());
        if ctx.announces_at_accept {
            shared.emit_connection(&stream);
        }
        start_clock(&ctx);
        if ctx.lifecycle.is_draining.get() {
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

    /// Takes steps until the connection has nothing to do, up to [`MAX_TURNS`].
    fn run_turns(&mut self, cx: &mut TaskContext<'_>) -> Poll<TaskEnd> {
        for option in self.shared.pending_socket_options.take() {
            self.stream.set_option(option);
        }
        let ending = self.shared.ending.get();
        if ending >= Ending::Aborted {
            // Like Node, send what was written before the abort, as far as the socket accepts it.
            let _ = self.send(cx);
            if ending == Ending::Reset {
                self.stream.reset_on_close();
            }
            return Poll::Ready(TaskEnd::Closed);
        }
        let may_write = matches!(self.phase, Phase::Serving | Phase::Refused(_));
        if ending == Ending::AfterWrite && may_write {
            self.begin_flush();
        }
        if let Eviction::Pending(shortage) = self.shared.footprint.eviction.get() {
            match self.carry_out_eviction(shortage) {
                Turn::Close => return Poll::Ready(TaskEnd::Closed),
                Turn::Flush => self.begin_flush(),
                Turn::Again | Turn::Wait | Turn::MakeIdle => {}
            }
        }
        for _ in 0..MAX_TURNS {
            let turn = match self.phase {
                Phase::Serving => self.serve(cx),
                Phase::Refused(_) => self.await_application_response(cx),
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
        // Yield: a client that sends without a pause must not occupy the thread.
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
            Poll::Pending => self.start_response_clock(),
            Poll::Ready(Ok(())) => self.stop_response_clock(),
            Poll::Ready(Err(_)) => {}
        }
        sent
    }

    /// Notifies JavaScript that all bytes of the exchange have been sent, if it waits for that.
    fn notify_sent(&mut self) {
        let mut exchange = self.shared.exchange.borrow_mut();
        if let Some(exchange) = exchange.as_mut()
            && exchange.take_notification()
        {
            self.shared.ctx.outbox.emit(|batch| batch.push_drained(exchange.id));
            // JavaScript gets a turn after this event, even if the client has half-closed.
            self.half_close_noticed_at = None;
        }
    }

    /// Parses as much as possible of a request that another part than the guard refuses.
    fn parse_partial_request(&self) -> PartialRequest {
        if self.guard.is_awaiting_head() {
            return PartialRequest::parse_head(self.read_buffer.unread());
        }
        let exchange = self.shared.exchange.borrow();
        if exchange.as_ref().is_some_and(|exchange| exchange.body.framing != Framing::None) {
            return self.guard.partial_request_of_body();
        }
        // The guard has released the head, so it is complete.
        PartialRequest::parse_head(&self.shared.parsed_message.borrow().head)
    }

    /// Refuses the request, or the connection if there is no request. The application writes the
    /// response if the server behaves like Node; otherwise the engine does.
    pub(crate) fn refuse(&mut self, refusal: Refusal) -> Turn {
        self.refuse_input(refusal, None)
    }

    /// Like [`Self::refuse`], for input that is not in the read buffer. JavaScript receives it.
    pub(crate) fn refuse_input(&mut self, refusal: Refusal, input: Option<&[u8]>) -> Turn {
        // A client that is sending a body reads the response only after it has sent the body.
        let in_body = refusal == Refusal::BodyTooLarge || self.guard.is_in_message();
        self.linger = if in_body { MAX_DRAIN } else { MAX_LINGER };
        // With Node's behavior, JavaScript decides: the application may listen to 'clientError'.
        let is_left_to_application = refusal.kind() > 0 && self.shared.limits().node_compatible;
        if is_left_to_application || self.shared.ctx.servers.reports_refusals(self.shared.server_id)
        {
            self.shared.emit_connection(&self.stream);
            let unread = input.unwrap_or_else(|| self.read_buffer.unread());
            self.shared.emit_refusal(refusal.kind(), unread);
        }
        let fault = self
            .guard
            .take_partial_request()
            .unwrap_or_else(|| Box::new(self.parse_partial_request()));
        if is_left_to_application {
            self.shared.refusal_state.set(RefusalState::AwaitsApplication);
            self.shared.start_wait(self.shared.limits().settings.header_timeout);
            self.shared.set_deadline_at(self.shared.timer.wait_ends_at.get());
            self.phase = Phase::Refused(RepeatedError::new(refusal));
        } else if self.is_invalid_preface(refusal, &fault) {
            self.shared.refusal_state.set(RefusalState::ClosedSilently);
        }
        self.shared.refuse(refusal, &fault);
        if is_left_to_application { Turn::Again } else { Turn::Flush }
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
        // On Node, a request that has arrived is always emitted.
        if !shared.limits().node_compatible
            && let Some(exchange) = shared.exchange.borrow_mut().as_mut()
        {
            exchange.withdraw(&shared.ctx);
        }
        shared.end_current_exchange(ExchangeEnd::ClientGone);
        shared.end_streams(ExchangeEnd::ClientGone);
        shared.set_unsent_response(false);
        shared.set_held_bytes(0);
        idle::remove_closed(&shared.ctx, shared);
    }
}

/// Spawns the task of a connection, which another worker may have transferred to this one. With a
/// `refusal`, the task only sends the error response.
pub(crate) fn serve(
    permit: ConnectionPermit,
    stream: Stream,
    transfer: Option<Box<Transfer>>,
    refusal: Option<Refusal>,
) {
    let mut connection = Connection::new(permit, stream);
    if let Some(transfer) = transfer {
        connection.continue_transfer(&transfer);
    }
    if let Some(refusal) = refusal {
        connection.refuse(refusal);
        connection.begin_flush();
    }
    let executor = connection.shared.ctx.executor.clone();
    executor.spawn(Task(Some(connection)));
}

/// Maximum steps of a connection before other connections have a turn.
const MAX_TURNS: usize = 16;

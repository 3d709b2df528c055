//! One HTTP/1 connection: a task that owns the socket, and the state it shares with the ring's task.
//!
//! The task reads, lets the guard release one message, passes it on to JavaScript, and sends what the encoder wrote.
//! Commands of JavaScript reach the shared state through [`ResponseSink`](crate::exchange::response_sink::ResponseSink) and wake the task once
//! a turn. `serving.rs` is a turn, `reader.rs` what JavaScript hears in it, `clocks.rs` every deadline, `closing.rs` the end.

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
use error_response::Refused;
pub(crate) use error_response::{answer_refused, is_refused};
pub(crate) use exchange::Exchange;
pub(crate) use exchange::LogInfo;
pub(crate) use idle::{
    TableEntry, abort_connection, abort_connections, check_deadline, close_connection, evict_now,
    resume,
};
use min_rate::MinRate;
pub(crate) use permit::ConnectionPermit;
pub(crate) use state::ConnectionState;

/// Where a connection is in its life.
pub(crate) enum Phase {
    /// Requests are read and answered.
    Serving,
    /// The last one has been refused, and the program answers that.
    Refused,
    /// The last answer is being sent; then the connection is half closed.
    Flushing,
    /// Half closed; what the client still sends is thrown away, so that it reads the answer.
    Lingering,
}

/// What a turn of the task came to.
pub(crate) enum Turn {
    Again,
    Wait,
    Flush,
    Close,
    /// Nothing is left to do until the next request: no task is needed for that.
    MakeIdle,
}

/// How a task ends.
pub(crate) enum TaskEnd {
    Closed,
    Idle,
}

/// The task of a connection. Thousands wait for a request at any time: those have none (`parked.rs`).
struct Task(Option<Connection>);

/// What the task has.
pub(crate) struct Connection {
    pub(crate) shared: Rc<ConnectionState>,
    /// Counted until everything else has gone.
    pub(crate) arrival: ConnectionPermit,
    pub(crate) stream: Stream,
    pub(crate) phase: Phase,
    pub(crate) guard: Guard,
    /// Bytes that the guard could not take yet: a head in pieces, or pipelined requests.
    pub(crate) read_buffer: ReadBuffer,
    /// The client has ended its side.
    pub(crate) input_ended: bool,
    /// Where JavaScript was when an end of input was found with this exchange in hand.
    pub(crate) end_seen_at: Option<u64>,
    /// The client's pace in sending the body of the request in hand.
    pub(crate) input: MinRate,
    /// The client's pace in taking what waits to be sent.
    pub(crate) output: MinRate,
    /// How much the client's side had acknowledged when that was looked at last.
    pub(crate) acknowledged: u64,
    /// What may be a whole head is not looked at before the client has taken more of its answers.
    pub(crate) waits_for_reader: bool,
    /// Nothing is held but what the task itself is.
    pub(crate) has_freed_buffers: bool,
    /// The client has said that it asks for nothing more, and all that it asked for has been read.
    pub(crate) client_is_done: bool,
    /// Bytes that are read and thrown away at the end.
    pub(crate) linger: usize,
    /// It may still turn out to speak HTTP/2.
    pub(crate) awaits_preface: bool,
    /// It speaks HTTP/2.
    pub(crate) http2: Option<Box<Session>>,
}

impl Connection {
    pub fn new(arrival: ConnectionPermit, stream: Stream) -> Self {
        let (ctx, peer, server_id) = (arrival.ctx().clone(), arrival.peer(), arrival.server_id());
        let made = OnceCell::new();
        ctx.connections.borrow_mut().insert_with(|id| {
            let shared =
                made.get_or_init(|| ConnectionState::new(ctx.clone(), id, server_id, peer));
            TableEntry::Serving(shared.clone())
        });
        let shared = made
            .into_inner()
            .unwrap_or_else(|| ConnectionState::new(ctx.clone(), 0, server_id, peer));
        shared.wait(shared.limits().settings.header_timeout);
        shared.set_proxied_addresses(arrival.told());
        if ctx.announce {
            shared.announce(&stream);
        }
        ctx.connection_opened.notify_one();
        if ctx.draining.get() {
            shared.drain();
        }
        // What a proxy tells stands before the handshake.
        let in_http = stream.is_secure();
        Self::resumed(shared, arrival, stream, in_http)
    }

    /// Begins to wait, or goes on with it. `in_http` says that a head is the next to come.
    fn resumed(
        shared: Rc<ConnectionState>,
        arrival: ConnectionPermit,
        stream: Stream,
        in_http: bool,
    ) -> Self {
        let mut guard = Guard::for_peer(&shared.limits().parse_policy, &arrival.peer());
        if in_http {
            guard.start_next_message();
        }
        let soon = shared.ctx.deadline(IDLE_RELEASE_DELAY);
        shared.set_deadline_at(shared.wait_ends_at.get().min(soon));
        let mut connection = Self {
            shared,
            arrival,
            stream,
            phase: Phase::Serving,
            guard,
            read_buffer: ReadBuffer::default(),
            input_ended: false,
            end_seen_at: None,
            input: MinRate::OFF,
            output: MinRate::OFF,
            acknowledged: 0,
            waits_for_reader: false,
            has_freed_buffers: false,
            client_is_done: false,
            linger: MAX_DRAIN,
            awaits_preface: false,
            http2: None,
        };
        connection.awaits_preface =
            connection.shared.requests.get() == 0 && connection.may_use_http2();
        connection
    }

    /// Turns of the connection until there is nothing to do.
    fn turns(&mut self, cx: &mut TaskContext<'_>) -> Poll<TaskEnd> {
        for wish in self.shared.wishes.take() {
            self.stream.set_option(wish);
        }
        if self.shared.is_aborted.get() {
            // What was written before goes out as far as the socket takes it now, as node's writes do at once.
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
            match self.leave() {
                Turn::Close => return Poll::Ready(TaskEnd::Closed),
                Turn::Flush => self.begin_flush(),
                Turn::Again | Turn::Wait | Turn::MakeIdle => {}
            }
        }
        for _ in 0..MAX_TURNS {
            let turn = match self.phase {
                Phase::Serving => self.serve(cx),
                Phase::Refused => self.await_answer(cx),
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
        // Others first: a client that sends without pause must not hold the thread.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends what waits, as far as the socket takes it.
    pub(crate) fn send(&mut self, cx: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        let mut out = self.shared.out.borrow_mut();
        if out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if out.len() <= SMALL_END && self.shared.ends_now() {
            self.stream.mark_next_write_last();
        }
        let sent = out.poll_send(&mut self.stream, cx, self.shared.ctx.burst());
        drop(out);
        match sent {
            Poll::Pending => self.output_waits(),
            Poll::Ready(Ok(())) => self.output_done(),
            Poll::Ready(Err(_)) => {}
        }
        sent
    }

    /// Everything is sent: JavaScript hears of it if it asked.
    fn notify_sent(&mut self) {
        let mut exchange = self.shared.exchange.borrow_mut();
        if let Some(exchange) = exchange.as_mut()
            && std::mem::take(&mut exchange.notifies_when_sent)
        {
            self.shared.ctx.emit(|batch| batch.drained(exchange.id));
            // It has a turn behind that, also where the client has ended its side.
            self.end_seen_at = None;
        }
    }

    /// What can be said of a request that is refused by another than the guard.
    fn fault(&self) -> PartialRequest {
        if self.guard.is_awaiting_head() {
            return PartialRequest::parse_head(self.read_buffer.unread());
        }
        let exchange = self.shared.exchange.borrow();
        if exchange.as_ref().is_some_and(|exchange| exchange.framing != Framing::None) {
            return self.guard.partial_request_of_body();
        }
        // The head is there as it was released.
        PartialRequest::parse_head(&self.shared.parsed_message.borrow().head)
    }

    fn refuse(&mut self, refusal: Refusal) -> Turn {
        // A client that is in the middle of a body reads the answer behind it.
        let in_body = refusal == Refusal::BodyTooLarge || self.guard.is_in_message();
        self.linger = if in_body { MAX_DRAIN } else { MAX_LINGER };
        // On node it is for the program to say something, and whether it listens is found out there.
        let is_answered = refusal.kind() > 0 && self.shared.limits().node_compatible;
        if is_answered || self.shared.ctx.reports_refusals(self.shared.server_id) {
            self.shared.announce(&self.stream);
            let unread = self.read_buffer.unread();
            let packet = Bytes::copy_from_slice(&unread[..unread.len().min(READ_AHEAD)]);
            let kind = refusal.kind();
            self.shared.ctx.emit(|batch| batch.refused(self.shared.id, kind, packet));
        }
        let fault = self.guard.take_partial_request().unwrap_or_else(|| Box::new(self.fault()));
        if is_answered {
            self.shared.refusal_response.set(Refused::Waits);
            self.shared.wait(self.shared.limits().settings.header_timeout);
            self.shared.set_deadline_at(self.shared.wait_ends_at.get());
            self.phase = Phase::Refused;
        } else if self.is_invalid_preface(refusal, &fault) {
            self.shared.refusal_response.set(Refused::Silently);
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
        let end = connection.turns(cx);
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
        shared.abort();
        shared.abort_streams();
        shared.set_writing(false);
        shared.hold(0);
        idle::remove_closed(&shared.ctx, shared);
    }
}

/// Begins with an accepted connection: with its handshake where it has one.
pub(crate) fn begin(ctx: &Rc<Context>, accepted: AcceptedConnection) {
    let unix = matches!(accepted.peer, PeerAddr::Unix);
    let (verdict, share) = ctx.admission.admit(ctx, &accepted);
    let arrival = ConnectionPermit::new(ctx.clone(), (accepted.peer, accepted.server_id), share);
    if verdict == Verdict::Closed {
        drop(accepted);
        arrival.lost();
        return ctx.handoff.descriptor_freed();
    }
    let socket = RegisteredFd::new(accepted.fd, &ctx.sockets).into_socket(!unix);
    if !accepted.is_tls {
        let refusal = (verdict == Verdict::Refused).then_some(Refusal::Overloaded);
        serve(arrival, Stream::Plain(socket), refusal);
    } else if verdict == Verdict::Admitted {
        tls::begin_handshake(arrival, socket);
    } else {
        // Without a handshake nothing can be said.
        arrival.lost();
    }
}

/// Ends an accepted connection before anything was read of it.
pub(crate) fn discard_accepted(ctx: &Rc<Context>, accepted: &AcceptedConnection) {
    let (_, share) = ctx.admission.admit(ctx, accepted);
    ConnectionPermit::new(ctx.clone(), (accepted.peer, accepted.server_id), share).lost();
}

/// Serves HTTP on a connection, or refuses to.
pub(crate) fn serve(arrival: ConnectionPermit, stream: Stream, refusal: Option<Refusal>) {
    let mut connection = Connection::new(arrival, stream);
    if let Some(refusal) = refusal {
        connection.refuse(refusal);
        connection.begin_flush();
    }
    executor::spawn(Task(Some(connection)));
}

/// The end of the last answer that goes with the end of its connection: a longer one has filled records before.
const SMALL_END: usize = 16_384;
/// Turns of a connection before others get theirs.
const MAX_TURNS: usize = 16;

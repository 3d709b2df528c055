//! The task of a connection: it takes the steps of the connection's phase, and ends when the
//! connection is closed or has become idle.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use super::ending::Ending;
use super::footprint::Eviction;
use super::idle::make_idle;
use super::memory_use::{carry_out_eviction, update_accounting};
use super::permit::ConnectionPermit;
use super::phase_close::{flush, linger};
use super::phase_refused::await_application_response;
use super::phase_serve::serve_http1;
use super::state::ConnectionState;
use super::table::{IdleConnection, TableEntry, remove_closed};
use super::transfer::continue_transfer;
use super::{Connection, Phase, Turn};
use crate::exchange::ExchangeEnd;
use crate::guard::Refusal;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;
use crate::transport::stream::Stream;
use crate::transport::transfer::Transfer;

/// How a connection's task finishes.
enum TaskEnd {
    /// The connection is closed.
    Closed,
    /// The connection continues as an idle record without a task.
    Idle,
}

/// The task of a connection. It is empty once the connection has become idle (`idle.rs`).
struct Task(Option<Connection>);

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Some(connection) = self.0.as_mut() else { return Poll::Ready(()) };
        connection.shared.task.register(cx);
        let end = run_turns(connection, cx);
        update_accounting(connection);
        match end {
            Poll::Pending => Poll::Pending,
            Poll::Ready(TaskEnd::Closed) => Poll::Ready(()),
            Poll::Ready(TaskEnd::Idle) => {
                if let Some(connection) = self.0.take() {
                    make_idle(connection);
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
        if let Some(streams) = shared.streams.get() {
            streams.end_all(ExchangeEnd::ClientGone);
        }
        shared.set_unsent_response(false);
        shared.set_held_bytes(0);
        remove_closed(&shared.ctx, shared);
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
        continue_transfer(&mut connection, &transfer);
    }
    if let Some(refusal) = refusal {
        connection.refuse(refusal);
        connection.begin_flush();
    }
    let executor = connection.shared.ctx.executor.clone();
    executor.spawn(Task(Some(connection)));
}

/// Returns the connection with this id, if it is open. An idle connection gets a task again.
pub(crate) fn resume(ctx: &Rc<Context>, id: u32) -> Option<Rc<ConnectionState>> {
    let mut connections = ctx.tables.connections.borrow_mut();
    let entry = connections.find_mut(id)?;
    let idle = match entry {
        TableEntry::Serving(shared) => return Some(shared.clone()),
        TableEntry::Idle(idle) => idle,
    };
    let (peer, server_id) = (idle.permit.peer(), idle.permit.server_id());
    let shared = ConnectionState::new(ctx.clone(), id, server_id, peer);
    let before = std::mem::replace(entry, TableEntry::Serving(shared.clone()));
    drop(connections);
    let TableEntry::Idle(idle) = before else { return Some(shared) };
    let IdleConnection {
        permit,
        descriptor,
        limits,
        proxied,
        wait_ends_at,
        requests,
        counts,
        is_announced,
        is_past_proxy_header,
    } = *idle;
    shared.limits.replace(limits);
    shared.requests.set(requests);
    shared.received.set(counts.received);
    shared.write_queue.borrow_mut().set_total_sent(counts.written);
    shared.client.is_announced.set(is_announced);
    shared.timer.wait_ends_at.set(wait_ends_at);
    if let Some((client, local)) = proxied.map(|both| *both) {
        shared.client.peer.set(client);
        shared.client.proxied_local.set(Some(local));
    }
    let stream = Stream::Plain(descriptor.into_socket(matches!(peer, PeerAddr::Ip(_))));
    let connection = Connection::resumed(shared.clone(), permit, stream, is_past_proxy_header);
    ctx.executor.spawn(Task(Some(connection)));
    Some(shared)
}

/// Advances the timer wheel to `now` and wakes each connection whose deadline has passed. An idle
/// connection gets a task first, which closes it.
pub(crate) fn advance_wheel(ctx: &Rc<Context>, now: u64) {
    let mut due = Vec::new();
    let connections = ctx.tables.connections.borrow();
    let check_entry = |slot| {
        let (id, entry) = connections.at(slot)?;
        let next = entry.check_deadline(now);
        if next.is_none() {
            due.push(id);
        }
        next
    };
    ctx.wheel.borrow_mut().advance(now, check_entry);
    drop(connections);
    for id in due {
        if let Some(shared) = resume(ctx, id) {
            shared.check_deadline(now);
        }
    }
}

/// Takes steps until the connection has nothing to do, up to [`MAX_TURNS`].
fn run_turns(connection: &mut Connection, cx: &mut TaskContext<'_>) -> Poll<TaskEnd> {
    for option in connection.shared.pending_socket_options.take() {
        connection.stream.set_option(option);
    }
    let ending = connection.shared.ending.get();
    if ending >= Ending::Aborted {
        // Like Node, send what was written before the abort, as far as the socket accepts it.
        let _ = connection.send(cx);
        if ending == Ending::Reset {
            connection.stream.reset_on_close();
        }
        return Poll::Ready(TaskEnd::Closed);
    }
    let may_write = matches!(connection.phase, Phase::Serving | Phase::Refused(_));
    if ending == Ending::AfterWrite && may_write {
        connection.begin_flush();
    }
    if let Eviction::Pending(shortage) = connection.shared.footprint.eviction.get() {
        match carry_out_eviction(connection, shortage) {
            Turn::Close => return Poll::Ready(TaskEnd::Closed),
            Turn::Flush => connection.begin_flush(),
            Turn::Again | Turn::Wait | Turn::MakeIdle => {}
        }
    }
    for _ in 0..MAX_TURNS {
        let turn = match connection.phase {
            Phase::Serving => serve_http1(connection, cx),
            Phase::Refused(_) => await_application_response(connection, cx),
            Phase::Flushing => flush(connection, cx),
            Phase::Lingering => linger(connection, cx),
        };
        match turn {
            Turn::Again => {}
            Turn::Wait => return Poll::Pending,
            Turn::Flush => connection.begin_flush(),
            Turn::MakeIdle => return Poll::Ready(TaskEnd::Idle),
            Turn::Close => return Poll::Ready(TaskEnd::Closed),
        }
    }
    // Yield: a client that sends without a pause must not occupy the thread.
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Maximum steps of a connection before other connections have a turn.
const MAX_TURNS: usize = 16;

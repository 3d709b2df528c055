//! Connections that wait for a request. An idle connection is a record in the connection table and
//! a descriptor in the poll set. It has no task and no buffer. Its next byte gives it a task again.

use std::net::SocketAddr;
use std::rc::Rc;

use super::ending::Ending;
use super::memory_use::waiting_progress;
use super::{Connection, ConnectionPermit, ConnectionState};
use crate::buffers::byte_counts::ByteCounts;
use crate::pressure::eviction::Progress;
use crate::pressure::limits::Limits;
use crate::runtime::slot_map::slot_of;
use crate::runtime::sockets::RegisteredFd;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;
use crate::transport::stream::{self, Stream};

/// An entry of the connection table: a connection with a task, or an idle one without.
pub(crate) enum TableEntry {
    /// A connection that has a task.
    Serving(Rc<ConnectionState>),
    /// A connection that waits for a request without a task.
    Idle(Box<IdleConnection>),
}

/// The state that a connection keeps while it waits for a request without a task.
pub(crate) struct IdleConnection {
    /// Keeps the connection counted.
    pub(crate) permit: ConnectionPermit,
    /// The socket, registered with the poll set.
    pub(crate) descriptor: RegisteredFd,
    /// Limits of the server that accepted the connection.
    pub(crate) limits: Rc<Limits>,
    /// Client and destination addresses from a PROXY protocol header, if there was one.
    pub(crate) proxied: Option<Box<(PeerAddr, SocketAddr)>>,
    /// When the connection closes unless a request begins, in milliseconds of the context's clock.
    pub(crate) wait_ends_at: u64,
    /// Number of requests received so far.
    pub(crate) requests: u32,
    /// Number of bytes received and sent so far.
    pub(crate) counts: ByteCounts,
    /// Whether the connection's `CONNECTION` event has been emitted to JavaScript.
    pub(crate) is_announced: bool,
    /// Whether the next bytes are a request head. If false, a PROXY protocol header precedes it.
    pub(crate) is_past_proxy_header: bool,
}

impl TableEntry {
    /// Returns the state of a connection that has a task.
    pub fn serving(&self) -> Option<&Rc<ConnectionState>> {
        match self {
            Self::Serving(shared) => Some(shared),
            Self::Idle(_) => None,
        }
    }

    /// Whether the connection was accepted for the server `server_id`.
    pub fn belongs_to(&self, server_id: u32) -> bool {
        match self {
            Self::Serving(shared) => shared.belongs_to(server_id),
            Self::Idle(idle) => idle.permit.server_id() == server_id,
        }
    }

    /// Whether a request is in flight or a response is unsent.
    pub fn is_busy(&self) -> bool {
        self.serving().is_some_and(|shared| shared.is_busy())
    }

    /// Replaces the limits of the connection.
    pub fn set_limits(&mut self, limits: &Rc<Limits>) {
        match self {
            Self::Serving(shared) => {
                shared.limits.replace(limits.clone());
            }
            Self::Idle(idle) => idle.limits = limits.clone(),
        }
    }

    /// Returns how long the connection has waited, unless a request is in flight or bytes are
    /// unsent.
    pub fn waiting_progress(&self) -> Option<Progress> {
        match self {
            Self::Serving(shared) => shared.waiting_progress(),
            Self::Idle(idle) => {
                Some(waiting_progress(idle.wait_ends_at, idle.requests == 0, &idle.limits))
            }
        }
    }

    /// Begins the drain of the connection if `begins`, else shortens it. An idle connection stays
    /// open for `ctx.lifecycle.idle_drain`, because a request may be on its way.
    pub fn drain(&mut self, ctx: &Context, id: u32, begins: bool) {
        match self {
            Self::Serving(shared) if begins => shared.drain(),
            Self::Serving(shared) => shared.shorten_drain(),
            Self::Idle(idle) => {
                idle.wait_ends_at =
                    idle.wait_ends_at.min(ctx.clock.deadline(ctx.lifecycle.idle_drain.get()));
                ctx.wheel.borrow_mut().insert(slot_of(id), idle.wait_ends_at);
            }
        }
    }

    /// Checks the deadline of the connection. Returns when to check again, or `None` if an idle
    /// connection needs a task that closes it.
    pub fn check_deadline(&self, now: u64) -> Option<u64> {
        match self {
            Self::Serving(shared) => Some(shared.check_deadline(now)),
            Self::Idle(idle) => (idle.wait_ends_at > now).then_some(idle.wait_ends_at),
        }
    }
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
    ctx.executor.spawn(super::Task(Some(connection)));
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

/// Replaces a connection by an idle record in the table. Its task finishes after this call.
pub(crate) fn make_idle(connection: Connection) {
    let Connection { shared, permit, stream, guard, .. } = connection;
    let (ctx, id) = (shared.ctx.clone(), shared.id);
    // Another part may still hold a wake of this task.
    shared.task.clear();
    let Stream::Plain(socket) = stream else { return remove_closed(&ctx, &shared) };
    let descriptor = socket.make_idle(id);
    let idle = IdleConnection {
        permit,
        descriptor,
        limits: shared.limits(),
        proxied: shared
            .client
            .proxied_local
            .get()
            .map(|local| Box::new((shared.client.peer.get(), local))),
        wait_ends_at: shared.timer.wait_ends_at.get(),
        requests: shared.requests.get(),
        counts: shared.byte_counts(),
        is_announced: shared.client.is_announced.get(),
        is_past_proxy_header: !guard.is_awaiting_proxy_header(),
    };
    shared.set_deadline_at(idle.wait_ends_at);
    if let Some(entry) = ctx.tables.connections.borrow_mut().find_mut(id) {
        *entry = TableEntry::Idle(Box::new(idle));
    }
    ctx.pressure.heap_trimmer.count_idle();
}

impl Connection {
    /// Whether the connection has nothing to do until its next request, so that it needs no task.
    pub(crate) fn can_make_idle(&self) -> bool {
        let shared = &self.shared;
        self.stream.can_make_idle()
            && self.read_buffer.is_empty()
            && self.guard.is_awaiting_head()
            && !self.has_input_ended
            && !shared.is_busy()
            && !shared.is_wake_queued.get()
            && !shared.ending.closes()
            && shared.parsed_message.borrow().body.is_empty()
    }
}

/// Aborts a connection, with a TCP reset if `reset`. An idle connection is removed at once.
pub(crate) fn abort_connection(ctx: &Context, id: u32, reset: bool) {
    let mut connections = ctx.tables.connections.borrow_mut();
    match connections.find(id) {
        None => {}
        Some(TableEntry::Serving(shared)) if reset => shared.close(Ending::Reset),
        Some(TableEntry::Serving(shared)) => shared.close(Ending::Aborted),
        Some(TableEntry::Idle(idle)) => {
            if reset {
                stream::reset_on_close(&idle.descriptor);
            }
            if idle.is_announced {
                emit_closed(ctx, id, idle.counts);
            }
            let removed = connections.remove(id);
            drop(connections);
            drop(removed);
        }
    }
}

/// Closes a connection after the bytes written so far. Aborts it if no response is complete.
pub(crate) fn close_connection(ctx: &Context, id: u32) {
    if let Some(TableEntry::Serving(shared)) = ctx.tables.connections.borrow().find(id)
        && shared.has_complete_response()
    {
        return shared.close(Ending::AfterWrite);
    }
    abort_connection(ctx, id, false);
}

/// Aborts the connections for which `which` returns true, without a reset.
pub(crate) fn abort_connections(ctx: &Context, which: impl Fn(&TableEntry) -> bool) {
    let connections = ctx.tables.connections.borrow();
    let ids: Vec<_> = connections.iter().filter(|(_, one)| which(one)).map(|(id, _)| id).collect();
    drop(connections);
    for id in ids {
        abort_connection(ctx, id, false);
    }
}

/// Removes a closed connection from the table. JavaScript receives an event if it has received the
/// connection.
pub(crate) fn remove_closed(ctx: &Context, shared: &ConnectionState) {
    if shared.client.is_announced.get() {
        emit_closed(ctx, shared.id, shared.byte_counts());
    }
    let removed = ctx.tables.connections.borrow_mut().remove(shared.id);
    drop(removed);
}

/// Emits the end of a connection that JavaScript has received.
fn emit_closed(ctx: &Context, id: u32, counts: ByteCounts) {
    ctx.tables.closed_counts.borrow_mut().push(id, counts);
    ctx.outbox.emit_later(|batch| batch.push_connection_closed(id, counts));
}

/// Returns the byte counts of a connection that is open or has closed lately.
pub(crate) fn byte_counts_of(ctx: &Context, id: u32) -> Option<ByteCounts> {
    match ctx.tables.connections.borrow().find(id) {
        Some(TableEntry::Serving(shared)) => Some(shared.byte_counts()),
        Some(TableEntry::Idle(idle)) => Some(idle.counts),
        None => ctx.tables.closed_counts.borrow().find(id),
    }
}

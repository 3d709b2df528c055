//! The entries of the connection table. An idle connection is a record in it and a descriptor in
//! the poll set. It has no task and no buffer.

use std::net::SocketAddr;
use std::rc::Rc;

use super::ending::Ending;
use super::footprint::waiting_progress;
use super::permit::ConnectionPermit;
use super::state::ConnectionState;
use crate::buffers::byte_counts::ByteCounts;
use crate::pressure::eviction::Progress;
use crate::pressure::limits::Limits;
use crate::runtime::slot_map::slot_of;
use crate::runtime::sockets::RegisteredFd;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;
use crate::transport::stream;

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

//! Connections that wait for a request. Such a one is a record and a descriptor in one set that is watched for all of them:
//! it has no task, no buffer and no registration of its own. Its first byte makes a connection of it again.

use std::net::SocketAddr;
use std::rc::Rc;

use super::{Connection, ConnectionPermit, ConnectionState};
use crate::pressure::admission::WaitKind;
use crate::pressure::limits::Limits;
use crate::runtime::executor;
use crate::runtime::slot_map::slot_of;
use crate::runtime::sockets::RegisteredFd;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;
use crate::transport::stream::{self, Stream};

/// A connection in the table: with a task, or waiting without one.
pub(crate) enum TableEntry {
    Serving(Rc<ConnectionState>),
    IdleConnection(Box<IdleConnection>),
}

/// What is kept of a connection that waits.
pub(crate) struct IdleConnection {
    pub(crate) arrival: ConnectionPermit,
    pub(crate) held: RegisteredFd,
    pub(crate) limits: Rc<Limits>,
    /// The client and what it had connected to, as the PROXY protocol told it.
    pub(crate) proxied: Option<Box<(PeerAddr, SocketAddr)>>,
    /// The end of the wait, on the clock of the context.
    pub(crate) waits_until: u64,
    pub(crate) requests: u32,
    pub(crate) told: bool,
    /// What may stand before the first head has been read.
    pub(crate) in_http: bool,
}

impl TableEntry {
    /// The connection that has a task.
    pub fn serving(&self) -> Option<&Rc<ConnectionState>> {
        match self {
            Self::Serving(shared) => Some(shared),
            Self::IdleConnection(_) => None,
        }
    }

    /// Whether it belongs to the server `server_id`.
    pub fn belongs_to(&self, server_id: u32) -> bool {
        match self {
            Self::Serving(shared) => shared.belongs_to(server_id),
            Self::IdleConnection(parked) => parked.arrival.server_id() == server_id,
        }
    }

    /// Whether a request is in hand or an answer is not sent.
    pub fn is_busy(&self) -> bool {
        self.serving().is_some_and(|shared| shared.is_busy())
    }

    pub fn set_limits(&mut self, limits: &Rc<Limits>) {
        match self {
            Self::Serving(shared) => {
                shared.limits.replace(limits.clone());
            }
            Self::IdleConnection(parked) => parked.limits = limits.clone(),
        }
    }

    /// What it waits for, if it has no request in hand and nothing to send.
    pub fn waits(&self) -> Option<WaitKind> {
        match self {
            Self::Serving(shared) => shared.waits(),
            Self::IdleConnection(parked) if parked.requests == 0 => Some(WaitKind::Head),
            Self::IdleConnection(_) => Some(WaitKind::Next),
        }
    }

    /// The end of that wait: the earliest has waited longest.
    pub fn waits_until(&self) -> u64 {
        match self {
            Self::Serving(shared) => shared.waits_until(),
            Self::IdleConnection(parked) => parked.waits_until,
        }
    }

    /// The drain begins, or its end comes nearer: an idle connection gets a while for a request that is on its way.
    pub fn drain(&mut self, ctx: &Context, id: u32, begins: bool) {
        match self {
            Self::Serving(shared) if begins => shared.drain(),
            Self::Serving(shared) => shared.shorten_drain(),
            Self::IdleConnection(parked) => {
                parked.waits_until = parked.waits_until.min(ctx.deadline(ctx.idle_drain.get()));
                ctx.wheel.borrow_mut().insert(slot_of(id), parked.waits_until);
            }
        }
    }

    /// The wheel's entry has come up: says when it has to again; `None` where a task must see to its end.
    pub fn check_deadline(&self, now: u64) -> Option<u64> {
        match self {
            Self::Serving(shared) => Some(shared.check_deadline(now)),
            Self::IdleConnection(parked) => {
                (parked.waits_until > now).then_some(parked.waits_until)
            }
        }
    }
}

/// The connection with this id, which gets a task again if it has none.
pub(crate) fn resume(ctx: &Rc<Context>, id: u32) -> Option<Rc<ConnectionState>> {
    let mut connections = ctx.connections.borrow_mut();
    let connected = connections.find_mut(id)?;
    let parked = match connected {
        TableEntry::Serving(shared) => return Some(shared.clone()),
        TableEntry::IdleConnection(parked) => parked,
    };
    let (peer, server_id) = (parked.arrival.peer(), parked.arrival.server_id());
    let shared = ConnectionState::new(ctx.clone(), id, server_id, peer);
    let before = std::mem::replace(connected, TableEntry::Serving(shared.clone()));
    drop(connections);
    let TableEntry::IdleConnection(parked) = before else { return Some(shared) };
    let IdleConnection { arrival, held, limits, proxied, waits_until, requests, told, in_http } =
        *parked;
    shared.limits.replace(limits);
    shared.requests.set(requests);
    shared.is_announced.set(told);
    shared.wait_ends_at.set(waits_until);
    if let Some((client, local)) = proxied.map(|both| *both) {
        shared.peer.set(client);
        shared.proxied_local.set(Some(local));
    }
    let stream = Stream::Plain(held.into_socket(matches!(peer, PeerAddr::Ip(_))));
    let connection = Connection::resumed(shared.clone(), arrival, stream, in_http);
    executor::spawn(super::Task(Some(connection)));
    Some(shared)
}

/// Turns the wheel; a connection whose wait is over gets a task that sees to its end.
pub(crate) fn check_deadline(ctx: &Rc<Context>, now: u64) {
    let mut due = Vec::new();
    let connections = ctx.connections.borrow();
    let check_deadline = |place| {
        let (id, connected) = connections.at(place)?;
        let next = connected.check_deadline(now);
        if next.is_none() {
            due.push(id);
        }
        next
    };
    ctx.wheel.borrow_mut().advance(now, check_deadline);
    drop(connections);
    for id in due {
        if let Some(shared) = resume(ctx, id) {
            shared.check_deadline(now);
        }
    }
}

/// Leaves its task: what the table keeps of it is a record.
pub(crate) fn make_idle(connection: Connection) {
    let Connection { shared, arrival, stream, guard, .. } = connection;
    let (ctx, id) = (shared.ctx.clone(), shared.id);
    // It may still be in a list of those to wake.
    shared.task.clear();
    let Stream::Plain(socket) = stream else { return remove_closed(&ctx, &shared) };
    let held = socket.make_idle(id);
    let parked = IdleConnection {
        arrival,
        held,
        limits: shared.limits(),
        proxied: shared.proxied_local.get().map(|local| Box::new((shared.peer.get(), local))),
        waits_until: shared.wait_ends_at.get(),
        requests: shared.requests.get(),
        told: shared.is_announced.get(),
        in_http: !guard.is_awaiting_proxy_header(),
    };
    shared.set_deadline_at(parked.waits_until);
    if let Some(connected) = ctx.connections.borrow_mut().find_mut(id) {
        *connected = TableEntry::IdleConnection(Box::new(parked));
    }
    ctx.heap_trimmer.count_idle();
}

impl Connection {
    /// Whether nothing but a request can come next, and nobody has something to say to the task.
    pub(crate) fn can_make_idle(&self) -> bool {
        let shared = &self.shared;
        self.stream.can_make_idle()
            && self.read_buffer.is_empty()
            && self.guard.is_awaiting_head()
            && !self.input_ended
            && !shared.is_busy()
            && !shared.is_wake_queued.get()
            && !shared.closes_after_response.get()
            && shared.parsed_message.borrow().body.is_empty()
    }
}

/// Cuts a connection. Without a task it is gone at once.
pub(crate) fn abort_connection(ctx: &Context, id: u32, reset: bool) {
    let mut connections = ctx.connections.borrow_mut();
    match connections.find(id) {
        None => {}
        Some(TableEntry::Serving(shared)) if reset => shared.abort_with_reset(),
        Some(TableEntry::Serving(shared)) => shared.abort_socket(),
        Some(TableEntry::IdleConnection(parked)) => {
            if reset {
                stream::reset_on_close(&parked.held);
            }
            if parked.told {
                ctx.emit_later(|batch| batch.connection_closed(id));
            }
            let removed = connections.remove(id);
            drop(connections);
            drop(removed);
        }
    }
}

/// Ends a connection behind what has been written on it.
pub(crate) fn close_connection(ctx: &Context, id: u32) {
    if let Some(TableEntry::Serving(shared)) = ctx.connections.borrow().find(id)
        && shared.has_complete_response()
    {
        return shared.finish();
    }
    abort_connection(ctx, id, false);
}

/// Cuts the connections for which `which` says so.
pub(crate) fn abort_connections(ctx: &Context, which: impl Fn(&TableEntry) -> bool) {
    let connections = ctx.connections.borrow();
    let ids: Vec<_> = connections.iter().filter(|(_, one)| which(one)).map(|(id, _)| id).collect();
    drop(connections);
    for id in ids {
        abort_connection(ctx, id, false);
    }
}

/// Makes a connection that nobody waits for go at once.
pub(crate) fn evict_now(ctx: &Context, id: u32) {
    if let Some(TableEntry::Serving(shared)) = ctx.connections.borrow().find(id) {
        return shared.evict_now();
    }
    abort_connection(ctx, id, false);
}

/// Takes a connection out of the table, and tells JavaScript if that knows of it.
pub(crate) fn remove_closed(ctx: &Context, shared: &ConnectionState) {
    if shared.is_announced.get() {
        ctx.emit_later(|batch| batch.connection_closed(shared.id));
    }
    let removed = ctx.connections.borrow_mut().remove(shared.id);
    drop(removed);
}

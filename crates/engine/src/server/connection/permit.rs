//! The permit of an accepted connection. It counts the connection on the scoreboard and for its
//! client address, from the accept until its descriptor is closed, whether it is served or not.

use std::net::SocketAddr;
use std::rc::Rc;

use super::state::ConnectionState;
use super::table::TableEntry;
use crate::bridge::event_batch::{ConnectionInfo, EventBatch};
use crate::buffers::byte_counts::ByteCounts;
use crate::pressure::admission::AddressShare;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;

/// Counts a connection until it is dropped.
pub(crate) struct ConnectionPermit {
    ctx: Rc<Context>,
    peer: PeerAddr,
    server_id: u32,
    /// The connection's part of `limit_connections_per_address`.
    share: AddressShare,
    /// Client and destination addresses of a PROXY protocol header that preceded the TLS handshake.
    proxied: Option<(SocketAddr, SocketAddr)>,
}

impl ConnectionPermit {
    /// Creates the permit of a connection that the acceptor and the admission have counted.
    pub fn new(ctx: Rc<Context>, (peer, server_id): (PeerAddr, u32), share: AddressShare) -> Self {
        Self { ctx, peer, server_id, share, proxied: None }
    }

    /// Returns the I/O thread that owns the connection.
    pub fn ctx(&self) -> &Rc<Context> {
        &self.ctx
    }

    /// Returns the address of the TCP peer, even if a proxy forwards another client address.
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// Returns the id of the application's server whose listener accepted the connection.
    pub fn server_id(&self) -> u32 {
        self.server_id
    }

    /// Returns the client and destination addresses of a PROXY protocol header, if there was one.
    pub fn proxied(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.proxied
    }

    /// Stores the client and destination addresses of a PROXY protocol header.
    pub fn set_proxied(&mut self, proxied: Option<(SocketAddr, SocketAddr)>) {
        self.proxied = proxied;
    }

    /// Emits the open and the close of a connection that closed before it was served, if JavaScript
    /// receives connections at their accept. It counts the connections of each server, so it needs
    /// both events.
    pub fn emit_unserved(self) {
        let (ctx, server_id) = (&self.ctx, self.server_id);
        if !ctx.announces_at_accept {
            return;
        }
        let info = ConnectionInfo {
            family: 0,
            remote: "",
            remote_port: 0,
            local: "",
            local_port: 0,
            secure: None,
            http2: false,
        };
        let mut connections = ctx.tables.connections.borrow_mut();
        let id = connections.insert_with(|id| {
            TableEntry::Serving(ConnectionState::new(ctx.clone(), id, server_id, self.peer))
        });
        connections.remove(id);
        ctx.outbox.emit(|batch| {
            batch.push_connection(id, server_id, &info);
            batch.push_connection_closed(id, ByteCounts::default());
        });
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let ctx = &self.ctx;
        ctx.handoff.slot.connection_closed();
        ctx.pressure.admission.release(&self.share);
        if ctx.handoff.lacks_descriptors() {
            // The task runs after this function, when the connection's descriptor is free.
            let handoff = ctx.handoff.clone();
            ctx.executor.spawn(async move { handoff.descriptor_freed() });
        }
        if ctx.lifecycle.is_draining.get() && ctx.has_no_connections() {
            ctx.outbox.emit(EventBatch::push_idle);
        }
    }
}

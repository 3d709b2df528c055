//! A guard that keeps an accepted connection counted: on the scoreboard, in its address's share and
//! among the descriptors. It exists from the accept on, whether the connection is served or not.

use std::net::SocketAddr;
use std::rc::Rc;

use super::ConnectionState;
use crate::bridge::event_batch::EventBatch;
use crate::pressure::admission::AddressShare;
use crate::runtime::executor;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;

/// Keeps a connection counted until it is dropped.
pub(crate) struct ConnectionPermit {
    ctx: Rc<Context>,
    peer: PeerAddr,
    server_id: u32,
    /// The connection's part of the limit of its address.
    share: AddressShare,
    /// Client and destination addresses of a PROXY protocol header that preceded the TLS handshake.
    proxied: Option<(SocketAddr, SocketAddr)>,
}

impl ConnectionPermit {
    /// Creates the permit of a connection that the acceptor and the admission have counted.
    pub fn new(ctx: Rc<Context>, (peer, server_id): (PeerAddr, u32), share: AddressShare) -> Self {
        Self { ctx, peer, server_id, share, proxied: None }
    }

    pub fn ctx(&self) -> &Rc<Context> {
        &self.ctx
    }

    /// Address of the peer, whatever a proxy forwards about the client.
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// The server of the application that the connection is for.
    pub fn server_id(&self) -> u32 {
        self.server_id
    }

    pub fn proxied(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.proxied
    }

    /// Stores the addresses of a PROXY protocol header.
    pub fn set_proxied(&mut self, proxied: Option<(SocketAddr, SocketAddr)>) {
        self.proxied = proxied;
    }

    /// Reports to JavaScript that the connection closed before anything was served.
    pub fn emit_unserved(self) {
        if self.ctx.announces_at_accept {
            ConnectionState::emit_unserved(&self.ctx, self.server_id, self.peer);
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let ctx = &self.ctx;
        ctx.handoff.slot.connection_closed();
        ctx.admission.release(&self.share);
        if ctx.handoff.lacks_descriptors() {
            // Runs after this function, when the connection's descriptor is free.
            let handoff = ctx.handoff.clone();
            executor::spawn(async move { handoff.descriptor_freed() });
        }
        if ctx.is_draining.get() && ctx.has_no_connections() {
            ctx.emit(EventBatch::push_idle);
        }
    }
}

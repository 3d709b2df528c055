//! An accepted connection as it is counted: on the scoreboard, in its client's share, among the descriptors. It is counted
//! from its accept on, whether it becomes one that is served or not.

use std::net::SocketAddr;
use std::rc::Rc;

use super::ConnectionState;
use crate::bridge::event_batch::EventBatch;
use crate::pressure::admission::AddressShare;
use crate::runtime::executor;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;

/// Counted until it is dropped.
pub(crate) struct ConnectionPermit {
    ctx: Rc<Context>,
    peer: PeerAddr,
    server_id: u32,
    /// What it takes of its client's share.
    share: AddressShare,
    /// The client and what it had connected to, as a proxy told it before the handshake of TLS.
    told: Option<(SocketAddr, SocketAddr)>,
}

impl ConnectionPermit {
    /// Of a connection that the acceptor and the admission have counted.
    pub fn new(ctx: Rc<Context>, (peer, server_id): (PeerAddr, u32), share: AddressShare) -> Self {
        Self { ctx, peer, server_id, share, told: None }
    }

    pub fn ctx(&self) -> &Rc<Context> {
        &self.ctx
    }

    /// Who has connected, whatever a proxy tells of the client.
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// Which server of the program the connection is for.
    pub fn server_id(&self) -> u32 {
        self.server_id
    }

    pub fn told(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.told
    }

    /// Notes what a proxy has told.
    pub fn tell(&mut self, told: Option<(SocketAddr, SocketAddr)>) {
        self.told = told;
    }

    /// It ends before anything was served.
    pub fn lost(self) {
        if self.ctx.announce {
            ConnectionState::emit_lost(&self.ctx, self.server_id, self.peer);
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let ctx = &self.ctx;
        ctx.handoff.slot.connection_closed();
        ctx.admission.release(&self.share);
        if ctx.handoff.lacks_descriptors() {
            // Once this one's is free, which is behind this function.
            let handoff = ctx.handoff.clone();
            executor::spawn(async move { handoff.descriptor_freed() });
        }
        if ctx.draining.get() && ctx.has_no_connections() {
            ctx.emit(EventBatch::idle);
        }
    }
}

//! An accepted connection as it is counted: on the scoreboard, in its client's share, among the descriptors. It is counted
//! from its accept on, whether it becomes one that is served or not.

use std::net::SocketAddr;
use std::rc::Rc;

use super::Shared;
use crate::bridge::event_batch::EventBatch;
use crate::pressure::admission::Place;
use crate::runtime::executor;
use crate::server::context::Context;
use crate::transport::listener::PeerAddr;

/// Counted until it is dropped.
pub(crate) struct Arrival {
    ctx: Rc<Context>,
    peer: PeerAddr,
    tag: u32,
    /// What it takes of its client's share.
    place: Place,
    /// The client and what it had connected to, as a proxy told it before the handshake of TLS.
    told: Option<(SocketAddr, SocketAddr)>,
}

impl Arrival {
    /// Of a connection that the acceptor and the admission have counted.
    pub fn new(ctx: Rc<Context>, (peer, tag): (PeerAddr, u32), place: Place) -> Self {
        Self { ctx, peer, tag, place, told: None }
    }

    pub fn ctx(&self) -> &Rc<Context> {
        &self.ctx
    }

    /// Who has connected, whatever a proxy tells of the client.
    pub fn peer(&self) -> PeerAddr {
        self.peer
    }

    /// Which server of the program the connection is for.
    pub fn tag(&self) -> u32 {
        self.tag
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
            Shared::tell_lost(&self.ctx, self.tag, self.peer);
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let ctx = &self.ctx;
        ctx.handoff.slot.connection_closed();
        ctx.admission.leave(&self.place);
        if ctx.handoff.lacks_descriptors() {
            // Once this one's is free, which is behind this function.
            let handoff = ctx.handoff.clone();
            executor::spawn(async move { handoff.descriptor_freed() });
        }
        if ctx.draining.get() && ctx.has_no_connections() {
            ctx.tell(EventBatch::idle);
        }
    }
}

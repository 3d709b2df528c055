//! Begins the accepted connections that are admitted, and closes the others.

use std::rc::Rc;

use super::admission::relieve;
use super::connection::permit::ConnectionPermit;
use super::connection::task::serve;
use super::connection::transfer::transfer_at_accept;
use super::context::Context;
use super::handshake::begin_handshake;
use crate::guard::Refusal;
use crate::pressure::admission::{AddressShare, Verdict};
use crate::pressure::eviction::Shortage;
use crate::runtime::sockets::RegisteredFd;
use crate::scoreboard::layout::MetricCell;
use crate::transport::listener::{AcceptedConnection, PeerAddr};
use crate::transport::stream::Stream;

/// Starts an accepted connection if it is admitted, on a secure listener with its TLS handshake.
pub(crate) fn begin_connection(ctx: &Rc<Context>, accepted: AcceptedConnection) {
    let unix = matches!(accepted.peer, PeerAddr::Unix);
    let (verdict, share) = admit_connection(ctx, &accepted);
    let mut permit = ConnectionPermit::new(ctx.clone(), (accepted.peer, accepted.server_id), share);
    if verdict == Verdict::Closed {
        drop(accepted);
        permit.emit_unserved();
        return ctx.handoff.descriptor_freed();
    }
    if transfer_at_accept(ctx, &accepted) {
        ctx.sockets.deregister(&accepted.fd);
        return;
    }
    permit.set_proxied(accepted.transfer.as_ref().and_then(|transfer| transfer.proxied));
    let socket = RegisteredFd::new(accepted.fd, &ctx.sockets).into_socket(!unix);
    if !accepted.is_tls {
        let refusal = (verdict == Verdict::Refused).then_some(Refusal::Overloaded);
        serve(permit, Stream::Plain(socket), accepted.transfer, refusal);
    } else if verdict == Verdict::Admitted {
        begin_handshake(permit, socket);
    } else {
        // No response can be sent before the TLS handshake.
        permit.emit_unserved();
    }
}

/// Closes an accepted connection from which nothing has been read, and reports it to JavaScript.
pub(crate) fn close_accepted(ctx: &Rc<Context>, accepted: &AcceptedConnection) {
    let (_, share) = admit_connection(ctx, accepted);
    ConnectionPermit::new(ctx.clone(), (accepted.peer, accepted.server_id), share).emit_unserved();
}

/// Counts a connection from its accept on and decides whether it is admitted.
fn admit_connection(ctx: &Context, accepted: &AcceptedConnection) -> (Verdict, AddressShare) {
    let admission = &ctx.pressure.admission;
    let limits = ctx.servers.limits_of(accepted.server_id);
    let (verdict, share) = admission.count(&limits, &accepted.peer);
    let has_room = !admission.is_reserved(&accepted.fd) || relieve(ctx, Shortage::Descriptors) > 0;
    if verdict != Verdict::Admitted {
        ctx.count(MetricCell::RejectedConnectionsAddressLimit);
    } else if !has_room {
        ctx.count(MetricCell::RejectedConnectionsDescriptors);
    }
    (if has_room { verdict } else { verdict.refuse_if_admitted() }, share)
}

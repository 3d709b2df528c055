//! Transfers a connection to the worker that its next request belongs to, and continues one that
//! another worker has transferred.
//!
//! A connection moves between two requests: after all responses are sent, with the head of the next
//! request and every byte after it. So no byte is read by two workers, and none is lost.

use std::os::fd::AsFd;

use super::{Connection, Turn};
use crate::guard::Refusal;
use crate::server::affinity::Destination;
use crate::server::context::Context;
use crate::transport::listener::{AcceptedConnection, PeerAddr};
use crate::transport::stream::Stream;
use crate::transport::transfer::Transfer;

/// Sends the connection, with the head that the guard has released, to another worker. This
/// worker refuses the request if the other one takes no more connections.
pub(crate) fn transfer_connection(connection: &mut Connection, destination: Destination) -> Turn {
    let (shared, permit) = (&connection.shared, &connection.permit);
    let (Some(affinity), Stream::Plain(socket)) = (&shared.ctx.affinity, &connection.stream) else {
        return Turn::Close;
    };
    let unread = [&shared.parsed_message.borrow().head, connection.read_buffer.unread()].concat();
    let proxied = match (shared.client.peer.get(), shared.client.proxied_local.get()) {
        (PeerAddr::Ip(client), Some(local)) => Some((client, local)),
        _ => None,
    };
    let requests = shared.requests.get();
    let details = (permit.server_id(), false, permit.peer());
    let sent = affinity.send(destination, socket.as_fd(), details, |session| Transfer {
        session,
        proxied,
        requests,
        unread,
    });
    if sent.is_err() {
        return connection.refuse(Refusal::Overloaded);
    }
    socket.set().deregister(&socket.as_fd());
    Turn::Close
}

/// Continues with what another worker knew of the connection.
pub(crate) fn continue_transfer(connection: &mut Connection, transfer: &Transfer) {
    connection.is_transferred = true;
    connection.shared.requests.set(transfer.requests);
    if transfer.unread.is_empty() {
        return;
    }
    connection.awaits_preface = false;
    connection.guard.start_next_message();
    connection.read_buffer.push(&transfer.unread);
}

/// Sends a connection to another worker before anything is read from it, if it belongs there.
/// Returns whether it is gone.
pub(crate) fn transfer_at_accept(ctx: &Context, accepted: &AcceptedConnection) -> bool {
    let Some(affinity) = ctx.affinity.as_ref().filter(|_| accepted.transfer.is_none()) else {
        return false;
    };
    let limits = ctx.servers.limits_of(accepted.server_id);
    let destination = affinity.destination_at_accept(accepted.peer, &limits.parse_policy);
    let Some(destination) = destination else { return false };
    let details = (accepted.server_id, accepted.is_tls, accepted.peer);
    let nothing = |session| Transfer { session, proxied: None, requests: 0, unread: Vec::new() };
    affinity.send(destination, accepted.fd.as_fd(), details, nothing).is_ok()
}

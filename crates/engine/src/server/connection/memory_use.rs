//! The accounting of what a connection holds, and how an eviction takes it away.

use super::footprint::Eviction;
use super::{Connection, Turn};
use crate::guard::Refusal;
use crate::pressure::eviction::{Shortage, has_stalled};

/// Records the bytes that the connection holds until its next turn, and whether a complete
/// response is unsent.
pub(crate) fn update_accounting(connection: &Connection) {
    let shared = &connection.shared;
    let (is_unsent, queued) = {
        let out = shared.write_queue.borrow();
        (!out.is_empty(), out.owned_len())
    };
    let exchange = shared.exchange.borrow();
    let buffered = exchange.as_ref().map_or(0, |exchange| exchange.body.buffered_len);
    shared.set_unsent_response(is_unsent && exchange.is_none() && connection.http2.is_none());
    let http2 = connection.http2.as_ref().map_or(0, |session| session.held_bytes());
    let message = shared.parsed_message.borrow().body.len();
    shared.set_held_bytes(queued + buffered + connection.read_buffer.len() + message + http2);
}

/// Carries out an eviction. The client gets an error response if no response byte waits and
/// either JavaScript has not received the request, or a request slot is needed and the client
/// is late with its body. Otherwise the connection is reset, which also drops what the kernel
/// holds for it. A connection without a request is closed. For HTTP/2, only the slow streams
/// are evicted.
pub(crate) fn carry_out_eviction(connection: &mut Connection, shortage: Shortage) -> Turn {
    let shared = &connection.shared;
    shared.footprint.eviction.set(Eviction::CarriedOut);
    if shortage == Shortage::Descriptors {
        return Turn::Close;
    }
    if let Some(session) = &mut connection.http2 {
        session.evict_streams(shared, shortage);
        return Turn::Wait;
    }
    let is_late = has_stalled(shared.body_late_since(), shared.ctx.clock.now_ms());
    let has_no_output = shared.write_queue.borrow().is_empty();
    if shortage == Shortage::RequestSlots && is_late && has_no_output {
        return connection.refuse(Refusal::BodyTimeout);
    }
    let is_undispatched =
        shared.exchange.borrow().as_ref().is_none_or(|exchange| !exchange.is_dispatched);
    if is_undispatched && has_no_output && !shared.ending.closes() {
        return connection.refuse(Refusal::Overloaded);
    }
    connection.stream.reset_on_close();
    Turn::Close
}

//! Turns a connection that waits for a request into an idle record. Its next byte gives it a task
//! again (`task.rs`).

use super::Connection;
use super::table::{IdleConnection, TableEntry, remove_closed};
use crate::transport::stream::Stream;

/// Whether the connection has nothing to do until its next request, so that it needs no task.
pub(crate) fn can_make_idle(connection: &Connection) -> bool {
    let shared = &connection.shared;
    connection.stream.can_make_idle()
        && connection.read_buffer.is_empty()
        && connection.guard.is_awaiting_head()
        && !connection.has_input_ended
        && !shared.is_busy()
        && !shared.is_wake_queued.get()
        && !shared.ending.closes()
        && shared.parsed_message.borrow().body.is_empty()
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

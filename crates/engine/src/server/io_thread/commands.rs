//! Applies the records that JavaScript writes into the ring, each to its exchange or connection.
//! Answers what other threads ask about the requests in flight.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc::SyncSender;

use crate::bridge::in_flight::InFlightRequest;
use crate::bridge::ring::RingCommand;
use crate::server::connection::error_response::{is_refused_by_engine, write_application_response};
use crate::server::connection::table::{abort_connection, close_connection};
use crate::server::connection::task::resume;
use crate::server::context::Context;

/// Reads the records of the ring and wakes the connections that they have changed. Returns whether
/// the ring had any records.
pub(crate) fn read_ring(ctx: &Rc<Context>) -> bool {
    let has_records = ctx.handoff.ring.has_unread_records();
    if has_records {
        ctx.clock.refresh();
        ctx.handoff.ring.read_records(|id, command| apply_command(ctx, id, command));
    }
    let mut changed = ctx.tables.to_wake.borrow_mut();
    for shared in changed.drain(..) {
        shared.wake();
    }
    has_records
}

/// Applies one record to the exchange or connection with this id. A panic is a fault of the engine,
/// which the panic hook reports. It aborts only the exchange or connection of the record.
fn apply_command(ctx: &Rc<Context>, id: u32, command: RingCommand<'_>) {
    let is_for_connection = matches!(
        command,
        RingCommand::RawResponse { .. }
            | RingCommand::Abort { .. }
            | RingCommand::Close
            | RingCommand::SocketOption(_)
    );
    let done = catch_unwind(AssertUnwindSafe(|| {
        if is_for_connection {
            apply_to_connection(ctx, id, &command);
        } else {
            apply_to_exchange(ctx, id, command);
        }
    }));
    if done.is_ok() {
        return;
    }
    if is_for_connection {
        abort_connection(ctx, id, true);
    } else if let Some(sink) = ctx.tables.exchanges.borrow().find(id) {
        sink.abort();
    }
}

/// Applies a record to the exchange with this id, if it is still in flight.
fn apply_to_exchange(ctx: &Rc<Context>, id: u32, command: RingCommand<'_>) {
    // The chunk belongs to this record, whether its exchange still exists or not.
    let chunk =
        if let RingCommand::Large { .. } = command { ctx.handoff.pop_large() } else { None };
    let exchanges = ctx.tables.exchanges.borrow();
    let Some(sink) = exchanges.find(id) else {
        // JavaScript waits for a notification even if the exchange has finished. All bytes of it
        // have been sent then.
        if let RingCommand::Notify = command {
            ctx.outbox.emit(|batch| batch.push_drained(id));
        }
        return;
    };
    match command {
        RingCommand::Respond(head, body) => {
            sink.send_head(&head, Some(body.len() as u64));
            sink.send_data(body);
            sink.end(true);
        }
        RingCommand::Head(head, length) => sink.send_head(&head, Some(u64::from(length))),
        RingCommand::Interim(head) => sink.send_interim(&head),
        RingCommand::Data(bytes) => sink.send_data(bytes),
        RingCommand::Large { borrowed: false } => sink.send_large(chunk.unwrap_or_default()),
        RingCommand::Large { borrowed: true } => sink.send_borrowed(chunk.unwrap_or_default()),
        RingCommand::Trailers(fields) => sink.add_trailers(fields),
        RingCommand::End { discard } => sink.end(discard),
        RingCommand::Reset => sink.abort(),
        RingCommand::Credit(bytes) => sink.grant_credit(bytes),
        RingCommand::Notify => sink.notify_when_sent(),
        RingCommand::Unsent(bytes) => sink.set_buffered_in_js(bytes as usize),
        RingCommand::Tunnel { taken } => sink.decide_upgrade(taken),
        RingCommand::RawResponse { .. }
        | RingCommand::Abort { .. }
        | RingCommand::Close
        | RingCommand::SocketOption(_) => {}
    }
}

/// Applies a record to the connection with this id, if it is still open.
fn apply_to_connection(ctx: &Rc<Context>, id: u32, command: &RingCommand<'_>) {
    match command {
        RingCommand::RawResponse { bytes, end } => write_application_response(ctx, id, bytes, *end),
        RingCommand::Abort { .. } | RingCommand::Close if is_refused_by_engine(ctx, id) => {}
        RingCommand::Abort { reset } => abort_connection(ctx, id, *reset),
        RingCommand::Close => close_connection(ctx, id),
        RingCommand::SocketOption(option) => {
            if let Some(shared) = resume(ctx, id) {
                shared.set_socket_option(*option);
            }
        }
        _ => {}
    }
}

/// Sends the I/O thread's requests in flight to the thread that asked.
pub(super) fn list_in_flight(ctx: &Context, reply: &SyncSender<Vec<InFlightRequest>>) {
    ctx.clock.refresh();
    let now = ctx.clock.now();
    let requests = ctx
        .tables
        .connections
        .borrow()
        .iter()
        .filter_map(|(_, connected)| connected.serving())
        .flat_map(|shared| shared.in_flight())
        .take(REQUESTS_MAX)
        .map(|(label, started)| InFlightRequest {
            request: label.to_text(),
            age: now.duration_since(started),
        })
        .collect();
    // The thread that asked may have given up.
    let _ = reply.try_send(requests);
}

/// The maximum number of requests in a reply; a longer list is of no use to a reader.
const REQUESTS_MAX: usize = 1_000;

//! What the loop does by itself: it delivers events, reads the ring while JavaScript is busy, ends
//! waits that are over, and advances the timer wheel.

use std::rc::Rc;

use super::commands::read_ring;
use crate::log::access::AccessLog;
use crate::runtime::alarms::Alarm;
use crate::server::connection::body_buffering::end_body_buffering;
use crate::server::connection::task::advance_wheel;
use crate::server::context::Context;
use crate::server::handshake::abort_expired_handshakes;
use crate::server::overload::reject_late_requests;
use crate::server::shutdown::exit_if_orphaned;

/// Handles the alarms that are due.
pub(super) fn handle_alarms(ctx: &Rc<Context>) {
    let now = ctx.clock.now();
    while let Some(alarm) = ctx.alarms.take_due(now) {
        match alarm {
            Alarm::Clock => advance_clock(ctx),
            Alarm::Batch => ctx.outbox.end_batching_delay(),
            Alarm::Ring => poll_ring(ctx),
            Alarm::BodyBuffering => end_body_buffering(ctx),
            Alarm::Handshakes => abort_expired_handshakes(ctx),
            Alarm::Orphan => exit_if_orphaned(ctx),
            Alarm::LateRequests => reject_late_requests(ctx),
        }
    }
}

fn poll_ring(ctx: &Rc<Context>) {
    let is_batch_out = ctx.handoff.is_batch_out();
    // After the look at the batch: of one that is over, these are the last records.
    let has_records = read_ring(ctx);
    let takes = ctx.handoff.takes();
    let has_taken = ctx.tables.polled_takes.replace(takes) != takes;
    if has_records || has_taken || !is_batch_out {
        wake_awaiting_javascript(ctx);
    }
    if is_batch_out {
        ctx.watch_ring();
    }
}

/// Wakes the half-closed connections that wait until JavaScript has taken their events.
pub(super) fn wake_awaiting_javascript(ctx: &Context) {
    for shared in ctx.tables.awaiting_javascript.borrow_mut().drain(..) {
        shared.wake();
    }
}

/// Advances the timer wheel and writes the logs.
fn advance_clock(ctx: &Rc<Context>) {
    ctx.logs.flush();
    ctx.handoff.shrink(false);
    ctx.pressure.heap_trimmer.trim_if_due();
    let now = ctx.clock.now_ms();
    let notices = ctx.logs.access.borrow_mut().as_mut().and_then(AccessLog::take_notice);
    for text in notices.into_iter().chain(ctx.pressure.admission.take_refusal_report(now)) {
        ctx.outbox.emit(|batch| batch.push_fault(&text));
    }
    release_reusable_ids(ctx);
    advance_wheel(ctx, now);
    if ctx.tables.connections.borrow().len() > 0 || ctx.logs.has_unwritten() {
        ctx.start_clock();
    } else {
        ctx.handoff.set_polls_accepted(false);
        ctx.handoff.shrink(true);
    }
    ctx.handoff.wake_for_accepted();
}

/// Makes the ids of finished exchanges and closed connections available again, once JavaScript has
/// processed the batch that reports their end.
fn release_reusable_ids(ctx: &Rc<Context>) {
    let has_passed = |takes| ctx.handoff.has_passed(takes);
    let exchanges = ctx.tables.exchanges.borrow_mut().take_reusable(has_passed);
    let connections = ctx.tables.connections.borrow_mut().take_reusable(has_passed);
    if exchanges.is_empty() && connections.is_empty() {
        return;
    }
    // Records that JavaScript wrote before now are for the earlier owners of the ids.
    read_ring(ctx);
    ctx.tables.exchanges.borrow_mut().reuse(exchanges);
    ctx.tables.connections.borrow_mut().reuse(connections);
}

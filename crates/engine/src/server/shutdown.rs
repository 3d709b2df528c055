//! Shutdown of a worker: the drain of its connections, or the exit after the arbiter's death.
#![allow(unsafe_code, reason = "the immediate exit of the process is a system call")]

use std::rc::Rc;
use std::time::Duration;

use crate::bridge::event_batch::EventBatch;
use crate::runtime::alarms::Alarm;
use crate::server::context::Context;
use crate::server::handshake::drain_handshakes;
use crate::server::io_thread::commands::read_ring;

/// Drains every connection. Idle connections close after `idle`. JavaScript receives an idle event
/// once no connection is left. A second call only shortens the wait of idle connections.
pub(crate) fn drain(ctx: &Rc<Context>, idle: Duration) {
    ctx.lifecycle.idle_drain.set(idle);
    let begins = !ctx.lifecycle.is_draining.replace(true);
    for (id, entry) in ctx.tables.connections.borrow_mut().iter_mut() {
        entry.drain(ctx, id, begins);
    }
    drain_handshakes(ctx);
    if !begins {
        return;
    }
    if ctx.has_no_connections() {
        ctx.outbox.emit(EventBatch::push_idle);
    }
}

/// Begins the exit of the process after the arbiter's death.
pub(crate) fn begin_orphan_exit(ctx: &Rc<Context>) {
    ctx.lifecycle.orphan_ends_at.set(Some(ctx.clock.now() + ORPHAN_GRACE_TIME));
    exit_if_orphaned(ctx);
}

/// Exits the process after the arbiter's death, at the latest after [`ORPHAN_GRACE_TIME`], whatever
/// JavaScript does. Requests in flight may finish within that time.
pub(crate) fn exit_if_orphaned(ctx: &Rc<Context>) {
    let Some(end) = ctx.lifecycle.orphan_ends_at.get() else { return };
    read_ring(ctx);
    let is_busy = ctx.tables.connections.borrow().iter().any(|(_, entry)| entry.is_busy());
    if is_busy && ctx.clock.now() < end {
        return ctx.alarms.set_if_unset(Alarm::Orphan, ORPHAN_POLL_INTERVAL);
    }
    ctx.logs.flush_before_exit();
    // `_exit`, not `exit`: exit handlers would wait for JavaScript, which may be blocked.
    // SAFETY: exits the process at once; nothing of it is used afterwards.
    unsafe { libc::_exit(0) }
}

/// Maximum time that requests in flight get to finish after the arbiter's death.
const ORPHAN_GRACE_TIME: Duration = Duration::from_millis(1_500);
/// Interval at which the process checks whether requests are still in flight.
const ORPHAN_POLL_INTERVAL: Duration = Duration::from_millis(25);

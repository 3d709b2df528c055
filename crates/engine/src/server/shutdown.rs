//! How an I/O thread ends: in order, or because the arbiter has died.
#![allow(unsafe_code, reason = "ending the process at once is a system call of its own")]

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::bridge::event_batch::EventBatch;
use crate::runtime::timers::sleep;
use crate::server::context::Context;
use crate::server::io_thread::read_ring;

/// Lets every connection end soon, one that waits for a request after `idle`; tells JavaScript when none is left.
pub(crate) fn drain(ctx: &Rc<Context>, idle: Duration) {
    ctx.idle_drain.set(idle);
    let begins = !ctx.draining.replace(true);
    for (id, connected) in ctx.connections.borrow_mut().iter_mut() {
        connected.drain(ctx, id, begins);
    }
    ctx.handshakes.drain(ctx);
    if !begins {
        return;
    }
    if ctx.has_no_connections() {
        ctx.emit(EventBatch::idle);
    }
}

/// The arbiter is gone. What is in hand gets a short while; then the process ends, whatever JavaScript does.
pub(crate) async fn end_process(ctx: Rc<Context>) {
    let end = Instant::now() + ORPHAN_GRACE_TIME;
    let is_busy = || ctx.connections.borrow().iter().any(|(_, connected)| connected.is_busy());
    while is_busy() && Instant::now() < end {
        sleep(&ctx, POLL_INTERVAL).await;
        read_ring(&ctx);
    }
    ctx.finish_logs();
    // Not `exit`: its handlers would wait for JavaScript, which may be blocked.
    // SAFETY: ends the process at once; nothing of it is used afterwards.
    unsafe { libc::_exit(0) }
}

/// What is in hand may take so long after the arbiter's death.
const ORPHAN_GRACE_TIME: Duration = Duration::from_millis(1_500);
/// How often is looked whether anything is still in hand.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

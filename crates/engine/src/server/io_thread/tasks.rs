//! The tasks that every I/O thread has: one hands events over, one looks at the ring while JavaScript works, one moves the
//! clock.

use std::future;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::{poll_sockets, read_ring, wake_awaiting_javascript};
use crate::log::access::AccessLog;
use crate::runtime::executor::yield_now;
use crate::runtime::timers::sleep;
use crate::server::connection::check_deadline;
use crate::server::context::{BATCHING_DELAY, Context};

/// Hands the events of a turn over, behind every task that was ready at the first of them, and looks at the sockets again
/// as long as that brings more: on a busy machine the switches between the threads cost more than anything else here.
pub(super) async fn flusher(ctx: Rc<Context>) {
    loop {
        future::poll_fn(|cx| {
            if ctx.has_events_due() {
                return Poll::Ready(());
            }
            ctx.flusher.register(cx);
            Poll::Pending
        })
        .await;
        // A lone request is not kept waiting for others.
        let mut gathered = 0;
        for _ in 0..MAX_BATCHING_TURNS {
            let len = ctx.batch.borrow().text.len();
            if len == gathered || !ctx.serves_several() {
                break;
            }
            gathered = len;
            poll_sockets(&ctx);
            yield_now().await;
        }
        ctx.deliver_batch();
        ctx.is_clock_stale.set(true);
        // An answer waits for another request's handler only where there is another.
        if ctx.serves_several() {
            ctx.ring_watch.notify_one();
        }
        ctx.tunnel_chunks.set(0);
    }
}

/// Sees that what waits for something else to go with does not wait for long.
pub(super) async fn batching_delay(ctx: Rc<Context>) {
    loop {
        ctx.batching_delay_started.notified().await;
        sleep(&ctx, BATCHING_DELAY).await;
        ctx.end_batching_delay();
    }
}

/// While JavaScript works on a batch: no finished answer must wait for another request's slow handler.
pub(super) async fn ring_watcher(ctx: Rc<Context>) {
    loop {
        ctx.ring_watch.notified().await;
        while ctx.handoff.is_batch_out() {
            let takes = ctx.handoff.takes();
            sleep(&ctx, RING_POLL_INTERVAL).await;
            if read_ring(&ctx) || takes != ctx.handoff.takes() {
                wake_awaiting_javascript(&ctx);
            }
        }
        // What JavaScript wrote last comes before the question whether it has answered.
        read_ring(&ctx);
        wake_awaiting_javascript(&ctx);
    }
}

/// Moves the wheel and writes the logs out, as long as there are connections or lines that nobody has taken: an idle worker
/// sleeps.
pub(super) async fn clock(ctx: Rc<Context>) {
    loop {
        if ctx.connections.borrow().len() == 0 && !ctx.has_unwritten() {
            ctx.handoff.set_polls_accepted(false);
            ctx.handoff.wake_for_accepted();
            ctx.handoff.shrink(true);
            ctx.connection_opened.notified().await;
        }
        // A connection of which JavaScript is to hear at once wakes the thread.
        ctx.handoff.set_polls_accepted(!ctx.announce);
        sleep(&ctx, CLOCK_TICK).await;
        ctx.handoff.wake_for_accepted();
        ctx.flush_logs();
        ctx.handoff.shrink(false);
        ctx.heap_trimmer.trim_if_due();
        let news = ctx.access.borrow_mut().as_mut().and_then(AccessLog::take_notice);
        for text in news.into_iter().chain(ctx.admission.take_report(ctx.now_ms())) {
            ctx.emit(|batch| batch.fault(&text));
        }
        release_reusable_ids(&ctx);
        ctx.refresh_clock();
        let now = ctx.now_ms();
        check_deadline(&ctx, now);
    }
}

/// Lets the ids come again whose ends JavaScript has heard of.
fn release_reusable_ids(ctx: &Rc<Context>) {
    let has_passed = |takes| ctx.handoff.has_passed(takes);
    let exchanges = ctx.exchanges.borrow_mut().take_reusable(has_passed);
    let connections = ctx.connections.borrow_mut().take_reusable(has_passed);
    if exchanges.is_empty() && connections.is_empty() {
        return;
    }
    // What JavaScript wrote before it heard of them is in the ring, and meant for those that had the ids.
    read_ring(ctx);
    ctx.exchanges.borrow_mut().reuse(exchanges);
    ctx.connections.borrow_mut().reuse(connections);
}

/// Looks at the sockets for more, before what there is goes to JavaScript.
const MAX_BATCHING_TURNS: usize = 4;
/// How often the ring is looked at while JavaScript works on a batch.
const RING_POLL_INTERVAL: Duration = Duration::from_millis(1);
/// The resolution of the deadlines.
const CLOCK_TICK: Duration = Duration::from_millis(100);

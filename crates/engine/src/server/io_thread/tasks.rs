//! The tasks that every I/O thread has: one hands events over, one looks at the ring while JavaScript works, one moves the
//! clock.

use std::future;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::{look, read_ring, wake_ending};
use crate::log::access::AccessLog;
use crate::runtime::executor::yield_now;
use crate::runtime::timers::sleep;
use crate::server::connection::come_up;
use crate::server::context::{COMPANY_TIME, Context};

/// Hands the events of a turn over, behind every task that was ready at the first of them, and looks at the sockets again
/// as long as that brings more: on a busy machine the switches between the threads cost more than anything else here.
pub(super) async fn flusher(ctx: Rc<Context>) {
    loop {
        future::poll_fn(|cx| {
            if ctx.has_news() {
                return Poll::Ready(());
            }
            ctx.flusher.note(cx);
            Poll::Pending
        })
        .await;
        // A lone request is not kept waiting for others.
        let mut gathered = 0;
        for _ in 0..GATHER_TURNS {
            let len = ctx.batch.borrow().text.len();
            if len == gathered || !ctx.serves_several() {
                break;
            }
            gathered = len;
            look(&ctx);
            yield_now().await;
        }
        ctx.hand_over();
        ctx.clock_stale.set(true);
        // An answer waits for another request's handler only where there is another.
        if ctx.serves_several() {
            ctx.watch.notify_one();
        }
        ctx.tunnelled.set(0);
    }
}

/// Sees that what waits for something else to go with does not wait for long.
pub(super) async fn companion(ctx: Rc<Context>) {
    loop {
        ctx.waits_for_company.notified().await;
        sleep(&ctx, COMPANY_TIME).await;
        ctx.end_wait_for_company();
    }
}

/// While JavaScript works on a batch: no finished answer must wait for another request's slow handler.
pub(super) async fn watcher(ctx: Rc<Context>) {
    loop {
        ctx.watch.notified().await;
        while ctx.handoff.is_batch_out() {
            let takes = ctx.handoff.takes();
            sleep(&ctx, WATCH_EVERY).await;
            if read_ring(&ctx) || takes != ctx.handoff.takes() {
                wake_ending(&ctx);
            }
        }
        // What JavaScript wrote last comes before the question whether it has answered.
        read_ring(&ctx);
        wake_ending(&ctx);
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
            ctx.first_connection.notified().await;
        }
        // A connection of which JavaScript is to hear at once wakes the thread.
        ctx.handoff.set_polls_accepted(!ctx.announce);
        sleep(&ctx, TICK).await;
        ctx.handoff.wake_for_accepted();
        ctx.flush_logs();
        ctx.handoff.shrink(false);
        ctx.heap_trimmer.trim_if_due();
        let news = ctx.access.borrow_mut().as_mut().and_then(AccessLog::take_notice);
        for text in news.into_iter().chain(ctx.admission.take_news(ctx.now_ms())) {
            ctx.tell(|batch| batch.fault(&text));
        }
        renew_places(&ctx);
        ctx.refresh_clock();
        let now = ctx.now_ms();
        come_up(&ctx, now);
    }
}

/// Lets the ids come again whose ends JavaScript has heard of.
fn renew_places(ctx: &Rc<Context>) {
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
const GATHER_TURNS: usize = 4;
/// How often the ring is looked at while JavaScript works on a batch.
const WATCH_EVERY: Duration = Duration::from_millis(1);
/// The resolution of the deadlines.
const TICK: Duration = Duration::from_millis(100);

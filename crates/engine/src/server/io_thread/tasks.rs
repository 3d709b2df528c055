//! The permanent tasks of an I/O thread: one delivers events, one reads the ring while JavaScript
//! is busy, one advances the clock.

use std::future;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::event_loop::{poll_sockets, read_ring, wake_awaiting_javascript};
use crate::log::access::AccessLog;
use crate::runtime::executor::yield_now;
use crate::runtime::timers::sleep;
use crate::server::connection::advance_wheel;
use crate::server::context::{BATCHING_DELAY, Context};

/// Delivers the events of a turn after every task that was ready at the first event. It polls the
/// sockets again while that brings more events: on a busy machine the thread switches cost more
/// than anything else here.
pub(super) async fn deliver_events(ctx: Rc<Context>) {
    loop {
        future::poll_fn(|cx| {
            if ctx.has_events_due() {
                return Poll::Ready(());
            }
            ctx.flusher.register(cx);
            Poll::Pending
        })
        .await;
        // A single request does not wait for others.
        let mut gathered = 0;
        for _ in 0..MAX_BATCHING_TURNS {
            let len = ctx.batch.borrow().text.len();
            if len == gathered || !ctx.has_several_requests() {
                break;
            }
            gathered = len;
            poll_sockets(&ctx);
            yield_now().await;
        }
        ctx.deliver_batch();
        ctx.is_clock_stale.set(true);
        // A response can wait for the handler of another request only if there is another one.
        if ctx.has_several_requests() {
            ctx.ring_watch.notify_one();
        }
        ctx.tunnel_chunks.set(0);
    }
}

/// Delivers events that wait to be batched after [`BATCHING_DELAY`].
pub(super) async fn end_batching_delays(ctx: Rc<Context>) {
    loop {
        ctx.batching_delay_started.notified().await;
        sleep(&ctx, BATCHING_DELAY).await;
        ctx.end_batching_delay();
    }
}

/// Reads the ring while JavaScript works on a batch: no finished response must wait for the slow
/// handler of another request.
pub(super) async fn watch_ring(ctx: Rc<Context>) {
    loop {
        ctx.ring_watch.notified().await;
        while ctx.handoff.is_batch_out() {
            let takes = ctx.handoff.takes();
            sleep(&ctx, RING_POLL_INTERVAL).await;
            if read_ring(&ctx) || takes != ctx.handoff.takes() {
                wake_awaiting_javascript(&ctx);
            }
        }
        // Reads the last records before deciding whether JavaScript has responded.
        read_ring(&ctx);
        wake_awaiting_javascript(&ctx);
    }
}

/// Advances the wheel and writes the logs while there are connections or unwritten lines; an idle
/// worker sleeps.
pub(super) async fn run_clock(ctx: Rc<Context>) {
    loop {
        if ctx.connections.borrow().len() == 0 && !ctx.has_unwritten_log_lines() {
            ctx.handoff.set_polls_accepted(false);
            ctx.handoff.wake_for_accepted();
            ctx.handoff.shrink(true);
            ctx.connection_opened.notified().await;
        }
        // If JavaScript must receive a connection at once, the accept wakes the thread.
        ctx.handoff.set_polls_accepted(!ctx.announces_at_accept);
        sleep(&ctx, CLOCK_TICK).await;
        ctx.handoff.wake_for_accepted();
        ctx.flush_logs();
        ctx.handoff.shrink(false);
        ctx.heap_trimmer.trim_if_due();
        let news = ctx.access_log.borrow_mut().as_mut().and_then(AccessLog::take_notice);
        for text in news.into_iter().chain(ctx.admission.take_refusal_report(ctx.now_ms())) {
            ctx.emit(|batch| batch.push_fault(&text));
        }
        release_reusable_ids(&ctx);
        ctx.refresh_clock();
        let now = ctx.now_ms();
        advance_wheel(&ctx, now);
    }
}

/// Makes ids available again once JavaScript has received their ends.
fn release_reusable_ids(ctx: &Rc<Context>) {
    let has_passed = |takes| ctx.handoff.has_passed(takes);
    let exchanges = ctx.exchanges.borrow_mut().take_reusable(has_passed);
    let connections = ctx.connections.borrow_mut().take_reusable(has_passed);
    if exchanges.is_empty() && connections.is_empty() {
        return;
    }
    // Records that JavaScript wrote before are for the previous owners of the ids.
    read_ring(ctx);
    ctx.exchanges.borrow_mut().reuse(exchanges);
    ctx.connections.borrow_mut().reuse(connections);
}

/// Polls of the sockets before the events are delivered to JavaScript.
const MAX_BATCHING_TURNS: usize = 4;
/// Interval of reading the ring while JavaScript works on a batch.
const RING_POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Resolution of the deadlines.
const CLOCK_TICK: Duration = Duration::from_millis(100);

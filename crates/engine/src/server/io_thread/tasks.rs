//! The permanent tasks of an I/O thread. They deliver events, read the ring while JavaScript is
//! busy, and advance the clock.

use std::future;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::event_loop::{poll_sockets, read_ring, wake_awaiting_javascript};
use crate::log::access::AccessLog;
use crate::runtime::executor::yield_now;
use crate::server::connection::advance_wheel;
use crate::server::context::{BATCHING_DELAY, Context};

/// Delivers the batch of events, after every task that was ready at its first event. While requests
/// are in flight, the task polls the sockets again as long as that brings more events: on a busy
/// machine, thread switches cost more than anything else here.
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
        // A single request does not wait to be batched, and no request does where a batch costs no
        // thread switch.
        let is_on_io_thread = ctx.runs_on_io_thread.get();
        let mut batched_len = 0;
        for _ in 0..MAX_BATCHING_TURNS {
            let len = ctx.batch.borrow().text.len();
            if len == batched_len || !is_on_io_thread || !ctx.has_several_requests() {
                break;
            }
            batched_len = len;
            poll_sockets(&ctx);
            yield_now().await;
        }
        ctx.deliver_batch();
        ctx.is_clock_stale.set(true);
        // Only with several requests can a finished response wait for another request's handler.
        if is_on_io_thread && ctx.has_several_requests() {
            ctx.ring_watch.notify_one();
        }
        ctx.tunnel_chunks.set(0);
    }
}

/// Schedules the delivery of events that wait to be batched, [`BATCHING_DELAY`] after the first.
pub(super) async fn end_batching_delays(ctx: Rc<Context>) {
    loop {
        ctx.batching_delay_started.notified().await;
        ctx.timers.sleep(BATCHING_DELAY).await;
        ctx.end_batching_delay();
    }
}

/// Reads the ring every millisecond while JavaScript processes a batch, so that no finished
/// response waits for the slow handler of another request.
pub(super) async fn watch_ring(ctx: Rc<Context>) {
    loop {
        ctx.ring_watch.notified().await;
        while ctx.handoff.is_batch_out() {
            let takes = ctx.handoff.takes();
            ctx.timers.sleep(RING_POLL_INTERVAL).await;
            if read_ring(&ctx) || takes != ctx.handoff.takes() {
                wake_awaiting_javascript(&ctx);
            }
        }
        // Read the last records before the connections check whether JavaScript has responded.
        read_ring(&ctx);
        wake_awaiting_javascript(&ctx);
    }
}

/// Advances the timer wheel and writes the logs at each tick, while there are connections or
/// unwritten log lines. Otherwise the task sleeps, and with it an idle worker.
pub(super) async fn run_clock(ctx: Rc<Context>) {
    loop {
        if ctx.connections.borrow().len() == 0 && !ctx.has_unwritten_log_lines() {
            ctx.handoff.set_polls_accepted(false);
            ctx.handoff.wake_for_accepted();
            ctx.handoff.shrink(true);
            ctx.connection_opened.notified().await;
        }
        // While the clock ticks, it finds accepted connections, so the accept need not wake the
        // thread. It must if JavaScript receives connections at their accept.
        ctx.handoff.set_polls_accepted(!ctx.announces_at_accept);
        ctx.timers.sleep(CLOCK_TICK).await;
        ctx.handoff.wake_for_accepted();
        ctx.flush_logs();
        ctx.handoff.shrink(false);
        ctx.heap_trimmer.trim_if_due();
        let notices = ctx.access_log.borrow_mut().as_mut().and_then(AccessLog::take_notice);
        for text in notices.into_iter().chain(ctx.admission.take_refusal_report(ctx.now_ms())) {
            ctx.emit(|batch| batch.push_fault(&text));
        }
        release_reusable_ids(&ctx);
        ctx.refresh_clock();
        let now = ctx.now_ms();
        advance_wheel(&ctx, now);
    }
}

/// Makes the ids of finished exchanges and closed connections available again, once JavaScript has
/// processed the batch that reports their end.
fn release_reusable_ids(ctx: &Rc<Context>) {
    let has_passed = |takes| ctx.handoff.has_passed(takes);
    let exchanges = ctx.exchanges.borrow_mut().take_reusable(has_passed);
    let connections = ctx.connections.borrow_mut().take_reusable(has_passed);
    if exchanges.is_empty() && connections.is_empty() {
        return;
    }
    // Records that JavaScript wrote before now are for the earlier owners of the ids.
    read_ring(ctx);
    ctx.exchanges.borrow_mut().reuse(exchanges);
    ctx.connections.borrow_mut().reuse(connections);
}

/// Maximum polls of the sockets before a batch of events is delivered to JavaScript.
const MAX_BATCHING_TURNS: usize = 4;
/// Interval at which the ring is read while JavaScript processes a batch.
const RING_POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Interval of the clock, and so the resolution of all deadlines.
const CLOCK_TICK: Duration = Duration::from_millis(100);

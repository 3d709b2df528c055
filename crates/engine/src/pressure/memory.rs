//! The memory that clients can make a worker hold: what waits to be sent, what has come of requests that JavaScript
//! does not have, and what waits for JavaScript. Near its bound everybody gets less at a time; at the bound the newest
//! of the slow ones are evicted, so that ordinary requests go on whatever those do.
//!
//! Each connection says at the end of a turn what it holds then: an ordinary request holds nothing between two turns,
//! so it costs a comparison.

use std::cell::Cell;
use std::cmp::Reverse;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::bridge::handoff::Handoff;
use crate::pressure::limits::{
    Limits, MAX_BUFFER, MAX_RESPONSE_BUFFER_FACTOR, MIN_RESPONSE_BUFFER, READ_AHEAD,
    TOTAL_RESPONSE_BUFFER, fair_share,
};
use crate::runtime::executor::yield_now;
use crate::server::context::Context;

/// What is held now, and the bound.
pub(crate) struct Memory {
    limit: usize,
    window: usize,
    request_buffer: usize,
    held: Cell<usize>,
    /// Connections that hold something.
    holders: Cell<usize>,
    /// What JavaScript is reported it may hand over of an answer.
    reported: Cell<usize>,
    /// Near the limit.
    is_near_limit: Cell<bool>,
    limit_exceeded: Notify,
}

impl Memory {
    pub fn new(limits: &Limits) -> Self {
        Self {
            limit: limits.settings.buffer_memory,
            window: limits.settings.response_buffer_size,
            request_buffer: limits.settings.request_buffer_size,
            held: Cell::new(0),
            holders: Cell::new(0),
            reported: Cell::new(limits.settings.response_buffer_size),
            is_near_limit: Cell::new(false),
            limit_exceeded: Notify::new(),
        }
    }

    /// A connection that held `before` bytes holds `now` bytes.
    pub fn change(&self, handoff: &Handoff, before: usize, now: usize) {
        self.held.set(self.held.get() + now - before);
        let used = self.used(handoff);
        let holders = self.holders.get() + usize::from(before == 0) - usize::from(now == 0);
        self.holders.set(holders);
        self.is_near_limit.set(used > self.limit / 4 * 3);
        let window = self.window_for(holders);
        if window != self.reported.replace(window) {
            handoff.ring.set_window(window as u32);
        }
        if used > self.limit && now > before {
            self.limit_exceeded.notify_one();
        }
    }

    /// Bytes of an answer that are taken ahead of its client. While few clients are behind it is more than was set: each
    /// time that JavaScript has to be asked for more costs two switches of threads.
    fn window_for(&self, holders: usize) -> usize {
        if self.is_near_limit.get() {
            return MIN_RESPONSE_BUFFER;
        }
        let most = MAX_RESPONSE_BUFFER_FACTOR.saturating_mul(self.window).min(MAX_BUFFER);
        fair_share(TOTAL_RESPONSE_BUFFER, holders, self.window, most)
    }

    /// Whether nothing more may be held that can be refused.
    pub fn is_full(&self, handoff: &Handoff) -> bool {
        self.used(handoff) > self.limit
    }

    /// Whether it is near the bound.
    pub fn is_short(&self) -> bool {
        self.is_near_limit.get()
    }

    /// Bytes of a body that may wait between the guard and JavaScript.
    pub fn read_ahead(&self) -> usize {
        if self.is_near_limit.get() { MIN_RESPONSE_BUFFER } else { READ_AHEAD }
    }

    /// Bytes of a body that are collected before JavaScript hears of the request.
    pub fn request_buffer(&self) -> usize {
        if self.is_near_limit.get() {
            self.request_buffer.min(MIN_RESPONSE_BUFFER)
        } else {
            self.request_buffer
        }
    }

    fn used(&self, handoff: &Handoff) -> usize {
        self.held.get() + handoff.waiting_bytes()
    }
}

/// Sheds connections whenever more is held than may be.
pub(crate) async fn evict_over_limit(ctx: Rc<Context>) {
    let mut reported: Option<Instant> = None;
    let mut evicted = 0;
    loop {
        ctx.memory.limit_exceeded.notified().await;
        evicted += evict_slow(&ctx);
        let now = ctx.now();
        if evicted > 0
            && reported.is_none_or(|reported| now.duration_since(reported) >= REPORT_INTERVAL)
        {
            reported = Some(now);
            let limit = ctx.memory.limit;
            ctx.emit(|batch| {
                batch.fault(&format!(
                    "clients hold more than buffer_memory={limit} bytes: {evicted} slow connections closed, the newest first"
                ));
            });
            evicted = 0;
        }
        // They end in turns of their own.
        yield_now().await;
    }
}

/// Ends as many connections as bring the memory well below its bound, and says how many: first of those that have held
/// something for a while, then of all; the newest first, so that a flood ends itself.
fn evict_slow(ctx: &Context) -> usize {
    let memory = &ctx.memory;
    let slow_since = ctx.now_ms().saturating_sub(SLOW_AFTER_MS);
    let connections = ctx.connections.borrow();
    let mut used = memory.used(&ctx.handoff);
    let mut holders = Vec::new();
    for shared in connections.iter().filter_map(|(_, connected)| connected.serving()) {
        if shared.is_evicted() {
            used = used.saturating_sub(shared.held());
        } else if shared.held() > 0 {
            let since = shared.holds_since();
            holders.push((since > slow_since, Reverse(since), shared));
        }
    }
    let goal = memory.limit / 8 * 7;
    if used <= goal {
        return 0;
    }
    holders.sort_unstable_by_key(|(quick, since, _)| (*quick, *since));
    let mut evicted = 0;
    for (_, _, shared) in holders {
        if used <= goal {
            break;
        }
        used = used.saturating_sub(shared.held());
        shared.evict();
        evicted += 1;
    }
    evicted
}

/// Whoever has held something for so long is slow.
const SLOW_AFTER_MS: u64 = 1_000;
/// The log hears of it at most so often.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

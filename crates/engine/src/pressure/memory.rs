//! The memory that clients make a worker hold: unsent responses, requests that JavaScript has not
//! received, and batches that wait for JavaScript. The setting `buffer_memory` bounds it. Near the
//! bound, each client gets smaller buffers. Over the bound, the newest of the slow connections are
//! evicted, so that ordinary requests continue.
//!
//! A connection records what it holds at the end of each turn. An ordinary request holds nothing
//! between two turns, so it costs one comparison.

use std::cell::Cell;
use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::bridge::handoff::Handoff;
use crate::pressure::limits::{
    Limits, MAX_BUFFER, MAX_RESPONSE_BUFFER_FACTOR, MIN_RESPONSE_BUFFER, READ_AHEAD,
    TOTAL_RESPONSE_BUFFER, fair_share,
};
use crate::server::context::Context;

/// The memory that clients make a worker hold now, and its bound `buffer_memory`.
pub(crate) struct Memory {
    /// The bound in bytes: `buffer_memory`.
    limit: usize,
    /// Minimum response window in bytes: `response_buffer_size`.
    window: usize,
    /// Bytes of a body to buffer before its request is dispatched: `request_buffer_size`.
    request_buffer: usize,
    /// Bytes that connections hold.
    held: Cell<usize>,
    /// Number of connections that hold bytes.
    holder_count: Cell<usize>,
    /// Response window as last published in the ring: bytes of a response that JavaScript may write
    /// before the client reads.
    published_window: Cell<usize>,
    /// Whether more than three quarters of the bound are used.
    is_near_limit: Cell<bool>,
    /// Whether the bound has been exceeded since the last eviction.
    is_exceeded: Cell<bool>,
    evictions: Cell<EvictionReport>,
}

/// Evicted connections that have not been logged yet.
#[derive(Clone, Copy, Default)]
struct EvictionReport {
    count: usize,
    /// When the last log line was written.
    reported_at: Option<Instant>,
}

impl Memory {
    /// Creates the accounting of a thread whose clients hold nothing yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            limit: limits.settings.buffer_memory,
            window: limits.settings.response_buffer_size,
            request_buffer: limits.settings.request_buffer_size,
            held: Cell::new(0),
            holder_count: Cell::new(0),
            published_window: Cell::new(limits.settings.response_buffer_size),
            is_near_limit: Cell::new(false),
            is_exceeded: Cell::new(false),
            evictions: Cell::default(),
        }
    }

    /// Records that a connection now holds `now` bytes instead of `before`.
    pub fn record_change(&self, handoff: &Handoff, before: usize, now: usize) {
        self.held.set(self.held.get() + now - before);
        let used = self.used_bytes(handoff);
        let holder_count =
            self.holder_count.get() + usize::from(before == 0) - usize::from(now == 0);
        self.holder_count.set(holder_count);
        self.is_near_limit.set(used > self.limit / 4 * 3);
        let window = self.window_for(holder_count);
        if window != self.published_window.replace(window) {
            handoff.ring.set_response_buffer(window as u32);
        }
        if used > self.limit && now > before {
            self.is_exceeded.set(true);
        }
    }

    /// Returns the response window: the bytes of a response that JavaScript may write before the
    /// client reads. It is larger than configured while few clients are slow, because each request
    /// for more bytes costs two thread switches.
    fn window_for(&self, holder_count: usize) -> usize {
        if self.is_near_limit.get() {
            return MIN_RESPONSE_BUFFER;
        }
        let most = MAX_RESPONSE_BUFFER_FACTOR.saturating_mul(self.window).min(MAX_BUFFER);
        fair_share(TOTAL_RESPONSE_BUFFER, holder_count, self.window, most)
    }

    /// Whether the bound is exceeded, so that requests with a body are refused.
    pub fn is_full(&self, handoff: &Handoff) -> bool {
        self.used_bytes(handoff) > self.limit
    }

    /// Whether more than three quarters of the bound are used.
    pub fn is_near_limit(&self) -> bool {
        self.is_near_limit.get()
    }

    /// Returns the maximum bytes of a request body between the guard and JavaScript.
    pub fn max_read_ahead(&self) -> usize {
        if self.is_near_limit.get() { MIN_RESPONSE_BUFFER } else { READ_AHEAD }
    }

    /// Returns the number of body bytes at which a request is dispatched before its body is
    /// complete.
    pub fn max_buffered_body(&self) -> usize {
        if self.is_near_limit.get() {
            self.request_buffer.min(MIN_RESPONSE_BUFFER)
        } else {
            self.request_buffer
        }
    }

    /// Returns the bytes that count towards the bound.
    fn used_bytes(&self, handoff: &Handoff) -> usize {
        self.held.get() + handoff.waiting_bytes()
    }
}

/// Evicts connections if the bound has been exceeded. They close in their own turns.
pub(crate) fn evict_over_limit(ctx: &Context) {
    let memory = &ctx.pressure.memory;
    if !memory.is_exceeded.replace(false) {
        return;
    }
    let mut evictions = memory.evictions.get();
    evictions.count += evict_slow(ctx);
    let now = ctx.clock.now();
    let is_reported = evictions
        .reported_at
        .is_some_and(|reported_at| now.duration_since(reported_at) < REPORT_INTERVAL);
    if evictions.count > 0 && !is_reported {
        let (limit, count) = (memory.limit, evictions.count);
        ctx.outbox.emit(|batch| {
            batch.push_fault(&format!(
                "clients hold more than buffer_memory={limit} bytes: \
                 {count} slow connections closed, the newest first"
            ));
        });
        evictions = EvictionReport { count: 0, reported_at: Some(now) };
    }
    memory.evictions.set(evictions);
}

/// Evicts connections until seven eighths of the bound are used, and returns how many. Connections
/// that have held memory for [`SLOW_AFTER_MS`] are evicted first, then all others. Among these, the
/// newest come first, so that a flood evicts itself.
fn evict_slow(ctx: &Context) -> usize {
    let memory = &ctx.pressure.memory;
    let slow_since = ctx.clock.now_ms().saturating_sub(SLOW_AFTER_MS);
    let connections = ctx.tables.connections.borrow();
    let mut used = memory.used_bytes(&ctx.handoff);
    let mut holder_count = Vec::new();
    for shared in connections.iter().filter_map(|(_, entry)| entry.serving()) {
        if shared.is_evicted() {
            used = used.saturating_sub(shared.held_bytes());
        } else if shared.held_bytes() > 0 {
            let since = shared.held_since();
            holder_count.push((since > slow_since, Reverse(since), shared));
        }
    }
    let goal = memory.limit / 8 * 7;
    if used <= goal {
        return 0;
    }
    holder_count.sort_unstable_by_key(|(is_quick, since, _)| (*is_quick, *since));
    let mut evicted = 0;
    for (_, _, shared) in holder_count {
        if used <= goal {
            break;
        }
        used = used.saturating_sub(shared.held_bytes());
        shared.evict();
        evicted += 1;
    }
    evicted
}

/// Time in milliseconds after which a connection that holds memory counts as slow.
const SLOW_AFTER_MS: u64 = 1_000;
/// Minimum interval between log lines about evictions.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

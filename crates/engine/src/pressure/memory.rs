//! The memory that clients make a worker hold: unsent responses, requests that JavaScript has not
//! received, and batches that wait for JavaScript. The setting `buffer_memory` bounds it. Near the
//! bound, each client gets smaller buffers. Over the bound, connections are evicted, so that
//! ordinary requests continue (`eviction.rs`).
//!
//! A connection records what it holds at the end of each turn. An ordinary request holds nothing
//! between two turns, so it costs one comparison.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::buffers::sizes::{
    MAX_BUFFER, MAX_RESPONSE_BUFFER_FACTOR, MIN_RESPONSE_BUFFER, READ_AHEAD, TOTAL_RESPONSE_BUFFER,
};
use crate::pressure::limits::{Limits, fair_share};

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

    /// Records that a connection now holds `now` bytes instead of `before`, while batches of
    /// `waiting` bytes wait for JavaScript. Returns the response window if that changes it.
    pub fn record_change(&self, waiting: usize, before: usize, now: usize) -> Option<usize> {
        self.held.set(self.held.get() + now - before);
        let used = self.held.get() + waiting;
        let holder_count =
            self.holder_count.get() + usize::from(before == 0) - usize::from(now == 0);
        self.holder_count.set(holder_count);
        self.is_near_limit.set(used > self.limit / 4 * 3);
        let window = self.window_for(holder_count);
        if used > self.limit && now > before {
            self.is_exceeded.set(true);
        }
        (window != self.published_window.replace(window)).then_some(window)
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
    pub fn is_full(&self, waiting: usize) -> bool {
        self.held.get() + waiting > self.limit
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

    /// Returns whether the bound has been exceeded since the last call.
    pub fn take_exceeded(&self) -> bool {
        self.is_exceeded.replace(false)
    }

    /// Returns the bytes to free, so that seven eighths of the bound are used.
    pub fn excess_bytes(&self, waiting: usize) -> usize {
        (self.held.get() + waiting).saturating_sub(self.limit / 8 * 7)
    }

    /// Counts evictions for the next log line.
    pub fn count_evictions(&self, count: usize) {
        let evictions = self.evictions.get();
        self.evictions.set(EvictionReport { count: evictions.count + count, ..evictions });
    }

    /// Returns a log line about the evictions since the last line, at most once in
    /// [`REPORT_INTERVAL`].
    pub fn take_report(&self, now: Instant) -> Option<String> {
        let EvictionReport { count, reported_at } = self.evictions.get();
        let is_recent = reported_at.is_some_and(|at| now.duration_since(at) < REPORT_INTERVAL);
        if count == 0 || is_recent {
            return None;
        }
        self.evictions.set(EvictionReport { count: 0, reported_at: Some(now) });
        let limit = self.limit;
        Some(format!(
            "clients hold more than buffer_memory={limit} bytes: {count} slow connections closed, \
             those that stalled longest first"
        ))
    }
}

/// Minimum interval between log lines about evictions.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

//! Decides when the request of a stream may be passed to JavaScript. A client that opens many
//! streams and reads nothing would make JavaScript hold a response for each.
//!
//! Further requests of a connection therefore wait while many of its response bytes are unsent.
//! `pressure/stream_budget.rs` decides how many.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::exchange::StreamExchange;
use super::streams::Streams;
use crate::exchange::Exchange;
use crate::guard::Refusal;
use crate::pressure::stream_budget::{AdmissionState, RESPONSE_EXPECTED_MS, StreamBudget};
use crate::server::connection::state::ConnectionState;

/// Requests of a connection that wait for admission, and the bytes on which admission depends.
pub(crate) struct StreamAdmission {
    /// Requests that wait, in the order of their arrival.
    waiting: RefCell<VecDeque<Rc<StreamExchange>>>,
    /// Memory for the heads of waiting requests, in bytes.
    waiting_head_bytes: Cell<usize>,
    /// Response bytes that JavaScript holds for streams that have stalled.
    stalled_in_js: Cell<usize>,
    /// Time since which the client lags, on the stream that lags most; `u64::MAX` if it does not
    /// lag.
    lagging_since: Cell<u64>,
    budget: Cell<StreamBudget>,
}

impl Default for StreamAdmission {
    fn default() -> Self {
        Self {
            waiting: RefCell::default(),
            waiting_head_bytes: Cell::new(0),
            stalled_in_js: Cell::new(0),
            lagging_since: Cell::new(u64::MAX),
            budget: Cell::default(),
        }
    }
}

impl StreamAdmission {
    /// Returns the number of bytes held for requests that wait and for responses that are stalled.
    pub fn held_bytes(&self) -> usize {
        self.waiting_head_bytes.get() + self.stalled_in_js.get()
    }

    pub fn lagging_since(&self) -> u64 {
        self.lagging_since.get()
    }

    /// Removes all requests that wait, and returns them.
    pub fn take_waiting(&self) -> VecDeque<Rc<StreamExchange>> {
        self.waiting.take()
    }

    /// Changes the budget. Returns what `change` returns.
    fn with_budget<T>(&self, change: impl FnOnce(&mut StreamBudget) -> T) -> T {
        let mut budget = self.budget.get();
        let result = change(&mut budget);
        self.budget.set(budget);
        result
    }
}

impl Streams {
    /// Returns whether one more request may be admitted.
    fn has_room(&self, now: u64) -> bool {
        let totals = (self.unsent.bytes(), self.len());
        self.admission.with_budget(|budget| {
            budget.has_room(now, totals, || {
                self.all().into_iter().map(|stream| (stream.share.get(), stream.unsent.bytes()))
            })
        })
    }

    /// Updates the number of stalled bytes and the time since which the client lags.
    pub(crate) fn update_stalled(&self, now: u64) {
        let (mut since, mut stalled_bytes) = (u64::MAX, 0);
        for stream in self.all() {
            let stalled = stream.response_stalled_since();
            since = since.min(stalled).min(stream.body_late_since());
            stalled_bytes += stream.share.get().stalled_bytes(stalled, now);
        }
        self.admission.lagging_since.set(since);
        self.admission.stalled_in_js.set(stalled_bytes);
    }
}

/// Admits the request, or queues it. Returns whether it may be passed to JavaScript now.
pub(crate) fn try_admit(stream: &StreamExchange, exchange: &mut Exchange) -> Result<bool, Refusal> {
    let mut share = stream.share.get();
    if share.state() != AdmissionState::Undecided {
        return Ok(share.state() == AdmissionState::Admitted);
    }
    let Some(streams) = stream.streams.upgrade() else { return Ok(true) };
    let (ctx, admission) = (&stream.shared.ctx, &streams.admission);
    let now = ctx.clock.now_ms();
    if admission.waiting.borrow().is_empty() && streams.has_room(now) {
        share.admit(now);
        stream.share.set(share);
        return Ok(true);
    }
    let Some(this) = streams.get(stream.slot()) else { return Ok(true) };
    if ctx.tables.waiting_streams.get() >= ctx.limits.settings.worker_connections as usize {
        return Err(Refusal::Overloaded);
    }
    stream.shared.save_head(exchange);
    let kept = share.wait(exchange.saved_head.as_ref().map_or(0, |kept| kept.bytes.len()));
    stream.share.set(share);
    admission.waiting_head_bytes.set(admission.waiting_head_bytes.get() + kept);
    ctx.tables.waiting_streams.set(ctx.tables.waiting_streams.get() + 1);
    ctx.handoff.slot.stream_queued();
    admission.waiting.borrow_mut().push_back(this);
    stream.shared.set_deadline_no_later_than(now + RESPONSE_EXPECTED_MS);
    Ok(false)
}

/// Removes the request from the queue and marks it as admitted.
pub(crate) fn stop_waiting(stream: &StreamExchange, streams: &Streams) {
    let mut share = stream.share.get();
    if share.state() != AdmissionState::Waiting {
        return;
    }
    let (ctx, admission) = (&stream.shared.ctx, &streams.admission);
    let freed = share.admit(ctx.clock.now_ms());
    stream.share.set(share);
    admission.waiting_head_bytes.set(admission.waiting_head_bytes.get() - freed);
    ctx.tables.waiting_streams.set(ctx.tables.waiting_streams.get() - 1);
    ctx.handoff.slot.stream_admitted();
    admission.waiting.borrow_mut().retain(|other| !std::ptr::eq(&raw const **other, stream));
}

/// Records the number of response bytes that JavaScript holds.
pub(crate) fn set_buffered_in_js(stream: &StreamExchange, bytes: usize) {
    let Some(streams) = stream.streams.upgrade().filter(|_| !stream.is_closed()) else { return };
    let (mut share, now) = (stream.share.get(), stream.shared.ctx.clock.now_ms());
    streams.admission.with_budget(|budget| budget.set_buffered(&mut share, bytes, now));
    stream.share.set(share);
}

/// Records the progress of the response, from which the expected size is estimated.
pub(crate) fn record_response(stream: &StreamExchange, exchange: &Exchange) {
    let Some(streams) = stream.streams.upgrade() else { return };
    let (mut share, now) = (stream.share.get(), stream.shared.ctx.clock.now_ms());
    let progress = (exchange.response.is_head_sent, exchange.response.is_complete);
    streams.admission.with_budget(|budget| {
        budget.record_progress(&mut share, progress, stream.unsent.bytes(), now);
    });
    stream.share.set(share);
}

/// Admits waiting requests as long as there is room. `arrived` returns the number of bytes that the
/// client has acknowledged.
pub(crate) fn admit_waiting(
    streams: &Streams,
    shared: &ConnectionState,
    arrived: impl Fn() -> u64,
) {
    let now = shared.ctx.clock.now_ms();
    loop {
        let Some(first) = streams.admission.waiting.borrow().front().cloned() else { return };
        let has_read = || streams.admission.with_budget(|budget| budget.has_read_enough(arrived()));
        if !streams.has_room(now) && !has_read() {
            return shared.set_deadline_no_later_than(now + RESPONSE_EXPECTED_MS);
        }
        stop_waiting(&first, streams);
        first.poll_body();
    }
}

//! Decides when the request of a stream may be passed to JavaScript. A client that opens many
//! streams and reads nothing would make JavaScript hold a response for each.
//!
//! Further requests of a connection therefore wait while many of its response bytes are unsent.
//! Requests without a response count with an expected size, which the first responses correct.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use h2::Reason;

use super::Session;
use super::exchange::StreamExchange;
use super::streams::Streams;
use crate::buffers::sizes::{
    BYTES_READ_PER_EXTRA_STREAM, MAX_COUNTED_PER_STREAM_BYTES, MAX_EXPECTED_UNSENT_BYTES,
    MIN_EXPECTED_SIZE_BYTES,
};
use crate::exchange::min_rate::RateBounds;
use crate::guard::Refusal;
use crate::server::connection::{ConnectionState, Exchange};

/// State of a request on its way to JavaScript.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum AdmissionState {
    /// Not decided: the request may still wait for its body.
    #[default]
    Undecided,
    /// The client must first read other responses of its connection.
    Waiting,
    Admitted,
}

/// Requests of a connection that wait for admission, and the bytes on which admission depends.
pub(crate) struct StreamAdmission {
    /// Requests that wait, in the order of their arrival.
    waiting: RefCell<VecDeque<Rc<StreamExchange>>>,
    /// Memory for the heads of waiting requests, in bytes.
    waiting_head_bytes: Cell<usize>,
    /// Response bytes that JavaScript holds for the connection.
    buffered_in_js: Cell<usize>,
    /// Response bytes that JavaScript holds for streams that have stalled for
    /// [`STALLED_RESPONSE_MS`].
    stalled_in_js: Cell<usize>,
    /// Time since which the client lags, on the stream that lags most; `u64::MAX` if it does not
    /// lag.
    lagging_since: Cell<u64>,
    /// Expected size of a response that has not begun, in bytes.
    expected_size: Cell<usize>,
    /// Time at which `expected_size` was last changed; `u64::MAX` before.
    estimated_at: Cell<u64>,
    /// Bytes that the client had acknowledged when a request beyond the limit was last admitted.
    arrived_at_last_extra: Cell<u64>,
}

impl Default for StreamAdmission {
    fn default() -> Self {
        Self {
            waiting: RefCell::default(),
            waiting_head_bytes: Cell::new(0),
            buffered_in_js: Cell::new(0),
            stalled_in_js: Cell::new(0),
            lagging_since: Cell::new(u64::MAX),
            expected_size: Cell::new(MAX_COUNTED_PER_STREAM_BYTES),
            estimated_at: Cell::new(u64::MAX),
            arrived_at_last_extra: Cell::new(0),
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

    /// Records the size of a complete response. A client that has asked for a large response may
    /// ask for more of them, so the estimate falls by at most half.
    fn record_response_size(&self, size: usize, now: u64) {
        let half = self.expected_size.get() / 2;
        self.expected_size
            .set(half.max(size).clamp(MIN_EXPECTED_SIZE_BYTES, MAX_COUNTED_PER_STREAM_BYTES));
        self.estimated_at.set(now);
    }

    /// Halves the estimate if responses are overdue, at most once per [`RESPONSE_EXPECTED_MS`].
    /// They may depend on requests that still wait.
    fn lower_estimate_if_overdue(&self, now: u64) {
        if self.estimated_at.get() == u64::MAX {
            self.estimated_at.set(now);
        } else if now >= self.estimated_at.get() + RESPONSE_EXPECTED_MS {
            self.record_response_size(0, now);
        }
    }
}

impl Streams {
    /// Returns whether one more request may be admitted.
    fn has_room(&self, now: u64) -> bool {
        let admission = &self.admission;
        let held = self.unsent.bytes() + admission.buffered_in_js.get();
        if held + self.len() * admission.expected_size.get() < MAX_EXPECTED_UNSENT_BYTES {
            return true;
        }
        let all = self.all();
        if all.iter().any(|stream| stream.is_response_overdue(now)) {
            admission.lower_estimate_if_overdue(now);
        }
        let expected = admission.expected_size.get();
        let expected_total: usize =
            all.iter().map(|stream| stream.expected_unsent(now, expected)).sum();
        expected_total < MAX_EXPECTED_UNSENT_BYTES
    }

    /// Returns whether the client has read enough for one more request beyond the limit, so that a
    /// slow reader makes progress. A client's kernel buffers a few megabytes by itself, which is no
    /// reason to hold much more for it.
    fn has_read_enough(&self, arrived: u64) -> bool {
        let required = BYTES_READ_PER_EXTRA_STREAM.max(self.admission.buffered_in_js.get() as u64);
        let has_read =
            arrived.saturating_sub(self.admission.arrived_at_last_extra.get()) >= required;
        if has_read {
            self.admission.arrived_at_last_extra.set(arrived);
        }
        has_read
    }

    /// Updates the number of stalled bytes and the time since which the client lags.
    pub(crate) fn update_stalled(&self, now: u64) {
        let (mut since, mut stalled_bytes) = (u64::MAX, 0);
        for stream in self.all() {
            let stalled = stream.response_stalled_since();
            since = since.min(stalled).min(stream.body_late_since());
            if stalled.saturating_add(STALLED_RESPONSE_MS) <= now {
                stalled_bytes += stream.buffered_in_js.get();
            }
        }
        self.admission.lagging_since.set(since);
        self.admission.stalled_in_js.set(stalled_bytes);
    }
}

impl StreamExchange {
    /// Admits the request, or queues it. Returns whether it may be passed to JavaScript now.
    pub(crate) fn try_admit(&self, exchange: &mut Exchange) -> Result<bool, Refusal> {
        if self.admission_state.get() != AdmissionState::Undecided {
            return Ok(self.admission_state.get() == AdmissionState::Admitted);
        }
        let Some(streams) = self.streams.upgrade() else { return Ok(true) };
        let (ctx, admission) = (&self.shared.ctx, &streams.admission);
        let now = ctx.clock.now_ms();
        if admission.waiting.borrow().is_empty() && streams.has_room(now) {
            self.admission_state.set(AdmissionState::Admitted);
            self.admitted_at.set(now);
            return Ok(true);
        }
        let Some(this) = streams.get(self.slot()) else { return Ok(true) };
        if ctx.tables.waiting_streams.get() >= ctx.limits.settings.worker_connections as usize {
            return Err(Refusal::Overloaded);
        }
        self.shared.save_head(exchange);
        let kept =
            exchange.saved_head.as_ref().map_or(0, |kept| kept.bytes.len() * WAITING_HEAD_COST);
        self.waiting_head_bytes.set(kept);
        admission.waiting_head_bytes.set(admission.waiting_head_bytes.get() + kept);
        self.admission_state.set(AdmissionState::Waiting);
        ctx.tables.waiting_streams.set(ctx.tables.waiting_streams.get() + 1);
        ctx.handoff.slot.stream_queued();
        admission.waiting.borrow_mut().push_back(this);
        self.shared.set_deadline_no_later_than(now + RESPONSE_EXPECTED_MS);
        Ok(false)
    }

    /// Removes the request from the queue and marks it as admitted.
    pub(crate) fn stop_waiting(&self, streams: &Streams) {
        if self.admission_state.get() != AdmissionState::Waiting {
            return;
        }
        let (ctx, admission) = (&self.shared.ctx, &streams.admission);
        self.admission_state.set(AdmissionState::Admitted);
        self.admitted_at.set(ctx.clock.now_ms());
        admission
            .waiting_head_bytes
            .set(admission.waiting_head_bytes.get() - self.waiting_head_bytes.take());
        ctx.tables.waiting_streams.set(ctx.tables.waiting_streams.get() - 1);
        ctx.handoff.slot.stream_admitted();
        admission.waiting.borrow_mut().retain(|stream| !std::ptr::eq(&raw const **stream, self));
    }

    /// Records the number of response bytes that JavaScript holds.
    pub(crate) fn set_buffered_in_js(&self, bytes: usize) {
        let Some(streams) = self.streams.upgrade().filter(|_| !self.is_closed()) else { return };
        let before = self.buffered_in_js.replace(bytes);
        self.max_buffered_in_js.set(self.max_buffered_in_js.get().max(bytes));
        let admission = &streams.admission;
        admission.buffered_in_js.set(admission.buffered_in_js.get() + bytes - before);
        if bytes > admission.expected_size.get() {
            admission.record_response_size(bytes, self.shared.ctx.clock.now_ms());
        }
    }

    /// Records the progress of the response, from which the expected size is estimated.
    pub(crate) fn record_response(&self, exchange: &Exchange) {
        self.has_response.set(self.has_response.get() || exchange.is_head_sent);
        if exchange.is_response_complete
            && !self.is_size_recorded.replace(true)
            && let Some(streams) = self.streams.upgrade()
        {
            // The response is complete, so its size is at least what is still held of it.
            let size = self.unsent.bytes().max(self.max_buffered_in_js.get());
            streams.admission.record_response_size(size, self.shared.ctx.clock.now_ms());
        }
    }

    /// Returns whether the response has not begun within [`RESPONSE_EXPECTED_MS`].
    fn is_response_overdue(&self, now: u64) -> bool {
        let waits =
            self.admission_state.get() == AdmissionState::Admitted && !self.has_response.get();
        waits && now >= self.admitted_at.get() + RESPONSE_EXPECTED_MS
    }

    fn expected_unsent(&self, now: u64, expected: usize) -> usize {
        if self.admission_state.get() != AdmissionState::Admitted {
            return 0;
        }
        if self.has_response.get() {
            return (self.unsent.bytes() + self.buffered_in_js.get())
                .min(MAX_COUNTED_PER_STREAM_BYTES);
        }
        if now < self.admitted_at.get() + RESPONSE_EXPECTED_MS { expected } else { 0 }
    }

    /// Returns the time since which the client has read too little of the response; `u64::MAX` if
    /// no bytes are pending.
    pub(crate) fn response_stalled_since(&self) -> u64 {
        self.response_rate.get().late_since(RateBounds::of_response(&self.shared.limits()))
    }

    /// Returns the time since which the client has sent too little of the body; `u64::MAX` once the
    /// response has begun.
    pub(crate) fn body_late_since(&self) -> u64 {
        if self.exchange.borrow().is_head_sent {
            return u64::MAX;
        }
        self.body_rate.get().late_since(RateBounds::of_body(&self.shared.limits()))
    }
}

impl Session {
    /// Admits waiting requests as long as there is room. `arrived` returns the number of bytes that
    /// the client has acknowledged.
    pub(crate) fn admit_waiting(&self, shared: &ConnectionState, arrived: impl Fn() -> u64) {
        let (streams, now) = (&self.streams, shared.ctx.clock.now_ms());
        loop {
            let Some(first) = streams.admission.waiting.borrow().front().cloned() else { return };
            if !streams.has_room(now) && !streams.has_read_enough(arrived()) {
                return shared.set_deadline_no_later_than(now + RESPONSE_EXPECTED_MS);
            }
            first.stop_waiting(streams);
            first.poll_body();
        }
    }

    /// Refuses all waiting requests because the client does not read its responses. With
    /// `REFUSED_STREAM`, the client may retry on another connection.
    pub(crate) fn refuse_waiting(&mut self) {
        let waiting = self.streams.admission.waiting.take();
        if waiting.is_empty() {
            return;
        }
        for stream in waiting {
            stream.abort(Reason::REFUSED_STREAM);
        }
        self.drain();
    }
}

/// Time for which a response that has not begun counts with the expected size, in milliseconds.
const RESPONSE_EXPECTED_MS: u64 = 100;
/// Time after which a response that the client does not read counts as stalled, in milliseconds.
const STALLED_RESPONSE_MS: u64 = 2_000;
/// Memory of a waiting head, as a multiple of its bytes: the bytes and the table of its fields.
const WAITING_HEAD_COST: usize = 2;

//! Requests that wait until answers of their connection have been taken. A client that opens many streams and no window
//! would make JavaScript hold an answer for each of them, so no further one begins while much of what it has asked for
//! stands. What is asked for at once counts as expected, until the first answers show what they weigh.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use h2::Reason;

use super::Session;
use super::exchange::StreamExchange;
use super::streams::Streams;
use crate::guard::Refusal;
use crate::server::connection::min_rate::Bounds;
use crate::server::connection::{Current, Shared};

/// How far a request has come on its way to JavaScript.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum AdmissionState {
    /// It may still wait for its body.
    #[default]
    Undecided,
    /// Others of its connection have to be taken first.
    Waiting,
    Admitted,
}

/// What stands of a connection, and what waits for that.
pub(crate) struct StreamAdmission {
    waiting: RefCell<VecDeque<Rc<StreamExchange>>>,
    /// Bytes of heads that wait.
    waiting_head_bytes: Cell<usize>,
    /// Bytes of answers that JavaScript holds.
    buffered_in_js: Cell<usize>,
    /// The same of those that have stood for a while.
    stalled_in_js: Cell<usize>,
    /// Since when the client has been behind with the request or the answer with which it is furthest behind.
    lagging_since: Cell<u64>,
    /// What an answer is taken for as long as there is none.
    expected_size: Cell<usize>,
    /// When that has been found, or doubted; `u64::MAX` before.
    estimated_at: Cell<u64>,
    /// What had arrived of the connection when one more was let through.
    arrived_at_extra: Cell<u64>,
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
            arrived_at_extra: Cell::new(0),
        }
    }
}

impl StreamAdmission {
    /// Bytes that are held because of clients that do not read.
    pub fn held_bytes(&self) -> usize {
        self.waiting_head_bytes.get() + self.stalled_in_js.get()
    }

    pub fn lagging_since(&self) -> u64 {
        self.lagging_since.get()
    }

    /// An answer is complete that weighs so much. Whoever asks for large ones may ask for more of them.
    fn record_response_size(&self, weight: usize, now: u64) {
        let half = self.expected_size.get() / 2;
        self.expected_size
            .set(half.max(weight).clamp(MIN_EXPECTED_SIZE_BYTES, MAX_COUNTED_PER_STREAM_BYTES));
        self.estimated_at.set(now);
    }

    /// Answers that do not come tell nothing: less is expected of them, as they may wait for what comes behind them.
    fn lower_estimate_if_overdue(&self, now: u64) {
        if self.estimated_at.get() == u64::MAX {
            self.estimated_at.set(now);
        } else if now >= self.estimated_at.get() + RESPONSE_EXPECTED_MS {
            self.record_response_size(0, now);
        }
    }
}

impl Streams {
    /// Whether one more may begin.
    fn has_room(&self, now: u64) -> bool {
        let admission = &self.admission;
        let held = self.totals.bytes() + admission.buffered_in_js.get();
        if held + self.len() * admission.expected_size.get() < MAX_EXPECTED_UNSENT_BYTES {
            return true;
        }
        let all = self.all();
        if all.iter().any(|one| one.is_response_overdue(now)) {
            admission.lower_estimate_if_overdue(now);
        }
        let expected = admission.expected_size.get();
        let weight: usize = all.iter().map(|one| one.expected_unsent(now, expected)).sum();
        weight < MAX_EXPECTED_UNSENT_BYTES
    }

    /// Whoever reads, if slowly, gets on: one more may begin for so many bytes as are known to have arrived. What a
    /// client's system takes by itself, which is a few megabytes, is no reason to hold much more for it.
    fn has_read_enough(&self, arrived: u64) -> bool {
        let price = BYTES_READ_PER_EXTRA_STREAM.max(self.admission.buffered_in_js.get() as u64);
        let reads = arrived.saturating_sub(self.admission.arrived_at_extra.get()) >= price;
        if reads {
            self.admission.arrived_at_extra.set(arrived);
        }
        reads
    }

    /// Looks which answers stand, and since when the client is behind.
    pub(crate) fn update_stalled(&self, now: u64) {
        let (mut since, mut behind) = (u64::MAX, 0);
        for exchange in self.all() {
            let stalled = exchange.response_stalled_since();
            since = since.min(stalled).min(exchange.body_late_since());
            if stalled.saturating_add(STALLED_RESPONSE_MS) <= now {
                behind += exchange.buffered_in_js.get();
            }
        }
        self.admission.lagging_since.set(since);
        self.admission.stalled_in_js.set(behind);
    }
}

impl StreamExchange {
    /// Whether its request may cross now; it waits from here on if it may not.
    pub(crate) fn try_admit(&self, current: &mut Current) -> Result<bool, Refusal> {
        if self.admission_state.get() != AdmissionState::Undecided {
            return Ok(self.admission_state.get() == AdmissionState::Admitted);
        }
        let Some(streams) = self.streams.upgrade() else { return Ok(true) };
        let (ctx, admission) = (&self.shared.ctx, &streams.admission);
        let now = ctx.now_ms();
        if admission.waiting.borrow().is_empty() && streams.has_room(now) {
            self.admission_state.set(AdmissionState::Admitted);
            self.admitted_at.set(now);
            return Ok(true);
        }
        let Some(me) = streams.at(self.slot()) else { return Ok(true) };
        if ctx.waiting_streams.get() >= ctx.limits.settings.worker_connections as usize {
            return Err(Refusal::Overloaded);
        }
        self.shared.keep_head(current);
        let kept = current.kept.as_ref().map_or(0, |kept| kept.bytes.len() * WAITING_HEAD_COST);
        self.waiting_head_bytes.set(kept);
        admission.waiting_head_bytes.set(admission.waiting_head_bytes.get() + kept);
        self.admission_state.set(AdmissionState::Waiting);
        ctx.waiting_streams.set(ctx.waiting_streams.get() + 1);
        ctx.handoff.slot.stream_waits();
        admission.waiting.borrow_mut().push_back(me);
        self.shared.look_again_at(now + RESPONSE_EXPECTED_MS);
        Ok(false)
    }

    /// It waits no more.
    pub(crate) fn stop_waiting(&self, streams: &Streams) {
        if self.admission_state.get() != AdmissionState::Waiting {
            return;
        }
        let (ctx, admission) = (&self.shared.ctx, &streams.admission);
        self.admission_state.set(AdmissionState::Admitted);
        self.admitted_at.set(ctx.now_ms());
        admission
            .waiting_head_bytes
            .set(admission.waiting_head_bytes.get() - self.waiting_head_bytes.take());
        ctx.waiting_streams.set(ctx.waiting_streams.get() - 1);
        ctx.handoff.slot.stream_admitted();
        admission.waiting.borrow_mut().retain(|one| !std::ptr::eq(&raw const **one, self));
    }

    /// JavaScript holds so many bytes of the answer.
    pub(crate) fn set_buffered_in_js(&self, bytes: usize) {
        let Some(streams) = self.streams.upgrade().filter(|_| !self.is_closed()) else { return };
        let before = self.buffered_in_js.replace(bytes);
        self.max_buffered_in_js.set(self.max_buffered_in_js.get().max(bytes));
        let admission = &streams.admission;
        admission.buffered_in_js.set(admission.buffered_in_js.get() + bytes - before);
        if bytes > admission.expected_size.get() {
            admission.record_response_size(bytes, self.shared.ctx.now_ms());
        }
    }

    /// From what there is of the answer others of the connection are judged.
    pub(crate) fn record_response(&self, current: &Current) {
        self.has_response.set(self.has_response.get() || current.head_sent);
        if current.ended
            && !self.is_size_recorded.replace(true)
            && let Some(streams) = self.streams.upgrade()
        {
            // It is complete when little of it is left.
            let weight = self.unsent.bytes().max(self.max_buffered_in_js.get());
            streams.admission.record_response_size(weight, self.shared.ctx.now_ms());
        }
    }

    /// Its answer is overdue.
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

    /// Since when its client has been behind with taking the answer; `u64::MAX` if nothing waits for it.
    pub(crate) fn response_stalled_since(&self) -> u64 {
        self.response_rate.get().behind_since(Bounds::of_answer(&self.shared.limits()))
    }

    /// The same of the body that it owes, unless that has been answered already.
    pub(crate) fn body_late_since(&self) -> u64 {
        if self.current.borrow().head_sent {
            return u64::MAX;
        }
        self.body_rate.get().behind_since(Bounds::of_body(&self.shared.limits()))
    }
}

impl Session {
    /// Begins what has waited, as far as there is room by now; `arrived` says how many bytes the client's side has
    /// acknowledged.
    pub(crate) fn admit_waiting(&self, shared: &Shared, arrived: impl Fn() -> u64) {
        let (streams, now) = (&self.streams, shared.ctx.now_ms());
        loop {
            let Some(first) = streams.admission.waiting.borrow().front().cloned() else { return };
            if !streams.has_room(now) && !streams.has_read_enough(arrived()) {
                return shared.look_again_at(now + RESPONSE_EXPECTED_MS);
            }
            first.stop_waiting(streams);
            first.poll_body();
        }
    }

    /// The client does not take what it has asked for: what waits for that is refused, to be sent again on another
    /// connection.
    pub(crate) fn refuse_waiting(&mut self) {
        let waiting = self.streams.admission.waiting.take();
        if waiting.is_empty() {
            return;
        }
        for exchange in waiting {
            exchange.abort(Reason::REFUSED_STREAM);
        }
        self.drain();
    }
}

/// Bytes of answers of a connection that stand, or are expected: with more no further one is begun.
const MAX_EXPECTED_UNSENT_BYTES: usize = 2 << 20;
/// One answer counts as no more: whoever loads something huge can do something else beside it.
const MAX_COUNTED_PER_STREAM_BYTES: usize = 1 << 20;
/// And as no less, as long as there is none: all of the usual hundred streams may begin.
const MIN_EXPECTED_SIZE_BYTES: usize = 16_384;
/// An answer is expected for so long.
const RESPONSE_EXPECTED_MS: u64 = 100;
/// Beyond the bound one more begins for each so many bytes that the client takes, or as many as JavaScript holds.
const BYTES_READ_PER_EXTRA_STREAM: u64 = 262_144;
/// An answer of which nothing has been taken for so long stands.
const STALLED_RESPONSE_MS: u64 = 2_000;
/// A head that waits takes its bytes, and the places of its fields.
const WAITING_HEAD_COST: usize = 2;

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
    kept: Cell<usize>,
    /// Bytes of answers that JavaScript holds.
    behind: Cell<usize>,
    /// The same of those that have stood for a while.
    stalled_behind: Cell<usize>,
    /// Since when the client has been behind with the request or the answer with which it is furthest behind.
    behind_since: Cell<u64>,
    /// What an answer is taken for as long as there is none.
    expected: Cell<usize>,
    /// When that has been found, or doubted; `u64::MAX` before.
    learnt: Cell<u64>,
    /// What had arrived of the connection when one more was let through.
    passed: Cell<u64>,
}

impl Default for StreamAdmission {
    fn default() -> Self {
        Self {
            waiting: RefCell::default(),
            kept: Cell::new(0),
            behind: Cell::new(0),
            stalled_behind: Cell::new(0),
            behind_since: Cell::new(u64::MAX),
            expected: Cell::new(MOST_OF_ONE),
            learnt: Cell::new(u64::MAX),
            passed: Cell::new(0),
        }
    }
}

impl StreamAdmission {
    /// Bytes that are held because of clients that do not read.
    pub fn held(&self) -> usize {
        self.kept.get() + self.stalled_behind.get()
    }

    pub fn behind_since(&self) -> u64 {
        self.behind_since.get()
    }

    /// An answer is complete that weighs so much. Whoever asks for large ones may ask for more of them.
    fn learn(&self, weight: usize, now: u64) {
        let half = self.expected.get() / 2;
        self.expected.set(half.max(weight).clamp(LEAST_OF_ONE, MOST_OF_ONE));
        self.learnt.set(now);
    }

    /// Answers that do not come tell nothing: less is expected of them, as they may wait for what comes behind them.
    fn doubt(&self, now: u64) {
        if self.learnt.get() == u64::MAX {
            self.learnt.set(now);
        } else if now >= self.learnt.get() + EXPECTED_MS {
            self.learn(0, now);
        }
    }
}

impl Streams {
    /// Whether one more may begin.
    fn has_room(&self, now: u64) -> bool {
        let standing = &self.standing;
        let held = self.totals.bytes() + standing.behind.get();
        if held + self.len() * standing.expected.get() < MOST_STANDING {
            return true;
        }
        let all = self.all();
        if all.iter().any(|one| one.keeps_waiting(now)) {
            standing.doubt(now);
        }
        let expected = standing.expected.get();
        let weight: usize = all.iter().map(|one| one.weight(now, expected)).sum();
        weight < MOST_STANDING
    }

    /// Whoever reads, if slowly, gets on: one more may begin for so many bytes as are known to have arrived. What a
    /// client's system takes by itself, which is a few megabytes, is no reason to hold much more for it.
    fn has_read(&self, arrived: u64) -> bool {
        let price = ONE_MORE.max(self.standing.behind.get() as u64);
        let reads = arrived.saturating_sub(self.standing.passed.get()) >= price;
        if reads {
            self.standing.passed.set(arrived);
        }
        reads
    }

    /// Looks which answers stand, and since when the client is behind.
    pub(crate) fn look_at_standing(&self, now: u64) {
        let (mut since, mut behind) = (u64::MAX, 0);
        for exchange in self.all() {
            let stalled = exchange.stalled_since();
            since = since.min(stalled).min(exchange.late_since());
            if stalled.saturating_add(STANDS_MS) <= now {
                behind += exchange.behind.get();
            }
        }
        self.standing.behind_since.set(since);
        self.standing.stalled_behind.set(behind);
    }
}

impl StreamExchange {
    /// Whether its request may cross now; it waits from here on if it may not.
    pub(crate) fn begins(&self, current: &mut Current) -> Result<bool, Refusal> {
        if self.start.get() != AdmissionState::Undecided {
            return Ok(self.start.get() == AdmissionState::Admitted);
        }
        let Some(streams) = self.streams.upgrade() else { return Ok(true) };
        let (ctx, standing) = (&self.shared.ctx, &streams.standing);
        let now = ctx.now_ms();
        if standing.waiting.borrow().is_empty() && streams.has_room(now) {
            self.start.set(AdmissionState::Admitted);
            self.begun.set(now);
            return Ok(true);
        }
        let Some(me) = streams.at(self.place()) else { return Ok(true) };
        if ctx.standing.get() >= ctx.limits.worker_connections {
            return Err(Refusal::Overloaded);
        }
        self.shared.keep_head(current);
        let kept = current.kept.as_ref().map_or(0, |kept| kept.bytes.len() * KEPT_TIMES);
        self.kept.set(kept);
        standing.kept.set(standing.kept.get() + kept);
        self.start.set(AdmissionState::Waiting);
        ctx.standing.set(ctx.standing.get() + 1);
        ctx.handoff.slot.request_stands();
        standing.waiting.borrow_mut().push_back(me);
        self.shared.look_again_at(now + EXPECTED_MS);
        Ok(false)
    }

    /// It waits no more.
    pub(crate) fn stop_waiting(&self, streams: &Streams) {
        if self.start.get() != AdmissionState::Waiting {
            return;
        }
        let (ctx, standing) = (&self.shared.ctx, &streams.standing);
        self.start.set(AdmissionState::Admitted);
        self.begun.set(ctx.now_ms());
        standing.kept.set(standing.kept.get() - self.kept.take());
        ctx.standing.set(ctx.standing.get() - 1);
        ctx.handoff.slot.request_goes_on();
        standing.waiting.borrow_mut().retain(|one| !std::ptr::eq(&raw const **one, self));
    }

    /// JavaScript holds so many bytes of the answer.
    pub(crate) fn set_behind(&self, bytes: usize) {
        let Some(streams) = self.streams.upgrade().filter(|_| !self.is_closed()) else { return };
        let before = self.behind.replace(bytes);
        self.most_behind.set(self.most_behind.get().max(bytes));
        let standing = &streams.standing;
        standing.behind.set(standing.behind.get() + bytes - before);
        if bytes > standing.expected.get() {
            standing.learn(bytes, self.shared.ctx.now_ms());
        }
    }

    /// From what there is of the answer others of the connection are judged.
    pub(crate) fn weigh(&self, current: &Current) {
        self.answers.set(self.answers.get() || current.head_sent);
        if current.ended
            && !self.weighed.replace(true)
            && let Some(streams) = self.streams.upgrade()
        {
            // It is complete when little of it is left.
            let weight = self.unsent.bytes().max(self.most_behind.get());
            streams.standing.learn(weight, self.shared.ctx.now_ms());
        }
    }

    /// Its answer is overdue.
    fn keeps_waiting(&self, now: u64) -> bool {
        let waits = self.start.get() == AdmissionState::Admitted && !self.answers.get();
        waits && now >= self.begun.get() + EXPECTED_MS
    }

    fn weight(&self, now: u64, expected: usize) -> usize {
        if self.start.get() != AdmissionState::Admitted {
            return 0;
        }
        if self.answers.get() {
            return (self.unsent.bytes() + self.behind.get()).min(MOST_OF_ONE);
        }
        if now < self.begun.get() + EXPECTED_MS { expected } else { 0 }
    }

    /// Since when its client has been behind with taking the answer; `u64::MAX` if nothing waits for it.
    pub(crate) fn stalled_since(&self) -> u64 {
        self.output.get().behind_since(Bounds::of_answer(&self.shared.limits()))
    }

    /// The same of the body that it owes, unless that has been answered already.
    pub(crate) fn late_since(&self) -> u64 {
        if self.current.borrow().head_sent {
            return u64::MAX;
        }
        self.input.get().behind_since(Bounds::of_body(&self.shared.limits()))
    }
}

impl Session {
    /// Begins what has waited, as far as there is room by now; `arrived` says how many bytes the client's side has
    /// acknowledged.
    pub(crate) fn begin_waiting(&self, shared: &Shared, arrived: impl Fn() -> u64) {
        let (streams, now) = (&self.streams, shared.ctx.now_ms());
        loop {
            let Some(first) = streams.standing.waiting.borrow().front().cloned() else { return };
            if !streams.has_room(now) && !streams.has_read(arrived()) {
                return shared.look_again_at(now + EXPECTED_MS);
            }
            first.stop_waiting(streams);
            first.poll_body();
        }
    }

    /// The client does not take what it has asked for: what waits for that is refused, to be sent again on another
    /// connection.
    pub(crate) fn refuse_waiting(&mut self) {
        let waiting = self.streams.standing.waiting.take();
        if waiting.is_empty() {
            return;
        }
        for exchange in waiting {
            exchange.cut(Reason::REFUSED_STREAM);
        }
        self.leave();
    }
}

/// Bytes of answers of a connection that stand, or are expected: with more no further one is begun.
const MOST_STANDING: usize = 2 << 20;
/// One answer counts as no more: whoever loads something huge can do something else beside it.
const MOST_OF_ONE: usize = 1 << 20;
/// And as no less, as long as there is none: all of the usual hundred streams may begin.
const LEAST_OF_ONE: usize = 16_384;
/// An answer is expected for so long.
const EXPECTED_MS: u64 = 100;
/// Beyond the bound one more begins for each so many bytes that the client takes, or as many as JavaScript holds.
const ONE_MORE: u64 = 262_144;
/// An answer of which nothing has been taken for so long stands.
const STANDS_MS: u64 = 2_000;
/// A head that waits takes its bytes, and the places of its fields.
const KEPT_TIMES: usize = 2;

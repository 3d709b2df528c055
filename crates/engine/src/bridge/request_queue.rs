//! The queue of events for JavaScript: those that it takes next, and the requests of the batch that
//! it reads. A request can be withdrawn until JavaScript takes the part of the batch that has it.

use std::mem;

use crate::bridge::event_batch::{BatchPosition, EventBatch, RequestStart};
use crate::bridge::wire::PART_BYTES;
use crate::pressure::queue_delay::{MIN_QUEUE, QueueDelay, Report};

/// What waits for JavaScript. Times are in microseconds on the monotonic clock.
pub(crate) struct RequestQueue {
    /// Events that JavaScript has not taken.
    events: EventBatch,
    /// The requests of the batch that JavaScript has taken last.
    taken: Vec<RequestStart>,
    /// The number of `taken` in the parts that JavaScript has.
    begun: usize,
    pace: Pace,
    delay: QueueDelay,
}

impl RequestQueue {
    pub fn new(delay: QueueDelay) -> Self {
        Self {
            events: EventBatch::default(),
            taken: Vec::new(),
            begun: 0,
            pace: Pace::default(),
            delay,
        }
    }

    /// Returns the events that JavaScript has not taken.
    pub fn events(&self) -> &EventBatch {
        &self.events
    }

    /// Adds the events of a turn, whose requests begin to wait now. Returns the time until the next
    /// [`Self::take_late`], in microseconds, if one is needed.
    pub fn append(&mut self, batch: &mut EventBatch, now_us: u64) -> Option<u64> {
        for request in &mut batch.requests {
            request.arrived_us = now_us;
        }
        self.delay.record_arrivals(batch.requests.len() as u64);
        self.events.append(batch);
        self.delay.next_check_us(now_us)
    }

    /// Takes all events into `batch`, which must be empty. JavaScript has all parts of the batch
    /// before.
    pub fn take(&mut self, batch: &mut EventBatch) {
        mem::swap(batch, &mut self.events);
        self.taken.clear();
        self.begun = 0;
        mem::swap(&mut self.taken, &mut batch.requests);
    }

    /// Notes that JavaScript has found nothing and sleeps.
    pub fn note_sleep(&mut self) {
        self.pace.measures_from_us = None;
        self.delay.record_short_wait();
    }

    /// Notes that a request was refused because too many are in flight.
    pub fn note_refused(&mut self) {
        self.delay.record_arrivals(1);
    }

    /// Finds the end of the part of the batch that begins at `from`, and marks the requests in it
    /// that were withdrawn. Calls `record_wait` with the waits of the others and their numbers.
    ///
    /// A part ends at the first request after [`PART_BYTES`]. JavaScript gets each part as one
    /// text, which lives as long as any string that was sliced out of it. A part has no more
    /// requests than JavaScript handles in [`PART_TIME_US`]: the others can still be withdrawn.
    pub fn take_part(
        &mut self,
        batch: &mut EventBatch,
        from: usize,
        now_us: impl FnOnce() -> u64,
        mut record_wait: impl FnMut(u64, u64),
    ) -> BatchPosition {
        let end = BatchPosition { text: batch.text.len(), chunks: batch.chunk_count() };
        let rest = &self.taken[self.begun..];
        if rest.is_empty() {
            return end;
        }
        let now_us = now_us();
        let waiting = rest.len() + self.events.requests.len();
        let max_requests = self.pace.max_requests(now_us);
        let (mut read, mut given) = (0, 0);
        let mut arrived = (0, 0);
        let mut record = |(arrived_us, count): (u64, u64)| {
            if count > 0 {
                let wait_us = now_us.saturating_sub(arrived_us);
                self.delay.record_taken(now_us, wait_us, count, waiting);
                record_wait(wait_us, count);
            }
        };
        for request in rest {
            let is_full = given == max_requests && !request.is_withdrawn;
            if is_full || request.at as usize >= from + PART_BYTES {
                break;
            }
            read += 1;
            if request.is_withdrawn {
                batch.mark_withdrawn(request);
                continue;
            }
            given += 1;
            if request.arrived_us == arrived.0 {
                arrived.1 += 1;
            } else {
                record(mem::replace(&mut arrived, (request.arrived_us, 1)));
            }
        }
        record(arrived);
        self.pace.begin_part(now_us, given);
        let next = rest.get(read).map_or(end, RequestStart::position);
        self.begun += read;
        next
    }

    /// Withdraws a request that JavaScript has not taken yet, if `may` allows it for its time of
    /// arrival. Returns whether it did.
    pub fn withdraw(&mut self, id: u32, may: impl FnOnce(u64) -> bool) -> bool {
        let Some(request) = self.waiting().find(|request| request.id == id) else { return false };
        let is_withdrawn = may(request.arrived_us);
        request.is_withdrawn = is_withdrawn;
        is_withdrawn
    }

    /// Withdraws the requests that have waited too long while the worker is overloaded, and returns
    /// their ids.
    pub fn take_late(&mut self, now_us: u64) -> LateRequests {
        let mut ids = Vec::new();
        if let Some(max_wait) = self.delay.max_wait_us() {
            let excess = self.waiting().count().saturating_sub(MIN_QUEUE);
            let is_late = |request: &&mut RequestStart| request.arrived_us + max_wait < now_us;
            let mut longest_wait = 0;
            for request in self.waiting().take(excess).take_while(is_late) {
                request.is_withdrawn = true;
                longest_wait = longest_wait.max(now_us - request.arrived_us);
                ids.push(request.id);
            }
            if !ids.is_empty() {
                self.delay.record_rejected(now_us, ids.len() as u64, longest_wait);
            }
        }
        let report = self.delay.take_report(now_us);
        LateRequests { ids, report, next_check_us: self.delay.next_check_us(now_us) }
    }

    /// The requests that can be withdrawn, those that have waited longest first.
    fn waiting(&mut self) -> impl Iterator<Item = &mut RequestStart> {
        let rest = &mut self.taken[self.begun..];
        rest.iter_mut().chain(&mut self.events.requests).filter(|request| !request.is_withdrawn)
    }
}

/// Requests to reject, and what else is due.
pub(crate) struct LateRequests {
    pub ids: Vec<u32>,
    pub report: Option<Report>,
    /// The time until the next look; `None` if none is needed.
    pub next_check_us: Option<u64>,
}

/// How fast JavaScript handles requests, measured from part to part.
struct Pace {
    us_per_request: u64,
    /// When JavaScript took the last part; `None` if it has slept since.
    measures_from_us: Option<u64>,
    /// The number of requests in that part that were not withdrawn.
    count: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { us_per_request: ASSUMED_US_PER_REQUEST, measures_from_us: None, count: 0 }
    }
}

impl Pace {
    /// Returns the maximum number of requests in the next part. The pace at most doubles from part
    /// to part: a few fast requests may be followed by slow ones.
    fn max_requests(&mut self, now_us: u64) -> usize {
        if let Some(from_us) = self.measures_from_us
            && self.count > 0
        {
            let measured = now_us.saturating_sub(from_us) / self.count;
            self.us_per_request = measured.max(self.us_per_request / 2);
        }
        (PART_TIME_US / self.us_per_request.max(1)).max(1) as usize
    }

    fn begin_part(&mut self, now_us: u64, count: usize) {
        (self.measures_from_us, self.count) = (Some(now_us), count as u64);
    }
}

/// The time in which JavaScript handles a part of a batch, in microseconds.
const PART_TIME_US: u64 = 10_000;
/// The time of a request before one has been measured, in microseconds.
const ASSUMED_US_PER_REQUEST: u64 = 1_000;

#[cfg(test)]
mod tests;

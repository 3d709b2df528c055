//! The budget from which the requests of an HTTP/2 connection are admitted to JavaScript: the
//! response bytes that are unsent, and those that are expected. It knows numbers and times only;
//! `http2/stream_admission.rs` keeps the queue of requests.

use crate::buffers::sizes::{
    BYTES_READ_PER_EXTRA_STREAM, MAX_COUNTED_PER_STREAM_BYTES, MAX_EXPECTED_UNSENT_BYTES,
    MIN_EXPECTED_SIZE_BYTES,
};

/// The budget of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamBudget {
    /// Response bytes that JavaScript holds for the connection.
    buffered_in_js: usize,
    /// Expected size of a response that has not begun, in bytes.
    expected_size: usize,
    /// Time at which `expected_size` was last changed; `None` before.
    estimated_at: Option<u64>,
    /// Bytes that the client had acknowledged when a request beyond the limit was last admitted.
    arrived_at_last_extra: u64,
}

/// What one stream takes of the budget of its connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StreamShare {
    state: AdmissionState,
    /// Time at which the request was admitted, in milliseconds of the context's clock.
    admitted_at: u64,
    /// Memory that the request head takes while the request waits for admission, in bytes.
    waiting_head_bytes: usize,
    /// Response bytes that JavaScript holds because h2 takes no more.
    buffered_in_js: usize,
    /// Maximum of `buffered_in_js` so far.
    max_buffered_in_js: usize,
    /// Whether the response has begun.
    has_response: bool,
    /// Whether the size of the response has been recorded for the estimate.
    is_size_recorded: bool,
}

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

impl Default for StreamBudget {
    fn default() -> Self {
        Self {
            buffered_in_js: 0,
            expected_size: MAX_COUNTED_PER_STREAM_BYTES,
            estimated_at: None,
            arrived_at_last_extra: 0,
        }
    }
}

impl StreamBudget {
    /// Returns whether one more request may be admitted. `unsent` is the number of response bytes
    /// of the connection that are not sent, `count` that of its streams. `streams` has the share
    /// and the unsent bytes of each stream; it is asked only if the total does not decide.
    pub fn has_room<I>(
        &mut self,
        now: u64,
        (unsent, count): (usize, usize),
        streams: impl Fn() -> I,
    ) -> bool
    where
        I: Iterator<Item = (StreamShare, usize)>,
    {
        let held = unsent + self.buffered_in_js;
        if held + count * self.expected_size < MAX_EXPECTED_UNSENT_BYTES {
            return true;
        }
        if streams().any(|(share, _)| share.is_overdue(now)) {
            self.lower_estimate_if_overdue(now);
        }
        let expected = self.expected_size;
        let total: usize =
            streams().map(|(share, unsent)| share.expected_unsent(unsent, now, expected)).sum();
        total < MAX_EXPECTED_UNSENT_BYTES
    }

    /// Returns whether the client has read enough for one more request beyond the limit, so that a
    /// slow reader makes progress. A client's kernel buffers a few megabytes by itself, which is no
    /// reason to hold much more for it. `arrived` is the number of bytes that it has acknowledged.
    pub fn has_read_enough(&mut self, arrived: u64) -> bool {
        let required = BYTES_READ_PER_EXTRA_STREAM.max(self.buffered_in_js as u64);
        let has_read = arrived.saturating_sub(self.arrived_at_last_extra) >= required;
        if has_read {
            self.arrived_at_last_extra = arrived;
        }
        has_read
    }

    /// Records the number of response bytes that JavaScript holds for a stream.
    pub fn set_buffered(&mut self, share: &mut StreamShare, bytes: usize, now: u64) {
        let before = std::mem::replace(&mut share.buffered_in_js, bytes);
        share.max_buffered_in_js = share.max_buffered_in_js.max(bytes);
        self.buffered_in_js = self.buffered_in_js + bytes - before;
        if bytes > self.expected_size {
            self.record_response_size(bytes, now);
        }
    }

    /// Records the progress of a response, from which the expected size is estimated. `unsent` is
    /// the number of its bytes that are not sent.
    pub fn record_progress(
        &mut self,
        share: &mut StreamShare,
        (has_begun, is_complete): (bool, bool),
        unsent: usize,
        now: u64,
    ) {
        share.has_response |= has_begun;
        if is_complete && !std::mem::replace(&mut share.is_size_recorded, true) {
            // The response is complete, so its size is at least what is still held of it.
            self.record_response_size(unsent.max(share.max_buffered_in_js), now);
        }
    }

    /// Records the size of a complete response. A client that has asked for a large response may
    /// ask for more of them, so the estimate falls by at most half.
    fn record_response_size(&mut self, size: usize, now: u64) {
        let half = self.expected_size / 2;
        self.expected_size =
            half.max(size).clamp(MIN_EXPECTED_SIZE_BYTES, MAX_COUNTED_PER_STREAM_BYTES);
        self.estimated_at = Some(now);
    }

    /// Halves the estimate if responses are overdue, at most once per [`RESPONSE_EXPECTED_MS`].
    /// They may depend on requests that still wait.
    fn lower_estimate_if_overdue(&mut self, now: u64) {
        let estimated_at = *self.estimated_at.get_or_insert(now);
        if now >= estimated_at + RESPONSE_EXPECTED_MS {
            self.record_response_size(0, now);
        }
    }
}

impl StreamShare {
    /// Returns how far the request is on its way to JavaScript.
    pub fn state(&self) -> AdmissionState {
        self.state
    }

    /// Puts the request on hold. Returns the memory that its head of `head_len` bytes takes.
    pub fn wait(&mut self, head_len: usize) -> usize {
        self.state = AdmissionState::Waiting;
        self.waiting_head_bytes = head_len * WAITING_HEAD_COST;
        self.waiting_head_bytes
    }

    /// Admits the request. Returns the memory that its head no longer takes.
    pub fn admit(&mut self, now: u64) -> usize {
        self.state = AdmissionState::Admitted;
        self.admitted_at = now;
        std::mem::take(&mut self.waiting_head_bytes)
    }

    /// Returns the response bytes that JavaScript holds although the client, which has not read
    /// since `stalled_since`, has stalled.
    pub fn stalled_bytes(&self, stalled_since: u64, now: u64) -> usize {
        let has_stalled = stalled_since.saturating_add(STALLED_RESPONSE_MS) <= now;
        if has_stalled { self.buffered_in_js } else { 0 }
    }

    /// Returns whether the response has not begun within [`RESPONSE_EXPECTED_MS`].
    fn is_overdue(&self, now: u64) -> bool {
        self.state == AdmissionState::Admitted
            && !self.has_response
            && now >= self.admitted_at + RESPONSE_EXPECTED_MS
    }

    fn expected_unsent(&self, unsent: usize, now: u64, expected: usize) -> usize {
        if self.state != AdmissionState::Admitted {
            return 0;
        }
        if self.has_response {
            return (unsent + self.buffered_in_js).min(MAX_COUNTED_PER_STREAM_BYTES);
        }
        if self.is_overdue(now) { 0 } else { expected }
    }
}

/// Time for which a response that has not begun counts with the expected size, in milliseconds.
pub(crate) const RESPONSE_EXPECTED_MS: u64 = 100;
/// Time after which a response that the client does not read counts as stalled, in milliseconds.
const STALLED_RESPONSE_MS: u64 = 2_000;
/// Memory of a waiting head, as a multiple of its bytes: the bytes and the table of its fields.
const WAITING_HEAD_COST: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(now: u64) -> StreamShare {
        let mut share = StreamShare::default();
        share.admit(now);
        share
    }

    /// Admits requests at `now` and answers none. Returns how many there are.
    fn admit_all(budget: &mut StreamBudget, now: u64) -> usize {
        let mut all: Vec<(StreamShare, usize)> = Vec::new();
        while all.len() < 1_000 && budget.has_room(now, (0, all.len()), || all.iter().copied()) {
            all.push((admitted(now), 0));
        }
        all.len()
    }

    /// Records complete responses of `size` bytes.
    fn learn(budget: &mut StreamBudget, size: usize, count: usize) {
        for _ in 0..count {
            budget.record_progress(&mut admitted(0), (true, true), size, 0);
        }
    }

    #[test]
    fn the_first_requests_count_as_large_responses() {
        let mut budget = StreamBudget::default();
        let large = MAX_EXPECTED_UNSENT_BYTES / MAX_COUNTED_PER_STREAM_BYTES;
        assert_eq!(admit_all(&mut budget, 0), large);
    }

    #[test]
    fn small_responses_admit_the_usual_hundred_streams() {
        let mut budget = StreamBudget::default();
        learn(&mut budget, 0, 50);
        let small = MAX_EXPECTED_UNSENT_BYTES / MIN_EXPECTED_SIZE_BYTES;
        assert_eq!(admit_all(&mut budget, 0), small);
        assert!(small >= 100, "{small}");
    }

    #[test]
    fn the_estimate_rises_at_once_and_falls_by_half() {
        let mut budget = StreamBudget::default();
        learn(&mut budget, 0, 50);
        learn(&mut budget, 200_000, 1);
        assert_eq!(budget.expected_size, 200_000);
        learn(&mut budget, 0, 1);
        assert_eq!(budget.expected_size, 100_000);
        learn(&mut budget, 1 << 30, 1);
        assert_eq!(budget.expected_size, MAX_COUNTED_PER_STREAM_BYTES);
    }

    #[test]
    fn the_size_of_a_response_is_the_most_that_was_held_of_it_and_counts_once() {
        let mut budget = StreamBudget::default();
        learn(&mut budget, 0, 50);
        let mut share = admitted(0);
        budget.set_buffered(&mut share, MIN_EXPECTED_SIZE_BYTES - 1, 0);
        assert_eq!(budget.expected_size, MIN_EXPECTED_SIZE_BYTES);
        budget.set_buffered(&mut share, 90_000, 0);
        assert_eq!(budget.expected_size, 90_000, "JavaScript already holds more than expected");
        budget.set_buffered(&mut share, 0, 0);
        budget.record_progress(&mut share, (true, false), 0, 0);
        assert_eq!(budget.expected_size, 90_000);
        for _ in 0..3 {
            budget.record_progress(&mut share, (true, true), 0, 0);
            assert_eq!(budget.expected_size, 90_000);
        }
        assert_eq!(budget.buffered_in_js, 0);
    }

    #[test]
    fn a_download_counts_up_to_its_maximum_so_that_others_are_served_beside_it() {
        let mut budget = StreamBudget::default();
        learn(&mut budget, 0, 50);
        let mut download = admitted(0);
        budget.record_progress(&mut download, (true, false), 0, 0);
        let one = [(download, 100 << 20)];
        assert!(budget.has_room(0, (100 << 20, 1), || one.iter().copied()));
        let two = [one[0], one[0]];
        assert!(!budget.has_room(0, (200 << 20, 2), || two.iter().copied()));
    }

    #[test]
    fn a_response_that_does_not_begin_counts_for_a_tenth_of_a_second() {
        let mut budget = StreamBudget::default();
        let waiting = [(admitted(5), 0), (admitted(5), 0)];
        let mut has_room = |now| budget.has_room(now, (0, 2), || waiting.iter().copied());
        assert!(!has_room(5 + RESPONSE_EXPECTED_MS - 1));
        assert!(has_room(5 + RESPONSE_EXPECTED_MS));
    }

    #[test]
    fn overdue_responses_halve_the_estimate_once_per_interval() {
        let mut budget = StreamBudget::default();
        let all = vec![(admitted(0), 0); 200];
        let mut look = |now| {
            budget.has_room(now, (0, 200), || all.iter().copied());
            budget.expected_size
        };
        assert_eq!(look(RESPONSE_EXPECTED_MS - 1), MAX_COUNTED_PER_STREAM_BYTES);
        assert_eq!(look(RESPONSE_EXPECTED_MS), MAX_COUNTED_PER_STREAM_BYTES, "first seen now");
        assert_eq!(look(2 * RESPONSE_EXPECTED_MS), MAX_COUNTED_PER_STREAM_BYTES / 2);
        assert_eq!(look(3 * RESPONSE_EXPECTED_MS - 1), MAX_COUNTED_PER_STREAM_BYTES / 2);
        assert_eq!(look(3 * RESPONSE_EXPECTED_MS), MAX_COUNTED_PER_STREAM_BYTES / 4);
    }

    #[test]
    fn a_slow_reader_earns_a_request_by_what_it_reads() {
        let mut budget = StreamBudget::default();
        assert!(!budget.has_read_enough(BYTES_READ_PER_EXTRA_STREAM - 1));
        assert!(budget.has_read_enough(BYTES_READ_PER_EXTRA_STREAM));
        assert!(!budget.has_read_enough(BYTES_READ_PER_EXTRA_STREAM + 1));
        // If more is held for it, it must read that much.
        budget.set_buffered(&mut admitted(0), 1 << 20, 0);
        assert!(!budget.has_read_enough(2 * BYTES_READ_PER_EXTRA_STREAM));
        assert!(budget.has_read_enough(BYTES_READ_PER_EXTRA_STREAM + (1 << 20)));
    }

    #[test]
    fn a_waiting_request_takes_memory_and_counts_as_no_response() {
        let mut budget = StreamBudget::default();
        let mut share = StreamShare::default();
        assert_eq!(share.state(), AdmissionState::Undecided);
        assert_eq!(share.wait(300), 300 * WAITING_HEAD_COST);
        let waiting = vec![(share, 0); 50];
        assert!(budget.has_room(0, (0, 50), || waiting.iter().copied()));
        assert_eq!(share.admit(7), 300 * WAITING_HEAD_COST);
        assert_eq!((share.state(), share.admit(7)), (AdmissionState::Admitted, 0));
    }

    #[test]
    fn bytes_are_stalled_after_two_seconds() {
        let mut share = admitted(0);
        StreamBudget::default().set_buffered(&mut share, 1_000, 0);
        assert_eq!(share.stalled_bytes(10, 10 + STALLED_RESPONSE_MS - 1), 0);
        assert_eq!(share.stalled_bytes(10, 10 + STALLED_RESPONSE_MS), 1_000);
        assert_eq!(share.stalled_bytes(u64::MAX, u64::MAX - 1), 0, "the client owes nothing");
    }

    #[test]
    fn what_is_held_for_streams_is_given_back_whatever_happens() {
        // A linear congruential generator, so that a failure can be repeated.
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let mut budget = StreamBudget::default();
        let mut open: Vec<StreamShare> = Vec::new();
        for now in 0..20_000 {
            match random(5) {
                0 if open.len() < 50 => open.push(admitted(now)),
                1 if !open.is_empty() => {
                    let mut closed = open.swap_remove(random(open.len()));
                    budget.set_buffered(&mut closed, 0, now);
                }
                2 => {
                    budget.has_room(now, (0, open.len()), || open.iter().map(|one| (*one, 0)));
                }
                step if !open.is_empty() => {
                    let at = random(open.len());
                    if step == 3 {
                        budget.set_buffered(&mut open[at], random(3 << 20), now);
                    } else {
                        let progress = (random(2) == 0, random(2) == 0);
                        budget.record_progress(&mut open[at], progress, random(1 << 21), now);
                    }
                }
                _ => {}
            }
            let held: usize = open.iter().map(|share| share.buffered_in_js).sum();
            assert_eq!(budget.buffered_in_js, held);
            let bounds = MIN_EXPECTED_SIZE_BYTES..=MAX_COUNTED_PER_STREAM_BYTES;
            assert!(bounds.contains(&budget.expected_size), "{budget:?}");
        }
    }
}

//! The body of a request: how much of it JavaScript has granted credit for, what has arrived, what
//! is buffered or dropped, and how fast the client sends it. Times are milliseconds of the
//! context's clock.

use bytes::Bytes;

use super::min_rate::{MinRate, RateBounds};
use super::request_head::{Framing, RequestHead};

/// State of a request body.
pub(crate) struct RequestBody {
    /// Framing of the body: none, a length, or chunked.
    pub(crate) framing: Framing,
    /// Number of bytes that JavaScript accepts before it grants more.
    pub(crate) credit: usize,
    /// Number of bytes received so far.
    pub(crate) received: u64,
    /// Whether the client waits for 100 (Continue) before it sends the body (RFC 9110 section
    /// 10.1.1).
    pub(crate) awaits_continue: bool,
    /// Whether no more of the body is read: it is complete, or the rest is not wanted.
    pub(crate) is_done: bool,
    /// Whether the end of the body has been emitted to JavaScript.
    pub(crate) is_end_emitted: bool,
    /// Whether the rest of the body is read and dropped.
    pub(crate) is_discarded: bool,
    /// Number of bytes dropped so far; `Limits::max_discarded` bounds it.
    dropped: u64,
    /// When the rest of the body must have arrived after the response is complete; `u64::MAX`
    /// before that.
    pub(crate) discard_until: u64,
    /// Chunks received before the request is dispatched.
    pub(crate) chunks: Vec<Bytes>,
    /// Number of bytes in `chunks`. The request is dispatched at `request_buffer_size`.
    pub(crate) buffered_len: usize,
    /// Whether the request may wait for its body before it is dispatched, for up to
    /// `request_buffer_time`.
    pub(crate) is_bufferable: bool,
    /// Whether the rest of the body is read straight into the memory that JavaScript receives, past
    /// the guard.
    pub(crate) reads_directly: bool,
    /// Whether the last direct read filled its buffer. The next buffer is larger then, because the
    /// client sends fast.
    pub(crate) last_read_filled: bool,
    /// Rate at which the client sends the body.
    rate: MinRate,
}

/// What becomes of bytes of a body that have arrived.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Received {
    /// They are emitted to JavaScript.
    Emitted(Bytes),
    /// They are buffered until the request is dispatched.
    Buffered,
    /// They are dropped.
    Dropped,
    /// More bytes have been dropped than may be, so the body ends here.
    TooManyDropped,
}

impl RequestBody {
    /// Creates the body of a request with this head. `may_buffer` means that requests may wait for
    /// their bodies.
    pub fn new(head: &RequestHead, credit: usize, may_buffer: bool) -> Self {
        let has_body = head.framing != Framing::None;
        Self {
            framing: head.framing,
            credit,
            received: 0,
            awaits_continue: head.has_expect,
            is_done: !has_body,
            is_end_emitted: false,
            is_discarded: false,
            dropped: 0,
            discard_until: u64::MAX,
            chunks: Vec::new(),
            buffered_len: 0,
            // A client with `Expect` or `Upgrade` waits for JavaScript before it sends more.
            is_bufferable: may_buffer && has_body && !head.has_expect && !head.is_upgrade,
            reads_directly: false,
            last_read_filled: false,
            rate: MinRate::OFF,
        }
    }

    /// Allows `bytes` more bytes to be passed to JavaScript.
    pub fn grant(&mut self, bytes: u32) {
        self.credit = self.credit.saturating_add(bytes as usize);
    }

    /// Counts bytes that JavaScript receives, and takes them from its credit.
    pub fn count(&mut self, len: usize) {
        self.received += len as u64;
        self.credit = self.credit.saturating_sub(len);
    }

    /// Counts bytes that are dropped. Over `max` of them, the body ends: to close the connection or
    /// the stream costs less than to read on.
    pub fn drop_bytes(&mut self, len: usize, max: u64) -> Received {
        self.received += len as u64;
        self.dropped += len as u64;
        if self.dropped <= max {
            return Received::Dropped;
        }
        self.is_done = true;
        Received::TooManyDropped
    }

    /// Takes a chunk that has arrived. `max_dropped` is the number of bytes that may be dropped.
    pub fn receive(&mut self, data: Bytes, is_dispatched: bool, max_dropped: u64) -> Received {
        if self.is_discarded {
            return self.drop_bytes(data.len(), max_dropped);
        }
        self.count(data.len());
        if is_dispatched {
            return Received::Emitted(data);
        }
        if !data.is_empty() {
            self.buffered_len += data.len();
            self.chunks.push(data);
        }
        Received::Buffered
    }

    /// Whether the rest of the body is known to be at most `max` bytes. A short rest is read, which
    /// keeps the connection open.
    pub fn is_rest_short(&self, max: u64) -> bool {
        self.is_done
            || match self.framing {
                Framing::None => true,
                Framing::Length(length) => length.saturating_sub(self.received) <= max,
                Framing::Chunked => max == u64::MAX,
            }
    }

    /// Returns when the rest of the body must have arrived after the response is complete;
    /// `u64::MAX` if the body is complete.
    pub fn discard_deadline(&self) -> u64 {
        if self.is_done { u64::MAX } else { self.discard_until }
    }

    /// Starts or resumes the clock of the body, because the client must send more. Returns whether
    /// the clock was not running. A client that waits for 100 (Continue) need not send (RFC 9110
    /// section 10.1.1).
    pub fn start_clock(&mut self, now: u64, bounds: RateBounds) -> bool {
        if self.rate.is_running() {
            return false;
        }
        if self.rate.is_paused() {
            self.rate.resume(now);
        } else if !self.awaits_continue || self.received > 0 {
            self.rate.start(now, bounds);
        }
        self.rate.is_running()
    }

    /// Pauses the clock, because nothing is read: JavaScript grants no credit. Returns whether the
    /// clock was running.
    pub fn pause_clock(&mut self, now: u64) -> bool {
        let was_running = self.rate.is_running();
        self.rate.pause(now);
        was_running
    }

    /// Stops the clock, because the body is complete.
    pub fn stop_clock(&mut self) {
        self.rate.stop();
    }

    /// Records `count` bytes that have arrived, which move the deadline later; 0 for progress
    /// within a frame.
    pub fn record_arrival(&mut self, count: usize, now: u64, bounds: RateBounds) {
        if !self.rate.is_off() {
            self.rate.resume(now);
            self.rate.record_bytes(now, count as u64, bounds);
        }
    }

    /// Returns the clock of the body.
    pub fn rate(&self) -> MinRate {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: RateBounds =
        RateBounds { max_silence_ms: 1_000, min_bytes_per_sec: 0, grace_ms: 0 };

    fn body(framing: Framing, credit: usize) -> RequestBody {
        RequestBody::new(&RequestHead { framing, ..RequestHead::default() }, credit, true)
    }

    #[test]
    fn bytes_take_credit_and_are_buffered_until_the_request_is_dispatched() {
        let mut body = body(Framing::Length(10), 8);
        assert_eq!(body.receive(Bytes::from_static(b"abc"), false, 0), Received::Buffered);
        assert_eq!((body.buffered_len, body.credit, body.received), (3, 5, 3));
        let data = Bytes::from_static(b"defghij");
        assert_eq!(body.receive(data.clone(), true, 0), Received::Emitted(data));
        assert_eq!((body.buffered_len, body.credit, body.received), (3, 0, 10));
        body.grant(u32::MAX);
        body.grant(u32::MAX);
        assert!(body.credit > 0);
    }

    #[test]
    fn a_discarded_body_is_dropped_up_to_the_limit_and_takes_no_credit() {
        let mut body = body(Framing::Chunked, 2);
        body.is_discarded = true;
        let data = Bytes::from_static(b"12345");
        assert_eq!(body.receive(data.clone(), true, 9), Received::Dropped);
        assert!(!body.is_done);
        assert_eq!(body.receive(data, true, 9), Received::TooManyDropped);
        assert!(body.is_done);
        assert_eq!((body.credit, body.received, body.buffered_len), (2, 10, 0));
    }

    #[test]
    fn a_rest_is_short_if_its_length_is_known_and_at_most_the_maximum() {
        assert!(body(Framing::None, 0).is_rest_short(0));
        let mut known = body(Framing::Length(100), 0);
        assert!(!known.is_rest_short(99));
        known.count(1);
        assert!(known.is_rest_short(99));
        assert!(!body(Framing::Chunked, 0).is_rest_short(u64::MAX - 1));
        assert!(body(Framing::Chunked, 0).is_rest_short(u64::MAX), "no rest is too long");
    }

    #[test]
    fn only_a_body_that_the_client_sends_by_itself_may_be_buffered() {
        let head = RequestHead { framing: Framing::Length(1), ..RequestHead::default() };
        let is_bufferable = |head: &RequestHead| RequestBody::new(head, 0, true).is_bufferable;
        assert!(is_bufferable(&head));
        assert!(!RequestBody::new(&head, 0, false).is_bufferable);
        assert!(!is_bufferable(&RequestHead { has_expect: true, ..head.clone() }));
        assert!(!is_bufferable(&RequestHead { is_upgrade: true, ..head.clone() }));
        assert!(!is_bufferable(&RequestHead { framing: Framing::None, ..head }));
    }

    #[test]
    fn the_clock_runs_only_while_the_client_must_send() {
        let mut body = body(Framing::Length(10), 8);
        body.awaits_continue = true;
        assert!(!body.start_clock(0, BOUNDS), "the client waits for 100 (Continue)");
        body.awaits_continue = false;
        assert!(body.start_clock(100, BOUNDS));
        assert!(!body.start_clock(200, BOUNDS), "it runs already");
        assert_eq!(body.rate().deadline(BOUNDS), 1_100);
        assert!(body.pause_clock(600));
        assert!(!body.pause_clock(600));
        assert_eq!(body.rate().deadline(BOUNDS), u64::MAX);
        body.record_arrival(1, 5_000, BOUNDS);
        assert_eq!(body.rate().deadline(BOUNDS), 6_000, "bytes resume it");
        body.stop_clock();
        body.record_arrival(1, 6_000, BOUNDS);
        assert!(body.rate().is_off());
    }

    #[test]
    fn a_complete_body_has_no_discard_deadline() {
        let mut body = body(Framing::Length(10), 8);
        body.discard_until = 500;
        assert_eq!(body.discard_deadline(), 500);
        body.is_done = true;
        assert_eq!(body.discard_deadline(), u64::MAX);
    }
}

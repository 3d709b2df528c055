//! Tests of an exchange: each event by itself, and random sequences of them.

use std::time::Duration;

use super::deadlines::Due;
use super::request_head::{Framing, Span};
use super::*;
use crate::exchange::min_rate::RateBounds;
use crate::pressure::settings::Settings;

const LINE: &[u8] = b"POST /x HTTP/1.1\r\n\r\n";

fn exchange_of(change: impl FnOnce(&mut RequestHead)) -> Exchange {
    let mut head = RequestHead {
        method: Span { start: 0, end: 4 },
        target: Span { start: 5, end: 7 },
        minor_version: 1,
        len: LINE.len(),
        framing: Framing::Length(1_000),
        ..RequestHead::default()
    };
    change(&mut head);
    let start = ExchangeStart {
        now: Instant::now(),
        now_ms: 1_000,
        method: 0,
        protocol: 0,
        credit: 100,
        may_buffer: true,
        may_create_session: false,
        log_info: None,
    };
    Exchange::new(&head, LINE, start)
}

fn limits() -> Limits {
    let settings = Settings {
        request_timeout: Duration::from_secs(10),
        keepalive: Duration::from_secs(5),
        ..Settings::default()
    };
    Limits {
        max_discarded: 500,
        discard_time: Duration::from_secs(60),
        keepalive_grace: Duration::ZERO,
        ..Limits::from(settings)
    }
}

fn begin(exchange: &mut Exchange) -> bool {
    exchange.begin_response(200, ResponseFraming { has_no_body: false, is_chunked: true })
}

#[test]
fn a_request_is_answered_once_by_the_application_or_the_engine() {
    let mut exchange = exchange_of(|_| {});
    assert!(begin(&mut exchange));
    assert!(!exchange.refuse(408, || panic!("a response has begun")));
    let mut refused = exchange_of(|_| {});
    assert!(refused.refuse(408, || 7));
    assert!(!begin(&mut refused));
    assert_eq!((refused.response.status, refused.response.sent_bytes), (408, 7));
}

#[test]
fn an_interim_response_comes_before_the_final_one_and_not_on_http_1_0() {
    let mut exchange = exchange_of(|head| head.has_expect = true);
    assert!(exchange.begin_interim(103));
    assert!(exchange.body.awaits_continue);
    assert!(exchange.begin_interim(100));
    assert!(!exchange.body.awaits_continue);
    begin(&mut exchange);
    assert!(!exchange.begin_interim(103));
    assert!(!exchange_of(|head| head.minor_version = 0).begin_interim(100));
}

#[test]
fn an_end_is_reported_once_and_to_javascript_only_if_it_waits() {
    let mut unseen = exchange_of(|_| {});
    let ended = unseen.end(ExchangeEnd::ClientGone);
    assert_eq!(ended, Some(Ended { is_awaited: false, is_logged: false }));
    assert_eq!(unseen.end(ExchangeEnd::Complete), None);
    let mut open = exchange_of(|_| {});
    open.is_dispatched = true;
    begin(&mut open);
    let ended = open.end(ExchangeEnd::Reset);
    assert_eq!(ended, Some(Ended { is_awaited: true, is_logged: true }));
    let mut complete = exchange_of(|head| head.framing = Framing::None);
    complete.is_dispatched = true;
    begin(&mut complete);
    complete.complete(false, 1_000, &limits());
    let ended = complete.end(ExchangeEnd::Complete);
    assert_eq!(ended, Some(Ended { is_awaited: false, is_logged: true }));
}

#[test]
fn a_response_is_completed_once_and_needs_a_head() {
    let limits = limits();
    let mut exchange = exchange_of(|_| {});
    assert_eq!(exchange.complete(true, 0, &limits), Completion::Headless);
    assert_eq!(exchange.complete(true, 0, &limits), Completion::Repeated);
    let mut exchange = exchange_of(|_| {});
    begin(&mut exchange);
    assert_eq!(exchange.complete(true, 0, &limits), Completion::Response);
    assert!(exchange.body.is_discarded);
}

#[test]
fn an_upgrade_is_decided_once_and_a_tunnel_takes_the_body() {
    let limits = limits();
    let mut declined = exchange_of(|head| head.is_upgrade = true);
    assert!(declined.is_upgrade_undecided());
    assert!(!declined.decide_upgrade(false, true, false));
    assert!(!declined.decide_upgrade(true, true, false));
    let mut taken = exchange_of(|head| {
        (head.is_upgrade, head.framing) = (true, Framing::None);
    });
    assert!(taken.decide_upgrade(true, true, false));
    assert!(taken.is_tunnel() && !taken.body.is_done);
    let accepts = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello";
    let write = taken.write_tunnel(accepts, taken.started);
    assert_eq!((write.len, taken.response.status, taken.response.sent_bytes), (5, 101, 5));
    assert_eq!(taken.complete(true, 0, &limits), Completion::Tunnel);
    assert!(!taken.body.is_discarded, "the tunnel is half-open");
    assert_eq!(taken.body.discard_deadline(), u64::MAX);
    let late = taken.write_tunnel(b"more", taken.started);
    assert_eq!((late.head_len, late.len), (0, 0));
}

#[test]
fn a_refused_upgrade_does_not_stay_half_open() {
    let mut exchange = exchange_of(|head| head.is_upgrade = true);
    exchange.decide_upgrade(true, true, false);
    exchange.write_tunnel(b"HTTP/1.1 404 Not Found\r\n\r\n", exchange.started);
    exchange.complete(false, 2_000, &limits());
    assert_eq!(exchange.due(7_000, true, &limits()), Some(Due::Discard));
}

#[test]
fn the_response_is_due_after_the_head_or_the_last_byte_of_the_body() {
    let (limits, bounds) = (limits(), RateBounds::of_body(&limits()));
    let mut exchange = exchange_of(|_| {});
    assert_eq!(exchange.deadline(true, &limits), 11_000);
    exchange.body.start_clock(1_000, bounds);
    exchange.body.record_arrival(9, 4_000, bounds);
    assert_ne!(exchange.due(20_000, true, &limits), Some(Due::Response), "the client owes bytes");
    assert_eq!(exchange.due(14_000, false, &limits), Some(Due::Response));
    assert_eq!(exchange.due(13_999, false, &limits), None);
    begin(&mut exchange);
    exchange.body.stop_clock();
    assert_eq!(exchange.deadline(true, &limits), u64::MAX);
}

#[test]
fn a_slow_body_is_due_and_late_until_the_response_begins() {
    let (limits, bounds) = (limits(), RateBounds::of_body(&limits()));
    let mut exchange = exchange_of(|_| {});
    exchange.body.start_clock(1_000, bounds);
    let due_at = exchange.deadline(true, &limits);
    assert_eq!(exchange.due(due_at, true, &limits), Some(Due::Body));
    assert_eq!(exchange.due(due_at - 1, true, &limits), None);
    assert_eq!(exchange.body_late_since(&limits), 1_000);
    begin(&mut exchange);
    assert_eq!(exchange.body_late_since(&limits), u64::MAX);
}

#[test]
fn the_rest_of_a_body_has_a_deadline_that_only_a_reader_moves() {
    let limits = limits();
    let data = || Bytes::from_static(b"12345");
    for (discard, first, second) in [(true, 62_000, 62_000), (false, 7_000, 9_000)] {
        let mut exchange = exchange_of(|_| {});
        exchange.is_dispatched = true;
        begin(&mut exchange);
        exchange.complete(discard, 2_000, &limits);
        assert_eq!(exchange.body.discard_deadline(), first);
        exchange.receive(data(), 4_000, &limits);
        assert_eq!(exchange.body.discard_deadline(), second);
        assert_eq!(exchange.due(second, true, &limits), Some(Due::Discard));
    }
}

/// Random sequences of events: whatever happens, there is one answer and one end, no byte is
/// passed without credit, and all bytes are accounted for.
#[test]
fn random_events_keep_the_invariants_of_an_exchange() {
    let limits = limits();
    for seed in 1..500_u64 {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let is_upgrade = random(3) == 0;
        let mut exchange = exchange_of(|head| {
            head.is_upgrade = is_upgrade;
            head.has_expect = random(4) == 0;
        });
        let (mut granted, mut emitted, mut dropped) = (100, 0, 0);
        let (mut heads, mut completions, mut ends) = (0, 0, 0);
        for now in 1_000..1_100 {
            match random(12) {
                0 => exchange.is_dispatched = true,
                1 | 2 if !exchange.body.is_done => {
                    // A carrier reads no more than the credit allows.
                    let credit = exchange.body.credit as u64;
                    let most = if exchange.body.is_discarded { 200 } else { credit };
                    let len = if most == 0 { 0 } else { random(most) + 1 };
                    match exchange.receive(vec![0; len as usize].into(), now, &limits) {
                        Received::Emitted(data) => emitted += data.len(),
                        Received::Buffered => {}
                        Received::Dropped | Received::TooManyDropped => dropped += len as usize,
                    }
                }
                3 => {
                    exchange.body.grant(50);
                    granted += 50;
                }
                4 => {
                    exchange.begin_interim(if random(2) == 0 { 100 } else { 103 });
                }
                5 if !exchange.is_tunnel() => heads += usize::from(begin(&mut exchange)),
                6 => {
                    let before = exchange.response.sent_bytes;
                    let may_write = exchange.response.write(random(9) as usize);
                    let is_open = exchange.response.is_head_sent && !exchange.response.is_complete;
                    assert!(!may_write || is_open);
                    assert_eq!(exchange.response.sent_bytes > before, may_write);
                }
                7 => heads += usize::from(exchange.refuse(503, || 3)),
                8 => {
                    let completion = exchange.complete(random(2) == 0, now, &limits);
                    completions += usize::from(completion != Completion::Repeated);
                }
                9 => {
                    exchange.decide_upgrade(random(2) == 0, random(2) == 0, false);
                }
                10 if exchange.is_tunnel() => {
                    let was_sent = exchange.response.is_head_sent;
                    let head = b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\n\r\n";
                    let write = exchange.write_tunnel(head, exchange.started);
                    heads += usize::from(write.head.is_some() && !was_sent);
                }
                11 if random(20) == 0 => {
                    ends += usize::from(exchange.end(ExchangeEnd::ClientGone).is_some());
                }
                _ => {}
            }
            assert!(heads <= 1 && completions <= 1 && ends <= 1, "seed {seed}");
            assert_eq!(exchange.response.is_head_sent, heads == 1, "seed {seed}");
            let held: usize = exchange.body.chunks.iter().map(Bytes::len).sum();
            assert_eq!(exchange.body.buffered_len, held, "seed {seed}");
            assert_eq!(exchange.body.received as usize, emitted + held + dropped, "seed {seed}");
            assert_eq!(granted - exchange.body.credit, emitted + held, "seed {seed}");
            assert!(dropped <= limits.max_discarded as usize + 200, "seed {seed}");
            let deadline = exchange.deadline(true, &limits);
            let due = exchange.due(now, true, &limits);
            assert_eq!(due.is_some(), deadline <= now, "seed {seed}");
        }
        ends += usize::from(exchange.end(ExchangeEnd::Complete).is_some());
        assert_eq!(ends, 1, "seed {seed}");
    }
}

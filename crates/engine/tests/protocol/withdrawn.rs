//! Requests whose clients have gone before JavaScript took them.

use std::time::{Duration, Instant};

use crate::harness::{Client, Engine, Event, silent};

#[test]
fn a_request_whose_client_resets_before_javascript_takes_it_is_withdrawn() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    assert_eq!(client.try_send(GET.as_bytes()), GET.len());
    await_in_flight(&engine, 1);
    client.reset();
    await_in_flight(&engine, 0);
    engine.settle();
    assert_eq!(engine.received(), []);
    assert_eq!(engine.count(|event| matches!(event, Event::Withdrawn(_))), 1);
}

#[test]
fn a_half_close_withdraws_a_request_only_if_it_comes_late() {
    let mut engine = Engine::new(silent());
    let [mut early, mut late] = [(); 2].map(|()| Client::connect(&engine));
    assert_eq!(early.try_send(GET.as_bytes()), GET.len());
    early.half_close();
    assert_eq!(late.try_send(GET.as_bytes()), GET.len());
    await_in_flight(&engine, 2);
    let sent = Instant::now();
    while sent.elapsed() < LATE {
        std::thread::yield_now();
    }
    late.half_close();
    await_in_flight(&engine, 1);
    engine.settle();
    assert_eq!(engine.received().len(), 1);
    assert_eq!(engine.count(|event| matches!(event, Event::Withdrawn(_))), 1);
}

fn await_in_flight(engine: &Engine, requests: u64) {
    let end = Instant::now() + Duration::from_secs(10);
    while engine.js.io.counters()[1] != requests {
        assert!(Instant::now() < end, "{} in flight", engine.js.io.counters()[1]);
        std::thread::yield_now();
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
/// Longer than a client may take to half-close after its request.
const LATE: Duration = Duration::from_millis(300);

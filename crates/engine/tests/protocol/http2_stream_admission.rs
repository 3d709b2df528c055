//! HTTP/2 clients that request large responses and do not read them: no further request of theirs
//! begins, and all others are served.

use std::time::Duration;

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::deadlines::{SHORT, let_a_deadline_pass};
use crate::harness::{
    Client, Engine, Event, LENGTH, OPENING, ask, block, frame, get, http2_client, silent,
    with_client, with_http2,
};

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const MANY: u32 = 90;
const LARGE: u32 = 1 << 20;
const WINDOW: usize = 65_536;

#[test]
fn large_responses_that_are_not_taken_hold_back_what_is_asked_after_them() {
    let limits = Limits::from(Settings { header_timeout: SHORT, ..Settings::default() });
    let mut engine = engine(limits, large_responses());
    let mut client = stalling(&mut engine);
    // Long enough for more requests to begin, which must not happen.
    let_a_deadline_pass(&mut engine);
    engine.settle();
    let begun = engine.received().len();
    assert!((2..=5).contains(&begun), "{begun}");
    // Another client is served meanwhile.
    assert_eq!(statuses(&mut engine, 20), vec![200; 20]);
    client.send(&mut engine, frame(7, 0, 0, &[0; 8]));
}

#[test]
fn small_responses_hold_back_nothing() {
    let handler: crate::harness::Handler = Box::new(|js, event| {
        if let Event::Request(request) = event {
            js.reply(request.id, vec![b'a'; 1_000]);
        }
    });
    let mut engine = engine(Limits::default(), handler);
    let _client = stalling(&mut engine);
    engine
        .until("all have begun", |engine| (engine.received().len() == MANY as usize).then_some(()));
}

#[test]
fn missing_responses_hold_back_nothing_for_long() {
    let mut engine = engine(Limits::default(), silent());
    let _client = stalling(&mut engine);
    engine.settle();
    assert!(engine.received().len() < 20);
    engine
        .until("all have begun", |engine| (engine.received().len() == MANY as usize).then_some(()));
}

#[test]
fn a_client_that_reads_responses_is_served_on() {
    let mut engine = engine(Limits::default(), large_responses());
    let mut client = stalling(&mut engine);
    engine.settle();
    let before = engine.received().len();
    client.send(&mut engine, all_windows());
    engine.until("more begin", |engine| {
        client.take();
        (engine.received().len() > before + 4).then_some(())
    });
}

#[test]
fn what_the_system_takes_for_a_client_that_does_not_read_begins_little() {
    let limits = Limits::from(Settings { header_timeout: SHORT, ..Settings::default() });
    let mut engine = engine(limits, responses_in_pieces());
    let mut client = stalling(&mut engine);
    client.send(&mut engine, all_windows());
    for _ in 0..2 {
        let_a_deadline_pass(&mut engine);
    }
    engine.settle();
    // Some megabytes are in the system's buffers.
    let begun = engine.received().len();
    assert!((3..16).contains(&begun), "{begun}");
}

#[test]
fn what_waits_is_no_request_in_flight_and_not_without_bound() {
    let limits = Limits::from(Settings { worker_connections: 20, ..Settings::default() });
    let mut engine = engine(limits, large_responses());
    let mut client = stalling(&mut engine);
    engine.settle();
    assert_eq!(statuses(&mut engine, 5), vec![200; 5]);
    let busy = engine.js.io.counters()[1];
    assert!(busy < 20, "{busy}");
    // Up to twenty wait, the others have been answered or refused. On a busy machine, a response is
    // overdue and one more request begins.
    let waiting = MANY as usize - heads(&client.take());
    assert!((15..=20).contains(&waiting), "{waiting}");
}

#[test]
fn a_client_that_takes_nothing_in_its_time_is_cut_with_all_that_waits() {
    let limits =
        Limits::from(Settings { write_timeout: Duration::from_millis(500), ..Settings::default() });
    let mut engine = engine(limits, large_responses());
    let mut client = stalling(&mut engine);
    engine.settle();
    let begun = engine.received().len();
    let received = client.rest(&mut engine);
    assert_eq!(engine.received().len(), begun);
    let goaway = received.windows(5).any(|bytes| bytes == [0, 0, 8, 7, 0]);
    assert!(goaway, "{received:?}");
}

fn engine(mut limits: Limits, handler: crate::harness::Handler) -> Engine {
    limits.settings.keepalive = Duration::from_secs(60);
    Engine::with_limits(with_http2(limits), handler)
}

/// JavaScript with a large response for `/large`: it passes on what is accepted and holds the rest.
fn large_responses() -> crate::harness::Handler {
    Box::new(|js, event| match event {
        Event::Request(request) if request.target == "/small" => js.reply(request.id, "small"),
        Event::Request(request) => {
            js.head_with_length(request.id, 200, "", LENGTH, LARGE);
            js.large(request.id, vec![b'x'; WINDOW]);
            js.held(request.id, LARGE - WINDOW as u32);
            js.notify(request.id);
        }
        Event::Drained(id) => {
            js.large(*id, vec![b'x'; LARGE as usize - WINDOW]);
            js.held(*id, 0);
            js.end(*id, true);
        }
        _ => {}
    })
}

/// The same, as JavaScript does it: a window at a time, and whole in memory until its end.
fn responses_in_pieces() -> crate::harness::Handler {
    let mut left = std::collections::HashMap::new();
    Box::new(move |js, event| {
        let id = match event {
            Event::Request(request) => {
                js.head_with_length(request.id, 200, "", LENGTH, LARGE);
                left.insert(request.id, LARGE);
                request.id
            }
            Event::Drained(id) => *id,
            _ => return,
        };
        let Some(left) = left.get_mut(&id).filter(|left| **left > 0) else { return };
        js.large(id, vec![b'x'; WINDOW]);
        *left -= WINDOW as u32;
        js.held(id, if *left > 0 { LARGE } else { 0 });
        if *left > 0 {
            js.notify(id);
        } else {
            js.end(id, true);
        }
    })
}

/// A client that requests many responses at once and opens no window.
fn stalling(engine: &mut Engine) -> Client {
    let mut client = Client::connect(engine);
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let asked: Vec<u8> = (0..MANY)
        .flat_map(|number| frame(1, END_STREAM | END_HEADERS, number * 2 + 1, &block(&[])))
        .collect();
    client.send(engine, [OPENING, &settings, &asked].concat());
    engine.event("one has begun", |event| matches!(event, Event::Request(_)).then_some(()));
    client
}

/// Opens the windows of the connection and of all streams.
fn all_windows() -> Vec<u8> {
    let open = |stream: u32| frame(8, 0, stream, &(4u32 << 20).to_be_bytes());
    let all: Vec<u8> = (0..MANY).flat_map(|number| open(number * 2 + 1)).collect();
    // A connection may have no more than 2 GiB.
    [(0..16).flat_map(|_| open(0)).collect(), all].concat()
}

/// Counts the heads of responses among the received frames.
fn heads(mut frames: &[u8]) -> usize {
    let mut count = 0;
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = frames {
        count += usize::from(*kind == 1);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        frames = &rest[length.min(rest.len())..];
    }
    count
}

fn statuses(engine: &mut Engine, count: usize) -> Vec<u16> {
    let address = engine.address;
    with_client(engine, move || {
        http2_client(address, async |client| {
            let mut statuses = Vec::new();
            for _ in 0..count {
                statuses.push(ask(&client, get("/small"), b"").await.status);
            }
            statuses
        })
    })
}

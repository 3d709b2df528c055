//! The memory that clients can make the engine hold: buffered bodies, unread responses, and the
//! bound of both.

use std::time::Duration;

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{CONNECTION, Client, Engine, Event, LENGTH, RequestBody, Setup, silent};

const PIECE: usize = 100_000;
const PATIENT: Duration = Duration::from_secs(60);

#[test]
fn a_body_that_comes_in_its_time_is_passed_whole() {
    let limits = Limits::from(Settings { request_buffer_time: PATIENT, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nA: 1\r\nContent-Length: 50000\r\n\r\n");
    // Others come and go meanwhile: the head that waits is not theirs.
    for piece in vec![b'x'; 50_000].chunks(10_000) {
        let mut other = Client::connect(&engine);
        other.send(&mut engine, "GET /other HTTP/1.1\r\nHost: y\r\n\r\n");
        let id = engine.request_to("/other");
        engine.events.retain(|event| !matches!(event, Event::Request(_)));
        engine.js.reply(id, "");
        assert_eq!(other.response(&mut engine).status, 200);
        client.send(&mut engine, piece);
    }
    let received = &engine.requests(1)[0];
    assert_eq!((received.request.target.as_str(), received.request.method.as_str()), ("/", "POST"));
    assert_eq!(received.request.fields[1], ("A".to_owned(), "1".to_owned()));
    assert!(matches!(&received.request.body, RequestBody::Whole(body) if body.len() == 50_000));
}

#[test]
fn a_chunked_body_that_comes_in_its_time_is_passed_whole() {
    let limits = Limits::from(Settings { request_buffer_time: PATIENT, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    client.send(
        &mut engine,
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
    );
    engine.settle();
    client.send(&mut engine, "\r\n0\r\n");
    engine.settle();
    assert_eq!(engine.received(), []);
    client.send(&mut engine, "\r\n");
    let received = engine.requests(1);
    assert_eq!(received[0].request.body, RequestBody::Whole("abc".into()));
}

#[test]
fn a_body_beyond_the_buffer_does_not_wait() {
    let limits = Limits::from(Settings {
        request_buffer_time: PATIENT,
        request_buffer_size: 1_000,
        ..Settings::default()
    });
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n");
    client.send(&mut engine, [b'x'; 500]);
    engine.settle();
    assert_eq!(engine.received(), []);
    client.send(&mut engine, [b'x'; 500]);
    engine.request_to("/");
    client.send(&mut engine, [b'x'; 4_000]);
    let received = engine.requests(1);
    assert_eq!((&received[0].request.body, received[0].body.len()), (&RequestBody::Streams, 5_000));
}

#[test]
fn a_body_that_stops_is_passed_after_its_time() {
    let limits = Limits::from(Settings {
        request_buffer_time: Duration::from_millis(20),
        ..Settings::default()
    });
    let mut engine = Engine::with_limits(limits, silent());
    let mut clients = [0, 1, 2].map(|_| Client::connect(&engine));
    for (number, client) in clients.iter_mut().enumerate() {
        let head = format!("POST /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
        client.send(&mut engine, head);
    }
    for number in 0..clients.len() {
        engine.request_to(&format!("/{number}"));
    }
    for client in &mut clients {
        client.send(&mut engine, "cde");
    }
    assert!(engine.requests(3).iter().all(|received| received.body == b"abcde"));
}

#[test]
fn a_client_that_closes_while_its_body_is_collected_was_never_there() {
    let limits = Limits::from(Settings { request_buffer_time: PATIENT, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
    engine.until("it is in flight", |engine| (engine.js.io.counters()[1] == 1).then_some(()));
    client.reset();
    engine.until("it is gone", |engine| (engine.js.io.counters()[0] == 0).then_some(()));
    engine.settle();
    assert_eq!(engine.received(), []);
    assert_eq!(engine.count(|event| matches!(event, Event::Aborted(_))), 0);
}

#[test]
fn at_the_bound_the_newest_readers_are_shed_and_others_are_served() {
    let limits = Limits::from(Settings { buffer_memory: 10 * PIECE, ..Settings::default() });
    let mut engine = Engine::start(
        Setup { small_buffers: true, limits: limits.bounded(), ..Setup::default() },
        silent(),
    );
    let mut readers = Vec::new();
    for number in 0..20 {
        let mut reader = Client::with_small_buffers(&engine);
        reader.send(&mut engine, format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let id = engine.request_to(&format!("/{number}"));
        engine.js.head_with_length(id, 200, "", CONNECTION | LENGTH, PIECE as u32);
        engine.js.large(id, vec![b'x'; PIECE]);
        engine.js.end(id, true);
        readers.push(reader);
        engine.settle();
    }
    engine.until("some are shed", |engine| {
        let open = engine.js.io.counters()[0];
        // The fence of `settle` may have one too.
        (open < 13).then_some(())
    });
    engine.event("the log line", |event| match event {
        Event::Fault(text) => text.contains("buffer_memory=1000000").then_some(()),
        _ => None,
    });
    let mut other = Client::connect(&engine);
    other.send(&mut engine, "POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
    let id = engine.request_to("/other");
    engine.js.reply(id, "served");
    assert_eq!(other.response(&mut engine).text(), "served");
    // Most are sent all of it all the same.
    let mut taken = vec![0; readers.len()];
    engine.until("each has its answer or has been reset", |_| {
        for (reader, taken) in readers.iter_mut().zip(&mut taken) {
            *taken += reader.take().len();
        }
        let mut both = readers.iter_mut().zip(&taken);
        both.all(|(reader, taken)| *taken > PIECE || reader.has_ended()).then_some(())
    });
    let whole = taken.iter().filter(|taken| **taken > PIECE).count();
    assert!((7..13).contains(&whole), "{whole} of {} readers", readers.len());
}

#[test]
fn at_the_bound_a_body_that_javascript_does_not_have_is_answered_503() {
    let limits = Limits::from(Settings {
        buffer_memory: 400_000,
        request_buffer_time: PATIENT,
        ..Settings::default()
    });
    let mut engine = Engine::with_limits(limits, silent());
    let mut clients = Vec::new();
    for _ in 0..30 {
        let mut client = Client::connect(&engine);
        client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n");
        client.send(&mut engine, vec![b'x'; 15_000]);
        clients.push(client);
        engine.settle();
    }
    let refused = engine
        .until("one is refused", |_| clients.iter_mut().position(|client| client.available() > 0));
    assert_eq!(clients[refused].response(&mut engine).status, 503);
    assert!(engine.received().is_empty());
    let waiting =
        clients.iter_mut().position(|client| client.available() == 0 && !client.has_ended());
    clients[waiting.unwrap()].send(&mut engine, vec![b'x'; 35_000]);
    assert_eq!(engine.requests(1)[0].body.len(), 50_000);
}

//! What the guard refuses: with which status, in which order, and so that the client can read it.

use std::time::Duration;

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{CHUNKED, Client, End, Engine, Setup, echo, silent};

/// The response to bytes that must be refused; the connection ends with it.
fn refused(limits: Limits, input: impl AsRef<[u8]>) -> (u16, String) {
    let mut engine = Engine::with_limits(limits, echo());
    let mut client = Client::connect(&engine);
    let response = client.ask(&mut engine, input);
    assert_eq!(response.field("Connection"), Some("close"));
    assert!(response.field("Date").is_some());
    assert_eq!(client.end(&mut engine), End::Closed);
    assert_eq!(engine.received(), [], "a refused request does not cross");
    (response.status, response.text().trim_end().to_owned())
}

#[test]
fn each_refusal_has_its_status() {
    let default = Limits::default;
    for (status, limits, input) in [
        (400, default(), "GET / HTTP/1.1\r\n\r\n"),
        (400, default(), "GET / HTTP/1.1\nHost: x\n\n"),
        (400, default(), "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
        (
            413,
            Limits::from(Settings { limit_request_body: 4, ..Settings::default() }),
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            413,
            Limits::from(Settings { limit_request_body: 4, ..Settings::default() }),
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        ),
        (
            414,
            Limits::from(Settings { limit_request_line: 20, ..Settings::default() }),
            "GET /too-long HTTP/1.1\r\nHost: x\r\n\r\n",
        ),
        (
            431,
            Limits::from(Settings { limit_request_fields: 1, ..Settings::default() }),
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
        ),
        (
            431,
            Limits::from(Settings { limit_request_field_size: 10, ..Settings::default() }),
            "GET / HTTP/1.1\r\nHost: x\r\nA: 1234567\r\n\r\n",
        ),
        (501, default(), "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"),
        (505, default(), "GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    ] {
        assert_eq!(refused(limits, input).0, status, "{input:?}");
    }
}

#[test]
fn a_refusal_states_the_reason() {
    let (_, text) = refused(Limits::default(), "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(text, "The Host header field is missing, repeated or malformed.");
}

#[test]
fn javascript_does_not_cut_off_a_client_that_is_refused_in_its_body() {
    let limits = Limits::from(Settings { limit_request_body: 4, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    client.send(
        &mut engine,
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    let id = engine.request_to("/");
    let connection = engine.received()[0].request.connection;
    client.send(&mut engine, "100000\r\n");
    engine.aborted(id);
    engine.js.destroy(connection);
    engine.js.wake();
    engine.settle();
    client.send(&mut engine, vec![b'x'; 1_000_000]);
    assert_eq!(client.response(&mut engine).status, 413);
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_refusal_comes_after_the_responses_to_earlier_requests() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(
        &mut engine,
        "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nBAD\r\n\r\n",
    );
    let first = engine.request_to("/1");
    engine.settle();
    assert_eq!(client.available(), 0);
    engine.js.reply(first, "one");
    let second = engine.request_to("/2");
    engine.js.reply(second, "two");
    assert_eq!(client.response(&mut engine).text(), "one");
    assert_eq!(client.response(&mut engine).text(), "two");
    assert_eq!(client.response(&mut engine).status, 400);
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn what_follows_a_refused_request_is_not_read_as_one() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "BAD\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.response(&mut engine).status, 400);
    assert_eq!(client.end(&mut engine), End::Closed);
    assert_eq!(engine.received(), []);
}

#[test]
fn a_refusal_can_be_read_by_a_client_that_is_still_sending() {
    let limits = Limits::from(Settings { limit_request_body: 1_000, ..Settings::default() });
    let setup = Setup { limits, small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, echo());
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
    // The body is read although it is refused: closing on unread bytes would reset the response.
    client.send(&mut engine, vec![b'x'; 500_000]);
    assert_eq!(client.response(&mut engine).status, 413);
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_client_that_never_ends_its_refused_body_is_left() {
    let limits = Limits::from(Settings { limit_request_body: 1_000, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, echo());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n");
    assert_eq!(client.response(&mut engine).status, 413);
    let piece = vec![b'x'; 65_536];
    engine.until("the engine closes", |engine| {
        (!client.is_alive(&piece) || engine.js.io.counters()[0] == 0).then_some(())
    });
}

#[test]
fn a_refused_client_that_does_not_close_is_closed_soon() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    assert_eq!(client.ask(&mut engine, "BAD\r\n\r\n").status, 400);
    assert_eq!(client.end(&mut engine), End::Closed);
    engine.until("the engine forgets it", |engine| (engine.js.io.counters()[0] == 0).then_some(()));
}

#[test]
fn a_request_beyond_worker_connections_is_answered_503() {
    let limits = Limits::from(Settings { worker_connections: 2, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let mut clients = [0, 1, 2].map(|_| Client::connect(&engine));
    // The acceptor stops at that many requests in flight, so all clients connect first.
    engine.until("all are accepted", |engine| (engine.js.io.counters()[0] == 3).then_some(()));
    for (number, client) in clients.iter_mut().enumerate().take(2) {
        client.send(&mut engine, format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"));
        engine.request_to(&format!("/{number}"));
    }
    let response = clients[2].ask(&mut engine, "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((response.status, response.field("Connection")), (503, Some("close")));
    assert_eq!(clients[2].end(&mut engine), End::Closed);
    let id = engine.request_to("/0");
    engine.js.reply(id, "served");
    assert_eq!(clients[0].response(&mut engine).text(), "served");
}

#[test]
fn a_reader_that_stalls_is_evicted_for_a_request_beyond_worker_connections() {
    let limits = Limits::from(Settings { worker_connections: 2, ..Settings::default() });
    let setup = Setup { limits, small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut readers = [0, 1].map(|_| Client::with_small_buffers(&engine));
    let mut other = Client::connect(&engine);
    engine.until("all are accepted", |engine| (engine.js.io.counters()[0] == 3).then_some(()));
    for (number, reader) in readers.iter_mut().enumerate() {
        reader.send(&mut engine, format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let id = engine.request_to(&format!("/{number}"));
        engine.js.head(id, 200, "", CHUNKED);
        engine.js.data(id, &vec![b'x'; 900_000]);
        engine.js.wake();
    }
    // No client has stalled for long.
    let request = "GET /other HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(other.ask(&mut engine, request).status, 503);
    let [mut reading, mut stalled] = readers;
    let mut served = sent_until_taken(&mut engine, request, |_| {
        reading.skip(10_000);
    });
    let id = engine.request_to("/other");
    engine.js.reply(id, "served");
    assert_eq!(served.response(&mut engine).text(), "served");
    engine.until("it has been reset", |_| stalled.has_ended().then_some(()));
    assert!(!reading.has_ended());
}

#[test]
fn a_body_that_arrives_slowly_is_evicted_for_a_request_beyond_worker_connections() {
    let limits = Limits::from(Settings { worker_connections: 3, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let post = |path: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
    };
    let [mut whole, mut steady, mut drip, mut other] = [0; 4].map(|_| Client::connect(&engine));
    engine.until("all are accepted", |engine| (engine.js.io.counters()[0] == 4).then_some(()));
    for (client, path, length) in
        [(&mut whole, "/whole", 4), (&mut steady, "/steady", 99_999), (&mut drip, "/drip", 99_999)]
    {
        client.send(&mut engine, post(path, length) + "body");
        engine.request_to(path);
    }
    let request = "GET /other HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(other.ask(&mut engine, request).status, 503, "no client is late yet");
    let mut served = sent_until_taken(&mut engine, request, |engine| {
        steady.send(engine, [b'x'; 50]);
        drip.send(engine, "x");
    });
    for (path, client) in [("/other", &mut served), ("/whole", &mut whole)] {
        let id = engine.request_to(path);
        engine.js.reply(id, path);
        assert_eq!(client.response(&mut engine).text(), path);
    }
    assert_eq!(drip.response(&mut engine).status, 408);
    assert!(!steady.has_ended());
}

/// Sends requests to `/other` until one is not refused and returns its client. `meanwhile` runs
/// before each attempt.
fn sent_until_taken(
    engine: &mut Engine,
    request: &str,
    mut meanwhile: impl FnMut(&mut Engine),
) -> Client {
    loop {
        std::thread::sleep(Duration::from_millis(50));
        meanwhile(engine);
        let mut client = Client::connect(engine);
        client.send(engine, request);
        let taken = engine.until("it is taken or refused", |engine| {
            let taken = engine.received().iter().any(|each| each.request.target == "/other");
            (taken || client.available() > 0).then_some(taken)
        });
        if taken {
            return client;
        }
    }
}

#[test]
fn refusals_are_counted_once() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(
        &mut engine,
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    );
    engine.request_to("/");
    client.send(&mut engine, "no size\r\n");
    assert_eq!(client.response(&mut engine).status, 400);
    assert_eq!(Client::connect(&engine).ask(&mut engine, "BAD\r\n\r\n").status, 400);
    assert_eq!(engine.js.io.counters()[1..3], [0, 2]);
}

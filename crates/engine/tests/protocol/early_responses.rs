//! Responses before the end of the request body: the rest of the body is discarded within limits.

use std::time::Duration;

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{CLOSE, CONNECTION, Client, DISCARDS, End, Engine, Event, LENGTH, silent};

#[test]
fn after_an_early_response_a_small_rest_is_discarded() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc");
    let id = engine.request_to("/");
    engine.js.head(id, 403, "", CONNECTION | LENGTH);
    engine.js.end(id, true);
    assert_eq!(client.response(&mut engine).status, 403);
    client.send(&mut engine, vec![b'x'; 99_997]);
    client.send(&mut engine, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    let next = engine.request_to("/next");
    engine.js.reply(next, "next");
    assert_eq!(client.response(&mut engine).text(), "next");
    assert!(
        engine.received()[0].body.len() <= 65_536,
        "an unwanted body is not passed to JavaScript"
    );
}

#[test]
fn after_an_early_response_a_huge_rest_ends_the_connection_and_the_response_is_read() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc");
    let id = engine.request_to("/");
    engine.js.respond(id, 413, "", CONNECTION | LENGTH, b"enough");
    engine.js.wake();
    let piece = vec![b'x'; 65_536];
    let mut sent = 0;
    engine.until("the engine has had enough", |_| {
        sent += client.try_send(&piece);
        (sent > 1_500_000).then_some(())
    });
    assert_eq!(client.response(&mut engine).text(), "enough");
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn an_early_response_reaches_a_client_that_has_ended_its_side_in_the_body() {
    let mut engine = Engine::new(Box::new(|js, event| {
        if let Event::Request(request) = event {
            js.respond_early(request.id, 403, "", CONNECTION | LENGTH | DISCARDS, b"no");
        }
    }));
    for framing in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let mut client = Client::connect(&engine);
        let head =
            format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.try_send(head.as_bytes()), head.len());
        client.half_close();
        assert_eq!(client.response(&mut engine).text(), "no");
        assert_eq!(client.end(&mut engine), End::Closed);
    }
}

#[test]
fn an_early_response_announces_close_where_the_rest_is_long_or_unknown() {
    let long = format!("Content-Length: {}", 10 * MEBIBYTE);
    for (framing, rest, connection) in [
        (long.as_str(), vec![b'x'; 10 * MEBIBYTE], "close"),
        (
            "Transfer-Encoding: chunked",
            [&b"a00000\r\n"[..], &vec![b'x'; 10 * MEBIBYTE]].concat(),
            "close",
        ),
        ("Content-Length: 1048576", vec![b'x'; MEBIBYTE], "keep-alive"),
    ] {
        let mut engine = Engine::new(silent());
        let mut client = Client::connect(&engine);
        client.send(&mut engine, format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"));
        let id = engine.request_to("/");
        engine.js.respond_early(id, 403, "", CONNECTION | LENGTH | DISCARDS, b"no");
        engine.js.wake();
        // As most clients: first all of the body, then the answer.
        client.send(&mut engine, rest);
        let response = client.response(&mut engine);
        assert_eq!((response.text(), response.field("Connection")), ("no", Some(connection)));
        if connection == "close" {
            assert_eq!(client.end(&mut engine), End::Closed);
        } else {
            client.send(&mut engine, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
            engine.request_to("/next");
        }
    }
}

#[test]
fn after_an_early_response_the_rest_may_still_be_wanted() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
    let id = engine.request_to("/");
    engine.js.head(id, 200, "", CONNECTION | LENGTH);
    engine.js.end(id, false);
    assert_eq!(client.response(&mut engine).status, 200);
    client.send(&mut engine, "def");
    assert_eq!(engine.requests(1)[0].body, b"abcdef");
}

#[test]
fn after_its_response_nothing_waits_for_a_reader_that_has_stopped() {
    let limits = Limits { discard_time: Duration::from_millis(300), ..Limits::default() };
    let mut engine = Engine::with_limits(limits, silent());
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        for (flags, disconnects) in [(0, false), (0, true), (CLOSE, false), (CLOSE, true)] {
            let mut client = Client::connect(&engine);
            client.send(&mut engine, format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"));
            client.send(&mut engine, [b"80000\r\n".to_vec(), vec![b'x'; 300_000]].concat());
            let id = engine.request_to("/");
            // It has begun to read, and gives no credit.
            engine.js.head(id, 413, "", CONNECTION | LENGTH | flags);
            engine.js.end(id, false);
            assert_eq!(client.response(&mut engine).status, 413);
            if disconnects {
                drop(client);
            } else {
                assert_eq!(client.end(&mut engine), End::Closed);
            }
            engine.until("the connection to close", |engine| {
                (engine.js.io.counters()[..2] == [0, 0]).then_some(())
            });
            engine.events.clear();
        }
    }
}

#[test]
fn a_body_refused_for_its_length_is_drained_so_that_the_response_is_read() {
    let limits = Limits::from(Settings { limit_request_body: 1_000, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    let length = 10 * MEBIBYTE;
    client.send(
        &mut engine,
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"),
    );
    client.send(&mut engine, vec![b'x'; length]);
    assert_eq!(client.response(&mut engine).status, 413);
    assert_eq!(client.end(&mut engine), End::Closed);
    assert_eq!(engine.events, []);
}

const MEBIBYTE: usize = 1 << 20;

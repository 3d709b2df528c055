//! The beginning and the end of an HTTP/2 connection, and the eviction of streams for others.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::ext::Protocol;
use http::Request;
use monoceros_engine::guard::addresses::AddressList;
use monoceros_engine::pressure::limits::{Cleartext, IDLE_DRAIN_TIME, Limits, MIN_WEBSOCKET_TIME};
use monoceros_engine::pressure::settings::ProxyProtocol;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{
    Client, Engine, Event, LENGTH, OPENING, ask, block, echo, frame, get, http2_client, silent,
    until_closing, with_client, with_http2,
};

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Close, 1012.
const RESTART: &[u8] = &[0x88, 2, 3, 0xf4];
const PIECE: usize = 60_000;
const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;
/// Bytes of a client's preface.
const PREFACE: usize = 24;

#[test]
fn limit_requests_per_connection_ends_a_connection() {
    let limits = Limits::from(Settings { limit_requests_per_connection: 3, ..Settings::default() });
    let mut engine = Engine::with_limits(with_http2(limits), echo());
    let address = engine.address;
    let statuses = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            let mut statuses = Vec::new();
            for _ in 0..3 {
                statuses.push(ask(&client, get("/"), b"").await.status);
            }
            // GOAWAY follows the last response.
            until_closing(&client).await;
            statuses
        })
    });
    assert_eq!(statuses, [200; 3]);
    engine.until("it is closed", |engine| (engine.js.io.counters()[0] == 0).then_some(()));
}

#[test]
fn a_drain_closes_a_websocket_of_a_stream() {
    let mut engine = Engine::with_limits(with_http2(Limits::default()), silent());
    let address = engine.address;
    let client = std::thread::spawn(move || {
        http2_client(address, async |client| {
            ask(&client, get("/hello"), b"").await;
            let mut client = client.ready().await.unwrap();
            let mut request = Request::connect("http://x/chat").body(()).unwrap();
            request.extensions_mut().insert(Protocol::from_static("websocket"));
            let (response, mut stream) = client.send_request(request, false).unwrap();
            let mut body = response.await.unwrap().into_body();
            let mut received = Vec::new();
            while !received.ends_with(RESTART) {
                received.extend_from_slice(&body.data().await.unwrap().unwrap());
            }
            // The client answers the close frame.
            stream.send_data(Bytes::from_static(&[0x88, 0x80, 1, 2, 3, 4]), true).unwrap();
            while body.data().await.is_some_and(|piece| piece.unwrap().is_empty()) {}
            received
        })
    });
    let hello = engine.request_to("/hello");
    engine.js.reply(hello, "");
    let id = engine.request_to("/chat");
    engine.js.tunnel(id, true);
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: x\r\n\r\n";
    let accepted = Instant::now();
    engine.js.data(id, [switch.as_bytes(), b"\x82\x02ab"].concat().as_slice());
    engine.js.wake();
    engine.settle();
    engine.js.io.drain(IDLE_DRAIN_TIME);
    engine.event("its end", |event| (*event == Event::End(id, String::new())).then_some(()));
    let age = accepted.elapsed();
    assert!((MIN_WEBSOCKET_TIME..IDLE_DRAIN_TIME).contains(&age), "it is closed at age {age:?}");
    engine.js.end(id, false);
    engine.until("the client ends", |_| client.is_finished().then_some(()));
    assert_eq!(client.join().unwrap(), [b"\x82\x02ab", RESTART].concat());
    engine.event("no connection is left", |event| (*event == Event::Idle).then_some(()));
}

#[test]
fn a_pseudo_field_in_trailers_resets_the_stream_and_no_other() {
    let head = |stream| frame(1, END_HEADERS, stream, &block(&[]));
    let data = |stream| frame(0, 0, stream, b"body");
    // `:method: GET` of the static table, and `:path` as a literal in two frames.
    let indexed = frame(1, END_STREAM | END_HEADERS, 1, &[0x82]);
    let literal = [frame(1, END_STREAM, 1, &[0, 5]), frame(9, END_HEADERS, 1, b":path\x01x")];
    for trailers in [indexed, literal.concat()] {
        for step in [1, 13, 10_000] {
            let mut engine = Engine::with_limits(with_http2(Limits::default()), echo());
            let mut client = Client::connect(&engine);
            let valid = &block(&[("x-checksum", ":")])[6..];
            let valid = frame(1, END_STREAM | END_HEADERS, 3, valid);
            let all = [OPENING, &head(1), &data(1), &trailers, &head(3), &data(3), &valid].concat();
            for part in all.chunks(step) {
                client.send(&mut engine, part);
            }
            let mut received = Vec::new();
            engine.until("a reset and a response", |_| {
                received.append(&mut client.take());
                let is_served = received.windows(10).any(|part| part == b"GET /\nbody");
                (is_served && !resets(&received).is_empty()).then_some(())
            });
            assert_eq!(resets(&received), [(1, PROTOCOL_ERROR)]);
            let complete = engine.received().iter().filter(|one| one.complete).count();
            assert_eq!(complete, 1, "only the valid request is complete");
        }
    }
}

#[test]
fn proxy_information_precedes_the_preface() {
    let mut limits = with_http2(Limits::default());
    limits.parse_policy.proxy_protocol = ProxyProtocol::V1;
    limits.parse_policy.proxy_allow_ips = AddressList::parse("127.0.0.1").unwrap();
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4660 80\r\n";
    let head = frame(1, END_STREAM | END_HEADERS, 1, &block(&[]));
    let all = [header, OPENING, &head].concat();
    for step in [1, all.len()] {
        let mut engine = Engine::with_limits(limits.clone(), echo());
        let mut client = Client::connect(&engine);
        for piece in all.chunks(step) {
            client.send(&mut engine, piece);
        }
        let remote = engine.event("the connection", |event| match event {
            Event::Connection { remote, remote_port, .. } => Some((remote.clone(), *remote_port)),
            _ => None,
        });
        assert_eq!(remote, ("192.0.2.7".to_owned(), 4660));
        engine.request_to("/");
    }
}

#[test]
fn a_client_without_proxy_information_is_served_in_both_protocols() {
    let mut limits = with_http2(Limits::default());
    limits.parse_policy.proxy_protocol = ProxyProtocol::Auto;
    limits.parse_policy.proxy_allow_ips = AddressList::parse("127.0.0.1").unwrap();
    let head = frame(1, END_STREAM | END_HEADERS, 1, &block(&[]));
    for all in [[OPENING, &head].concat(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()] {
        for step in [1, 20, all.len()] {
            let mut engine = Engine::with_limits(limits.clone(), echo());
            let mut client = Client::connect(&engine);
            for piece in all.chunks(step) {
                client.send(&mut engine, piece);
            }
            engine.request_to("/");
        }
    }
}

#[test]
fn an_invalid_preface_has_no_response_where_both_protocols_are_spoken() {
    const INVALID: &str = "INVALID CONNECTION PREFACE\r\n\r\n";
    let mut engine = Engine::with_limits(with_http2(Limits::default()), echo());
    for step in [1, INVALID.len()] {
        let mut client = Client::connect(&engine);
        for piece in INVALID.as_bytes().chunks(step) {
            client.send(&mut engine, piece);
        }
        assert_eq!(client.rest(&mut engine), b"");
    }
    // Who names a version, or has spoken HTTP/1 before, reads what was wrong.
    for (before, wrong) in
        [("", "GET  / HTTP/1.1\r\n\r\n"), ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", INVALID)]
    {
        let mut client = Client::connect(&engine);
        client.send(&mut engine, [before, wrong].concat());
        if !before.is_empty() {
            assert_eq!(client.response(&mut engine).status, 200);
        }
        assert_eq!(client.response(&mut engine).status, 400);
    }
}

#[test]
fn a_preface_that_does_not_come_whole_is_not_waited_for() {
    for length in [1, PREFACE - 1] {
        let mut limits = with_http2(Limits::default());
        limits.cleartext = Cleartext::Alone;
        limits.settings.header_timeout = Duration::from_millis(300);
        let mut engine = Engine::with_limits(limits.clone(), silent());
        let mut client = Client::connect(&engine);
        client.send(&mut engine, &OPENING[..length]);
        client.rest(&mut engine);
        limits.settings.header_timeout = Duration::from_secs(60);
        let mut engine = Engine::with_limits(limits, silent());
        let mut client = Client::connect(&engine);
        client.send(&mut engine, &OPENING[..length]);
        engine.until("it is connected", |engine| (engine.js.io.counters()[0] == 1).then_some(()));
        engine.js.io.drain(Duration::from_millis(300));
        client.rest(&mut engine);
    }
}

#[test]
fn at_the_bound_of_memory_slow_streams_are_reset_and_others_are_served() {
    let limits = Limits::from(Settings { buffer_memory: 10 * PIECE, ..Settings::default() });
    let mut engine = Engine::with_limits(
        with_http2(limits),
        Box::new(|js, event| match event {
            Event::Request(request) if request.target == "/" => {
                js.head_with_length(request.id, 200, "", LENGTH, PIECE as u32);
                js.large(request.id, vec![b'x'; PIECE]);
                js.end(request.id, true);
            }
            Event::Request(request) => js.reply(request.id, "served"),
            _ => {}
        }),
    );
    let closed = |window: u32| frame(4, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat());
    let mut readers = Vec::new();
    for _ in 0..5 {
        let mut reader = Client::connect(&engine);
        reader.send(&mut engine, [OPENING, &closed(0)].concat());
        for stream in [1, 3, 5, 7] {
            let head = frame(1, END_STREAM | END_HEADERS, stream, &block(&[]));
            reader.send(&mut engine, head);
            engine.settle();
        }
        readers.push(reader);
    }
    engine.event("the log line", |event| match event {
        Event::Fault(text) => text.contains("buffer_memory=600000").then_some(()),
        _ => None,
    });
    engine.settle();
    let kept = readers.iter_mut().map(Client::take).filter(|taken| !is_calmed(taken)).count();
    assert!((1..5).contains(&kept), "{kept} of 5 are left alone");
    let address = engine.address;
    let answer = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            ask(&client, get("/other"), b"").await.text().to_owned()
        })
    });
    assert_eq!(answer, "served");
}

/// Whether a stream has been reset with `ENHANCE_YOUR_CALM`.
fn is_calmed(frames: &[u8]) -> bool {
    resets(frames).iter().any(|(_, reason)| *reason == ENHANCE_YOUR_CALM)
}

/// The streams that have been reset, each with the reason.
fn resets(mut frames: &[u8]) -> Vec<(u32, u32)> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
    let mut resets = Vec::new();
    while frames.len() >= 9 {
        let (head, rest) = frames.split_at(9);
        let length = (number(&head[..3]) as usize).min(rest.len());
        if head[3] == 3 && length == 4 {
            resets.push((number(&head[5..]), number(&rest[..4])));
        }
        frames = &rest[length..];
    }
    resets
}

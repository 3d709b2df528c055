//! Request bodies: they are passed to JavaScript by credit, and unwanted ones are discarded.

use std::time::Duration;

use monoceros_engine::buffers::sizes::{
    MAX_BODY_CHUNK, MAX_BODY_CREDIT, MIN_BODY_CREDIT, WIDE_BODY_CHUNK,
};
use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{
    CLOSE, CONNECTION, Client, DISCARDS, End, Engine, Event, LENGTH, RequestBody, Setup, silent,
    when_complete,
};

#[test]
fn a_body_that_arrives_with_its_head_is_passed_whole() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    let received = engine.requests(1);
    assert_eq!(received[0].request.body, RequestBody::Whole("hello".into()));
}

#[test]
fn a_chunked_body_that_arrives_with_its_head_is_passed_whole() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, [CHUNKED_HEAD, "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"].concat());
    let received = engine.requests(1);
    assert_eq!(received[0].request.body, RequestBody::Whole("hello!".into()));
}

#[test]
fn an_empty_body_is_none() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(engine.requests(1)[0].request.body, RequestBody::None);
    let id = engine.request_to("/");
    engine.js.reply(id, "");
    client.response(&mut engine);
    client.send(&mut engine, [CHUNKED_HEAD, "0\r\n\r\n"].concat());
    let received = engine.requests(2);
    assert_eq!((received[1].body.len(), received[1].complete), (0, true));
}

#[test]
fn trailers_of_a_request_are_passed_with_its_end() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client
        .send(&mut engine, [CHUNKED_HEAD, "2\r\nab\r\n0\r\nX-Sum: 1\r\nx-b:  c \r\n\r\n"].concat());
    let received = engine.requests(1);
    assert_eq!(received[0].body, b"ab");
    assert_eq!(received[0].trailers, "X-Sum: 1\r\nx-b:  c \r\n");
}

#[test]
fn single_bytes_give_the_same_request() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let message = [CHUNKED_HEAD, "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: v\r\n\r\n"].concat();
    for byte in message.as_bytes() {
        client.send(&mut engine, [*byte]);
    }
    let received = engine.requests(1);
    assert_eq!(received[0].request.method, "POST");
    assert_eq!((&received[0].body[..], received[0].trailers.as_str()), (&b"abcde"[..], "T: v\r\n"));
    engine.js.reply(received[0].request.id, "got it");
    assert_eq!(client.response(&mut engine).text(), "got it");
}

#[test]
fn a_body_streams_while_it_comes() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
    let id = engine.request_to("/");
    engine.until("the first half crosses", |engine| {
        (engine.received()[0].body == b"abc").then_some(())
    });
    client.send(&mut engine, "def");
    let received = engine.requests(1);
    assert_eq!((received[0].request.id, &received[0].body[..]), (id, &b"abcdef"[..]));
}

#[test]
fn a_huge_body_is_passed_by_credit() {
    let mut engine = Engine::new(when_complete(|js, received| {
        js.reply(received.request.id, format!("{} {}", received.body.len(), sum(&received.body)));
    }));
    let body: Vec<u8> = (0..5_000_000u32).map(|at| (at / 11) as u8).collect();
    let mut client = Client::connect(&engine);
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    client.send(&mut engine, head);
    client.send(&mut engine, &body);
    assert_eq!(client.response(&mut engine).text(), format!("5000000 {}", sum(&body)));
    assert!(largest_piece(&engine) <= WIDE_BODY_CHUNK);
}

#[test]
fn a_client_that_is_ahead_is_read_in_wide_pieces() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n");
    client.send(&mut engine, head);
    let id = engine.request_to("/");
    let body = vec![b'x'; SIZE];
    let sent = client.send_until_stuck(&mut engine, &body);
    // As much as the engine took before is in the kernel now, and more.
    engine.js.credit(id, MAX_BODY_CREDIT);
    client.send_until_stuck(&mut engine, &body[sent..]);
    assert!(largest_piece(&engine) > MAX_BODY_CHUNK, "{}", largest_piece(&engine));
}

fn largest_piece(engine: &Engine) -> usize {
    let lengths = engine.events.iter().map(|event| match event {
        Event::Data(_, bytes) => bytes.len(),
        _ => 0,
    });
    lengths.max().unwrap()
}

#[test]
fn without_credit_the_engine_stops_reading() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, [CHUNKED_HEAD, &format!("{SIZE:x}\r\n")].concat());
    let id = engine.request_to("/");
    let body = vec![b'x'; SIZE];
    let mut sent = client.send_until_stuck(&mut engine, &body);
    // The credit, 64 KiB after the guard, and the kernel's small buffers twice.
    assert!(sent < MAX_BODY_CREDIT + 340_000, "{sent} bytes were taken without credit");
    let crossed = engine.received()[0].body.len();
    assert!(
        (MAX_BODY_CREDIT..=MAX_BODY_CREDIT + 65_536).contains(&crossed),
        "{crossed} bytes crossed"
    );
    // Credit moves it on, by about as much as was given.
    engine.js.credit(id, 100_000);
    let more = client.send_until_stuck(&mut engine, &body[sent..]);
    sent += more;
    assert!((50_000..300_000).contains(&more), "{more} bytes for 100000 of credit");
    engine.js.credit(id, SIZE);
    client.send(&mut engine, &body[sent..]);
    client.send(&mut engine, "\r\n0\r\n\r\n");
    assert_eq!(engine.requests(1)[0].body.len(), SIZE);
}

#[test]
fn among_many_requests_each_body_has_less_credit() {
    let mut engine = Engine::new(silent());
    let mut others: Vec<_> = (0..300).map(|_| Client::connect(&engine)).collect();
    for other in &mut others {
        other.send(&mut engine, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    engine.requests(300);
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    let id = engine.request_to("/");
    let sent = client.send_until_stuck(&mut engine, &vec![b'x'; 1_000_000]);
    let crossed = |engine: &Engine| engine.received()[300].body.len();
    // What came before the request crossed is read in whole reads.
    assert!(
        (MIN_BODY_CREDIT..=2 * MIN_BODY_CREDIT).contains(&crossed(&engine)),
        "{}",
        crossed(&engine)
    );
    // From here on a byte of credit is a byte.
    let before = crossed(&engine);
    engine.js.credit(id, 100_000);
    engine.js.wake();
    engine.settle();
    client.send(&mut engine, vec![b'x'; 1_000_000 - sent]);
    engine.settle();
    assert!((before..=before + 100_000).contains(&crossed(&engine)), "{}", crossed(&engine));
}

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
fn expect_is_passed_before_the_body_comes_and_javascript_responds_100() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    client.send(&mut engine, head);
    let id = engine.request_to("/");
    assert!(engine.received()[0].request.expects);
    engine.settle();
    assert_eq!(client.available(), 0, "100 is JavaScript's to send");
    engine.js.inform(id, 100, "");
    let interim = client.response(&mut engine);
    assert_eq!((interim.status, interim.reason.as_str()), (100, "Continue"));
    client.send(&mut engine, "ok");
    assert_eq!(engine.requests(1)[0].body, b"ok");
    engine.js.reply(id, "done");
    assert_eq!(client.response(&mut engine).text(), "done");
}

#[test]
fn expect_means_nothing_on_http_1_0_and_any_other_is_passed() {
    let mut engine = Engine::new(crate::harness::echo());
    let mut client = Client::connect(&engine);
    let tea = "GET / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n";
    assert_eq!(client.ask(&mut engine, tea).status, 200);
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(client.ask(&mut engine, old).status, 200);
    let expects: Vec<_> = engine.received().iter().map(|each| each.request.expects).collect();
    assert_eq!(expects, [true, false]);
}

/// Sends until several rounds of other work have gone by without a byte being taken.
#[test]
fn what_is_pipelined_after_a_streamed_body_is_the_next_request() {
    let mut engine = Engine::new(when_complete(|js, received| {
        js.reply(received.request.id, format!("{} {}", received.body.len(), sum(&received.body)));
    }));
    let body: Vec<u8> = (0..700_001u32).map(|at| (at / 11) as u8).collect();
    let mut client = Client::connect(&engine);
    let head = format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let second = [CHUNKED_HEAD, "5\r\nhello\r\n0\r\n\r\n"].concat();
    let mut all = [head.as_bytes(), &body, second.as_bytes(), head.as_bytes()].concat();
    all.extend_from_slice(&body);
    client.send(&mut engine, all);
    let long = format!("{} {}", body.len(), sum(&body));
    assert_eq!(client.response(&mut engine).text(), long);
    assert_eq!(client.response(&mut engine).text(), format!("5 {}", sum(b"hello")));
    assert_eq!(client.response(&mut engine).text(), long);
}

#[test]
fn a_streamed_body_that_ends_early_is_an_abort() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
    client.send(&mut engine, vec![b'x'; 100_000]);
    let id = engine.request_to("/");
    engine.until("most of it crosses", |engine| {
        (engine.received()[0].body.len() > 70_000).then_some(())
    });
    client.half_close();
    engine.aborted(id);
    assert!(!engine.received()[0].complete);
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(7, |sum, &byte| sum.rotate_left(5) ^ u64::from(byte))
}

const CHUNKED_HEAD: &str = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
const SIZE: usize = 3_000_000;
const MEBIBYTE: usize = 1 << 20;

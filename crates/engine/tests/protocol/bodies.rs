//! Request bodies: they are passed to JavaScript by credit, and unwanted ones are discarded.

use std::time::Duration;

use monoceros_engine::buffers::sizes::{
    MAX_BODY_CHUNK, MAX_BODY_CREDIT, MIN_BODY_CREDIT, WIDE_BODY_CHUNK,
};
use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{Client, Engine, Event, RequestBody, Setup, silent, when_complete};

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
    client.send(&mut engine, [CHUNKED_HEAD, "5;a=b\r\nhello\r\n0\r\n\r\n"].concat());
    let received = engine.requests(1);
    assert_eq!(received[0].request.body, RequestBody::Whole("hello".into()));
}

#[test]
fn the_chunks_of_a_body_are_passed_separately() {
    let patient = Settings { request_buffer_time: Duration::from_secs(5), ..Settings::default() };
    for settings in [Settings::default(), patient] {
        let mut engine = Engine::with_limits(Limits::from(settings), silent());
        let mut client = Client::connect(&engine);
        client.send(
            &mut engine,
            [CHUNKED_HEAD, "2\r\nab\r\n1\r\nc\r\n3\r\ndef\r\n0\r\n\r\n"].concat(),
        );
        assert_eq!(engine.requests(1)[0].body, b"abcdef");
        assert_eq!(pieces(&engine), [2, 1, 3]);
    }
}

#[test]
fn many_short_chunks_become_fewer_pieces() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let body = "1\r\nx\r\n".repeat(5_000);
    client.send(&mut engine, [CHUNKED_HEAD, &body, "0\r\n\r\n"].concat());
    assert_eq!(engine.requests(1)[0].body.len(), 5_000);
    assert!(pieces(&engine).len() < 2_000, "{}", pieces(&engine).len());
}

/// The lengths of the pieces of request bodies so far.
fn pieces(engine: &Engine) -> Vec<usize> {
    let data = |event: &Event| match event {
        Event::Data(_, bytes) => Some(bytes.len()),
        _ => None,
    };
    engine.events.iter().filter_map(data).collect()
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

//! What takes too long is ended, each wait by its own deadline, whatever JavaScript does.

use std::time::{Duration, Instant};

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{CHUNKED, CONNECTION, Client, End, Engine, Event, Setup, silent};

/// A deadline long enough for a loaded machine to do what a test has to do before it.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// A server and clients whose kernels buffer little.
pub(crate) fn small(limits: Limits) -> Engine {
    Engine::start(Setup { limits, small_buffers: true, ..Setup::default() }, silent())
}

/// Returns when the engine's wheel has found a deadline of `header`, which begins now. A connection
/// that becomes idle now has freed its memory by then.
pub(crate) fn let_a_deadline_pass(engine: &mut Engine) {
    let mut other = Client::connect(engine);
    other.send(engine, "GET /slow HTTP/1.1\r\n");
    assert_eq!(other.response(engine).status, 408);
}

#[test]
fn no_byte_starts_the_time_of_a_head_again() {
    let mut engine = Engine::with_limits(
        Limits::from(Settings { header_timeout: SHORT, ..Settings::default() }),
        silent(),
    );
    let mut client = Client::connect(&engine);
    let begun = Instant::now();
    client.send(&mut engine, "GET / HTTP/1.1\r\nX: ");
    engine.until("the head is given up", |_| {
        (client.available() > 0 || !client.is_alive(b"x")).then_some(())
    });
    assert_eq!(client.response(&mut engine).status, 408);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_head_after_a_responseed_request_has_a_time_of_its_own() {
    let mut engine = Engine::with_limits(
        Limits::from(Settings { header_timeout: SHORT, ..Settings::default() }),
        crate::harness::echo(),
    );
    let mut client = Client::connect(&engine);
    client.ask(&mut engine, GET);
    let_a_deadline_pass(&mut engine);
    client.send(&mut engine, "GET /again HTTP/1.1\r\n");
    assert_eq!(client.response(&mut engine).status, 408);
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_body_that_stops_is_answered_408_and_aborted() {
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut engine = Engine::with_limits(
            Limits::from(Settings { body_timeout: SHORT, ..Settings::default() }),
            silent(),
        );
        let mut client = Client::connect(&engine);
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n5\r\nabc");
        client.send(&mut engine, head);
        let id = engine.request_to("/");
        let response = client.response(&mut engine);
        assert_eq!((response.status, response.field("Connection")), (408, Some("close")));
        assert_eq!(client.end(&mut engine), End::Closed);
        engine.aborted(id);
    }
}

#[test]
fn a_client_that_waits_for_permission_to_send_its_body_has_time_from_then_on() {
    let limits = Limits::from(Settings {
        body_timeout: SHORT,
        header_timeout: SHORT * 2,
        ..Settings::default()
    });
    let mut engine = Engine::with_limits(limits, silent());
    for says_continue in [true, false] {
        let mut client = Client::connect(&engine);
        client.send(
            &mut engine,
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        );
        let id = engine.request_to("/");
        let_a_deadline_pass(&mut engine);
        if says_continue {
            engine.js.inform(id, 100, "");
            engine.js.wake();
            assert_eq!(client.response(&mut engine).status, 100);
        } else {
            client.send(&mut engine, "abc");
        }
        assert_eq!(client.response(&mut engine).status, 408);
        engine.aborted(id);
        engine.events.clear();
    }
}

#[test]
fn a_client_that_waits_for_permission_to_send_its_body_waits_no_longer_than_for_a_response() {
    let limits = Limits::from(Settings { request_timeout: SHORT, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    for step in [head.len(), 20] {
        let mut client = Client::connect(&engine);
        for piece in head.as_bytes().chunks(step) {
            client.send(&mut engine, piece);
            engine.settle();
        }
        assert_eq!(client.response(&mut engine).status, 504);
    }
}

#[test]
fn a_body_that_arrives_slowly_is_answered_408() {
    let limits = Limits {
        rate_grace: SHORT,
        ..Limits::from(Settings {
            body_min_rate: 10_000,
            header_timeout: SHORT * 2,
            ..Settings::default()
        })
    };
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    let id = engine.request_to("/");
    engine.until("the body is given up", |_| {
        (client.available() > 0 || !client.is_alive(b"x")).then_some(())
    });
    assert_eq!(client.response(&mut engine).status, 408);
    engine.aborted(id);
}

#[test]
fn a_body_that_javascript_does_not_read_has_time() {
    let limits = Limits::from(Settings {
        body_timeout: SHORT,
        header_timeout: SHORT * 2,
        ..Settings::default()
    });
    let mut engine = small(limits);
    let mut client = Client::with_small_buffers(&engine);
    client
        .send(&mut engine, format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n"));
    let body = vec![b'x'; SIZE];
    let (mut sent, mut quiet) = (0, 0);
    let id = engine.request_to("/");
    while quiet < 5 {
        let count = client.try_send(&body[sent..]);
        sent += count;
        quiet = if count == 0 { quiet + 1 } else { 0 };
        engine.settle();
    }
    for _ in 0..2 {
        let_a_deadline_pass(&mut engine);
    }
    engine.js.credit(id, SIZE);
    client.send(&mut engine, &body[sent..]);
    assert_eq!(engine.requests(1)[0].body.len(), SIZE);
    engine.js.reply(id, "read");
    assert_eq!(client.response(&mut engine).text(), "read");
}

#[test]
fn a_response_that_does_not_begin_is_aborted_with_504() {
    let mut engine = Engine::with_limits(
        Limits::from(Settings { request_timeout: SHORT, ..Settings::default() }),
        silent(),
    );
    for message in [GET, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"] {
        let mut client = Client::connect(&engine);
        client.send(&mut engine, message);
        let id = engine.request_to("/");
        let response = client.response(&mut engine);
        assert_eq!((response.status, response.field("Connection")), (504, Some("close")));
        assert_eq!(client.end(&mut engine), End::Closed);
        engine.aborted(id);
        engine.events.clear();
    }
}

#[test]
fn what_streams_after_its_head_may_take_longer() {
    let limits = Limits::from(Settings {
        request_timeout: SHORT,
        header_timeout: SHORT * 2,
        ..Settings::default()
    });
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    engine.js.head(id, 200, "", CONNECTION | CHUNKED);
    engine.js.wake();
    let_a_deadline_pass(&mut engine);
    engine.js.data(id, b"late");
    engine.js.end(id, true);
    assert_eq!(client.response(&mut engine).text(), "late");
}

#[test]
fn a_request_that_blocked_javascript_never_took_is_answered_503_and_not_served() {
    let mut engine = Engine::with_limits(
        Limits::from(Settings { request_timeout: SHORT, ..Settings::default() }),
        silent(),
    );
    let mut clients = [GET, BODY].map(|message| {
        let mut client = Client::connect(&engine);
        assert_eq!(client.try_send(message.as_bytes()), message.len());
        client
    });
    for client in &mut clients {
        let response = client.response_while_blocked();
        assert_eq!((response.status, response.field("Retry-After")), (503, Some("1")));
    }
    for client in &mut clients {
        assert_eq!(client.end(&mut engine), End::Closed);
    }
    assert_eq!(engine.received(), []);
    assert_eq!(engine.count(|event| matches!(event, Event::Withdrawn(_))), 2);
}

#[test]
fn blocked_javascript_stops_no_deadline() {
    let limits = Limits::from(Settings {
        header_timeout: SHORT,
        body_timeout: SHORT,
        keepalive: SHORT,
        ..Settings::default()
    });
    let mut engine = Engine::with_limits(limits, crate::harness::echo());
    let mut idle = Client::connect(&engine);
    idle.ask(&mut engine, GET);
    for message in ["GET / HTTP/1.1\r\n", &BODY[..BODY.len() - 1]] {
        let mut client = Client::connect(&engine);
        assert_eq!(client.try_send(message.as_bytes()), message.len());
        assert_eq!(client.response_while_blocked().status, 408);
    }
    let end = Instant::now() + Duration::from_secs(10);
    while !idle.has_ended() {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
}

#[test]
fn an_early_response_may_take_long_once_the_body_has_come() {
    let limits = Limits {
        discard_time: SHORT,
        ..Limits::from(Settings { header_timeout: SHORT * 2, ..Settings::default() })
    };
    let mut engine = small(limits);
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    let id = engine.request_to("/");
    engine.js.head(id, 200, "", CHUNKED);
    engine.js.data(id, &vec![b'x'; 900_000]);
    engine.js.notify(id);
    engine.js.end(id, true);
    engine.js.wake();
    client.send(&mut engine, "defghij");
    let_a_deadline_pass(&mut engine);
    assert_eq!(client.response(&mut engine).body.len(), 900_000);
    assert_eq!(client.ask(&mut engine, "BAD\r\n\r\n").status, 400);
    assert_eq!(engine.count(|event| *event == Event::Aborted(id)), 0);
}

#[test]
fn a_client_that_neither_reads_nor_closes_is_not_waited_for() {
    let limits = Limits::from(Settings { linger_timeout: SHORT, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "BAD\r\n\r\n");
    engine.until("the connection to close", |engine| {
        (engine.js.io.counters()[..3] == [0, 0, 1]).then_some(())
    });
    assert_eq!(client.response(&mut engine).status, 400);
}

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const BODY: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd";
const SIZE: usize = 1_000_000;

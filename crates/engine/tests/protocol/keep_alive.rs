//! How long a connection lives: keep-alive, pipelining, close.

use std::time::{Duration, Instant};

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{
    CLOSE, CONNECTION, Client, End, Engine, Event, LENGTH, SERVER_ID, echo, silent,
};

#[test]
fn a_connection_carries_one_request_after_the_other() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    for number in 0..5 {
        let request = format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n");
        let response = client.ask(&mut engine, request);
        assert_eq!((response.status, response.reason.as_str()), (200, "OK"));
        assert_eq!(response.field("Connection"), Some("keep-alive"));
        assert_eq!(response.field("Keep-Alive"), Some("timeout=75"));
        assert_eq!(response.text(), format!("GET /{number}\n"));
    }
    assert_eq!(engine.count(|event| matches!(event, Event::Connection { .. })), 1);
}

#[test]
fn javascript_is_notified_of_a_connection_before_its_first_request_and_of_its_end() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    let peer = client.address();
    client.ask(&mut engine, GET);
    let Event::Connection { id, server_id, remote, remote_port, local, local_port } =
        &engine.events[0]
    else {
        panic!("{:?}", engine.events);
    };
    assert_eq!((*server_id, remote.as_str(), *remote_port), (SERVER_ID, "127.0.0.1", peer.port()));
    assert_eq!((local.as_str(), *local_port), ("127.0.0.1", engine.address.port()));
    let id = *id;
    assert!(matches!(&engine.events[1], Event::Request(request) if request.connection == id));
    drop(client);
    engine.event("the end", |event| (*event == Event::ConnectionClosed(id)).then_some(()));
    assert_eq!(engine.events.len(), 3);
}

#[test]
fn a_connection_that_sends_nothing_is_not_reported() {
    let mut engine = Engine::new(echo());
    let client = Client::connect(&engine);
    engine.settle();
    drop(client);
    engine.settle();
    assert_eq!(engine.events, []);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    let requests = (0..50).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"));
    client.send(&mut engine, requests.collect::<Vec<_>>().concat());
    for number in 0..50 {
        assert_eq!(client.response(&mut engine).text(), format!("GET /{number}\n"));
    }
}

#[test]
fn the_next_pipelined_request_is_passed_when_the_first_is_answered() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(
        &mut engine,
        [GET, "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"].concat(),
    );
    let first = engine.request_to("/");
    engine.settle();
    assert_eq!(engine.received().len(), 1);
    engine.js.reply(first, "one");
    assert_eq!(client.response(&mut engine).text(), "one");
    let second = engine.requests(2)[1].clone();
    assert_eq!(second.body, b"abc");
    engine.js.reply(second.request.id, "two");
    assert_eq!(client.response(&mut engine).text(), "two");
}

#[test]
fn a_response_is_sent_in_its_turn_whatever_follows_its_request() {
    for following in [
        "GET /never HTTP/1.1\r\nHost: x\r\n\r\nGET /last HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /half HTTP/1.1\r\nHo",
        "G",
        "\r\n",
        "POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
    ] {
        let mut engine = Engine::new(Box::new(|js, event| match event {
            Event::Request(request) if request.target == "/" => js.reply(request.id, "first"),
            _ => {}
        }));
        let mut client = Client::connect(&engine);
        client.send(&mut engine, [GET, following].concat());
        assert_eq!(client.response(&mut engine).text(), "first", "{following:?}");
        if following.contains("/never") {
            let never = engine.request_to("/never");
            engine.settle();
            assert_eq!((client.available(), engine.received().len()), (0, 2));
            engine.js.reply(never, "after all");
            assert_eq!(client.response(&mut engine).text(), "after all");
            engine.request_to("/last");
        }
    }
}

#[test]
fn very_many_pipelined_requests_are_all_answered() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    let mut sent = 0;
    let all = GET.repeat(5_000);
    for _ in 0..5_000 {
        sent += client.try_send(&all.as_bytes()[sent..]);
        assert_eq!(client.response(&mut engine).text(), "GET /\n");
    }
    assert_eq!(sent, all.len());
}

#[test]
fn the_last_request_that_a_connection_may_carry_gets_connection_close() {
    let limits = Limits::from(Settings { limit_requests_per_connection: 3, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, echo());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET.repeat(5));
    for connection in ["keep-alive", "keep-alive", "close"] {
        let response = client.response(&mut engine);
        assert_eq!(response.field("Connection"), Some(connection));
    }
    assert_eq!(client.end(&mut engine), End::Closed);
    assert_eq!(engine.received().len(), 3);
}

#[test]
fn a_close_in_the_list_of_connection_ends_it_after_the_response() {
    for list in ["close", "Close", "keep-alive, close", "x ,\tcLoSe, y", ",close,"] {
        let mut engine = Engine::new(echo());
        let mut client = Client::connect(&engine);
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: {list}\r\n\r\n");
        let response = client.ask(&mut engine, request);
        assert_eq!(response.field("Connection"), Some("close"), "{list}");
        assert!(!engine.received()[0].request.keep_alive);
        assert_eq!(client.end(&mut engine), End::Closed);
    }
}

#[test]
fn a_complete_request_with_close_is_not_waited_for() {
    let limits =
        Limits::from(Settings { linger_timeout: Duration::from_secs(60), ..Settings::default() });
    let mut engine = Engine::with_limits(limits, echo());
    let closed =
        |engine: &Engine| engine.count(|event| matches!(event, Event::ConnectionClosed(_)));
    let mut client = Client::connect(&engine);
    client.ask(&mut engine, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // The client has not closed its side.
    engine.until("it is gone", |engine| (closed(engine) == 1).then_some(()));
    assert_eq!(client.end(&mut engine), End::Closed);
    // With more data after the request the connection lingers, or a reset would answer it.
    let mut talker = Client::connect(&engine);
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n";
    assert_eq!(talker.ask(&mut engine, request).status, 200);
    assert_eq!(talker.end(&mut engine), End::Closed);
    engine.settle();
    assert_eq!(closed(&engine), 1);
}

#[test]
fn what_only_looks_like_close_does_not_end_it() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    for list in ["closed", "xclose", "close-not", "upgrade"] {
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: {list}\r\n\r\n");
        let response = client.ask(&mut engine, request);
        assert_eq!(response.field("Connection"), Some("keep-alive"), "{list}");
    }
}

#[test]
fn requests_after_a_close_are_not_taken() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    client.send(
        &mut engine,
        ["GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", GET].concat(),
    );
    client.response(&mut engine);
    assert_eq!(client.end(&mut engine), End::Closed);
    assert_eq!(engine.received().len(), 1);
}

#[test]
fn http_1_0_closes_unless_it_asks_to_keep_alive() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    for _ in 0..2 {
        let response = client.ask(&mut engine, "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!(response.field("Connection"), Some("keep-alive"));
        assert_eq!(response.text(), "GET /a\n");
    }
    let response = client.ask(&mut engine, "GET /b HTTP/1.0\r\n\r\n");
    assert_eq!(response.field("Connection"), Some("close"));
    assert_eq!(client.end(&mut engine), End::Closed);
    let minors: Vec<_> = engine.received().iter().map(|each| each.request.minor).collect();
    assert_eq!(minors, [0, 0, 0]);
}

#[test]
fn what_is_no_list_of_tokens_keeps_nothing_and_may_close() {
    for (minor, list) in [(0, &b"keep-alive,\xcf"[..]), (1, b"\xcf, close")] {
        let mut engine = Engine::new(echo());
        let mut client = Client::connect(&engine);
        let head = format!("GET / HTTP/1.{minor}\r\nHost: x\r\nConnection: ");
        let response = client.ask(&mut engine, [head.as_bytes(), list, b"\r\n\r\n"].concat());
        assert_eq!(response.field("Connection"), Some("close"), "{list:?}");
        assert_eq!(client.end(&mut engine), End::Closed);
    }
}

#[test]
fn the_application_may_end_the_connection() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    engine.js.respond(id, 200, "", CONNECTION | LENGTH | CLOSE, b"bye");
    let response = client.response(&mut engine);
    assert_eq!((response.field("Connection"), response.text()), (Some("close"), "bye"));
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn without_keepalive_each_response_closes() {
    let limits = Limits::from(Settings { keepalive: Duration::ZERO, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, echo());
    let mut client = Client::connect(&engine);
    let response = client.ask(&mut engine, GET);
    assert_eq!(response.field("Connection"), Some("close"));
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn an_idle_connection_is_closed_after_keepalive() {
    let limits =
        Limits::from(Settings { keepalive: Duration::from_millis(300), ..Settings::default() });
    let mut engine = Engine::with_limits(limits, echo());
    let mut client = Client::connect(&engine);
    client.ask(&mut engine, GET);
    let answered = Instant::now();
    assert_eq!(client.end(&mut engine), End::Closed);
    let waited = answered.elapsed();
    assert!(waited >= Duration::from_millis(250) && waited < Duration::from_secs(3), "{waited:?}");
}

#[test]
fn a_request_in_flight_is_not_ended_by_keepalive() {
    let limits =
        Limits::from(Settings { keepalive: Duration::from_millis(100), ..Settings::default() });
    let mut engine = Engine::with_limits(limits, silent());
    let mut busy = Client::connect(&engine);
    busy.send(&mut engine, GET);
    let id = engine.request_to("/");
    // Another connection's end shows that deadlines have come up meanwhile.
    let mut idle = Client::connect(&engine);
    idle.send(&mut engine, "GET /idle HTTP/1.1\r\nHost: x\r\n\r\n");
    let other = engine.request_to("/idle");
    engine.js.reply(other, "");
    idle.response(&mut engine);
    assert_eq!(idle.end(&mut engine), End::Closed);
    engine.js.reply(id, "late");
    assert_eq!(busy.response(&mut engine).text(), "late");
}

#[test]
fn a_head_that_does_not_come_in_time_is_answered_408() {
    let limits = Limits::from(Settings {
        header_timeout: Duration::from_millis(300),
        ..Settings::default()
    });
    let mut engine = Engine::with_limits(limits, echo());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "GET / HTTP/1.1\r\nHost:");
    let response = client.response(&mut engine);
    assert_eq!((response.status, response.field("Connection")), (408, Some("close")));
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_connection_that_never_sends_is_closed_without_a_response() {
    let limits = Limits::from(Settings {
        header_timeout: Duration::from_millis(300),
        ..Settings::default()
    });
    let mut engine = Engine::with_limits(limits, echo());
    assert_eq!(Client::connect(&engine).end(&mut engine), End::Closed);
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

//! The end of an engine: draining, and stopping with work in flight.

use std::time::{Duration, Instant};

use monoceros_engine::pressure::limits::{IDLE_DRAIN_TIME, Limits};
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{CHUNKED, Client, End, Engine, Event, SERVER_ID, echo, silent};

#[test]
fn a_drain_without_connections_is_idle_at_once() {
    let mut engine = Engine::new(silent());
    engine.js.io.drain(IDLE_DRAIN_TIME);
    engine.event("idle", |event| (*event == Event::Idle).then_some(()));
}

#[test]
fn a_draining_engine_serves_late_requests_and_then_closes() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    let response = client.ask(&mut engine, GET);
    assert_eq!(response.field("Connection"), Some("keep-alive"));
    engine.js.io.drain(IDLE_DRAIN_TIME);
    let response = client.ask(&mut engine, GET);
    assert_eq!((response.status, response.field("Connection")), (200, Some("close")));
    assert_eq!(client.end(&mut engine), End::Closed);
    drop(client);
    engine.event("idle", |event| (*event == Event::Idle).then_some(()));
}

#[test]
fn a_draining_engine_finishes_the_request_in_flight_and_announces_close() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    engine.js.io.drain(IDLE_DRAIN_TIME);
    engine.js.reply(id, "last");
    let response = client.response(&mut engine);
    assert_eq!((response.text(), response.field("Connection")), ("last", Some("close")));
    assert_eq!(client.end(&mut engine), End::Closed);
    assert_eq!(engine.count(|event| *event == Event::Aborted(id)), 0);
}

#[test]
fn a_head_that_sends_keep_alive_by_itself_announces_close_in_a_drain() {
    let fields = "A: 1\r\nconnection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 4\r\n";
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    for (drains, expected) in [(false, ("Keep-Alive", Some("timeout=5"))), (true, ("close", None))]
    {
        client.send(&mut engine, GET);
        let id = engine.request_to("/");
        engine.events.clear();
        if drains {
            engine.js.io.drain(IDLE_DRAIN_TIME);
        }
        engine.js.respond(id, 200, fields, 0, b"text");
        engine.js.wake();
        let response = client.response(&mut engine);
        let connection = response.field("Connection").unwrap_or_default();
        assert_eq!((connection, response.field("Keep-Alive")), expected);
        assert_eq!((response.text(), response.field("A")), ("text", Some("1")));
    }
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_draining_engine_closes_idle_connections_after_a_while() {
    let mut engine = Engine::new(echo());
    let mut used = Client::connect(&engine);
    used.ask(&mut engine, GET);
    let mut unused = Client::connect(&engine);
    engine.settle();
    engine.js.io.drain(IDLE_DRAIN_TIME);
    let begun = Instant::now();
    assert_eq!(used.end(&mut engine), End::Closed);
    assert_eq!(unused.end(&mut engine), End::Closed);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
    drop((used, unused));
    engine.event("idle", |event| (*event == Event::Idle).then_some(()));
}

#[test]
fn idle_connections_are_kept_as_long_as_the_drain_sets_until_it_is_hastened() {
    let header_timeout = IDLE_DRAIN_TIME + Duration::from_millis(500);
    let limits = Limits::from(Settings { header_timeout, ..Settings::default() });
    let mut engine = Engine::with_limits(limits, echo());
    let mut late = Client::connect(&engine);
    late.ask(&mut engine, GET);
    let mut parked = Client::connect(&engine);
    parked.ask(&mut engine, GET);
    let mut slow = Client::connect(&engine);
    slow.send(&mut engine, "GET /slow HTTP/1.1\r\n");
    engine.settle();
    engine.js.io.drain(Duration::from_secs(60));
    // Idle connections must not be closed at the default time.
    assert_eq!(slow.response(&mut engine).status, 408);
    // A client that was held up for longer than a moment is answered all the same.
    assert_eq!(late.ask(&mut engine, GET).field("Connection"), Some("close"));
    assert_eq!(late.end(&mut engine), End::Closed);
    assert!(!parked.has_ended());
    engine.js.io.drain(Duration::from_millis(100));
    assert_eq!(parked.end(&mut engine), End::Closed);
    drop((late, parked, slow));
    engine.event("idle", |event| (*event == Event::Idle).then_some(()));
}

#[test]
fn idle_connections_of_a_server_can_be_closed_alone() {
    let mut engine = Engine::new(silent());
    let mut busy = Client::connect(&engine);
    busy.send(&mut engine, GET);
    let id = engine.request_to("/");
    let mut idle = Client::connect(&engine);
    engine.settle();
    engine.js.io.abort_connections(SERVER_ID, true);
    assert_eq!(idle.end(&mut engine), End::Closed);
    engine.js.reply(id, "served");
    assert_eq!(busy.response(&mut engine).text(), "served");
    engine.js.io.abort_connections(SERVER_ID, false);
    engine.until("the other ends too", |_| busy.has_ended().then_some(()));
}

#[test]
fn a_stopped_engine_has_sent_what_was_written() {
    let mut engine = Engine::new(silent());
    let mut clients: Vec<_> = (0..10).map(|_| Client::connect(&engine)).collect();
    for client in &mut clients {
        client.send(&mut engine, GET);
    }
    for received in engine.requests(10) {
        engine.js.reply(received.request.id, "written");
    }
    engine.js.io.stop();
    for client in &mut clients {
        assert_eq!(client.response(&mut engine).text(), "written");
    }
}

#[test]
fn an_engine_can_be_stopped_with_everything_in_flight() {
    let mut engine = Engine::new(silent());
    let mut clients: Vec<_> = (0..6).map(|_| Client::connect(&engine)).collect();
    let message = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd";
    for (length, client) in [0, 10, 47, 49, message.len()].into_iter().zip(&mut clients) {
        client.send(&mut engine, &message[..length]);
    }
    clients[5].send(&mut engine, GET);
    let received = engine.until("they cross", |engine| {
        let received = engine.received();
        (received.len() == 4).then_some(received)
    });
    let streaming = received[0].request.id;
    engine.js.head(streaming, 200, "", CHUNKED);
    engine.js.data(streaming, b"and so on");
    engine.js.io.stop();
    for client in &mut clients {
        engine.until("each client sees an end", |_| client.has_ended().then_some(()));
    }
    // What JavaScript does afterwards is harmless.
    engine.js.io.stop();
    engine.js.io.wake();
    engine.js.io.drain(IDLE_DRAIN_TIME);
    engine.run_javascript();
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

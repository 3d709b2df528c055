//! Idle connections free the memory that only requests need, and serve the next request as before.

use std::time::{Duration, Instant};

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::deadlines::let_a_deadline_pass;
use crate::harness::{Client, End, Engine, Event, echo};

const HEADER_TIMEOUT: Duration = Duration::from_millis(600);

/// Starts an engine that echoes requests and gives a head [`HEADER_TIMEOUT`].
fn start() -> Engine {
    let limits = Limits::from(Settings { header_timeout: HEADER_TIMEOUT, ..Settings::default() });
    Engine::with_limits(limits, echo())
}

#[test]
fn a_parked_connection_serves_as_before() {
    let mut engine = start();
    let mut client = Client::connect(&engine);
    for (number, message) in [
        "GET /0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
        "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "GET /3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let response = client.ask(&mut engine, message);
        assert!(response.text().contains(&format!(" /{number}\n")), "{:?}", response.text());
        let_a_deadline_pass(&mut engine);
    }
}

#[test]
fn javascript_cuts_a_parked_connection() {
    let mut engine = start();
    let mut client = Client::connect(&engine);
    client.ask(&mut engine, GET);
    let connection = engine.received()[0].request.connection;
    let_a_deadline_pass(&mut engine);
    engine.js.destroy(connection);
    assert_eq!(client.end(&mut engine), End::Closed);
    engine.event("the end", |event| (*event == Event::ConnectionClosed(connection)).then_some(()));
}

#[test]
fn a_connection_that_sends_nothing_is_found_while_others_are_served() {
    let header = HEADER_TIMEOUT;
    let mut engine = start();
    let mut used = Client::connect(&engine);
    used.ask(&mut engine, GET);
    // No thread is woken for this one.
    let mut silent = Client::connect(&engine);
    let begun = Instant::now();
    assert_eq!(silent.end(&mut engine), End::Closed);
    let took = begun.elapsed();
    assert!(took >= header && took < header + Duration::from_secs(2), "{took:?}");
    used.ask(&mut engine, GET);
}

#[test]
fn a_parked_connection_ends_in_its_time() {
    let (header, keepalive) = (Duration::from_millis(600), Duration::from_millis(900));
    let limits = Limits {
        keepalive_grace: Duration::ZERO,
        ..Limits::from(Settings { header_timeout: header, keepalive, ..Settings::default() })
    };
    let mut engine = Engine::with_limits(limits, echo());
    let mut silent = Client::connect(&engine);
    let mut used = Client::connect(&engine);
    let begun = Instant::now();
    used.ask(&mut engine, GET);
    assert_eq!(silent.end(&mut engine), End::Closed);
    assert!(begun.elapsed() >= header, "{:?}", begun.elapsed());
    assert_eq!(used.end(&mut engine), End::Closed);
    assert!(begun.elapsed() >= keepalive, "{:?}", begun.elapsed());
    assert!(begun.elapsed() < 4 * keepalive, "{:?}", begun.elapsed());
}

#[test]
fn a_head_in_pieces_has_its_time_though_the_connection_was_parked() {
    let mut engine = start();
    let mut client = Client::connect(&engine);
    client.ask(&mut engine, GET);
    let_a_deadline_pass(&mut engine);
    let begun = Instant::now();
    client.send(&mut engine, "GET / HTTP/1.1\r\n");
    assert_eq!(client.response(&mut engine).status, 408);
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

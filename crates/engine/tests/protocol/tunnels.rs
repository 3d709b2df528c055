//! Upgrade requests, CONNECT, and the bytes of a connection that JavaScript has taken over.

use std::time::{Duration, Instant};

use monoceros_engine::pressure::limits::{
    IDLE_DRAIN_TIME, Limits, MIN_WEBSOCKET_TIME, TUNNEL_CLOSE_TIME,
};
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{Client, End, Engine, Event, RequestBody, SMALL, Setup, echo, silent};

#[test]
fn the_application_responds_and_bytes_pass_both_ways() {
    let mut engine = Engine::new(silent());
    let (mut client, id) = tunnel(&mut engine, UPGRADE);
    engine.js.data(id, SWITCHING);
    engine.js.data(id, b"from the server");
    let expected = [SWITCHING, b"from the server"].concat();
    until_received(&mut engine, &mut client, &expected);
    client.send(&mut engine, "from the client");
    until_crossed(&mut engine, id, b"from the client");
    // HTTP is over: what looks like a request is none.
    client.send(&mut engine, "GET /later HTTP/1.1\r\n\r\n");
    until_crossed(&mut engine, id, b"from the clientGET /later HTTP/1.1\r\n\r\n");
    assert_eq!(engine.received().len(), 1);
}

#[test]
fn bytes_after_the_head_are_passed_with_the_request_and_once() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, [UPGRADE.as_bytes(), b"first"].concat());
    let id = engine.request_to("/up");
    client.send(&mut engine, "second");
    engine.settle();
    let request = engine.received().remove(0).request;
    assert!(request.upgrade);
    assert_eq!(&request.ahead[..], b"first");
    engine.js.tunnel(id, true);
    engine.js.wake();
    until_crossed(&mut engine, id, b"second");
}

#[test]
fn a_request_that_is_declined_is_an_ordinary_one() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    let next = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n";
    let body = "POST /body HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\
                Content-Length: 2\r\n\r\nok";
    client.send(&mut engine, [UPGRADE, body, next].concat());
    assert_eq!(client.response(&mut engine).text(), "GET /up\n");
    assert_eq!(client.response(&mut engine).text(), "POST /body\nok");
    assert_eq!(client.response(&mut engine).text(), "GET /next\n");
}

#[test]
fn a_client_that_has_ended_its_side_gets_the_response_to_a_declined_request_with_a_body() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    client.send(
        &mut engine,
        "POST /up HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\
         Content-Length: 2\r\n\r\nok",
    );
    client.half_close();
    assert_eq!(client.response(&mut engine).text(), "POST /up\nok");
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_body_belongs_to_the_tunnel_once_it_is_one() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let head = "POST /up HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\
                Content-Length: 9\r\n\r\n";
    client.send(&mut engine, [head, "body"].concat());
    let id = engine.request_to("/up");
    let request = engine.received().remove(0).request;
    assert_eq!((request.body, &request.ahead[..]), (RequestBody::Streams, &b"body"[..]));
    engine.js.tunnel(id, true);
    client.send(&mut engine, "and what follows");
    until_crossed(&mut engine, id, b"and what follows");
}

#[test]
fn connect_requests_an_upgrade_whatever_its_fields_say() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\nhello");
    let id = engine.request_to("a.example:443");
    let request = engine.received().remove(0).request;
    assert!(request.upgrade);
    assert_eq!((request.method.as_str(), &request.ahead[..]), ("CONNECT", &b"hello"[..]));
    engine.js.tunnel(id, true);
    engine.js.data(id, b"HTTP/1.1 200 OK\r\n\r\n");
    until_received(&mut engine, &mut client, b"HTTP/1.1 200 OK\r\n\r\n");
}

#[test]
fn the_client_ends_first_and_reads_on() {
    let mut engine = Engine::new(silent());
    let (mut client, id) = tunnel(&mut engine, UPGRADE);
    client.half_close();
    engine
        .event("the end of input", |event| (*event == Event::End(id, String::new())).then_some(()));
    engine.js.data(id, b"still");
    until_received(&mut engine, &mut client, b"still");
    engine.js.end(id, false);
    engine.js.wake();
    assert_eq!(client.end(&mut engine), End::Closed);
    engine.event("its end", |event| matches!(event, Event::ConnectionClosed(_)).then_some(()));
    assert_eq!(engine.count(|event| matches!(event, Event::Aborted(_))), 0);
    until_idle(&mut engine);
}

#[test]
fn our_side_ends_first_and_the_client_continues() {
    let mut engine = Engine::new(silent());
    let (mut client, id) = tunnel(&mut engine, UPGRADE);
    engine.js.data(id, b"last");
    engine.js.end(id, false);
    engine.js.notify(id);
    engine.js.wake();
    engine.event("it is sent", |event| (*event == Event::Drained(id)).then_some(()));
    until_received(&mut engine, &mut client, b"last");
    assert_eq!(client.end(&mut engine), End::Closed);
    client.send(&mut engine, "and back");
    until_crossed(&mut engine, id, b"and back");
    drop(client);
    until_idle(&mut engine);
}

#[test]
fn a_client_that_is_refused_does_not_stay_and_one_that_is_not_does() {
    let short = Duration::from_millis(300);
    let limits = Limits {
        discard_time: short,
        ..Limits::from(Settings { linger_timeout: short, ..Settings::default() })
    };
    let mut engine = Engine::with_limits(limits, silent());
    let (mut half, half_id) = tunnel(&mut engine, UPGRADE);
    engine.js.data(half_id, SWITCHING);
    engine.js.end(half_id, false);
    engine.js.wake();
    until_received(&mut engine, &mut half, SWITCHING);
    for answer in ["HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", ""] {
        // More than the other side reads, or nothing.
        for sent in [0, 300_000] {
            let (mut client, id) = tunnel(&mut engine, UPGRADE);
            engine.js.data(id, answer.as_bytes());
            engine.js.end(id, false);
            client.send(&mut engine, vec![b'x'; sent]);
            until_received(&mut engine, &mut client, answer.as_bytes());
            engine.aborted(id);
            engine.until("the connection to close", |engine| {
                (engine.js.io.counters()[..2] == [1, 1]).then_some(())
            });
        }
    }
    half.send(&mut engine, "continues");
    until_crossed(&mut engine, half_id, b"continues");
}

#[test]
fn a_client_that_resets_aborts_the_exchange_once() {
    let mut engine = Engine::new(silent());
    let (client, id) = tunnel(&mut engine, UPGRADE);
    client.reset();
    engine.aborted(id);
    until_idle(&mut engine);
    // Before JavaScript has decided: its decision then has no effect.
    let mut client = Client::connect(&engine);
    engine.events.clear();
    client.send(&mut engine, UPGRADE);
    let id = engine.request_to("/up");
    client.reset();
    engine.aborted(id);
    engine.js.tunnel(id, true);
    engine.js.data(id, SWITCHING);
    engine.settle();
    until_idle(&mut engine);
}

#[test]
fn javascript_that_reads_nothing_stops_the_client() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, UPGRADE);
    let id = engine.request_to("/up");
    engine.js.tunnel(id, true);
    engine.js.wake();
    let mut sent = 0;
    engine.until("the client is stopped", |engine| {
        let count = client.try_send(&[b'x'; 10_000]);
        sent += count;
        engine.settle();
        (count == 0).then_some(())
    });
    let crossed = crossed(&engine, id).len();
    assert_eq!(crossed, 65_536, "no more than the credit, of {sent} bytes");
    engine.js.credit(id, sent);
    engine.js.wake();
    until_crossed(&mut engine, id, &vec![b'x'; sent]);
}

#[test]
fn a_client_that_reads_nothing_is_reported_and_loses_nothing() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, UPGRADE);
    let id = engine.request_to("/up");
    engine.js.tunnel(id, true);
    let bytes: Vec<u8> = (0..40 * SMALL).map(|at| (at % 251) as u8).collect();
    engine.js.data(id, &bytes[..10_000]);
    engine.js.large(id, &bytes[10_000..]);
    engine.js.notify(id);
    engine.js.wake();
    engine.settle();
    assert_eq!(engine.count(|event| *event == Event::Drained(id)), 0);
    until_received(&mut engine, &mut client, &bytes);
    engine.event("it is sent", |event| (*event == Event::Drained(id)).then_some(()));
}

#[test]
fn a_drain_closes_a_websocket_between_two_frames() {
    let mut engine = Engine::new(silent());
    let (mut busy, busy_id) = tunnel(&mut engine, UPGRADE);
    // The first fragment of a message is on its way.
    engine.js.data(busy_id, &[SWITCHING, &[0x02, 4, b'a', b'b']].concat());
    engine.js.wake();
    until_received(&mut engine, &mut busy, &[SWITCHING, &[0x02, 4, b'a', b'b']].concat());
    let (mut quiet, quiet_id) = tunnel(&mut engine, UPGRADE);
    let accepted = Instant::now();
    engine.js.data(quiet_id, SWITCHING);
    engine.js.data(quiet_id, &[0x82, 2, b'a', b'b']);
    engine.js.wake();
    until_received(&mut engine, &mut quiet, &[SWITCHING, &[0x82, 2, b'a', b'b']].concat());
    engine.js.io.drain(IDLE_DRAIN_TIME);
    until_received(&mut engine, &mut quiet, RESTART);
    let age = accepted.elapsed();
    assert!((MIN_WEBSOCKET_TIME..TUNNEL_CLOSE_TIME).contains(&age), "it is closed at age {age:?}");
    engine.js.notify(busy_id);
    engine.js.wake();
    engine
        .event("the engine has turned", |event| (*event == Event::Drained(busy_id)).then_some(()));
    assert_eq!(busy.available(), 0, "a frame is in flight");
    engine.js.data(busy_id, &[b'c', b'd', 0x80, 1, b'e']);
    engine.js.wake();
    until_received(&mut engine, &mut busy, &[b"cd", RESTART].concat());
    // Bytes of the application after the close are dropped, its own close frame included.
    for id in [quiet_id, busy_id] {
        engine.js.data(id, &[0x81, 1, b'x']);
        engine.js.data(id, RESTART);
        engine.js.end(id, false);
    }
    for mut client in [quiet, busy] {
        assert_eq!(client.end(&mut engine), End::Closed);
        drop(client);
    }
    engine.event("no connection is left", |event| (*event == Event::Idle).then_some(()));
}

#[test]
fn a_drain_adds_nothing_to_a_close_of_the_application() {
    let mut engine = Engine::new(silent());
    let (mut client, id) = tunnel(&mut engine, UPGRADE);
    engine.js.data(id, &[SWITCHING, &[0x88, 2, 3, 0xe8]].concat());
    until_received(&mut engine, &mut client, &[SWITCHING, &[0x88, 2, 3, 0xe8]].concat());
    engine.js.io.drain(IDLE_DRAIN_TIME);
    engine.js.end(id, false);
    engine.js.wake();
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_drain_keeps_other_tunnels() {
    let mut engine = Engine::new(silent());
    let (mut client, id) = tunnel(&mut engine, UPGRADE);
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n";
    engine.js.data(id, answer);
    until_received(&mut engine, &mut client, answer);
    engine.js.io.drain(IDLE_DRAIN_TIME);
    engine.js.data(id, b"continues");
    until_received(&mut engine, &mut client, b"continues");
    client.send(&mut engine, "both ways");
    until_crossed(&mut engine, id, b"both ways");
}

/// A client whose request JavaScript has taken over.
fn tunnel(engine: &mut Engine, head: &str) -> (Client, u32) {
    let before = engine.received().len();
    let mut client = Client::connect(engine);
    client.send(engine, head);
    let id = engine.until("the request crosses", |engine| {
        engine.received().get(before).map(|received| received.request.id)
    });
    engine.js.tunnel(id, true);
    engine.js.wake();
    (client, id)
}

/// The client's bytes that have crossed.
fn crossed(engine: &Engine, id: u32) -> Vec<u8> {
    let mut all = Vec::new();
    for event in &engine.events {
        if let Event::Data(of, bytes) = event
            && *of == id
        {
            all.extend_from_slice(bytes);
        }
    }
    all
}

fn until_crossed(engine: &mut Engine, id: u32, bytes: &[u8]) {
    engine.until("the client's bytes cross", |engine| (crossed(engine, id) == bytes).then_some(()));
}

fn until_received(engine: &mut Engine, client: &mut Client, bytes: &[u8]) {
    let mut received = Vec::new();
    engine.until("the bytes come", |_| {
        received.extend(client.take());
        (received.len() >= bytes.len()).then_some(())
    });
    assert!(received == bytes, "{:?}", String::from_utf8_lossy(&received));
}

fn until_idle(engine: &mut Engine) {
    engine.until("nothing is in flight", |engine| {
        (engine.js.io.counters()[..2] == [0, 0]).then_some(())
    });
}

const UPGRADE: &str =
    "GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n";
/// Close, 1012.
const RESTART: &[u8] = &[0x88, 2, 0x03, 0xf4];

//! HTTP/2 floods: the attackers are disconnected, and other clients are served.

use std::time::{Duration, Instant};

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::harness::{
    Client, Engine, Event, OPENING, ask, block, echo, frame, get, http2_client, post, silent,
    until_closing, with_client, with_http2,
};

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[test]
fn floods_of_frames_that_bring_nothing_end_their_connection() {
    let ping = frame(6, 0, 0, &[0; 8]);
    let settings = frame(4, 0, 0, b"");
    let priority = frame(2, 0, 1, &[0, 0, 0, 0, 1]);
    let unknown = frame(0x42, 0, 0, b"");
    let crumb = frame(8, 0, 0, &[0, 0, 0, 1]);
    for idle in [ping, settings, priority, unknown, crumb] {
        let mut engine = limited(echo());
        let mut client = Client::connect(&engine);
        client.send(&mut engine, [OPENING, &idle.repeat(200)].concat());
        assert_calm(&mut engine, &mut client);
    }
}

#[test]
fn frames_that_are_no_flood_are_all_answered_however_many_come_at_once() {
    const COUNT: usize = 9_000;
    let mut engine = Engine::with_limits(with_http2(Limits::default()), echo());
    let mut client = Client::connect(&engine);
    let settings = frame(4, 0, 0, b"").repeat(COUNT);
    client.send(&mut engine, [OPENING, &settings].concat());
    let acknowledgement = frame(4, 1, 0, b"");
    let mut received = 0;
    engine.until("all are answered", |_| {
        received += client.take().len();
        (received >= COUNT * acknowledgement.len()).then_some(())
    });
}

#[test]
fn empty_pieces_of_a_body_end_its_connection() {
    let mut engine = limited(silent());
    let mut client = Client::connect(&engine);
    let head = frame(1, END_HEADERS, 1, &block(&[]));
    let empty = frame(0, 0, 1, b"");
    client.send(&mut engine, [OPENING, &head, &empty.repeat(200)].concat());
    assert_calm(&mut engine, &mut client);
}

#[test]
fn requests_that_are_taken_back_again_and_again_end_their_connection() {
    let mut engine = limited(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, OPENING);
    for round in 0..40 {
        let stream = round * 2 + 1;
        let head = frame(1, END_STREAM | END_HEADERS, stream, &block(&[]));
        let reset = frame(3, 0, stream, &[0, 0, 0, 8]);
        if !client.is_alive(&[head, reset].concat()) {
            break;
        }
        engine.run_javascript();
        // Spreads the resets over several reads of the connection.
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_calm(&mut engine, &mut client);
    let crossed = engine.received().len();
    assert!(crossed <= 21, "{crossed}");
}

#[test]
fn a_head_that_never_ends_ends_its_connection() {
    let mut engine = limited(silent());
    let mut client = Client::connect(&engine);
    let head = frame(1, END_STREAM, 1, &block(&[]));
    let more = frame(9, 0, 1, &block(&[("x", &"a".repeat(100))])[6..]);
    client.send(&mut engine, [OPENING, &head].concat());
    for _ in 0..10_000 {
        if !client.is_alive(&more) {
            break;
        }
    }
    client.rest(&mut engine);
}

#[test]
fn a_head_that_stops_in_the_middle_has_its_time() {
    let limits = Limits::from(Settings {
        header_timeout: Duration::from_millis(300),
        ..Settings::default()
    });
    let mut engine = Engine::with_limits(with_http2(limits), silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, [OPENING, &frame(1, END_STREAM, 1, &block(&[]))].concat());
    client.rest(&mut engine);
}

#[test]
fn fields_that_are_small_only_when_compressed_are_refused() {
    let mut engine = limited(echo());
    let mut client = Client::connect(&engine);
    // One field enters the table, and is then referenced by a single byte again and again.
    let mut bomb = block(&[]);
    bomb.extend_from_slice(&[0x40, 1, b'x', 100]);
    bomb.extend_from_slice(&[b'a'; 100]);
    bomb.extend_from_slice(&[0xbe; 16_000]);
    client.send(&mut engine, [OPENING, &frame(1, END_STREAM | END_HEADERS, 1, &bomb)].concat());
    client.rest(&mut engine);
    assert_eq!(engine.received().len(), 0);
}

#[test]
fn a_client_that_opens_no_window_is_reset_in_its_time() {
    let mut limits =
        Limits::from(Settings { write_timeout: Duration::from_millis(500), ..Settings::default() });
    limits.settings.keepalive = Duration::from_secs(20);
    let mut engine = Engine::with_limits(
        with_http2(limits),
        Box::new(|js, event| {
            if let Event::Request(request) = event {
                js.reply(request.id, vec![b'a'; 10_000]);
            }
        }),
    );
    let mut client = Client::connect(&engine);
    // The first window of a stream is one byte.
    let window = frame(4, 0, 0, &[0, 4, 0, 0, 0, 1]);
    let head = frame(1, END_STREAM | END_HEADERS, 1, &block(&[]));
    client.send(&mut engine, [OPENING, &window, &head].concat());
    let id = engine.request_to("/");
    engine.event("it is over", |event| (*event == Event::StreamClosed(id)).then_some(()));
}

#[test]
fn a_body_that_does_not_come_is_answered_408_and_a_response_that_does_not_504() {
    let mut limits =
        Limits::from(Settings { body_timeout: Duration::from_millis(300), ..Settings::default() });
    limits.settings.request_timeout = Duration::from_millis(300);
    let mut engine = Engine::with_limits(with_http2(limits), silent());
    let address = engine.address;
    let statuses = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            let mut ready = client.clone().ready().await.unwrap();
            let (response, _stream) = ready.send_request(post("/"), false).unwrap();
            let unanswered = ask(&client, get("/"), b"").await.status;
            (response.await.unwrap().status().as_u16(), unanswered)
        })
    });
    assert_eq!(statuses, (408, 504));
}

#[test]
fn an_idle_connection_is_notified_and_closed() {
    let limits =
        Limits::from(Settings { keepalive: Duration::from_millis(300), ..Settings::default() });
    let mut engine = Engine::with_limits(with_http2(limits), echo());
    let address = engine.address;
    let begun = Instant::now();
    with_client(&mut engine, move || {
        http2_client(address, async |client| {
            ask(&client, get("/"), b"").await;
            until_closing(&client).await;
        });
    });
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn limited(handler: crate::harness::Handler) -> Engine {
    let limits = with_http2(Limits::from(Settings {
        http2_max_idle_frames: 100,
        http2_max_resets: 20,
        ..Settings::default()
    }));
    Engine::with_limits(limits, handler)
}

/// Waits for the end of the connection; its last frame has the code `ENHANCE_YOUR_CALM`.
fn assert_calm(engine: &mut Engine, client: &mut Client) {
    let received = client.rest(engine);
    let goaway = received.windows(4).any(|bytes| bytes == [0, 0, 0, 11]);
    assert!(goaway, "{received:?}");
}

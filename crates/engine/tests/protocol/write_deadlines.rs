//! Deadlines of responses that a client reads slowly or not at all.

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::deadlines::{GET, SHORT, let_a_deadline_pass, small};
use crate::harness::{CHUNKED, CLOSE, CONNECTION, Client, End, Engine, Event, LENGTH, Setup};

#[test]
fn a_client_that_does_not_read_is_reset_and_javascript_is_notified() {
    let mut engine = small(Limits::from(Settings { write_timeout: SHORT, ..Settings::default() }));
    let (mut client, id) = send_request(&mut engine);
    stream_response(&mut engine, id);
    engine.aborted(id);
    engine.until("the client has read what came", |_| client.has_ended().then_some(()));
    client.take();
    assert_eq!(client.end(&mut engine), End::Reset);
}

#[test]
fn a_complete_response_that_no_client_reads_is_aborted_too() {
    let mut engine = small(Limits::from(Settings { write_timeout: SHORT, ..Settings::default() }));
    for close in [false, true] {
        let (_client, id) = send_request(&mut engine);
        let flags = if close { CLOSE } else { 0 };
        engine.js.respond(id, 200, "", CONNECTION | LENGTH | flags, &vec![b'x'; 900_000]);
        engine.js.wake();
        engine.until("the connection to close", |engine| {
            (engine.js.io.counters()[0] == 0).then_some(())
        });
        engine.events.clear();
    }
}

#[test]
fn a_client_that_requests_more_and_reads_nothing_is_aborted_too() {
    let limits = Limits::from(Settings { write_timeout: SHORT, ..Settings::default() });
    let setup = Setup { limits, small_buffers: true, ..Setup::default() };
    let answer = vec![b'x'; 60_000];
    let mut engine = Engine::start(
        setup,
        Box::new(move |js, event| {
            if let Event::Request(request) = event
                && request.target == "/"
            {
                js.respond(request.id, 200, "", CONNECTION | LENGTH, &answer);
            }
        }),
    );
    for last in ["", "GET /never HTTP/1.1\r\nHost: x\r\n\r\n", "GET /half HTTP/1.1\r\n"] {
        let mut clients: Vec<_> = (1..30).map(|_| Client::with_small_buffers(&engine)).collect();
        for (count, client) in clients.iter_mut().enumerate() {
            client.send(&mut engine, GET.repeat(count + 1) + last);
        }
        engine.until("they are served", |engine| (engine.received().len() >= 29).then_some(()));
        engine
            .until("the connections go", |engine| (engine.js.io.counters()[0] == 0).then_some(()));
        engine.events.clear();
    }
}

#[test]
fn a_client_that_reads_slowly_is_reset() {
    let limits = Limits {
        rate_grace: SHORT,
        ..Limits::from(Settings { write_min_rate: 50_000_000, ..Settings::default() })
    };
    let mut engine = small(limits);
    let (mut client, id) = send_request(&mut engine);
    stream_response(&mut engine, id);
    engine.until("it is given up", |engine| {
        client.skip(100);
        engine.events.contains(&Event::Aborted(id)).then_some(())
    });
}

#[test]
fn a_client_that_reads_everything_owes_nothing_while_javascript_is_silent() {
    let limits = Limits {
        rate_grace: SHORT,
        ..Limits::from(Settings {
            write_timeout: SHORT,
            header_timeout: SHORT * 2,
            ..Settings::default()
        })
    };
    let mut engine = small(limits);
    let (mut client, id) = send_request(&mut engine);
    engine.js.head(id, 200, "", CHUNKED);
    let mut read = 0;
    for _ in 0..2 {
        engine.js.data(id, &vec![b'x'; 300_000]);
        engine.js.wake();
        engine.until("it is read", |_| {
            read += client.skip(usize::MAX);
            (read >= 300_000).then_some(())
        });
        read -= 300_000;
        let_a_deadline_pass(&mut engine);
    }
    assert_eq!(engine.count(|event| matches!(event, Event::Aborted(_))), 0);
}

#[test]
fn a_slow_reader_of_a_whole_response_is_not_idle() {
    let limits = Limits::from(Settings {
        keepalive: SHORT,
        header_timeout: SHORT * 2,
        ..Settings::default()
    });
    let mut engine = small(limits);
    let (mut client, id) = send_request(&mut engine);
    engine.js.respond(id, 200, "", CONNECTION | LENGTH, &vec![b'x'; 500_000]);
    engine.js.wake();
    let_a_deadline_pass(&mut engine);
    assert_eq!(client.response(&mut engine).body.len(), 500_000);
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_request_after_responses_that_are_read_slowly_is_not_late() {
    let mut engine = small(Limits::from(Settings { header_timeout: SHORT, ..Settings::default() }));
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, GET.repeat(2) + "GET /half HTTP/1.1\r\n");
    for _ in 0..2 {
        let id = engine.request_to("/");
        engine.events.clear();
        engine.js.respond(id, 200, "", CONNECTION | LENGTH, &vec![b'x'; 500_000]);
        engine.js.wake();
        let_a_deadline_pass(&mut engine);
        let response = client.response(&mut engine);
        assert_eq!((response.status, response.body.len()), (200, 500_000));
    }
    assert_eq!(client.response(&mut engine).status, 408);
}

/// Sends a request whose client has small buffers. Returns the client and the id of the request.
fn send_request(engine: &mut Engine) -> (Client, u32) {
    let mut client = Client::with_small_buffers(engine);
    client.send(engine, GET);
    let id = engine.request_to("/");
    (client, id)
}

/// Begins a response with more bytes than the buffers hold, and requests a notification.
fn stream_response(engine: &mut Engine, id: u32) {
    engine.js.head(id, 200, "", CHUNKED);
    engine.js.data(id, &vec![b'x'; 900_000]);
    engine.js.notify(id);
    engine.js.wake();
}

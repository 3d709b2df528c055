//! Clients that disconnect, stop reading or stop sending, how JavaScript is notified, and aborts by
//! JavaScript.

use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::pressure::settings::Settings;

use crate::deadlines::{SHORT, let_a_deadline_pass};
use crate::harness::{
    CHUNKED, CONNECTION, Client, End, Engine, Event, LENGTH, Setup, echo, silent,
};

#[test]
fn a_client_that_closes_while_a_handler_is_pending_aborts_the_request() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    drop(client);
    engine.aborted(id);
    // Records for it from now on have no effect.
    engine.js.reply(id, "too late");
    engine.settle();
    assert_eq!(engine.count(|event| matches!(event, Event::ConnectionClosed(_))), 1);
}

#[test]
fn a_reset_while_a_handler_is_pending_aborts_the_request() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    client.reset();
    engine.aborted(id);
}

#[test]
fn a_client_that_sent_more_requests_before_it_closed_aborts_the_one_in_flight() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    client.send(&mut engine, GET);
    engine.settle();
    drop(client);
    engine.aborted(id);
    assert_eq!(engine.received().len(), 1);
}

#[test]
fn a_client_that_closes_in_the_middle_of_its_body_aborts_the_request() {
    let mut engine = Engine::new(silent());
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut client = Client::connect(&engine);
        client
            .send(&mut engine, format!("POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n5\r\nabc"));
        engine.until("its data crosses", |engine| {
            engine.received().last().is_some_and(|last| last.body.ends_with(b"abc")).then_some(())
        });
        let id = engine.received().last().unwrap().request.id;
        client.half_close();
        engine.aborted(id);
        assert!(!engine.received().last().unwrap().complete);
        engine.events.clear();
    }
}

#[test]
fn a_client_that_closes_in_the_middle_of_its_head_is_forgotten() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "GET / HTTP/1.1\r\nHo");
    engine.settle();
    client.half_close();
    assert_eq!(client.end(&mut engine), End::Closed);
    assert_eq!(engine.events, []);
}

#[test]
fn a_body_that_turns_bad_while_the_handler_reads_it_is_answered_400_and_aborted() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, [CHUNKED_HEAD, "3\r\nabc\r\n"].concat());
    let id = engine.request_to("/");
    client.send(&mut engine, "no size\r\n");
    let response = client.response(&mut engine);
    assert_eq!((response.status, response.field("Connection")), (400, Some("close")));
    assert_eq!(client.end(&mut engine), End::Closed);
    engine.aborted(id);
}

#[test]
fn a_body_that_turns_bad_after_the_response_head_cuts_the_response() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, [CHUNKED_HEAD, "3\r\nabc\r\n"].concat());
    let id = engine.request_to("/");
    engine.js.head(id, 200, "", CHUNKED);
    engine.js.data(id, b"half");
    engine.js.wake();
    engine.until("the half comes", |_| (client.available() > 50).then_some(()));
    client.send(&mut engine, "no size\r\n");
    engine.aborted(id);
    engine.until("the connection ends", |_| client.has_ended().then_some(()));
    let received = client.take();
    assert!(received.ends_with(b"half\r\n"), "{:?}", String::from_utf8_lossy(&received));
}

#[test]
fn a_client_that_half_closes_after_its_request_still_reads_a_quick_response() {
    let mut engine = Engine::new(echo());
    for _ in 0..20 {
        let mut client = Client::connect(&engine);
        client.send(&mut engine, GET);
        client.half_close();
        assert_eq!(client.response(&mut engine).text(), "GET /\n");
        assert_eq!(client.end(&mut engine), End::Closed);
    }
}

#[test]
fn a_client_that_half_closes_after_pipelined_requests_reads_all_quick_responses() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET.repeat(10));
    client.half_close();
    for _ in 0..10 {
        assert_eq!(client.response(&mut engine).text(), "GET /\n");
    }
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_client_that_half_closes_while_its_response_is_pending_aborts_the_request() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    client.half_close();
    engine.aborted(id);
    engine.until("the connection ends", |_| client.has_ended().then_some(()));
}

#[test]
fn a_client_that_half_closes_at_once_and_gets_no_response_aborts_the_request() {
    let mut engine = Engine::new(silent());
    for _ in 0..20 {
        let mut client = Client::connect(&engine);
        client.send(&mut engine, GET);
        client.half_close();
        let id = engine.request_to("/");
        // Nothing else happens that could make the engine check again.
        engine.event("the abort", |event| (*event == Event::Aborted(id)).then_some(()));
        engine.until("the connection ends", |_| client.has_ended().then_some(()));
        engine.events.clear();
    }
}

#[test]
fn a_client_that_half_closes_reads_late_responses_where_the_program_allows_that() {
    let settings = Settings { header_timeout: SHORT, ..Settings::default() };
    let limits = Limits { half_open: true, ..Limits::from(settings) };
    let mut engine = Engine::with_limits(limits, silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, format!("{GET}{}", GET.replace("GET /", "GET /two")));
    client.half_close();
    for path in ["/", "/two"] {
        let id = engine.request_to(path);
        // Long enough for the engine to close the connection, which it must not do.
        let_a_deadline_pass(&mut engine);
        engine.js.respond(id, 200, "", CONNECTION | LENGTH, path.as_bytes());
        engine.js.wake();
        assert_eq!(client.response(&mut engine).text(), path);
    }
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_client_that_half_closes_reads_the_rest_of_a_response_that_is_complete() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    engine.js.respond(id, 200, "", CONNECTION | LENGTH, &vec![b'x'; 300_000]);
    engine.js.wake();
    engine.until("it begins", |_| (client.available() > 0).then_some(()));
    client.half_close();
    assert_eq!(client.response(&mut engine).body.len(), 300_000);
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_client_that_half_closes_reads_a_response_that_was_given_at_once_and_waits_for_room() {
    // Whether the system takes each piece at once or not.
    for (small_buffers, piece) in [(true, 300_000), (false, 20_000)] {
        let setup = Setup { small_buffers, ..Setup::default() };
        let mut pieces = 10;
        let mut engine = Engine::start(
            setup,
            Box::new(move |js, event| {
                let id = match event {
                    Event::Request(request) => {
                        let length = format!("Content-Length: {}\r\n", 10 * piece);
                        js.head(request.id, 200, &length, CONNECTION);
                        request.id
                    }
                    Event::Drained(id) => *id,
                    _ => return,
                };
                pieces -= 1;
                js.large(id, vec![b'x'; piece]);
                if pieces == 0 { js.end(id, false) } else { js.notify(id) }
            }),
        );
        let mut client = Client::with_small_buffers(&engine);
        client.send(&mut engine, GET);
        client.half_close();
        assert_eq!(client.response(&mut engine).body.len(), 10 * piece);
        assert_eq!(client.end(&mut engine), End::Closed);
    }
}

#[test]
fn a_client_that_does_not_read_gets_no_further_requests_taken() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(
        setup,
        Box::new(|js, event| {
            if let Event::Request(request) = event {
                js.respond(request.id, 200, "", CONNECTION | LENGTH, &vec![b'x'; 50_000]);
            }
        }),
    );
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, GET.repeat(100));
    let mut taken = 0;
    engine.until("no more is taken", |engine| {
        let before = std::mem::replace(&mut taken, engine.received().len());
        for _ in 0..3 {
            engine.settle();
        }
        (before == engine.received().len()).then_some(())
    });
    // The kernel's buffers, the write queue (64 KiB and one response), one request in flight.
    assert!(taken < 20, "{taken} answers were made for a client that reads none");
    for _ in 0..100 {
        assert_eq!(client.response(&mut engine).body.len(), 50_000);
    }
}

#[test]
fn a_client_that_sends_requests_without_end_is_not_read_without_end() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    let more = GET.repeat(20_000);
    let (mut sent, mut quiet) = (0, 0);
    while quiet < 5 {
        let count = client.try_send(&more.as_bytes()[sent..]);
        sent += count;
        quiet = if count == 0 { quiet + 1 } else { 0 };
        engine.settle();
    }
    // 64 KiB ahead, one read beyond it, and the kernel's few.
    assert!(sent < 300_000, "{sent} bytes were read after a request in flight");
    assert_eq!(engine.received().len(), 1);
    engine.js.reply(id, "first");
    assert_eq!(client.response(&mut engine).text(), "first");
}

#[test]
fn javascript_is_notified_when_everything_it_wrote_has_been_sent() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    engine.js.head(id, 200, "", CHUNKED);
    for _ in 0..20 {
        engine.js.data(id, &[b'x'; 15_000]);
    }
    engine.js.notify(id);
    engine.js.wake();
    engine.until("it begins", |_| (client.available() > 0).then_some(()));
    engine.settle();
    assert_eq!(engine.count(|event| *event == Event::Drained(id)), 0);
    engine.until("the event", |engine| {
        client.available();
        engine.events.contains(&Event::Drained(id)).then_some(())
    });
    engine.js.data(id, b"more");
    engine.js.notify(id);
    engine.js.end(id, true);
    engine.js.wake();
    assert_eq!(client.response(&mut engine).body.len(), 300_004);
    engine.until("the second event", |engine| {
        (engine.count(|event| *event == Event::Drained(id)) == 2).then_some(())
    });
    assert_eq!(engine.count(|event| *event == Event::Aborted(id)), 0);
}

#[test]
fn a_ping_after_the_end_is_answered_too() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    engine.js.reply(id, "done");
    engine.js.wake();
    assert_eq!(client.response(&mut engine).text(), "done");
    engine.js.notify(id);
    engine.event("the answer", |event| (*event == Event::Drained(id)).then_some(()));
}

#[test]
fn javascript_that_waits_for_its_response_to_be_sent_is_notified_of_an_abort() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    engine.js.head(id, 200, "", CHUNKED);
    engine.js.data(id, &vec![b'x'; 900_000]);
    engine.js.notify(id);
    engine.js.end(id, true);
    engine.js.wake();
    engine.until("it begins", |_| (client.skip(1_000) > 0).then_some(()));
    client.reset();
    engine.event("the abort", |event| (*event == Event::Aborted(id)).then_some(()));
}

#[test]
fn a_reset_is_noticed_though_no_client_reads() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, CHUNKED_HEAD);
    let id = engine.request_to("/");
    let piece = vec![b'x'; 65_536];
    client.send(&mut engine, format!("{:x}\r\n", 1_000 * piece.len()));
    // JavaScript gives no credit: what the kernels have room for is taken, and then nothing.
    let mut still = 0;
    engine.until("nothing more is taken", |_| {
        still = if client.try_send(&piece) > 0 { 0 } else { still + 1 };
        (still > 20).then_some(())
    });
    client.reset();
    engine.aborted(id);
}

#[test]
fn javascript_may_destroy_a_connection() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, GET);
    let id = engine.request_to("/");
    let connection = engine.received()[0].request.connection;
    engine.js.destroy(connection);
    engine.js.wake();
    engine.until("the connection ends", |_| client.has_ended().then_some(()));
    engine.aborted(id);
    engine.event("its end", |event| (*event == Event::ConnectionClosed(connection)).then_some(()));
    // The id of a closed connection belongs to no other.
    let mut other = Client::connect(&engine);
    other.send(&mut engine, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
    let id = engine.request_to("/other");
    engine.js.destroy(connection);
    engine.js.reply(id, "alive");
    assert_eq!(other.response(&mut engine).text(), "alive");
}

#[test]
fn counters_return_to_nothing_in_flight() {
    let mut engine = Engine::new(silent());
    for number in 0..10 {
        let mut client = Client::connect(&engine);
        let target = format!("/{number}");
        client.send(&mut engine, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let id = engine.request_to(&target);
        match number % 3 {
            0 => client.reset(),
            1 => drop(client),
            _ => {
                engine.js.reply(id, "");
                client.response(&mut engine);
            }
        }
    }
    engine.until("nothing is left", |engine| {
        let [connections, busy, ..] = engine.js.io.counters();
        (connections == 0 && busy == 0).then_some(())
    });
    assert_eq!(engine.js.io.counters()[2], 10);
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const CHUNKED_HEAD: &str = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

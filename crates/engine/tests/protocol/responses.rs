//! The framing of responses, and the fields that the engine adds to their heads.

use std::sync::Arc;

use monoceros_engine::buffers::borrowed::ReturnedBuffers;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::harness::{
    CHUNKED, CHUNKED_SILENT, CLOSE, CONNECTION, Client, DATE, End, Engine, Event, LENGTH, NO_BODY,
    Setup, silent,
};

/// Waits until a request is in flight and returns its id.
fn asked(engine: &mut Engine, client: &mut Client, method: &str) -> u32 {
    let before = engine.received().len();
    client.send(engine, format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n"));
    engine.requests(before + 1)[before].request.id
}

#[test]
fn fields_go_out_as_given_and_added_ones_follow() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    let fields = "X-a: 1\r\nx-A: 2\r\nset-cookie: c\r\n";
    engine.js.respond(id, 201, fields, DATE | CONNECTION | LENGTH, b"hello");
    let response = client.response(&mut engine);
    assert_eq!((response.status, response.reason.as_str()), (201, "Created"));
    let names: Vec<_> = response.fields.iter().map(|(name, _)| name.as_str()).collect();
    let added = ["Date", "Connection", "Keep-Alive", "Content-Length"];
    assert_eq!(names, [&["X-a", "x-A", "set-cookie"], &added[..]].concat());
    let date = response.field("Date").unwrap();
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    assert_eq!(response.text(), "hello");
}

#[test]
fn a_reason_of_the_application_replaces_the_usual_one() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    for reason in ["Fine by me", ""] {
        let id = asked(&mut engine, &mut client, "GET");
        engine.js.head_with_reason(id, 200, reason, CHUNKED);
        engine.js.end(id, true);
        assert_eq!(client.response(&mut engine).reason, reason);
    }
}

#[test]
fn a_response_to_head_has_a_length_and_no_body() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    for _ in 0..2 {
        let id = asked(&mut engine, &mut client, "HEAD");
        engine.js.respond(id, 200, "", CONNECTION | LENGTH | NO_BODY, b"twelve bytes");
        let response = client.response_to_head(&mut engine);
        assert_eq!(response.field("Content-Length"), Some("12"));
    }
}

#[test]
fn responses_without_body_send_none_whatever_is_written() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    for status in [204, 304] {
        let id = asked(&mut engine, &mut client, "GET");
        engine.js.head(id, status, "", CONNECTION | NO_BODY);
        engine.js.data(id, b"lost");
        engine.js.large(id, vec![b'x'; 50_000]);
        engine.js.end(id, true);
        assert_eq!(client.response(&mut engine).status, status);
    }
    let id = asked(&mut engine, &mut client, "HEAD");
    engine.js.head(id, 200, "", CONNECTION | CHUNKED | NO_BODY);
    engine.js.data(id, b"lost");
    engine.js.trailers(id, "A: b\r\n");
    engine.js.end(id, true);
    let response = client.response_to_head(&mut engine);
    assert_eq!(response.field("Transfer-Encoding"), Some("chunked"));
    let id = asked(&mut engine, &mut client, "GET");
    engine.js.reply(id, "next");
    assert_eq!(client.response(&mut engine).text(), "next");
}

#[test]
fn chunks_leave_as_they_are_written_and_trailers_follow() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    engine.js.head(id, 200, "Trailer: A\r\n", CHUNKED);
    engine.js.data(id, b"one");
    engine.js.wake();
    engine.until("the first chunk comes", |_| (client.available() > 60).then_some(()));
    engine.js.data(id, b"");
    engine.js.data(id, b"three");
    engine.js.trailers(id, "A: 1\r\n");
    engine.js.trailers(id, "B: 2\r\n");
    engine.js.end(id, true);
    let response = client.response(&mut engine);
    assert_eq!(response.chunks, [3, 5]);
    assert_eq!(response.text(), "onethree");
    assert_eq!(response.trailers, [("A", "1"), ("B", "2")].map(|(a, b)| (a.into(), b.into())));
}

#[test]
fn a_framing_field_of_the_application_is_not_repeated() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    engine.js.head(id, 200, "transfer-encoding: chunked\r\n", CHUNKED_SILENT);
    engine.js.data(id, b"body");
    engine.js.end(id, true);
    // Response::field checks that it occurs once.
    assert_eq!(client.response(&mut engine).text(), "body");
}

#[test]
fn a_response_without_framing_ends_with_the_connection() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    engine.js.head(id, 200, "", CONNECTION | CLOSE);
    engine.js.data(id, b"until ");
    engine.js.data(id, b"the end");
    engine.js.end(id, true);
    assert_eq!(client.response(&mut engine).text(), "until the end");
    assert_eq!(client.end(&mut engine), End::Closed);
}

#[test]
fn a_client_of_http_1_0_gets_no_interim_response() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    let id = engine.request_to("/");
    engine.js.inform(id, 103, "Link: </a.css>; rel=preload\r\n");
    engine.js.reply(id, "final");
    assert_eq!(client.response(&mut engine).status, 200);
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    engine.js.inform(id, 102, "");
    engine.js.inform(id, 103, "Link: </a.css>; rel=preload\r\n");
    engine.js.reply(id, "done");
    engine.js.inform(id, 103, "");
    let interim = [client.response(&mut engine), client.response(&mut engine)];
    assert_eq!(interim.each_ref().map(|each| each.status), [102, 103]);
    assert_eq!(interim[1].field("Link"), Some("</a.css>; rel=preload"));
    assert_eq!(client.response(&mut engine).text(), "done");
    engine.settle();
    assert_eq!(client.available(), 0);
}

#[test]
fn what_follows_the_end_is_ignored() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    engine.js.reply(id, "one");
    engine.js.data(id, b"more");
    engine.js.head(id, 500, "", CHUNKED);
    engine.js.reply(id, "two");
    engine.js.end(id, true);
    assert_eq!(client.response(&mut engine).text(), "one");
    let next = asked(&mut engine, &mut client, "GET");
    engine.js.data(id, b"of the one before");
    engine.js.reply(next, "next");
    assert_eq!(client.response(&mut engine).text(), "next");
}

#[test]
fn an_end_without_a_head_cuts_the_connection() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    engine.js.end(id, true);
    client.end(&mut engine);
}

#[test]
fn a_reset_cuts_the_connection_in_the_middle_of_a_response() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    engine.js.head(id, 200, "", CHUNKED);
    engine.js.data(id, b"half");
    engine.js.wake();
    engine.until("the first half comes", |_| (client.available() > 50).then_some(()));
    engine.js.reset(id);
    engine.until("the connection ends", |_| client.has_ended().then_some(()));
    let received = client.take();
    assert!(!received.ends_with(b"0\r\n\r\n"), "a truncated response looks complete");
    engine.aborted(id);
}

#[test]
fn a_response_that_is_complete_is_sent_before_a_reset_or_destroy() {
    let mut engine = Engine::new(silent());
    for destroys in [false, true] {
        let mut client = Client::connect(&engine);
        let id = asked(&mut engine, &mut client, "GET");
        let connection = engine.received().last().unwrap().request.connection;
        engine.js.reply(id, "last words");
        if destroys {
            engine.js.destroy(connection);
        } else {
            engine.js.reset(id);
        }
        assert_eq!(client.response(&mut engine).text(), "last words");
        assert_eq!(client.end(&mut engine), End::Closed);
    }
}

#[test]
fn large_pieces_keep_their_order_among_small_ones() {
    let mut engine = Engine::new(silent());
    let mut client = Client::connect(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    let mut expected = Vec::new();
    engine.js.head(id, 200, "", CHUNKED);
    for number in 0..20u8 {
        let large = vec![number; 5_000 * usize::from(number) + 1];
        expected.extend_from_slice(&large);
        engine.js.large(id, large);
        expected.push(b'-');
        engine.js.data(id, b"-");
    }
    engine.js.end(id, true);
    assert!(client.response(&mut engine).body == expected);
}

#[test]
fn large_pieces_without_chunks_arrive_whole_however_slowly_they_are_read() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    let body: Vec<u8> = (0..400_000u32).map(|at| (at / 7) as u8).collect();
    engine.js.head_with_length(id, 200, "", CONNECTION | LENGTH, body.len() as u32);
    // Each piece comes when a part of the one before is on its way.
    for (number, piece) in body.chunks(40_000).enumerate() {
        engine.js.large(id, piece);
        engine.js.wake();
        let enough = number * 40_000 + 10_000;
        engine.until("a part arrives", |_| (client.available() > enough).then_some(()));
    }
    engine.js.end(id, true);
    assert!(client.response(&mut engine).body == body);
}

#[test]
fn a_small_ring_carries_responses_of_any_length() {
    let setup = Setup { ring_bytes: 1 << 15, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::connect(&engine);
    let mut expected = Vec::new();
    let id = asked(&mut engine, &mut client, "GET");
    engine.js.head(id, 200, "", CHUNKED);
    for number in 0..2_000usize {
        let piece = vec![b'a' + (number % 26) as u8; 1 + number * 37 % 999];
        engine.js.data(id, &piece);
        expected.extend_from_slice(&piece);
    }
    engine.js.end(id, true);
    assert!(client.response(&mut engine).body == expected);
}

#[test]
fn a_response_is_sent_while_a_handler_holds_javascript() {
    let (read, is_read) = mpsc::channel();
    let mut engine = Engine::new(Box::new(move |js, event| {
        if let Event::Request(request) = event {
            // Neither a wake nor the end of the batch: the I/O thread has to look by itself.
            js.reply(request.id, "quick");
            is_read.recv_timeout(Duration::from_secs(5)).expect("the client has its answer");
        }
    }));
    let mut client = TcpStream::connect(engine.address).unwrap();
    let reader = thread::spawn(move || {
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 512];
        let count = client.read(&mut answer).unwrap();
        read.send(()).unwrap();
        assert!(answer[..count].ends_with(b"quick"));
    });
    engine.request_to("/");
    reader.join().unwrap();
}

/// Bytes that JavaScript lends; they record when they are dropped.
struct BorrowedBuffer(Vec<u8>, Arc<ReturnedBuffers>);

impl AsRef<[u8]> for BorrowedBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for BorrowedBuffer {
    fn drop(&mut self) {
        self.1.push(self.0.len());
    }
}

#[test]
fn lent_memory_is_sent_from_where_it_is_and_comes_back() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    let body: Vec<u8> = (0..3_000_000u32).map(|at| (at / 7) as u8).collect();
    let returned = engine.js.io.returned_buffers();
    engine.js.head_with_length(id, 200, "", CONNECTION | LENGTH, body.len() as u32);
    engine.js.data(id, &body[..1_000]);
    engine.js.lend(id, BorrowedBuffer(body[1_000..].to_vec(), returned.clone()));
    engine.js.notify(id);
    engine.js.end(id, true);
    assert!(client.response(&mut engine).body == body);
    assert_eq!(engine.until("it comes back", |_| returned.take().pop()), body.len() - 1_000);
}

#[test]
fn lent_memory_comes_back_when_its_client_closes() {
    let setup = Setup { small_buffers: true, ..Setup::default() };
    let mut engine = Engine::start(setup, silent());
    let mut client = Client::with_small_buffers(&engine);
    let id = asked(&mut engine, &mut client, "GET");
    let returned = engine.js.io.returned_buffers();
    engine.js.head_with_length(id, 200, "", CONNECTION | LENGTH, 3_000_000);
    engine.js.lend(id, BorrowedBuffer(vec![b'x'; 3_000_000], returned.clone()));
    engine.js.notify(id);
    engine.js.end(id, true);
    engine.until("a part arrives", |_| (client.available() > 10_000).then_some(()));
    assert!(returned.take().is_empty());
    client.reset();
    engine.aborted(id);
    assert_eq!(engine.until("it comes back", |_| returned.take().pop()), 3_000_000);
}

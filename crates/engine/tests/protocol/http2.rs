//! HTTP/2: the same exchanges, streams instead of connections.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::ext::Protocol;
use http::{HeaderMap, HeaderValue, Request};
use monoceros_engine::pressure::limits::{Cleartext, IDLE_DRAIN_TIME, Limits};
use monoceros_engine::pressure::settings::Settings;
use tokio::sync::oneshot;

use crate::harness::{
    Answer, CONNECTION, Client, DATE, Engine, Event, Handler, LENGTH, OPENING, ask, block, echo,
    frame, get, http2_client, pattern, post, silent, when_complete, with_client, with_http2,
};

#[test]
fn streams_are_answered_whichever_is_ready_first() {
    let mut engine = http2(silent());
    let address = engine.address;
    let client = std::thread::spawn(move || {
        http2_client(address, async |client| {
            let other = client.clone();
            let second = tokio::spawn(async move { ask(&other, get("/second"), b"").await });
            let first = ask(&client, get("/first"), b"").await;
            [first.text().to_owned(), second.await.unwrap().text().to_owned()]
        })
    });
    let (first, second) = (engine.request_to("/first"), engine.request_to("/second"));
    engine.js.reply(second, "2");
    engine.event("it is over", |event| (*event == Event::StreamClosed(second)).then_some(()));
    engine.js.reply(first, "1");
    engine.until("the client ends", |_| client.is_finished().then_some(()));
    assert_eq!(client.join().unwrap(), ["1", "2"]);
}

#[test]
fn the_application_sees_what_http_1_would_have_reported() {
    let mut engine = http2(echo());
    let address = engine.address;
    let answer = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            let request = Request::get("http://a.example:81/x?y")
                .header("cookie", "a=1")
                .header("x-one", "1")
                .header("cookie", "b=2")
                .body(())
                .unwrap();
            ask(&client, request, b"").await
        })
    });
    assert_eq!((answer.status, answer.text()), (200, "GET /x?y\n"));
    let request = engine.received().remove(0).request;
    assert_eq!((request.minor, request.keep_alive), (1, true));
    let expected = [("host", "a.example:81"), ("cookie", "a=1; b=2"), ("x-one", "1")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(request.fields, expected);
}

#[test]
fn a_response_has_no_fields_of_a_connection() {
    let mut engine = http2(when_complete(|js, received| {
        let fields = "X-A: 1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n";
        js.respond(received.request.id, 200, fields, DATE | CONNECTION | LENGTH | 32, b"ok");
    }));
    let address = engine.address;
    let answers = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            // `close` is the word of one exchange, and the connection has others.
            [ask(&client, get("/"), b"").await, ask(&client, get("/"), b"").await]
        })
    });
    for answer in answers {
        let names: Vec<_> = answer.fields.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["x-a", "date", "content-length"]);
        assert_eq!(answer.field("content-length"), Some("2"));
    }
}

#[test]
fn trailers_and_interim_responses_come_through() {
    let mut engine = http2(when_complete(|js, received| {
        let id = received.request.id;
        js.inform(id, 103, "Link: </a>\r\n");
        js.head(id, 200, "", 0);
        js.data(id, received.trailers.as_bytes());
        js.trailers(id, "X-Out: 2\r\n");
        js.end(id, false);
    }));
    let address = engine.address;
    let (interim, answer) = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            let mut client = client.ready().await.unwrap();
            let (mut response, mut stream) = client.send_request(post("/"), false).unwrap();
            stream.send_data(Bytes::from_static(b"body"), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-in", HeaderValue::from_static("1"));
            stream.send_trailers(trailers).unwrap();
            let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await;
            (interim.unwrap().unwrap().status(), Answer::read(response.await.unwrap()).await)
        })
    });
    assert_eq!((interim.as_u16(), answer.text()), (103, "x-in: 1\r\n"));
    assert_eq!(answer.trailers.unwrap()["x-out"], "2");
}

#[test]
fn a_client_that_resets_a_stream_aborts_its_request_and_no_other() {
    let mut engine = http2(silent());
    let address = engine.address;
    let (release, released) = oneshot::channel();
    let client = std::thread::spawn(move || {
        http2_client(address, async |client| {
            let (mut gone, mut stays) = (client.clone().ready().await.unwrap(), client);
            let (response, mut stream) = gone.send_request(post("/gone"), false).unwrap();
            let stayed = stays.send_request(get("/stays"), true).unwrap().0;
            released.await.unwrap();
            stream.send_reset(Reason::CANCEL);
            drop(response);
            Answer::read(stayed.await.unwrap()).await
        })
    });
    let (gone, stays) = (engine.request_to("/gone"), engine.request_to("/stays"));
    release.send(()).unwrap();
    engine.aborted(gone);
    engine.event("it is over", |event| (*event == Event::StreamClosed(gone)).then_some(()));
    engine.js.reply(stays, "here");
    engine.until("the client ends", |_| client.is_finished().then_some(()));
    assert_eq!(client.join().unwrap().text(), "here");
}

#[test]
fn a_refusal_is_the_response_of_its_stream_alone() {
    let mut limits = Limits::from(Settings {
        limit_request_body: 1_000,
        limit_request_line: 100,
        ..Settings::default()
    });
    limits.settings.limit_request_fields = 10;
    let mut engine = Engine::with_limits(with_http2(limits), echo());
    let address = engine.address;
    let statuses = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            let long = get(&format!("/{}", "a".repeat(200)));
            let mut many = get("/");
            for number in 0..20 {
                let name: http::HeaderName = format!("x-{number}").parse().unwrap();
                many.headers_mut().insert(name, HeaderValue::from_static("1"));
            }
            let mut contradicting = get("/");
            contradicting.headers_mut().insert("host", HeaderValue::from_static("y"));
            let mut spaced = get("/");
            spaced.headers_mut().insert("x", HeaderValue::from_static(" 1"));
            let body = pattern(2_000);
            [
                ask(&client, long, b"").await.status,
                ask(&client, many, b"").await.status,
                ask(&client, contradicting, b"").await.status,
                ask(&client, spaced, b"").await.status,
                ask(&client, post("/"), &body).await.status,
                ask(&client, get("/"), b"").await.status,
            ]
        })
    });
    assert_eq!(statuses, [414, 431, 400, 400, 413, 200]);
}

#[test]
fn more_requests_than_the_worker_may_have_in_flight_are_refused() {
    let limits = Limits::from(Settings { worker_connections: 1, ..Settings::default() });
    let mut engine = Engine::with_limits(with_http2(limits), silent());
    let address = engine.address;
    let (report, refused) = std::sync::mpsc::channel();
    let client = std::thread::spawn(move || {
        http2_client(address, async |client| {
            let mut other = client.clone().ready().await.unwrap();
            let first = other.send_request(get("/first"), true).unwrap().0;
            report.send(ask(&client, get("/second"), b"").await.status).unwrap();
            first.await.unwrap().status().as_u16()
        })
    });
    let first = engine.request_to("/first");
    assert_eq!(engine.until("the second is refused", |_| refused.try_recv().ok()), 503);
    engine.js.reply(first, "");
    engine.until("the client ends", |_| client.is_finished().then_some(()));
    assert_eq!(client.join().unwrap(), 200);
}

#[test]
fn a_body_that_does_not_come_is_evicted_where_no_more_requests_may_be_in_flight() {
    let limits = Limits::from(Settings { worker_connections: 1, ..Settings::default() });
    let mut engine = Engine::with_limits(with_http2(limits), silent());
    let address = engine.address;
    let late = std::thread::spawn(move || {
        http2_client(address, async |client| {
            let mut client = client.ready().await.unwrap();
            // Its sending half keeps the body open.
            let (answer, _body) = client.send_request(post("/late"), false).unwrap();
            answer.await.unwrap().status().as_u16()
        })
    });
    engine.request_to("/late");
    let other = std::thread::spawn(move || {
        http2_client(address, async |client| {
            let mut statuses = Vec::new();
            while statuses.last() != Some(&200) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                statuses.push(ask(&client, get("/other"), b"").await.status);
            }
            statuses
        })
    });
    let id = engine.request_to("/other");
    engine.js.reply(id, "");
    engine.until("both end", |_| (late.is_finished() && other.is_finished()).then_some(()));
    assert_eq!(late.join().unwrap(), 408);
    assert_eq!(other.join().unwrap()[0], 503, "it is not late at once");
}

#[test]
fn a_drain_completes_what_is_in_flight_and_ends_the_connection() {
    let mut engine = http2(silent());
    let address = engine.address;
    let client = std::thread::spawn(move || {
        http2_client(address, async |client| {
            let answer = ask(&client, get("/"), b"").await;
            // GOAWAY announces that no further request is accepted.
            let ended = client.ready().await.is_err();
            (answer.text().to_owned(), ended)
        })
    });
    let id = engine.request_to("/");
    engine.js.io.drain(IDLE_DRAIN_TIME);
    engine.js.reply(id, "last");
    engine.event("idle", |event| (*event == Event::Idle).then_some(()));
    engine.until("the client ends", |_| client.is_finished().then_some(()));
    assert_eq!(client.join().unwrap(), ("last".to_owned(), true));
    assert_eq!(engine.count(|event| *event == Event::Aborted(id)), 0);
}

#[test]
fn a_websocket_is_an_upgrade_for_the_application() {
    let mut engine = http2(silent());
    let address = engine.address;
    let client = std::thread::spawn(move || {
        http2_client(address, async |client| {
            let mut client = client.ready().await.unwrap();
            // Our settings, which allow it, have come with the first answer.
            let hello = client.send_request(get("/hello"), true).unwrap().0;
            hello.await.unwrap();
            let mut client = client.ready().await.unwrap();
            let mut request = Request::connect("http://x/chat").body(()).unwrap();
            request.extensions_mut().insert(Protocol::from_static("websocket"));
            let (response, mut stream) = client.send_request(request, false).unwrap();
            let response = response.await.unwrap();
            let head = (response.status().as_u16(), response.headers().clone());
            stream.send_data(Bytes::from_static(b"ping"), true).unwrap();
            (head, Answer::read(response).await.body)
        })
    });
    let hello = engine.request_to("/hello");
    engine.js.reply(hello, "");
    let id = engine.request_to("/chat");
    let request = engine.received().pop().unwrap().request;
    assert!(request.upgrade && request.method == "GET");
    let has = |name: &str| request.fields.iter().any(|(field, _)| field == name);
    assert!(has("upgrade") && has("connection") && has("sec-websocket-key"));
    engine.js.tunnel(id, true);
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: ZicETiRVCZjrUwzmNEnaU18cW78=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    engine.js.data(id, [switch.as_bytes(), b"\x81\x04pong"].concat().as_slice());
    engine.event("ping", |event| match event {
        Event::Data(of, bytes) => (*of == id && &bytes[..] == b"ping").then_some(()),
        _ => None,
    });
    engine.event("its end", |event| (*event == Event::End(id, String::new())).then_some(()));
    engine.js.end(id, false);
    engine.until("the client ends", |_| client.is_finished().then_some(()));
    let ((status, fields), body) = client.join().unwrap();
    assert_eq!((status, &body[..]), (200, &b"\x81\x04pong"[..]));
    let names: Vec<_> = fields.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["sec-websocket-protocol"]);
    engine.event("it is over", |event| (*event == Event::StreamClosed(id)).then_some(()));
}

#[test]
fn a_page_in_the_place_of_a_websocket_is_no_success() {
    let mut engine = http2(Box::new(|js, event| {
        let Event::Request(request) = event else { return };
        match request.target.as_str() {
            "/page" => js.respond(request.id, 200, "X-A: 1\r\n", LENGTH, b"page"),
            "/refused" => js.respond(request.id, 403, "", LENGTH, b"no"),
            "/raw" => {
                js.tunnel(request.id, true);
                js.data(request.id, b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\npage");
                js.end(request.id, false);
            }
            _ => js.reply(request.id, ""),
        }
    }));
    let address = engine.address;
    let answers = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            ask(&client, get("/hello"), b"").await;
            let mut answers = Vec::new();
            for path in ["/page", "/refused", "/raw"] {
                let mut client = client.clone().ready().await.unwrap();
                let mut request = Request::connect(format!("http://x{path}")).body(()).unwrap();
                request.extensions_mut().insert(Protocol::from_static("websocket"));
                let (response, _stream) = client.send_request(request, false).unwrap();
                answers.push(Answer::read(response.await.unwrap()).await);
            }
            answers
        })
    });
    let statuses: Vec<_> = answers.iter().map(|answer| (answer.status, answer.text())).collect();
    assert_eq!(statuses, [(501, "page"), (403, "no"), (501, "page")]);
    assert_eq!((answers[0].field("x-a"), answers[2].field("x-a")), (Some("1"), Some("1")));
}

#[test]
fn a_response_of_204_has_no_length() {
    let mut engine = http2(when_complete(|js, received| {
        js.respond(received.request.id, 204, "Content-Length: 5\r\nX-A: 1\r\n", 64, b"");
    }));
    let address = engine.address;
    let answer = with_client(&mut engine, move || {
        http2_client(address, async |client| ask(&client, get("/"), b"").await)
    });
    assert_eq!((answer.status, answer.field("x-a")), (204, Some("1")));
    assert_eq!(answer.field("content-length"), None);
}

#[test]
fn a_client_whose_websocket_is_refused_does_not_stay() {
    let limits = Limits { discard_time: Duration::from_millis(300), ..Limits::default() };
    let mut engine = Engine::with_limits(with_http2(limits), silent());
    let address = engine.address;
    let client = std::thread::spawn(move || {
        http2_client(address, async |client| {
            let request = Request::connect("x:80").body(()).unwrap();
            let mut client = client.ready().await.unwrap();
            let (response, mut stream) = client.send_request(request, false).unwrap();
            let status = Answer::read(response.await.unwrap()).await.status;
            // Its own side stays open.
            let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
            (status, reset)
        })
    });
    let id = engine.request_to("x:80");
    engine.js.tunnel(id, true);
    engine.js.data(id, b"HTTP/1.1 403 Forbidden\r\n\r\n");
    engine.js.end(id, false);
    engine.js.wake();
    engine.aborted(id);
    engine.until("the client ends", |_| client.is_finished().then_some(()));
    assert_eq!(client.join().unwrap(), (403, Reason::NO_ERROR));
}

#[test]
fn without_the_preface_http_1_is_spoken_beside_it() {
    let mut engine = http2(echo());
    let mut client = Client::connect(&engine);
    for piece in ["P", "OST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"] {
        client.send(&mut engine, piece);
    }
    assert_eq!(client.response(&mut engine).text(), "POST /\nok");
    let mut client = Client::connect(&engine);
    for byte in [OPENING, &frame(1, 5, 1, &block(&[]))].concat() {
        client.send(&mut engine, [byte]);
    }
    engine.requests(2);
    assert_eq!(engine.received()[1].request.target, "/");
}

#[test]
fn where_nothing_else_is_spoken_nothing_else_is_answered() {
    let limits = Limits { cleartext: Cleartext::Alone, ..Limits::default() };
    let mut engine = Engine::with_limits(limits, echo());
    let mut client = Client::connect(&engine);
    client.send(&mut engine, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let received = client.rest(&mut engine);
    assert!(!received.starts_with(b"HTTP/1.1"), "{received:?}");
    assert_eq!(engine.received().len(), 0);
}

#[test]
fn where_it_is_not_spoken_its_preface_is_a_bad_request() {
    let mut engine = Engine::new(echo());
    let mut client = Client::connect(&engine);
    let response = client.ask(&mut engine, OPENING);
    assert_eq!(response.status, 505);
}

/// Starts an engine that serves HTTP/2 in clear text, with the other limits at their defaults.
pub(crate) fn http2(handler: Handler) -> Engine {
    Engine::with_limits(with_http2(Limits::default()), handler)
}

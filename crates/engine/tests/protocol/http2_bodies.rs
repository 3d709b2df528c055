//! HTTP/2: bodies in both directions, also with an early or an aborted response.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use monoceros_engine::pressure::limits::Limits;

use crate::harness::{
    Answer, Client, Engine, Event, LENGTH, OPENING, ask, block, echo, frame, get, http2_client,
    pattern, post, when_complete, with_client, with_http2,
};
use crate::http2::http2;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Of settings.
const ACK: u8 = 1;

#[test]
fn a_hundred_bodies_at_a_time_come_through_in_both_directions() {
    let mut engine = http2(echo());
    let address = engine.address;
    let answers = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            let mut all = Vec::new();
            for number in 0..100_usize {
                let client = client.clone();
                all.push(tokio::spawn(async move {
                    ask(&client, post("/"), &pattern(number * 1_000)).await
                }));
            }
            let mut answers = Vec::new();
            for one in all {
                answers.push(one.await.unwrap().body);
            }
            answers
        })
    });
    for (number, answer) in answers.iter().enumerate() {
        assert!(answer.strip_prefix(b"POST /\n") == Some(&pattern(number * 1_000)), "{number}");
    }
}

#[test]
fn a_long_body_is_passed_by_credit_in_both_directions() {
    let mut engine = http2(when_complete(|js, received| {
        js.head(received.request.id, 200, "", 0);
        js.large(received.request.id, received.body.clone());
        js.end(received.request.id, false);
    }));
    let address = engine.address;
    let answer = with_client(&mut engine, move || {
        http2_client(address, async |client| ask(&client, post("/"), &pattern(5_000_000)).await)
    });
    assert!(answer.body == pattern(5_000_000));
}

#[test]
fn an_early_response_comes_whole_and_the_rest_of_the_body_is_ignored() {
    let mut engine = http2(Box::new(|js, event| {
        if let Event::Request(request) = event {
            js.respond_early(request.id, 413, "", LENGTH, b"too much");
        }
    }));
    let address = engine.address;
    let answer = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            let mut client = client.ready().await.unwrap();
            let (response, mut stream) = client.send_request(post("/"), false).unwrap();
            stream.send_data(Bytes::from(pattern(2_000_000)), false).unwrap();
            Answer::read(response.await.unwrap()).await
        })
    });
    assert_eq!((answer.status, answer.text()), (413, "too much"));
}

#[test]
fn an_early_response_may_take_long_once_the_body_has_come() {
    let discard_time = Duration::from_millis(200);
    let limits = with_http2(Limits { discard_time, ..Limits::default() });
    let answer = pattern(200_000);
    let mut engine = Engine::with_limits(
        limits,
        Box::new(move |js, event| {
            if let Event::Request(request) = event {
                js.respond_early(request.id, 200, "", LENGTH, &answer);
            }
        }),
    );
    let address = engine.address;
    let body = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            let mut client = client.ready().await.unwrap();
            let (response, mut stream) = client.send_request(post("/"), false).unwrap();
            let response = response.await.unwrap();
            stream.send_data(Bytes::from_static(b"the rest"), true).unwrap();
            // No window is opened meanwhile; streams are looked at every two seconds.
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            Answer::read(response).await.body
        })
    });
    assert_eq!(body, pattern(200_000));
}

#[test]
fn a_body_that_was_begun_under_the_usual_window_continues_under_a_smaller_one() {
    let mut limits = with_http2(Limits::default());
    limits.settings.http2_initial_window_size = 1_000;
    let mut engine = Engine::with_limits(limits, echo());
    let mut client = Client::connect(&engine);
    // Less than h2 announces by itself, and more than the window that the client learns later.
    let head = frame(1, END_HEADERS, 1, &block(&[]));
    client.send(&mut engine, [OPENING, &head, &frame(0, 0, 1, &pattern(16_000))].concat());
    engine.request_to("/");
    client.send(&mut engine, frame(4, ACK, 0, b""));
    let update = frame(8, 0, 1, &[0, 0]);
    let mut received = Vec::new();
    engine.until("the window is opened", |_| {
        received.append(&mut client.take());
        received.windows(update.len() - 3).any(|seen| seen == &update[3..]).then_some(())
    });
}

#[test]
fn a_response_that_is_cut_is_a_reset_after_what_was_sent() {
    let mut engine = http2(Box::new(|js, event| {
        if let Event::Request(request) = event {
            js.head(request.id, 200, "", 0);
            js.data(request.id, b"text");
            js.reset(request.id);
        }
    }));
    let address = engine.address;
    let (text, reason) = with_client(&mut engine, move || {
        http2_client(address, async |client| {
            let mut client = client.ready().await.unwrap();
            let (response, _) = client.send_request(get("/"), true).unwrap();
            let mut body = response.await.unwrap().into_body();
            let text = body.data().await.unwrap().unwrap();
            (text, body.data().await.unwrap().unwrap_err().reason())
        })
    });
    assert_eq!((&text[..], reason), (&b"text"[..], Some(Reason::INTERNAL_ERROR)));
}

#[test]
fn what_is_on_its_way_after_a_hundred_resets_is_no_mistake_of_the_client() {
    let mut engine = http2(Box::new(|js, event| {
        if let Event::Request(request) = event
            && request.target == "/"
        {
            js.reset(request.id);
        }
    }));
    let mut client = Client::connect(&engine);
    let streams = (1..200).step_by(2);
    let heads = streams.clone().flat_map(|at| frame(1, END_HEADERS, at, &block(&[])));
    client.send(&mut engine, [OPENING, &heads.collect::<Vec<_>>()].concat());
    let mut received = Vec::new();
    engine.until("all are reset", |_| {
        received.append(&mut client.take());
        let resets = received.windows(5).filter(|seen| *seen == [0, 0, 4, 3, 0]).count();
        (resets == 100).then_some(())
    });
    for _ in 0..30 {
        let pieces = streams.clone().flat_map(|at| frame(0, 0, at, &pattern(1_000)));
        client.send(&mut engine, pieces.collect::<Vec<_>>());
    }
    // `GET /last`, as `block` has `GET /`.
    let last = [&[0x82, 0x86, 0x04, 5], &b"/last"[..], &[0x01, 1, b'x']].concat();
    client.send(&mut engine, frame(1, END_STREAM | END_HEADERS, 201, &last));
    engine.request_to("/last");
}

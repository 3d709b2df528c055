//! What many clients at once do to each other.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{CONNECTION, Client, Engine, Event, LENGTH, RequestBody, echo, silent};

#[test]
fn a_flood_of_refused_requests_does_not_delay_another_connection() {
    let mut engine = Engine::new(silent());
    let stop = Arc::new(AtomicBool::new(false));
    let refused = Arc::new(AtomicUsize::new(0));
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let (address, stop, refused) = (engine.address, stop.clone(), refused.clone());
            thread::spawn(move || flood(address, &stop, &refused))
        })
        .collect();
    let mut client = Client::connect(&engine);
    let mut longest = Duration::ZERO;
    for number in 0..50 {
        let target = format!("/{number}");
        let sent = Instant::now();
        client.send(&mut engine, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let id = engine.request_to(&target);
        longest = longest.max(sent.elapsed());
        engine.js.reply(id, "");
        client.response(&mut engine);
        let before = refused.load(Ordering::Relaxed);
        engine.until("more of the flood", |_| {
            (refused.load(Ordering::Relaxed) > before).then_some(())
        });
    }
    stop.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.join().unwrap();
    }
    let refused = refused.load(Ordering::Relaxed);
    println!("at most {longest:?} to JavaScript, beside {refused} refused requests");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

/// Sends what is refused on one connection after the other.
fn flood(address: SocketAddr, stop: &AtomicBool, refused: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"BAD\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        refused.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn many_connections_at_once_are_all_served() {
    let mut engine = Engine::new(echo());
    let mut clients: Vec<_> = (0..200).map(|_| Client::connect(&engine)).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            let target = format!("/{round}-{number}");
            client.send(
                &mut engine,
                format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"),
            );
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let expected = format!("POST /{round}-{number}\nab");
            assert_eq!(client.response(&mut engine).text(), expected);
        }
    }
    drop(clients);
    engine.until("all are forgotten", |engine| {
        (engine.js.io.counters()[..3] == [0, 0, 600]).then_some(())
    });
}

#[test]
fn connections_that_come_and_go_leave_nothing_open() {
    let mut engine = Engine::new(echo());
    for _ in 0..500 {
        let mut client = Client::connect(&engine);
        client.ask(&mut engine, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        engine.events.clear();
    }
    engine.until("all are forgotten", |engine| {
        (engine.js.io.counters()[..3] == [0, 0, 500]).then_some(())
    });
}

#[test]
fn an_upload_and_a_download_at_once_do_not_wait_for_each_other() {
    let mut engine = Engine::new(Box::new(|js, event| match event {
        Event::Request(request) if request.body == RequestBody::Streams => {
            js.head_with_length(request.id, 200, "", CONNECTION | LENGTH, SIZE as u32);
        }
        // Each chunk is echoed.
        Event::Data(id, bytes) => {
            js.large(*id, bytes.clone());
            js.credit(*id, bytes.len());
        }
        Event::End(id, _) => js.end(*id, false),
        _ => {}
    }));
    let mut client = Client::connect(&engine);
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n");
    client.send(&mut engine, head);
    let body: Vec<u8> = (0..SIZE).map(|at| (at / 13) as u8).collect();
    for piece in body.chunks(100_000) {
        client.send(&mut engine, piece);
        client.available();
    }
    assert!(client.response(&mut engine).body == body);
}

const SIZE: usize = 2_000_000;

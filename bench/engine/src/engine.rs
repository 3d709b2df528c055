//! The engine without Node, as the bench measures it: a second thread takes the part of JavaScript.
//! `engine PORT` serves until it is killed.

#[path = "../../../crates/engine/tests/protocol/harness/records.rs"]
mod records;
#[path = "../../../crates/engine/tests/protocol/harness/ring.rs"]
#[expect(dead_code, unused_imports, reason = "tests send and receive more kinds of records")]
mod ring;

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use monoceros_engine::bridge::event_batch::EventBatch;
use monoceros_engine::pressure::limits::Limits;
use monoceros_engine::server::io_thread::{IoThread, IoThreadOptions, LoopMode};
use records::Event;
use ring::{CONNECTION, DATE, Js, LENGTH, Memory};

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: engine PORT")?.parse()?;
    let (mut wakes, waker) = UnixStream::pair()?;
    waker.set_nonblocking(true)?;
    let memory = Memory::new(1 << 20);
    let io = IoThread::start(IoThreadOptions {
        limits: Limits::default().bounded(),
        announces_at_accept: false,
        loop_mode: LoopMode::IoThread,
        ring: memory.ring(),
        worker_slot: None,
        lifeline: None,
        access: None,
        statsd: None,
        // A full pipe already holds a wake.
        wake_javascript: Box::new(move || drop((&waker).write(&[0]))),
    })?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    io.listen(listener.into(), 0);
    let mut js = Js::new(io, memory);
    let (mut batch, mut woken) = (EventBatch::default(), [0; 64]);
    while wakes.read(&mut woken)? > 0 {
        loop {
            js.io.take_events(&mut batch);
            if batch.is_empty() {
                break;
            }
            for event in records::read(&mut batch) {
                if let Event::Request(request) = event {
                    let flags = DATE | CONNECTION | LENGTH;
                    let fields = "content-type: text/plain\r\n";
                    js.respond(request.id, 200, fields, flags, b"Hello, World!");
                }
            }
            batch.clear();
            js.end_batch();
        }
        js.wake();
    }
    Ok(())
}

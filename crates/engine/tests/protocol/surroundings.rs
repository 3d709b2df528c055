//! What is around a connection: unix sockets, the access log, several servers.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use monoceros_engine::log::access::{AccessFormat, AccessLog};

use crate::harness::{Client, Engine, Event, SERVER_ID, Setup, echo};

/// A path of this test alone.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("monoceros-{}-{name}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn a_unix_socket_is_served_and_has_no_addresses() {
    let mut engine = Engine::new(echo());
    let path = path("socket");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    engine.js.io.listen(listener.into(), SERVER_ID + 10);
    let mut client = UnixStream::connect(&path).unwrap();
    fs::remove_file(&path).unwrap();
    client.write_all(b"GET /u HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    client.set_nonblocking(true).unwrap();
    let mut answer = Vec::new();
    engine.until("the answer comes", |_| {
        match client.read_to_end(&mut answer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("the connection ends: {other:?}"),
        }
        answer.ends_with(b"GET /u\n").then_some(())
    });
    let Event::Connection { server_id, remote, remote_port, local, local_port, .. } =
        &engine.events[0]
    else {
        panic!("{:?}", engine.events);
    };
    assert_eq!((*server_id, *remote_port, *local_port), (SERVER_ID + 10, 0, 0));
    assert_eq!((remote.as_str(), local.as_str()), ("", ""));
}

#[test]
fn what_a_slow_reader_of_the_access_log_has_not_taken_is_not_forgotten() {
    let (reader, writer) = std::io::pipe().unwrap();
    let format = AccessFormat::compile("%(r)s").unwrap();
    let access = AccessLog::open(&format!("fd://{}", writer.as_raw_fd()), format).unwrap();
    drop(writer);
    let mut engine = Engine::start(Setup { access: Some(access), ..Setup::default() }, echo());
    // More than the pipe holds, each time.
    let request = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(3_980));
    let serve = |engine: &mut Engine| {
        let mut client = Client::connect(engine);
        (0..50).for_each(|_| drop(client.ask(engine, &request)));
        drop(client);
        engine
            .until("the client has left", |engine| (engine.js.io.counters()[0] == 0).then_some(()));
        std::thread::sleep(Duration::from_millis(300));
    };
    let (begin, begins) = channel();
    let (take, taken) = channel();
    std::thread::spawn(move || {
        for (at, line) in BufReader::new(reader).lines().enumerate() {
            if at % 50 == 0 {
                begins.recv().unwrap();
            }
            take.send(line.unwrap()).unwrap();
        }
    });
    let next = || taken.recv_timeout(Duration::from_secs(10)).ok();
    let read = || (0..50).map_while(|_| next()).filter(|line| line.starts_with("GET /aa")).count();
    serve(&mut engine);
    begin.send(()).unwrap();
    assert_eq!(read(), 50);
    serve(&mut engine);
    begin.send(()).unwrap();
    drop(engine);
    assert_eq!(read(), 50);
}

#[test]
fn each_response_has_its_line_in_the_access_log() {
    let path = path("access.log");
    let format = r#"%(h)s "%(r)s" %(s)s %(b)s "%({x-a}i)s" "%({x-b}o)s""#;
    let format = AccessFormat::compile(format).unwrap();
    let access = Some(AccessLog::open(path.to_str().unwrap(), format).unwrap());
    let setup = Setup { access, ..Setup::default() };
    let mut engine = Engine::start(
        setup,
        Box::new(|js, event| {
            if let Event::Request(request) = event {
                let status = if request.method == "GET" { 200 } else { 404 };
                js.respond(request.id, status, "X-B: b\r\n", 4, b"hello");
            }
        }),
    );
    let mut client = Client::connect(&engine);
    let first = "GET /\"?a HTTP/1.1\r\nHost: x\r\nX-A: 1\"2\\\u{ff}\r\n\r\n";
    assert_eq!(client.ask(&mut engine, first).text(), "hello");
    assert_eq!(client.ask(&mut engine, "PUT /2 HTTP/1.0\r\n\r\n").status, 404);
    let mut aborted = Client::connect(&engine);
    aborted.send(&mut engine, "POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1");
    drop(aborted);
    engine.until("all are forgotten", |engine| {
        (engine.js.io.counters()[..2] == [0, 0]).then_some(())
    });
    engine.js.io.stop();
    let lines = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut lines = lines.lines();
    let quoted = r#"127.0.0.1 "GET /\"?a HTTP/1.1" 200 5 "1\"2\\\u00c3\u00bf" "b""#;
    assert_eq!(lines.next(), Some(quoted));
    assert_eq!(lines.next(), Some(r#"127.0.0.1 "PUT /2 HTTP/1.0" 404 5 "-" "b""#));
    assert!(lines.next().is_none_or(|line| line.contains("POST /3")), "one line per response");
    assert_eq!(lines.next(), None);
}

#[test]
fn a_server_that_no_longer_listens_serves_the_connections_it_has() {
    let mut engine = Engine::new(echo());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    engine.js.io.listen(listener.into(), SERVER_ID + 10);
    let mut client = Client::connect_to(address);
    let request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(client.ask(&mut engine, request).text(), "GET /a\n");
    assert_eq!(engine.js.io.unlisten(SERVER_ID + 10), 1);
    engine.until("the listener to close", |_| {
        std::net::TcpStream::connect(address).is_err().then_some(())
    });
    assert_eq!(client.ask(&mut engine, request).text(), "GET /a\n");
    let mut other = Client::connect(&engine);
    assert_eq!(other.ask(&mut engine, request).text(), "GET /a\n");
}

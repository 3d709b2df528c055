//! One acceptor in this process: commands, batches, failures.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use monoceros_engine::transport::listener::{
    AcceptedConnection, Acceptor, AcceptorHandle, AcceptorOptions, PeerAddr, TcpOptions, bind_tcp,
};

const WAIT: Duration = Duration::from_secs(10);

fn options() -> AcceptorOptions {
    AcceptorOptions {
        worker_slot: None,
        lifeline: None,
        max_in_flight: u32::MAX,
        on_orphaned: Box::new(|| {}),
        on_shortage: Box::new(|| {}),
        on_error: Box::new(|_| {}),
    }
}

fn start(options: AcceptorOptions) -> (AcceptorHandle, Receiver<AcceptedConnection>) {
    let (send, receive) = channel();
    let handle = Acceptor::start(options, move |batch| {
        for each in batch {
            let _ = send.send(each);
        }
    });
    (handle.unwrap(), receive)
}

fn listener() -> (OwnedFd, u16) {
    let options = TcpOptions { backlog: 64, reuse_port: false, ipv6_only: false };
    let fd = bind_tcp("127.0.0.1", 0, options).unwrap();
    let listener = TcpListener::from(fd);
    let port = listener.local_addr().unwrap().port();
    (listener.into(), port)
}

fn refused(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}

#[test]
fn connections_come_with_their_tag_their_peer_and_their_flags() {
    let (acceptor, accepted) = start(options());
    let (fd, port) = listener();
    acceptor.add(fd, 7, false);
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let connection = accepted.recv_timeout(WAIT).unwrap();
    assert_eq!(connection.server_id, 7);
    assert_eq!(connection.peer, PeerAddr::Ip(client.local_addr().unwrap()));
    let stream = TcpStream::from(connection.fd);
    assert!(stream.nodelay().unwrap());
    assert_eq!((&stream).read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(acceptor.slot().snapshot().connections, 1);
    acceptor.slot().connection_closed();
    assert_eq!(acceptor.slot().snapshot().connections, 0);
}

#[test]
fn unix_and_tcp_listeners_are_served_side_by_side() {
    let (acceptor, accepted) = start(options());
    let path = std::env::temp_dir().join(format!("acceptor-{}.sock", std::process::id()));
    let unix = UnixListener::bind(&path).unwrap();
    unix.set_nonblocking(true).unwrap();
    let (fd, port) = listener();
    acceptor.add(fd, 1, false);
    acceptor.add(unix.into(), 2, false);
    let _tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(accepted.recv_timeout(WAIT).unwrap().server_id, 1);
    let _unix = UnixStream::connect(&path).unwrap();
    let connection = accepted.recv_timeout(WAIT).unwrap();
    assert_eq!((connection.server_id, connection.peer), (2, PeerAddr::Unix));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_pause_keeps_connections_in_the_queue() {
    let (acceptor, accepted) = start(options());
    let (fd, port) = listener();
    acceptor.add(fd, 0, false);
    acceptor.pause();
    let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert!(accepted.recv_timeout(Duration::from_millis(100)).is_err());
    acceptor.resume();
    accepted.recv_timeout(WAIT).unwrap();
}

#[test]
fn a_removed_listener_is_closed_when_remove_returns() {
    let (mut acceptor, accepted) = start(options());
    let ((first, first_port), (second, second_port)) = (listener(), listener());
    acceptor.add(first, 1, false);
    acceptor.add(second, 2, false);
    acceptor.remove(1);
    assert!(refused(first_port));
    let _client = TcpStream::connect(("127.0.0.1", second_port)).unwrap();
    assert_eq!(accepted.recv_timeout(WAIT).unwrap().server_id, 2);
    acceptor.close_listeners();
    assert!(refused(second_port));
    acceptor.stop();
    acceptor.resume();
}

#[test]
fn the_end_of_the_lifeline_frees_the_port_at_once() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (report, orphaned) = channel();
    let on_orphaned = Box::new(move || report.send(Instant::now()).unwrap());
    let lifeline = Some(ours.as_raw_fd());
    let (acceptor, _accepted) = start(AcceptorOptions { lifeline, on_orphaned, ..options() });
    let (fd, port) = listener();
    acceptor.add(fd, 0, false);
    // What arrives on the lifeline is not the acceptor's business, and not its end.
    std::io::Write::write_all(&mut &theirs, b"a message\n").unwrap();
    assert!(orphaned.recv_timeout(Duration::from_millis(50)).is_err());
    let end = Instant::now();
    drop(theirs);
    let reported = orphaned.recv_timeout(WAIT).unwrap();
    assert!(refused(port));
    assert!(reported.duration_since(end) < Duration::from_millis(200));
}

#[test]
fn a_handle_may_be_used_from_the_callbacks_of_its_own_thread() {
    use std::sync::{Arc, Mutex};

    let (ours, theirs) = UnixStream::pair().unwrap();
    let shared: Arc<Mutex<Option<AcceptorHandle>>> = Arc::default();
    let in_callback = Arc::clone(&shared);
    let (report, orphaned) = channel();
    let on_orphaned = Box::new(move || {
        if let Some(handle) = in_callback.lock().unwrap().as_mut() {
            handle.pause();
            handle.stop();
        }
        report.send(()).unwrap();
    });
    let lifeline = Some(ours.as_raw_fd());
    let (acceptor, _accepted) = start(AcceptorOptions { lifeline, on_orphaned, ..options() });
    *shared.lock().unwrap() = Some(acceptor);
    drop(theirs);
    orphaned.recv_timeout(WAIT).unwrap();
}

#[test]
fn a_burst_is_accepted_whole() {
    let (acceptor, accepted) = start(options());
    let (fd, port) = listener();
    let clients: Vec<_> =
        (0..60).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    acceptor.add(fd, 0, false);
    for _ in &clients {
        accepted.recv_timeout(WAIT).unwrap();
    }
    assert_eq!(acceptor.slot().snapshot().counters.accepted, 60);
}

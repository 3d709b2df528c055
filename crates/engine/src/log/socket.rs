//! Where lines leave the machine or the process for somebody who collects them: a datagram socket (UDP, unix) or a
//! stream (TCP, unix), as syslog and statsd are spoken to.
//!
//! A collector that is away costs lines, never a request: what cannot be sent is counted and forgotten, and a new
//! connection is tried at most once a second. It does not format: a message goes out as it is given.

use std::io::{self, ErrorKind};
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

/// One collector.
pub struct LogSocket {
    address: SockAddr,
    kind: SocketKind,
    socket: Option<Socket>,
    /// How long one call may wait; zero on a thread that must not.
    timeout: Duration,
    /// Of a stream: messages, each with its end, that are not sent yet.
    pending: Vec<u8>,
    /// The first message of `pending` has is_front_partly_sent to go out.
    is_front_partly_sent: bool,
    retry_at: Option<Instant>,
    lost: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SocketKind {
    Datagram,
    Stream,
    /// A unix socket of which only the receiver knows what it is.
    Either,
}

impl LogSocket {
    /// Prepares for `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, `unix://PATH#dgram` or `unix://PATH#stream`.
    /// The name is looked up here and only here; nobody need be there yet.
    ///
    /// # Errors
    ///
    /// When the address has another form, or the name is not known.
    pub fn open(address: &str, timeout: Duration) -> io::Result<Self> {
        let (address, kind) = parse(address)?;
        let (pending, is_front_partly_sent, retry_at) = (Vec::new(), false, None);
        let mut socket = Self {
            address,
            kind,
            socket: None,
            timeout,
            pending,
            is_front_partly_sent,
            retry_at,
            lost: 0,
        };
        socket.connect();
        Ok(socket)
    }

    /// Sends a message: a datagram, or a line of a stream, in which it may hold no line feed of its own.
    pub fn send(&mut self, message: &[u8]) {
        if self.socket.is_none() {
            self.connect();
        }
        match self.kind {
            SocketKind::Stream => {
                if self.pending.len() + message.len() >= MAX_PENDING_BYTES {
                    self.lost += 1;
                } else {
                    self.pending.extend_from_slice(message);
                    self.pending.push(b'\n');
                }
                self.flush();
            }
            SocketKind::Datagram | SocketKind::Either => self.send_datagram(message),
        }
    }

    /// Sends what a stream did not take before.
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if self.socket.is_none() {
            self.connect();
        }
        let Some(socket) = &self.socket else { return };
        let mut sent = 0;
        let mut broken = false;
        while sent < self.pending.len() {
            match socket.send(&self.pending[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Not connected yet, or the receiver is slow.
                Err(error) if would_block(&error) => break,
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        if sent > 0 {
            self.is_front_partly_sent = self.pending[sent - 1] != b'\n';
            self.pending.drain(..sent);
        }
        if broken {
            self.drop_connection();
        }
    }

    /// Whether something waits for a receiver that is there.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.socket.is_some() && !self.pending.is_empty()
    }

    /// Whether the messages of this socket are lines of a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.kind == SocketKind::Stream
    }

    /// How many messages were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn send_datagram(&mut self, message: &[u8]) {
        let message = &message[..message.len().min(MAX_DATAGRAM_BYTES)];
        // An error may be the last message's (ICMP), or say that the receiver was started anew.
        for _ in 0..2 {
            let Some(socket) = &self.socket else { break };
            match socket.send(message) {
                Ok(_) => return,
                // Full: a queue of our own would only be another one.
                Err(error) if would_block(&error) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused && self.is_udp() => {}
                Err(_) => {
                    self.socket = None;
                    self.connect();
                }
            }
        }
        self.lost += 1;
    }

    fn is_udp(&self) -> bool {
        self.address.is_ipv4() || self.address.is_ipv6()
    }

    /// What was on its way in a stream has ended in the middle: its rest means nothing to a new connection.
    fn drop_connection(&mut self) {
        self.socket = None;
        self.retry_at = Some(Instant::now() + RETRY_INTERVAL);
        if self.is_front_partly_sent {
            let end = memchr::memchr(b'\n', &self.pending).map_or(self.pending.len(), |at| at + 1);
            self.pending.drain(..end);
            self.is_front_partly_sent = false;
            self.lost += 1;
        }
    }

    fn connect(&mut self) {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let connected = match self.kind {
            SocketKind::Either => self.try_connect(Type::DGRAM).or_else(|error| {
                // EPROTOTYPE: there is somebody, and it is a stream.
                if error.raw_os_error() != Some(libc::EPROTOTYPE) {
                    return Err(error);
                }
                self.kind = SocketKind::Stream;
                self.try_connect(Type::STREAM)
            }),
            SocketKind::Datagram => self.try_connect(Type::DGRAM),
            SocketKind::Stream => self.try_connect(Type::STREAM),
        };
        self.socket = connected.ok();
        self.retry_at =
            if self.socket.is_some() { None } else { Some(Instant::now() + RETRY_INTERVAL) };
    }

    fn try_connect(&self, kind: Type) -> io::Result<Socket> {
        let socket = Socket::new(Domain::from(i32::from(self.address.family())), kind, None)?;
        if self.timeout.is_zero() || kind == Type::DGRAM {
            socket.set_nonblocking(true)?;
            match socket.connect(&self.address) {
                // Being connected; until then nothing can be sent.
                Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
                result => result?,
            }
        } else {
            socket.connect_timeout(&self.address, self.timeout)?;
            socket.set_write_timeout(Some(self.timeout))?;
        }
        Ok(socket)
    }
}

fn parse(text: &str) -> io::Result<(SockAddr, SocketKind)> {
    let invalid = || io::Error::new(ErrorKind::InvalidInput, format!("no such address: {text}"));
    if let Some(path) = text.strip_prefix("unix://") {
        let (path, kind) = match path.rsplit_once('#') {
            Some((path, "dgram")) => (path, SocketKind::Datagram),
            Some((path, "stream")) => (path, SocketKind::Stream),
            _ => (path, SocketKind::Either),
        };
        return Ok((SockAddr::unix(path)?, kind));
    }
    let (scheme, place) = text.split_once("://").ok_or_else(invalid)?;
    let kind = match scheme {
        "udp" => SocketKind::Datagram,
        "tcp" => SocketKind::Stream,
        _ => return Err(invalid()),
    };
    let found = place.to_socket_addrs()?.next().ok_or_else(invalid)?;
    Ok((SockAddr::from(found), kind))
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
        || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// What a slow receiver of a stream may cost in memory.
const MAX_PENDING_BYTES: usize = 1_048_576;
/// What UDP over IPv4 can carry.
const MAX_DATAGRAM_BYTES: usize = 65_507;
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::PathBuf;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("outlet-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn a_udp_receiver_gets_each_message_as_a_datagram() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = format!("udp://{}", receiver.local_addr().unwrap());
        let mut socket = LogSocket::open(&address, Duration::ZERO).unwrap();
        assert!(!socket.is_stream());
        socket.send(b"one");
        socket.send(b"two");
        let mut buffer = [0; 16];
        for expected in [b"one", b"two"] {
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected);
        }
        assert_eq!(socket.lost(), 0);
    }

    #[test]
    fn a_unix_receiver_that_was_started_anew_is_found_again() {
        let path = path("dgram");
        let address = format!("unix://{}", path.display());
        let mut socket = LogSocket::open(&address, Duration::ZERO).unwrap();
        socket.send(b"nobody is there");
        assert_eq!(socket.lost(), 1);
        socket.retry_at = None;
        for _ in 0..2 {
            let receiver = UnixDatagram::bind(&path).unwrap();
            socket.send(b"here");
            let mut buffer = [0; 16];
            assert_eq!(receiver.recv(&mut buffer).unwrap(), 4);
            std::fs::remove_file(&path).unwrap();
        }
        assert_eq!(socket.lost(), 1);
    }

    #[test]
    fn a_stream_gets_lines_and_a_unix_socket_tells_what_it_is() {
        let path = path("stream");
        let listener = UnixListener::bind(&path).unwrap();
        let mut socket =
            LogSocket::open(&format!("unix://{}", path.display()), Duration::ZERO).unwrap();
        assert!(socket.is_stream());
        socket.send(b"one");
        socket.send(b"two");
        drop(socket);
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_stream_that_breaks_goes_on_with_a_whole_message() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let mut socket = LogSocket::open(&address, PATIENCE).unwrap();
        socket.send(b"first");
        let (mut peer, _) = listener.accept().unwrap();
        let mut buffer = [0; 6];
        peer.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"first\n");
        // As if half of a message had gone out before the peer went away.
        socket.pending = b"lf of a message\nwhole\n".to_vec();
        socket.is_front_partly_sent = true;
        socket.drop_connection();
        socket.retry_at = None;
        socket.flush();
        drop(socket);
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole\n");
    }

    #[test]
    fn a_stream_that_nobody_reads_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let mut socket = LogSocket::open(&address, Duration::ZERO).unwrap();
        let message = vec![b'x'; 60_000];
        (0..400).for_each(|_| socket.send(&message));
        assert!(socket.pending.len() < MAX_PENDING_BYTES);
        assert!(socket.lost() > 0);
    }

    #[test]
    fn other_addresses_are_refused() {
        for address in ["", "127.0.0.1:514", "http://127.0.0.1:1", "udp://127.0.0.1"] {
            assert!(LogSocket::open(address, Duration::ZERO).is_err(), "{address}");
        }
    }
}

//! A socket that log lines and metrics are sent over: a datagram socket (UDP, unix) or a stream
//! (TCP, unix), as syslog and statsd collectors use.
//!
//! A collector that is not running costs lines, never a request. Messages that cannot be sent are
//! counted and dropped, and the socket reconnects at most once a second. Messages are sent as they
//! are given.

use std::io::{self, ErrorKind};
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

/// A connection to one collector.
pub struct LogSocket {
    address: SockAddr,
    kind: SocketKind,
    socket: Option<Socket>,
    /// How long one call may block; zero on a thread that must not.
    timeout: Duration,
    /// Unsent messages of a stream, each with its line feed.
    pending: Vec<u8>,
    /// Whether a part of the first pending message has been sent.
    is_front_partly_sent: bool,
    /// When to reconnect; `None` while connected.
    retry_at: Option<Instant>,
    /// Messages that could not be sent.
    lost: u64,
}

/// The type of a collector's socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SocketKind {
    Datagram,
    Stream,
    /// A unix socket whose type only its receiver knows.
    Either,
}

impl LogSocket {
    /// Opens a socket to `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix://PATH`, `unix://PATH#dgram`
    /// or `unix://PATH#stream`. The host name is resolved here and only here; the collector may
    /// start later.
    ///
    /// # Errors
    ///
    /// When the address has another form, or the host name has no address.
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

    /// Sends a message: as a datagram, or as a line of a stream. A message for a stream must
    /// contain no line feed.
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

    /// Sends the pending messages of a stream.
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

    /// Whether messages are pending for a connected receiver.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.socket.is_some() && !self.pending.is_empty()
    }

    /// Whether messages are sent as lines of a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.kind == SocketKind::Stream
    }

    /// The number of messages lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn send_datagram(&mut self, message: &[u8]) {
        let message = &message[..message.len().min(MAX_DATAGRAM_BYTES)];
        // The error may be that of the previous message (ICMP), or the receiver has restarted.
        for _ in 0..2 {
            let Some(socket) = &self.socket else { break };
            match socket.send(message) {
                Ok(_) => return,
                // The socket buffer is full. A queue of our own would only be a second one.
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

    /// Closes a broken stream. A message that was sent in part is dropped: its rest means nothing
    /// to a new connection.
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
                // EPROTOTYPE: a receiver exists, and its socket is a stream.
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
                // The connect is in progress; until it completes nothing can be sent.
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

/// Maximum number of bytes pending for a slow receiver of a stream.
const MAX_PENDING_BYTES: usize = 1_048_576;
/// Maximum number of bytes that UDP over IPv4 can carry in one datagram.
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
    fn a_unix_receiver_that_was_restarted_is_found_again() {
        let path = path("dgram");
        let address = format!("unix://{}", path.display());
        let mut socket = LogSocket::open(&address, Duration::ZERO).unwrap();
        socket.send(b"lost");
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
    fn a_stream_gets_lines_and_a_unix_socket_reports_its_type() {
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
    fn a_stream_that_breaks_continues_with_a_whole_message() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let mut socket = LogSocket::open(&address, PATIENCE).unwrap();
        socket.send(b"first");
        let (mut peer, _) = listener.accept().unwrap();
        let mut buffer = [0; 6];
        peer.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"first\n");
        // As if half of a message had been sent before the peer closed.
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
    fn a_stream_without_a_reader_is_bounded() {
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

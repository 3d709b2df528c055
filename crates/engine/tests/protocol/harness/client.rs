//! A client: a plain socket that writes raw bytes and reads responses while JavaScript's side runs.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use socket2::{Domain, SockRef, Socket, Type};

use super::response::Response;
use super::{Engine, PATIENCE};

/// How a connection ended for the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The server closed its side: everything it sent has been read.
    Closed,
    /// The server reset the connection.
    Reset,
}

/// One connection.
pub struct Client {
    /// Precedes the message of a failure.
    pub name: String,
    stream: TcpStream,
    received: Vec<u8>,
    end: Option<End>,
}

impl Client {
    pub fn connect(engine: &Engine) -> Self {
        Self::connect_to(engine.address)
    }

    pub fn connect_to(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    /// Connects a client whose kernel buffers few unread bytes.
    pub fn with_small_buffers(engine: &Engine) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(SMALL).unwrap();
        socket.set_send_buffer_size(SMALL).unwrap();
        socket.connect(&engine.address.into()).unwrap();
        Self::new(socket.into())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { name: String::new(), stream, received: Vec::new(), end: None }
    }

    /// Sends all of it; fails the test if the engine does not take it.
    pub fn send(&mut self, engine: &mut Engine, bytes: impl AsRef<[u8]>) {
        let mut rest = bytes.as_ref();
        engine.until("the client's bytes are taken", |_| {
            rest = &rest[self.try_send(rest)..];
            rest.is_empty().then_some(())
        });
    }

    /// Sends as much as the kernel takes at once.
    pub fn try_send(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the client cannot send: {error}"),
            }
        }
        sent
    }

    /// Sends until neither the kernel nor the engine takes more. Returns the number of sent bytes.
    pub fn send_until_stuck(&mut self, engine: &mut Engine, bytes: &[u8]) -> usize {
        let mut sent = 0;
        let mut quiet = 0;
        while quiet < 5 {
            let count = self.try_send(&bytes[sent..]);
            sent += count;
            quiet = if count == 0 { quiet + 1 } else { 0 };
            engine.settle();
        }
        sent
    }

    /// Sends a chunk; returns whether the connection is still open.
    pub fn is_alive(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write(bytes) {
            Ok(count) => count > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }

    /// Ends the client's side.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes the socket so that the engine gets a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    /// The next response, interim ones included.
    pub fn response(&mut self, engine: &mut Engine) -> Response {
        self.next(engine, false)
    }

    /// The next response, while JavaScript is blocked.
    pub fn response_while_blocked(&mut self) -> Response {
        let end = Instant::now() + PATIENCE;
        loop {
            self.read(usize::MAX);
            if let Some((response, length)) =
                Response::read(&self.received, false, self.end.is_some())
            {
                self.received.drain(..length);
                return response;
            }
            assert!(self.end.is_none() && Instant::now() < end, "in vain: {:?}", self.end);
            let mut watched =
                libc::pollfd { fd: self.stream.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry, alive through the call.
            unsafe { libc::poll(&mut watched, 1, 100) };
        }
    }

    /// The next response, which answers HEAD.
    pub fn response_to_head(&mut self, engine: &mut Engine) -> Response {
        self.next(engine, true)
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, engine: &mut Engine, request: impl AsRef<[u8]>) -> Response {
        self.send(engine, request);
        self.response(engine)
    }

    /// Waits for the end of the connection and checks that nothing unread came before it.
    pub fn end(&mut self, engine: &mut Engine) -> End {
        let end = self.wait(engine, "the connection ends", |client| client.end);
        assert_eq!(String::from_utf8_lossy(&self.received), "", "bytes after the last response");
        end
    }

    /// Everything that comes until the connection ends.
    pub fn rest(&mut self, engine: &mut Engine) -> Vec<u8> {
        engine.until("the connection ends", |_| self.has_ended().then_some(()));
        self.take()
    }

    /// Reads the available bytes and returns how many are unparsed.
    pub fn available(&mut self) -> usize {
        self.read(usize::MAX);
        self.received.len()
    }

    /// Reads at most `most` bytes and throws them away; returns how many there were.
    pub fn skip(&mut self, most: usize) -> usize {
        self.read(most);
        std::mem::take(&mut self.received).len()
    }

    /// Takes out everything that has been read.
    pub fn take(&mut self) -> Vec<u8> {
        self.read(usize::MAX);
        std::mem::take(&mut self.received)
    }

    /// Our address, as the server sees it.
    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub fn has_ended(&mut self) -> bool {
        self.read(usize::MAX);
        self.end.is_some()
    }

    fn next(&mut self, engine: &mut Engine, bodiless: bool) -> Response {
        self.wait(engine, "a response comes", |client| {
            let (response, length) =
                Response::read(&client.received, bodiless, client.end.is_some())?;
            client.received.drain(..length);
            Some(response)
        })
    }

    fn wait<T>(
        &mut self,
        engine: &mut Engine,
        what: &str,
        mut check: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let fd = self.stream.as_raw_fd();
        engine.until_readable(what, fd, |_| {
            self.read(usize::MAX);
            let found = check(self);
            if found.is_none()
                && let Some(end) = self.end
            {
                let received = String::from_utf8_lossy(&self.received);
                panic!("{} {what}: {end:?} after {received:?}", self.name);
            }
            found
        })
    }

    fn read(&mut self, most: usize) {
        let mut left = most;
        let mut buffer = [0; 16_384];
        while self.end.is_none() && left > 0 {
            let room = buffer.len().min(left);
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) => self.end = Some(End::Closed),
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    left -= count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    self.end = Some(End::Reset);
                }
                Err(error) => panic!("the client cannot read: {error}"),
            }
        }
    }
}

/// The kernel doubles it and has a floor of its own.
pub const SMALL: usize = 4_096;

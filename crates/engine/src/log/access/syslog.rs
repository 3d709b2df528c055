//! Access lines for syslog, in the form that Gunicorn gives them: `<PRI>tag: [pid] line`.

use crate::log::socket::LogSocket;

/// Where the lines go and what stands before each.
pub struct Syslog {
    socket: LogSocket,
    head: Vec<u8>,
    message: Vec<u8>,
}

impl Syslog {
    /// `head` is everything before the line.
    #[must_use]
    pub fn new(socket: LogSocket, head: &str) -> Self {
        Self { socket, head: head.as_bytes().to_vec(), message: Vec::new() }
    }

    pub(super) fn send(&mut self, line: &[u8]) {
        self.message.clear();
        self.message.extend_from_slice(&self.head);
        self.message.extend_from_slice(line);
        // Older daemons take a datagram's text up to a NUL, and Gunicorn sends one.
        if !self.socket.is_stream() {
            self.message.push(0);
        }
        self.socket.send(&self.message);
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.socket.has_unsent()
    }

    pub(super) fn flush(&mut self) {
        self.socket.flush();
    }
}

//! Access log lines for syslog, in Gunicorn's form: `<PRI>tag: [pid] line`.

use crate::log::socket::LogSocket;

/// Sends access log lines to a syslog daemon.
pub struct Syslog {
    socket: LogSocket,
    /// The text before each line: `<PRI>tag: [pid] `.
    prefix: Vec<u8>,
    /// The current message, reused.
    message: Vec<u8>,
}

impl Syslog {
    /// Sends lines over `socket`, each after `prefix`.
    #[must_use]
    pub fn new(socket: LogSocket, prefix: &str) -> Self {
        Self { socket, prefix: prefix.as_bytes().to_vec(), message: Vec::new() }
    }

    /// Sends a line.
    pub(super) fn send(&mut self, line: &[u8]) {
        self.message.clear();
        self.message.extend_from_slice(&self.prefix);
        self.message.extend_from_slice(line);
        // Older daemons read a datagram's text up to a NUL, and Gunicorn sends one.
        if !self.socket.is_stream() {
            self.message.push(0);
        }
        self.socket.send(&self.message);
    }

    /// Whether lines are pending for a connected daemon.
    pub(super) fn has_unsent(&self) -> bool {
        self.socket.has_unsent()
    }

    /// Sends the pending lines.
    pub(super) fn flush(&mut self) {
        self.socket.flush();
    }
}

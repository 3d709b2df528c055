//! Access lines for syslog, in the form that Gunicorn gives them: `<PRI>tag: [pid] line`.

use crate::log::socket::Outlet;

/// Where the lines go and what stands before each.
pub struct Syslog {
    outlet: Outlet,
    head: Vec<u8>,
    message: Vec<u8>,
}

impl Syslog {
    /// `head` is everything before the line.
    #[must_use]
    pub fn new(outlet: Outlet, head: &str) -> Self {
        Self { outlet, head: head.as_bytes().to_vec(), message: Vec::new() }
    }

    pub(super) fn send(&mut self, line: &[u8]) {
        self.message.clear();
        self.message.extend_from_slice(&self.head);
        self.message.extend_from_slice(line);
        // Older daemons take a datagram's text up to a NUL, and Gunicorn sends one.
        if !self.outlet.is_stream() {
            self.message.push(0);
        }
        self.outlet.send(&self.message);
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.outlet.has_unsent()
    }

    pub(super) fn flush(&mut self) {
        self.outlet.flush();
    }
}

//! How many bytes connections have received and been given to send, for `bytesRead` and
//! `bytesWritten` of the application's sockets.

use std::collections::VecDeque;

/// The bytes of one connection, in both directions. With TLS, those that are not encrypted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ByteCounts {
    /// Bytes that have been read from the socket.
    pub received: u64,
    /// Bytes that have been written to the socket or wait for that.
    pub written: u64,
}

/// The counts of the connections that closed last. JavaScript asks for them before it receives the
/// `CONNECTION_CLOSED` event, which has them too.
#[derive(Default)]
pub(crate) struct ClosedCounts(VecDeque<(u32, ByteCounts)>);

impl ClosedCounts {
    /// Adds a connection and forgets the one that closed [`MAX_CLOSED`] connections ago.
    pub fn push(&mut self, id: u32, counts: ByteCounts) {
        if self.0.len() == MAX_CLOSED {
            self.0.pop_front();
        }
        self.0.push_back((id, counts));
    }

    /// Returns the counts of the last connection with this id.
    pub fn find(&self, id: u32) -> Option<ByteCounts> {
        self.0.iter().rev().find(|(closed, _)| *closed == id).map(|(_, counts)| *counts)
    }
}

/// Maximum number of closed connections whose counts are kept.
const MAX_CLOSED: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_connections_to_close_are_found_by_id() {
        let mut closed = ClosedCounts::default();
        let counts = |written| ByteCounts { received: 0, written };
        for id in 0..=MAX_CLOSED as u32 {
            closed.push(id, counts(u64::from(id)));
        }
        closed.push(7, counts(1_000_000));
        assert_eq!(closed.find(0), None);
        assert_eq!(closed.find(7), Some(counts(1_000_000)));
        assert_eq!(closed.find(MAX_CLOSED as u32), Some(counts(MAX_CLOSED as u64)));
    }
}

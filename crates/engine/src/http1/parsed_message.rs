//! The part of a message that the guard has parsed and JavaScript has not received: the head, and
//! the body bytes without their framing.

use crate::buffers::read_buffer::ReadBuffer;

/// The current message of a connection.
#[derive(Default)]
pub(crate) struct ParsedMessage {
    /// Bytes of the head; the spans of [`RequestHead`](crate::exchange::request_head::RequestHead)
    /// refer to them.
    pub head: Vec<u8>,
    pub body: ReadBuffer,
}

impl ParsedMessage {
    /// Clears the head for the next message.
    pub fn start_head(&mut self) {
        self.head.clear();
        if self.head.capacity() > MAX_KEPT_HEAD_CAPACITY {
            self.head = Vec::new();
        }
    }

    /// Frees the memory; all bytes have been read.
    pub fn free_buffers(&mut self) {
        self.head = Vec::new();
        self.body.release_if_empty();
    }
}

/// Maximum capacity that the head buffer keeps for the next message, in bytes.
const MAX_KEPT_HEAD_CAPACITY: usize = 8_192;

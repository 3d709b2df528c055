//! What the guard has released of a message and JavaScript has not got yet: its head, and its body as far as it has come,
//! without the framing.

use crate::buffers::read_buffer::ReadBuffer;

/// The message in hand of a connection.
#[derive(Default)]
pub(crate) struct ParsedMessage {
    /// The spans of the head are ranges of it.
    pub head: Vec<u8>,
    pub body: ReadBuffer,
}

impl ParsedMessage {
    /// Makes ready for another head.
    pub fn start_head(&mut self) {
        self.head.clear();
        if self.head.capacity() > MAX_KEPT_HEAD_CAPACITY {
            self.head = Vec::new();
        }
    }

    /// Gives its memory back; everything has been read.
    pub fn free_buffers(&mut self) {
        self.head = Vec::new();
        self.body.release_if_empty();
    }
}

/// A larger buffer is given back with the next head.
const MAX_KEPT_HEAD_CAPACITY: usize = 8_192;

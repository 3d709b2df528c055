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
    pub fn begin(&mut self) {
        self.head.clear();
        if self.head.capacity() > KEEP {
            self.head = Vec::new();
        }
    }

    /// Gives its memory back; everything has been read.
    pub fn park(&mut self) {
        self.head = Vec::new();
        self.body.release_if_empty();
    }
}

/// A larger buffer is given back with the next head.
const KEEP: usize = 8_192;

//! The part of a message that the guard has parsed and JavaScript has not received: the head, and
//! the body bytes without their framing.

use std::cell::Cell;

use crate::buffers::read_buffer::ReadBuffer;

/// The current message of a connection.
#[derive(Default)]
pub(crate) struct ParsedMessage {
    /// Bytes of the head; the spans of [`RequestHead`](crate::exchange::request_head::RequestHead)
    /// refer to them.
    pub head: Vec<u8>,
    pub body: ReadBuffer,
    /// Bytes received after the head of an upgrade request, kept until the request is dispatched.
    pub upgrade_bytes: Cell<Option<Box<[u8]>>>,
    /// Number of chunks that JavaScript may still receive separately of those of the latest read.
    pub separate_chunks: u16,
}

impl ParsedMessage {
    /// Clears the head for the next message.
    pub fn start_head(&mut self) {
        self.head.clear();
        if self.head.capacity() > MAX_KEPT_HEAD_CAPACITY {
            self.head = Vec::new();
        }
    }

    /// Whether the data so far becomes a piece of its own because the next chunk begins. Programs
    /// may rely on that, as on node:http. Many short chunks in one read are joined: each piece
    /// costs more than its bytes.
    pub fn ends_piece(&mut self) -> bool {
        let is_separate = self.separate_chunks > 0;
        self.separate_chunks = self.separate_chunks.saturating_sub(1);
        is_separate
    }

    /// Frees the memory; all bytes have been read.
    pub fn free_buffers(&mut self) {
        self.head = Vec::new();
        self.body.release_if_empty();
    }
}

/// Maximum number of chunks of one read that JavaScript receives separately.
pub(crate) const MAX_SEPARATE_CHUNKS: u16 = 256;

/// Maximum capacity that the head buffer keeps for the next message, in bytes.
const MAX_KEPT_HEAD_CAPACITY: usize = 8_192;

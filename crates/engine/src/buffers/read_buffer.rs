//! A buffer for received bytes that are not processed yet: bytes that the guard cannot read yet,
//! and bodies that JavaScript cannot take yet.

use bytes::Bytes;

use super::sizes::MAX_RETAINED_READ_BUFFER_BYTES;

/// A byte queue: appended to at its end, consumed from its start. Each byte is moved at most twice.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    /// The offset of the first unread byte.
    read_position: usize,
}

impl ReadBuffer {
    /// Whether no bytes are unread.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of unread bytes.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.read_position
    }

    /// The unread bytes.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.read_position..]
    }

    /// Appends received bytes.
    pub fn push(&mut self, input: &[u8]) {
        self.tail_mut().extend_from_slice(input);
    }

    /// The vector to append to.
    pub fn tail_mut(&mut self) -> &mut Vec<u8> {
        // More bytes have been consumed than are moved, so a long pipeline of short requests costs
        // time linear in its length.
        if self.read_position > self.bytes.len() / 2 {
            self.bytes.drain(..self.read_position);
            self.read_position = 0;
        }
        &mut self.bytes
    }

    /// Frees the memory of an empty buffer.
    pub fn release_if_empty(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Consumes up to `limit` bytes and returns a copy of them.
    pub fn take(&mut self, limit: usize) -> Bytes {
        let chunk = Bytes::copy_from_slice(&self.unread()[..limit.min(self.len())]);
        self.consume(chunk.len());
        chunk
    }

    /// Marks the first `count` unread bytes as read.
    pub fn consume(&mut self, count: usize) {
        self.read_position += count;
        if self.read_position == self.bytes.len() {
            self.read_position = 0;
            self.bytes.clear();
            if self.bytes.capacity() > MAX_RETAINED_READ_BUFFER_BYTES {
                self.bytes = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_whatever_the_chunk_sizes() {
        let mut buffer = ReadBuffer::default();
        let (mut pushed, mut taken) = (0u32, 0u32);
        for round in 0..2_000u32 {
            for _ in 0..round % 7 {
                buffer.push(&pushed.to_le_bytes());
                pushed += 1;
            }
            for _ in 0..(round % 5).min(buffer.len() as u32 / 4) {
                assert_eq!(buffer.unread()[..4], taken.to_le_bytes());
                buffer.consume(4);
                taken += 1;
            }
            assert_eq!(buffer.len() as u32, (pushed - taken) * 4);
        }
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let mut buffer = ReadBuffer::default();
        buffer.push(&[0; 2 * MAX_RETAINED_READ_BUFFER_BYTES]);
        buffer.consume(2 * MAX_RETAINED_READ_BUFFER_BYTES);
        assert!(buffer.is_empty() && buffer.bytes.capacity() == 0);
    }
}

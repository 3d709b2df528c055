//! Bytes on their way through a connection: what the guard could not take yet, and bodies that JavaScript could not.

use bytes::Bytes;

/// A buffer that is filled behind and taken from in front, each byte moved at most twice.
#[derive(Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    /// What stands before it has been taken.
    at: usize,
}

impl ReadBuffer {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    pub fn push(&mut self, input: &[u8]) {
        self.tail_mut().extend_from_slice(input);
    }

    /// Where more is appended.
    pub fn tail_mut(&mut self) -> &mut Vec<u8> {
        // As much as is moved has been taken before: a long row of short requests costs no more than its length.
        if self.at > self.bytes.len() / 2 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        &mut self.bytes
    }

    /// Gives its memory back, if it is empty.
    pub fn release_if_empty(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Takes so many bytes at most.
    pub fn take(&mut self, most: usize) -> Bytes {
        let piece = Bytes::copy_from_slice(&self.unread()[..most.min(self.len())]);
        self.consume(piece.len());
        piece
    }

    /// The first `count` unread bytes have been taken.
    pub fn consume(&mut self, count: usize) {
        self.at += count;
        if self.at == self.bytes.len() {
            self.at = 0;
            self.bytes.clear();
            if self.bytes.capacity() > MAX_RETAINED_READ_BUFFER_BYTES {
                self.bytes = Vec::new();
            }
        }
    }
}

/// A larger buffer is given back once it is empty.
const MAX_RETAINED_READ_BUFFER_BYTES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_out_in_order_whatever_the_pieces() {
        let mut carry = ReadBuffer::default();
        let (mut pushed, mut taken) = (0u32, 0u32);
        for round in 0..2_000u32 {
            for _ in 0..round % 7 {
                carry.push(&pushed.to_le_bytes());
                pushed += 1;
            }
            for _ in 0..(round % 5).min(carry.len() as u32 / 4) {
                assert_eq!(carry.unread()[..4], taken.to_le_bytes());
                carry.consume(4);
                taken += 1;
            }
            assert_eq!(carry.len() as u32, (pushed - taken) * 4);
        }
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let mut carry = ReadBuffer::default();
        carry.push(&[0; 2 * MAX_RETAINED_READ_BUFFER_BYTES]);
        carry.consume(2 * MAX_RETAINED_READ_BUFFER_BYTES);
        assert!(carry.is_empty() && carry.bytes.capacity() == 0);
    }
}

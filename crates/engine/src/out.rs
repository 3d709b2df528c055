//! What a connection still has to send: small pieces gathered in one buffer, large ones kept as they came.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::stream::Stream;

/// The out queue of a connection. Its length is bounded by the credit that JavaScript respects.
#[derive(Default)]
pub(crate) struct Out {
    /// Pieces before `tail`, in order.
    queue: VecDeque<Bytes>,
    /// The newest bytes, still being added to.
    tail: Vec<u8>,
    /// How much of the front piece (or of `tail`, when the queue is empty) has been sent.
    sent: usize,
    len: usize,
}

impl Out {
    /// Bytes that have not been sent.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes through `write`, which appends to the buffer it is given.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.len += self.tail.len() - before;
    }

    /// Adds a piece without copying it when it is large enough to be worth a slice of its own.
    pub fn push(&mut self, piece: Bytes) {
        if piece.len() < COPY_BELOW {
            return self.append(|tail| tail.extend_from_slice(&piece));
        }
        if self.tail.len() > self.tail_sent() {
            let mut tail = std::mem::take(&mut self.tail);
            if self.queue.is_empty() && self.sent > 0 {
                tail.drain(..self.sent);
                self.sent = 0;
            }
            self.queue.push_back(Bytes::from(tail));
        } else {
            self.tail.clear();
            self.sent = 0;
        }
        self.len += piece.len();
        self.queue.push_back(piece);
    }

    /// Sends until nothing is left or the socket takes no more.
    pub fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.len > 0 {
            let count = if self.queue.is_empty() {
                stream.poll_write(cx, &[io::IoSlice::new(&self.tail[self.sent..])])
            } else {
                let mut slices = [io::IoSlice::new(&[]); MAX_SLICES];
                let mut used = 0;
                for (slot, piece) in slices.iter_mut().zip(&self.queue) {
                    let from = if used == 0 { self.sent } else { 0 };
                    *slot = io::IoSlice::new(&piece[from..]);
                    used += 1;
                }
                if used < MAX_SLICES && !self.tail.is_empty() {
                    slices[used] = io::IoSlice::new(&self.tail);
                    used += 1;
                }
                stream.poll_write(cx, &slices[..used])
            };
            match count {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.advance(count),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn tail_sent(&self) -> usize {
        if self.queue.is_empty() { self.sent } else { 0 }
    }

    fn advance(&mut self, mut count: usize) {
        self.len -= count;
        while let Some(front) = self.queue.front() {
            let left = front.len() - self.sent;
            if count < left {
                self.sent += count;
                return;
            }
            count -= left;
            self.sent = 0;
            self.queue.pop_front();
        }
        self.sent += count;
        if self.sent == self.tail.len() {
            self.sent = 0;
            self.tail.clear();
            if self.tail.capacity() > KEEP {
                self.tail = Vec::new();
            }
        }
    }
}

/// Copying fewer bytes costs less than a slice of their own.
const COPY_BELOW: usize = 4_096;
/// Slices of one `writev`.
const MAX_SLICES: usize = 16;
/// A larger buffer is given back once it is empty.
const KEEP: usize = 8_192;

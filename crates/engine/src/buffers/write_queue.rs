//! What a connection still has to send: small pieces gathered in one buffer, large ones kept as they came.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::transport::stream::Stream;

/// The out queue of a connection. Its length is bounded by the credit that JavaScript respects.
#[derive(Default)]
pub(crate) struct WriteQueue {
    /// Pieces before `tail`, in order.
    queue: VecDeque<QueuedChunk>,
    /// The newest bytes, still being added to.
    tail: Vec<u8>,
    /// How much of the front piece (or of `tail`, when the queue is empty) has been sent.
    sent: usize,
    len: usize,
    /// Of `len`, what is JavaScript's memory.
    borrowed_len: usize,
    /// Bytes that the socket has taken since it was opened.
    total_sent: u64,
}

/// A piece that is not copied into `tail`.
struct QueuedChunk {
    bytes: Bytes,
    /// It is JavaScript's memory, which is there whether we send it or not.
    is_borrowed: bool,
}

impl WriteQueue {
    /// Bytes that have not been sent.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that are held for what has not been sent.
    pub fn owned_len(&self) -> usize {
        self.len - self.borrowed_len
    }

    /// Bytes that the socket has taken so far.
    pub fn total_sent(&self) -> u64 {
        self.total_sent
    }

    /// Gives its memory back if nothing waits, and says so.
    pub fn release_if_empty(&mut self) -> bool {
        if self.is_empty() {
            *self = Self { total_sent: self.total_sent, ..Self::default() };
        }
        self.is_empty()
    }

    /// Adds bytes through `write`, which appends to the buffer it is given.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.len += self.tail.len() - before;
    }

    /// Adds a piece without copying it when it is large enough to be worth a slice of its own.
    pub fn push(&mut self, piece: Bytes) {
        if piece.len() < MIN_UNCOPIED_BYTES {
            return self.append(|tail| tail.extend_from_slice(&piece));
        }
        self.enqueue(piece, false);
    }

    /// Adds a piece of JavaScript's memory.
    pub fn push_borrowed(&mut self, piece: Bytes) {
        self.borrowed_len += piece.len();
        self.enqueue(piece, true);
    }

    fn enqueue(&mut self, bytes: Bytes, is_borrowed: bool) {
        // An empty tail is no reason to touch `sent`: that is the front piece's then.
        if !self.tail.is_empty() {
            if self.queue.is_empty() {
                self.drop_sent();
            }
            let tail = Bytes::from(std::mem::take(&mut self.tail));
            self.queue.push_back(QueuedChunk { bytes: tail, is_borrowed: false });
        }
        self.len += bytes.len();
        self.queue.push_back(QueuedChunk { bytes, is_borrowed });
    }

    /// Sends until nothing is left, the socket takes no more, or `most` bytes are sent and others have their turn.
    pub fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<()>> {
        let mut burst = 0;
        while self.len > 0 {
            if burst >= most {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // A socket takes megabytes in one call, which others would have to wait for.
            let mut slices = [io::IoSlice::new(&[]); MAX_SLICES];
            let used = self.next(most.min(MAX_WRITE_BYTES), &mut slices);
            match stream.poll_write(cx, &slices[..used]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    burst += count;
                    self.advance(count);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What is sent next, `room` bytes of it at most. Says how many of the slices it takes.
    fn next<'a>(&'a self, mut room: usize, slices: &mut [io::IoSlice<'a>; MAX_SLICES]) -> usize {
        let pieces = self.queue.iter().map(|piece| &piece.bytes[..]);
        let mut used = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces.chain([&self.tail[..]])) {
            let unsent = if used == 0 { &piece[self.sent..] } else { piece };
            let slice = &unsent[..unsent.len().min(room)];
            if slice.is_empty() {
                break;
            }
            *slot = io::IoSlice::new(slice);
            used += 1;
            room -= slice.len();
        }
        used
    }

    fn advance(&mut self, mut count: usize) {
        self.len -= count;
        self.total_sent += count as u64;
        while let Some(front) = self.queue.front() {
            let left = front.bytes.len() - self.sent;
            if front.is_borrowed {
                self.borrowed_len -= count.min(left);
            }
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
            if self.tail.capacity() > MAX_RETAINED_TAIL_BYTES {
                self.tail = Vec::new();
            }
        } else if self.sent >= MAX_RETAINED_TAIL_BYTES && self.sent >= self.tail.len() / 2 {
            // A client that is always a little behind must not make the buffer grow with all that it has read.
            self.drop_sent();
        }
    }

    /// Forgets the bytes of `tail` that have been sent, while nothing stands before it.
    fn drop_sent(&mut self) {
        self.tail.drain(..self.sent);
        self.sent = 0;
    }
}

/// Copying fewer bytes costs less than a slice of their own.
const MIN_UNCOPIED_BYTES: usize = 4_096;
/// Bytes of one call. The loopback has packets of 65,483 bytes, and calls that fill some of them and begin another with a few
/// bytes, as those of 64 or 128 KiB do, cost up to twice as much, since the client is woken for those too. So a call
/// ends short of the end of its second packet.
const MAX_WRITE_BYTES: usize = 122_880;
/// Slices of one `writev`.
const MAX_SLICES: usize = 16;
/// A larger buffer is given back once it is empty.
const MAX_RETAINED_TAIL_BYTES: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    /// What would be sent from here on.
    fn unsent(out: &WriteQueue) -> Vec<u8> {
        let mut all = out.queue.iter().map(|piece| &piece.bytes[..]).collect::<Vec<_>>();
        all.push(&out.tail);
        all.concat().split_off(out.sent)
    }

    #[test]
    fn a_large_piece_behind_a_half_sent_one_repeats_nothing() {
        let mut out = WriteQueue::default();
        out.push(Bytes::from(vec![1; MIN_UNCOPIED_BYTES]));
        out.advance(1_000);
        out.push(Bytes::from(vec![2; MIN_UNCOPIED_BYTES]));
        assert_eq!(out.len(), 2 * MIN_UNCOPIED_BYTES - 1_000);
        assert_eq!(
            unsent(&out),
            [vec![1; MIN_UNCOPIED_BYTES - 1_000], vec![2; MIN_UNCOPIED_BYTES]].concat()
        );
    }

    #[test]
    fn every_byte_is_sent_once_and_in_order() {
        let mut out = WriteQueue::default();
        let (mut model, mut random, mut next) = (Vec::new(), 0x9e37_79b9_7f4a_7c15_u64, 0u8);
        for _ in 0..2_000 {
            // xorshift: the same run each time.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let size = (random >> 8) as usize % (2 * MIN_UNCOPIED_BYTES);
            if random.is_multiple_of(5) || out.len() > 50_000 {
                let count = size.min(out.len());
                out.advance(count);
                model.drain(..count);
            } else {
                next = next.wrapping_add(1);
                let piece = vec![next; size];
                model.extend_from_slice(&piece);
                if random.is_multiple_of(2) {
                    out.push(Bytes::from(piece));
                } else if random.is_multiple_of(3) {
                    out.push_borrowed(Bytes::from(piece));
                } else {
                    out.append(|tail| tail.extend_from_slice(&piece));
                }
            }
            assert_eq!(out.len(), model.len());
            assert!(unsent(&out) == model);
            assert!(out.owned_len() <= out.len());
        }
    }

    #[test]
    fn a_call_sends_what_is_next_and_no_more_than_there_is_room_for() {
        let mut out = WriteQueue::default();
        let sent = |out: &WriteQueue, room| {
            let mut slices = [io::IoSlice::new(&[]); MAX_SLICES];
            let used = out.next(room, &mut slices);
            let sent: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
            assert!(unsent(out).starts_with(&sent));
            (used, sent.len())
        };
        out.append(|tail| tail.extend_from_slice(&[1; 100]));
        (2..5).for_each(|piece| out.push(Bytes::from(vec![piece; 65_536])));
        out.append(|tail| tail.extend_from_slice(&[5; 100]));
        out.advance(50);
        assert_eq!(sent(&out, 40), (1, 40));
        assert_eq!(sent(&out, 50), (1, 50));
        assert_eq!(sent(&out, MAX_WRITE_BYTES), (3, MAX_WRITE_BYTES));
        assert_eq!(sent(&out, 1 << 20), (5, out.len()));
        out.advance(out.len() - 30);
        assert_eq!(sent(&out, MAX_WRITE_BYTES), (1, 30));
        (0..40).for_each(|_| out.push(Bytes::from(vec![6; MIN_UNCOPIED_BYTES])));
        assert_eq!(sent(&out, 1 << 20), (MAX_SLICES, 30 + (MAX_SLICES - 1) * MIN_UNCOPIED_BYTES));
    }

    #[test]
    fn what_is_lent_is_not_held() {
        let mut out = WriteQueue::default();
        out.append(|tail| tail.extend_from_slice(&[1; 100]));
        out.push_borrowed(Bytes::from(vec![2; 10_000]));
        out.push(Bytes::from(vec![3; MIN_UNCOPIED_BYTES]));
        assert_eq!(
            (out.len(), out.owned_len()),
            (10_100 + MIN_UNCOPIED_BYTES, 100 + MIN_UNCOPIED_BYTES)
        );
        out.advance(5_000);
        assert_eq!((out.len(), out.owned_len()), (5_100 + MIN_UNCOPIED_BYTES, MIN_UNCOPIED_BYTES));
        out.advance(5_100);
        assert_eq!((out.len(), out.owned_len()), (MIN_UNCOPIED_BYTES, MIN_UNCOPIED_BYTES));
    }

    #[test]
    fn a_reader_that_is_always_behind_costs_no_more_than_it_is_behind() {
        let mut out = WriteQueue::default();
        out.append(|tail| tail.extend_from_slice(&[0; 1_000]));
        for _ in 0..10_000 {
            out.append(|tail| tail.extend_from_slice(&[0; 1_000]));
            out.advance(1_000);
        }
        assert!(out.tail.capacity() <= 8 * MAX_RETAINED_TAIL_BYTES, "{}", out.tail.capacity());
    }
}

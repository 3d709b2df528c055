//! The send queue of a connection. Short byte strings are gathered in one buffer; long ones are
//! queued without a copy.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::buffers::sizes::{
    MAX_RETAINED_TAIL_BYTES, MAX_SLICES, MAX_WRITE_BYTES, MIN_UNCOPIED_BYTES,
};
use crate::transport::stream::Stream;

/// The bytes that a connection still has to send. The credit that JavaScript keeps to bounds their
/// number.
#[derive(Default)]
pub(crate) struct WriteQueue {
    /// Chunks to send before `tail`, in order.
    chunks: VecDeque<QueuedChunk>,
    /// The newest bytes, still appended to.
    tail: Vec<u8>,
    /// How much of the first chunk (of `tail`, if there is no chunk) has been sent.
    front_sent: usize,
    /// Bytes that have not been sent.
    len: usize,
    /// The part of `len` that is JavaScript's memory.
    borrowed_len: usize,
    /// Bytes that the socket has taken since it was opened.
    total_sent: u64,
}

/// A chunk that is not copied into `tail`.
struct QueuedChunk {
    bytes: Bytes,
    /// The memory is JavaScript's, and exists whether it is sent or not.
    is_borrowed: bool,
}

impl WriteQueue {
    /// Bytes that have not been sent.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all bytes have been sent.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Unsent bytes in memory of the engine.
    pub fn owned_len(&self) -> usize {
        self.len - self.borrowed_len
    }

    /// Counts bytes that the socket has taken before this queue was created.
    pub fn set_total_sent(&mut self, bytes: u64) {
        self.total_sent = bytes;
    }

    /// Bytes that the socket has taken since it was opened.
    pub fn total_sent(&self) -> u64 {
        self.total_sent
    }

    /// Frees the memory of an empty queue. Returns whether the queue is empty.
    pub fn release_if_empty(&mut self) -> bool {
        if self.is_empty() {
            *self = Self { total_sent: self.total_sent, ..Self::default() };
        }
        self.is_empty()
    }

    /// Appends the bytes that `write` adds to the buffer it is given.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.len += self.tail.len() - before;
    }

    /// Appends a chunk, without a copy if it is long enough for a slice of its own.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.len() < MIN_UNCOPIED_BYTES {
            return self.append(|tail| tail.extend_from_slice(&chunk));
        }
        self.enqueue(chunk, false);
    }

    /// Appends a chunk of JavaScript's memory, without a copy.
    pub fn push_borrowed(&mut self, chunk: Bytes) {
        self.borrowed_len += chunk.len();
        self.enqueue(chunk, true);
    }

    fn enqueue(&mut self, bytes: Bytes, is_borrowed: bool) {
        // With an empty `tail`, `front_sent` belongs to the first chunk and must stay.
        if !self.tail.is_empty() {
            if self.chunks.is_empty() {
                self.discard_sent_tail();
            }
            let tail = Bytes::from(std::mem::take(&mut self.tail));
            self.chunks.push_back(QueuedChunk { bytes: tail, is_borrowed: false });
        }
        self.len += bytes.len();
        self.chunks.push_back(QueuedChunk { bytes, is_borrowed });
    }

    /// Sends until the queue is empty, the socket takes no more, or `limit` bytes are sent and
    /// other tasks get their turn.
    pub fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<io::Result<()>> {
        let mut burst = 0;
        while self.len > 0 {
            if burst >= limit {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // A socket takes megabytes in one call, for which other connections would have to wait.
            let mut slices = [io::IoSlice::new(&[]); MAX_SLICES];
            let used = self.fill_slices(limit.min(MAX_WRITE_BYTES), &mut slices);
            match stream.poll_write(cx, &slices[..used]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    burst += count;
                    self.mark_sent(count);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Fills `slices` with the bytes to send next, at most `room` bytes. Returns the number of
    /// slices used.
    fn fill_slices<'a>(
        &'a self,
        mut room: usize,
        slices: &mut [io::IoSlice<'a>; MAX_SLICES],
    ) -> usize {
        let chunks = self.chunks.iter().map(|chunk| &chunk.bytes[..]);
        let mut used = 0;
        for (slot, chunk) in slices.iter_mut().zip(chunks.chain([&self.tail[..]])) {
            let unsent = if used == 0 { &chunk[self.front_sent..] } else { chunk };
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

    fn mark_sent(&mut self, mut count: usize) {
        self.len -= count;
        self.total_sent += count as u64;
        while let Some(front) = self.chunks.front() {
            let left = front.bytes.len() - self.front_sent;
            if front.is_borrowed {
                self.borrowed_len -= count.min(left);
            }
            if count < left {
                self.front_sent += count;
                return;
            }
            count -= left;
            self.front_sent = 0;
            self.chunks.pop_front();
        }
        self.front_sent += count;
        if self.front_sent == self.tail.len() {
            self.front_sent = 0;
            self.tail.clear();
            if self.tail.capacity() > MAX_RETAINED_TAIL_BYTES {
                self.tail = Vec::new();
            }
        } else if self.front_sent >= MAX_RETAINED_TAIL_BYTES
            && self.front_sent >= self.tail.len() / 2
        {
            // A client that always lags a little must not make the buffer grow by all that it has
            // read.
            self.discard_sent_tail();
        }
    }

    /// Drops the bytes of `tail` that have been sent. Called only while there is no chunk before
    /// it.
    fn discard_sent_tail(&mut self) {
        self.tail.drain(..self.front_sent);
        self.front_sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that would be sent from here on.
    fn unsent(out: &WriteQueue) -> Vec<u8> {
        let mut all = out.chunks.iter().map(|chunk| &chunk.bytes[..]).collect::<Vec<_>>();
        all.push(&out.tail);
        all.concat().split_off(out.front_sent)
    }

    #[test]
    fn a_large_chunk_after_a_half_sent_one_repeats_nothing() {
        let mut out = WriteQueue::default();
        out.push(Bytes::from(vec![1; MIN_UNCOPIED_BYTES]));
        out.mark_sent(1_000);
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
            // xorshift: the same sequence in each run.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let size = (random >> 8) as usize % (2 * MIN_UNCOPIED_BYTES);
            if random.is_multiple_of(5) || out.len() > 50_000 {
                let count = size.min(out.len());
                out.mark_sent(count);
                model.drain(..count);
            } else {
                next = next.wrapping_add(1);
                let chunk = vec![next; size];
                model.extend_from_slice(&chunk);
                if random.is_multiple_of(2) {
                    out.push(Bytes::from(chunk));
                } else if random.is_multiple_of(3) {
                    out.push_borrowed(Bytes::from(chunk));
                } else {
                    out.append(|tail| tail.extend_from_slice(&chunk));
                }
            }
            assert_eq!(out.len(), model.len());
            assert!(unsent(&out) == model);
            assert!(out.owned_len() <= out.len());
        }
    }

    #[test]
    fn slices_hold_the_next_bytes_and_no_more_than_the_room() {
        let mut out = WriteQueue::default();
        let sent = |out: &WriteQueue, room| {
            let mut slices = [io::IoSlice::new(&[]); MAX_SLICES];
            let used = out.fill_slices(room, &mut slices);
            let sent: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
            assert!(unsent(out).starts_with(&sent));
            (used, sent.len())
        };
        out.append(|tail| tail.extend_from_slice(&[1; 100]));
        (2..5).for_each(|chunk| out.push(Bytes::from(vec![chunk; 65_536])));
        out.append(|tail| tail.extend_from_slice(&[5; 100]));
        out.mark_sent(50);
        assert_eq!(sent(&out, 40), (1, 40));
        assert_eq!(sent(&out, 50), (1, 50));
        assert_eq!(sent(&out, MAX_WRITE_BYTES), (3, MAX_WRITE_BYTES));
        assert_eq!(sent(&out, 1 << 20), (5, out.len()));
        out.mark_sent(out.len() - 30);
        assert_eq!(sent(&out, MAX_WRITE_BYTES), (1, 30));
        (0..40).for_each(|_| out.push(Bytes::from(vec![6; MIN_UNCOPIED_BYTES])));
        assert_eq!(sent(&out, 1 << 20), (MAX_SLICES, 30 + (MAX_SLICES - 1) * MIN_UNCOPIED_BYTES));
    }

    #[test]
    fn borrowed_bytes_are_not_counted_as_owned() {
        let mut out = WriteQueue::default();
        out.append(|tail| tail.extend_from_slice(&[1; 100]));
        out.push_borrowed(Bytes::from(vec![2; 10_000]));
        out.push(Bytes::from(vec![3; MIN_UNCOPIED_BYTES]));
        assert_eq!(
            (out.len(), out.owned_len()),
            (10_100 + MIN_UNCOPIED_BYTES, 100 + MIN_UNCOPIED_BYTES)
        );
        out.mark_sent(5_000);
        assert_eq!((out.len(), out.owned_len()), (5_100 + MIN_UNCOPIED_BYTES, MIN_UNCOPIED_BYTES));
        out.mark_sent(5_100);
        assert_eq!((out.len(), out.owned_len()), (MIN_UNCOPIED_BYTES, MIN_UNCOPIED_BYTES));
    }

    #[test]
    fn a_slow_reader_costs_memory_only_for_its_lag() {
        let mut out = WriteQueue::default();
        out.append(|tail| tail.extend_from_slice(&[0; 1_000]));
        for _ in 0..10_000 {
            out.append(|tail| tail.extend_from_slice(&[0; 1_000]));
            out.mark_sent(1_000);
        }
        assert!(out.tail.capacity() <= 8 * MAX_RETAINED_TAIL_BYTES, "{}", out.tail.capacity());
    }
}

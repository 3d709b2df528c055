//! The events of one turn of the I/O thread on their way to JavaScript: one latin1 text of records,
//! and the chunks of request bodies that the records refer to.
//!
//! A text costs one call to create, whatever its size. JavaScript reads numbers out of it with
//! `charCodeAt` and slices strings out of it only when the application asks for them. The layout of
//! the records is in [`wire`](crate::bridge::wire).

mod records;

use std::ops::Range;

use bytes::Bytes;

use crate::bridge::wire::{CHUNK_LENGTH_BYTES, PART_BYTES, event};
use crate::buffers::sizes::MAX_RETAINED_BATCH_BYTES;

pub(crate) use self::records::ConnectionInfo;

/// Events for JavaScript.
#[derive(Debug, Default)]
pub struct EventBatch {
    /// The records.
    pub text: Vec<u8>,
    /// Chunks of request bodies, in the order in which the records refer to them.
    chunks: Vec<StoredChunk>,
    /// The bytes of the short chunks.
    short: Vec<u8>,
    /// The requests: until JavaScript takes the batch, one may be withdrawn.
    requests: Vec<RequestStart>,
    /// Since when the requests wait for JavaScript.
    arrivals: Vec<Arrival>,
    /// Total size of the chunks in bytes.
    chunk_bytes: usize,
}

/// Where the record of a request begins.
#[derive(Debug)]
struct RequestStart {
    id: u32,
    /// Position in the text.
    at: u32,
    /// Number of chunks before it.
    chunk: u32,
}

/// Requests that began to wait for JavaScript at about the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Arrival {
    /// When they began to wait, on the monotonic clock.
    pub at_us: u64,
    /// Number of requests.
    pub count: u64,
}

/// A position in a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BatchPosition {
    /// Bytes of text before it.
    pub text: usize,
    /// Number of chunks before it.
    pub chunks: usize,
}

/// A chunk of a request body.
#[derive(Debug)]
pub enum BodyChunk<'a> {
    /// At most `SHORT_CHUNK` bytes, to be copied.
    Short(&'a [u8]),
    /// Memory that nothing else refers to.
    Own(Bytes),
}

/// A chunk as the batch holds it. The memory of a short chunk would be allocated by one thread and
/// freed by another, which costs more than a copy.
#[derive(Debug)]
enum StoredChunk {
    /// A range of `short`.
    Short(Range<usize>),
    Own(Bytes),
}

impl EventBatch {
    /// Returns the chunk with this number, from 0, and removes it from the batch if it has its own
    /// memory.
    pub fn take_chunk(&mut self, number: usize) -> BodyChunk<'_> {
        match self.chunks.get_mut(number) {
            Some(StoredChunk::Short(range)) => BodyChunk::Short(&self.short[range.clone()]),
            Some(StoredChunk::Own(bytes)) => BodyChunk::Own(std::mem::take(bytes)),
            None => BodyChunk::Short(&[]),
        }
    }

    /// Copies chunks from `number` to `end` into `room`, each after its length, up to the first one
    /// that does not fit or is not short. Returns their number.
    #[must_use]
    pub fn copy_short_chunks(&self, number: usize, end: usize, room: &mut [u8]) -> usize {
        let chunks = self.chunks.get(number..end.min(self.chunks.len())).unwrap_or_default();
        let mut at = 0;
        for (count, chunk) in chunks.iter().enumerate() {
            let StoredChunk::Short(range) = chunk else { return count };
            let bytes = &self.short[range.clone()];
            let end = at + CHUNK_LENGTH_BYTES + bytes.len();
            let Some(room) = room.get_mut(at..end) else { return count };
            let (length, rest) = room.split_at_mut(CHUNK_LENGTH_BYTES);
            length.copy_from_slice(&(bytes.len() as u16).to_le_bytes());
            rest.copy_from_slice(bytes);
            at = end;
        }
        chunks.len()
    }

    /// Returns the number of chunks.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Returns whether the batch has no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Finds the end of the part of the text that begins at `from`: the first request after
    /// [`PART_BYTES`]. JavaScript gets each part as one text, which lives as long as any string
    /// that was sliced out of it.
    #[must_use]
    pub fn find_part_end(&self, from: usize) -> BatchPosition {
        let next =
            self.requests.partition_point(|request| (request.at as usize) < from + PART_BYTES);
        let end = BatchPosition { text: self.text.len(), chunks: self.chunks.len() };
        self.requests.get(next).map_or(end, |request| BatchPosition {
            text: request.at as usize,
            chunks: request.chunk as usize,
        })
    }

    /// Returns the size of the text and the chunks in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.text.len() + self.chunk_bytes
    }

    /// Empties the batch. Its memory is kept up to [`MAX_RETAINED_BATCH_BYTES`].
    pub fn clear(&mut self) {
        self.arrivals.clear();
        self.text.clear();
        self.chunks.clear();
        self.short.clear();
        self.requests.clear();
        self.chunk_bytes = 0;
        for bytes in [&mut self.text, &mut self.short] {
            if bytes.capacity() > MAX_RETAINED_BATCH_BYTES {
                *bytes = Vec::new();
            }
        }
    }

    /// Notes that the requests of this turn begin to wait for JavaScript now.
    pub(crate) fn note_arrival(&mut self, at_us: u64) {
        let count = self.requests.len() as u64;
        if count > 0 {
            self.arrivals.push(Arrival { at_us, count });
        }
    }

    /// Returns since when the requests of this batch have waited for JavaScript.
    pub(crate) fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// Adds arrivals of a later turn. While JavaScript is blocked, those of one millisecond are one
    /// entry, and beyond [`MAX_ARRIVALS`] the last entry has all.
    fn append_arrivals(&mut self, later: &[Arrival]) {
        for arrival in later {
            let is_full = self.arrivals.len() >= MAX_ARRIVALS;
            match self.arrivals.last_mut() {
                Some(last) if is_full || arrival.at_us < last.at_us + MERGED_ARRIVALS_US => {
                    last.count += arrival.count;
                }
                _ => self.arrivals.push(*arrival),
            }
        }
    }

    /// Moves the events of `other` to the end of this batch.
    pub fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
        } else {
            let (before, chunks) = (self.text.len() as u32, self.chunks.len() as u32);
            self.requests.extend(other.requests.iter().map(|&RequestStart { id, at, chunk }| {
                RequestStart { id, at: at + before, chunk: chunk + chunks }
            }));
            self.append_arrivals(&other.arrivals);
            self.text.extend_from_slice(&other.text);
            let before = self.short.len();
            self.short.extend_from_slice(&other.short);
            self.chunks.extend(other.chunks.drain(..).map(|chunk| match chunk {
                StoredChunk::Short(range) => {
                    StoredChunk::Short(range.start + before..range.end + before)
                }
                own @ StoredChunk::Own(_) => own,
            }));
            self.chunk_bytes += other.chunk_bytes;
        }
        other.clear();
    }

    /// Marks a request as withdrawn, so that JavaScript skips it. Returns whether it is in this
    /// batch.
    pub(crate) fn withdraw(&mut self, id: u32) -> bool {
        let Some(start) = self.requests.iter().find(|request| request.id == id) else {
            return false;
        };
        self.text[start.at as usize] = event::WITHDRAWN;
        true
    }
}

/// Maximum number of entries of [`EventBatch::arrivals`].
const MAX_ARRIVALS: usize = 4_096;
/// Requests that arrive within this time of each other can be one entry.
const MERGED_ARRIVALS_US: u64 = 1_000;

/// How the body of a request is passed to JavaScript.
pub(crate) enum RequestBody<'a> {
    /// The request has no body.
    None,
    /// The whole body is in the batch of the request, and no longer than `SHORT_CHUNK`.
    Short(&'a [u8]),
    /// The whole body is in the batch of the request.
    Whole(Bytes),
    /// The body follows in `DATA` events.
    Streams,
}

#[cfg(test)]
mod tests;

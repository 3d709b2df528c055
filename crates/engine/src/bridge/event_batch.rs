//! The events of one turn of the I/O thread on their way to JavaScript: one latin1 text of records,
//! and the chunks of request bodies that the records refer to.
//!
//! A text costs one call to create, whatever its size. JavaScript reads numbers out of it with
//! `charCodeAt` and slices strings out of it only when the application asks for them. The layout of
//! the records is in [`wire`](crate::bridge::wire).

mod records;

use std::ops::Range;

use bytes::Bytes;

use crate::bridge::wire::{CHUNK_LENGTH_BYTES, event};
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
    /// The requests. The queue keeps those of a batch that JavaScript has taken.
    pub(super) requests: Vec<RequestStart>,
    /// Total size of the chunks in bytes.
    chunk_bytes: usize,
}

/// A request that waits for JavaScript, and where its record begins.
#[derive(Debug, Default)]
pub(super) struct RequestStart {
    pub id: u32,
    /// Position in the text.
    pub at: u32,
    /// Number of chunks before it.
    pub chunk: u32,
    /// When it began to wait, on the monotonic clock.
    pub arrived_us: u64,
    /// Whether JavaScript must skip it.
    pub is_withdrawn: bool,
}

impl RequestStart {
    pub fn position(&self) -> BatchPosition {
        BatchPosition { text: self.at as usize, chunks: self.chunk as usize }
    }
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

    /// Returns the size of the text and the chunks in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.text.len() + self.chunk_bytes
    }

    /// Empties the batch. Its memory is kept up to [`MAX_RETAINED_BATCH_BYTES`].
    pub fn clear(&mut self) {
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

    /// Moves the events of `other` to the end of this batch.
    pub fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
        } else {
            let (before, chunks) = (self.text.len() as u32, self.chunks.len() as u32);
            self.requests.extend(other.requests.drain(..).map(|start| RequestStart {
                at: start.at + before,
                chunk: start.chunk + chunks,
                ..start
            }));
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

    /// Withdraws a request of a batch that JavaScript cannot take yet. Returns whether it is in it.
    pub(super) fn withdraw(&mut self, id: u32) -> bool {
        let start = self.requests.iter_mut().find(|request| request.id == id);
        start.map(|request| request.is_withdrawn = true).is_some()
    }

    /// Marks the record of a withdrawn request, so that JavaScript skips it.
    pub(super) fn mark_withdrawn(&mut self, request: &RequestStart) {
        self.text[request.at as usize] = event::WITHDRAWN;
    }
}

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

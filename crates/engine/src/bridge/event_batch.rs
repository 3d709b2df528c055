//! The events of one turn of the I/O thread on their way to JavaScript: one latin1 text of records,
//! and the chunks of request bodies that the records refer to.
//!
//! A text costs one call to create, whatever its size. JavaScript reads numbers out of it with
//! `charCodeAt` and slices strings out of it only when the application asks for them. The layout of
//! the records is in [`wire`](crate::bridge::wire).

use std::ops::Range;

use bytes::Bytes;

use crate::bridge::wire::{
    BODY_KIND_SHIFT, CHUNK_LENGTH_BYTES, CLIENT_ADDRESS_LENGTH_AT, CLIENT_FAMILY_AT,
    CLIENT_INFO_BYTES, CLIENT_PORT_AT, CLIENT_ROOT_PATH_LENGTH_AT, CLIENT_SECURE_AT,
    CONNECTION_KIND_AT, CONNECTION_LOCAL_LENGTH_AT, CONNECTION_LOCAL_PORT_AT,
    CONNECTION_REMOTE_LENGTH_AT, CONNECTION_REMOTE_PORT_AT, CONNECTION_SERVER_AT,
    CONNECTION_TEXTS_AT, EVENT_BYTES, EVENT_ID_AT, METHODS, PART_BYTES, REFUSED_BYTES,
    REFUSED_KIND_AT, REQUEST_CONNECTION_AT, REQUEST_FIELD_COUNT_AT, REQUEST_FLAGS_AT,
    REQUEST_LENGTH_AT, REQUEST_LENGTHS_AT, REQUEST_METHOD_AT, REQUEST_TARGET_LENGTH_AT, TEXT_AT,
    TEXT_LENGTH_AT, body_kind, connection_kind, event, request_flag,
};
use crate::exchange::request_head::{RequestHead, RootPath};
use crate::guard::parse_policy::ParsePolicy;
use crate::transport::tls::{TlsStream, write_tls_info};

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
    /// At most [`SHORT`] bytes, to be copied.
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

    /// Empties the batch. Its memory is kept up to [`KEPT_BYTES`].
    pub fn clear(&mut self) {
        self.text.clear();
        self.chunks.clear();
        self.short.clear();
        self.requests.clear();
        self.chunk_bytes = 0;
        for bytes in [&mut self.text, &mut self.short] {
            if bytes.capacity() > KEPT_BYTES {
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
            self.requests.extend(other.requests.iter().map(|&RequestStart { id, at, chunk }| {
                RequestStart { id, at: at + before, chunk: chunk + chunks }
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

    /// Marks a request as withdrawn, so that JavaScript skips it. Returns whether it is in this
    /// batch.
    pub(crate) fn withdraw(&mut self, id: u32) -> bool {
        let Some(start) = self.requests.iter().find(|request| request.id == id) else {
            return false;
        };
        self.text[start.at as usize] = event::WITHDRAWN;
        true
    }

    /// Adds a connection, which is reported before its first request.
    pub(crate) fn push_connection(&mut self, id: u32, server_id: u32, info: &ConnectionInfo<'_>) {
        let mut fixed = fixed_part::<CONNECTION_TEXTS_AT>(event::CONNECTION, id);
        put_u32(&mut fixed, CONNECTION_SERVER_AT, server_id);
        fixed[CONNECTION_KIND_AT] = info.family
            | flag(info.secure.is_some(), connection_kind::TLS)
            | flag(info.http2, connection_kind::HTTP2);
        put_u16(&mut fixed, CONNECTION_REMOTE_PORT_AT, info.remote_port);
        put_u16(&mut fixed, CONNECTION_LOCAL_PORT_AT, info.local_port);
        fixed[CONNECTION_REMOTE_LENGTH_AT] = info.remote.len() as u8;
        fixed[CONNECTION_LOCAL_LENGTH_AT] = info.local.len() as u8;
        self.text.extend_from_slice(&fixed);
        self.text.extend_from_slice(info.remote.as_bytes());
        self.text.extend_from_slice(info.local.as_bytes());
        if let Some(stream) = info.secure {
            write_tls_info(stream, &mut self.text);
        }
    }

    /// Adds the end of a reported connection.
    pub(crate) fn push_connection_closed(&mut self, id: u32) {
        self.push_event(event::CONNECTION_CLOSED, id);
    }

    /// Adds a request. The spans of `head` are ranges of `bytes`; `ahead` has arrived after the
    /// head of a request that asks for an upgrade.
    pub(crate) fn push_request(
        &mut self,
        (id, connection): (u32, u32),
        head: &RequestHead,
        bytes: &[u8],
        body: RequestBody<'_>,
        ahead: Option<Bytes>,
        policy: &ParsePolicy,
    ) {
        let (at, chunk) = (self.text.len() as u32, self.chunks.len() as u32);
        self.requests.push(RequestStart { id, at, chunk });
        let body_kind = match &body {
            RequestBody::None => body_kind::NONE,
            RequestBody::Short(_) | RequestBody::Whole(_) => body_kind::WHOLE,
            RequestBody::Streams => body_kind::STREAMED,
        };
        match body {
            RequestBody::Short(whole) => self.push_short_chunk(whole),
            RequestBody::Whole(whole) => self.push_chunk(whole),
            RequestBody::None | RequestBody::Streams => {}
        }
        let has_client_info =
            head.is_secure || head.client_addr.is_some() || head.root_path != RootPath::Root;
        let method = head.method.of(bytes);
        let known = METHODS.iter().position(|known| known.as_bytes() == method).unwrap_or(0);
        let mut fixed = fixed_part::<REQUEST_LENGTHS_AT>(event::REQUEST, id);
        put_u32(&mut fixed, REQUEST_CONNECTION_AT, connection);
        fixed[REQUEST_FLAGS_AT] = flag(head.minor_version == 1, request_flag::MINOR_VERSION)
            | flag(head.allows_keep_alive, request_flag::KEEP_ALIVE)
            | flag(head.is_upgrade, request_flag::UPGRADE)
            | flag(ahead.is_some(), request_flag::AHEAD)
            | flag(head.has_expect, request_flag::EXPECTS)
            | flag(has_client_info, request_flag::CLIENT_INFO)
            | body_kind << BODY_KIND_SHIFT;
        fixed[REQUEST_METHOD_AT] = known as u8;
        put_u16(&mut fixed, REQUEST_TARGET_LENGTH_AT, head.target.len() as u16);
        put_u16(&mut fixed, REQUEST_FIELD_COUNT_AT, head.fields.len() as u16);
        if let Some(bytes) = ahead {
            self.push_chunk(bytes);
        }
        self.text.extend_from_slice(&fixed);
        if known == 0 {
            self.push_u16(method.len() as u16);
        }
        for (name, value) in &head.fields {
            self.push_u16(name.len() as u16);
            self.push_u16(value.len() as u16);
        }
        if known == 0 {
            self.text.extend_from_slice(method);
        }
        self.text.extend_from_slice(head.target.of(bytes));
        for (name, value) in &head.fields {
            self.text.extend_from_slice(name.of(bytes));
            self.text.extend_from_slice(value.of(bytes));
        }
        if has_client_info {
            self.push_client_info(head, bytes, policy);
        }
        // With its length, JavaScript can skip a record without reading its fields.
        let record = &mut self.text[at as usize..];
        let length = (record.len() - REQUEST_CONNECTION_AT) as u32;
        put_u32(record, REQUEST_LENGTH_AT, length);
    }

    /// Adds what a trusted proxy sent about the client, and the root path. JavaScript finds them
    /// from the end of the record; most requests have neither.
    fn push_client_info(&mut self, head: &RequestHead, bytes: &[u8], policy: &ParsePolicy) {
        let root_path = match head.root_path {
            RootPath::Root => &[][..],
            RootPath::Configured => &policy.root_path,
            RootPath::FromProxy(span) => span.of(bytes),
        };
        let ip = head.client_addr.map(|client| client.ip().to_canonical());
        let address = ip.map(|ip| ip.to_string()).unwrap_or_default();
        let mut fixed = [0; CLIENT_INFO_BYTES];
        fixed[CLIENT_FAMILY_AT] = ip.map_or(0, |ip| if ip.is_ipv4() { 4 } else { 6 });
        let port = head.client_addr.map_or(0, |client| client.port());
        put_u16(&mut fixed, CLIENT_PORT_AT, port);
        fixed[CLIENT_SECURE_AT] = u8::from(head.is_secure);
        fixed[CLIENT_ADDRESS_LENGTH_AT] = address.len() as u8;
        put_u16(&mut fixed, CLIENT_ROOT_PATH_LENGTH_AT, root_path.len() as u16);
        self.text.extend_from_slice(address.as_bytes());
        self.text.extend_from_slice(root_path);
        self.text.extend_from_slice(&fixed);
    }

    /// Adds a chunk of a streamed request body.
    pub(crate) fn push_data(&mut self, id: u32, chunk: Bytes) {
        self.push_event(event::DATA, id);
        self.push_chunk(chunk);
    }

    /// Adds the end of a streamed request body, with its raw trailer lines.
    pub(crate) fn push_end(&mut self, id: u32, trailers: &[u8]) {
        self.push_text(event::END, id, trailers);
    }

    /// Reports that everything written before a `NOTIFY` record has been sent.
    pub(crate) fn push_drained(&mut self, id: u32) {
        self.push_event(event::DRAINED, id);
    }

    /// Reports that the client has disconnected, or that its body was malformed.
    pub(crate) fn push_aborted(&mut self, id: u32) {
        self.push_event(event::ABORTED, id);
    }

    /// Reports that the HTTP/2 stream of an exchange is closed.
    pub(crate) fn push_stream_closed(&mut self, id: u32) {
        self.push_event(event::STREAM_CLOSED, id);
    }

    /// Reports that a draining engine has no connection left.
    pub(crate) fn push_idle(&mut self) {
        self.push_event(event::IDLE, 0);
    }

    /// Reports that the engine has refused a request of a connection; `packet` has the bytes of the
    /// request that were read.
    pub(crate) fn push_refusal(&mut self, connection: u32, kind: u8, packet: Bytes) {
        let mut fixed = fixed_part::<REFUSED_BYTES>(event::REFUSED, connection);
        fixed[REFUSED_KIND_AT] = kind;
        self.text.extend_from_slice(&fixed);
        self.push_chunk(packet);
    }

    /// Adds a message for the error log, cut to 1000 bytes.
    pub(crate) fn push_fault(&mut self, text: &str) {
        self.push_text(event::FAULT, 0, &text.as_bytes()[..text.len().min(1_000)]);
    }

    fn push_text(&mut self, kind: u8, id: u32, text: &[u8]) {
        let mut fixed = fixed_part::<TEXT_AT>(kind, id);
        put_u16(&mut fixed, TEXT_LENGTH_AT, text.len() as u16);
        self.text.extend_from_slice(&fixed);
        self.text.extend_from_slice(text);
    }

    fn push_event(&mut self, kind: u8, id: u32) {
        self.text.extend_from_slice(&fixed_part::<EVENT_BYTES>(kind, id));
    }

    fn push_chunk(&mut self, chunk: Bytes) {
        if chunk.len() <= SHORT {
            return self.push_short_chunk(&chunk);
        }
        self.chunk_bytes += chunk.len();
        self.chunks.push(StoredChunk::Own(chunk));
    }

    fn push_short_chunk(&mut self, chunk: &[u8]) {
        self.chunk_bytes += chunk.len();
        let start = self.short.len();
        self.short.extend_from_slice(chunk);
        self.chunks.push(StoredChunk::Short(start..self.short.len()));
    }

    fn push_u16(&mut self, value: u16) {
        self.text.extend_from_slice(&value.to_le_bytes());
    }
}

/// Makes the fixed part of a record, with its kind and id.
fn fixed_part<const SIZE: usize>(kind: u8, id: u32) -> [u8; SIZE] {
    let mut fixed = [0; SIZE];
    fixed[0] = kind;
    put_u32(&mut fixed, EVENT_ID_AT, id);
    fixed
}

fn put_u16(record: &mut [u8], at: usize, value: u16) {
    record[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn put_u32(record: &mut [u8], at: usize, value: u32) {
    record[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

/// How the body of a request is passed to JavaScript.
pub(crate) enum RequestBody<'a> {
    /// The request has no body.
    None,
    /// The whole body is in the batch of the request, and no longer than [`SHORT`].
    Short(&'a [u8]),
    /// The whole body is in the batch of the request.
    Whole(Bytes),
    /// The body follows in `DATA` events.
    Streams,
}

/// What JavaScript may ask about a connection.
pub(crate) struct ConnectionInfo<'a> {
    /// The address family: 4, 6, or 0 for a Unix socket.
    pub family: u8,
    pub remote: &'a str,
    pub remote_port: u16,
    pub local: &'a str,
    pub local_port: u16,
    /// The TLS state of an encrypted connection.
    pub secure: Option<&'a TlsStream>,
    /// Whether each request of the connection is an HTTP/2 stream.
    pub http2: bool,
}

/// Maximum size in bytes of a chunk that is copied.
pub(crate) const SHORT: usize = 4_096;
/// Maximum capacity in bytes of a buffer that an empty batch keeps; a flood can make it larger.
const KEPT_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_with_the_next_request_after_its_size() {
        let begun = |id, at, chunk| RequestStart { id, at, chunk };
        let requests = vec![begun(1, 0, 0), begun(2, 1_000, 1), begun(3, 5_000, 2)];
        let mut batch = EventBatch { text: vec![0; 10_000], requests, ..EventBatch::default() };
        for _ in 0..4 {
            batch.push_chunk(Bytes::from_static(b"body"));
        }
        let end = BatchPosition { text: 10_000, chunks: 4 };
        assert_eq!(batch.find_part_end(0), BatchPosition { text: 5_000, chunks: 2 });
        assert_eq!(batch.find_part_end(5_000), end);
        batch.requests.clear();
        assert_eq!(batch.find_part_end(0), end);
        batch.clear();
        assert_eq!(batch.find_part_end(0), BatchPosition::default());
    }

    #[test]
    fn short_chunks_are_copied_as_far_as_there_is_room() {
        let mut batch = EventBatch::default();
        batch.push_chunk(Bytes::from_static(b"one"));
        batch.push_chunk(Bytes::from_static(b""));
        batch.push_chunk(Bytes::from_static(b"three"));
        batch.push_chunk(Bytes::from(vec![0; SHORT + 1]));
        batch.push_chunk(Bytes::from_static(b"five"));
        let mut room = [0xff; 13];
        assert_eq!(batch.copy_short_chunks(0, 5, &mut room), 2);
        assert_eq!(room[..8], *b"\x03\0one\0\0\xff");
        let mut room = [0xff; 64];
        assert_eq!(batch.copy_short_chunks(0, 5, &mut room), 3);
        assert_eq!(batch.copy_short_chunks(0, 1, &mut room), 1);
        assert_eq!(batch.copy_short_chunks(3, 5, &mut room), 0);
        assert_eq!(batch.copy_short_chunks(4, 9, &mut room), 1);
        assert_eq!(batch.copy_short_chunks(6, 5, &mut room), 0);
        assert_eq!(room[..6], *b"\x04\0five");
    }

    #[test]
    fn an_appended_batch_keeps_its_requests_and_chunks_in_place() {
        let mut first = EventBatch::default();
        first.push_chunk(Bytes::from_static(b"one"));
        first.text.extend_from_slice(&[1; 6_000]);
        let mut second = EventBatch { text: vec![2; 10], ..EventBatch::default() };
        second.push_chunk(Bytes::from_static(b"two"));
        second.requests.push(RequestStart { id: 7, at: 4, chunk: 1 });
        first.append(&mut second);
        assert_eq!(first.find_part_end(0), BatchPosition { text: 6_004, chunks: 2 });
        let mut room = [0; 16];
        assert_eq!(first.copy_short_chunks(0, 2, &mut room), 2);
        assert_eq!(room[..10], *b"\x03\0one\x03\0two");
    }
}

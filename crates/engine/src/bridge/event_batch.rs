//! What crosses to JavaScript: the events of one turn of the I/O thread, as one latin1 text and the body pieces.
//!
//! A text costs one call to make, whatever it holds; JavaScript reads numbers out of it with `charCodeAt` and cuts
//! strings out of it only when somebody asks. `ts/engine/native/wire.ts` reads what is written here. All numbers are
//! little-endian.

use std::ops::Range;

use bytes::Bytes;

use crate::exchange::request_head::{RequestHead, RootPath};
use crate::guard::parse_policy::ParsePolicy;
use crate::transport::tls::{TlsStream, write_tls_info};

/// Events on their way to JavaScript.
#[derive(Debug, Default)]
pub struct EventBatch {
    /// The records.
    pub text: Vec<u8>,
    /// Pieces of request bodies, in the order in which the records refer to them.
    chunks: Vec<StoredChunk>,
    /// The bytes of those that are short.
    short: Vec<u8>,
    /// The requests, and where their records begin: until JavaScript takes it, one may be withdrawn.
    requests: Vec<RequestStart>,
    /// Bytes of the pieces.
    chunk_bytes: usize,
}

/// Where the record of a request begins.
#[derive(Debug)]
struct RequestStart {
    id: u32,
    /// In the text.
    at: u32,
    /// Among the pieces.
    chunk: u32,
}

/// A place in a batch: how much of it stands before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BatchPosition {
    /// Bytes of text.
    pub text: usize,
    /// Pieces.
    pub chunks: usize,
}

/// A piece of a request body.
#[derive(Debug)]
pub enum BodyChunk<'a> {
    /// Short: to be copied.
    Short(&'a [u8]),
    /// Nobody else's.
    Own(Bytes),
}

/// Short pieces are copied: memory for each would be taken by one thread and given back by another.
#[derive(Debug)]
enum StoredChunk {
    Short(Range<usize>),
    Own(Bytes),
}

impl EventBatch {
    /// The piece of this number, from 0; one of its own is taken out.
    pub fn chunk(&mut self, number: usize) -> BodyChunk<'_> {
        match self.chunks.get_mut(number) {
            Some(StoredChunk::Short(range)) => BodyChunk::Short(&self.short[range.clone()]),
            Some(StoredChunk::Own(bytes)) => BodyChunk::Own(std::mem::take(bytes)),
            None => BodyChunk::Short(&[]),
        }
    }

    /// Copies pieces from `number` to `end` into `room`, the length of each before it in two bytes, until one finds no
    /// room or is not short. Returns how many.
    #[must_use]
    pub fn copy_short(&self, number: usize, end: usize, room: &mut [u8]) -> usize {
        let chunks = self.chunks.get(number..end.min(self.chunks.len())).unwrap_or_default();
        let mut at = 0;
        for (count, chunk) in chunks.iter().enumerate() {
            let StoredChunk::Short(range) = chunk else { return count };
            let bytes = &self.short[range.clone()];
            let Some(room) = room.get_mut(at..at + 2 + bytes.len()) else { return count };
            let (length, rest) = room.split_at_mut(2);
            length.copy_from_slice(&(bytes.len() as u16).to_le_bytes());
            rest.copy_from_slice(bytes);
            at += 2 + bytes.len();
        }
        chunks.len()
    }

    /// How many pieces there are.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Where the part ends whose text begins at `from`: what JavaScript gets as one text, which lives as long as
    /// anything that was cut out of it.
    #[must_use]
    pub fn part_end(&self, from: usize) -> BatchPosition {
        let next = self.requests.partition_point(|request| (request.at as usize) < from + PART);
        let end = BatchPosition { text: self.text.len(), chunks: self.chunks.len() };
        self.requests.get(next).map_or(end, |request| BatchPosition {
            text: request.at as usize,
            chunks: request.chunk as usize,
        })
    }

    /// Bytes of it all.
    pub(crate) fn size(&self) -> usize {
        self.text.len() + self.chunk_bytes
    }

    /// Empties the batch and keeps its memory, unless a flood made it large.
    pub fn clear(&mut self) {
        self.text.clear();
        self.chunks.clear();
        self.short.clear();
        self.requests.clear();
        self.chunk_bytes = 0;
        for bytes in [&mut self.text, &mut self.short] {
            if bytes.capacity() > KEEP {
                *bytes = Vec::new();
            }
        }
    }

    /// Moves everything of `other` behind what is here.
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

    /// Makes the record of a request one that JavaScript passes over; says whether it was here.
    pub(crate) fn withdraw(&mut self, id: u32) -> bool {
        let Some(begun) = self.requests.iter().find(|request| request.id == id) else {
            return false;
        };
        self.text[begun.at as usize] = WITHDRAWN;
        true
    }

    /// A connection, told before its first request.
    pub(crate) fn connection(&mut self, id: u32, server_id: u32, facts: &ConnectionInfo<'_>) {
        self.start(CONNECTION, id);
        self.u32(server_id);
        let flags = u8::from(facts.secure.is_some()) << 4 | u8::from(facts.http2) << 5;
        self.text.push(facts.family | flags);
        self.u16(facts.remote_port);
        self.u16(facts.local_port);
        self.text.push(facts.remote.len() as u8);
        self.text.push(facts.local.len() as u8);
        self.text.extend_from_slice(facts.remote.as_bytes());
        self.text.extend_from_slice(facts.local.as_bytes());
        if let Some(stream) = facts.secure {
            write_tls_info(stream, &mut self.text);
        }
    }

    /// The end of a connection that was told.
    pub(crate) fn connection_closed(&mut self, id: u32) {
        self.start(CONNECTION_CLOSED, id);
    }

    /// A request; `bytes` is what the spans of `head` are ranges of. `ahead` is what has come behind the head of one
    /// that asks for an upgrade.
    pub(crate) fn request(
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
            RequestBody::None => 0,
            RequestBody::Short(_) | RequestBody::Whole(_) => 1,
            RequestBody::Streams => 2,
        };
        match body {
            RequestBody::Short(whole) => self.keep_short(whole),
            RequestBody::Whole(whole) => self.keep(whole),
            RequestBody::None | RequestBody::Streams => {}
        }
        let method = head.method.of(bytes);
        let known = METHODS.iter().position(|known| *known == method).map_or(0, |at| at as u8 + 1);
        let told = head.is_secure || head.client_addr.is_some() || head.root_path != RootPath::Root;
        let flags = head.minor_version
            | u8::from(head.allows_keep_alive) << 1
            | u8::from(head.is_upgrade) << 2
            | body_kind << 3
            | u8::from(ahead.is_some()) << 5
            | u8::from(head.has_expect) << 6
            | u8::from(told) << 7;
        if let Some(bytes) = ahead {
            self.keep(bytes);
        }
        self.start(REQUEST, id);
        let length_at = self.text.len();
        self.u32(0);
        self.u32(connection);
        self.text.push(flags);
        self.text.push(known);
        self.u16(head.target.len() as u16);
        self.u16(head.fields.len() as u16);
        if known == 0 {
            self.u16(method.len() as u16);
        }
        for (name, value) in &head.fields {
            self.u16(name.len() as u16);
            self.u16(value.len() as u16);
        }
        if known == 0 {
            self.text.extend_from_slice(method);
        }
        self.text.extend_from_slice(head.target.of(bytes));
        for (name, value) in &head.fields {
            self.text.extend_from_slice(name.of(bytes));
            self.text.extend_from_slice(value.of(bytes));
        }
        if told {
            self.told(head, bytes, policy);
        }
        // Only known now: so that JavaScript can pass over a record without reading its fields.
        let length = (self.text.len() - length_at - 4) as u32;
        self.text[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// What a proxy told and where the application is mounted, at the end of the record and read from there: most
    /// requests have nothing of it.
    fn told(&mut self, head: &RequestHead, bytes: &[u8], policy: &ParsePolicy) {
        let prefix = match head.root_path {
            RootPath::Root => &[][..],
            RootPath::Configured => &policy.root_path,
            RootPath::FromProxy(span) => span.of(bytes),
        };
        let ip = head.client_addr.map(|client| client.ip().to_canonical());
        let address = ip.map(|ip| ip.to_string()).unwrap_or_default();
        self.text.extend_from_slice(address.as_bytes());
        self.text.extend_from_slice(prefix);
        self.text.push(ip.map_or(0, |ip| if ip.is_ipv4() { 4 } else { 6 }));
        self.u16(head.client_addr.map_or(0, |client| client.port()));
        self.text.push(u8::from(head.is_secure));
        self.text.push(address.len() as u8);
        self.u16(prefix.len() as u16);
    }

    /// A piece of a streamed request body.
    pub(crate) fn data(&mut self, id: u32, chunk: Bytes) {
        self.start(DATA, id);
        self.keep(chunk);
    }

    /// The end of a streamed request body, with its raw trailer lines.
    pub(crate) fn end(&mut self, id: u32, trailers: &[u8]) {
        self.start(END, id);
        self.u16(trailers.len() as u16);
        self.text.extend_from_slice(trailers);
    }

    /// Everything written before the question has been sent.
    pub(crate) fn drained(&mut self, id: u32) {
        self.start(DRAINED, id);
    }

    /// The client is gone, or its body was bad.
    pub(crate) fn aborted(&mut self, id: u32) {
        self.start(ABORTED, id);
    }

    /// The stream of an exchange is closed: what a connection is to others.
    pub(crate) fn stream_closed(&mut self, id: u32) {
        self.start(STREAM_CLOSED, id);
    }

    /// A draining engine has no connection left.
    pub(crate) fn idle(&mut self) {
        self.start(IDLE, 0);
    }

    /// A request of the connection has been refused, and answered; `packet` is what had been read of it.
    pub(crate) fn refused(&mut self, connection: u32, kind: u8, packet: Bytes) {
        self.start(REFUSED, connection);
        self.text.push(kind);
        self.keep(packet);
    }

    /// A sentence for the error log.
    pub(crate) fn fault(&mut self, text: &str) {
        let text = &text.as_bytes()[..text.len().min(1_000)];
        self.start(FAULT, 0);
        self.u16(text.len() as u16);
        self.text.extend_from_slice(text);
    }

    fn keep(&mut self, chunk: Bytes) {
        if chunk.len() <= SHORT {
            return self.keep_short(&chunk);
        }
        self.chunk_bytes += chunk.len();
        self.chunks.push(StoredChunk::Own(chunk));
    }

    fn keep_short(&mut self, chunk: &[u8]) {
        self.chunk_bytes += chunk.len();
        let start = self.short.len();
        self.short.extend_from_slice(chunk);
        self.chunks.push(StoredChunk::Short(start..self.short.len()));
    }

    fn start(&mut self, kind: u8, id: u32) {
        self.text.push(kind);
        self.u32(id);
    }

    fn u32(&mut self, value: u32) {
        self.text.extend_from_slice(&value.to_le_bytes());
    }

    fn u16(&mut self, value: u16) {
        self.text.extend_from_slice(&value.to_le_bytes());
    }
}

/// How the body of a request crosses.
pub(crate) enum RequestBody<'a> {
    /// There is none.
    None,
    /// All of it, with the head, and no longer than [`SHORT`].
    Short(&'a [u8]),
    /// All of it, with the head.
    Whole(Bytes),
    /// In pieces that follow.
    Streams,
}

/// The facts of a connection that JavaScript may ask for.
pub(crate) struct ConnectionInfo<'a> {
    /// 4, 6, or 0 for a unix socket.
    pub family: u8,
    pub remote: &'a str,
    pub remote_port: u16,
    pub local: &'a str,
    pub local_port: u16,
    /// It speaks TLS.
    pub secure: Option<&'a TlsStream>,
    /// It speaks HTTP/2: each request is a stream of its own.
    pub http2: bool,
}

/// Bytes after which a text ends with the next request: for those of most clients ten or more stand in one.
const PART: usize = 4_096;
/// Up to here a piece is copied.
pub(crate) const SHORT: usize = 4_096;
/// What is larger is given back after a flood.
const KEEP: usize = 1 << 20;
/// Methods that cross as their place in this list; `ts/engine/native/wire.ts` has the same list.
const METHODS: [&[u8]; 7] = [b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH"];
const REQUEST: u8 = 1;
const CONNECTION: u8 = 2;
const CONNECTION_CLOSED: u8 = 3;
const DATA: u8 = 4;
const END: u8 = 5;
const DRAINED: u8 = 6;
const ABORTED: u8 = 7;
const IDLE: u8 = 8;
const FAULT: u8 = 9;
const STREAM_CLOSED: u8 = 10;
/// As a request, but it is not to be served: its time ran out while it waited.
const WITHDRAWN: u8 = 15;
const REFUSED: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_with_the_next_request_behind_its_length() {
        let begun = |id, at, chunk| RequestStart { id, at, chunk };
        let requests = vec![begun(1, 0, 0), begun(2, 1_000, 1), begun(3, 5_000, 2)];
        let mut batch = EventBatch { text: vec![0; 10_000], requests, ..EventBatch::default() };
        for _ in 0..4 {
            batch.keep(Bytes::from_static(b"body"));
        }
        let end = BatchPosition { text: 10_000, chunks: 4 };
        assert_eq!(batch.part_end(0), BatchPosition { text: 5_000, chunks: 2 });
        assert_eq!(batch.part_end(5_000), end);
        batch.requests.clear();
        assert_eq!(batch.part_end(0), end);
        batch.clear();
        assert_eq!(batch.part_end(0), BatchPosition::default());
    }

    #[test]
    fn short_pieces_are_copied_as_far_as_there_is_room() {
        let mut batch = EventBatch::default();
        batch.keep(Bytes::from_static(b"one"));
        batch.keep(Bytes::from_static(b""));
        batch.keep(Bytes::from_static(b"three"));
        batch.keep(Bytes::from(vec![0; SHORT + 1]));
        batch.keep(Bytes::from_static(b"five"));
        let mut room = [0xff; 13];
        assert_eq!(batch.copy_short(0, 5, &mut room), 2);
        assert_eq!(room[..8], *b"\x03\0one\0\0\xff");
        let mut room = [0xff; 64];
        assert_eq!(batch.copy_short(0, 5, &mut room), 3);
        assert_eq!(batch.copy_short(0, 1, &mut room), 1);
        assert_eq!(batch.copy_short(3, 5, &mut room), 0);
        assert_eq!(batch.copy_short(4, 9, &mut room), 1);
        assert_eq!(batch.copy_short(6, 5, &mut room), 0);
        assert_eq!(room[..6], *b"\x04\0five");
    }

    #[test]
    fn a_batch_behind_another_keeps_its_requests_and_pieces_in_place() {
        let mut first = EventBatch::default();
        first.keep(Bytes::from_static(b"one"));
        first.text.extend_from_slice(&[1; 6_000]);
        let mut second = EventBatch { text: vec![2; 10], ..EventBatch::default() };
        second.keep(Bytes::from_static(b"two"));
        second.requests.push(RequestStart { id: 7, at: 4, chunk: 1 });
        first.append(&mut second);
        assert_eq!(first.part_end(0), BatchPosition { text: 6_004, chunks: 2 });
        let mut room = [0; 16];
        assert_eq!(first.copy_short(0, 2, &mut room), 2);
        assert_eq!(room[..10], *b"\x03\0one\x03\0two");
    }
}

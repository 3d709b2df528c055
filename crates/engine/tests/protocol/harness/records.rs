//! Reads what the engine hands over, as `ts/engine/native/dispatcher.ts` does.

use bytes::Bytes;
use monoceros_engine::bridge::event_batch::{BodyChunk, EventBatch};
use monoceros_engine::bridge::wire::{
    BODY_KIND_MASK, BODY_KIND_SHIFT, CLOSED_BYTES, EVENT_BYTES, METHODS, TLS_CHAIN_LENGTH_AT,
    TLS_TEXT_LENGTHS_AT, TLS_TEXTS_AT, body_kind, connection_kind, event, request_flag,
};

/// One record of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Aborted(u32),
    Connection {
        id: u32,
        server_id: u32,
        remote: String,
        remote_port: u16,
        local: String,
        local_port: u16,
    },
    ConnectionClosed(u32),
    Data(u32, Bytes),
    Drained(u32),
    End(u32, String),
    Idle,
    Request(Request),
    StreamClosed(u32),
    Fault(String),
    /// A request whose time ran out before JavaScript took it.
    Withdrawn(u32),
}

/// A request as it is passed to JavaScript.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub id: u32,
    pub connection: u32,
    pub minor: u8,
    pub keep_alive: bool,
    pub upgrade: bool,
    pub expects: bool,
    /// The bytes that came after the head of a request that asks for an upgrade.
    pub ahead: Bytes,
    pub body: RequestBody,
    pub method: String,
    pub target: String,
    /// Names and values as latin1.
    pub fields: Vec<(String, String)>,
}

/// How the body of a request is passed to JavaScript.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestBody {
    None,
    Streams,
    Whole(Bytes),
}

/// All records of a batch.
pub fn read(batch: &mut EventBatch) -> Vec<Event> {
    let chunks: Vec<_> = (0..batch.chunk_count())
        .map(|number| match batch.take_chunk(number) {
            BodyChunk::Short(bytes) => Bytes::copy_from_slice(bytes),
            BodyChunk::Own(bytes) => bytes,
        })
        .collect();
    let mut reader = Reader { text: &batch.text, at: 0, chunks: chunks.iter() };
    let mut events = Vec::new();
    while reader.at < reader.text.len() {
        events.push(reader.event());
    }
    assert!(reader.chunks.next().is_none(), "a body chunk that no record refers to");
    events
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    chunks: std::slice::Iter<'a, Bytes>,
}

impl Reader<'_> {
    fn event(&mut self) -> Event {
        let kind = self.u8();
        let id = self.u32();
        match kind {
            event::REQUEST => Event::Request(self.request(id)),
            event::CONNECTION => {
                let server_id = self.u32();
                let kind = self.u8();
                let family = kind & connection_kind::FAMILY_MASK;
                let (remote_port, local_port) = (self.u16(), self.u16());
                let (remote, local) = (usize::from(self.u8()), usize::from(self.u8()));
                assert!(matches!(family, 0 | 4 | 6), "family {family}");
                let (remote, local) = (self.text(remote), self.text(local));
                if kind & connection_kind::TLS != 0 {
                    self.skip_tls_info();
                }
                Event::Connection { id, server_id, remote, remote_port, local, local_port }
            }
            event::CONNECTION_CLOSED => {
                self.take(CLOSED_BYTES - EVENT_BYTES);
                Event::ConnectionClosed(id)
            }
            event::DATA => Event::Data(id, self.chunk()),
            event::END => Event::End(id, self.counted_text()),
            event::DRAINED => Event::Drained(id),
            event::ABORTED => Event::Aborted(id),
            event::IDLE => Event::Idle,
            event::FAULT => Event::Fault(self.counted_text()),
            event::STREAM_CLOSED => Event::StreamClosed(id),
            event::WITHDRAWN => Event::Withdrawn(self.request(id).id),
            _ => panic!("record of unknown kind {kind}"),
        }
    }

    /// Skips the TLS info of a connection.
    fn skip_tls_info(&mut self) {
        let fixed = self.take(TLS_TEXTS_AT);
        let lengths = &fixed[TLS_TEXT_LENGTHS_AT..][..3];
        let texts: usize = lengths.iter().map(|&length| usize::from(length)).sum();
        let chain = fixed[TLS_CHAIN_LENGTH_AT..][..4].try_into().expect("4 bytes");
        let certificates = u32::from_le_bytes(chain) as usize;
        self.take(texts + certificates);
    }

    fn request(&mut self, id: u32) -> Request {
        let end = self.u32() as usize + self.at;
        let connection = self.u32();
        let flags = self.u8();
        let known = usize::from(self.u8());
        let (target, count) = (usize::from(self.u16()), usize::from(self.u16()));
        let spelt = if known == 0 { usize::from(self.u16()) } else { 0 };
        let lengths: Vec<_> = (0..count).map(|_| (self.u16(), self.u16())).collect();
        let spelt = self.text(spelt);
        let method = if known == 0 { spelt } else { METHODS[known].to_owned() };
        let target = self.text(target);
        let fields = lengths
            .into_iter()
            .map(|(name, value)| (self.text(name.into()), self.text(value.into())))
            .collect();
        assert_eq!(self.at, end, "the record has its own length");
        let body = match flags >> BODY_KIND_SHIFT & BODY_KIND_MASK {
            body_kind::NONE => RequestBody::None,
            body_kind::WHOLE => RequestBody::Whole(self.chunk()),
            body_kind::STREAMED => RequestBody::Streams,
            other => panic!("body kind {other}"),
        };
        let has = |flag: u8| flags & flag != 0;
        let ahead = if has(request_flag::AHEAD) { self.chunk() } else { Bytes::new() };
        Request {
            id,
            connection,
            minor: flags & request_flag::MINOR_VERSION,
            keep_alive: has(request_flag::KEEP_ALIVE),
            upgrade: has(request_flag::UPGRADE),
            expects: has(request_flag::EXPECTS),
            ahead,
            body,
            method,
            target,
            fields,
        }
    }

    fn chunk(&mut self) -> Bytes {
        self.chunks.next().expect("each reference has its chunk").clone()
    }

    fn counted_text(&mut self) -> String {
        let length = self.u16();
        self.text(length.into())
    }

    /// Bytes as latin1.
    fn text(&mut self, length: usize) -> String {
        self.take(length).iter().map(|&byte| char::from(byte)).collect()
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take(2).try_into().unwrap())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn take(&mut self, count: usize) -> &[u8] {
        let bytes = &self.text[self.at..self.at + count];
        self.at += count;
        bytes
    }
}

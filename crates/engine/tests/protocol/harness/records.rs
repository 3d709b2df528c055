//! Reads what the engine hands over, as `ts/engine/native/dispatcher.ts` does.

use bytes::Bytes;
use monoceros_engine::bridge::event_batch::{BodyChunk, EventBatch};

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

/// A request as it crosses.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub id: u32,
    pub connection: u32,
    pub minor: u8,
    pub keep_alive: bool,
    pub upgrade: bool,
    pub expects: bool,
    /// What has come behind the head of a request that asks for an upgrade.
    pub ahead: Bytes,
    pub body: RequestBody,
    pub method: String,
    pub target: String,
    /// Names and values as latin1.
    pub fields: Vec<(String, String)>,
}

/// How its body crosses.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestBody {
    None,
    Streams,
    Whole(Bytes),
}

/// All records of a batch.
pub fn read(batch: &mut EventBatch) -> Vec<Event> {
    let chunks: Vec<_> = (0..batch.chunk_count())
        .map(|number| match batch.chunk(number) {
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
            1 => Event::Request(self.request(id)),
            2 => {
                let server_id = self.u32();
                let kind = self.u8();
                let family = kind & 15;
                let (remote_port, local_port) = (self.u16(), self.u16());
                let (remote, local) = (usize::from(self.u8()), usize::from(self.u8()));
                assert!(matches!(family, 0 | 4 | 6), "family {family}");
                let (remote, local) = (self.text(remote), self.text(local));
                if kind & 16 != 0 {
                    self.secure_facts();
                }
                Event::Connection { id, server_id, remote, remote_port, local, local_port }
            }
            3 => Event::ConnectionClosed(id),
            4 => Event::Data(id, self.chunk()),
            5 => Event::End(id, self.counted_text()),
            6 => Event::Drained(id),
            7 => Event::Aborted(id),
            8 => Event::Idle,
            9 => Event::Fault(self.counted_text()),
            10 => Event::StreamClosed(id),
            15 => Event::Withdrawn(self.request(id).id),
            _ => panic!("record of unknown kind {kind}"),
        }
    }

    /// What is known of an encrypted connection: `tls/facts.rs` writes it.
    fn secure_facts(&mut self) {
        let (_version, _cipher, _flags) = (self.u16(), self.u16(), self.u8());
        let texts = [(); 3].map(|()| usize::from(self.u8()));
        let certificates = self.u32() as usize;
        self.text(texts.iter().sum::<usize>() + certificates);
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
        let method = if known == 0 { spelt } else { METHODS[known - 1].to_owned() };
        let target = self.text(target);
        let fields = lengths
            .into_iter()
            .map(|(name, value)| (self.text(name.into()), self.text(value.into())))
            .collect();
        assert_eq!(self.at, end, "the record says its own length");
        let body = match flags >> 3 & 3 {
            0 => RequestBody::None,
            1 => RequestBody::Whole(self.chunk()),
            2 => RequestBody::Streams,
            other => panic!("body kind {other}"),
        };
        let ahead = if flags & 32 == 0 { Bytes::new() } else { self.chunk() };
        let (keep_alive, upgrade) = (flags & 2 != 0, flags & 4 != 0);
        Request {
            id,
            connection,
            minor: flags & 1,
            keep_alive,
            upgrade,
            expects: flags & 64 != 0,
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

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];

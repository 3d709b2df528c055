//! Writes the records of a batch, as [`wire`](crate::bridge::wire) describes them.

use bytes::Bytes;

use super::{EventBatch, RequestBody, RequestStart, StoredChunk};
use crate::bridge::wire::{
    BODY_KIND_SHIFT, CLIENT_ADDRESS_LENGTH_AT, CLIENT_FAMILY_AT, CLIENT_INFO_BYTES, CLIENT_PORT_AT,
    CLIENT_ROOT_PATH_LENGTH_AT, CLIENT_SECURE_AT, CLOSED_BYTES, CLOSED_RECEIVED_AT,
    CLOSED_WRITTEN_AT, CONNECTION_KIND_AT, CONNECTION_LOCAL_LENGTH_AT, CONNECTION_LOCAL_PORT_AT,
    CONNECTION_REMOTE_LENGTH_AT, CONNECTION_REMOTE_PORT_AT, CONNECTION_SERVER_AT,
    CONNECTION_TEXTS_AT, EVENT_BYTES, EVENT_ID_AT, METHODS, REFUSED_BYTES, REFUSED_KIND_AT,
    REQUEST_CONNECTION_AT, REQUEST_FIELD_COUNT_AT, REQUEST_FLAGS_AT, REQUEST_LENGTH_AT,
    REQUEST_LENGTHS_AT, REQUEST_METHOD_AT, REQUEST_TARGET_LENGTH_AT, TEXT_AT, TEXT_LENGTH_AT,
    body_kind, connection_kind, event, fault_level, request_flag,
};
use crate::buffers::byte_counts::ByteCounts;
use crate::buffers::sizes::SHORT_CHUNK;
use crate::exchange::request_head::{RequestHead, RootPath};
use crate::guard::parse_policy::ParsePolicy;
use crate::transport::tls::{TlsStream, write_tls_info};

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

impl EventBatch {
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
    pub(crate) fn push_connection_closed(&mut self, id: u32, counts: ByteCounts) {
        let mut fixed = fixed_part::<CLOSED_BYTES>(event::CONNECTION_CLOSED, id);
        put_u64(&mut fixed, CLOSED_RECEIVED_AT, counts.received);
        put_u64(&mut fixed, CLOSED_WRITTEN_AT, counts.written);
        self.text.extend_from_slice(&fixed);
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
        self.requests.push(RequestStart { id, at, chunk, ..RequestStart::default() });
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
        self.push_log_line(fault_level::ERROR, text);
    }

    /// Adds a message for the error log, with a level of [`fault_level`].
    pub(crate) fn push_log_line(&mut self, level: u8, text: &str) {
        self.push_text(event::FAULT, u32::from(level), &text.as_bytes()[..text.len().min(1_000)]);
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

    pub(super) fn push_chunk(&mut self, chunk: Bytes) {
        if chunk.len() <= SHORT_CHUNK {
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

fn put_u64(record: &mut [u8], at: usize, value: u64) {
    record[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

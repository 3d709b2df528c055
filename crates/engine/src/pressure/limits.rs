//! Every bound of the engine in one struct, each with its default and the attack or accident it is for.

use std::time::Duration;

use crate::guard::parse_policy::ParsePolicy;

/// The bounds that an operator sets, checked once by [`Limits::bounded`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest request line in bytes without its CRLF (Gunicorn `limit_request_line`): 414 beyond it.
    pub request_line: usize,
    /// Most header fields of a request (Gunicorn `limit_request_fields`): 431 beyond it.
    pub request_fields: usize,
    /// Longest header field line in bytes with its CRLF (Gunicorn `limit_request_field_size`): 431 beyond it.
    pub request_field_size: usize,
    /// Largest request body in bytes, 0 for no limit: 413 beyond it.
    pub request_body: u64,
    /// Longest head in bytes, request line and all fields together; 0 for what the limits above allow together.
    pub head_bytes: usize,
    /// How long an idle connection waits for its next request; zero closes after each response.
    pub keepalive: Duration,
    /// How much longer than said to the client: one that keeps to the second must not meet the end (node's buffer).
    pub keepalive_grace: Duration,
    /// How long a handshake of TLS may take, from the accept: then the connection is cut.
    pub handshake: Duration,
    /// Handshakes under way at most: one more ends the oldest, so that clients that stall hold up nobody.
    pub handshakes: usize,
    /// How long a head may take, from the accept or its first byte: slow heads (slowloris) hold a connection no
    /// longer. 408 then.
    pub header: Duration,
    /// How long a body may send nothing: a client that stops in the middle holds a request no longer. 408 then.
    pub body: Duration,
    /// Bytes a second that a body must bring after its first 20 seconds: against drips (R.U.D.Y.).
    pub body_rate: u64,
    /// From the whole request to the head of its answer; zero for no bound: 504, or 503 if JavaScript has not taken it.
    pub answer: Duration,
    /// How long a client may take nothing of its answer: slow readers hold its memory no longer.
    pub write: Duration,
    /// Bytes a second that a client must take after the first 20 seconds: against drips.
    pub write_rate: u64,
    /// The rates count only after so long: a connection starts slowly, and a phone changes its mast.
    pub grace: Duration,
    /// After the last answer a connection is half closed and read this long, so that the client reads the answer
    /// before a reset destroys it (RFC 9112 section 9.6).
    pub linger: Duration,
    /// Body of an already answered request that is read and thrown away to keep the connection; more closes it, and so
    /// does a body whose length nobody knows, unless there is no limit (`u64::MAX`).
    pub discard: u64,
    /// How long such a body may take.
    pub discard_time: Duration,
    /// Requests of a connection, 0 for no limit: the last answer says close, so that clients spread anew.
    pub connection_requests: u32,
    /// Connections with a request in hand at most; one more is answered 503.
    pub worker_connections: usize,
    /// Connections of one client's address at most, 0 for no limit: one client cannot take all descriptors.
    pub connections_per_address: u32,
    /// Bytes of a body that are collected before JavaScript is woken for its request: slow uploads cost it nothing.
    pub request_buffer: usize,
    /// How long they are waited for, so that a stream that is meant to be one begins.
    pub request_buffer_time: Duration,
    /// Bytes that all clients together can make the worker hold: then the newest slow ones are shed.
    pub buffer_memory: usize,
    /// Bytes of an answer that are taken from JavaScript ahead of the client: what a reader that stands still costs.
    pub response_buffer: usize,
    /// The clients of a server of the program's own meet node's habits: what is refused is answered with its status and
    /// without a word, a head that is cut short as well, and any number of empty lines may stand before a request.
    pub as_node: bool,
    /// A client that has ended its side is answered however late that is, as node does with `httpAllowHalfOpen`.
    pub half_open: bool,
    /// The bounds of HTTP/2.
    pub http2: Http2Limits,
    /// How requests are read within these bounds.
    pub parse_policy: ParsePolicy,
}

/// The bounds of a connection of HTTP/2, which has many requests in hand at a time.
#[derive(Clone, Debug)]
pub struct Http2Limits {
    /// Whether it is spoken without TLS.
    pub cleartext: Cleartext,
    /// Streams open at a time: one client's share of the worker.
    pub streams: u32,
    /// Bytes of a request's body that the client may send ahead of its reader.
    pub window: u32,
    /// The longest payload of a frame that is taken.
    pub frame: u32,
    /// The longest list of header fields once it is uncompressed, counted as RFC 9113 does: against bombs of HPACK and
    /// floods of CONTINUATION.
    pub header_list: u32,
    /// Streams that the client resets before they are answered, in [`FLOOD_TIME`]: against rapid reset.
    pub resets: u32,
    /// Frames that bring nothing, in [`FLOOD_TIME`]: against floods of SETTINGS, PING, PRIORITY, empty DATA.
    pub idle_frames: u32,
}

/// HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cleartext {
    /// Not at all: the preface is a bad request.
    #[default]
    Off,
    /// With connections that begin with its preface; all others speak HTTP/1.
    Beside,
    /// Nothing else is spoken.
    Alone,
}

impl Limits {
    /// Replaces what would be unbounded or does not fit the crossing's 16-bit lengths by the largest value that does.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let or_most = |value: usize, most: usize| if value == 0 { most } else { value.min(most) };
        self.request_line = or_most(self.request_line, MAX_LINE);
        self.request_field_size = or_most(self.request_field_size, MAX_LINE);
        self.request_fields = or_most(self.request_fields, MAX_FIELDS);
        // Less would be a hand-over for every few bytes; JavaScript counts in 31 bits.
        self.response_buffer = self.response_buffer.clamp(MIN_WINDOW, MAX_WINDOW);
        self.request_buffer = self.request_buffer.min(MAX_WINDOW);
        if self.buffer_memory == 0 {
            self.buffer_memory = usize::MAX;
        }
        for deadline in [&mut self.header, &mut self.handshake, &mut self.discard_time] {
            if deadline.is_zero() {
                *deadline = FOREVER;
            }
        }
        if self.worker_connections == 0 {
            self.worker_connections = usize::MAX;
        }
        for most in
            [&mut self.http2.header_list, &mut self.http2.resets, &mut self.http2.idle_frames]
        {
            if *most == 0 {
                *most = u32::MAX;
            }
        }
        self
    }

    /// Bytes of a whole head at most: `head_bytes`, or fields of up to [`USUAL_FIELD`] bytes, as many as are allowed,
    /// and one of the largest. All of them at their largest would be a megabyte that any client can make us hold.
    #[must_use]
    pub fn head_size(&self) -> usize {
        if self.head_bytes > 0 {
            return self.head_bytes;
        }
        let usual = self.request_field_size.min(USUAL_FIELD);
        self.request_line + 2 + self.request_fields * usual + self.request_field_size + 4
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 4094,
            request_fields: 100,
            request_field_size: 8190,
            request_body: 0,
            head_bytes: 0,
            keepalive: Duration::from_secs(75),
            keepalive_grace: Duration::ZERO,
            handshake: Duration::from_secs(10),
            handshakes: 1_000,
            header: Duration::from_secs(30),
            body: Duration::from_secs(30),
            body_rate: 500,
            answer: Duration::ZERO,
            write: Duration::from_secs(60),
            write_rate: 500,
            grace: Duration::from_secs(20),
            linger: Duration::from_secs(2),
            discard: MAX_DISCARD,
            discard_time: DISCARD_TIME,
            connection_requests: 0,
            worker_connections: 1000,
            connections_per_address: 0,
            response_buffer: 131_072,
            request_buffer: 65_536,
            request_buffer_time: Duration::from_millis(100),
            buffer_memory: 256 << 20,
            as_node: false,
            half_open: false,
            http2: Http2Limits::default(),
            parse_policy: ParsePolicy::default(),
        }
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            cleartext: Cleartext::Off,
            streams: 100,
            window: 262_144,
            frame: 16_384,
            header_list: 65_536,
            resets: 1_000,
            idle_frames: 10_000,
        }
    }
}

/// Floods of HTTP/2 are counted over so long.
pub const FLOOD_TIME: Duration = Duration::from_secs(10);
/// What a deadline that is off is set to.
const FOREVER: Duration = Duration::from_secs(1 << 31);
/// Lengths of a line cross to JavaScript in 16 bits.
pub const MAX_LINE: usize = 65_535;
/// The most header fields any setting allows: a head of more would take megabytes to be read.
pub const MAX_FIELDS: usize = 24_576;
/// A chunk-size line with its extensions: nobody needs longer ones, an attacker sends them for ever.
pub const MAX_CHUNK_LINE: usize = 4_096;
/// The trailer section of a request, all lines together.
pub const MAX_TRAILERS: usize = 16_000;
/// Bytes of an answer that are taken ahead of the client at least, however short memory is.
pub const MIN_WINDOW: usize = 16_384;
/// The most that `response_buffer` can be.
pub const MAX_WINDOW: usize = 1 << 30;
/// Request body bytes on their way to JavaScript for which it has given no credit back, when many are on their way.
pub const BODY_CREDIT: usize = 65_536;
/// The same when few are: each crossing costs two switches of threads, however much crosses.
pub const MOST_BODY_CREDIT: usize = 917_504;
/// Those of all requests together, while nobody has less than [`BODY_CREDIT`].
pub const ALL_BODY_CREDIT: usize = 32 << 20;
/// What each of so many has of something that all share, between two bounds.
pub fn share(all: usize, among: usize, least: usize, most: usize) -> usize {
    (all / among.max(1)).clamp(least, most)
}

/// Bytes of answers that are taken ahead of all clients, before each connection has no more than `response_buffer`.
pub const ALL_WINDOWS: usize = 4 << 20;
/// Times `response_buffer` that one has at most.
pub const MOST_WINDOWS: usize = 4;
/// Bytes of answers that a round of all connections sends, while nobody sends less than [`LEAST_BURST`]. No multiple of 64 KiB
/// by which many divide: see `MOST_AT_ONCE` in `out.rs`.
pub const ALL_BURSTS: usize = 64 * 122_880;
/// Bytes that one connection sends at a time at least, however many there are.
pub const LEAST_BURST: usize = 32_768;
/// The same at most: in one call a socket takes megabytes.
pub const MOST_BURST: usize = 1 << 20;
/// A piece of a streamed body at most: more at a time would save little, and less would cost an event for each.
pub const MAX_PIECE: usize = 131_072;
/// The same for a client that fills these as fast as they are read: what it has sent meanwhile is taken at once, so that
/// room for as much more opens in one go, and it is woken once for all of it.
pub const WIDE_PIECE: usize = 458_752;
/// Bytes of a body that wait between the guard and JavaScript, and bytes of pipelined requests behind the one in hand.
pub const READ_AHEAD: usize = 65_536;
/// What [`Limits::discard`] is, unless a program's own server keeps node's habits.
pub const MAX_DISCARD: u64 = 1_048_576;
/// The same for [`Limits::discard_time`].
pub const DISCARD_TIME: Duration = Duration::from_secs(5);
/// Bytes read and thrown away behind a refusal.
pub const MAX_LINGER: usize = 65_536;
/// The same where the client is in the middle of a body: most read the answer only when they have sent it.
pub const MAX_DRAIN: usize = 16_777_216;
/// A field of a head with very many of them is at most this long on average.
pub const USUAL_FIELD: usize = 1_024;
/// An idle connection gives back what only requests need after so long: sooner, a busy one would make it anew each time.
pub const PARK_AFTER: Duration = Duration::from_millis(200);
/// The head of the answer with which an application takes a connection over is looked for in so many of its bytes.
pub const MAX_TUNNEL_HEAD: usize = 16_384;
/// A client may take so long to answer the close of its WebSocket; then the connection is closed.
pub const TUNNEL_CLOSE_TIME: Duration = Duration::from_secs(5);
/// A draining worker keeps idle connections this long unless it is told otherwise, so that a request already on its way
/// is answered.
pub const IDLE_DRAIN_TIME: Duration = Duration::from_secs(2);

//! Every bound of the engine in one struct, each with its default and the attack or accident it is for.

use std::time::Duration;

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
    /// How long an idle connection waits for its next request; zero closes after each response.
    pub keepalive: Duration,
    /// How long a head may take from its first byte: slow heads (slowloris) hold a connection no longer.
    pub head: Duration,
    /// Connections with a request in hand at most; one more is answered 503.
    pub worker_connections: usize,
}

impl Limits {
    /// Replaces what would be unbounded or does not fit the crossing's 16-bit lengths by the largest value that does.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let or_most = |value: usize, most: usize| if value == 0 { most } else { value.min(most) };
        self.request_line = or_most(self.request_line, MAX_LINE);
        self.request_field_size = or_most(self.request_field_size, MAX_LINE);
        self.request_fields = or_most(self.request_fields, MAX_FIELDS);
        if self.worker_connections == 0 {
            self.worker_connections = usize::MAX;
        }
        self
    }

    /// Bytes of a whole head at most: what the other limits allow together.
    #[must_use]
    pub fn head_size(&self) -> usize {
        self.request_line + 2 + self.request_fields * self.request_field_size + 4
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 4094,
            request_fields: 100,
            request_field_size: 8190,
            request_body: 0,
            keepalive: Duration::from_secs(75),
            head: Duration::from_secs(60),
            worker_connections: 1000,
        }
    }
}

/// Lengths of a line cross to JavaScript in 16 bits.
pub const MAX_LINE: usize = 65_535;
/// The most header fields any setting allows: hyper's map has room for no more, and panics if it is asked for it.
pub const MAX_FIELDS: usize = 24_576;
/// A chunk-size line with its extensions: nobody needs longer ones, an attacker sends them for ever.
pub const MAX_CHUNK_LINE: usize = 4_096;
/// The trailer section of a request, all lines together.
pub const MAX_TRAILERS: usize = 16_384;
/// Request body bytes on their way to JavaScript for which it has given no credit back.
pub const BODY_CREDIT: usize = 65_536;
/// A request body that has arrived whole and is at most this long crosses in one event with its head.
pub const WHOLE_BODY: usize = 65_536;
/// A piece of a streamed body: V8 collects buffers by their number sooner than by their size, so larger ones leave
/// tens of megabytes of garbage behind an upload.
pub const MAX_PIECE: usize = 16_384;
/// Bytes that wait between the socket and hyper, and bytes of pipelined requests behind the one in hand.
pub const READ_AHEAD: usize = 65_536;
/// Body of an already answered request that is read and thrown away to keep the connection; more closes it.
pub const MAX_DISCARD: u64 = 1_048_576;
/// How long such a body may take.
pub const DISCARD_TIME: Duration = Duration::from_secs(5);
/// After the last answer a connection is half closed and read this long, so that the client reads the answer
/// before a reset destroys it (RFC 9112 section 9.6).
pub const LINGER_TIME: Duration = Duration::from_secs(2);
/// Bytes read and thrown away while lingering.
pub const MAX_LINGER: usize = 1_048_576;
/// A draining worker keeps idle connections this long, so that a request already on its way is answered.
pub const IDLE_DRAIN_TIME: Duration = Duration::from_secs(2);

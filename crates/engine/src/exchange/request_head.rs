//! The head of a request as the guard has parsed it: ranges of its bytes, and what the fields mean
//! for the connection.

use std::net::SocketAddr;
use std::ops::Range;

/// A range of bytes of the head.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// Index of the first byte.
    pub start: u32,
    /// Index after the last byte.
    pub end: u32,
}

impl Span {
    pub(crate) fn new(range: Range<usize>) -> Self {
        // A head has at most MAX_LINE + MAX_FIELDS * MAX_LINE bytes, which is at most 2^31.
        Self { start: range.start as u32, end: range.end as u32 }
    }

    /// Returns the bytes of the range.
    #[must_use]
    pub fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start as usize..self.end as usize]
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Returns whether the range is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Framing of a request body (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// `Content-Length` with a value above zero.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// The path under which the application is mounted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RootPath {
    /// The root, `/`.
    #[default]
    Root,
    /// The path of the setting `root_path`.
    Configured,
    /// The path that a trusted proxy has sent in `SCRIPT_NAME`.
    FromProxy(Span),
}

/// A parsed request head. Each I/O thread has one and fills it again for each request.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The method, a token.
    pub method: Span,
    /// The request target as the client has sent it.
    pub target: Span,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// Names and values; the values have no surrounding white space.
    pub fields: Vec<(Span, Span)>,
    /// Framing of the body.
    pub framing: Framing,
    /// Whether the client allows a persistent connection (RFC 9112 section 9.3).
    pub allows_keep_alive: bool,
    /// Whether an HTTP/1.1 request has an `Expect` field. The expectation is met where the
    /// application can decide about it.
    pub has_expect: bool,
    /// Number of fields that were dropped and are not in `fields`.
    pub dropped_fields: usize,
    /// The value of the last `Accept` field.
    pub accept: Option<Span>,
    /// Whether a trusted proxy has reported that the client uses https.
    pub is_secure: bool,
    /// Address of the client that a trusted proxy has reported; the port is 0 if it is unknown.
    pub client_addr: Option<SocketAddr>,
    /// Path under which the application is mounted; the target begins with it.
    pub root_path: RootPath,
    /// Whether the request has `Connection: upgrade` and `Upgrade`, or is a CONNECT. The
    /// application may then take over the connection.
    pub is_upgrade: bool,
    /// Length of the head in bytes.
    pub len: usize,
}

/// Copy of a request head, for a request that is dispatched in a later turn.
pub(crate) struct SavedHead {
    /// The parsed head; its spans are ranges of `bytes`.
    pub head: RequestHead,
    /// The bytes of the head.
    pub bytes: Vec<u8>,
}

impl RequestHead {
    pub(crate) fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }
}

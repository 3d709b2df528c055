//! The head of a request as the guard read it: ranges into its bytes, and what they mean for the connection.

use std::net::SocketAddr;
use std::ops::Range;

/// A range of bytes in the head.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    pub(crate) fn new(range: Range<usize>) -> Self {
        // A head is at most MAX_LINE + MAX_FIELDS * MAX_LINE bytes: 2^31 and below.
        Self { start: range.start as u32, end: range.end as u32 }
    }

    /// The bytes themselves.
    #[must_use]
    pub fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start as usize..self.end as usize]
    }

    /// How many bytes.
    #[must_use]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// How the body of a request is framed (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// `Content-Length`, above zero.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// The path at which the application is mounted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RootPath {
    /// The root.
    #[default]
    Root,
    /// The one of the rules.
    Configured,
    /// What a trusted peer told.
    FromProxy(Span),
}

/// A parsed head. It is made once a thread and filled anew for each request.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The method, a token.
    pub method: Span,
    /// The request target as sent.
    pub target: Span,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// Names and values, values without surrounding white space.
    pub fields: Vec<(Span, Span)>,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the client lets the connection live on (RFC 9112 section 9.3).
    pub allows_keep_alive: bool,
    /// An `Expect` field on HTTP/1.1: what it asks for is answered where the application can have a say.
    pub has_expect: bool,
    /// Fields that were left out of `fields`.
    pub dropped_fields: usize,
    /// The value of `Accept`, the last one.
    pub accept: Option<Span>,
    /// A trusted peer says that the client speaks https.
    pub is_secure: bool,
    /// The client's address as a trusted peer tells it; port 0 when it tells none.
    pub client_addr: Option<SocketAddr>,
    /// The path at which the application is mounted, with which the target begins.
    pub root_path: RootPath,
    /// `Connection: upgrade` with an `Upgrade` field, or CONNECT: JavaScript may take the connection over.
    pub is_upgrade: bool,
    /// Bytes of the whole head.
    pub len: usize,
}

impl RequestHead {
    pub(crate) fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }
}

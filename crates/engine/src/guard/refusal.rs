//! All reasons to refuse a request, each with its status, a sentence for the client, and node's
//! equivalent.

use crate::bridge::wire::refusal_kind;

/// Reason to refuse a request. Each has one status and one sentence for the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The chunked framing of the body is malformed.
    BadChunk,
    /// A chunk-size line with its extensions is longer than `MAX_CHUNK_LINE`.
    ChunkLineTooLong,
    /// `Content-Length` is not a decimal number.
    BadContentLength,
    /// A header field line is malformed.
    BadField,
    /// A field value has a CR that no LF follows.
    BareCarriageReturn,
    /// The forwarding fields are malformed or contradict each other.
    BadForwarding,
    /// `Host` is missing, repeated or malformed (RFC 9112 section 3.2).
    BadHost,
    /// A line does not end in CRLF.
    BadLineEnd,
    /// The method is not a token.
    BadMethod,
    /// The PROXY protocol header is malformed.
    BadProxyHeader,
    /// The request line does not consist of three parts separated by single spaces.
    BadRequestLine,
    /// The request target has none of the four forms (RFC 9112 section 3.2).
    BadTarget,
    /// A trailer field is malformed or not allowed in trailers.
    BadTrailer,
    /// `Transfer-Encoding` is not allowed here, or `chunked` is repeated or not last.
    BadTransferEncoding,
    /// The application has not begun its response within `request_timeout`.
    ResponseTimeout,
    /// The body did not arrive in time, or arrived too slowly.
    BodyTimeout,
    /// The body is longer than `limit_request_body`.
    BodyTooLarge,
    /// The independent parser (httparse) has read the head differently.
    ParserDisagreement,
    /// The head did not arrive within `header_timeout`.
    HeadTimeout,
    /// A field line is longer than `limit_request_field_size`, or the trailers are too long.
    FieldTooLarge,
    /// The request has more fields than `limit_request_fields`.
    TooManyFields,
    /// The request line is longer than `limit_request_line`.
    UriTooLong,
    /// JavaScript was too busy to take the request within `request_timeout`.
    DispatchTimeout,
    /// The client has closed its side before the head was complete.
    TruncatedHead,
    /// The request has more than one `Content-Length`.
    RepeatedContentLength,
    /// The server does not decode this transfer coding.
    UnknownTransferCoding,
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    UnsupportedVersion,
    /// The client has sent HTTP without TLS to a TLS port.
    PlainHttpOnTlsPort,
    /// The peer may not send a PROXY protocol header.
    ProxyProtocolForbidden,
    /// The target is outside the path under which the application is mounted.
    OutsideRootPath,
    /// The number of in-flight requests has reached `worker_connections`.
    Overloaded,
}

impl Refusal {
    /// Returns the status code of the response.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BodyTooLarge | Self::ChunkLineTooLong => 413,
            Self::FieldTooLarge | Self::TooManyFields => 431,
            Self::BodyTimeout | Self::HeadTimeout => 408,
            Self::ResponseTimeout => 504,
            Self::Overloaded | Self::DispatchTimeout => 503,
            Self::OutsideRootPath => 500,
            Self::ProxyProtocolForbidden => 403,
            Self::UnknownTransferCoding => 501,
            Self::UnsupportedVersion => 505,
            Self::UriTooLong => 414,
            _ => 400,
        }
    }

    /// Returns the status code that node sends for the same error.
    #[must_use]
    pub fn status_on_node(self) -> u16 {
        match self.status() {
            // Node has one limit for the whole head.
            414 => 431,
            413 if self == Self::ChunkLineTooLong => 413,
            status @ (408 | 431 | 503 | 504) => status,
            _ => 400,
        }
    }

    /// Returns the number of node's equivalent in JavaScript's list of errors; 0 if node has none.
    #[must_use]
    pub fn kind(self) -> u8 {
        match self {
            Self::BadChunk => refusal_kind::CHUNK_SIZE,
            Self::ChunkLineTooLong => refusal_kind::CHUNK_EXTENSIONS,
            Self::BadContentLength => refusal_kind::CONTENT_LENGTH,
            Self::BadField | Self::BadTrailer => refusal_kind::HEADER_TOKEN,
            Self::BareCarriageReturn => refusal_kind::BARE_CR,
            Self::BadLineEnd => refusal_kind::LINE_END,
            Self::BadMethod | Self::BadRequestLine => refusal_kind::METHOD,
            Self::BadTarget => refusal_kind::TARGET,
            Self::BadTransferEncoding | Self::UnknownTransferCoding => {
                refusal_kind::TRANSFER_ENCODING
            }
            Self::UnsupportedVersion => refusal_kind::VERSION,
            Self::FieldTooLarge | Self::TooManyFields | Self::UriTooLong => {
                refusal_kind::HEADER_OVERFLOW
            }
            Self::BodyTimeout | Self::HeadTimeout => refusal_kind::TIMEOUT,
            Self::RepeatedContentLength => refusal_kind::REPEATED_CONTENT_LENGTH,
            Self::TruncatedHead => refusal_kind::TRUNCATED_HEAD,
            _ => 0,
        }
    }

    /// Returns the sentence that describes the error to the client.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::ResponseTimeout => "The application has not answered in time.",
            Self::BadChunk => "The chunked body is malformed.",
            Self::ChunkLineTooLong => "A chunk-size line is too long.",
            Self::BadContentLength => "Content-Length is malformed.",
            Self::BadField => "A header field is malformed or not allowed.",
            Self::BareCarriageReturn => "A header field has a CR without LF.",
            Self::BadForwarding => "The forwarding fields are malformed or contradict each other.",
            Self::BadHost => "The Host header field is missing, repeated or malformed.",
            Self::BadLineEnd => "A line does not end in CRLF.",
            Self::BadMethod => "The method is malformed.",
            Self::BadProxyHeader => "The PROXY protocol header is malformed.",
            Self::BadRequestLine => "The request line is malformed.",
            Self::BadTarget => "The request target is malformed.",
            Self::BadTrailer => "A trailer field is malformed or not allowed.",
            Self::BadTransferEncoding => "Transfer-Encoding is malformed or not allowed here.",
            Self::BodyTimeout => "The request body did not arrive in time.",
            Self::BodyTooLarge => "The request body is too large.",
            Self::TruncatedHead => "The request ends in the middle of its head.",
            Self::ParserDisagreement => "The request is ambiguous.",
            Self::FieldTooLarge => "A header field is too large.",
            Self::HeadTimeout => "The request did not arrive in time.",
            Self::Overloaded | Self::DispatchTimeout => "The server is busy.",
            Self::PlainHttpOnTlsPort => {
                "This port speaks HTTPS, and the request came without TLS. \
                 Use https:// instead of http://."
            }
            Self::OutsideRootPath => {
                "Configuration problem: the request is not below the path \
                 at which the application is mounted."
            }
            Self::ProxyProtocolForbidden => "The PROXY protocol is not allowed from here.",
            Self::RepeatedContentLength => "Content-Length is repeated.",
            Self::TooManyFields => "The request has too many header fields.",
            Self::UnknownTransferCoding => "The transfer coding is not implemented.",
            Self::UnsupportedVersion => "The HTTP version is not supported.",
            Self::UriTooLong => "The request line is too long.",
        }
    }
}

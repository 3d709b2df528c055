//! Why a request is refused, in one list: status, sentence, and what node calls it.

/// Why a request is refused. Each has one status and one sentence for the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The chunked framing of the body is broken or its lines are too long.
    BadChunk,
    /// `Content-Length` is not a plain number.
    BadContentLength,
    /// A header field line is malformed.
    BadField,
    /// The fields of a proxy are malformed or contradict each other.
    BadForwarding,
    /// `Host` is missing, repeated or malformed (RFC 9112 section 3.2).
    BadHost,
    /// A line does not end in CRLF.
    BadLineEnd,
    /// The method is not a token.
    BadMethod,
    /// The header of the PROXY protocol is malformed.
    BadProxyHeader,
    /// The request line has not three parts with single spaces between them.
    BadRequestLine,
    /// The request target has none of the four forms.
    BadTarget,
    /// A trailer field is malformed or must not be a trailer.
    BadTrailer,
    /// `Transfer-Encoding` where it must not be, or not `chunked` once and last.
    BadTransferEncoding,
    /// JavaScript has not begun to answer in time.
    ResponseTimeout,
    /// The body did not come in time, or too slowly.
    BodyTimeout,
    /// The body is longer than `limit_request_body`.
    BodyTooLarge,
    /// Two readers have read the head differently.
    ParserDisagreement,
    /// The head did not arrive in time.
    HeadTimeout,
    /// A field line is longer than `limit_request_field_size`, or the trailers are too long.
    FieldTooLarge,
    /// More fields than `limit_request_fields`.
    TooManyFields,
    /// The request line is longer than `limit_request_line`.
    UriTooLong,
    /// JavaScript was too busy to take the request in time.
    DispatchTimeout,
    /// The client has ended its side in the middle of a head.
    TruncatedHead,
    /// There is more than one `Content-Length`.
    RepeatedContentLength,
    /// A transfer coding that nobody here decodes.
    UnknownTransferCoding,
    /// Not HTTP/1.0 or HTTP/1.1.
    UnsupportedVersion,
    /// HTTP without TLS where TLS is spoken.
    PlainHttpOnTlsPort,
    /// The peer may not send the PROXY protocol.
    ProxyProtocolForbidden,
    /// The target is not below the path at which the application is mounted.
    OutsideRootPath,
    /// As many requests in hand as `worker_connections` allows.
    Overloaded,
}

impl Refusal {
    /// The status code of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BodyTooLarge => 413,
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

    /// The status code with which node would refuse the same.
    #[must_use]
    pub fn status_on_node(self) -> u16 {
        match self.status() {
            // There is one limit for a whole head.
            414 => 431,
            status @ (408 | 431 | 503 | 504) => status,
            _ => 400,
        }
    }

    /// What it is for JavaScript, whose list of node's errors is in this order; 0 for what node has none for.
    #[must_use]
    pub fn kind(self) -> u8 {
        match self {
            Self::BadChunk => 1,
            Self::BadContentLength => 2,
            Self::BadField | Self::BadTrailer => 3,
            Self::BadLineEnd => 4,
            Self::BadMethod | Self::BadRequestLine => 5,
            Self::BadTarget => 6,
            Self::BadTransferEncoding | Self::UnknownTransferCoding => 7,
            Self::UnsupportedVersion => 8,
            Self::FieldTooLarge | Self::TooManyFields | Self::UriTooLong => 9,
            Self::BodyTimeout | Self::HeadTimeout => 10,
            Self::RepeatedContentLength => 11,
            Self::TruncatedHead => 12,
            _ => 0,
        }
    }

    /// What was wrong, for the client.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::ResponseTimeout => "The application has not answered in time.",
            Self::BadChunk => "The chunked body is malformed.",
            Self::BadContentLength => "Content-Length is malformed.",
            Self::BadField => "A header field is malformed or not allowed.",
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
                "This port speaks HTTPS, and the request came without TLS. Use https:// instead of http://."
            }
            Self::OutsideRootPath => {
                "Configuration problem: the request is not below the path at which the application is mounted."
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

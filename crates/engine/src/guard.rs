//! What stands between the socket and hyper: it sees every byte first, releases one message at a time and refuses
//! what it does not understand; it never repairs. A fault here can therefore only make the engine stricter than
//! hyper, never laxer: hyper reads again whatever is released.

mod chunked;
mod fault;
mod head;
mod other_protocols;
mod syntax;

use std::net::SocketAddr;

use chunked::Chunks;
use fault::Remembered;
pub use fault::{Fault, Media};
pub(crate) use other_protocols::read_trailers;
use syntax::capitals;
pub(crate) use syntax::{check_host, is_token, is_uri};

use crate::forwarding;
use crate::limits::Limits;
use crate::listener::PeerAddr;
use crate::proxy::{self, Preface};
use crate::request::{Framing, Head};
use crate::rules::{ProxyProtocol, Rules};

/// Why a request is refused. Each has one status and one sentence for the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The chunked framing of the body is broken or its lines are too long.
    BadChunk,
    /// `Content-Length` is not a plain number, or there is more than one.
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
    BadProxy,
    /// The request line has not three parts with single spaces between them.
    BadRequestLine,
    /// The request target has none of the four forms.
    BadTarget,
    /// A trailer field is malformed or must not be a trailer.
    BadTrailer,
    /// `Transfer-Encoding` where it must not be, or not `chunked` once and last.
    BadTransferEncoding,
    /// JavaScript has not begun to answer in time.
    AnswerTimeout,
    /// The body did not come in time, or too slowly.
    BodyTimeout,
    /// The body is longer than `limit_request_body`.
    BodyTooLarge,
    /// hyper read the message otherwise than the guard.
    Disagreement,
    /// The head did not arrive in time.
    HeadTimeout,
    /// A field line is longer than `limit_request_field_size`, or the trailers are too long.
    FieldTooLarge,
    /// More fields than `limit_request_fields`.
    TooManyFields,
    /// The request line is longer than `limit_request_line`.
    UriTooLong,
    /// JavaScript was too busy to take the request in time.
    Unserved,
    /// A transfer coding that nobody here decodes.
    UnknownCoding,
    /// Not HTTP/1.0 or HTTP/1.1.
    UnsupportedVersion,
    /// HTTP without TLS where TLS is spoken.
    PlainHttp,
    /// The peer may not send the PROXY protocol.
    ProxyForbidden,
    /// The target is not below the path at which the application is mounted.
    PrefixMismatch,
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
            Self::AnswerTimeout => 504,
            Self::Overloaded | Self::Unserved => 503,
            Self::PrefixMismatch => 500,
            Self::ProxyForbidden => 403,
            Self::UnknownCoding => 501,
            Self::UnsupportedVersion => 505,
            Self::UriTooLong => 414,
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
            Self::BadTransferEncoding | Self::UnknownCoding => 7,
            Self::UnsupportedVersion => 8,
            Self::FieldTooLarge | Self::TooManyFields | Self::UriTooLong => 9,
            Self::BodyTimeout | Self::HeadTimeout => 10,
            _ => 0,
        }
    }

    /// What was wrong, for the client.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::AnswerTimeout => "The application has not answered in time.",
            Self::BadChunk => "The chunked body is malformed.",
            Self::BadContentLength => "Content-Length is malformed or repeated.",
            Self::BadField => "A header field is malformed or not allowed.",
            Self::BadForwarding => "The forwarding fields are malformed or contradict each other.",
            Self::BadHost => "The Host header field is missing, repeated or malformed.",
            Self::BadLineEnd => "A line does not end in CRLF.",
            Self::BadMethod => "The method is malformed.",
            Self::BadProxy => "The PROXY protocol header is malformed.",
            Self::BadRequestLine => "The request line is malformed.",
            Self::BadTarget => "The request target is malformed.",
            Self::BadTrailer => "A trailer field is malformed or not allowed.",
            Self::BadTransferEncoding => "Transfer-Encoding is malformed or not allowed here.",
            Self::BodyTimeout => "The request body did not arrive in time.",
            Self::BodyTooLarge => "The request body is too large.",
            Self::Disagreement => "The request is ambiguous.",
            Self::FieldTooLarge => "A header field is too large.",
            Self::HeadTimeout => "The request did not arrive in time.",
            Self::Overloaded | Self::Unserved => "The server is busy.",
            Self::PlainHttp => {
                "This port speaks HTTPS, and the request came without TLS. Use https:// instead of http://."
            }
            Self::PrefixMismatch => {
                "Configuration problem: the request is not below the path at which the application is mounted."
            }
            Self::ProxyForbidden => "The PROXY protocol is not allowed from here.",
            Self::TooManyFields => "The request has too many header fields.",
            Self::UnknownCoding => "The transfer coding is not implemented.",
            Self::UnsupportedVersion => "The HTTP version is not supported.",
            Self::UriTooLong => "The request line is too long.",
        }
    }
}

/// What a call of [`Guard::advance`] came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// What may stand before the first request is through: [`Guard::proxied`] says what it told.
    Preface,
    /// All input was looked at and more is needed.
    More,
    /// A head was released; body bytes may follow in further calls.
    Head,
    /// The last byte of the message was released.
    Complete,
}

enum State {
    /// Before the first head, where a header of the PROXY protocol may stand.
    Preface,
    /// Before or inside a head; `scanned` bytes of it hold no end.
    Head { scanned: usize },
    /// Inside a body of known length.
    Length(u64),
    /// Inside a chunked body.
    Chunked(Chunks),
    /// The message has been released whole; nothing more until [`Guard::next`].
    Complete,
}

/// The guard of one connection.
pub struct Guard {
    state: State,
    /// The peer's word on the client is believed.
    trusted: bool,
    /// The peer may send the PROXY protocol.
    may_proxy: bool,
    /// Lengths of the field names that say something of the client, as bits; none of a peer that is not trusted.
    telling: u64,
    proxied: Option<(SocketAddr, SocketAddr)>,
    remembered: Remembered,
    fault: Option<Box<Fault>>,
}

impl Guard {
    /// A guard that waits for the first head, and trusts nobody.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Head { scanned: 0 },
            trusted: false,
            may_proxy: false,
            telling: 0,
            proxied: None,
            remembered: Remembered::default(),
            fault: None,
        }
    }

    /// The guard of a connection from `peer`.
    #[must_use]
    pub fn for_peer(rules: &Rules, peer: &PeerAddr) -> Self {
        let trusted = rules.trusted.trusts(peer);
        let preface = rules.proxy_protocol != ProxyProtocol::Off;
        Self {
            state: if preface { State::Preface } else { State::Head { scanned: 0 } },
            trusted,
            may_proxy: preface && rules.proxies.trusts(peer),
            telling: if trusted { forwarding::telling_lengths(rules) } else { 0 },
            ..Self::new()
        }
    }

    /// Looks at `input`, appends what may go to hyper to `gate`, and returns how many bytes it took and what they
    /// came to. The spans of `head` are ranges of `gate`, which must be empty when a head begins.
    ///
    /// # Errors
    ///
    /// The refusal; the connection must not be read any further as HTTP. [`Guard::take_fault`] tells of the request.
    pub fn advance(
        &mut self,
        input: &[u8],
        gate: &mut Vec<u8>,
        head: &mut Head,
        limits: &Limits,
    ) -> Result<(usize, Progress), Refusal> {
        let result = self.step(input, gate, head, limits);
        if result.is_err() {
            self.fault = Some(Box::new(match &self.state {
                State::Head { .. } => Fault::of_head(input),
                State::Preface => Fault::default(),
                _ => self.body_fault(),
            }));
        }
        result
    }

    fn step(
        &mut self,
        input: &[u8],
        gate: &mut Vec<u8>,
        head: &mut Head,
        limits: &Limits,
    ) -> Result<(usize, Progress), Refusal> {
        match &mut self.state {
            State::Preface => {
                let preface = proxy::read(input, limits.rules.proxy_protocol, self.may_proxy)?;
                let taken = match preface {
                    Preface::More => return Ok((0, Progress::More)),
                    Preface::Absent => 0,
                    Preface::Header { len, told } => {
                        self.proxied = told;
                        len
                    }
                };
                self.state = State::Head { scanned: 0 };
                Ok((taken, Progress::Preface))
            }
            State::Head { scanned } => {
                let Some(len) = head::end(input, scanned, limits)? else {
                    return Ok((0, Progress::More));
                };
                let folded = limits.rules.casefold_method.then(|| capitals(&input[..len]));
                let bytes = folded.as_deref().unwrap_or(&input[..len]);
                head::parse(bytes, head, limits, self.trusted.then_some(self.telling))?;
                let state = match head.framing {
                    Framing::None => State::Complete,
                    Framing::Length(length) => {
                        if limits.request_body > 0 && length > limits.request_body {
                            return Err(Refusal::BodyTooLarge);
                        }
                        State::Length(length)
                    }
                    Framing::Chunked => State::Chunked(Chunks::new()),
                };
                if head.framing != Framing::None {
                    self.remembered = Remembered::of(head, bytes);
                }
                self.state = state;
                gate.extend_from_slice(bytes);
                Ok((len, Progress::Head))
            }
            State::Length(rest) => {
                let taken = usize::try_from(*rest).unwrap_or(usize::MAX).min(input.len());
                gate.extend_from_slice(&input[..taken]);
                *rest -= taken as u64;
                if *rest > 0 {
                    return Ok((taken, Progress::More));
                }
                self.state = State::Complete;
                Ok((taken, Progress::Complete))
            }
            State::Chunked(chunks) => {
                let (taken, complete) = chunks.advance(input, limits)?;
                gate.extend_from_slice(&input[..taken]);
                if !complete {
                    return Ok((taken, Progress::More));
                }
                Ok((taken, Progress::Complete))
            }
            State::Complete => Ok((0, Progress::Complete)),
        }
    }

    /// Whether nothing of a message has been released: a head, or what may stand before it, is waited for.
    #[must_use]
    pub fn awaits_head(&self) -> bool {
        matches!(self.state, State::Head { .. } | State::Preface)
    }

    /// Whether what may stand before the first head is still to come.
    pub(crate) fn awaits_preface(&self) -> bool {
        matches!(self.state, State::Preface)
    }

    /// The client and what it had connected to, as the PROXY protocol told it.
    #[must_use]
    pub fn proxied(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.proxied
    }

    /// What is remembered of the request whose body is refused.
    #[must_use]
    pub fn body_fault(&self) -> Fault {
        let Remembered { media, is_head } = self.remembered;
        Fault { media, is_head, ..Fault::default() }
    }

    /// What could be read of the request that was refused last.
    pub fn take_fault(&mut self) -> Option<Box<Fault>> {
        self.fault.take()
    }

    /// Whether the message in hand has been released whole.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.state {
            State::Complete => true,
            State::Chunked(chunks) => chunks.is_complete(),
            _ => false,
        }
    }

    /// Whether a message has begun that has not been released whole.
    #[must_use]
    pub fn in_message(&self) -> bool {
        match &self.state {
            State::Head { .. } | State::Preface => false,
            _ => !self.is_complete(),
        }
    }

    /// Body bytes that the framing says are still to come; `None` when it cannot say.
    #[must_use]
    pub fn body_left(&self) -> Option<u64> {
        match &self.state {
            State::Length(rest) => Some(*rest),
            State::Chunked(chunks) if !chunks.is_complete() => None,
            _ => Some(0),
        }
    }

    /// The raw trailer lines of a chunked message.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        match &self.state {
            State::Chunked(chunks) => chunks.trailers(),
            _ => &[],
        }
    }

    /// Waits for the next head.
    pub fn next(&mut self) {
        self.state = State::Head { scanned: 0 };
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

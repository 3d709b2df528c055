//! Parses and checks all bytes that a client sends, before any other code sees them. It passes on
//! one message at a time. It refuses what it does not understand and repairs nothing.
//!
//! An independent parser (httparse) checks each head too (`cross_check.rs`). A bug here can make
//! the engine stricter than httparse, but never more lenient.

pub mod addresses;
mod chunked;
mod cross_check;
pub(crate) mod forwarding;
mod head;
mod http2_head;
pub mod parse_policy;
mod partial_request;
mod progress;
pub mod proxy_protocol;
mod refusal;
mod request_line;
mod syntax;

use std::net::SocketAddr;

use chunked::ChunkedDecoder;
pub(crate) use http2_head::read_http2_trailers;
use partial_request::ErrorContext;
pub use partial_request::{ErrorFormat, PartialRequest};
pub use progress::Progress;
pub use refusal::Refusal;
use syntax::with_uppercase_method;

use crate::exchange::request_head::{Framing, RequestHead};
use crate::guard::parse_policy::ParsePolicy;
use crate::guard::proxy_protocol::ProxyHeader;
use crate::pressure::limits::Limits;
use crate::pressure::settings::ProxyProtocol;
use crate::transport::listener::PeerAddr;

enum GuardState {
    /// Before the first head, where a PROXY protocol header may come.
    ProxyHeader,
    /// Before or inside a head; `scanned` bytes have been searched for its end.
    Head { scanned: usize },
    /// Inside a body with `Content-Length`; the number is the bytes still to come.
    Length(u64),
    /// Inside a chunked body.
    Chunked(ChunkedDecoder),
    /// The message is complete; nothing more is parsed until [`Guard::start_next_message`].
    Complete,
}

/// The parser of one connection.
pub struct Guard {
    state: GuardState,
    /// Whether the forwarding fields of the peer are trusted.
    trusts_peer: bool,
    /// Whether the peer may send a PROXY protocol header.
    may_send_proxy_header: bool,
    /// Lengths of the forwarding field names, as bits; 0 for a peer that is not trusted.
    forwarding_name_lengths: u64,
    /// Addresses of the client and of its destination from the PROXY protocol header.
    proxied_addresses: Option<(SocketAddr, SocketAddr)>,
    /// What an error response needs to know if the body is refused.
    error_context: ErrorContext,
    /// The last request that was refused.
    partial_request: Option<Box<PartialRequest>>,
}

impl Guard {
    /// Creates a guard that expects a head and trusts no peer.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: GuardState::Head { scanned: 0 },
            trusts_peer: false,
            may_send_proxy_header: false,
            forwarding_name_lengths: 0,
            proxied_addresses: None,
            error_context: ErrorContext::default(),
            partial_request: None,
        }
    }

    /// Creates the guard for a connection from `peer`.
    #[must_use]
    pub fn for_peer(policy: &ParsePolicy, peer: &PeerAddr) -> Self {
        let trusts_peer = policy.forwarded_allow_ips.trusts(peer);
        let accepts_header = policy.proxy_protocol != ProxyProtocol::Off;
        Self {
            state: if accepts_header {
                GuardState::ProxyHeader
            } else {
                GuardState::Head { scanned: 0 }
            },
            trusts_peer,
            may_send_proxy_header: accepts_header && policy.proxy_allow_ips.trusts(peer),
            forwarding_name_lengths: if trusts_peer {
                forwarding::forwarding_name_lengths(policy)
            } else {
                0
            },
            ..Self::new()
        }
    }

    /// Parses `input` and appends the result to `output`: a complete head, or body bytes without
    /// their framing. Returns the number of bytes used and the progress.
    ///
    /// The spans of `head` are ranges of `output`, which must be empty before a head.
    ///
    /// # Errors
    ///
    /// The refusal; nothing more may be parsed on the connection. [`Guard::take_partial_request`]
    /// returns what is known of the request.
    pub fn advance(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        head: &mut RequestHead,
        limits: &Limits,
    ) -> Result<(usize, Progress), Refusal> {
        let result = self.step(input, output, head, limits);
        if result.is_err() {
            self.partial_request = Some(Box::new(match &self.state {
                GuardState::Head { .. } => PartialRequest::parse_head(input),
                GuardState::ProxyHeader => PartialRequest::default(),
                _ => self.partial_request_of_body(),
            }));
        }
        result
    }

    fn step(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        head: &mut RequestHead,
        limits: &Limits,
    ) -> Result<(usize, Progress), Refusal> {
        match &mut self.state {
            GuardState::ProxyHeader => {
                let header = proxy_protocol::read(
                    input,
                    limits.parse_policy.proxy_protocol,
                    self.may_send_proxy_header,
                )?;
                let taken = match header {
                    ProxyHeader::Incomplete => return Ok((0, Progress::More)),
                    ProxyHeader::Absent => 0,
                    ProxyHeader::Present { len, addresses } => {
                        self.proxied_addresses = addresses;
                        len
                    }
                };
                self.state = GuardState::Head { scanned: 0 };
                Ok((taken, Progress::ProxyHeader))
            }
            GuardState::Head { scanned } => {
                let Some(len) = head::find_head_end(input, scanned, limits)? else {
                    return Ok((0, Progress::More));
                };
                let policy = &limits.parse_policy;
                // A method in lower case is refused unless it is permitted, as by Gunicorn.
                let folds = policy.casefold_http_method && policy.permit_unconventional_http_method;
                let folded = folds.then(|| with_uppercase_method(&input[..len]));
                let bytes = folded.as_deref().unwrap_or(&input[..len]);
                head::parse_head(
                    bytes,
                    head,
                    limits,
                    self.trusts_peer.then_some(self.forwarding_name_lengths),
                )?;
                cross_check::check_agreement(head, bytes)?;
                let state = match head.framing {
                    Framing::None => GuardState::Complete,
                    Framing::Length(length) => {
                        if limits.settings.limit_request_body > 0
                            && length > limits.settings.limit_request_body
                        {
                            return Err(Refusal::BodyTooLarge);
                        }
                        GuardState::Length(length)
                    }
                    Framing::Chunked => GuardState::Chunked(ChunkedDecoder::new()),
                };
                if head.framing != Framing::None {
                    self.error_context = ErrorContext::new(head, bytes);
                }
                self.state = state;
                output.extend_from_slice(bytes);
                Ok((len, Progress::Head))
            }
            GuardState::Length(rest) => {
                let taken = usize::try_from(*rest).unwrap_or(usize::MAX).min(input.len());
                output.extend_from_slice(&input[..taken]);
                *rest -= taken as u64;
                if *rest > 0 {
                    return Ok((taken, Progress::More));
                }
                self.state = GuardState::Complete;
                Ok((taken, Progress::Complete))
            }
            GuardState::Chunked(decoder) => decoder.advance(input, output, limits),
            GuardState::Complete => Ok((0, Progress::Complete)),
        }
    }

    /// Returns whether the guard waits for a head, or for a PROXY protocol header before it.
    #[must_use]
    pub fn is_awaiting_head(&self) -> bool {
        matches!(self.state, GuardState::Head { .. } | GuardState::ProxyHeader)
    }

    /// Returns whether a PROXY protocol header may still come.
    pub(crate) fn is_awaiting_proxy_header(&self) -> bool {
        matches!(self.state, GuardState::ProxyHeader)
    }

    /// Returns the addresses of the client and of its destination from the PROXY protocol header.
    #[must_use]
    pub fn proxied_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.proxied_addresses
    }

    /// Returns what is known of the request while its body is parsed.
    #[must_use]
    pub fn partial_request_of_body(&self) -> PartialRequest {
        let ErrorContext { format, is_head_request } = self.error_context;
        PartialRequest { format, is_head_request, ..PartialRequest::default() }
    }

    /// Returns what could be parsed of the request that was refused last.
    pub fn take_partial_request(&mut self) -> Option<Box<PartialRequest>> {
        self.partial_request.take()
    }

    /// Returns whether the current message is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.state {
            GuardState::Complete => true,
            GuardState::Chunked(decoder) => decoder.is_complete(),
            _ => false,
        }
    }

    /// Returns whether a message has begun and is not complete.
    #[must_use]
    pub fn is_in_message(&self) -> bool {
        match &self.state {
            GuardState::Head { .. } | GuardState::ProxyHeader => false,
            _ => !self.is_complete(),
        }
    }

    /// Returns the number of body bytes that are still to come; `None` for a chunked body.
    #[must_use]
    pub fn remaining_body(&self) -> Option<u64> {
        match &self.state {
            GuardState::Length(rest) => Some(*rest),
            GuardState::Chunked(decoder) if !decoder.is_complete() => None,
            _ => Some(0),
        }
    }

    /// Skips bytes of a body with `Content-Length` that are read past the guard. They need no
    /// parsing.
    pub(crate) fn skip_body(&mut self, count: usize) {
        if let GuardState::Length(rest) = &mut self.state {
            *rest = rest.saturating_sub(count as u64);
            if *rest == 0 {
                self.state = GuardState::Complete;
            }
        }
    }

    /// Returns the trailer lines of a chunked message.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        match &self.state {
            GuardState::Chunked(decoder) => decoder.trailers(),
            _ => &[],
        }
    }

    /// Starts to parse the next message.
    pub fn start_next_message(&mut self) {
        self.state = GuardState::Head { scanned: 0 };
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

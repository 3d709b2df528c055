//! What stands between the socket and all else: it sees every byte first, releases one message at a time and refuses
//! what it does not understand; it never repairs. Every head is read a second time, by a parser of other make
//! (`second.rs`): a fault here can only make the engine stricter than that, never laxer.

pub mod addresses;
mod chunked;
mod cross_check;
pub(crate) mod forwarding;
mod head;
mod http2_head;
pub mod parse_policy;
mod partial_request;
pub mod proxy_protocol;
mod refusal;
mod syntax;

use std::net::SocketAddr;

use chunked::ChunkedDecoder;
pub(crate) use http2_head::read_http2_trailers;
use partial_request::ErrorContext;
pub use partial_request::{ErrorFormat, PartialRequest};
pub use refusal::Refusal;
use syntax::with_uppercase_method;
pub(crate) use syntax::{check_host, is_token};

use crate::exchange::request_head::{Framing, RequestHead};
use crate::guard::parse_policy::ParsePolicy;
use crate::guard::proxy_protocol::ProxyHeader;
use crate::pressure::limits::Limits;
use crate::pressure::settings::ProxyProtocol;
use crate::transport::listener::PeerAddr;

/// What a call of [`Guard::advance`] came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// What may stand before the first request is through: [`Guard::proxied_addresses`] says what it told.
    ProxyHeader,
    /// All input was looked at and more is needed.
    More,
    /// A head was released; body bytes may follow in further calls.
    Head,
    /// The last byte of the message was released.
    Complete,
}

enum GuardState {
    /// Before the first head, where a header of the PROXY protocol may stand.
    ProxyHeader,
    /// Before or inside a head; `scanned` bytes of it hold no end.
    Head { scanned: usize },
    /// Inside a body of known length.
    Length(u64),
    /// Inside a chunked body.
    Chunked(ChunkedDecoder),
    /// The message has been released whole; nothing more until [`Guard::start_next_message`].
    Complete,
}

/// The guard of one connection.
pub struct Guard {
    state: GuardState,
    /// The peer's word on the client is believed.
    trusts_peer: bool,
    /// The peer may send the PROXY protocol.
    may_send_proxy_header: bool,
    /// Lengths of the field names that say something of the client, as bits; none of a peer that is not trusted.
    forwarding_name_lengths: u64,
    proxied_addresses: Option<(SocketAddr, SocketAddr)>,
    error_context: ErrorContext,
    partial_request: Option<Box<PartialRequest>>,
}

impl Guard {
    /// A guard that waits for the first head, and trusts nobody.
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

    /// The guard of a connection from `peer`.
    #[must_use]
    pub fn for_peer(policy: &ParsePolicy, peer: &PeerAddr) -> Self {
        let trusts_peer = policy.forwarded_allow_ips.trusts(peer);
        let preface = policy.proxy_protocol != ProxyProtocol::Off;
        Self {
            state: if preface { GuardState::ProxyHeader } else { GuardState::Head { scanned: 0 } },
            trusts_peer,
            may_send_proxy_header: preface && policy.proxy_allow_ips.trusts(peer),
            forwarding_name_lengths: if trusts_peer {
                forwarding::forwarding_name_lengths(policy)
            } else {
                0
            },
            ..Self::new()
        }
    }

    /// Looks at `input`, appends to `released` what it is the next of, a whole head or bytes of a body without their
    /// framing, and returns how many bytes it took and what they came to. The spans of `head` are ranges of `released`,
    /// which must be empty when a head begins.
    ///
    /// # Errors
    ///
    /// The refusal; the connection must not be read any further as HTTP. [`Guard::take_partial_request`] tells of the request.
    pub fn advance(
        &mut self,
        input: &[u8],
        released: &mut Vec<u8>,
        head: &mut RequestHead,
        limits: &Limits,
    ) -> Result<(usize, Progress), Refusal> {
        let result = self.step(input, released, head, limits);
        if result.is_err() {
            self.partial_request = Some(Box::new(match &self.state {
                GuardState::Head { .. } => PartialRequest::of_head(input),
                GuardState::ProxyHeader => PartialRequest::default(),
                _ => self.body_error_context(),
            }));
        }
        result
    }

    fn step(
        &mut self,
        input: &[u8],
        released: &mut Vec<u8>,
        head: &mut RequestHead,
        limits: &Limits,
    ) -> Result<(usize, Progress), Refusal> {
        match &mut self.state {
            GuardState::ProxyHeader => {
                let preface = proxy_protocol::read(
                    input,
                    limits.parse_policy.proxy_protocol,
                    self.may_send_proxy_header,
                )?;
                let taken = match preface {
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
                let folded = limits
                    .parse_policy
                    .casefold_http_method
                    .then(|| with_uppercase_method(&input[..len]));
                let bytes = folded.as_deref().unwrap_or(&input[..len]);
                head::parse(
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
                    self.error_context = ErrorContext::of(head, bytes);
                }
                self.state = state;
                released.extend_from_slice(bytes);
                Ok((len, Progress::Head))
            }
            GuardState::Length(rest) => {
                let taken = usize::try_from(*rest).unwrap_or(usize::MAX).min(input.len());
                released.extend_from_slice(&input[..taken]);
                *rest -= taken as u64;
                if *rest > 0 {
                    return Ok((taken, Progress::More));
                }
                self.state = GuardState::Complete;
                Ok((taken, Progress::Complete))
            }
            GuardState::Chunked(decoder) => {
                let (taken, complete) = decoder.advance(input, released, limits)?;
                if !complete {
                    return Ok((taken, Progress::More));
                }
                Ok((taken, Progress::Complete))
            }
            GuardState::Complete => Ok((0, Progress::Complete)),
        }
    }

    /// Whether nothing of a message has been released: a head, or what may stand before it, is waited for.
    #[must_use]
    pub fn is_awaiting_head(&self) -> bool {
        matches!(self.state, GuardState::Head { .. } | GuardState::ProxyHeader)
    }

    /// Whether what may stand before the first head is still to come.
    pub(crate) fn is_awaiting_proxy_header(&self) -> bool {
        matches!(self.state, GuardState::ProxyHeader)
    }

    /// The client and what it had connected to, as the PROXY protocol told it.
    #[must_use]
    pub fn proxied_addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.proxied_addresses
    }

    /// What is remembered of the request whose body is refused.
    #[must_use]
    pub fn body_error_context(&self) -> PartialRequest {
        let ErrorContext { format, is_head_request } = self.error_context;
        PartialRequest { format, is_head_request, ..PartialRequest::default() }
    }

    /// What could be read of the request that was refused last.
    pub fn take_partial_request(&mut self) -> Option<Box<PartialRequest>> {
        self.partial_request.take()
    }

    /// Whether the message in hand has been released whole.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.state {
            GuardState::Complete => true,
            GuardState::Chunked(decoder) => decoder.is_complete(),
            _ => false,
        }
    }

    /// Whether a message has begun that has not been released whole.
    #[must_use]
    pub fn is_in_message(&self) -> bool {
        match &self.state {
            GuardState::Head { .. } | GuardState::ProxyHeader => false,
            _ => !self.is_complete(),
        }
    }

    /// Body bytes that the framing says are still to come; `None` when it cannot say.
    #[must_use]
    pub fn remaining_body(&self) -> Option<u64> {
        match &self.state {
            GuardState::Length(rest) => Some(*rest),
            GuardState::Chunked(decoder) if !decoder.is_complete() => None,
            _ => Some(0),
        }
    }

    /// Bytes of a body of known length have come that are not to be released: there is nothing in them to be read.
    pub(crate) fn skip_body(&mut self, count: usize) {
        if let GuardState::Length(rest) = &mut self.state {
            *rest = rest.saturating_sub(count as u64);
            if *rest == 0 {
                self.state = GuardState::Complete;
            }
        }
    }

    /// The raw trailer lines of a chunked message.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        match &self.state {
            GuardState::Chunked(decoder) => decoder.trailers(),
            _ => &[],
        }
    }

    /// Waits for the next head.
    pub fn start_next_message(&mut self) {
        self.state = GuardState::Head { scanned: 0 };
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

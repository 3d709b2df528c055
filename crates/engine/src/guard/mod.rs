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

use chunked::Chunks;
pub(crate) use http2_head::read_trailers;
use partial_request::Remembered;
pub use partial_request::{Fault, Media};
pub use refusal::Refusal;
use syntax::capitals;
pub(crate) use syntax::{check_host, is_token};

use crate::exchange::request_head::{Framing, Head};
use crate::guard::parse_policy::{ProxyProtocol, Rules};
use crate::guard::proxy_protocol::Preface;
use crate::pressure::limits::Limits;
use crate::transport::listener::PeerAddr;

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

    /// Looks at `input`, appends to `released` what it is the next of, a whole head or bytes of a body without their
    /// framing, and returns how many bytes it took and what they came to. The spans of `head` are ranges of `released`,
    /// which must be empty when a head begins.
    ///
    /// # Errors
    ///
    /// The refusal; the connection must not be read any further as HTTP. [`Guard::take_fault`] tells of the request.
    pub fn advance(
        &mut self,
        input: &[u8],
        released: &mut Vec<u8>,
        head: &mut Head,
        limits: &Limits,
    ) -> Result<(usize, Progress), Refusal> {
        let result = self.step(input, released, head, limits);
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
        released: &mut Vec<u8>,
        head: &mut Head,
        limits: &Limits,
    ) -> Result<(usize, Progress), Refusal> {
        match &mut self.state {
            State::Preface => {
                let preface =
                    proxy_protocol::read(input, limits.rules.proxy_protocol, self.may_proxy)?;
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
                cross_check::agree(head, bytes)?;
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
                released.extend_from_slice(bytes);
                Ok((len, Progress::Head))
            }
            State::Length(rest) => {
                let taken = usize::try_from(*rest).unwrap_or(usize::MAX).min(input.len());
                released.extend_from_slice(&input[..taken]);
                *rest -= taken as u64;
                if *rest > 0 {
                    return Ok((taken, Progress::More));
                }
                self.state = State::Complete;
                Ok((taken, Progress::Complete))
            }
            State::Chunked(chunks) => {
                let (taken, complete) = chunks.advance(input, released, limits)?;
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

    /// Bytes of a body of known length have come that are not to be released: there is nothing in them to be read.
    pub(crate) fn pass_body(&mut self, count: usize) {
        if let State::Length(rest) = &mut self.state {
            *rest = rest.saturating_sub(count as u64);
            if *rest == 0 {
                self.state = State::Complete;
            }
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

//! Checks HTTP/2 requests that have been written in the form of HTTP/1.1, with the same rules.

use super::chunked::ChunkedDecoder;
use super::progress::Progress;
use super::refusal::Refusal;
use super::{Guard, GuardState, head};
use crate::exchange::request_head::RequestHead;
use crate::pressure::limits::Limits;

impl Guard {
    /// Parses the head of an HTTP/2 request.
    pub(crate) fn read_http2_head(
        &self,
        text: &[u8],
        head: &mut RequestHead,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        if text.len() > limits.head_size() {
            return Err(Refusal::FieldTooLarge);
        }
        head::parse_head(
            text,
            head,
            limits,
            self.trusts_peer.then_some(self.forwarding_name_lengths),
        )
    }

    /// Returns whether the forwarding fields of the peer are trusted.
    pub(crate) fn trusts_peer(&self) -> bool {
        self.trusts_peer
    }

    /// Returns whether a head comes next, and no PROXY protocol header before it.
    pub(crate) fn is_at_head(&self) -> bool {
        matches!(self.state, GuardState::Head { .. })
    }
}

/// Checks trailer lines of an HTTP/2 request. Returns them without the fields that must be dropped.
pub(crate) fn read_http2_trailers(lines: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let mut decoder = ChunkedDecoder::new();
    let text = [b"0\r\n", lines, b"\r\n"].concat();
    let (taken, progress) = decoder.advance(&text, &mut Vec::new(), limits)?;
    if taken < text.len() || progress != Progress::Complete {
        return Err(Refusal::BadTrailer);
    }
    Ok(decoder.trailers().to_vec())
}

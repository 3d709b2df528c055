//! Requests that came by another protocol than HTTP/1 and are written down as HTTP/1.1 has them: the same rules hold.

use super::chunked::ChunkedDecoder;
use super::{Guard, GuardState, Refusal, head};
use crate::exchange::request_head::RequestHead;
use crate::pressure::limits::Limits;

impl Guard {
    /// Reads such a head.
    pub(crate) fn read_http2_head(
        &self,
        text: &[u8],
        head: &mut RequestHead,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        if text.len() > limits.head_size() {
            return Err(Refusal::FieldTooLarge);
        }
        head::parse(text, head, limits, self.trusts_peer.then_some(self.forwarding_name_lengths))
    }

    /// Whether the peer's word on the client is believed.
    pub(crate) fn trusts_peer(&self) -> bool {
        self.trusts_peer
    }

    /// Whether a head is next, and not what may stand before the first one.
    pub(crate) fn is_at_head(&self) -> bool {
        matches!(self.state, GuardState::Head { .. })
    }
}

/// Reads such trailer lines; what must not be told is left out.
pub(crate) fn read_http2_trailers(lines: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let mut decoder = ChunkedDecoder::new();
    let text = [b"0\r\n", lines, b"\r\n"].concat();
    let (taken, is_complete) = decoder.advance(&text, &mut Vec::new(), limits)?;
    if taken < text.len() || !is_complete {
        return Err(Refusal::BadTrailer);
    }
    Ok(decoder.trailers().to_vec())
}

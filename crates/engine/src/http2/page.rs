//! Complete responses of the engine on a stream: error responses and health checks.

use std::rc::Rc;

use bytes::Bytes;
use h2::server::SendResponse;

use super::counted_bytes::{CountedBytes, UnsentBytes};
use super::fields;
use crate::bridge::ring::{HeadFlags, ResponseHead};
use crate::bridge::wire::head_flag;
use crate::guard::{PartialRequest, Refusal};
use crate::http1::encoder;

/// The writer of h2 that a response is given to, and the counter of its bytes.
type Output<'a> = (&'a mut SendResponse<CountedBytes>, &'a Rc<UnsentBytes>);

/// Sends an error response. `date` is the value of its `Date` field. Returns the length of its body
/// in bytes.
pub(crate) fn send_refusal(
    date: &[u8],
    output: Output<'_>,
    refusal: Refusal,
    partial: &PartialRequest,
) -> u64 {
    let (lines, body) = encoder::refusal_content(refusal, partial.format);
    let head = page_head(refusal.status(), lines.as_bytes());
    send_page((&head, date), body.into(), output, partial.is_head_request)
}

/// Returns the head of a complete response of the engine.
pub(crate) fn page_head(status: u16, fields: &[u8]) -> ResponseHead<'_> {
    let flags = HeadFlags::new(head_flag::DATE | head_flag::LENGTH);
    ResponseHead { status, reason: None, fields, flags }
}

/// Sends a complete response of the engine and returns the length of its body.
pub(crate) fn send_page(
    (head, date): (&ResponseHead<'_>, &[u8]),
    body: Bytes,
    (respond, unsent): Output<'_>,
    is_head_request: bool,
) -> u64 {
    let length = body.len() as u64;
    let Some(head) = fields::final_head(head, date, Some(length)) else { return 0 };
    // An error means that the client has closed the stream or the connection.
    if let Ok(mut stream) = respond.send_response(head, is_head_request)
        && !is_head_request
    {
        let _ = stream.send_data(unsent.wrap(body), true);
    }
    length
}

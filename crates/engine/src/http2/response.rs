//! Response commands from JavaScript to a stream. They are queued until the connection's next turn.

use std::rc::Rc;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;

use super::counted_bytes::{CountedBytes, UnsentBytes};
use super::exchange::StreamExchange;
use super::fields;
use crate::bridge::ring::ResponseHead;
use crate::exchange::Completion;
use crate::exchange::response::ResponseFraming;
use crate::exchange::response_sink::ResponseSink;

/// A stream as an entry of the table of exchanges.
pub(crate) struct StreamSink(pub Rc<StreamExchange>);

impl ResponseSink for StreamSink {
    fn send_interim(&self, head: &ResponseHead<'_>) {
        let stream = &self.0;
        if stream.exchange.borrow_mut().begin_interim(head.status)
            && let Some(response) = fields::bare_head(head.status, head.fields)
            && let Some(output) = stream.output.borrow_mut().as_mut()
        {
            // h2 refuses a status that is not 1xx, so the error is ignored. On HTTP/1 the status
            // would break the connection.
            let _ = output.respond.send_informational(response);
        }
        stream.mark_dirty();
    }

    fn send_head(&self, head: &ResponseHead<'_>, length: Option<u64>) {
        let stream = &self.0;
        let mut exchange = stream.exchange.borrow_mut();
        let head = &ResponseHead { status: stream.visible_status(head.status), ..*head };
        let framing = ResponseFraming { has_no_body: head.flags.has_no_body(), is_chunked: false };
        if !exchange.begin_response(head.status, framing) {
            return;
        }
        exchange.log_response_fields(head.fields);
        let response = fields::final_head(head, stream.shared.ctx.date().text(), length);
        if response.is_none() {
            stream.pending_reset.set(Some(Reason::INTERNAL_ERROR));
        }
        if let Some(output) = stream.output.borrow_mut().as_mut() {
            output.head = response;
        }
        stream.mark_dirty();
    }

    fn send_data(&self, bytes: &[u8]) {
        let stream = &self.0;
        let mut exchange = stream.exchange.borrow_mut();
        let mut output = stream.output.borrow_mut();
        let Some(output) = output.as_mut() else { return };
        if exchange.is_tunnel() {
            stream.send_tunnel_data(&mut exchange, output, bytes);
        } else if exchange.response.write(bytes.len()) {
            if output.tail.is_empty() {
                // The vector is exactly as large as its content, so it becomes a chunk without
                // another copy.
                output.tail = bytes.to_vec();
            } else {
                output.tail.extend_from_slice(bytes);
            }
        }
        stream.mark_dirty();
    }

    fn send_large(&self, bytes: Bytes) {
        let stream = &self.0;
        let mut exchange = stream.exchange.borrow_mut();
        let mut output = stream.output.borrow_mut();
        let Some(output) = output.as_mut() else { return };
        if exchange.is_tunnel() {
            stream.send_tunnel_data(&mut exchange, output, &bytes);
        } else if exchange.response.write(bytes.len()) {
            if !output.tail.is_empty() {
                output.chunks.push(Bytes::from(std::mem::take(&mut output.tail)));
            }
            output.chunks.push(bytes);
        }
        stream.mark_dirty();
    }

    fn add_trailers(&self, fields: &[u8]) {
        self.0.exchange.borrow_mut().response.trailers.extend_from_slice(fields);
    }

    fn end(&self, discard: bool) {
        let stream = &self.0;
        let mut exchange = stream.exchange.borrow_mut();
        let now = stream.shared.ctx.clock.now_ms();
        let completion = exchange.complete(discard, now, &stream.shared.limits.borrow());
        if completion != Completion::Repeated && !exchange.response.is_head_sent {
            stream.pending_reset.set(Some(Reason::INTERNAL_ERROR));
        }
        drop(exchange);
        stream.mark_dirty();
    }

    fn abort(&self) {
        // RFC 8441 section 5: a tunnel is aborted with CANCEL.
        let is_tunnel = self.0.exchange.borrow().is_tunnel();
        self.0.pending_reset.set(Some(if is_tunnel {
            Reason::CANCEL
        } else {
            Reason::INTERNAL_ERROR
        }));
        self.0.mark_dirty();
    }

    fn grant_credit(&self, bytes: u32) {
        self.0.exchange.borrow_mut().body.grant(bytes);
        self.0.mark_dirty();
    }

    fn decide_upgrade(&self, taken: bool) {
        let mut exchange = self.0.exchange.borrow_mut();
        self.0.take_over_stream(&mut exchange, taken);
        drop(exchange);
        self.0.mark_dirty();
    }

    fn set_buffered_in_js(&self, bytes: usize) {
        self.0.set_buffered_in_js(bytes);
        self.0.mark_dirty();
    }

    fn notify_when_sent(&self) {
        self.0.exchange.borrow_mut().response.notifies_when_sent = true;
        self.0.mark_dirty();
    }
}

/// Sends a complete response of the engine and returns the length of its body.
pub(super) fn send_page(
    (head, date): (&ResponseHead<'_>, &[u8]),
    body: Bytes,
    (respond, unsent): (&mut SendResponse<CountedBytes>, &Rc<UnsentBytes>),
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

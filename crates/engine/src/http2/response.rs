//! Response commands from JavaScript to a stream. They are queued until the connection's next turn.

use std::rc::Rc;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;

use super::counted_bytes::{CountedBytes, UnsentBytes};
use super::exchange::StreamExchange;
use super::fields;
use crate::bridge::ring::ResponseHead;
use crate::exchange::response_sink::ResponseSink;

/// A stream as an entry of the table of exchanges.
pub(crate) struct StreamSink(pub Rc<StreamExchange>);

impl ResponseSink for StreamSink {
    fn send_interim(&self, head: &ResponseHead<'_>) {
        let stream = &self.0;
        stream.exchange.borrow_mut().record_interim(head.status);
        if !stream.exchange.borrow().is_head_sent
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
        if std::mem::replace(&mut exchange.is_head_sent, true) {
            return;
        }
        exchange.awaits_continue = false;
        let head = &ResponseHead { status: stream.visible_status(head.status), ..*head };
        exchange.status = head.status;
        exchange.has_no_body = head.flags.has_no_body();
        if let Some(log) = &mut exchange.log_info {
            log.response_fields.extend_from_slice(head.fields);
        }
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
        if exchange.tunnel.is_some() {
            stream.send_tunnel_data(&mut exchange, output, bytes);
        } else if exchange.count_response_bytes(bytes.len()) {
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
        if exchange.tunnel.is_some() {
            stream.send_tunnel_data(&mut exchange, output, &bytes);
        } else if exchange.count_response_bytes(bytes.len()) {
            if !output.tail.is_empty() {
                output.chunks.push(Bytes::from(std::mem::take(&mut output.tail)));
            }
            output.chunks.push(bytes);
        }
        stream.mark_dirty();
    }

    fn add_trailers(&self, fields: &[u8]) {
        self.0.exchange.borrow_mut().trailers.extend_from_slice(fields);
    }

    fn end(&self, discard: bool) {
        let stream = &self.0;
        let mut exchange = stream.exchange.borrow_mut();
        if !std::mem::replace(&mut exchange.is_response_complete, true) {
            exchange.is_upgrade_undecided = false;
            if !exchange.is_head_sent {
                // The application has ended the response without a head.
                stream.pending_reset.set(Some(Reason::INTERNAL_ERROR));
            }
            exchange.discards_body = discard && exchange.tunnel.is_none();
            exchange.start_discard_timer(&stream.shared);
        }
        drop(exchange);
        stream.mark_dirty();
    }

    fn abort(&self) {
        // RFC 8441 section 5: a tunnel is aborted with CANCEL.
        let is_tunnel = self.0.exchange.borrow().tunnel.is_some();
        self.0.pending_reset.set(Some(if is_tunnel {
            Reason::CANCEL
        } else {
            Reason::INTERNAL_ERROR
        }));
        self.0.mark_dirty();
    }

    fn grant_credit(&self, bytes: u32) {
        let mut exchange = self.0.exchange.borrow_mut();
        exchange.credit = exchange.credit.saturating_add(bytes as usize);
        drop(exchange);
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
        self.0.exchange.borrow_mut().notifies_when_sent = true;
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

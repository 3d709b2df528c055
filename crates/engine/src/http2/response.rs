//! Response commands from JavaScript to a stream. They are queued until the connection's next turn.

use std::rc::Rc;

use bytes::Bytes;
use h2::Reason;

use super::exchange::{StreamExchange, StreamOutput};
use super::fields;
use super::stream_admission::set_buffered_in_js;
use crate::bridge::ring::ResponseHead;
use crate::exchange::response::ResponseFraming;
use crate::exchange::response_sink::ResponseSink;
use crate::exchange::{Completion, Exchange};

/// A stream as an entry of the table of exchanges.
pub(crate) struct StreamSink(pub Rc<StreamExchange>);

impl ResponseSink for StreamSink {
    fn error_flags(&self) -> u8 {
        self.0.exchange.borrow().error_flags()
    }

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
        self.write(bytes, |output| {
            if output.tail.is_empty() {
                // The vector is exactly as large as its content, so it becomes a chunk without
                // another copy.
                output.tail = bytes.to_vec();
            } else {
                output.tail.extend_from_slice(bytes);
            }
        });
    }

    fn send_large(&self, bytes: Bytes) {
        self.write(&bytes, |output| {
            if !output.tail.is_empty() {
                output.chunks.push(Bytes::from(std::mem::take(&mut output.tail)));
            }
            output.chunks.push(bytes.clone());
        });
    }

    fn add_trailers(&self, fields: &[u8]) {
        self.change(|exchange| exchange.response.trailers.extend_from_slice(fields));
    }

    fn end(&self, discard: bool) {
        let StreamSink(stream) = self;
        self.change(|exchange| {
            let now = stream.shared.ctx.clock.now_ms();
            let completion = exchange.complete(discard, now, &stream.shared.limits.borrow());
            if completion != Completion::Repeated && !exchange.response.is_head_sent {
                stream.pending_reset.set(Some(Reason::INTERNAL_ERROR));
            }
        });
    }

    fn abort(&self) {
        self.change(|exchange| {
            // RFC 8441 section 5: a tunnel is aborted with CANCEL.
            let is_tunnel = exchange.is_tunnel();
            let reason = if is_tunnel { Reason::CANCEL } else { Reason::INTERNAL_ERROR };
            self.0.pending_reset.set(Some(reason));
        });
    }

    fn grant_credit(&self, bytes: u32) {
        self.change(|exchange| exchange.body.grant(bytes));
    }

    fn decide_upgrade(&self, taken: bool) {
        let has_input = self.0.request_body.borrow().is_some();
        self.change(|exchange| {
            self.0.shared.begin_tunnel(exchange, taken, has_input);
        });
    }

    fn set_buffered_in_js(&self, bytes: usize) {
        set_buffered_in_js(&self.0, bytes);
        self.0.mark_dirty();
    }

    fn notify_when_sent(&self) {
        self.change(|exchange| exchange.response.notifies_when_sent = true);
    }
}

impl StreamSink {
    /// Changes the exchange, and has the stream flushed in the connection's next turn.
    fn change(&self, change: impl FnOnce(&mut Exchange)) {
        change(&mut self.0.exchange.borrow_mut());
        self.0.mark_dirty();
    }

    /// Queues bytes of a tunnel, or has `push` queue bytes of the body if they may be written.
    fn write(&self, bytes: &[u8], push: impl FnOnce(&mut StreamOutput)) {
        self.change(|exchange| {
            let mut output = self.0.output.borrow_mut();
            let Some(output) = output.as_mut() else { return };
            if exchange.is_tunnel() {
                self.0.send_tunnel_data(exchange, output, bytes);
            } else if exchange.response.write(bytes.len()) {
                push(output);
            }
        });
    }
}

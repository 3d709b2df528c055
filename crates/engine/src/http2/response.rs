//! Response commands from JavaScript to a stream. They are queued until the connection's next turn.

use std::rc::Rc;

use bytes::Bytes;
use h2::Reason;

use super::exchange::StreamExchange;
use super::fields;
use crate::bridge::ring::ResponseHead;
use crate::exchange::response_sink::ResponseSink;

/// A stream as an entry of the table of exchanges.
pub(crate) struct StreamSink(pub Rc<StreamExchange>);

impl ResponseSink for StreamSink {
    fn send_interim(&self, head: &ResponseHead<'_>) {
        let exchange = &self.0;
        exchange.current.borrow_mut().record_interim(head.status);
        if !exchange.current.borrow().head_sent
            && let Some(response) = fields::bare_head(head.status, head.fields)
            && let Some(output) = exchange.output.borrow_mut().as_mut()
        {
            // h2 refuses a status that is not 1xx, so the error is ignored. On HTTP/1 the status
            // would break the connection.
            let _ = output.respond.send_informational(response);
        }
        exchange.mark_dirty();
    }

    fn send_head(&self, head: &ResponseHead<'_>, length: Option<u64>) {
        let exchange = &self.0;
        let mut current = exchange.current.borrow_mut();
        if std::mem::replace(&mut current.head_sent, true) {
            return;
        }
        current.awaits_continue = false;
        let head = &ResponseHead { status: exchange.visible_status(head.status), ..*head };
        current.status = head.status;
        current.no_body = head.flags.no_body();
        if let Some(log) = &mut current.log_info {
            log.response_fields.extend_from_slice(head.fields);
        }
        let response = fields::final_head(head, exchange.shared.ctx.date.borrow().text(), length);
        if response.is_none() {
            exchange.pending_reset.set(Some(Reason::INTERNAL_ERROR));
        }
        if let Some(output) = exchange.output.borrow_mut().as_mut() {
            output.head = response;
        }
        exchange.mark_dirty();
    }

    fn send_data(&self, bytes: &[u8]) {
        let exchange = &self.0;
        let mut current = exchange.current.borrow_mut();
        let mut output = exchange.output.borrow_mut();
        let Some(output) = output.as_mut() else { return };
        if current.tunnel.is_some() {
            exchange.send_tunnel_data(&mut current, output, bytes);
        } else if current.takes_data(bytes.len()) {
            if output.tail.is_empty() {
                // The vector is exactly as large as its content, so it becomes a chunk without
                // another copy.
                output.tail = bytes.to_vec();
            } else {
                output.tail.extend_from_slice(bytes);
            }
        }
        exchange.mark_dirty();
    }

    fn send_large(&self, bytes: Bytes) {
        let exchange = &self.0;
        let mut current = exchange.current.borrow_mut();
        let mut output = exchange.output.borrow_mut();
        let Some(output) = output.as_mut() else { return };
        if current.tunnel.is_some() {
            exchange.send_tunnel_data(&mut current, output, &bytes);
        } else if current.takes_data(bytes.len()) {
            if !output.tail.is_empty() {
                output.chunks.push(Bytes::from(std::mem::take(&mut output.tail)));
            }
            output.chunks.push(bytes);
        }
        exchange.mark_dirty();
    }

    fn add_trailers(&self, fields: &[u8]) {
        self.0.current.borrow_mut().trailers.extend_from_slice(fields);
    }

    fn end(&self, discard: bool) {
        let exchange = &self.0;
        let mut current = exchange.current.borrow_mut();
        if !std::mem::replace(&mut current.response_complete, true) {
            current.upgrade_undecided = false;
            if !current.head_sent {
                // The application has ended the response without a head.
                exchange.pending_reset.set(Some(Reason::INTERNAL_ERROR));
            }
            current.discards_body = discard && current.tunnel.is_none();
            current.start_discard_timer(&exchange.shared);
        }
        drop(current);
        exchange.mark_dirty();
    }

    fn abort(&self) {
        // RFC 8441 section 5: a tunnel is aborted with CANCEL.
        let is_tunnel = self.0.current.borrow().tunnel.is_some();
        self.0.pending_reset.set(Some(if is_tunnel {
            Reason::CANCEL
        } else {
            Reason::INTERNAL_ERROR
        }));
        self.0.mark_dirty();
    }

    fn grant_credit(&self, bytes: u32) {
        let mut current = self.0.current.borrow_mut();
        current.credit = current.credit.saturating_add(bytes as usize);
        drop(current);
        self.0.mark_dirty();
    }

    fn decide_upgrade(&self, taken: bool) {
        let mut current = self.0.current.borrow_mut();
        self.0.take_over_stream(&mut current, taken);
        drop(current);
        self.0.mark_dirty();
    }

    fn set_buffered_in_js(&self, bytes: usize) {
        self.0.set_buffered_in_js(bytes);
        self.0.mark_dirty();
    }

    fn notify_when_sent(&self) {
        self.0.current.borrow_mut().notifies_when_sent = true;
        self.0.mark_dirty();
    }
}

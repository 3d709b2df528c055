//! JavaScript's side of a stream: commands are kept until the connection's turn.

use std::rc::Rc;

use bytes::Bytes;
use h2::Reason;

use super::exchange::StreamExchange;
use super::fields;
use crate::bridge::ring::ResponseHead;
use crate::exchange::response_sink::ResponseSink;

/// An exchange as the table of exchanges has it.
pub(crate) struct StreamSink(pub Rc<StreamExchange>);

impl ResponseSink for StreamSink {
    fn inform(&self, head: &ResponseHead<'_>) {
        let exchange = &self.0;
        exchange.current.borrow_mut().informs(head.status);
        if !exchange.current.borrow().head_sent
            && let Some(response) = fields::interim(head.status, head.fields)
            && let Some(sending) = exchange.sending.borrow_mut().as_mut()
        {
            // What is no 1xx is not sent, as on HTTP/1 it would break the connection.
            let _ = sending.respond.send_informational(response);
        }
        exchange.note();
    }

    fn head(&self, head: &ResponseHead<'_>, length: Option<u64>) {
        let exchange = &self.0;
        let mut current = exchange.current.borrow_mut();
        if std::mem::replace(&mut current.head_sent, true) {
            return;
        }
        current.expects = false;
        let head = &ResponseHead { status: exchange.told(head.status), ..*head };
        current.status = head.status;
        current.no_body = head.flags.no_body();
        if let Some(log) = &mut current.log {
            log.response_fields.extend_from_slice(head.fields);
        }
        let response = fields::head(head, exchange.shared.ctx.date.borrow().text(), length);
        if response.is_none() {
            exchange.reset.set(Some(Reason::INTERNAL_ERROR));
        }
        if let Some(sending) = exchange.sending.borrow_mut().as_mut() {
            sending.head = response;
        }
        exchange.note();
    }

    fn data(&self, bytes: &[u8]) {
        let exchange = &self.0;
        let mut current = exchange.current.borrow_mut();
        let mut sending = exchange.sending.borrow_mut();
        let Some(sending) = sending.as_mut() else { return };
        if current.tunnel.is_some() {
            exchange.tunnel_data(&mut current, sending, bytes);
        } else if current.takes_data(bytes.len()) {
            if sending.tail.is_empty() {
                // Exactly as long as it is, so that it becomes a piece without another copy.
                sending.tail = bytes.to_vec();
            } else {
                sending.tail.extend_from_slice(bytes);
            }
        }
        exchange.note();
    }

    fn large(&self, bytes: Bytes) {
        let exchange = &self.0;
        let mut current = exchange.current.borrow_mut();
        let mut sending = exchange.sending.borrow_mut();
        let Some(sending) = sending.as_mut() else { return };
        if current.tunnel.is_some() {
            exchange.tunnel_data(&mut current, sending, &bytes);
        } else if current.takes_data(bytes.len()) {
            if !sending.tail.is_empty() {
                sending.pieces.push(Bytes::from(std::mem::take(&mut sending.tail)));
            }
            sending.pieces.push(bytes);
        }
        exchange.note();
    }

    fn trailers(&self, fields: &[u8]) {
        self.0.current.borrow_mut().trailers.extend_from_slice(fields);
    }

    fn end(&self, discard: bool) {
        let exchange = &self.0;
        let mut current = exchange.current.borrow_mut();
        if !std::mem::replace(&mut current.ended, true) {
            current.undecided = false;
            if !current.head_sent {
                // Nothing was said and nothing will be.
                exchange.reset.set(Some(Reason::INTERNAL_ERROR));
            }
            current.discard = discard && current.tunnel.is_none();
            current.awaits_rest(&exchange.shared);
        }
        drop(current);
        exchange.note();
    }

    fn reset(&self) {
        // RFC 8441 section 5: so a tunnel is cut.
        let is_tunnel = self.0.current.borrow().tunnel.is_some();
        self.0.reset.set(Some(if is_tunnel { Reason::CANCEL } else { Reason::INTERNAL_ERROR }));
        self.0.note();
    }

    fn credit(&self, bytes: u32) {
        let mut current = self.0.current.borrow_mut();
        current.credit = current.credit.saturating_add(bytes as usize);
        drop(current);
        self.0.note();
    }

    fn tunnel(&self, taken: bool) {
        let mut current = self.0.current.borrow_mut();
        self.0.decide(&mut current, taken);
        drop(current);
        self.0.note();
    }

    fn held(&self, bytes: usize) {
        self.0.set_behind(bytes);
        self.0.note();
    }

    fn notify(&self) {
        self.0.current.borrow_mut().notify = true;
        self.0.note();
    }
}

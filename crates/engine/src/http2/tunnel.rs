//! A stream that has become a tunnel: CONNECT (RFC 9113 section 8.5), or an extended CONNECT in
//! place of an upgrade (RFC 8441). The application writes the response head of HTTP/1.1 into the
//! tunnel, and the engine converts it.

use std::rc::Rc;

use http::header::SEC_WEBSOCKET_ACCEPT;

use super::exchange::{StreamExchange, StreamOutput};
use super::fields;
use super::head::PLACEHOLDER_ACCEPT;
use crate::exchange::Exchange;
use crate::exchange::tunnel::{TunnelHead, TunnelWrite};
use crate::exchange::websocket::SERVICE_RESTART_FRAME;

impl StreamExchange {
    /// Queues bytes that the application has written into the tunnel.
    pub fn send_tunnel_data(
        &self,
        exchange: &mut Exchange,
        output: &mut StreamOutput,
        bytes: &[u8],
    ) {
        let write = exchange.write_tunnel(bytes, self.shared.ctx.clock.now());
        if let Some(head) = &write.head {
            exchange.response.status = self.queue_head(output, head);
        }
        let rest = &bytes[write.head_len..];
        output.tail.extend_from_slice(&rest[..write.len]);
        self.close_websocket(output, &write);
    }

    /// Queues the response head in the form of HTTP/2. Returns its status.
    fn queue_head(&self, output: &mut StreamOutput, head: &TunnelHead) -> u16 {
        let is_switch = head.status == 101;
        // RFC 8441 section 5.1: status 200 takes the place of 101. A placeholder key has no accept
        // field in the response.
        let status = if is_switch { 200 } else { self.visible_status(head.status) };
        output.head = fields::bare_head(status, head.fields());
        let Some(response) = &mut output.head else {
            self.pending_reset.set(Some(h2::Reason::INTERNAL_ERROR));
            return status;
        };
        let accepts = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        if is_switch && accepts.is_some_and(|accept| accept == PLACEHOLDER_ACCEPT) {
            response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        }
        status
    }

    /// Begins or continues the drain of a tunnel: a WebSocket gets a close frame of the engine once
    /// it is old enough and a frame may begin (RFC 6455 section 7.4).
    pub fn drain_tunnel(self: &Rc<Self>) {
        let mut exchange = self.exchange.borrow_mut();
        let mut output = self.output.borrow_mut();
        if let (true, Some(output)) = (exchange.is_tunnel(), output.as_mut()) {
            let now = self.shared.ctx.clock.now();
            self.close_websocket(output, &exchange.drain_tunnel(now));
            self.mark_dirty();
        }
    }

    /// Queues the close frame of a drain, and starts its wait.
    fn close_websocket(&self, output: &mut StreamOutput, write: &TunnelWrite) {
        if write.closes {
            output.tail.extend_from_slice(&SERVICE_RESTART_FRAME);
        }
        if let Some(wait) = write.wait {
            let by = self.shared.ctx.clock.deadline(wait);
            self.drain_deadline.set(by);
            self.shared.set_deadline_no_later_than(by);
        }
    }
}

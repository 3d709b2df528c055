//! A stream that has become a tunnel: CONNECT (RFC 9113 section 8.5), or an extended CONNECT in
//! place of an upgrade (RFC 8441). The application writes the response head of HTTP/1.1 into the
//! tunnel, and the engine converts it.

use std::rc::Rc;

use http::header::SEC_WEBSOCKET_ACCEPT;

use super::exchange::{StreamExchange, StreamOutput};
use super::fields;
use super::head::PLACEHOLDER_ACCEPT;
use crate::exchange::websocket::{SERVICE_RESTART_FRAME, WebSocketFrames};
use crate::pressure::limits::{MAX_TUNNEL_HEAD, TUNNEL_CLOSE_TIME};
use crate::server::connection::Exchange;
use crate::server::connection::tunnel::{Tunnel, TunnelPhase, TunnelResponse};

impl StreamExchange {
    /// Turns the stream into a tunnel if JavaScript takes it over (`taken`). Otherwise the request
    /// is served as an ordinary stream.
    pub fn take_over_stream(&self, exchange: &mut Exchange, taken: bool) {
        if !std::mem::take(&mut exchange.is_upgrade_undecided) || !taken {
            return;
        }
        let ctx = &self.shared.ctx;
        exchange.is_body_done = self.request_body.borrow().is_none();
        // JavaScript gets the end of the client's bytes as an event of its own.
        exchange.is_end_emitted = false;
        exchange.tunnel = Some(Box::new(Tunnel::new(ctx.lifecycle.is_draining.get())));
        ctx.count_tunnel();
    }

    /// Queues bytes that the application has written into the tunnel.
    pub fn send_tunnel_data(
        &self,
        exchange: &mut Exchange,
        output: &mut StreamOutput,
        bytes: &[u8],
    ) {
        let elapsed = self.shared.ctx.clock.now().duration_since(exchange.started);
        let Some(tunnel) = exchange.tunnel.as_mut().filter(|tunnel| !tunnel.is_websocket_closed)
        else {
            return;
        };
        if exchange.is_response_complete {
            return;
        }
        let TunnelPhase::Head(head) = &mut tunnel.phase else {
            return queue_tunnel_bytes(exchange, output, bytes);
        };
        head.extend_from_slice(bytes);
        let end = memchr::memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
        if end.is_none() && head.len() < MAX_TUNNEL_HEAD {
            return;
        }
        let head = std::mem::take(head);
        let answered = TunnelResponse::parse(&head[..end.unwrap_or(0)]);
        let is_switch = answered.status == 101;
        // RFC 8441 section 5.1: status 200 takes the place of 101. A placeholder key has no accept
        // field in the response.
        let status = if is_switch { 200 } else { self.visible_status(answered.status) };
        let Some(mut response) = fields::bare_head(status, answered.fields) else {
            self.pending_reset.set(Some(h2::Reason::INTERNAL_ERROR));
            return;
        };
        let accepts = response.headers().get(SEC_WEBSOCKET_ACCEPT);
        if is_switch && accepts.is_some_and(|accept| accept == PLACEHOLDER_ACCEPT) {
            response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        }
        output.head = Some(response);
        tunnel.phase = if answered.is_websocket {
            TunnelPhase::WebSocket(WebSocketFrames::default())
        } else {
            TunnelPhase::Bytes
        };
        tunnel.response_time = Some(elapsed);
        let is_draining = tunnel.is_draining;
        exchange.status = status;
        exchange.is_head_sent = true;
        if let Some(log) = &mut exchange.log_info {
            log.response_fields.extend_from_slice(answered.fields);
        }
        queue_tunnel_bytes(exchange, output, &head[end.unwrap_or(0)..]);
        if is_draining {
            self.start_drain_deadline();
        }
    }

    /// Closes a WebSocket with a close frame of the engine while the worker drains (RFC 6455
    /// section 7.4).
    pub fn drain_tunnel(self: &Rc<Self>) {
        let mut exchange = self.exchange.borrow_mut();
        let mut output = self.output.borrow_mut();
        let (Some(tunnel), Some(output)) = (&mut exchange.tunnel, output.as_mut()) else { return };
        tunnel.is_draining = true;
        if let TunnelPhase::WebSocket(_) = tunnel.phase {
            self.start_drain_deadline();
            queue_tunnel_bytes(&mut exchange, output, b"");
            self.mark_dirty();
        }
    }

    fn start_drain_deadline(&self) {
        let by = self.shared.ctx.clock.deadline(TUNNEL_CLOSE_TIME);
        self.drain_deadline.set(by);
        self.shared.set_deadline_at(self.shared.deadline.get().min(by));
    }
}

/// Queues bytes of the application. If the WebSocket is to close, the close frame follows the
/// current frame.
fn queue_tunnel_bytes(exchange: &mut Exchange, output: &mut StreamOutput, bytes: &[u8]) {
    let Some(tunnel) = &mut exchange.tunnel else { return };
    let mut count = bytes.len();
    let mut closes = false;
    if let TunnelPhase::WebSocket(frames) = &mut tunnel.phase {
        count = frames.advance(bytes, tunnel.is_draining);
        closes = tunnel.is_draining && frames.is_at_boundary() && !frames.is_closed();
    }
    output.tail.extend_from_slice(&bytes[..count]);
    exchange.sent_bytes += count as u64;
    if closes {
        tunnel.is_websocket_closed = true;
        output.tail.extend_from_slice(&SERVICE_RESTART_FRAME);
    }
}

//! A tunnel: a connection that no longer uses HTTP after an upgrade (RFC 9110 section 7.8) or
//! CONNECT (section 9.3.6). Bytes pass in both directions, and JavaScript decides when each
//! direction ends. The exchange stays in flight until both have ended.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::ending::Ending;
use super::{Connection, ConnectionState, Turn};
use crate::buffers::write_queue::WriteQueue;
use crate::exchange::Exchange;
use crate::exchange::tunnel::TunnelWrite;
use crate::exchange::websocket::SERVICE_RESTART_FRAME;

impl ConnectionState {
    /// Turns the connection into a tunnel if JavaScript takes it over (`taken`). Otherwise the
    /// request is served as an ordinary one.
    pub(crate) fn decide_upgrade(&self, exchange: &mut Exchange, taken: bool) {
        if self.begin_tunnel(exchange, taken, true) {
            self.ending.set(Ending::AfterResponse);
            self.timer.wait_ends_at.set(u64::MAX);
        }
    }

    /// Begins or continues the drain of a tunnel. A WebSocket gets a close frame once it is old
    /// enough and a frame may begin.
    pub(crate) fn drain_tunnel(&self) {
        if let Some(exchange) = self.exchange.borrow_mut().as_mut() {
            self.close_websocket(&exchange.drain_tunnel(self.ctx.clock.now()));
        }
    }

    /// Writes bytes of the application into a tunnel; `push` adds the given number of them to the
    /// write queue.
    pub(crate) fn write_tunnel(
        &self,
        exchange: &mut Exchange,
        bytes: &[u8],
        push: impl FnOnce(&mut WriteQueue, usize),
    ) {
        let write = exchange.write_tunnel(bytes, self.ctx.clock.now());
        push(&mut self.write_queue.borrow_mut(), write.head_len + write.len);
        self.close_websocket(&write);
    }

    /// Sends the close frame of a drain, and starts its wait.
    fn close_websocket(&self, write: &TunnelWrite) {
        if write.closes {
            let mut out = self.write_queue.borrow_mut();
            out.append(|out| out.extend_from_slice(&SERVICE_RESTART_FRAME));
            self.queue_wake();
        }
        if let Some(wait) = write.wait {
            self.start_wait(wait);
            self.set_deadline_at(self.timer.deadline.get().min(self.timer.wait_ends_at.get()));
        }
    }
}

impl Connection {
    /// Takes one step of a tunnel: sends, then reads.
    pub(crate) fn tunnel(&mut self, cx: &mut Context<'_>) -> Turn {
        let shared = self.shared.clone();
        let is_all_sent = match self.send(cx) {
            Poll::Ready(Err(_)) => return Turn::Close,
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        if shared.timer.is_due.get()
            && let Some(turn) = self.handle_tunnel_deadline()
        {
            return turn;
        }
        if is_all_sent {
            self.notify_sent();
        }
        let mut exchange = shared.exchange.borrow_mut();
        let Some(exchange) = exchange.as_mut() else { return Turn::Flush };
        if let Some(turn) = self.end_output(exchange, is_all_sent, cx) {
            return turn;
        }
        self.read_tunnel(exchange, cx)
    }

    /// Half-closes the connection after the last byte of the application. Closes it once both sides
    /// have ended.
    fn end_output(
        &mut self,
        exchange: &mut Exchange,
        is_all_sent: bool,
        cx: &mut Context<'_>,
    ) -> Option<Turn> {
        let is_complete = exchange.response.is_complete;
        let Some(tunnel) = exchange.tunnel_mut() else { return Some(Turn::Again) };
        if !std::mem::replace(&mut tunnel.is_entered, true) {
            // The bytes after the head that were emitted with the request are dropped here.
            self.read_buffer.consume(tunnel.ahead);
            exchange.body.stop_clock();
            // The deadline handler registers the deadlines of the tunnel.
            self.shared.timer.is_due.set(true);
            // Take another step, which checks the deadlines of a tunnel.
            return Some(Turn::Again);
        }
        if is_all_sent && is_complete && !std::mem::replace(&mut tunnel.is_shut_down, true) {
            // A half-close is immediate. An error means that the client has disconnected.
            if !matches!(self.stream.poll_shutdown(cx), Poll::Ready(Ok(()))) {
                return Some(Turn::Close);
            }
        }
        (tunnel.is_shut_down && exchange.is_finished()).then_some(Turn::Close)
    }

    /// Reads bytes of the client, as far as JavaScript has granted credit.
    fn read_tunnel(&mut self, exchange: &mut Exchange, cx: &mut Context<'_>) -> Turn {
        let shared = &self.shared;
        if exchange.body.is_done || exchange.body.credit == 0 {
            return Turn::Wait;
        }
        if !self.read_buffer.is_empty() {
            let chunk = self.read_buffer.take(exchange.body.credit);
            shared.receive_body(exchange, chunk);
            return Turn::Again;
        }
        if self.has_input_ended {
            return self.end_input(exchange);
        }
        let mut scratch = shared.ctx.scratch.read.borrow_mut();
        let most = exchange.body.credit.min(scratch.len());
        match self.stream.poll_read(cx, &mut scratch[..most]) {
            Poll::Pending => Turn::Wait,
            Poll::Ready(Err(_)) => Turn::Close,
            Poll::Ready(Ok(0)) => {
                drop(scratch);
                self.end_input(exchange)
            }
            Poll::Ready(Ok(count)) => {
                shared.count_received(count);
                shared.receive_body(exchange, Bytes::copy_from_slice(&scratch[..count]));
                Turn::Again
            }
        }
    }

    /// Emits the end of the client's bytes to JavaScript.
    fn end_input(&mut self, exchange: &mut Exchange) -> Turn {
        self.has_input_ended = true;
        exchange.body.is_done = true;
        self.shared.ctx.outbox.emit(|batch| batch.push_end(exchange.id, b""));
        Turn::Again
    }
}

impl ConnectionState {
    /// Whether JavaScript has taken over the connection, which is then a tunnel.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(Exchange::is_tunnel)
    }

    /// Whether JavaScript has yet to decide on the upgrade request in flight.
    pub(crate) fn is_undecided(&self) -> bool {
        self.exchange.borrow().as_ref().is_some_and(Exchange::is_upgrade_undecided)
    }

    /// Copies the bytes after the head of an upgrade request, which are dispatched with it.
    pub(crate) fn keep_upgrade_bytes(&self, read_buffer: &[u8]) {
        if self.ctx.scratch.parsed_head.borrow().is_upgrade
            && self.exchange.borrow().is_none()
            && !read_buffer.is_empty()
        {
            self.upgrade_bytes.set(Some(read_buffer.into()));
        }
    }
}

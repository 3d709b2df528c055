//! A tunnel: a connection that no longer uses HTTP after an upgrade (RFC 9110 section 7.8) or
//! CONNECT (section 9.3.6). Bytes pass in both directions, and JavaScript decides when each
//! direction ends. The exchange stays in flight until both have ended.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::expiry::handle_tunnel_deadline;
use super::{Connection, Turn};
use crate::exchange::Exchange;

/// Takes one step of a tunnel: sends, then reads.
pub(crate) fn serve_tunnel(connection: &mut Connection, cx: &mut Context<'_>) -> Turn {
    let shared = connection.shared.clone();
    let is_all_sent = match connection.send(cx) {
        Poll::Ready(Err(_)) => return Turn::Close,
        Poll::Ready(Ok(())) => true,
        Poll::Pending => false,
    };
    if shared.timer.is_due.get()
        && let Some(turn) = handle_tunnel_deadline(connection)
    {
        return turn;
    }
    if is_all_sent {
        connection.notify_sent();
    }
    let mut exchange = shared.exchange.borrow_mut();
    let Some(exchange) = exchange.as_mut() else { return Turn::Flush };
    if let Some(turn) = end_output(connection, exchange, is_all_sent, cx) {
        return turn;
    }
    read_tunnel(connection, exchange, cx)
}

/// Half-closes the connection after the last byte of the application. Closes it once both sides
/// have ended.
fn end_output(
    connection: &mut Connection,
    exchange: &mut Exchange,
    is_all_sent: bool,
    cx: &mut Context<'_>,
) -> Option<Turn> {
    let is_complete = exchange.response.is_complete;
    let Some(tunnel) = exchange.tunnel_mut() else { return Some(Turn::Again) };
    if !std::mem::replace(&mut tunnel.is_entered, true) {
        // The bytes after the head that were emitted with the request are dropped here.
        connection.read_buffer.consume(tunnel.ahead);
        exchange.body.stop_clock();
        // The deadline handler registers the deadlines of the tunnel.
        connection.shared.timer.is_due.set(true);
        // Take another step, which checks the deadlines of a tunnel.
        return Some(Turn::Again);
    }
    if is_all_sent && is_complete && !std::mem::replace(&mut tunnel.is_shut_down, true) {
        // A half-close is immediate. An error means that the client has disconnected.
        if !matches!(connection.stream.poll_shutdown(cx), Poll::Ready(Ok(()))) {
            return Some(Turn::Close);
        }
    }
    (tunnel.is_shut_down && exchange.is_finished()).then_some(Turn::Close)
}

/// Reads bytes of the client, as far as JavaScript has granted credit.
fn read_tunnel(connection: &mut Connection, exchange: &mut Exchange, cx: &mut Context<'_>) -> Turn {
    let shared = &connection.shared;
    if exchange.body.is_done || exchange.body.credit == 0 {
        return Turn::Wait;
    }
    if !connection.read_buffer.is_empty() {
        let chunk = connection.read_buffer.take(exchange.body.credit);
        shared.receive_body(exchange, chunk);
        return Turn::Again;
    }
    if connection.has_input_ended {
        return end_input(connection, exchange);
    }
    let mut scratch = shared.ctx.scratch.read.borrow_mut();
    let most = exchange.body.credit.min(scratch.len());
    match connection.stream.poll_read(cx, &mut scratch[..most]) {
        Poll::Pending => Turn::Wait,
        Poll::Ready(Err(_)) => Turn::Close,
        Poll::Ready(Ok(0)) => {
            drop(scratch);
            end_input(connection, exchange)
        }
        Poll::Ready(Ok(count)) => {
            shared.count_received(count);
            shared.receive_body(exchange, Bytes::copy_from_slice(&scratch[..count]));
            Turn::Again
        }
    }
}

/// Emits the end of the client's bytes to JavaScript.
fn end_input(connection: &mut Connection, exchange: &mut Exchange) -> Turn {
    connection.has_input_ended = true;
    exchange.body.is_done = true;
    connection.shared.ctx.outbox.emit(|batch| batch.push_end(exchange.id, b""));
    Turn::Again
}

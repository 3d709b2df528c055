//! The serving phase of a connection: reads requests, passes them to the guard, and sends
//! responses.

use std::task::{Context, Poll};

use super::dispatch::{begin_exchange, dispatch_body};
use super::expiry::handle_deadline;
use super::health::answer_health_check;
use super::input::{handle_half_close, receive};
use super::phase_http2::{detect_preface, serve_http2};
use super::request_body::{read_body, reads_body_directly};
use super::transfer::transfer_connection;
use super::tunnel::serve_tunnel;
use super::{Connection, Turn};
use crate::buffers::sizes::READ_AHEAD;
use crate::exchange::ExchangeEnd;
use crate::exchange::request_head::Framing;
use crate::guard::{Progress, Refusal};
use crate::http1::parsed_message::MAX_SEPARATE_CHUNKS;

/// Takes one step of the serving phase: sends what is written, handles a passed deadline, then
/// finishes an exchange, releases buffered input or reads more.
pub(crate) fn serve_http1(connection: &mut Connection, cx: &mut Context<'_>) -> Turn {
    let shared = connection.shared.clone();
    if shared.is_tunnel() {
        return serve_tunnel(connection, cx);
    }
    if connection.http2.is_some() {
        return serve_http2(connection, cx);
    }
    match connection.send(cx) {
        Poll::Ready(Err(_)) => return Turn::Close,
        Poll::Ready(Ok(())) => connection.notify_sent(),
        Poll::Pending => {}
    }
    if shared.timer.is_due.get()
        && let Some(turn) = handle_deadline(connection)
    {
        return turn;
    }
    let (has_exchange, is_finished, is_body_done) = match shared.exchange.borrow().as_ref() {
        Some(exchange) => (true, exchange.is_finished(), exchange.body.is_done),
        None => (false, false, true),
    };
    if is_finished {
        return finish_exchange(connection);
    }
    if !is_body_done {
        if shared.closes_before_body_end() {
            return Turn::Flush;
        }
        if reads_body_directly(connection) {
            return read_body(connection, cx);
        }
        // JavaScript may have granted credit.
        dispatch_body(connection);
        if shared.is_finished() {
            return Turn::Again;
        }
    }
    // While the client does not read its responses, no further request passes the guard.
    let max_unsent = if shared.ctx.affinity.is_some() { 0 } else { READ_AHEAD };
    connection.waits_for_reader = !has_exchange && shared.write_queue.borrow().len() > max_unsent;
    if connection.waits_for_reader {
        return Turn::Wait;
    }
    let is_protocol_known = !connection.awaits_preface
        || connection.read_buffer.is_empty()
        || detect_preface(connection);
    if connection.http2.is_some() {
        return Turn::Again;
    }
    if is_protocol_known && !connection.read_buffer.is_empty() && may_release(connection) {
        let was_at_head = connection.guard.is_at_head();
        let mut read_buffer = std::mem::take(&mut connection.read_buffer);
        let consumed = match release(connection, read_buffer.unread()) {
            Ok(consumed) => consumed,
            Err(refusal) => {
                return connection.refuse_input(refusal, Some(read_buffer.unread()));
            }
        };
        read_buffer.consume(consumed);
        connection.read_buffer = read_buffer;
        if consumed > 0 {
            return after_release(connection);
        }
        // The bytes are no PROXY protocol header, so they are HTTP/1 or HTTP/2 of the client.
        if !was_at_head && connection.guard.is_at_head() {
            return Turn::Again;
        }
    }
    read(connection, cx)
}

/// Reads from the socket and passes the bytes to the guard.
fn read(connection: &mut Connection, cx: &mut Context<'_>) -> Turn {
    if connection.has_input_ended {
        return handle_half_close(connection);
    }
    let shared = connection.shared.clone();
    // A request head may be as long as its limits allow. While a request is in flight, at most
    // `READ_AHEAD` bytes of the next ones are read.
    let is_head = shared.exchange.borrow().is_none();
    let max_buffered = READ_AHEAD.max(if is_head { shared.limits().head_buffer() } else { 0 });
    if connection.read_buffer.len() > max_buffered
        || shared.parsed_message.borrow().body.len() >= READ_AHEAD
    {
        connection.pause_body_clock();
        return Turn::Wait;
    }
    let mut scratch = shared.ctx.scratch.read.borrow_mut();
    let count = match receive(connection, cx, &mut scratch) {
        Ok(count) => count,
        Err(turn) => return turn,
    };
    let input = &scratch[..count];
    shared.parsed_message.borrow_mut().separate_chunks = MAX_SEPARATE_CHUNKS;
    if !connection.read_buffer.is_empty() || !may_release(connection) || connection.awaits_preface {
        connection.read_buffer.push(input);
        drop(scratch);
        if connection.awaits_preface {
            connection.start_head_timeout();
        }
        // Take another step: the socket wakes the task only after a read has found it empty.
        return Turn::Again;
    }
    let consumed = match release(connection, input) {
        Ok(consumed) => consumed,
        Err(refusal) => return connection.refuse_input(refusal, Some(input)),
    };
    connection.read_buffer.push(&input[consumed..]);
    drop(scratch);
    if consumed > 0 {
        return after_release(connection);
    }
    connection.start_head_timeout();
    Turn::Again
}

/// Whether the guard may parse more input. It may inside a body, or before a head if no request
/// is in flight.
fn may_release(connection: &Connection) -> bool {
    if connection.guard.is_in_message() {
        return !connection.shared.is_undecided()
            && connection.shared.parsed_message.borrow().body.len()
                < connection.shared.ctx.pressure.memory.max_read_ahead();
    }
    connection.shared.exchange.borrow().is_none() && !connection.guard.is_complete()
}

/// Passes input to the guard and returns the number of bytes that the guard consumed.
fn release(connection: &mut Connection, input: &[u8]) -> Result<usize, Refusal> {
    let shared = &connection.shared;
    let limits = shared.limits();
    let message = &mut *shared.parsed_message.borrow_mut();
    let mut head = shared.ctx.scratch.parsed_head.borrow_mut();
    let mut consumed = 0;
    if connection.guard.is_awaiting_head() {
        message.start_head();
    }
    while consumed < input.len() && message.body.len() < READ_AHEAD {
        let awaits_head = connection.guard.is_awaiting_head();
        if awaits_head && limits.node_compatible {
            consumed += count_empty_lines(&input[consumed..]);
        }
        let into = if awaits_head { &mut message.head } else { message.body.tail_mut() };
        let (count, progress) =
            connection.guard.advance(&input[consumed..], into, &mut head, &limits)?;
        consumed += count;
        match progress {
            Progress::ProxyHeader => {
                shared.client.set_proxied(connection.guard.proxied_addresses());
                // The bytes that follow may be the HTTP/2 preface.
                if connection.awaits_preface {
                    break;
                }
            }
            Progress::Head => {
                // The state of TLS cannot leave the process.
                if let Some(affinity) = &shared.ctx.affinity
                    && !std::mem::take(&mut connection.is_transferred)
                    && !connection.stream.is_secure()
                {
                    let peer = shared.client.peer.get();
                    connection.destination = affinity.destination_of(&head, &message.head, peer);
                }
                // The bytes after an upgrade request are a body only if JavaScript declines the
                // upgrade. On Node, the program sees the request before a fault in its body.
                let is_dispatched_first =
                    limits.node_compatible && head.framing == Framing::Chunked;
                if connection.guard.is_complete()
                    || head.is_upgrade
                    || is_dispatched_first
                    || connection.destination.is_some()
                {
                    break;
                }
            }
            Progress::Complete => break,
            Progress::NextChunk => {
                if message.ends_piece() {
                    break;
                }
            }
            Progress::More => {
                if count == 0 {
                    break;
                }
            }
        }
    }
    Ok(consumed)
}

/// Begins an exchange if the guard has released a head, and dispatches what it has released.
fn after_release(connection: &mut Connection) -> Turn {
    if connection.guard.is_awaiting_head() {
        // Only empty lines or a PROXY protocol header have arrived.
        return Turn::Again;
    }
    if let Some(destination) = connection.destination.take() {
        return transfer_connection(connection, destination);
    }
    connection.shared.keep_upgrade_bytes(connection.read_buffer.unread());
    connection.half_close_noticed_at = None;
    let is_new = connection.shared.exchange.borrow().is_none();
    if is_new && let Some(turn) = answer_health_check(connection) {
        return turn;
    }
    if is_new && let Err(refusal) = begin_exchange(connection) {
        return connection.refuse(refusal);
    }
    dispatch_body(connection);
    connection.start_exchange_deadlines();
    Turn::Again
}

/// Finishes the exchange in flight. Then waits for the next request, or closes the connection.
fn finish_exchange(connection: &mut Connection) -> Turn {
    let shared = connection.shared.clone();
    let Some(mut exchange) = shared.exchange.take() else { return Turn::Again };
    shared.end_exchange(&mut exchange, ExchangeEnd::Complete);
    let is_input_complete =
        connection.guard.is_complete() && shared.parsed_message.borrow().body.is_empty();
    if shared.ending.closes() || !is_input_complete {
        connection.is_client_done =
            is_input_complete && !exchange.allows_keep_alive && connection.read_buffer.is_empty();
        return Turn::Flush;
    }
    connection.guard.start_next_message();
    if shared.limits().node_compatible {
        let empty_lines = count_empty_lines(connection.read_buffer.unread());
        connection.read_buffer.consume(empty_lines);
    }
    connection.await_next_request();
    Turn::Again
}

/// Returns the number of bytes of the empty lines at the start of `input`. Node ignores any number
/// of them before a request.
fn count_empty_lines(input: &[u8]) -> usize {
    input.chunks_exact(2).take_while(|&line| line == b"\r\n").count() * 2
}

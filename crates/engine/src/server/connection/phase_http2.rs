//! The serving phase of an HTTP/2 connection: passes frames between the socket and h2.

use std::task::{Context, Poll};

use h2::Reason;

use super::http2_deadlines::{handle_http2_deadline, wait_for_next_stream};
use super::http2_dispatch::begin_stream;
use super::{Connection, Turn};
use crate::buffers::sizes::READ_AHEAD;
use crate::exchange::ExchangeEnd;
use crate::exchange::min_rate::RateBounds;
use crate::http2::exchange::StreamExchange;
use crate::http2::frames::CLIENT_PREFACE;
use crate::http2::session::Session;
use crate::http2::stream_admission::admit_waiting;

/// Runs a turn of a connection that speaks HTTP/2.
pub(crate) fn serve_http2(connection: &mut Connection, cx: &mut Context<'_>) -> Turn {
    let Some(mut session) = connection.http2.take() else { return Turn::Close };
    let turn = run_http2_turn(connection, &mut session, cx);
    connection.http2 = Some(session);
    turn
}

fn run_http2_turn(
    connection: &mut Connection,
    session: &mut Session,
    cx: &mut Context<'_>,
) -> Turn {
    let shared = connection.shared.clone();
    session.streams.set_connection_waker(cx.waker());
    if matches!(connection.send(cx), Poll::Ready(Err(_))) {
        return Turn::Close;
    }
    if shared.timer.is_due.get()
        && let Some(turn) = handle_http2_deadline(connection, session)
    {
        return turn;
    }
    if shared.ctx.lifecycle.is_draining.get() && !session.is_draining() {
        session.drain();
        session.streams.all().iter().for_each(StreamExchange::drain_tunnel);
    }
    let was_idle = session.streams.is_empty() && !session.is_handshaking();
    let resets = session.flush();
    let was_backlogged = is_backlogged(connection, session);
    let has_more = match read_frames(connection, session, cx) {
        Ok(has_more) => has_more,
        Err(turn) => return turn,
    };
    let mut is_open = poll_session(connection, session, cx);
    if is_open && !resets.is_empty() {
        // The resets follow what the streams have sent, as far as it could be sent.
        for (stream, reason) in resets {
            stream.abort(if stream.is_fully_sent() { Reason::NO_ERROR } else { reason });
        }
        is_open = poll_session(connection, session, cx);
    }
    if !is_open {
        session.streams.end_all(ExchangeEnd::ClientGone);
        return Turn::Flush;
    }
    if session.frames.take_settings_ack() {
        session.streams.all().iter().for_each(StreamExchange::renew_window);
    }
    session.poll_streams(&shared);
    admit_waiting(&session.streams, &shared, || connection.acknowledged_bytes());
    if session.streams.is_empty() && !session.is_handshaking() && !was_idle {
        wait_for_next_stream(&shared, session.header_block_deadline, session.is_draining());
    }
    if matches!(connection.send(cx), Poll::Ready(Err(_))) {
        return Turn::Close;
    }
    // No waker is registered for lack of room, so the task runs again as soon as there is room.
    let was_blocked = std::mem::take(&mut session.input.borrow_mut().is_write_blocked);
    let has_room_again = (was_backlogged || was_blocked) && !is_backlogged(connection, session);
    if has_more || has_room_again { Turn::Again } else { Turn::Wait }
}

/// Searches the first bytes for the connection preface. Returns `false` while too few bytes
/// have arrived.
pub(crate) fn detect_preface(connection: &mut Connection) -> bool {
    if !connection.guard.is_at_head() {
        // The PROXY protocol header comes before the preface.
        return true;
    }
    let unread = connection.read_buffer.unread();
    let length = unread.len().min(CLIENT_PREFACE.len());
    let is_preface = unread[..length] == CLIENT_PREFACE[..length];
    if !connection.must_use_http2() && (!is_preface || length < CLIENT_PREFACE.len()) {
        connection.awaits_preface = is_preface;
        return !is_preface;
    }
    connection.awaits_preface = false;
    let first = std::mem::take(&mut connection.read_buffer);
    let mut session = Session::new(&connection.shared);
    accept_frames(connection, &mut session, first.unread());
    connection.http2 = Some(Box::new(session));
    true
}

/// Lets h2 read and write, and begins the streams that have arrived. Returns whether the
/// connection stays open.
fn poll_session(connection: &mut Connection, session: &mut Session, cx: &mut Context<'_>) -> bool {
    loop {
        match session.poll(cx) {
            Poll::Ready(Some(incoming)) => begin_stream(connection, session, incoming),
            Poll::Ready(None) => return false,
            Poll::Pending => return true,
        }
    }
}

/// Reads from the socket for h2. Returns whether there may be more to read.
fn read_frames(
    connection: &mut Connection,
    session: &mut Session,
    cx: &mut Context<'_>,
) -> Result<bool, Turn> {
    if is_backlogged(connection, session) || session.input.borrow().is_eof {
        return Ok(false);
    }
    let shared = connection.shared.clone();
    let mut scratch = shared.ctx.scratch.read.borrow_mut();
    let count = match connection.poll_read(cx, &mut scratch) {
        Poll::Pending => return Ok(false),
        Poll::Ready(Err(_)) => return Err(Turn::Close),
        Poll::Ready(Ok(count)) => count,
    };
    if count == 0 {
        session.input.borrow_mut().is_eof = true;
        return Ok(true);
    }
    accept_frames(connection, session, &scratch[..count]);
    Ok(true)
}

/// Returns whether the buffers between the socket and h2 are full. The connection then stops
/// reading, and h2 writes little.
fn is_backlogged(connection: &Connection, session: &Session) -> bool {
    session.input.borrow().bytes.len() + connection.shared.write_queue.borrow().len() >= READ_AHEAD
}

/// Scans frames of the client and passes them to h2, unless they are a flood.
fn accept_frames(connection: &Connection, session: &mut Session, input: &[u8]) {
    let shared = &connection.shared;
    let (now, limits) = (shared.ctx.clock.now_ms(), shared.limits());
    let is_flood = session.frames.scan(input, now, &limits.settings).is_err();
    if !is_flood || session.is_handshaking() {
        session.input.borrow_mut().bytes.push(input);
    }
    if is_flood {
        return session.abort(Reason::ENHANCE_YOUR_CALM);
    }
    session.reset_malformed_streams();
    if let Some(stream) =
        session.frames.current_data_stream().and_then(|id| session.streams.find_by_stream_id(id))
    {
        // h2 passes on complete DATA frames only, and slow progress within one counts too.
        let bounds = RateBounds::of_body(&limits);
        stream.exchange.borrow_mut().body.record_arrival(0, now, bounds);
    }
    if !session.frames.is_in_header_block() {
        session.header_block_deadline = u64::MAX;
    } else if session.header_block_deadline == u64::MAX {
        session.header_block_deadline = shared.ctx.clock.deadline(limits.settings.header_timeout);
        shared.set_deadline_at(session.header_block_deadline.min(shared.timer.deadline.get()));
    }
}

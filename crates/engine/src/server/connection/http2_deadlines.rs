//! Deadlines of an HTTP/2 connection and its streams. The timer wheel holds one entry per
//! connection, for the earliest deadline. When it fires, all streams are checked to find the one
//! that is due.

use std::rc::Rc;

use h2::Reason;

use super::expiry::take_expired_deadline;
use super::state::ConnectionState;
use super::{Connection, Turn};
use crate::http2::exchange::StreamExchange;
use crate::http2::session::Session;

/// Handles the deadline of the connection that has fired.
pub(crate) fn handle_http2_deadline(
    connection: &mut Connection,
    session: &mut Session,
) -> Option<Turn> {
    let now = match take_expired_deadline(connection) {
        Ok(now) => now,
        Err(turn) => return turn,
    };
    let shared = connection.shared.clone();
    if session.is_handshaking() && shared.timer.wait_ends_at.get() <= now {
        return Some(Turn::Close);
    }
    let streams = session.streams.clone();
    let had_streams = !streams.is_empty();
    let mut has_stalled = false;
    for stream in streams.all() {
        has_stalled |= stream.check_deadlines(now);
    }
    if has_stalled {
        session.refuse_waiting();
    }
    streams.update_stalled(now);
    if had_streams && streams.is_empty() {
        wait_for_next_stream(&shared, session.header_block_deadline, session.is_draining());
    }
    if session.header_block_deadline <= now {
        // RFC 9113 section 10.5: the header block has not ended in time.
        session.abort(Reason::ENHANCE_YOUR_CALM);
    } else if streams.is_empty() && shared.timer.wait_ends_at.get() <= now {
        if session.is_draining() {
            session.abort(Reason::NO_ERROR);
        } else {
            session.drain();
            shared.start_wait(shared.ctx.lifecycle.idle_drain.get());
        }
    }
    arm_http2_timer(connection, session, now);
    None
}

fn arm_http2_timer(connection: &Connection, session: &Session, now: u64) {
    let shared = &connection.shared;
    let streams = session.streams.all();
    let next = if streams.is_empty() {
        shared.timer.wait_ends_at.get()
    } else {
        let first = streams.iter().map(Rc::as_ref).map(StreamExchange::deadline).min();
        first.unwrap_or(u64::MAX).min(now + STREAM_CHECK_INTERVAL_MS)
    };
    shared.set_deadline_at(
        next.max(now + 1).min(session.header_block_deadline).min(connection.output_deadline(now)),
    );
}

/// Schedules the next check of a stream on the timer wheel.
pub(crate) fn watch_stream(shared: &ConnectionState, stream: &StreamExchange) {
    shared.set_deadline_no_later_than(
        stream.deadline().min(shared.ctx.clock.now_ms() + STREAM_CHECK_INTERVAL_MS),
    );
}

/// Starts the idle timer after the last stream has closed. The head of the next request may
/// already have begun.
pub(crate) fn wait_for_next_stream(
    shared: &ConnectionState,
    header_block_deadline: u64,
    is_draining: bool,
) {
    shared.start_wait(shared.idle_time(is_draining));
    shared.set_deadline_at(shared.timer.wait_ends_at.get().min(header_block_deadline));
}

/// Interval at which the progress of open streams is checked, in milliseconds.
const STREAM_CHECK_INTERVAL_MS: u64 = 2_000;

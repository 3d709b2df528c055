//! The phase after a refused request whose response the application writes, as in Node.

use std::task::{Context, Poll};

use super::error_response::emit_refusal;
use super::refusal_state::RefusalState;
use super::{Connection, Phase, Turn};

/// Takes a step while the application's response to a refused request is pending. Discards what
/// the client still sends.
pub(crate) fn await_application_response(
    connection: &mut Connection,
    cx: &mut Context<'_>,
) -> Turn {
    let shared = connection.shared.clone();
    if matches!(connection.send(cx), Poll::Ready(Err(_))) {
        return Turn::Close;
    }
    let is_timed_out = shared.timer.wait_ends_at.get() <= shared.ctx.clock.now_ms();
    if is_timed_out || shared.refusal_state.get() == RefusalState::RespondedByApplication {
        return Turn::Flush;
    }
    if connection.linger > 0 && !connection.has_input_ended {
        let mut scratch = shared.ctx.scratch.read.borrow_mut();
        match connection.poll_read(cx, &mut scratch) {
            Poll::Pending => {}
            Poll::Ready(Err(_)) => return Turn::Close,
            Poll::Ready(Ok(0)) => connection.has_input_ended = true,
            Poll::Ready(Ok(count)) => {
                connection.linger = connection.linger.saturating_sub(count);
                if let Phase::Refused(error) = &mut connection.phase
                    && let Some(kind) = error.take_report()
                {
                    emit_refusal(&shared, kind, &scratch[..count]);
                }
                return Turn::Again;
            }
        }
    }
    // After a half-close, Node closes its side too, once the application has had a turn.
    let may_close = connection.has_input_ended && !shared.limits().half_open;
    if may_close && connection.has_javascript_passed_end() { Turn::Flush } else { Turn::Wait }
}

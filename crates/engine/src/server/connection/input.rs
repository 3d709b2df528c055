//! Reads what the client sends, up to its half-close.

use std::task::{Context, Poll};
use std::time::Duration;

use super::{Connection, Turn};
use crate::guard::Refusal;

/// Reads what the client has sent into `buf` and returns the number of bytes. Returns the step
/// to take if there is no data, or at the end of the input.
pub(crate) fn receive(
    connection: &mut Connection,
    cx: &mut Context<'_>,
    buf: &mut [u8],
) -> Result<usize, Turn> {
    match connection.poll_read(cx, buf) {
        Poll::Pending => {
            connection.start_body_clock();
            Err(Turn::Wait)
        }
        Poll::Ready(Err(_)) => Err(Turn::Close),
        Poll::Ready(Ok(0)) => {
            connection.has_input_ended = true;
            if withdraw_late_half_close(connection) {
                return Err(Turn::Close);
            }
            Err(handle_half_close(connection))
        }
        Poll::Ready(Ok(count)) => {
            connection.record_received(count);
            Ok(count)
        }
    }
}

/// Handles the client's half-close. As in Node, a client that half-closes before its response
/// counts as disconnected. A response that the handler writes at once is still sent, because
/// Node would not have noticed the half-close yet: `printf 'GET ...' | nc` reads its response.
pub(crate) fn handle_half_close(connection: &mut Connection) -> Turn {
    let awaits_head =
        connection.shared.exchange.borrow().is_none() && connection.has_partial_head();
    if awaits_head && connection.shared.limits().node_compatible {
        return connection.refuse(Refusal::TruncatedHead);
    }
    let shared = &connection.shared;
    match shared.exchange.borrow().as_ref() {
        None => return Turn::Flush,
        // The body can never be complete. The exception is a body that has arrived and waits
        // until JavaScript decides on the upgrade.
        Some(exchange) if connection.guard.is_in_message() && !exchange.is_upgrade_undecided() => {
            if exchange.response.is_complete {
                return Turn::Flush;
            }
        }
        // The exchange continues with more credit, or once the socket accepts more.
        Some(exchange) if !exchange.body.is_done || exchange.response.is_complete => {
            return Turn::Wait;
        }
        // With Node's `httpAllowHalfOpen`, a half-closed client still receives its response.
        Some(_) if shared.limits().half_open => return Turn::Wait,
        // JavaScript waits until bytes have been sent, and may have written the whole response.
        Some(exchange) if exchange.response.notifies_when_sent => return Turn::Wait,
        Some(_) => {}
    }
    if connection.has_javascript_passed_end() { Turn::Close } else { Turn::Wait }
}

/// Withdraws the request in flight if JavaScript has not taken it and the client half-closes
/// later than [`HALF_CLOSE_TIME`] after it. Returns whether it did. Such a client has given up:
/// one that sends nothing more, like `nc`, half-closes right after its request.
fn withdraw_late_half_close(connection: &Connection) -> bool {
    let shared = &connection.shared;
    let exchange = shared.exchange.borrow();
    let waiting = exchange.as_ref().filter(|exchange| exchange.is_dispatched);
    let limits = shared.limits();
    !limits.half_open
        && !limits.node_compatible
        && waiting
            .is_some_and(|exchange| shared.ctx.outbox.withdraw_after(exchange.id, HALF_CLOSE_TIME))
}

/// Time after a request in which a client may half-close and still receive the response.
const HALF_CLOSE_TIME: Duration = Duration::from_millis(200);

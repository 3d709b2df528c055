//! The end of a connection: the last bytes, half a close, and the wait for the client's (RFC 9112 section 9.6).

use std::task::{Context, Poll};
use std::time::Duration;

use super::{Connection, Phase};
use crate::limits::{LINGER_TIME, MAX_LINGER};

impl Connection {
    /// Sends what is left, half-closes, and reads until the client has closed too.
    pub(super) fn close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.expired() {
            return Poll::Ready(());
        }
        if matches!(self.phase, Phase::Flushing) {
            let mut out = self.shared.out.borrow_mut();
            let before = out.len();
            let sent = out.poll_send(&mut self.stream, cx);
            if out.len() < before {
                self.shared.set_deadline(FLUSH_TIME);
            }
            drop(out);
            match sent {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            self.notify_sent();
            self.shared.abort();
            // A socket's shutdown is immediate; an error means that the peer is gone.
            if !matches!(self.stream.poll_shutdown(cx), Poll::Ready(Ok(()))) {
                return Poll::Ready(());
            }
            self.phase = Phase::Lingering { left: MAX_LINGER };
            self.shared.set_deadline(LINGER_TIME);
        }
        let Phase::Lingering { left } = &mut self.phase else { return Poll::Ready(()) };
        let mut scratch = self.shared.ctx.scratch.borrow_mut();
        while *left > 0 {
            match self.stream.poll_read(cx, &mut scratch) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => *left = left.saturating_sub(count),
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(())
    }
}

/// How long a client may take to read the last answer of a connection without taking a byte.
pub(super) const FLUSH_TIME: Duration = Duration::from_secs(60);

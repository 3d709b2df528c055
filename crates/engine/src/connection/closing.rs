//! The end of a connection: the last bytes, half a close, and the wait for the client's (RFC 9112 section 9.6).

use std::task::{Context, Poll};
use std::time::Duration;

use super::{Connection, Phase, Turn};
use crate::guard::Refusal;
use crate::limits::{LINGER_TIME, MAX_LINGER};

impl Connection {
    /// Whether the deadline has come.
    pub(super) fn expired(&self) -> bool {
        let deadline = self.shared.deadline.get();
        deadline != u64::MAX && deadline <= self.shared.ctx.now_ms()
    }

    /// What the deadline means depends on what was waited for.
    pub(super) fn on_deadline(&mut self) -> Turn {
        if self.shared.current.borrow().is_some() {
            // The rest of a request body that nobody wants has not come in time.
            self.shared.abort();
            return Turn::Flush;
        }
        if self.carry.is_empty() { Turn::Flush } else { self.refuse(Refusal::HeadTimeout) }
    }

    /// The client has ended its side. As on node it counts as gone while an answer is due; but what a handler says at
    /// once, before node would see the end, still goes out (`printf 'GET ...' | nc` reads its answer).
    pub(super) fn on_end(&mut self) -> Turn {
        let shared = &self.shared;
        let ctx = &shared.ctx;
        match shared.current.borrow().as_ref() {
            None => return Turn::Flush,
            // Its body will never be whole.
            Some(_) if self.guard.in_message() => return Turn::Gone,
            // Credit or the socket moves it on.
            Some(current) if !current.body_done || current.ended => return Turn::Wait,
            Some(_) => {}
        }
        // What is told must have been handed over before JavaScript can have passed it.
        if self.end_seen_at.is_none() && ctx.batch.borrow().is_empty() {
            self.end_seen_at = Some(ctx.crossing.takes());
        }
        let passed = self.end_seen_at.is_some_and(|seen_at| ctx.crossing.has_passed(seen_at));
        // In this order: an answer that JavaScript has written on its way is found in the ring.
        if passed && !ctx.crossing.ring.is_pending() {
            return Turn::Gone;
        }
        ctx.ending.borrow_mut().push(shared.clone());
        ctx.watch.notify_one();
        Turn::Wait
    }

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

//! The requests in flight, for a thread that asks while JavaScript is blocked. The question comes
//! from another thread of the process. The I/O thread, which is never blocked, answers.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::bridge::handoff::{ControlMessage, Handoff};
use crate::exchange::request_head::RequestHead;
use crate::server::context::Context;

/// A request in flight: it has no complete response yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InFlightRequest {
    /// Method and path, as far as they are kept, without the query. Printable ASCII.
    pub request: String,
    /// The time since its head arrived.
    pub age: Duration,
}

/// The beginning of a request line. It is long enough to distinguish requests, and short enough to
/// copy for each.
#[derive(Clone, Copy)]
pub(crate) struct RequestLabel {
    len: u8,
    bytes: [u8; LABEL_MAX],
}

impl RequestLabel {
    /// Copies the method, the space and the target.
    pub fn new(head: &RequestHead, bytes: &[u8]) -> Self {
        let line = &bytes[head.method.start as usize..head.target.end as usize];
        let len = line.len().min(LABEL_MAX);
        let mut label = Self { len: len as u8, bytes: [0; LABEL_MAX] };
        label.bytes[..len].copy_from_slice(&line[..len]);
        label
    }

    /// The text without the query, which may hold secrets.
    pub fn to_text(self) -> String {
        let line = &self.bytes[..usize::from(self.len)];
        let path = line.split(|&byte| byte == b'?').next().unwrap_or_default();
        let text =
            path.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { ' ' });
        let ellipsis = if path.len() == LABEL_MAX { "..." } else { "" };
        text.chain(ellipsis.chars()).collect()
    }
}

/// Asks every I/O thread of this process. The result omits those that do not answer within `limit`.
#[must_use]
pub fn in_flight_requests(limit: Duration) -> Vec<InFlightRequest> {
    let threads: Vec<_> = {
        let mut known = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|handoff| handoff.strong_count() > 0);
        known.iter().filter_map(Weak::upgrade).collect()
    };
    let mut all = Vec::new();
    for handoff in threads {
        let (reply, answer) = sync_channel(1);
        handoff.send(ControlMessage::ListInFlight(reply));
        all.extend(answer.recv_timeout(limit).unwrap_or_default());
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.age));
    all
}

/// Registers an I/O thread, so that it is asked for its requests in flight.
pub(crate) fn register_thread(handoff: &Arc<Handoff>) {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(handoff));
}

/// Sends the I/O thread's requests in flight to the thread that asked.
pub(crate) fn reply_to(ctx: &Context, reply: &SyncSender<Vec<InFlightRequest>>) {
    ctx.clock.refresh();
    let now = ctx.clock.now();
    let requests = ctx
        .tables
        .connections
        .borrow()
        .iter()
        .filter_map(|(_, connected)| connected.serving())
        .flat_map(|shared| shared.in_flight())
        .take(REQUESTS_MAX)
        .map(|(label, started)| InFlightRequest {
            request: label.to_text(),
            age: now.duration_since(started),
        })
        .collect();
    // The thread that asked may have given up.
    let _ = reply.try_send(requests);
}

/// The I/O threads of this process: one for each JavaScript environment that serves.
static THREADS: Mutex<Vec<Weak<Handoff>>> = Mutex::new(Vec::new());

/// The maximum length of a label. With its length it fills 64 bytes: one cache line.
const LABEL_MAX: usize = 63;
/// The maximum number of requests in a reply; a longer list is of no use to a reader.
const REQUESTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::request_head::Span;

    fn label(line: &[u8]) -> String {
        let space = line.iter().position(|&byte| byte == b' ').unwrap() as u32;
        let head = RequestHead {
            method: Span { start: 0, end: space },
            target: Span { start: space + 1, end: line.len() as u32 },
            ..RequestHead::default()
        };
        RequestLabel::new(&head, line).to_text()
    }

    #[test]
    fn a_label_is_method_and_path() {
        assert_eq!(label(b"GET /orders/7?token=secret"), "GET /orders/7");
    }

    #[test]
    fn a_label_is_cut_and_printable() {
        let long = format!("GET /{}", "a".repeat(100));
        assert_eq!(label(long.as_bytes()), format!("GET /{}...", "a".repeat(58)));
        assert_eq!(label(b"GET /\x1b[0m"), "GET / [0m");
    }
}

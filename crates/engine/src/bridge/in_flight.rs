//! The requests in flight, for a thread that asks while JavaScript is blocked. The question comes
//! from another thread of the process. The I/O thread, which is never blocked, answers
//! (`server/io_thread/commands.rs`).

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::bridge::handoff::{ControlMessage, Handoff};

/// A request in flight: it has no complete response yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InFlightRequest {
    /// Method and path, as far as they are kept, without the query. Printable ASCII.
    pub request: String,
    /// The time since its head arrived.
    pub age: Duration,
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

/// The I/O threads of this process: one for each JavaScript environment that serves.
static THREADS: Mutex<Vec<Weak<Handoff>>> = Mutex::new(Vec::new());

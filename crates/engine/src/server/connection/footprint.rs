//! What a connection holds between two turns of its task: memory and a request slot.

use std::cell::Cell;

use crate::pressure::eviction::{Progress, Shortage};
use crate::pressure::limits::Limits;

/// Whether a connection has been chosen for eviction.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Eviction {
    /// It has not been chosen.
    None,
    /// Its task has yet to carry out the eviction.
    Pending(Shortage),
    /// The connection is closing.
    CarriedOut,
}

/// What a connection holds between two turns of its task. Times are milliseconds of the context's
/// clock.
pub(crate) struct Footprint {
    /// Bytes that the connection holds; see [`crate::pressure::memory`].
    pub(crate) held_bytes: Cell<usize>,
    /// When the connection last began to hold bytes.
    pub(crate) held_since: Cell<u64>,
    /// Since when the client has been late with reading its response; `u64::MAX` if no bytes wait
    /// for it.
    pub(crate) output_stalled_since: Cell<u64>,
    /// Whether the connection has been chosen for eviction.
    pub(crate) eviction: Cell<Eviction>,
    /// Whether the write queue holds a complete response after its exchange has finished. Such a
    /// response counts as a request in flight.
    pub(crate) has_unsent_response: Cell<bool>,
}

impl Default for Footprint {
    fn default() -> Self {
        Self {
            held_bytes: Cell::new(0),
            held_since: Cell::new(0),
            output_stalled_since: Cell::new(u64::MAX),
            eviction: Cell::new(Eviction::None),
            has_unsent_response: Cell::new(false),
        }
    }
}

/// Returns the progress of a connection that waits for a request until `wait_ends_at`. Without a
/// complete head, the client owes bytes since its accept or the head's first byte.
pub(crate) fn waiting_progress(wait_ends_at: u64, awaits_head: bool, limits: &Limits) -> Progress {
    if !awaits_head {
        return Progress::Idle { until: wait_ends_at };
    }
    let timeout = limits.settings.header_timeout.as_millis() as u64;
    Progress::Stalled { since: wait_ends_at.saturating_sub(timeout) }
}

//! The bridge to JavaScript: batches of events in one direction, the ring of records in the other.

pub mod event_batch;
pub(crate) mod handoff;
pub mod in_flight;
pub(crate) mod outbox;
pub(crate) mod request_queue;
pub mod ring;
pub mod wire;

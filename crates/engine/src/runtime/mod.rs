//! The parts of the I/O loop that are independent of HTTP: the executor, the poll set of sockets,
//! timers, the timer wheel and the slot map.

pub(crate) mod doorbell;
pub(crate) mod executor;
pub(crate) mod handover;
pub(crate) mod movable;
pub(crate) mod registrar;
pub(crate) mod slot_map;
pub(crate) mod sockets;
mod sync;
pub(crate) mod thread_policy;
pub(crate) mod timers;
pub mod wheel;

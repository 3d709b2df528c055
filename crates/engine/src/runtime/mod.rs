//! The parts of the I/O loop that are independent of HTTP: the executor, the poll set of sockets,
//! the clock, the alarms, the timer wheel and the slot map.

pub(crate) mod alarms;
pub(crate) mod clock;
pub(crate) mod doorbell;
pub(crate) mod executor;
pub(crate) mod handover;
mod loopback;
pub(crate) mod movable;
pub(crate) mod registrar;
pub(crate) mod slot_map;
pub(crate) mod sockets;
mod sync;
pub(crate) mod thread_policy;
pub mod wheel;

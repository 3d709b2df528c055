//! The parts of the I/O loop that are independent of HTTP: the executor, the poll set of sockets,
//! timers, the timer wheel and the slot map.

pub(crate) mod executor;
pub(crate) mod slot_map;
pub(crate) mod sockets;
pub(crate) mod thread_policy;
pub(crate) mod timers;
pub mod wheel;

//! The parts of the I/O loop that know no HTTP: the executor, the set of sockets, timers, and the slot map.

pub(crate) mod executor;
pub(crate) mod slot_map;
pub(crate) mod sockets;
pub(crate) mod thread_policy;
pub(crate) mod timers;
pub mod wheel;

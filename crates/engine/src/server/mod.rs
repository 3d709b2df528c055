//! Connections, the I/O thread that serves them, and its shutdown. This wing combines all others.

pub(crate) mod accept;
pub(crate) mod admission;
pub(crate) mod affinity;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod handshake;
pub mod io_thread;
pub(crate) mod overload;
pub(crate) mod servers;
pub(crate) mod shutdown;

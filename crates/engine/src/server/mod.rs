//! Puts the other modules together: connections, the I/O thread, and shutdown.

pub(crate) mod connection;
pub(crate) mod context;
pub mod io_thread;
pub(crate) mod shutdown;

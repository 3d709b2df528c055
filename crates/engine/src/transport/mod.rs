//! Byte streams: listening sockets, TCP and unix connections, TLS.

pub mod listener;
pub(crate) mod socket_queues;
pub(crate) mod stream;
pub mod tls;

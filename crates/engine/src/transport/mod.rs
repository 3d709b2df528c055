//! Byte streams: listening sockets, TCP and unix socket connections, and TLS.

pub mod descriptor_message;
pub mod listener;
pub(crate) mod socket_queues;
pub(crate) mod stream;
pub mod tls;
pub mod transfer;

//! The access log, statsd metrics, and the sockets that both are sent over.

pub mod access;
pub(crate) mod json;
pub(crate) mod request_logs;
pub mod socket;
pub mod statsd;

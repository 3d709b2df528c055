//! The access log, statsd, and the sockets that log lines leave by.

pub mod access;
pub(crate) mod json;
pub mod socket;
pub mod statsd;

//! HTTP/2 on top of the h2 crate. The connection's task (`server/connection/phase_http2.rs`) reads
//! the frames, scans them (`frames.rs`) and passes them to h2.
//!
//! Each stream becomes an exchange (`exchange.rs`). Its request is written in the form of HTTP/1.1
//! (`head.rs`) and checked by the guard. h2 writes into the connection's write queue.

pub(crate) mod counted_bytes;
pub(crate) mod exchange;
mod fields;
pub(crate) mod frames;
mod h2_transport;
pub(crate) mod head;
pub(crate) mod page;
mod request_body;
pub(crate) mod response;
pub(crate) mod session;
pub(crate) mod stream_admission;
pub(crate) mod streams;
mod trailer_scan;
mod tunnel;

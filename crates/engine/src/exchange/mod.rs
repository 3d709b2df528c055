//! A request and its response, independent of the HTTP version.

pub mod request_head;
pub(crate) mod response_sink;

//! A request and its response, independent of the HTTP version.

pub(crate) mod min_rate;
pub mod request_head;
pub(crate) mod request_label;
pub(crate) mod response_sink;
pub(crate) mod websocket;

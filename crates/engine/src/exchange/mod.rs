//! One request and its response, apart from the protocol that carries them.

pub mod request_head;
pub(crate) mod response_sink;

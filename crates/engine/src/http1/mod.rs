//! The parts that only HTTP/1 needs: the response encoder and the buffers of a parsed message.

pub(crate) mod date;
pub mod encoder;
pub(crate) mod parsed_message;

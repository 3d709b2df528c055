//! What only HTTP/1 needs: the encoder of responses, and the message that the guard has parsed.

pub(crate) mod date;
pub mod encoder;
pub(crate) mod parsed_message;

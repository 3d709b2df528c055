//! Byte buffers: bytes read, bytes still to be sent, and a pool of reusable buffers. They depend on
//! no other part of the engine but the streams they write to.

pub mod borrowed;
pub(crate) mod heap_trim;
pub(crate) mod pool;
pub(crate) mod read_buffer;
pub(crate) mod write_queue;

//! Byte buffers: received bytes, bytes to send, pools of reusable buffers, and memory borrowed from
//! JavaScript.

pub mod borrowed;
pub(crate) mod heap_trim;
pub(crate) mod pool;
pub(crate) mod read_buffer;
pub(crate) mod write_queue;

//! Byte buffers: received bytes, bytes to send, pools of reusable buffers, memory borrowed from
//! JavaScript, and the sizes of all of them.

pub mod borrowed;
pub mod byte_counts;
pub(crate) mod heap_trim;
pub(crate) mod pool;
pub(crate) mod read_buffer;
pub mod sizes;
pub(crate) mod write_queue;

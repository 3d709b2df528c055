//! Memory for bytes: what was read, what is still to be sent, and buffers used again. It knows nothing else of the engine.

pub mod borrowed;
pub(crate) mod heap_trim;
pub(crate) mod pool;
pub(crate) mod read_buffer;
pub(crate) mod write_queue;

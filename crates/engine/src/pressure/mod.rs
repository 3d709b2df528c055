//! The limits of the engine, and what it refuses or evicts when one is reached.

pub(crate) mod admission;
pub(crate) mod body_buffering;
pub(crate) mod eviction;
pub mod health_paths;
pub mod limits;
pub(crate) mod memory;
pub(crate) mod queue_delay;
pub mod setting_value;
pub mod settings;
pub(crate) mod stream_budget;

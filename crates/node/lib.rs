//! The N-API face of the engine: conversions and calls, no decisions.

pub mod bridge;
pub mod engine;
mod lent;
pub mod outlet;
pub mod process;
pub mod protocols;
pub mod rules;
pub mod scoreboard;
pub mod settings;
mod system_error;
pub mod tls;
pub mod watcher;

//! The N-API face of the engine: conversions and calls, no decisions.

mod borrowed;
pub mod bridge;
pub mod engine;
pub mod log_socket;
pub mod process;
pub mod scoreboard;
pub mod settings;
mod system_error;
pub mod tls;
pub mod watcher;

//! The N-API face of the engine: conversions and calls, no decisions.

mod borrowed;
pub mod bridge;
pub mod engine;
mod event_loop;
mod libuv;
pub mod log_socket;
pub mod process;
pub mod scoreboard;
pub mod settings;
mod symbols;
mod system_error;
pub mod tls;
pub mod watcher;

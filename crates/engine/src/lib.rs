//! The engine: bytes to requests, responses to bytes. It knows no Node.
//!
//! The life of a connection, in the order of the modules: the **acceptor** thread takes it from a shared listener
//! and hands it to the **I/O thread**, where one task owns it. The **guard** sees every byte first and releases one
//! message at a time; an **exchange** begins and crosses to JavaScript in the next **batch**. What JavaScript answers arrives in the **ring**, is written by the
//! **encoder** and leaves with the connection's task.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod bridge;
pub mod buffers;
pub mod error;
pub mod exchange;
pub mod guard;
pub mod http1;
mod http2;
pub mod log;
pub mod pressure;
pub mod runtime;
pub mod scoreboard;
pub mod server;
pub mod transport;
pub mod watcher;

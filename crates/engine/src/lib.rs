//! The engine: bytes to requests, responses to bytes. It knows no Node.
//!
//! The life of a connection, in the order of the modules: the **acceptor** thread takes it from a shared listener
//! and hands it to the **I/O thread**, where one task owns it. The **guard** sees every byte first and releases one
//! message at a time; an **exchange** begins and crosses to JavaScript in the next **batch**. What JavaScript answers arrives in the **ring**, is written by the
//! **encoder** and leaves with the connection's task.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod access;
pub mod addresses;
mod admission;
#[cfg(feature = "bare")]
pub mod bare;
mod carry;
mod connection;
mod context;
mod crossing;
mod date;
pub mod encoder;
pub mod error;
mod exchange;
mod executor;
mod forwarding;
pub mod guard;
pub mod in_hand;
pub mod inbound;
pub mod io_thread;
mod json;
mod kernel_queues;
mod leftovers;
pub mod lent;
pub mod limits;
pub mod listener;
mod memory;
mod out;
pub mod outlet;
mod pieces;
mod places;
pub mod proxy;
mod released;
pub mod request;
pub mod ring;
pub mod rules;
mod scheduling;
pub mod scoreboard;
mod shutdown;
mod sockets;
pub mod statsd;
mod stream;
mod timers;
pub mod tls;
pub mod watcher;
pub mod wheel;

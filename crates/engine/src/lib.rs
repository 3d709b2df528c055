//! The engine turns bytes into requests and responses into bytes. It does not depend on Node.
//!
//! The life of a connection: the **acceptor** thread accepts it from a shared listener and passes
//! it to the **I/O thread**, where one task owns it. The **guard** parses every byte first and
//! releases one message at a time. An **exchange** begins and is passed to JavaScript in the next
//! **batch** of events. JavaScript writes the response into the **ring**; the **encoder** turns it
//! into bytes, and the connection's task sends them.
//!
//! Each module is a wing and imports only those listed before it, with the exceptions that
//! `scripts/tidy/wings.ts` lists:
//!
//! 1. [`buffers`]: read buffer, write queue, buffer pools, borrowed memory
//! 2. [`log`], [`scoreboard`], [`watcher`]: access log and statsd, shared counters, detection of a
//!    blocked event loop
//! 3. [`runtime`]: executor, poll set, timers, slot map
//! 4. [`pressure`]: limits, admission, memory budget
//! 5. [`transport`]: listeners, TCP and unix sockets, TLS
//! 6. [`exchange`]: the request head and the response sink
//! 7. [`guard`]: parses and refuses requests
//! 8. [`bridge`]: events to JavaScript, records from JavaScript
//! 9. [`http1`], `http2`: what only one protocol needs
//! 10. [`server`]: connections, the I/O thread, shutdown

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

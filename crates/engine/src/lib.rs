//! The engine turns bytes into requests and responses into bytes. It does not depend on Node.
//!
//! The **acceptor** thread accepts a connection from a shared listener and passes it to the **I/O
//! thread**, where one task owns it. The **guard** parses every byte before other code uses it, and
//! releases one message at a time. An **exchange** begins and is passed to JavaScript in the next
//! **batch** of events. JavaScript writes the response into the **ring**. The **encoder** turns the
//! response into bytes, and the connection's task sends them.
//!
//! Each folder is a wing. This list has the wings from the lowest to the highest. A wing should
//! import only lower wings, and any wing may import [`error`]. Each line ends with the higher wings
//! that its code still imports.
//!
//! 1. [`buffers`]: read buffer, write queue, buffer pools, borrowed memory. Also `pressure` (sizes)
//!    and `transport` (the stream that the write queue writes to).
//! 2. [`log`]: access log, statsd and their sockets. Also `exchange` and `http1` (for log lines).
//! 3. [`scoreboard`]: counters that the workers and the arbiter share.
//! 4. [`watcher`]: reports of a blocked event loop. Also `bridge` (requests in flight).
//! 5. [`runtime`]: executor, poll set, clock, slot map. Also `bridge` (the ids of a slot map).
//! 6. [`pressure`]: limits, admission, memory budget. Also `transport` (addresses of peers) and
//!    `guard` (addresses that are trusted, how to parse).
//! 7. [`transport`]: listeners, TCP and unix sockets, TLS. Also `bridge` (socket options, the wire
//!    format of certificates).
//! 8. [`exchange`]: the request head and the response sink. Also `bridge` (ring records).
//! 9. [`guard`]: parses and refuses requests. Also `bridge` (numbers of refusals).
//! 10. [`bridge`]: events to JavaScript, records from JavaScript. Also `transport` (what listeners
//!     and TLS pass on) and `scoreboard`.
//! 11. [`http1`]: response encoder and parsed message of HTTP/1.
//! 12. `http2`: sessions, streams and frames of HTTP/2. Also `server` (the state of a connection).
//! 13. [`server`]: connections, the I/O thread, shutdown. It imports every other wing.

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

/// Parsers that are internal, for the fuzz targets and the test of their corpora only.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::exchange::websocket::WebSocketFrames;
    pub use crate::http2::frames::{Flood, FrameScanner};
    pub use crate::http2::head::write_request_head;
    pub use crate::transport::tls::client_hello::prefers_chacha20;
}

//! TLS: what a server shows and asks is made in `config.rs` (certificates by name in `names.rs`), a connection's handshake
//! is `handshake.rs`, its records are `stream.rs`. Everything cryptographic is rustls'.

mod buffers;
mod config;
mod handshake;
mod names;
mod stream;

pub use config::{Certificate, Material, Server};
pub(crate) use handshake::{Handshakes, begin, ender};
pub(crate) use stream::TlsStream;

//! TLS: what a server shows and asks is made in `config.rs` (certificates by name in `names.rs`, certificates of clients in
//! `clients.rs`, sessions in `tickets.rs`), a connection's handshake is `handshake.rs` (`hello.rs` looks at
//! its first message), its records are `stream.rs`, and what
//! an application may ask of it `facts.rs`. Everything cryptographic is rustls' and aws-lc's, or
//! ring's (`cryptography.rs`).

mod buffers;
mod clients;
mod config;
mod cryptography;
mod facts;
mod handshake;
mod hello;
mod names;
mod pace;
mod stream;
mod tickets;

pub use config::{Certificate, ClientMaterial, Material, Server};
pub(crate) use facts::write_facts;
pub(crate) use handshake::{Handshakes, begin, ender};
pub(crate) use stream::TlsStream;

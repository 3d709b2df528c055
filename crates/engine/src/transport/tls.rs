//! TLS: what a server shows and asks is made in `config.rs` (certificates by name in `names.rs`, certificates of clients in
//! `clients.rs`, sessions in `tickets.rs`), a connection's handshake is `handshake.rs` (`hello.rs` looks at
//! its first message), its records are `stream.rs`, and what
//! an application may ask of it `facts.rs`. Everything cryptographic is rustls' and aws-lc's, or
//! ring's (`cryptography.rs`).

mod buffers;
mod client_hello;
mod clients;
mod config;
mod cryptography;
mod handshake;
mod handshake_rate;
mod info;
mod sni;
mod stream;
mod tickets;

pub use config::{CertificateMaterial, ClientAuthMaterial, TlsServer, TlsServerMaterial};
pub(crate) use handshake::{Handshakes, abort_expired_handshakes, begin_handshake};
pub(crate) use info::write_tls_info;
pub(crate) use stream::TlsStream;

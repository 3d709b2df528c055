//! TLS for servers.
//!
//! `config.rs` builds a server's configuration, with certificates by name (`sni.rs`), client
//! certificates (`client_verifier.rs`) and session tickets (`tickets.rs`). `handshake.rs` runs the
//! handshake of a connection, whose first message `client_hello.rs` inspects. `stream.rs` reads and
//! writes records, and `info.rs` describes the connection for JavaScript. All cryptography is done
//! by rustls with aws-lc or ring (`cryptography.rs`).

mod buffers;
pub(crate) mod client_hello;
mod client_verifier;
mod config;
mod cryptography;
mod handshake;
mod info;
mod sni;
mod stream;
mod tickets;

pub use config::{CertificateMaterial, ClientAuthMaterial, TlsServer, TlsServerMaterial};
pub(crate) use handshake::{
    Handshakes, PendingHandshake, abort_expired_handshakes, begin_handshake,
};
pub(crate) use info::write_tls_info;
pub(crate) use stream::TlsStream;

//! TLS for servers.
//!
//! `config.rs` builds a server's configuration, with certificates by name (`sni.rs`), client
//! certificates (`client_verifier.rs`) and session tickets (`tickets.rs`). `handshakes.rs` has the
//! handshakes in progress, whose first message `client_hello.rs` inspects. `stream.rs` reads and
//! writes records, and `info.rs` describes the connection for JavaScript. All cryptography is done
//! by rustls with aws-lc or ring (`cryptography.rs`).

mod buffers;
pub(crate) mod client_hello;
mod client_verifier;
mod config;
mod cryptography;
mod handshakes;
mod info;
mod sni;
mod stream;
mod tickets;

pub use config::{CertificateMaterial, ClientAuthMaterial, TlsServer, TlsServerMaterial};
pub(crate) use handshakes::{Handshakes, PendingHandshake};
pub(crate) use info::write_tls_info;
pub(crate) use stream::TlsStream;

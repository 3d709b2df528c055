//! What TLS needs of a server, as it comes from `ts/tls/`.

use monoceros_engine::tls::{Certificate, Material, Server};
use napi_derive::napi;

/// The files' contents; all in PEM, keys without a password.
#[napi(object)]
pub struct TlsMaterial {
    /// The first is the one for clients that ask for no name that another has.
    pub certificates: Vec<TlsCertificate>,
    /// The protocols offered by ALPN, the preferred one first.
    pub protocols: Vec<String>,
    /// The end of a connection without `close_notify` is an error.
    pub strict_ends: bool,
}

/// A certificate with its key.
#[napi(object)]
pub struct TlsCertificate {
    pub chain: String,
    pub key: String,
}

/// The engine's side of it.
pub(crate) fn server(material: TlsMaterial) -> napi::Result<Server, String> {
    let certificate =
        |one: TlsCertificate| Certificate { chain: one.chain.into(), key: one.key.into() };
    Server::new(&Material {
        certificates: material.certificates.into_iter().map(certificate).collect(),
        protocols: material.protocols.into_iter().map(String::into_bytes).collect(),
        strict_ends: material.strict_ends,
    })
    .map_err(|problem| napi::Error::new("ERR_INVALID_ARG_VALUE".into(), problem))
}

//! What TLS needs of a server, as it comes from `ts/tls/`.

use monoceros_engine::transport::tls::{
    CertificateMaterial, ClientAuthMaterial, TlsServer, TlsServerMaterial,
};
use napi::bindgen_prelude::Buffer;
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
    #[napi(js_name = "onlyTls13")]
    pub only_tls13: bool,
    #[napi(js_name = "onlyTls12")]
    pub only_tls12: bool,
    /// Their numbers, the preferred one first; all of them without any.
    pub ciphers: Vec<u16>,
    /// Clients are asked for a certificate.
    pub clients: Option<TlsClients>,
    /// Of session tickets, 48 bytes each; the first makes them, all read them.
    pub ticket_keys: Vec<Buffer>,
}

/// A certificate with its key.
#[napi(object)]
pub struct TlsCertificate {
    pub chain: String,
    pub key: String,
    /// The names that it is shown for, in small letters.
    pub names: Vec<String>,
    /// What its authority says of it (OCSP, DER).
    pub staple: Option<Buffer>,
}

/// What is asked of clients.
#[napi(object)]
pub struct TlsClients {
    pub authorities: String,
    pub revocations: String,
    /// Without a certificate there is no connection.
    pub required: bool,
    /// A certificate that does not count, or none, is the application's to judge.
    pub lenient: bool,
}

/// What is wrong with it; undefined when it can be used.
#[napi(catch_unwind)]
pub fn tls_problem(material: TlsMaterial) -> Option<String> {
    TlsServer::new(&convert(material)).err()
}

/// The engine's side of it.
pub(crate) fn server(material: TlsMaterial) -> napi::Result<TlsServer, String> {
    TlsServer::new(&convert(material))
        .map_err(|problem| napi::Error::new("ERR_INVALID_ARG_VALUE".into(), problem))
}

fn convert(material: TlsMaterial) -> TlsServerMaterial {
    let certificate = |one: TlsCertificate| CertificateMaterial {
        chain: one.chain.into(),
        key: one.key.into(),
        names: one.names,
        staple: one.staple.map(Into::into).unwrap_or_default(),
    };
    let clients = |asked: TlsClients| ClientAuthMaterial {
        authorities: asked.authorities.into(),
        revocations: asked.revocations.into(),
        required: asked.required,
        lenient: asked.lenient,
    };
    TlsServerMaterial {
        certificates: material.certificates.into_iter().map(certificate).collect(),
        protocols: material.protocols.into_iter().map(String::into_bytes).collect(),
        requires_close_notify: material.strict_ends,
        only_tls13: material.only_tls13,
        only_tls12: material.only_tls12,
        ciphers: material.ciphers,
        client_auth: material.clients.map(clients),
        ticket_keys: material.ticket_keys.into_iter().map(Into::into).collect(),
    }
}

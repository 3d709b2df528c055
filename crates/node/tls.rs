//! The TLS configuration of a server, as `ts/tls/` passes it.

use monoceros_engine::transport::tls::{
    CertificateMaterial, ClientAuthMaterial, TlsServer, TlsServerMaterial,
};
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

/// The contents of the TLS files: all in PEM, keys without a password.
#[napi(object)]
pub struct TlsMaterial {
    /// The certificates. The first is for clients that ask for no name of another certificate.
    pub certificates: Vec<TlsCertificate>,
    /// The protocols offered by ALPN, the preferred one first.
    pub protocols: Vec<String>,
    /// Treats the end of a connection without `close_notify` as an error.
    pub strict_ends: bool,
    #[napi(js_name = "onlyTls13")]
    pub only_tls13: bool,
    #[napi(js_name = "onlyTls12")]
    pub only_tls12: bool,
    /// The numbers of the cipher suites, the preferred one first; empty for all of them.
    pub ciphers: Vec<u16>,
    /// Asks clients for a certificate.
    pub clients: Option<TlsClients>,
    /// Session ticket keys, 48 bytes each. The first encrypts tickets, and all decrypt them.
    pub ticket_keys: Vec<Buffer>,
}

/// A certificate with its key.
#[napi(object)]
pub struct TlsCertificate {
    pub chain: String,
    pub key: String,
    /// The names that the certificate is shown for, in lower case.
    pub names: Vec<String>,
    /// The OCSP response of its authority, in DER.
    pub staple: Option<Buffer>,
}

/// What the server asks of clients.
#[napi(object)]
pub struct TlsClients {
    pub authorities: String,
    pub revocations: String,
    /// Refuses a client without a certificate.
    pub required: bool,
    /// The application judges an invalid or missing certificate.
    pub lenient: bool,
}

/// Returns what is wrong with the TLS configuration; undefined when it can be used.
#[napi(catch_unwind)]
pub fn tls_problem(material: TlsMaterial) -> Option<String> {
    TlsServer::new(&convert(material)).err()
}

/// Makes the engine's TLS server from the TLS configuration.
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

//! What a server shows and asks in its handshakes, made of what the arbiter has read from files.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, crypto};

use super::names::Certificates;

/// What TLS needs of a server; all in PEM, keys without a password.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// The first is shown to clients that ask for no name, or for one that none has.
    pub certificates: Vec<Certificate>,
    /// The protocols offered by ALPN, the preferred one first.
    pub protocols: Vec<Vec<u8>>,
    /// The end of a connection without `close_notify` is an error.
    pub strict_ends: bool,
}

/// A certificate with its key.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    /// It and those that lead to a known authority.
    pub chain: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

/// TLS as a server does it. Connections that have begun keep the one they began with.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) strict_ends: bool,
}

impl Server {
    /// Makes a server's side of it.
    ///
    /// # Errors
    ///
    /// When a part cannot be read or does not fit another: a sentence says which and why.
    pub fn new(material: &Material) -> Result<Self, String> {
        let provider = PROVIDER.clone();
        let certificates = material
            .certificates
            .iter()
            .map(|one| certified(one, &provider).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() {
            return Err("there is no certificate".into());
        }
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Certificates::new(certificates)));
        config.alpn_protocols.clone_from(&material.protocols);
        Ok(Self { config: Arc::new(config), strict_ends: material.strict_ends })
    }
}

fn certified(
    Certificate { chain, key }: &Certificate,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    if chain.is_empty() {
        return Err("the certificate's file has no certificate".into());
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| format!("the private key cannot be read: {error}"))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| format!("certificate and key are of no use: {error}"))
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(crypto::aws_lc_rs::default_provider()));

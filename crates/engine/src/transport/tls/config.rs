//! What a server shows and asks in its handshakes, made of what the arbiter has read from files.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    Error, InconsistentKeys, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::client_hello::prefers_chacha20;
use super::clients::ClientVerifier;
use super::cryptography::default_provider;
use super::sni::SniResolver;
use super::tickets::TicketKeys;

/// What TLS needs of a server; all in PEM, keys without a password.
#[derive(Clone, Debug, Default)]
pub struct TlsServerMaterial {
    /// The first is shown to clients that ask for no name, or for one that none has.
    pub certificates: Vec<CertificateMaterial>,
    /// The protocols offered by ALPN, the preferred one first.
    pub protocols: Vec<Vec<u8>>,
    /// The end of a connection without `close_notify` is an error.
    pub requires_close_notify: bool,
    /// No TLS 1.2.
    pub only_tls13: bool,
    /// No TLS 1.3.
    pub only_tls12: bool,
    /// The cipher suites by their numbers, the preferred one first; without any all of rustls', of which those with AES-128
    /// are taken first, and `ChaCha20` with clients that name it first.
    pub ciphers: Vec<u16>,
    /// Whether clients are asked for a certificate, and which ones count.
    pub client_auth: Option<ClientAuthMaterial>,
    /// The keys of session tickets: the first makes them, all read them. No sessions are resumed without any.
    pub ticket_keys: Vec<Vec<u8>>,
}

/// A certificate with its key.
#[derive(Clone, Debug, Default)]
pub struct CertificateMaterial {
    /// It and those that lead to a known authority.
    pub chain: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// The names that it is shown for, in small letters: `example.com`, `*.example.com`.
    pub names: Vec<String>,
    /// What its authority says of it (OCSP, DER); empty for nothing.
    pub staple: Vec<u8>,
}

/// What is asked of clients.
#[derive(Clone, Debug, Default)]
pub struct ClientAuthMaterial {
    /// The authorities, in PEM.
    pub authorities: Vec<u8>,
    /// What they have revoked, in PEM; with any, each authority needs a list.
    pub revocations: Vec<u8>,
    /// Without a certificate there is no connection.
    pub required: bool,
    /// A certificate that does not count, or none, is the application's to judge.
    pub lenient: bool,
}

/// TLS as a server does it. Connections that have begun keep the one they began with.
#[derive(Clone, Debug)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    /// The same with the ciphers of the client's choice.
    by_client_preference: Arc<ServerConfig>,
    pub(crate) requires_close_notify: bool,
    pub(super) client_verifier: Option<Arc<ClientVerifier>>,
}

impl TlsServer {
    /// Makes a server's side of it.
    ///
    /// # Errors
    ///
    /// When a part cannot be read or does not fit another: a sentence says which and why.
    pub fn new(material: &TlsServerMaterial) -> Result<Self, String> {
        let provider = provider(&material.ciphers)?;
        let certificates = material
            .certificates
            .iter()
            .map(|one| Ok((Arc::new(certified(one, &provider)?), one.names.clone())))
            .collect::<Result<Vec<_>, String>>()?;
        if certificates.is_empty() {
            return Err("there is no certificate".into());
        }
        let client_verifier = match &material.client_auth {
            Some(asked) => Some(Arc::new(ClientVerifier::new(asked, provider.clone())?)),
            None => None,
        };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(material))
            .map_err(|error| format!("versions and ciphers do not fit: {error}"))?;
        let builder = match &client_verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_client_cert_verifier(Arc::new(NoClientAuth)),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SniResolver::new(certificates)));
        config.alpn_protocols.clone_from(&material.protocols);
        config.ignore_client_order = true;
        // Sessions travel in tickets alone, which every worker reads.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // One for each handshake: a client that opens several connections at once may show it in each.
        config.send_tls13_tickets = usize::from(!material.ticket_keys.is_empty());
        if !material.ticket_keys.is_empty() {
            config.ticketer = Arc::new(TicketKeys::new(&material.ticket_keys)?);
        }
        // Who names them names them in order; else whoever has no AES in hardware may say so.
        let mut by_client_preference = config.clone();
        by_client_preference.ignore_client_order = !material.ciphers.is_empty();
        let (config, by_client_preference) = (Arc::new(config), Arc::new(by_client_preference));
        let requires_close_notify = material.requires_close_notify;
        Ok(Self { config, by_client_preference, requires_close_notify, client_verifier })
    }

    /// What a connection gets whose client begins with these bytes.
    pub(super) fn config_for(&self, first: &[u8]) -> Arc<ServerConfig> {
        let chosen =
            if prefers_chacha20(first) { &self.by_client_preference } else { &self.config };
        chosen.clone()
    }
}

fn versions(material: &TlsServerMaterial) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = Vec::new();
    if !material.only_tls12 {
        versions.push(&TLS13);
    }
    if !material.only_tls13 {
        versions.push(&TLS12);
    }
    versions
}

/// All that there is, or the suites with these numbers in this order.
fn provider(ciphers: &[u16]) -> Result<Arc<CryptoProvider>, String> {
    if ciphers.is_empty() {
        return Ok(PROVIDER.clone());
    }
    let known = &PROVIDER.cipher_suites;
    let cipher_suites = ciphers
        .iter()
        .map(|number| {
            let suite = known.iter().find(|suite| u16::from(suite.suite()) == *number);
            suite.copied().ok_or_else(|| format!("there is no cipher suite {number:#06x}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(CryptoProvider { cipher_suites, ..CryptoProvider::clone(&PROVIDER) }))
}

fn certified(
    CertificateMaterial { chain, key, staple, .. }: &CertificateMaterial,
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
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| format!("the private key is of no use: {error}"))?;
    let mut certified = CertifiedKey::new(chain, key);
    // A certificate of X.509 version 1 cannot be looked into; clients may take it all the same.
    if let Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) = certified.keys_match() {
        return Err("the private key is not the one of the certificate".into());
    }
    certified.ocsp = (!staple.is_empty()).then(|| staple.clone());
    Ok(certified)
}

/// AES-128 stands before AES-256: it is as good for a connection, and goes with SHA-256, for which processors have
/// instructions. Nearly all that a handshake costs beside its keys is hashing, and SHA-384 takes six times as long.
static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_aes_128(*suite));
    Arc::new(provider)
});

fn is_aes_128(suite: SupportedCipherSuite) -> bool {
    use rustls::CipherSuite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        TLS13_AES_128_GCM_SHA256,
    };
    matches!(
        suite.suite(),
        TLS13_AES_128_GCM_SHA256
            | TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}

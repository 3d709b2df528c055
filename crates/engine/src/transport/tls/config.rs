//! The TLS configuration of a server, built from the files that the arbiter has read.

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
use super::client_verifier::ClientVerifier;
use super::cryptography::default_provider;
use super::sni::SniResolver;
use super::tickets::TicketKeys;

/// The input of a server's TLS configuration. Certificates and keys are in PEM, keys unencrypted.
#[derive(Clone, Debug, Default)]
pub struct TlsServerMaterial {
    /// The certificates. The first is the default, for clients that request no name or an unknown
    /// one.
    pub certificates: Vec<CertificateMaterial>,
    /// The ALPN protocols, in order of preference.
    pub protocols: Vec<Vec<u8>>,
    /// Whether a connection that closes without `close_notify` is an error.
    pub requires_close_notify: bool,
    /// Disables TLS 1.2.
    pub only_tls13: bool,
    /// Disables TLS 1.3.
    pub only_tls12: bool,
    /// The cipher suites by number, in order of preference. Empty means all suites of rustls: those
    /// with AES-128 first, or `ChaCha20` first for clients that name it first.
    pub ciphers: Vec<u16>,
    /// How client certificates are verified; `None` requests none.
    pub client_auth: Option<ClientAuthMaterial>,
    /// The keys of session tickets, 48 bytes each. The first encrypts, all decrypt. Without keys,
    /// no session is resumed.
    pub ticket_keys: Vec<Vec<u8>>,
}

/// A certificate with its private key.
#[derive(Clone, Debug, Default)]
pub struct CertificateMaterial {
    /// The certificate and its intermediates, in PEM.
    pub chain: Vec<u8>,
    /// The private key, in PEM.
    pub key: Vec<u8>,
    /// The host names that the certificate is for, in lower case: `example.com`, `*.example.com`.
    pub names: Vec<String>,
    /// The OCSP response to staple (DER); empty for none.
    pub staple: Vec<u8>,
}

/// The input for verifying client certificates.
#[derive(Clone, Debug, Default)]
pub struct ClientAuthMaterial {
    /// The certificate authorities, in PEM.
    pub authorities: Vec<u8>,
    /// Revocation lists, in PEM. If there are any, each authority needs one.
    pub revocations: Vec<u8>,
    /// Refuses clients without a certificate.
    pub required: bool,
    /// Admits clients with a missing or rejected certificate; the application decides.
    pub lenient: bool,
}

/// The TLS configuration of a server. Existing connections keep the configuration that they started
/// with.
#[derive(Clone, Debug)]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    /// The same configuration, with cipher suites in the client's order of preference.
    by_client_preference: Arc<ServerConfig>,
    /// Chooses the certificate in both.
    resolver: Arc<SniResolver>,
    /// Whether a connection that closes without `close_notify` is an error.
    pub(crate) requires_close_notify: bool,
    /// Verifies clients, if a certificate is requested.
    pub(super) client_verifier: Option<Arc<ClientVerifier>>,
}

impl TlsServer {
    /// Builds the configuration of a server.
    ///
    /// # Errors
    ///
    /// When a part cannot be read or does not match another; a sentence describes the fault.
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
            .map_err(|error| format!("TLS versions and cipher suites do not match: {error}"))?;
        let builder = match &client_verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_client_cert_verifier(Arc::new(NoClientAuth)),
        };
        let resolver = Arc::new(SniResolver::new(certificates));
        let mut config = builder.with_cert_resolver(resolver.clone());
        config.alpn_protocols.clone_from(&material.protocols);
        config.ignore_client_order = true;
        // Sessions are stored only in tickets, which every worker can decrypt.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // One ticket per handshake: a client that opens several connections at once may use it for
        // each.
        config.send_tls13_tickets = usize::from(!material.ticket_keys.is_empty());
        if !material.ticket_keys.is_empty() {
            config.ticketer = Arc::new(TicketKeys::new(&material.ticket_keys)?);
        }
        // An explicit cipher list is in the server's order of preference. Otherwise a client
        // without AES instructions may prefer ChaCha20.
        let mut by_client_preference = config.clone();
        by_client_preference.ignore_client_order = !material.ciphers.is_empty();
        let (config, by_client_preference) = (Arc::new(config), Arc::new(by_client_preference));
        let requires_close_notify = material.requires_close_notify;
        Ok(Self { config, by_client_preference, resolver, requires_close_notify, client_verifier })
    }

    /// Takes the host name that the client requested (SNI), if the last handshake step of this
    /// configuration has read it.
    pub(super) fn take_requested_name(&self) -> Option<Box<str>> {
        self.resolver.take_requested_name()
    }

    /// The configuration for a client whose first bytes are `first`.
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

/// The provider with all cipher suites, or with the suites of these numbers in this order.
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
        return Err("the certificate file has no certificate".into());
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| format!("the private key cannot be read: {error}"))?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| format!("the private key cannot be used: {error}"))?;
    let mut certified = CertifiedKey::new(chain, key);
    // A certificate of X.509 version 1 cannot be parsed; clients may accept it all the same.
    if let Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) = certified.keys_match() {
        return Err("the private key does not match the certificate".into());
    }
    certified.ocsp = (!staple.is_empty()).then(|| staple.clone());
    Ok(certified)
}

/// The cryptography provider, with AES-128 before AES-256. AES-128 is as good for a connection, and
/// is used with SHA-256, for which processors have instructions. Besides its keys, a handshake
/// costs almost only hashing, and SHA-384 takes six times as long.
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

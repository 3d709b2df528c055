//! Chooses the certificate for the host name that a client requests (SNI, RFC 6066 section 3).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates of a server, the default one first.
#[derive(Debug)]
pub(super) struct SniResolver {
    certificates: Vec<Arc<CertifiedKey>>,
    /// The indices in `certificates` by host name, in configured order. A name that begins with
    /// `*.` matches any first label.
    indices_by_name: HashMap<String, Vec<usize>>,
    /// The host name of the `ClientHello` that was read last. rustls does not report it for
    /// unbuffered connections.
    requested_name: Mutex<Option<Box<str>>>,
}

impl SniResolver {
    pub fn new(certificates: Vec<(Arc<CertifiedKey>, Vec<String>)>) -> Self {
        let mut indices_by_name = HashMap::<String, Vec<usize>>::new();
        let mut all = Vec::new();
        for (index, (certificate, names)) in certificates.into_iter().enumerate() {
            all.push(certificate);
            for name in names {
                indices_by_name.entry(name).or_default().push(index);
            }
        }
        Self { certificates: all, indices_by_name, requested_name: Mutex::default() }
    }

    /// Takes the host name that a client requested, if the last handshake step has read it.
    pub fn take_requested_name(&self) -> Option<Box<str>> {
        self.requested_name.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The certificates for a name: exact matches, or else those with a wildcard as first label
    /// (RFC 6125 section 6.4.3). Empty means the default. A name may have several certificates with
    /// keys of different types.
    fn matching_indices(&self, name: Option<&str>) -> &[usize] {
        name.and_then(|name| {
            self.indices_by_name.get(name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.indices_by_name.get(&format!("*.{parent}"))
            })
        })
        .map_or(&[], Vec::as_slice)
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let usable =
            |certificate: &&Arc<CertifiedKey>| certificate.key.choose_scheme(schemes).is_some();
        let matching_indices = self.matching_indices(name);
        if matching_indices.is_empty() {
            // The default, unless the client does not support its type of key.
            return self.certificates.iter().find(usable).or(self.certificates.first()).cloned();
        }
        let mut indices_by_name = matching_indices.iter().map(|&index| &self.certificates[index]);
        indices_by_name.clone().find(usable).or_else(|| indices_by_name.next()).cloned()
    }
}

impl ResolvesServerCert for SniResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        *self.requested_name.lock().unwrap_or_else(PoisonError::into_inner) = name.map(Box::from);
        // Host names are case-insensitive. A client sends no trailing dot (RFC 6066 section 3).
        let name = name.map(str::to_ascii_lowercase);
        self.choose(name.as_deref(), hello.signature_schemes())
    }
}

//! Which certificate a client is shown: the one whose names have the name that it asks for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates of a server, the one for everybody else first.
#[derive(Debug)]
pub(super) struct SniResolver {
    all: Vec<Arc<CertifiedKey>>,
    /// Places in `all` by name, those that came first first; `*.` begins a name that stands for every one beside it.
    indices_by_name: HashMap<String, Vec<usize>>,
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
        Self { all, indices_by_name }
    }

    /// Those for a name: the exact ones, else those with a star for its first label (RFC 6125 section 6.4.3), else the
    /// first of all. One name may have several, each with a key of another kind.
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
            // The first, unless its key is of a kind that the client does not know.
            return self.all.iter().find(usable).or(self.all.first()).cloned();
        }
        let mut indices_by_name = matching_indices.iter().map(|&index| &self.all[index]);
        indices_by_name.clone().find(usable).or_else(|| indices_by_name.next()).cloned()
    }
}

impl ResolvesServerCert for SniResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        ASKED_FOR.set(name.map(Box::from));
        // Names are the same in any letters; a dot at the end is the root's and says nothing.
        let name = name.map(str::to_ascii_lowercase);
        self.choose(name.as_deref(), hello.signature_schemes())
    }
}

thread_local! {
    /// The name in the hello that this thread has read last: rustls keeps it where only its other connections show it.
    static ASKED_FOR: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Before a step of a handshake.
pub(super) fn forget_server_name() {
    ASKED_FOR.set(None);
}

/// After it: the name that the client asked for, if this was the step that read it.
pub(super) fn server_name() -> Option<Box<str>> {
    ASKED_FOR.take()
}

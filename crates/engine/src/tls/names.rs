//! Which certificate a client is shown: the one whose names have the name that it asks for.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates of a server, the one for everybody else first.
#[derive(Debug)]
pub(super) struct Certificates {
    all: Vec<Arc<CertifiedKey>>,
}

impl Certificates {
    pub fn new(all: Vec<Arc<CertifiedKey>>) -> Self {
        Self { all }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        ASKED_FOR.set(hello.server_name().map(Box::from));
        self.all.first().cloned()
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

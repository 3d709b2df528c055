//! What an application may ask of a connection that speaks TLS; `ts/engine/tls-info.ts` reads it.

use rustls::pki_types::CertificateDer;

use super::TlsStream;
use super::clients::ClientVerdict;
use crate::bridge::wire::{
    TLS_CHAIN_LENGTH_AT, TLS_CIPHER_AT, TLS_FLAGS_AT, TLS_TEXT_LENGTHS_AT, TLS_TEXTS_AT,
    TLS_VERSION_AT, tls_flag,
};

/// Writes the facts behind the record of a connection: numbers first, then texts, then the client's certificates.
pub(crate) fn write_tls_info(stream: &TlsStream, out: &mut Vec<u8>) {
    let name = limited(stream.server_name().unwrap_or_default().as_bytes());
    let protocol = limited(stream.protocol().unwrap_or_default());
    let (authorized, error) = match stream.client_verdict() {
        ClientVerdict::NotRequested => (0, ""),
        ClientVerdict::Authorized => (tls_flag::ASKED | tls_flag::AUTHORIZED, ""),
        ClientVerdict::Rejected(code) => (tls_flag::ASKED, code),
    };
    let resumed = if stream.is_resumed() { tls_flag::RESUMED } else { 0 };
    let chain = stream.peer_certificates();
    let length = chain.iter().map(|one| one.len()).sum::<usize>();
    let mut fixed = [0; TLS_TEXTS_AT];
    fixed[TLS_VERSION_AT..][..2].copy_from_slice(&stream.version().to_le_bytes());
    fixed[TLS_CIPHER_AT..][..2].copy_from_slice(&stream.cipher().to_le_bytes());
    fixed[TLS_FLAGS_AT] = authorized | resumed;
    let lengths = [name.len() as u8, protocol.len() as u8, error.len() as u8];
    fixed[TLS_TEXT_LENGTHS_AT..][..lengths.len()].copy_from_slice(&lengths);
    fixed[TLS_CHAIN_LENGTH_AT..][..4].copy_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&fixed);
    out.extend_from_slice(name);
    out.extend_from_slice(protocol);
    out.extend_from_slice(error.as_bytes());
    // Each says its own length.
    for certificate in chain {
        out.extend_from_slice(certificate);
    }
}

impl TlsStream {
    /// The version of TLS by its number, 0 before the handshake.
    fn version(&self) -> u16 {
        self.tls.protocol_version().map_or(0, u16::from)
    }

    /// The cipher suite by its number.
    fn cipher(&self) -> u16 {
        self.tls.negotiated_cipher_suite().map_or(0, |suite| suite.suite().into())
    }

    /// What the client has shown, its own certificate first.
    fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.peer_certificates().unwrap_or_default()
    }
}

/// A name of DNS has 253 bytes at most, a protocol of ALPN 255.
fn limited(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(255)]
}

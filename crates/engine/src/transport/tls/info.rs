//! The TLS information of a connection that applications can read; `ts/engine/tls-info.ts` decodes
//! it.

use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;

use super::TlsStream;
use super::client_verifier::ClientVerdict;
use crate::bridge::wire::{
    TLS_CHAIN_LENGTH_AT, TLS_CIPHER_AT, TLS_FLAGS_AT, TLS_TEXT_LENGTHS_AT, TLS_TEXTS_AT,
    TLS_VERSION_AT, tls_flag,
};

/// Appends the TLS information of a connection to its record: numbers, then texts, then the
/// client's certificates.
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
    // A DER certificate encodes its own length.
    for certificate in chain {
        out.extend_from_slice(certificate);
    }
}

impl TlsStream {
    /// The negotiated ALPN protocol, if the client offered any.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// Whether the handshake resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The TLS version by its number, 0 before the handshake.
    fn version(&self) -> u16 {
        self.tls.protocol_version().map_or(0, u16::from)
    }

    /// The cipher suite by its number.
    fn cipher(&self) -> u16 {
        self.tls.negotiated_cipher_suite().map_or(0, |suite| suite.suite().into())
    }

    /// The certificates that the client has sent, its own first.
    fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.peer_certificates().unwrap_or_default()
    }
}

/// Truncates to 255 bytes. A DNS name has at most 253 bytes, an ALPN protocol 255.
fn limited(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(255)]
}

//! Certificates of clients: which ones count, and what is known of one that does not.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::ClientMaterial;

/// Judges clients by authorities and their lists of what is revoked.
pub(super) struct Clients {
    judge: Arc<dyn ClientCertVerifier>,
    required: bool,
    lenient: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Clients are not asked.
    NotAsked,
    Authorized,
    /// With the code that OpenSSL has for it.
    Not(&'static str),
}

impl Clients {
    pub fn new(material: &ClientMaterial, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&material.authorities) {
            authority
                .map_err(|error| error.to_string())
                .and_then(|one| roots.add(one).map_err(|error| error.to_string()))
                .map_err(|error| format!("an authority for clients cannot be read: {error}"))?;
        }
        let crls = CertificateRevocationListDer::pem_slice_iter(&material.revocations)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("a list of revoked certificates cannot be read: {error}"))?;
        let (is_listed, no_roots) = (!crls.is_empty(), roots.is_empty());
        if no_roots {
            return Err("there is no authority for the certificates of clients".into());
        }
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls(crls);
        if is_listed {
            builder = builder.enforce_revocation_expiration();
        }
        if !material.required {
            builder = builder.allow_unauthenticated();
        }
        let judge =
            builder.build().map_err(|error| format!("clients cannot be judged: {error}"))?;
        Ok(Self { judge, required: material.required, lenient: material.lenient })
    }

    /// Of a client that a ticket has brought back, or that was let in whatever it showed: it was not looked at in the
    /// handshake. A ticket is older than the newest list of what is revoked, and perhaps than the wish for certificates.
    pub fn judge(&self, chain: Option<&[CertificateDer<'_>]>) -> Verdict {
        let Some((first, others)) = chain.and_then(|chain| chain.split_first()) else {
            return Verdict::Not(MISSING);
        };
        match self.judge.verify_client_cert(first, others, UnixTime::now()) {
            Ok(_) => Verdict::Authorized,
            Err(error) => Verdict::Not(code_of(&error)),
        }
    }

    /// Whether a client is served of whom that has been found.
    pub fn serves(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Not(MISSING) => self.lenient || !self.required,
            Verdict::Not(_) => self.lenient,
            Verdict::NotAsked | Verdict::Authorized => true,
        }
    }

    pub fn is_lenient(&self) -> bool {
        self.lenient
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("required", &self.required).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.judge.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.required && !self.lenient
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.lenient {
            // That the client has the certificate's key is seen to all the same.
            return Ok(ClientCertVerified::assertion());
        }
        self.judge.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// The code that OpenSSL, and so node, has for it.
fn code_of(error: &Error) -> &'static str {
    let Error::InvalidCertificate(error) = error else { return "CERT_REJECTED" };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "CERT_HAS_EXPIRED",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "CERT_NOT_YET_VALID"
        }
        CertificateError::Revoked => "CERT_REVOKED",
        CertificateError::UnknownIssuer => "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        CertificateError::UnknownRevocationStatus => "UNABLE_TO_GET_CRL",
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => "CRL_HAS_EXPIRED",
        CertificateError::BadSignature => "CERT_SIGNATURE_FAILURE",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "INVALID_PURPOSE"
        }
        _ => "CERT_REJECTED",
    }
}

/// What OpenSSL says of a client that shows none.
const MISSING: &str = "UNABLE_TO_GET_ISSUER_CERT";

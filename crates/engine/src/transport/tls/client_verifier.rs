//! Verifies client certificates, and reports why one was rejected.

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
use webpki::EndEntityCert;

use super::ClientAuthMaterial;

/// Verifies client certificates against authorities and revocation lists.
pub(super) struct ClientVerifier {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Intermediate authorities: another configured authority has issued them. They are links of a
    /// chain that may be revoked, not trust anchors.
    known_intermediates: Vec<CertificateDer<'static>>,
    /// The subject names of all authorities, by which clients choose a certificate.
    names: Vec<DistinguishedName>,
    /// Refuses clients without a certificate.
    required: bool,
    /// Admits every client; the application decides.
    lenient: bool,
}

/// The result of verifying a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientVerdict {
    /// Clients are not asked for a certificate.
    NotRequested,
    Authorized,
    /// Rejected, with OpenSSL's error code.
    Rejected(&'static str),
}

impl ClientVerifier {
    pub fn new(
        material: &ClientAuthMaterial,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let unreadable = |error: &dyn fmt::Display| {
            format!("a certificate authority for clients cannot be read: {error}")
        };
        let authorities = CertificateDer::pem_slice_iter(&material.authorities)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unreadable(&error))?;
        let names: Vec<_> = authorities.iter().filter_map(|one| Some(names_of(one)?.0)).collect();
        let is_link = |one: &CertificateDer<'_>| {
            names_of(one).is_some_and(|(own, issuer)| own != issuer && names.contains(&issuer))
        };
        // Authorities that have issued each other are all trust anchors.
        let (known_intermediates, ends): (Vec<_>, Vec<_>) = if authorities.iter().all(is_link) {
            (Vec::new(), authorities)
        } else {
            authorities.into_iter().partition(is_link)
        };
        let mut roots = RootCertStore::empty();
        for authority in ends {
            roots.add(authority).map_err(|error| unreadable(&error))?;
        }
        let crls = CertificateRevocationListDer::pem_slice_iter(&material.revocations)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("a revocation list cannot be read: {error}"))?;
        let (is_listed, no_roots) = (!crls.is_empty(), roots.is_empty());
        if no_roots {
            return Err("there is no certificate authority for clients".into());
        }
        let mut builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls(crls);
        if is_listed {
            builder = builder.enforce_revocation_expiration();
        }
        if !material.required {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder
            .build()
            .map_err(|error| format!("client certificates cannot be verified: {error}"))?;
        let of_links = known_intermediates.iter().filter_map(names_of);
        let of_links = of_links.map(|(own, _)| DistinguishedName::in_sequence(&own));
        let names = verifier.root_hint_subjects().iter().cloned().chain(of_links).collect();
        Ok(Self {
            verifier,
            known_intermediates,
            names,
            required: material.required,
            lenient: material.lenient,
        })
    }

    /// Verifies a client that the handshake did not: its session was resumed by a ticket, or the
    /// server is lenient. A ticket may be older than the newest revocation list, and than the
    /// demand for certificates.
    pub fn verify_chain(&self, chain: Option<&[CertificateDer<'_>]>) -> ClientVerdict {
        let Some((first, others)) = chain.and_then(|chain| chain.split_first()) else {
            return ClientVerdict::Rejected(MISSING);
        };
        match self.verify(first, others, UnixTime::now()) {
            Ok(_) => ClientVerdict::Authorized,
            Err(error) => ClientVerdict::Rejected(code_of(&error)),
        }
    }

    /// Whether a client with this verdict is served.
    pub fn admits(&self, verdict: ClientVerdict) -> bool {
        match verdict {
            ClientVerdict::Rejected(MISSING) => self.lenient || !self.required,
            ClientVerdict::Rejected(_) => self.lenient,
            ClientVerdict::NotRequested | ClientVerdict::Authorized => true,
        }
    }

    /// Whether every client is admitted, and the application decides.
    pub fn is_lenient(&self) -> bool {
        self.lenient
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.known_intermediates.is_empty() {
            return self.verifier.verify_client_cert(end_entity, intermediates, now);
        }
        let all: Vec<_> = intermediates.iter().chain(&self.known_intermediates).cloned().collect();
        self.verifier.verify_client_cert(end_entity, &all, now)
    }
}

/// Returns the subject and the issuer of a certificate, or `None` if it cannot be parsed. The trust
/// store reports the error of such a certificate.
fn names_of(certificate: &CertificateDer<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    Some((certificate.subject().to_vec(), certificate.issuer().to_vec()))
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier").field("required", &self.required).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
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
            // rustls still verifies that the client has the certificate's private key.
            return Ok(ClientCertVerified::assertion());
        }
        self.verify(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The error code of OpenSSL, which is also Node's.
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

/// OpenSSL's code for a client without a certificate.
const MISSING: &str = "UNABLE_TO_GET_ISSUER_CERT";

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
        IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
        date_time_ymd,
    };

    use super::*;
    use crate::transport::tls::cryptography::default_provider;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn params(name: &str, number: u64) -> CertificateParams {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(number));
        params
    }

    fn authority(name: &str, number: u64) -> CertificateParams {
        let mut params = params(name, number);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    fn list(of: &Authority, revoked: &[u64]) -> String {
        let revoked = revoked.iter().map(|number| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2999, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(of)
        .unwrap()
        .pem()
        .unwrap()
    }

    #[test]
    fn a_revoked_intermediate_authority_is_rejected() {
        let key = || KeyPair::generate().unwrap();
        let root = Authority::self_signed(authority("root", 1), key()).unwrap();
        let middle = Authority::signed_by(authority("middle", 2), key(), &root).unwrap();
        let client = params("client", 3).signed_by(&key(), &middle).unwrap();
        let verdict = |authorities: &[&Authority], revoked: &[u64]| {
            let pem: String = authorities.iter().map(|authority| authority.pem()).collect();
            let material = ClientAuthMaterial {
                authorities: pem.into_bytes(),
                revocations: (list(&root, revoked) + &list(&middle, &[])).into_bytes(),
                required: true,
                lenient: false,
            };
            let clients = ClientVerifier::new(&material, Arc::new(default_provider())).unwrap();
            assert_eq!(clients.root_hint_subjects().len(), authorities.len());
            clients.verify_chain(Some(&[client.der().clone()]))
        };
        assert_eq!(verdict(&[&root, &middle], &[]), ClientVerdict::Authorized);
        assert_eq!(verdict(&[&root, &middle], &[2]), ClientVerdict::Rejected("CERT_REVOKED"));
        // Configured alone, it is a trust anchor itself.
        assert_eq!(verdict(&[&middle], &[2]), ClientVerdict::Authorized);
        assert_eq!(
            verdict(&[&root], &[]),
            ClientVerdict::Rejected("UNABLE_TO_VERIFY_LEAF_SIGNATURE")
        );
    }
}

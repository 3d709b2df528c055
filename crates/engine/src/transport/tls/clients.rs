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
use webpki::EndEntityCert;

use super::ClientAuthMaterial;

/// Judges clients by authorities and their lists of what is revoked.
pub(super) struct ClientVerifier {
    judge: Arc<dyn ClientCertVerifier>,
    /// Authorities that others among them have issued: links of a chain, which may have been revoked, and not its end.
    links: Vec<CertificateDer<'static>>,
    /// The names of both, by which clients choose what to show.
    names: Vec<DistinguishedName>,
    required: bool,
    lenient: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientVerdict {
    /// ClientVerifier are not asked.
    NotRequested,
    Authorized,
    /// With the code that OpenSSL has for it.
    Rejected(&'static str),
}

impl ClientVerifier {
    pub fn new(
        material: &ClientAuthMaterial,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let unreadable =
            |error: &dyn fmt::Display| format!("an authority for clients cannot be read: {error}");
        let authorities = CertificateDer::pem_slice_iter(&material.authorities)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unreadable(&error))?;
        let names: Vec<_> = authorities.iter().filter_map(|one| Some(names_of(one)?.0)).collect();
        let is_link = |one: &CertificateDer<'_>| {
            names_of(one).is_some_and(|(own, issuer)| own != issuer && names.contains(&issuer))
        };
        // Two that have issued each other are an end both.
        let (links, ends): (Vec<_>, Vec<_>) = if authorities.iter().all(is_link) {
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
        let of_links = links.iter().filter_map(names_of);
        let of_links = of_links.map(|(own, _)| DistinguishedName::in_sequence(&own));
        let names = judge.root_hint_subjects().iter().cloned().chain(of_links).collect();
        Ok(Self { judge, links, names, required: material.required, lenient: material.lenient })
    }

    /// Of a client that a ticket has brought back, or that was let in whatever it showed: it was not looked at in the
    /// handshake. A ticket is older than the newest list of what is revoked, and perhaps than the wish for certificates.
    pub fn verify_chain(&self, chain: Option<&[CertificateDer<'_>]>) -> ClientVerdict {
        let Some((first, others)) = chain.and_then(|chain| chain.split_first()) else {
            return ClientVerdict::Rejected(MISSING);
        };
        match self.verify(first, others, UnixTime::now()) {
            Ok(_) => ClientVerdict::Authorized,
            Err(error) => ClientVerdict::Rejected(code_of(&error)),
        }
    }

    /// Whether a client is served of whom that has been found.
    pub fn admits(&self, verdict: ClientVerdict) -> bool {
        match verdict {
            ClientVerdict::Rejected(MISSING) => self.lenient || !self.required,
            ClientVerdict::Rejected(_) => self.lenient,
            ClientVerdict::NotRequested | ClientVerdict::Authorized => true,
        }
    }

    pub fn is_lenient(&self) -> bool {
        self.lenient
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.links.is_empty() {
            return self.judge.verify_client_cert(end_entity, intermediates, now);
        }
        let all: Vec<_> = intermediates.iter().chain(&self.links).cloned().collect();
        self.judge.verify_client_cert(end_entity, &all, now)
    }
}

/// Whose a certificate is, and who has issued it. One that cannot be read so is told of where it is trusted.
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
            // That the client has the certificate's key is seen to all the same.
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
    fn an_authority_that_another_has_issued_may_have_been_revoked() {
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
        // Alone it is trusted for itself.
        assert_eq!(verdict(&[&middle], &[2]), ClientVerdict::Authorized);
        assert_eq!(
            verdict(&[&root], &[]),
            ClientVerdict::Rejected("UNABLE_TO_VERIFY_LEAF_SIGNATURE")
        );
    }
}

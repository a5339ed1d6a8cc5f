//! The judgement of the server's certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::hash::Hash;
use rustls::crypto::ring;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme, SupportedCipherSuite};

use super::algorithm::KeyKind;
use super::certificate::{Certificate, digits};
use crate::sync::Mutex;

/// The certificates of a server that was refused.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The server's own, those that it sent with it, and those trusted ones that are an issuer of these.
    certificates: Vec<Certificate>,
    /// Whose certificate was revoked, if it is not the server's own.
    pub(super) revoked: Option<String>,
    /// They were accepted, and what the server signed with its key was not.
    pub(super) of_handshake: bool,
}

impl Chain {
    /// The server's own certificate.
    pub(super) fn leaf(&self) -> &Certificate {
        &self.certificates[0]
    }

    /// Whose certificate has this kind of signature.
    pub(super) fn signed_by(&self, algorithm: &[u8]) -> Option<&str> {
        let signed = |seen: &&Certificate| seen.signature == algorithm;
        self.certificates.iter().find(signed).map(|seen| &*seen.subject)
    }

    /// An issuer of one of them, with a key whose signatures cannot be verified.
    pub(super) fn weak_issuer(&self) -> Option<(&str, KeyKind)> {
        let is_issuer =
            |one: &Certificate| self.certificates.iter().any(|other| other.record.issuer == one.subject_der);
        self.certificates.iter().find_map(|one| {
            let kind = one.key_kind().filter(|kind| !kind.is_verifiable() && is_issuer(one))?;
            Some((&*one.subject, kind))
        })
    }
}

/// The certificates that were refused last: rustls passes on only the error, and the report is to name the
/// certificate. One loop drives all connections of a configuration, one after the other: what
/// the refusal left here belongs to the error that comes out of the same call.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Option<Chain>>);

impl Refused {
    fn put(&self, chain: Chain) {
        let chain = Some(chain).filter(|chain| !chain.certificates.is_empty());
        *self.0.lock() = chain;
    }

    pub(super) fn take(&self) -> Option<Chain> {
        self.0.lock().take()
    }

    /// What the server signed with the key of its certificate, judged by `verdict`.
    fn of_handshake<T>(&self, certificate: &[u8], verdict: Result<T, Error>) -> Result<T, Error> {
        verdict.inspect_err(|_| {
            let certificates = Certificate::look(certificate).into_iter().collect();
            self.put(Chain { certificates, revoked: None, of_handshake: true });
        })
    }
}

/// Chain, dates, name and revocation, by rustls; a certificate that is itself among the trusted ones; and pins.
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None`: nothing is named as trusted, and a pin alone tells who the server is.
    pub(super) chain: Option<Arc<dyn ServerCertVerifier>>,
    /// The public keys of which it must have one; none is any.
    pub(super) pins: Vec<[u8; 32]>,
    /// For `tls_insecure_skip_name`: a certificate for another name will do.
    pub(super) any_name: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// What the application named as trusted.
    pub(super) trusted: Vec<CertificateDer<'static>>,
    /// The same, of which a list says that they were revoked: not trusted any more.
    pub(super) withdrawn: Vec<CertificateDer<'static>>,
    pub(super) refused: Arc<Refused>,
}

impl Verifier {
    /// A self-signed certificate of a server is often given out as its own CA certificate. It is as
    /// trusted as a CA would be, but not one that has signed a server's certificate, which is what rustls
    /// looks for.
    fn is_trusted_itself(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Option<Result<ServerCertVerified, Error>> {
        if !self.trusted.iter().any(|trusted| trusted == certificate) {
            return None;
        }
        let seen = Certificate::look(certificate)?;
        let at = digits(now.as_secs());
        let verdict = if at > seen.not_after {
            Err(CertificateError::Expired.into())
        } else if at < seen.not_before {
            Err(CertificateError::NotValidYet.into())
        } else {
            ParsedCertificate::try_from(certificate).and_then(|parsed| verify_server_name(&parsed, name))
        };
        Some(verdict.map(|()| ServerCertVerified::assertion()))
    }
}

impl Verifier {
    /// An issuer of these that was trusted and was revoked.
    fn withdrawn_issuer<'a>(&self, sent: impl Iterator<Item = &'a CertificateDer<'a>>) -> Option<String> {
        let gone: Vec<_> = self.withdrawn.iter().filter_map(|der| Certificate::look(der)).collect();
        let issuers = sent.filter_map(|der| Certificate::look(der)).map(|seen| seen.record.issuer);
        issuers.into_iter().find_map(|issuer| {
            gone.iter().find(|gone| gone.subject_der == issuer).map(|gone| gone.subject.clone())
        })
    }

    /// rustls looks at the name last (`WebPkiServerVerifier`): a certificate with only the wrong name is right in all else.
    fn pardons(&self, error: &Error) -> bool {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let wrong_name =
            matches!(error, Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }));
        self.any_name && wrong_name
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> Result<ServerCertVerified, Error> {
        let pinned = self.pins.is_empty()
            || Certificate::look(certificate).is_some_and(|seen| self.pins.contains(&sha256(&seen.key)));
        if pinned {
            Ok(ServerCertVerified::assertion())
        } else {
            // The only one that nothing else here makes.
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(hash().hash(bytes).as_ref());
    sum
}

/// SHA-256, by way of a suite that uses it: rustls does not show it otherwise.
pub(super) fn hash() -> &'static dyn Hash {
    match ring::cipher_suite::TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut revoked = None;
        let verdict = match (self.is_trusted_itself(end_entity, server_name, now), &self.chain) {
            _ if self.withdrawn.iter().any(|gone| gone == end_entity) => {
                Err(CertificateError::Revoked.into())
            }
            (Some(verdict), _) => verdict,
            (None, Some(chain)) => {
                let verdict =
                    chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
                // An issuer that is not trusted any more is no unknown one.
                match verdict {
                    Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                        revoked = self.withdrawn_issuer([end_entity].into_iter().chain(intermediates));
                        Err(match revoked {
                            Some(_) => CertificateError::Revoked.into(),
                            None => CertificateError::UnknownIssuer.into(),
                        })
                    }
                    other => other,
                }
            }
            // As for the keys of DANE (RFC 7671, section 5.1): who has the key is the server, whatever name and
            // dates the certificate around it has.
            (None, None) => Ok(ServerCertVerified::assertion()),
        };
        let verdict = match verdict {
            Err(error) if self.pardons(&error) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        };
        let verdict = verdict.and_then(|_| self.is_pinned(end_entity));
        verdict.inspect_err(|_| {
            let sent = [end_entity].into_iter().chain(intermediates);
            let mut certificates: Vec<_> = sent.filter_map(|der| Certificate::look(der)).collect();
            let trusted = self.trusted.iter().filter_map(|der| Certificate::look(der));
            let above =
                trusted.filter(|one| certificates.iter().any(|sent| sent.record.issuer == one.subject_der));
            let above: Vec<_> = above.collect();
            certificates.extend(above);
            self.refused.put(Chain { certificates, revoked, of_handshake: false });
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = verify_tls12_signature(message, certificate, signature, &self.algorithms);
        self.refused.of_handshake(certificate, verdict)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = verify_tls13_signature(message, certificate, signature, &self.algorithms);
        self.refused.of_handshake(certificate, verdict)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// For `tls_insecure_skip_verification`: any certificate will do. That the server has its key is still
/// checked.
#[derive(Debug)]
pub(super) struct Anyone {
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) refused: Arc<Refused>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = verify_tls12_signature(message, certificate, signature, &self.algorithms);
        self.refused.of_handshake(certificate, verdict)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = verify_tls13_signature(message, certificate, signature, &self.algorithms);
        self.refused.of_handshake(certificate, verdict)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

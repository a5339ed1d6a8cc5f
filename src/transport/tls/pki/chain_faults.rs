//! Sentences for certificates and lists of revoked ones that cannot be used, of webpki's and rustls's lists of reasons.
//! tests/tls/sentences.rs compares the lists with theirs.

use rustls::CertRevocationListError;
use webpki::Error;

use super::algorithm::signature;

/// What is wrong with a certificate of a chain, and what helps: goes on after "the certificate of … cannot be accepted:".
pub(super) fn certificate(error: &Error) -> &'static str {
    match error {
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => {
            "it, or one above it, is not correct X.509; have it issued again"
        }
        Error::CaUsedAsEndEntity => {
            "it is one of a CA, used by a server; have the CA issue one for the server (basicConstraints CA:FALSE)"
        }
        Error::EndEntityUsedAsCa => {
            "its issuer's certificate is not one of a CA; issue that again with basicConstraints CA:TRUE"
        }
        Error::CertDistrusted => "it is one that nobody should trust any more",
        Error::EmptyEkuExtension => {
            "its extendedKeyUsage is empty; issue it again with serverAuth, or without it"
        }
        Error::ExtensionValueInvalid | Error::MalformedExtensions => {
            "an extension of it, or of one above it, is not correct; have it issued again"
        }
        Error::InvalidCertValidity => "it ends before it begins; have it issued again",
        Error::InvalidSerialNumber => "its serial number is negative or too long; have it issued again",
        Error::InvalidNetworkMaskConstraint | Error::MalformedNameConstraint => {
            "the nameConstraints of a CA above it are not correct; issue that CA's certificate again"
        }
        Error::NameConstraintViolation => {
            "its names are outside of what the nameConstraints of a CA above it allow; use another name or CA"
        }
        Error::MalformedDnsIdentifier => {
            "a name in its subjectAltName is no host name; have it issued again with correct ones"
        }
        Error::PathLenConstraintViolated => {
            "there are more CAs above it than the pathlen of one of them allows; issue it by a CA nearer to the top"
        }
        Error::MaximumNameConstraintComparisonsExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded
        | Error::MaximumSignatureChecksExceeded => {
            "its chain is too long or too tangled; let the server send only the certificates from its own to the CA"
        }
        Error::SignatureAlgorithmMismatch => {
            "it names two different algorithms for one signature; have it issued again"
        }
        Error::UnsupportedCertVersion => {
            "it, or one above it, is of an old version of X.509 without names; it must be version 3: have it issued again \
             with extensions (openssl x509 -req -extfile)"
        }
        Error::UnsupportedCriticalExtension => {
            "it, or one above it, has a critical extension that is not known here; have it issued without"
        }
        Error::UnsupportedNameType => {
            "the server's name is of a kind that no certificate has; set tls_server_name"
        }
        #[expect(deprecated, reason = "older versions of webpki report these")]
        Error::RequiredEkuNotFound | Error::RequiredEkuNotFoundContext(_) => {
            "its extendedKeyUsage does not have serverAuth; have it issued for a server"
        }
        #[expect(deprecated, reason = "older versions of webpki report these")]
        Error::UnsupportedSignatureAlgorithm
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKey
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a signature of its chain is of a kind that is not supported; have it issued again"
        }
        error => revocation(error),
    }
}

/// The same about the lists of revoked certificates with which it was compared, and whatever else there is.
fn revocation(error: &Error) -> &'static str {
    match error {
        #[expect(deprecated, reason = "older versions of webpki report these")]
        Error::UnsupportedCrlSignatureAlgorithm
        | Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKey
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            "a list of revoked certificates is signed in a way that is not supported"
        }
        Error::InvalidCrlNumber
        | Error::InvalidCrlSignatureForPublicKey
        | Error::IssuerNotCrlSigner
        | Error::UnsupportedCrlIssuingDistributionPoint
        | Error::UnsupportedCrlVersion
        | Error::UnsupportedDeltaCrl
        | Error::UnsupportedIndirectCrl
        | Error::UnsupportedRevocationReason
        | Error::UnsupportedRevocationReasonsPartitioning => {
            "a list of revoked certificates in tls_crl cannot be used; have it made again"
        }
        // rustls gives these other names, under which they are told of.
        Error::CertExpired { .. }
        | Error::CertNotValidForName(_)
        | Error::CertNotValidYet { .. }
        | Error::CertRevoked
        | Error::CrlExpired { .. }
        | Error::InvalidSignatureForPublicKey
        | Error::UnknownIssuer
        | Error::UnknownRevocationStatus => "it does not fit into its chain",
        _ => "for a reason that is not known here; have it issued again",
    }
}

/// What is wrong with a list of revoked certificates, and what helps.
pub(super) fn list(error: &CertRevocationListError) -> String {
    use CertRevocationListError as E;
    let fixed = match error {
        E::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { signature_algorithm_id, .. } => {
            let (name, _) = signature(signature_algorithm_id);
            return format!(
                "it is signed by {name}, which is not supported with this key; have it signed with SHA-256"
            );
        }
        E::BadSignature => "it was not signed by the CA that it names as its issuer, but by another key",
        #[expect(deprecated, reason = "older versions of rustls report it")]
        E::UnsupportedSignatureAlgorithm => {
            "it is signed in a way that is not supported; have it signed with SHA-256"
        }
        E::InvalidCrlNumber => "its number is not correct; have it made again",
        E::InvalidRevokedCertSerialNumber => "a serial number on it is not correct; have it made again",
        E::IssuerInvalidForCrl => {
            "its issuer's certificate does not allow to sign lists; issue that with keyUsage cRLSign"
        }
        E::ParseError => "it is not a correct list of revoked certificates (X509 CRL), or damaged",
        E::UnsupportedCrlVersion => {
            "it is of version 1; have it made as version 2 (openssl ca: crl_extensions with authorityKeyIdentifier)"
        }
        E::UnsupportedCriticalExtension => "it has a critical extension that is not known here",
        E::UnsupportedDeltaCrl => "it has only the changes to another list; use the full one",
        E::UnsupportedIndirectCrl => "it is about certificates of other CAs (indirect); use one of each CA",
        E::UnsupportedRevocationReason => "it has an unknown reason on it; have it made again",
        E::Other(_) => "for a reason that is not known here; have it made again",
        _ => "for a reason that is not known here",
    };
    fixed.to_owned()
}

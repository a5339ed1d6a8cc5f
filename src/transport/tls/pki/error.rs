//! Sentences for what rustls reports.

use rustls::{AlertDescription as Alert, CertificateError, Error, PeerIncompatible};

use super::Config;
use super::algorithm::{KeyKind, THEIR_KEYS, signature};
use super::certificate::{Certificate, digits, readable};
use super::verify::{Chain, sha256};
use super::{chain_faults, config_error, describe, peer_faults, signer};
use crate::error::{Code, Phase};
use crate::transport::LayerError;

/// Where a connection stands when an error comes.
pub(super) struct At<'a> {
    pub(super) host: &'a str,
    pub(super) config: &'a Config,
    pub(super) handshaking: bool,
    /// The server's certificate was accepted.
    pub(super) server_proved: bool,
}

/// What helps where a server does not follow the protocol.
const PEER: &str = "update its TLS library, or look for a proxy in between";

pub(super) fn explain(error: &Error, at: &At<'_>) -> LayerError {
    let mut alert = None;
    let (code, text) = match error {
        Error::AlertReceived(received) => {
            alert = Some(u8::from(*received));
            alerted(*received, at)
        }
        Error::InvalidCertificate(verdict) => judged(verdict, at),
        Error::InvalidMessage(_) if at.handshaking && !at.server_proved => (
            Code::TlsNotSpoken,
            "what the server answered is not TLS: it does not speak TLS on this port".into(),
        ),
        Error::PeerIncompatible(what) => incompatible(what, at),
        Error::Other(_) if signer::refused(error).is_some() => {
            (Code::TlsBadKey, signer::refused(error).unwrap_or_default())
        }
        Error::NoApplicationProtocol => (
            Code::TlsFailed,
            "the server speaks none of tls_alpn: set it to what the server has, or not at all".into(),
        ),
        Error::InvalidCertRevocationList(why) => (
            Code::TlsBadCertificate,
            format!("a list of tls_crl cannot be used: {}", chain_faults::list(why)),
        ),
        _ => {
            let text = match error {
                Error::PeerMisbehaved(what) => {
                    let what = peer_faults::misbehaved(what);
                    format!("the server violated the TLS protocol: {what}; {PEER}")
                }
                Error::InvalidMessage(what) => {
                    format!("a message of the server is damaged: {}; {PEER}", peer_faults::invalid(*what))
                }
                other => peer_faults::other(other).to_owned(),
            };
            match at.handshaking {
                true => (Code::TlsFailed, format!("the handshake failed: {text}")),
                false => (Code::Protocol, text),
            }
        }
    };
    LayerError { code, phase: Phase::Tls, text, alert }
}

/// The handshake did not even begin.
pub(super) fn not_begun(error: &Error) -> LayerError {
    config_error(Code::TlsFailed, format!("the handshake could not begin: {}", peer_faults::other(error)))
}

/// The server ended it, with a number as the reason.
fn alerted(alert: Alert, at: &At<'_>) -> (Code, String) {
    let name = describe(alert.into());
    let ours = at.config.has_certificate;
    let refused = |why: &str| {
        (Code::TlsClientCertificate, format!("the server refused this client's certificate: {why} ({name})"))
    };
    match alert {
        Alert::ProtocolVersion => {
            let offered = if at.config.only_tls13 { "TLS 1.3" } else { "TLS 1.2 and 1.3" };
            (
                Code::TlsVersion,
                format!("the server supports no TLS version that is offered, {offered} ({name})"),
            )
        }
        Alert::CertificateRequired => (
            Code::TlsClientCertificate,
            format!("the server wants a client certificate: set ssl_cert and ssl_key ({name})"),
        ),
        // An alert about a certificate can mean ours only when the server's own was accepted and ours was sent.
        Alert::HandshakeFailure | Alert::BadCertificate | Alert::CertificateUnknown
            if at.server_proved && !ours =>
        {
            let text = format!("the server ended the handshake: it may want a client certificate ({name})");
            (Code::TlsClientCertificate, text)
        }
        Alert::HandshakeFailure if at.server_proved => refused("it gave no reason"),
        Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            let text = match at.config.chose_suites {
                true => format!("the server supports none of ssl_cipher_suites ({name})"),
                false => format!(
                    "the server supports no cipher suite or key exchange that is offered, or its certificate's key may be \
                     of another kind than {THEIR_KEYS} ({name})"
                ),
            };
            (Code::TlsCipher, text)
        }
        Alert::UnknownCA => refused("it does not know its issuer"),
        Alert::CertificateExpired => refused("it has expired"),
        Alert::CertificateRevoked => refused("it was revoked"),
        Alert::BadCertificate | Alert::CertificateUnknown => refused("it cannot be accepted"),
        Alert::UnsupportedCertificate => refused("its kind is not supported"),
        Alert::AccessDenied => refused("it may not connect"),
        Alert::UnrecognisedName => {
            (Code::TlsFailed, format!("the server does not serve the name {} ({name})", at.host))
        }
        Alert::NoApplicationProtocol => {
            (Code::TlsFailed, format!("the server speaks none of tls_alpn ({name})"))
        }
        _ if at.handshaking => (Code::TlsFailed, format!("the server ended the handshake ({name})")),
        _ => (Code::ClosedByServer, format!("the server ended the connection ({name})")),
    }
}

fn incompatible(what: &PeerIncompatible, at: &At<'_>) -> (Code, String) {
    match what {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            let asked = if at.config.only_tls13 { "1.3, as tls_min_version says" } else { "1.2 or 1.3" };
            (Code::TlsVersion, format!("the server does not speak TLS {asked}"))
        }
        _ => {
            let what = peer_faults::incompatible(what);
            (Code::TlsFailed, format!("the server and this client have nothing in common: {what}"))
        }
    }
}

/// The server's certificate was not accepted.
fn judged(verdict: &CertificateError, at: &At<'_>) -> (Code, String) {
    let Some(refused) = at.config.refused.take() else {
        let text = "the server's certificate cannot be accepted, for a reason that is not known here";
        return (Code::TlsBadCertificate, text.into());
    };
    let seen = refused.leaf();
    let Certificate { subject, issuer, .. } = seen;
    let trust = &at.config.trust;
    if refused.of_handshake {
        return unproved(seen);
    }
    match verdict {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = match verdict {
                CertificateError::NotValidForNameContext { presented, .. } => presented.as_slice(),
                _ => &[],
            };
            (Code::TlsWrongName, wrong_name(names, seen, at.host))
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => dates(verdict, seen, at),
        _ if seen.self_signed && is_about_the_issuer(verdict) => (
            Code::TlsSelfSigned,
            format!("the certificate of {subject} is self-signed and not among {trust}"),
        ),
        CertificateError::UnknownIssuer => {
            let text = format!("the issuer {issuer} of the certificate of {subject} is not among {trust}");
            (Code::TlsUntrusted, text)
        }
        CertificateError::BadSignature => match refused.weak_issuer() {
            Some((name, kind)) => (
                Code::TlsBadCertificate,
                format!(
                    "the certificate of {subject} cannot be accepted: {name}, which signed it or one above it, has a key \
                     {kind}; supported are {THEIR_KEYS}: make that CA anew"
                ),
            ),
            // The usual reason: a CA that was made anew under its old name.
            None => (
                Code::TlsUntrusted,
                format!(
                    "the certificate of {subject} was not signed by the {issuer} that is among {trust}, but by another key"
                ),
            ),
        },
        CertificateError::Revoked => {
            let text = match &refused.revoked {
                None => format!("the certificate of {subject} was revoked by {issuer}"),
                Some(above) => format!(
                    "the certificate of {above}, an issuer of that of {subject}, was revoked: it is on a list of tls_crl"
                ),
            };
            (Code::TlsRevoked, text)
        }
        CertificateError::UnknownRevocationStatus => {
            let text = format!(
                "no list of revoked certificates covers the certificate of {subject}: one of its issuer {issuer}, or of \
                 an issuer above, is missing in tls_crl"
            );
            (Code::TlsBadCertificate, text)
        }
        CertificateError::ApplicationVerificationFailure => {
            let text = format!("the public key of {subject} is not a pinned one; its pin is {}", pin(seen));
            (Code::TlsPin, text)
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            let text = format!(
                "the certificate of {subject} is not one for a server: its extendedKeyUsage lacks serverAuth; have it \
                 issued again"
            );
            (Code::TlsBadCertificate, text)
        }
        _ => {
            let why = unacceptable(verdict, &refused);
            (Code::TlsBadCertificate, format!("the certificate of {subject} cannot be accepted: {why}"))
        }
    }
}

/// The certificate was accepted, and the handshake was not signed with its key.
fn unproved(seen: &Certificate) -> (Code, String) {
    let Certificate { subject, .. } = seen;
    let text = match seen.key_kind().filter(|kind| !kind.is_verifiable()) {
        Some(kind) => format!(
            "the certificate of {subject} has a key {kind}, with which the server cannot prove itself here; supported are \
             {THEIR_KEYS}: have a certificate issued for another key"
        ),
        None => format!(
            "the server does not prove that it has the key of the certificate of {subject}: its key file belongs to \
             another certificate, or somebody else answers"
        ),
    };
    (Code::TlsBadCertificate, text)
}

/// Not today's.
fn dates(verdict: &CertificateError, seen: &Certificate, at: &At<'_>) -> (Code, String) {
    let subject = &seen.subject;
    let (code, text) = match verdict {
        // Of an issuer's certificate it is another date than that of the server's.
        CertificateError::ExpiredContext { not_after, .. }
            if digits(not_after.as_secs()) != seen.not_after =>
        {
            let date = readable(&digits(not_after.as_secs()));
            (Code::TlsExpired, format!("a certificate in the chain of {subject} expired on {date}"))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let from = readable(&digits(not_before.as_secs()));
            (Code::TlsNotYetValid, format!("the certificate of {subject} is not valid before {from}"))
        }
        CertificateError::NotValidYet => {
            let from = readable(&seen.not_before);
            (Code::TlsNotYetValid, format!("the certificate of {subject} is not valid before {from}"))
        }
        _ => {
            let date = readable(&seen.not_after);
            (Code::TlsExpired, format!("the certificate of {subject} expired on {date}"))
        }
    };
    (code, text + &clock(at))
}

/// What is wrong with a certificate otherwise, and what helps.
fn unacceptable(verdict: &CertificateError, refused: &Chain) -> String {
    let signed = |algorithm: &[u8]| {
        let (name, is_old) = signature(algorithm);
        let whose = match refused.signed_by(algorithm) {
            Some(subject) => format!("the certificate of {subject}"),
            None => "it, or one above it,".into(),
        };
        match is_old {
            true => {
                format!("{whose} is signed by {name}, which is broken; have it issued again with SHA-256")
            }
            false => format!(
                "{whose} is signed by {name} with a key that is not supported; supported are {THEIR_KEYS}, with SHA-256 \
                 or SHA-384: have it issued by such a CA"
            ),
        }
    };
    match verdict {
        CertificateError::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. } => {
            signed(signature_algorithm_id)
        }
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id,
            public_key_algorithm_id,
        } => {
            let kind = KeyKind::of_algorithm(public_key_algorithm_id);
            if kind.is_verifiable() { signed(signature_algorithm_id) } else { key_of_issuer(kind) }
        }
        #[expect(deprecated, reason = "older versions of rustls report it")]
        CertificateError::UnsupportedSignatureAlgorithm => {
            "a signature of its chain is of a kind that is not supported; have it issued again with SHA-256"
                .into()
        }
        CertificateError::BadEncoding => {
            "it, or one above it, is not correct X.509; have it issued again".into()
        }
        CertificateError::UnhandledCriticalExtension => {
            "it, or one above it, has a critical extension that is not known here; have it issued without"
                .into()
        }
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            "the list of revoked certificates in tls_crl is out of date; fetch the new one".into()
        }
        CertificateError::InvalidOcspResponse => {
            "what the server sent of its OCSP responder is wrong; look at its OCSP stapling".into()
        }
        CertificateError::Other(why) => match why.0.downcast_ref::<webpki::Error>() {
            Some(error) => chain_faults::certificate(error).to_owned(),
            None => "for a reason that is not known here".into(),
        },
        _ => "for a reason that is not known here; have it issued again".into(),
    }
}

fn key_of_issuer(kind: KeyKind) -> String {
    format!("a CA above it has a key {kind}; supported are {THEIR_KEYS}: have it issued by such a CA")
}

/// As it is written into `tls_pins`.
fn pin(seen: &Certificate) -> String {
    sha256(&seen.key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// webpki has an own error for a CA's certificate that a server uses itself, as `openssl req -x509` makes them.
fn is_about_the_issuer(verdict: &CertificateError) -> bool {
    match verdict {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(why) => {
            why.0.downcast_ref::<webpki::Error>() == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

fn wrong_name(names: &[String], seen: &Certificate, host: &str) -> String {
    // As webpki's names print: `DnsName("a.example")`, `IpAddress(127.0.0.1)`.
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    if names.is_empty() {
        return format!(
            "the certificate of {} names no host (subjectAltName), so it is not for {host}: have it issued again with one \
             (subjectAltName = DNS:NAME or IP:ADDRESS), or, if this is the server's key, pin it by tls_pins = {}",
            seen.subject,
            pin(seen)
        );
    }
    let mut list: Vec<String> = names.iter().take(8).map(bare).collect();
    if names.len() > list.len() {
        list.push("others".into());
    }
    format!("the certificate is for {}, not {host}", list.join(" and "))
}

/// A clock that was never set is the usual reason on a device.
fn clock(at: &At<'_>) -> String {
    let now = (at.config.clock)();
    let now = if now.is_finite() && now > 0.0 { now as u64 } else { 0 };
    format!("; the clock here says {}", readable(&digits(now)))
}

//! Sentences for what rustls reports.

use rustls::{AlertDescription as Alert, CertificateError, Error, PeerIncompatible};

use super::Config;
use super::certificate::{Certificate, digits, readable};
use super::verify::sha256;
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
            format!("what the server answered is not TLS: it does not speak TLS on this port ({error})"),
        ),
        Error::PeerIncompatible(what) => incompatible(what, at),
        Error::NoApplicationProtocol => (Code::TlsFailed, "the server speaks none of tls_alpn".into()),
        _ if at.handshaking => (Code::TlsFailed, format!("the handshake failed: {error}")),
        _ => (Code::Protocol, format!("the server violated the TLS protocol: {error}")),
    };
    LayerError { code, phase: Phase::Tls, text, alert }
}

/// The server ended it, with a number as the reason.
fn alerted(alert: Alert, at: &At<'_>) -> (Code, String) {
    let name = alert_name(alert);
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
                false => {
                    format!("the server supports no cipher suite or key exchange that is offered ({name})")
                }
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

fn alert_name(alert: Alert) -> String {
    format!("TLS alert {} {alert:?}", u8::from(alert))
}

fn incompatible(what: &PeerIncompatible, at: &At<'_>) -> (Code, String) {
    match what {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            let asked = if at.config.only_tls13 { "1.3, as tls_min_version says" } else { "1.2 or 1.3" };
            (Code::TlsVersion, format!("the server does not speak TLS {asked}"))
        }
        _ => (Code::TlsFailed, format!("the server and this client have nothing in common: {what:?}")),
    }
}

/// The server's certificate was not accepted.
fn judged(verdict: &CertificateError, at: &At<'_>) -> (Code, String) {
    let Some(seen) = at.config.refused.take() else {
        // The certificate itself was accepted: it is the signature of the handshake.
        let text = format!("the server does not prove that it has the key of its certificate ({verdict})");
        return (Code::TlsBadCertificate, text);
    };
    let Certificate { subject, issuer, .. } = &seen;
    let trust = &at.config.trust;
    match verdict {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = match verdict {
                CertificateError::NotValidForNameContext { presented, .. } => presented.as_slice(),
                _ => &[],
            };
            (Code::TlsWrongName, wrong_name(names, &seen, at.host))
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let text = match verdict {
                // Of an issuer's certificate it is another date than that of the server's.
                CertificateError::ExpiredContext { not_after, .. } => {
                    let date = readable(&digits(not_after.as_secs()));
                    if digits(not_after.as_secs()) == seen.not_after {
                        format!("the certificate of {subject} expired on {date}")
                    } else {
                        format!("a certificate in the chain of {subject} expired on {date}")
                    }
                }
                _ => format!("the certificate of {subject} expired on {}", readable(&seen.not_after)),
            };
            (Code::TlsExpired, text + &clock(at))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let from = match verdict {
                CertificateError::NotValidYetContext { not_before, .. } => digits(not_before.as_secs()),
                _ => seen.not_before.clone(),
            };
            let text = format!("the certificate of {subject} is not valid before {}", readable(&from));
            (Code::TlsNotYetValid, text + &clock(at))
        }
        _ if seen.self_signed && is_about_the_issuer(verdict) => (
            Code::TlsSelfSigned,
            format!("the certificate of {subject} is self-signed and not among {trust}"),
        ),
        CertificateError::UnknownIssuer => {
            let text = format!("the issuer {issuer} of the certificate of {subject} is not among {trust}");
            (Code::TlsUntrusted, text)
        }
        CertificateError::BadSignature => {
            // The usual reason: a CA that was made anew under its old name.
            let text = format!(
                "the certificate of {subject} was not signed by the {issuer} that is among {trust}, but by another key"
            );
            (Code::TlsUntrusted, text)
        }
        CertificateError::Revoked => {
            (Code::TlsRevoked, format!("the certificate of {subject} was revoked by {issuer}"))
        }
        CertificateError::UnknownRevocationStatus => {
            let text = format!(
                "no list of revoked certificates covers the certificate of {subject}: one of its issuer {issuer}, or of \
                 an issuer above, is missing in tls_crl"
            );
            (Code::TlsBadCertificate, text)
        }
        CertificateError::ApplicationVerificationFailure => {
            let pin: String = sha256(&seen.key).iter().map(|byte| format!("{byte:02x}")).collect();
            (Code::TlsPin, format!("the public key of {subject} is not a pinned one; its pin is {pin}"))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            (Code::TlsBadCertificate, format!("the certificate of {subject} is not one for a server"))
        }
        CertificateError::Other(why) if format!("{why:?}").contains("UnsupportedCertVersion") => {
            let text = format!(
                "the certificate of {subject} is of an old version of X.509 without names; it must be version 3"
            );
            (Code::TlsBadCertificate, text)
        }
        _ => (Code::TlsBadCertificate, format!("the certificate of {subject} cannot be accepted: {verdict}")),
    }
}

/// webpki has an own error for a CA's certificate that a server uses itself, as `openssl req -x509` makes them.
fn is_about_the_issuer(verdict: &CertificateError) -> bool {
    match verdict {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(why) => format!("{why:?}").contains("CaUsedAsEndEntity"),
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
            "the certificate of {} names no host (subjectAltName), so it is not for {host}",
            seen.subject
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

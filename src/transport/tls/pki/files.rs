//! Certificates and keys, from files and from memory, PEM or DER.
//!
//! No error quotes what was read, nor a name of a file that may be something else by mistake.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::config_error;
use super::der::{SEQUENCE, first, whole};
use super::pem::{self, Damage, Kind, Section};
use crate::error::Code;
use crate::transport::LayerError;
use crate::transport::tls_settings::Source;

/// No bundle of certificates is as large: something else was named by mistake.
const MAX_FILE: u64 = 16 << 20;
/// The longest name of a file (PATH_MAX is larger, and nobody writes that).
const MAX_NAME: usize = 255;

/// What was read, and what to call it.
pub(super) struct Bytes {
    pub(super) name: String,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Reads a source whole. Its memory is wiped when it is dropped: it may hold a key.
pub(super) fn read(field: &str, source: Source<'_>) -> Result<Bytes, LayerError> {
    match source {
        Source::Memory(bytes, name) => {
            Ok(Bytes { name: name.to_owned(), bytes: Zeroizing::new(bytes.to_vec()) })
        }
        Source::File(path) => match read_file(path) {
            Ok(bytes) => Ok(Bytes { name: path.to_owned(), bytes }),
            Err(why) => Err(config_error(Code::TlsBadFile, unreadable(field, path, &why))),
        },
    }
}

pub(super) fn read_file(path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = |error: std::io::Error| error.to_string();
    // Asked before it is opened: to open a named pipe would block.
    let about = std::fs::metadata(path).map_err(text)?;
    if !about.is_file() {
        return Err("it is not a file".into());
    }
    if about.len() > MAX_FILE {
        return Err("it is too large".into());
    }
    // One byte more than it should have, so that the end is seen without growing: a vector that grows
    // leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(about.len() as usize + 1));
    File::open(path).and_then(|file| file.take(about.len()).read_to_end(&mut bytes)).map_err(text)?;
    Ok(bytes)
}

/// What to say of a file that cannot be read. Its "name" may be the key itself, pasted where a name belongs.
fn unreadable(field: &str, path: &str, why: &str) -> String {
    if path.contains("-----") || path.contains('\n') || path.len() > MAX_NAME {
        let memory = match field {
            "ssl_ca_cert" => "tls_ca",
            "ssl_cert" => "tls_cert",
            "ssl_key" => "tls_key",
            _ => "tls_crl",
        };
        return format!(
            "{field} is not the name of a file: what is in memory goes into {memory} of struct mgos_mqtt_options"
        );
    }
    if Path::new(path).exists() || has_an_ending(path) {
        return format!("{field}: {path:?} cannot be read: {why}");
    }
    let folder = Path::new(path).parent().filter(|folder| folder.is_dir());
    let place = folder.map(|folder| format!(" in {folder:?}")).unwrap_or_default();
    format!(
        "{field}: the file{place} cannot be read: {why} (its name is not shown, as it has no ending such as .pem and \
         may not be a name)"
    )
}

/// Whether it ends as names of such files do: PEM, Base64 and hexadecimal digits have no dot.
fn has_an_ending(path: &str) -> bool {
    const ENDINGS: [&str; 13] =
        ["pem", "key", "crt", "cer", "cert", "der", "crl", "ca", "p8", "pk8", "p12", "pfx", "txt"];
    let ending = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
    !path.contains(char::is_control)
        && ending.is_some_and(|ending| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

/// Says what is wrong with a source.
fn bad(field: &str, from: &Bytes, why: &str) -> LayerError {
    config_error(Code::TlsBadFile, format!("{field}: {:?} {why}", from.name))
}

/// The same of one section.
fn bad_section(field: &str, from: &Bytes, section: &Section, why: &str) -> LayerError {
    let Section { line, label, .. } = section;
    bad(field, from, &format!("cannot be used: line {line}: the {label} {why}"))
}

fn sections(field: &str, from: &Bytes) -> Result<Vec<Section>, LayerError> {
    pem::sections(&from.bytes)
        .map_err(|Damage { line, what }| bad(field, from, &format!("is damaged PEM: line {line}: {what}")))
}

/// What to say where neither PEM nor DER was found.
fn neither(field: &str, from: &Bytes, what: &str) -> LayerError {
    match from.bytes[..] {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            bad(field, from, "is written in UTF-16: it must be stored as ASCII or UTF-8")
        }
        _ => bad(field, from, &format!("is neither PEM nor {what} in DER")),
    }
}

/// What is to be done with a section that is not what a source is read for.
fn misplaced(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        // A key may stand beside its certificate, and a certificate beside its key; parameters repeat what is in the key.
        Kind::Certificate | Kind::Parameters => return None,
        kind if kind.is_private_key() => return None,
        Kind::TrustedCertificate => {
            "is in OpenSSL's own form: convert it by openssl x509 -in FILE -clrtrust -out FILE"
        }
        Kind::RevocationList => "has no place here: it goes into tls_crl_file or tls_crl",
        Kind::Request => "is no certificate, but what a CA makes one from",
        Kind::PublicKey => "is no certificate: to pin a key, see tls_pins",
        Kind::Container => {
            "is a container of certificates: unpack it by openssl pkcs7 -print_certs -in FILE -out FILE"
        }
        _ => "is not known here: remove it",
    })
}

/// All certificates in it; at least one. Keys beside them are left alone.
pub(super) fn certificates(field: &str, from: &Bytes) -> Result<Vec<CertificateDer<'static>>, LayerError> {
    let mut found = Vec::new();
    if pem::is_pem(&from.bytes) {
        for section in sections(field, from)? {
            if section.kind == Kind::Certificate {
                if whole(&section.der, SEQUENCE).is_none() || Certificate::look(&section.der).is_none() {
                    return Err(bad_section(field, from, &section, "has a damaged certificate in it"));
                }
                found.push(CertificateDer::from(section.der.to_vec()));
            } else if let Some(why) = misplaced(section.kind) {
                return Err(bad_section(field, from, &section, why));
            }
        }
        if found.is_empty() {
            return Err(bad(field, from, "has no certificate in it"));
        }
        return Ok(found);
    }
    // Files that were joined are several.
    let mut rest = &from.bytes[..];
    while let Some((one, after)) = first(rest).filter(|(one, _)| Certificate::look(one).is_some()) {
        found.push(CertificateDer::from(one.to_vec()));
        rest = after;
    }
    match (found.is_empty(), rest.is_empty()) {
        (false, true) => Ok(found),
        (false, false) => Err(bad(field, from, "has something behind its certificate that is none")),
        (true, _) => Err(neither(field, from, "a certificate")),
    }
}

/// The certificates of the system's list: what is not one of use is left out, so that it does not make the others useless.
pub(super) fn system_certificates(from: &Bytes) -> Result<Vec<CertificateDer<'static>>, LayerError> {
    let found = sections("the system's trusted certificates", from)?;
    let certificates = found.into_iter().filter(|section| section.kind == Kind::Certificate);
    Ok(certificates.map(|section| CertificateDer::from(section.der.to_vec())).collect())
}

/// All lists of revoked certificates in it; at least one.
pub(super) fn revocation_lists(
    field: &str,
    from: &Bytes,
) -> Result<Vec<CertificateRevocationListDer<'static>>, LayerError> {
    if !pem::is_pem(&from.bytes) {
        // Whether it is one is seen when it is used.
        return Ok(vec![CertificateRevocationListDer::from(from.bytes.to_vec())]);
    }
    let found = sections(field, from)?;
    if !found.iter().any(|section| section.kind == Kind::RevocationList) {
        return Err(bad(field, from, "has no list of revoked certificates (X509 CRL) in it"));
    }
    if let Some(other) = found.iter().find(|section| section.kind != Kind::RevocationList) {
        return Err(bad_section(field, from, other, "is no list of revoked certificates: remove it"));
    }
    Ok(found.into_iter().map(|section| CertificateRevocationListDer::from(section.der.to_vec())).collect())
}

/// The private key in it. `None` if there is no key at all.
pub(super) fn key(field: &str, from: &Bytes) -> Result<Option<Section>, LayerError> {
    if !pem::is_pem(&from.bytes) {
        if whole(&from.bytes, SEQUENCE).is_none() {
            return Err(neither(field, from, "a private key"));
        }
        // Which of the forms it is, its content tells.
        let der = from.bytes.clone();
        return Ok(Some(Section { kind: Kind::Unknown, label: "key", line: 1, der, encrypted: None }));
    }
    let mut key: Option<Section> = None;
    for section in sections(field, from)? {
        if !section.kind.is_private_key() {
            match misplaced(section.kind) {
                Some(why) => return Err(bad_section(field, from, &section, why)),
                None => continue,
            }
        }
        if let Some(first) = &key {
            let why = format!("is a second private key, after that of line {}: leave only one", first.line);
            return Err(bad_section(field, from, &section, &why));
        }
        key = Some(section);
    }
    Ok(key)
}

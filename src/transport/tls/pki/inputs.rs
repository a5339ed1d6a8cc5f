//! The files and texts that a configuration is made of, and whether they are still the same.
//!
//! A reconnect makes its configuration anew only if something in it has changed. For a file, its stamp (size, times, inode)
//! decides, so that a slow flash is not read at each attempt.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::config_error;
use super::files::{self, Bytes};
use super::verify::{self, sha256};
use crate::error::Code;
use crate::sync::Mutex;
use crate::transport::LayerError;
use crate::transport::tls_settings::{Source, TlsSettings};

/// Where systems keep the certificates that they trust, all in one file: Debian, Red Hat (two), SUSE, Alpine and the
/// BSDs, Android's Termux, macOS. The environment can name other places for other programs; a library
/// does not read it.
const SYSTEM_BUNDLES: [&str; 7] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/data/data/com.termux/files/usr/etc/tls/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// How many files are remembered; those of a few connections with all their servers.
const REMEMBERED: usize = 64;

/// A SHA-256.
type Sum = [u8; 32];

/// Tells configurations apart without keeping keys in memory.
pub(super) type Fingerprint = Sum;

/// What a configuration is made of: where it is, or what is in it.
pub(super) struct Parts<T> {
    pub(super) trusted: Vec<T>,
    pub(super) revoked: Vec<T>,
    pub(super) system: Option<T>,
    pub(super) certificate: Option<T>,
    pub(super) key: Option<T>,
}

impl<T> Parts<T> {
    /// The same with something else in each place; `make` is told which field of a configuration it is.
    fn map<U, E>(&self, mut make: impl FnMut(&'static str, &T) -> Result<U, E>) -> Result<Parts<U>, E> {
        let mut one = |field, part: &Option<T>| part.as_ref().map(|part| make(field, part)).transpose();
        let system = one("the system's trusted certificates", &self.system)?;
        let (certificate, key) = (one("ssl_cert", &self.certificate)?, one("ssl_key", &self.key)?);
        let mut all = |field, parts: &[T]| -> Result<Vec<U>, E> {
            parts.iter().map(|part| make(field, part)).collect()
        };
        let (trusted, revoked) = (all("ssl_ca_cert", &self.trusted)?, all("tls_crl", &self.revoked)?);
        Ok(Parts { trusted, revoked, system, certificate, key })
    }
}

/// Where everything is.
pub(super) fn sources<'a>(settings: &TlsSettings<'a>) -> Result<Parts<Source<'a>>, LayerError> {
    let unnamed = settings.trusted.is_empty() && settings.pins.is_empty();
    let system = match !settings.insecure_skip_verification && (settings.system_roots || unnamed) {
        false => None,
        true => Some(Source::File(
            SYSTEM_BUNDLES.into_iter().find(|path| Path::new(path).is_file()).ok_or_else(|| {
                let text = "no list of trusted certificates was found on this system; set ssl_ca_cert";
                config_error(Code::TlsBadFile, text.into())
            })?,
        )),
    };
    Ok(Parts {
        trusted: settings.trusted.clone(),
        revoked: settings.revoked.clone(),
        system,
        certificate: settings.certificate,
        key: settings.key,
    })
}

/// Of everything that makes two configurations different.
pub(super) fn fingerprint(settings: &TlsSettings<'_>, parts: &Parts<Sum>) -> Fingerprint {
    // Each by its name, so that a new one is not forgotten here.
    let TlsSettings {
        trusted,
        system_roots: _,
        pins,
        revoked,
        certificate,
        key,
        signer,
        key_password,
        psk: _,
        cipher_suites,
        alpn,
        only_tls13,
        post_quantum,
        insecure_skip_verification,
        insecure_skip_name,
        clock,
    } = settings;
    let mut digest = verify::hash().start();
    let mut add = |bytes: &[u8]| {
        digest.update(&(bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    // Their names, and those of files, stand in the texts of errors.
    let name = |source: &Source<'_>| match *source {
        Source::File(name) | Source::Memory(_, name) => name.to_owned(),
    };
    for (sources, sums) in [(trusted, &parts.trusted), (revoked, &parts.revoked)] {
        add(&sources.len().to_le_bytes());
        for (source, sum) in sources.iter().zip(sums) {
            add(name(source).as_bytes());
            add(sum);
        }
    }
    for (source, sum) in [(&None, &parts.system), (certificate, &parts.certificate), (key, &parts.key)] {
        add(source.as_ref().map(name).unwrap_or_default().as_bytes());
        add(sum.as_ref().map_or(&[][..], |sum| sum));
    }
    // Its memory is taken as long as a configuration refers to it, so no other one can have the same address.
    add(&signer.as_ref().map_or(0, |signer| signer.as_ptr().cast::<()>() as usize).to_le_bytes());
    add(&[u8::from(key_password.is_some())]);
    add(key_password.unwrap_or_default());
    add(&[u8::from(cipher_suites.is_some())]);
    add(cipher_suites.unwrap_or_default().as_bytes());
    add(&pins.concat());
    add(&alpn.len().to_le_bytes());
    alpn.iter().for_each(|name| add(name));
    add(&[*only_tls13, *post_quantum, *insecure_skip_verification, *insecure_skip_name].map(u8::from));
    add(&(*clock as usize).to_le_bytes());
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(digest.finish().as_ref());
    fingerprint
}

/// What a file system says of a file; when it is the same, so is the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    /// When its content, and when anything about it, became another: seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &str) -> Option<Stamp> {
        let about = std::fs::metadata(path).ok()?;
        Some(Stamp {
            device: about.dev(),
            inode: about.ino(),
            len: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }

    /// Whether a change from now on would show. One that comes at once may have the same time: some file systems count in
    /// steps of two seconds, those with parts of a second in steps of a few milliseconds.
    fn is_settled(&self) -> bool {
        let step = if self.modified.1 == 0 { Duration::from_secs(3) } else { Duration::from_millis(100) };
        [self.modified, self.changed].into_iter().all(|(seconds, nanos)| {
            let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
                return false;
            };
            let then = UNIX_EPOCH + Duration::new(seconds, nanos);
            let apart = match SystemTime::now().duration_since(then) {
                Ok(since) => since,
                // A clock that was set back, or is not set: what is written now gets another time than that.
                Err(until) => until.duration(),
            };
            apart > step
        })
    }
}

/// What was in files when they were read last.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Vec<(String, Stamp, Sum)>>);

impl Remembered {
    /// The sums of all sources without reading a file, if none of them changed.
    pub(super) fn sums(&self, sources: &Parts<Source<'_>>) -> Option<Parts<Sum>> {
        let known = self.0.lock();
        let sum = |_, source: &Source<'_>| match *source {
            Source::Memory(bytes, _) => Ok(sha256(bytes)),
            Source::File(path) => {
                let found = known.iter().find(|(name, ..)| name == path).ok_or(())?;
                if Stamp::of(path) == Some(found.1) { Ok(found.2) } else { Err(()) }
            }
        };
        sources.map(sum).ok()
    }

    /// Reads all of them.
    pub(super) fn read(&self, sources: &Parts<Source<'_>>) -> Result<(Parts<Bytes>, Parts<Sum>), LayerError> {
        let contents = sources.map(|field, source| {
            let before = match source {
                Source::File(path) => Stamp::of(path),
                Source::Memory(..) => None,
            };
            let bytes = files::read(field, *source)?;
            if let (Source::File(path), Some(before)) = (source, before) {
                self.remember(path, before, &bytes);
            }
            Ok(bytes)
        })?;
        let sums = contents.map(|_, from| Ok::<_, LayerError>(sha256(&from.bytes)))?;
        Ok((contents, sums))
    }

    fn remember(&self, path: &str, before: Stamp, from: &Bytes) {
        let is_certain = before.is_settled() && Stamp::of(path) == Some(before);
        let sum = sha256(&from.bytes);
        let mut known = self.0.lock();
        known.retain(|(name, ..)| name != path);
        if is_certain {
            if known.len() >= REMEMBERED {
                known.remove(0);
            }
            known.push((path.to_owned(), before, sum));
        }
    }
}

//! TLS over another transport.
//!
//! Two libraries do the cryptography, each behind an [`Engine`]: rustls where certificates prove who is who, and
//! the system's OpenSSL for pre-shared keys, which rustls does not have. The stream is one and the same for both,
//! and who connects sees neither.
//!
//! | file        | what                                                                   |
//! |-------------|------------------------------------------------------------------------|
//! | `mod.rs`    | the choice between the two                                             |
//! | `alert.rs`  | names of alerts                                                        |
//! | `stream.rs` | the stream: what is on its way, what has gone out, how a handshake ends |
//! | `pki/`      | certificates, by rustls (feature `tls`)                                |
//! | `psk/`      | pre-shared keys, by OpenSSL (feature `psk`)                            |

mod alert;
#[cfg(feature = "tls")]
mod pki;
#[cfg(feature = "psk")]
mod psk;
mod stream;

use std::fmt::Debug;
use std::io::{self, Write};
use std::sync::Arc;

pub use stream::wrap;

use super::tls_settings::TlsSettings;
use super::{Expiry, LayerError, Transport};
use crate::error::{Code, Phase};

/// How to secure connections: made once from settings and files, and shared by all that have the same.
pub trait Backend: Debug + Send + Sync {
    /// What one connection needs. `host` is the name, or the IP literal, of the server.
    fn engine(self: Arc<Self>, host: &str) -> Result<Box<dyn Engine>, LayerError>;
}

/// One side of one TLS connection, between two streams of bytes that somebody else moves. It does no I/O but in
/// [`receive`](Engine::receive), and never waits.
pub trait Engine: Send {
    /// Whether the handshake is not over yet.
    fn is_handshaking(&self) -> bool;

    /// Reads once from `socket` what came from the server; 0 is the end.
    fn receive(&mut self, socket: &mut dyn Transport) -> io::Result<usize>;

    /// Decrypts what was received, as far as it is complete, and goes on with the handshake.
    fn process(&mut self) -> Result<(), LayerError>;

    /// Writes all that is to be sent to `out`. Called after every other function that may produce something.
    fn collect(&mut self, out: &mut dyn Write) -> io::Result<()>;

    /// Plaintext that was received. `WouldBlock`: there is none; 0: the server's side has ended.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Encrypts `bytes`, at most one record. Returns how many it took.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Says that this side has ended.
    fn close_notify(&mut self);

    /// Why the server may have closed during the handshake.
    fn closing_hint(&self) -> &'static str;

    /// What the handshake settled, for the log.
    fn describe(&self) -> Option<String>;

    /// When the certificates of both sides end.
    fn expiry(&self) -> Expiry {
        Expiry::default()
    }
}

/// The configurations that are in use.
#[derive(Debug, Default)]
pub struct Configs {
    #[cfg(feature = "tls")]
    pki: pki::Configs,
    #[cfg(feature = "psk")]
    psk: psk::Configs,
}

impl Configs {
    /// The way to secure connections with these settings: one that exists, if nothing changed in them and
    /// in their files.
    pub fn get(&self, settings: &TlsSettings<'_>) -> Result<Arc<dyn Backend>, LayerError> {
        if settings.psk.is_some() {
            return self.with_key(settings);
        }
        self.with_certificates(settings)
    }

    #[cfg(feature = "psk")]
    fn with_key(&self, settings: &TlsSettings<'_>) -> Result<Arc<dyn Backend>, LayerError> {
        self.psk.get(settings)
    }

    #[cfg(not(feature = "psk"))]
    fn with_key(&self, _: &TlsSettings<'_>) -> Result<Arc<dyn Backend>, LayerError> {
        Err(not_built(
            "ssl_psk_identity is set, and this library was built without pre-shared keys (feature psk)",
        ))
    }

    #[cfg(feature = "tls")]
    fn with_certificates(&self, settings: &TlsSettings<'_>) -> Result<Arc<dyn Backend>, LayerError> {
        self.pki.get(settings)
    }

    #[cfg(not(feature = "tls"))]
    fn with_certificates(&self, _: &TlsSettings<'_>) -> Result<Arc<dyn Backend>, LayerError> {
        Err(not_built(
            "this library was built with TLS by pre-shared keys alone (feature psk without tls), and there is none",
        ))
    }
}

#[cfg(not(all(feature = "tls", feature = "psk")))]
fn not_built(why: &str) -> LayerError {
    config_error(Code::NotBuilt, format!("{why}; nothing was sent"))
}

/// An error in what the application configured.
fn config_error(code: Code, text: String) -> LayerError {
    LayerError { code, phase: Phase::Tls, text, alert: None }
}

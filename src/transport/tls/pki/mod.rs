//! TLS where certificates prove who is who, by rustls.
//!
//! | file             | what                                                   |
//! |------------------|--------------------------------------------------------|
//! | `mod.rs`         | the engine                                             |
//! | `config.rs`      | what connections share: trust, own certificate, suites |
//! | `inputs.rs`      | whether files and settings are still the same          |
//! | `files.rs`       | certificates and keys from files and memory            |
//! | `pem.rs`         | the sections of a PEM text                             |
//! | `key.rs`         | the client's own key, in the form that ring wants      |
//! | `signer.rs`      | a key elsewhere, with which the application signs      |
//! | `encrypted.rs`   | keys with a password                                   |
//! | `suites.rs`      | names of cipher suites                                 |
//! | `hybrid.rs`      | post-quantum key exchange (feature `pq`)               |
//! | `revocation.rs`  | lists of revoked certificates                          |
//! | `verify.rs`      | the judgement of the server's certificate              |
//! | `certificate.rs` | a look into a certificate, for errors                  |
//! | `algorithm.rs`   | kinds of keys and signatures                           |
//! | `der.rs`         | the little of DER that these need                      |
//! | `error.rs`       | sentences: what is told of which error                 |
//! | `peer_faults.rs`, `chain_faults.rs` | their long lists                    |

mod algorithm;
mod certificate;
mod chain_faults;
mod config;
mod der;
mod encrypted;
mod error;
mod files;
#[cfg(feature = "pq")]
mod hybrid;
mod inputs;
mod key;
mod peer_faults;
mod pem;
mod revocation;
mod signer;
mod suites;
mod verify;

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

pub(super) use config::Configs;

use super::alert::describe;
use super::{Backend, Engine, config_error};
use crate::error::Code;
use crate::transport::{Expiry, LayerError, Transport};
use config::Config;

impl Backend for Config {
    fn engine(self: Arc<Self>, host: &str) -> Result<Box<dyn Engine>, LayerError> {
        let name = server_name(host)?;
        let mut tls =
            ClientConnection::new(self.client.clone(), name).map_err(|error| error::not_begun(&error))?;
        // What leaves rustls is collected at once, and bounded by the stream.
        tls.set_buffer_limit(None);
        Ok(Box::new(Rustls { tls, config: self, host: host.to_owned() }))
    }
}

/// The name as it goes into SNI and the certificate's verification.
fn server_name(host: &str) -> Result<ServerName<'static>, LayerError> {
    // A scope belongs to this host's interfaces; no certificate has it. A dot at the end is DNS notation.
    let bare = host.split('%').next().unwrap_or_default();
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(ServerName::from(ip));
    }
    ServerName::try_from(bare.strip_suffix('.').unwrap_or(bare).to_owned()).map_err(|_| {
        let text = format!("{host:?} is not a name that a certificate can be for; set tls_server_name");
        config_error(Code::BadConfig, text)
    })
}

struct Rustls {
    tls: ClientConnection,
    config: Arc<Config>,
    host: String,
}

impl Engine for Rustls {
    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn receive(&mut self, socket: &mut dyn Transport) -> io::Result<usize> {
        self.tls.read_tls(&mut Socket(socket))
    }

    fn process(&mut self) -> Result<(), LayerError> {
        match self.tls.process_new_packets() {
            Ok(_) => Ok(()),
            Err(error) => {
                let at = error::At {
                    host: &self.host,
                    config: &self.config,
                    handshaking: self.tls.is_handshaking(),
                    server_proved: self.tls.peer_certificates().is_some(),
                };
                Err(error::explain(&error, &at))
            }
        }
    }

    fn collect(&mut self, out: &mut dyn Write) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut *out)?;
        }
        Ok(())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.tls.reader().read(buf) {
            // Many servers close without close_notify. MQTT packets carry their length, so truncation shows anyway.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tls.writer().write(bytes)
    }

    fn close_notify(&mut self) {
        self.tls.send_close_notify();
    }

    fn closing_hint(&self) -> &'static str {
        match self.config.has_certificate {
            true => "it may not accept this client's certificate",
            false => "it may want a client certificate",
        }
    }

    fn describe(&self) -> Option<String> {
        let version = match self.tls.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2",
            _ => "TLS 1.3",
        };
        let suite = suites::name(self.tls.negotiated_cipher_suite()?.suite());
        // Classical exchanges differ in nothing that matters.
        let hybrid = match self.tls.negotiated_key_exchange_group().map(|group| group.name()) {
            Some(rustls::NamedGroup::X25519MLKEM768) => ", X25519MLKEM768",
            _ => "",
        };
        let resumed = match self.tls.handshake_kind() {
            Some(rustls::HandshakeKind::Resumed) => ", resumed",
            _ => "",
        };
        let alpn = match self.tls.alpn_protocol() {
            Some(name) => format!(", {}", String::from_utf8_lossy(name)),
            None => String::new(),
        };
        Some(format!("{version}, {suite}{hybrid}{alpn}{resumed}"))
    }

    fn expiry(&self) -> Expiry {
        // A server that resumes a session does not show its certificate; what rustls has is that of the first time.
        let is_shown = self.tls.handshake_kind() != Some(rustls::HandshakeKind::Resumed);
        let first = self.tls.peer_certificates().and_then(|chain| chain.first()).filter(|_| is_shown);
        Expiry { client: self.config.own_end, server: first.and_then(|first| certificate::end(first)) }
    }
}

/// A transport as rustls reads it.
struct Socket<'a>(&'a mut dyn Transport);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

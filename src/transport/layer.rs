//! What stands between a socket and MQTT.

use std::sync::Arc;

use super::{LayerError, Stream, tls};
use crate::error::{Code, Phase};

/// A layer as an attempt is configured with it: put on a stream, it gives another one. So they stack.
#[derive(Clone, Debug)]
pub enum Layer {
    /// TLS.
    Tls(Arc<dyn tls::Backend>),
}

impl Layer {
    /// Puts it on a stream that is open. `host` is the name, or the IP literal, of whom it is to reach. The
    /// [handshake](super::Transport::handshake) of the new stream is still to be made.
    pub fn begin(&self, below: Stream, host: &str) -> Result<Stream, LayerError> {
        match self {
            Layer::Tls(backend) => tls::wrap(below, backend, host),
        }
    }

    /// The phase of errors before its handshake is complete.
    pub fn phase(&self) -> Phase {
        match self {
            Layer::Tls(_) => Phase::Tls,
        }
    }

    /// Its handshake, in a sentence.
    pub fn handshake_name(&self) -> &'static str {
        match self {
            Layer::Tls(_) => "TLS handshake",
        }
    }

    /// The error if that takes too long.
    pub fn too_late(&self) -> Code {
        match self {
            Layer::Tls(_) => Code::TlsTimeout,
        }
    }
}

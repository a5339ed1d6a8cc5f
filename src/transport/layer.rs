//! What stands between a socket and MQTT.

use std::sync::Arc;

#[cfg(feature = "proxy")]
use super::proxy;
#[cfg(feature = "websocket")]
use super::websocket;
use super::{LayerError, Stream, tls};
use crate::error::{Code, Phase};

/// A layer as an attempt is configured with it: put on a stream, it gives another one. So they stack.
#[derive(Clone, Debug)]
pub enum Layer {
    /// TLS.
    Tls(Arc<dyn tls::Backend>),
    /// TLS to a proxy of this name.
    #[cfg(feature = "proxy")]
    ProxyTls(Arc<dyn tls::Backend>, Arc<str>),
    /// The way through a proxy.
    #[cfg(feature = "proxy")]
    Proxy(Arc<proxy::Tunnel>),
    /// WebSocket.
    #[cfg(feature = "websocket")]
    WebSocket(Arc<websocket::Upgrade>),
}

impl Layer {
    /// Puts it on a stream that is open. `host` is the name, or the IP literal, of whom it is to reach. The
    /// [handshake](super::Transport::handshake) of the new stream is still to be made.
    pub fn begin(&self, below: Stream, host: &str) -> Result<Stream, LayerError> {
        match self {
            Layer::Tls(backend) => tls::wrap(below, backend, host),
            #[cfg(feature = "proxy")]
            Layer::ProxyTls(backend, name) => tls::wrap(below, backend, name),
            #[cfg(feature = "proxy")]
            Layer::Proxy(tunnel) => Ok(proxy::wrap(below, tunnel)),
            #[cfg(feature = "websocket")]
            Layer::WebSocket(upgrade) => Ok(websocket::wrap(below, upgrade)),
        }
    }

    /// The phase of errors before its handshake is complete.
    pub fn phase(&self) -> Phase {
        match self {
            Layer::Tls(_) => Phase::Tls,
            #[cfg(feature = "proxy")]
            Layer::ProxyTls(..) | Layer::Proxy(_) => Phase::Proxy,
            #[cfg(feature = "websocket")]
            Layer::WebSocket(_) => Phase::WebSocket,
        }
    }

    /// Its handshake, in a sentence.
    pub fn handshake_name(&self) -> &'static str {
        match self {
            Layer::Tls(_) => "TLS handshake",
            #[cfg(feature = "proxy")]
            Layer::ProxyTls(..) => "TLS handshake with the proxy",
            #[cfg(feature = "proxy")]
            Layer::Proxy(_) => "handshake with the proxy",
            #[cfg(feature = "websocket")]
            Layer::WebSocket(_) => "WebSocket handshake",
        }
    }

    /// The error if that takes too long.
    pub fn too_late(&self) -> Code {
        match self {
            Layer::Tls(_) => Code::TlsTimeout,
            #[cfg(feature = "proxy")]
            Layer::ProxyTls(..) | Layer::Proxy(_) => Code::ProxyTimeout,
            #[cfg(feature = "websocket")]
            Layer::WebSocket(_) => Code::WebSocketTimeout,
        }
    }
}

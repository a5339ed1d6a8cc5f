//! The TLS part of connecting: the layer is made before anything is sent. What becomes of it: `layers.rs`.

use std::sync::Arc;

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::Report;
use crate::client::state::Link;
use crate::client::state::log::Level;
use crate::config::proxy::{Proxy, ProxyKind};
use crate::config::{Address, Profile};
use crate::driver::Turn;
use crate::error::{Code, Phase};
use crate::sync::MutexGuard;
use crate::transport::Layer;
#[cfg(feature = "proxy")]
use crate::transport::proxy::{Protocol, Tunnel};
use crate::transport::tls::Backend;
use crate::transport::tls_settings::{Psk, Sign, Source, TlsSettings};

/// What TLS a profile asks for.
fn settings<'a>(profile: &'a Profile, signer: Option<&Arc<dyn Sign>>, clock: fn() -> f64) -> TlsSettings<'a> {
    let options = &profile.tls;
    // With verification switched off the field may still have the original's way of saying so.
    let ca_file = profile.ca_file().filter(|_| !options.insecure_skip_verification);
    let ca_memory = options.ca.as_deref().map(|bytes| Source::Memory(bytes, "the CA certificates in memory"));
    TlsSettings {
        trusted: ca_file.map(Source::File).into_iter().chain(ca_memory).collect(),
        system_roots: options.system_roots,
        // They were valid when the attempt began.
        pins: profile.pins().unwrap_or_default(),
        revoked: {
            let memory =
                options.crl.as_deref().map(|bytes| Source::Memory(bytes, "the revocation lists in memory"));
            options.crl_file.as_deref().map(Source::File).into_iter().chain(memory).collect()
        },
        certificate: match &options.certificate {
            Some(bytes) => Some(Source::Memory(bytes, "the certificate in memory")),
            None => profile.ssl_cert.as_deref().map(Source::File),
        },
        key: match &options.key {
            Some(bytes) => Some(Source::Memory(bytes, "the key in memory")),
            None => profile.ssl_key.as_ref().map(|path| Source::File(path)),
        },
        signer: signer.map(Arc::downgrade),
        key_password: options.key_password.as_ref().map(|password| &password[..]),
        psk: match (&profile.ssl_psk_identity, &profile.ssl_psk_key) {
            (Some(identity), Some(key)) => Some(Psk { identity, key }),
            // Validation refuses one without the other.
            _ => None,
        },
        cipher_suites: profile.ssl_cipher_suites.as_deref(),
        alpn: options.alpn.iter().map(|name| name.clone().into_bytes()).collect(),
        only_tls13: options.only_tls13,
        post_quantum: !options.no_post_quantum,
        insecure_skip_verification: options.insecure_skip_verification,
        insecure_skip_name: options.insecure_skip_name,
        clock,
    }
}

impl Conn {
    /// Reads certificates and keys, while the name is looked up. What is wrong with them is known before anything is
    /// sent.
    pub(in crate::client) fn prepare_tls<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        mut address: Address,
    ) -> MutexGuard<'a, State> {
        if st.extras.own_is_new && matches!(st.link, Link::Resolving { .. } | Link::Opening { .. }) {
            // Set in a handler that was told of this attempt. A certificate turns TLS on, which has a port of its own.
            match st.take_new_certificate() {
                Ok(other) if other == address => {}
                Ok(other) => {
                    st = self.look_up(st, turn, &other);
                    address = other;
                }
                Err(report) => return self.link_down(st, turn, report),
            }
        }
        let profile = st.profile.clone();
        // What is wrong with it was reported when the attempt began.
        let proxy = profile.proxy(&address).ok().flatten();
        let is_tls = address.scheme.is_tls();
        if !is_tls && proxy.as_ref().is_none_or(|proxy| proxy.kind != ProxyKind::Https) {
            let way = proxy.map_or_else(Vec::new, |proxy| way_through(&proxy, &address, None));
            st.layers = st.stack(&address, way, None);
            return st;
        }
        if is_tls && profile.tls.insecure_skip_verification {
            let text = "tls_insecure_skip_verification is set: whoever answers is taken for the server";
            self.note(&mut st, Level::Warn, format_args!("{text}"));
        }
        if is_tls && profile.tls.insecure_skip_name {
            let text = "tls_insecure_skip_name is set: whoever has a certificate of a trusted issuer is taken for the server";
            self.note(&mut st, Level::Warn, format_args!("{text}"));
        }
        let settings = settings(&profile, st.extras.signer.as_ref(), self.context.wall_clock);
        if is_tls && settings.psk.is_some() && settings.names_certificates() {
            let text = "a pre-shared key is set, so the certificates that are set too are not used: the key proves client \
                        is client";
            self.note(&mut st, Level::Warn, format_args!("{text}"));
        }
        // Without the lock: a slow flash must not hold up a call that only wants to publish.
        let generation = st.generation;
        drop(st);
        let config = is_tls.then(|| self.context.tls.get(&settings)).transpose();
        let way = proxy.map_or_else(
            || Ok(Vec::new()),
            |proxy| {
                let is_secure = proxy.kind == ProxyKind::Https;
                let to_proxy = is_secure
                    .then(|| self.context.tls.get(&proxy_settings(&profile, self.context.wall_clock)));
                to_proxy.transpose().map(|to_proxy| way_through(&proxy, &address, to_proxy))
            },
        );
        let mut st = self.lock();
        if st.freed || st.closing.is_some() || st.generation != generation {
            return st;
        }
        match config.and_then(|config| Ok((config, way?))) {
            Ok((config, way)) => {
                st.layers = st.stack(&address, way, config.map(Layer::Tls));
                st
            }
            Err(error) => {
                let report = st.layer_report(&error);
                self.link_down(st, turn, report)
            }
        }
    }
}

/// What TLS a profile asks for on the way to an `https://` proxy.
fn proxy_settings(profile: &Profile, clock: fn() -> f64) -> TlsSettings<'_> {
    let ca = profile.route.proxy_ca.as_deref();
    TlsSettings {
        trusted: ca
            .map(|bytes| Source::Memory(bytes, "the CA certificates of the proxy"))
            .into_iter()
            .collect(),
        system_roots: ca.is_none(),
        pins: Vec::new(),
        revoked: Vec::new(),
        certificate: None,
        key: None,
        key_password: None,
        psk: None,
        cipher_suites: None,
        alpn: Vec::new(),
        only_tls13: false,
        post_quantum: !profile.tls.no_post_quantum,
        signer: None,
        insecure_skip_verification: false,
        insecure_skip_name: false,
        clock,
    }
}

/// The layers that lead through a proxy; `secure` is TLS to it.
#[cfg(feature = "proxy")]
fn way_through(proxy: &Proxy, address: &Address, secure: Option<Arc<dyn Backend>>) -> Vec<Layer> {
    let Proxy { kind, user, .. } = proxy;
    let protocol = if *kind == ProxyKind::Socks5 { Protocol::Socks5 } else { Protocol::Http };
    let (host, port) = (address.host.clone(), address.port);
    let tunnel = Layer::Proxy(Arc::new(Tunnel { protocol, user: user.clone(), host, port }));
    secure
        .map(|backend| Layer::ProxyTls(backend, proxy.host.as_str().into()))
        .into_iter()
        .chain([tunnel])
        .collect()
}

/// Without them there is none: the attempt has ended before.
#[cfg(not(feature = "proxy"))]
fn way_through(_: &Proxy, _: &Address, _: Option<Arc<dyn Backend>>) -> Vec<Layer> {
    Vec::new()
}

/// Bytes that are not MQTT.
pub(in crate::client) enum Foreign {
    /// The server took the first byte of CONNECT for the beginning of a TLS record.
    TlsAlert,
    /// It may be; more bytes decide.
    MaybeTlsAlert,
    Unknown,
}

impl State {
    /// Makes the profile of this attempt again, with the certificate that was set since it began.
    fn take_new_certificate(&mut self) -> Result<Address, Report> {
        let before = self.profile.clone();
        let mut profile = before.clone();
        self.put_own_certificate(&mut profile);
        self.profile = profile;
        self.tries.make().common.get_or_insert(before);
        match (self.whole(&self.profile, &self.client).validate(), self.profile.address()) {
            (Ok(()), Ok(address)) => Ok(address),
            (Err(error), _) | (_, Err(error)) => {
                Err(self.report(error.code, Phase::Usage, 0, error.to_string()))
            }
        }
    }

    /// Puts the connection's own certificate and key in place of those of the profile.
    pub(in crate::client) fn put_own_certificate(&mut self, profile: &mut Arc<Profile>) {
        if let Some(extras) = self.extras.get_mut() {
            extras.own_is_new = false;
        }
        if let Some(own) = &self.extras.own {
            let profile = Arc::make_mut(profile);
            profile.tls.certificate = Some(own.certificate.clone());
            profile.tls.key = own.key.clone();
            profile.ssl_key = None;
        }
        if let Some(password) = &self.extras.key_password {
            Arc::make_mut(profile).tls.key_password = Some(password.clone());
        }
    }

    /// Whether TLS is among the layers.
    pub(in crate::client) fn is_secured(&self) -> bool {
        self.layers.iter().any(|layer| matches!(layer, Layer::Tls(_)))
    }

    /// What the server sent instead of an MQTT packet.
    pub(in crate::client) fn foreign(&self, answer: &[u8]) -> Foreign {
        const ALERT: u8 = 21;
        if self.session.is_up() || self.is_secured() {
            return Foreign::Unknown;
        }
        match answer {
            [ALERT] | [ALERT, 3] => Foreign::MaybeTlsAlert,
            [ALERT, 3, 0..=4, ..] => Foreign::TlsAlert,
            _ => Foreign::Unknown,
        }
    }

    pub(in crate::client) fn tls_expected_report(&mut self) -> Report {
        let text = "the server answered with a TLS alert: it wants TLS on this port; set ssl_ca_cert, or write \
                    mqtts:// before the server";
        self.report(Code::TlsExpected, Phase::Connect, 0, text.into())
    }
}

//! The TLS part of connecting: the configuration before, the handshake after TCP is there.

use std::sync::Arc;

use crate::client::Conn;
use crate::client::handlers::event::Report;
use crate::client::state::log::Level;
use crate::client::state::{Link, State};
use crate::config::{Address, Profile};
use crate::driver::Turn;
use crate::error::{Code, Phase};
use crate::patience::Patience;
use crate::sync::MutexGuard;
use crate::time::Time;
use crate::transport::tls_settings::{Psk, Source, TlsSettings};
use crate::transport::{LayerError, SendQueue, tls};

/// What TLS a profile asks for.
fn settings(profile: &Profile, clock: fn() -> f64) -> TlsSettings<'_> {
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
        key_password: options.key_password.as_ref().map(|password| &password[..]),
        psk: match (&profile.ssl_psk_identity, &profile.ssl_psk_key) {
            (Some(identity), Some(key)) => Some(Psk { identity, key }),
            // Half of it is refused before.
            _ => None,
        },
        cipher_suites: profile.ssl_cipher_suites.as_deref(),
        alpn: options.alpn.iter().map(|name| name.clone().into_bytes()).collect(),
        only_tls13: options.only_tls13,
        insecure_skip_verification: options.insecure_skip_verification,
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
        if st.extras.own_is_new && matches!(st.link, Link::Resolving { .. }) {
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
        if !address.scheme.is_tls() {
            st.tls = None;
            return st;
        }
        let profile = st.profile.clone();
        if profile.tls.insecure_skip_verification {
            let text = "tls_insecure_skip_verification is set: whoever answers is taken for the server";
            self.note(&mut st, Level::Warn, format_args!("{text}"));
        }
        let settings = settings(&profile, self.context.wall_clock);
        if settings.psk.is_some() && settings.names_certificates() {
            let text = "a pre-shared key is set, so the certificates that are set too are not used: the key proves client \
                        is client";
            self.note(&mut st, Level::Warn, format_args!("{text}"));
        }
        // Nobody waits for a slow flash who only wants to publish.
        let generation = st.generation;
        drop(st);
        let config = self.context.tls.get(&settings);
        let mut st = self.lock();
        if st.freed || st.closing.is_some() || st.generation != generation {
            return st;
        }
        match config {
            Ok(config) => {
                st.tls = Some(config);
                st
            }
            Err(error) => {
                let report = st.layer_report(&error);
                self.link_down(st, turn, report)
            }
        }
    }

    /// TCP is there. With TLS, the handshake begins.
    pub(in crate::client) fn secure<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        let Link::Opening { transport, .. } = std::mem::replace(&mut st.link, Link::Idle) else { return st };
        let Some(config) = st.tls.clone() else { return self.opened(st, turn, transport) };
        let host = match (&st.profile.tls.server_name, st.profile.address()) {
            (Some(name), _) => name.clone(),
            (None, Ok(address)) => address.host,
            // It was valid when the attempt began.
            (None, Err(_)) => String::new(),
        };
        match tls::wrap(transport, &config, &host) {
            Ok(transport) => {
                let delivery = transport.delivery(0, self.context.send_queue);
                let within = st.profile.timeouts.tls;
                st.tries.make().handshake = Patience::of_stream(turn.now, within, delivery);
                st.link = Link::Handshaking { transport };
                st
            }
            Err(error) => {
                let report = st.layer_report(&error);
                self.link_down(st, turn, report)
            }
        }
    }

    /// Goes on with the handshake.
    pub(in crate::client) fn handshaking<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        let state = &mut *st;
        let Link::Handshaking { transport } = &mut state.link else { return st };
        let report = match transport.handshake() {
            Ok(true) => {
                let Link::Handshaking { transport } = std::mem::replace(&mut st.link, Link::Idle) else {
                    return st;
                };
                st.expiry.make().ends = transport.expiry();
                if self.context.log.wants(Level::Info)
                    && let Some(text) = transport.describe()
                {
                    self.note(&mut st, Level::Info, format_args!("{text}"));
                }
                return self.opened(st, turn, transport);
            }
            Ok(false) if !state.handshake_is_late(turn.now, self.context.send_queue) => return st,
            Ok(false) => {
                let target =
                    st.tries.target.as_ref().map(|target| format!(" by {target}")).unwrap_or_default();
                let text = format!("{}{target}", Code::TlsTimeout.text());
                st.report(Code::TlsTimeout, Phase::Tls, 0, text)
            }
            Err(error) => st.io_report(&error),
        };
        self.handshake_failed(st, turn, report)
    }

    /// Goes on to the next endpoint of the server, if there is one: behind each there may be another server.
    fn handshake_failed<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        mut report: Report,
    ) -> MutexGuard<'a, State> {
        let others = !st.tries.others.endpoints.is_empty();
        let Some(target) = st.tries.target.clone().filter(|_| others) else {
            return self.link_down(st, turn, report);
        };
        if let Link::Handshaking { mut transport } = std::mem::replace(&mut st.link, Link::Idle) {
            transport.deregister(turn.registry());
        }
        self.note(&mut st, Level::Warn, format_args!("{target}: {}; trying the next address", report.text));
        let tries = st.tries.make();
        let tried = &mut tries.others.make().tried;
        *tried = std::mem::take(&mut report.tried);
        tried.push((target, report.os));
        tries.insecure = Some(Box::new(report));
        self.next_endpoint(st, turn)
    }
}

/// Bytes that are not MQTT.
pub(in crate::client) enum Foreign {
    /// The server took the first byte of CONNECT for the beginning of a TLS record.
    TlsAlert,
    /// The next bytes tell.
    MaybeTlsAlert,
    Unknown,
}

impl State {
    /// Whether the handshake takes too long. Certificates that are still on their way to the server are no reason to
    /// give it up.
    fn handshake_is_late(&mut self, now: Time, queue: SendQueue) -> bool {
        let (Link::Handshaking { transport }, Some(tries)) = (&self.link, self.tries.get_mut()) else {
            return false;
        };
        if tries.handshake.look_at().is_none_or(|at| now < at) {
            return false;
        }
        let delivery = transport.delivery(0, queue);
        tries.handshake.is_over(now, Time::ZERO, 0, delivery)
    }

    /// Makes the profile of this attempt anew, with what the application has set meanwhile.
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

    /// Instead of what the profile has.
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

    /// What the server sent instead of an MQTT packet.
    pub(in crate::client) fn foreign(&self, answer: &[u8]) -> Foreign {
        const ALERT: u8 = 21;
        if self.session.is_up() || self.tls.is_some() {
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

    /// The error of a layer between TCP and MQTT.
    pub(in crate::client) fn layer_report(&mut self, error: &LayerError) -> Report {
        let report = self.report(error.code, error.phase, 0, error.text.clone());
        Report { alert: error.alert, ..report }
    }
}

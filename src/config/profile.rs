//! The complete description of one server: its address, our identity there, and how to treat the
//! link.

use core::fmt;
use core::ops::Deref;

use super::address::{Address, Scheme, Wanted};
use super::address_error::AddressError;
use zeroize::Zeroize;

use super::error::ConfigError;
use super::pin::{self, Pin};
use super::proxy::{Proxy, ProxyVariables};
use super::socket::SocketOptions;
use super::user_info::{self, UserInfo};
use crate::error::Code;
use crate::time::Span;
use crate::wire::PropertyBlock;

/// A value that `Debug` does not print, and that is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(pub T);

impl<T: Zeroize> Drop for Secret<T> {
    // Not inlined: wiping is 400 bytes of code, and dropping a profile drops several secrets.
    #[inline(never)]
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize> Deref for Secret<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Which MQTT a profile speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// MQTT 3.1, protocol name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1, level 4.
    #[default]
    V311,
    /// MQTT 5.0, level 5.
    V5,
    /// The newest that the server speaks: 5.0 is tried first, then 3.1.1, then 3.1.
    Auto,
}

/// How a client proves who it is, with the user name and the password that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// CONNECT carries both.
    #[default]
    Password,
    /// By SCRAM-SHA-256 (MQTT 5.0 §4.12, RFC 7677): the password does not travel, and the server proves that it knows it.
    ScramSha256,
}

/// The will: what the server publishes for us when the link breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Will {
    /// The topic, without wildcards.
    pub topic: String,
    /// The message: any bytes, at most 65,535, and it may be empty.
    pub payload: Vec<u8>,
    /// 0, 1 or 2.
    pub qos: u8,
    /// Whether the server keeps the message.
    pub retain: bool,
    /// The will properties, for MQTT 5.0 (§3.1.3.2).
    pub properties: PropertyBlock,
}

/// How long each step of connecting may take; zero means without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution.
    pub dns: Span,
    /// Opening the TCP connection.
    pub tcp: Span,
    /// The TLS handshake.
    pub tls: Span,
    /// The proxy, until it has connected, and before that a TLS handshake with it.
    pub proxy: Span,
    /// The WebSocket's handshake.
    pub websocket: Span,
    /// From CONNECT to CONNACK.
    pub connack: Span,
    /// From PINGREQ to PINGRESP; `None` is the keep-alive interval, at most 10 s.
    pub pingresp: Option<Span>,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let ten = Span::secs(10);
        Timeouts { dns: ten, tcp: ten, tls: ten, proxy: ten, websocket: ten, connack: ten, pingresp: None }
    }
}

/// How many days before its end a certificate is reported; `None` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryNotice(pub Option<u32>);

impl Default for ExpiryNotice {
    fn default() -> Self {
        ExpiryNotice(Some(30))
    }
}

/// What the fields of `struct mgos_config_mqtt` cannot say about TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The name for which the server's certificate must be valid, instead of the host of the
    /// address.
    pub server_name: Option<String>,
    /// The names of application protocols to offer (ALPN), the favourite first.
    pub alpn: Vec<String>,
    /// Speak TLS 1.3 only, not 1.2.
    pub only_tls13: bool,
    /// Do not offer the post-quantum key exchange.
    pub no_post_quantum: bool,
    /// Trusted certificates in memory, PEM or DER, besides those of `ssl_ca_cert`; turns TLS on. The text may also
    /// contain a private key, as may the next one.
    pub ca: Option<Secret<Vec<u8>>>,
    /// The client's certificate in memory, instead of `ssl_cert`; turns TLS on.
    pub certificate: Option<Secret<Vec<u8>>>,
    /// The private key in memory, instead of `ssl_key`.
    pub key: Option<Secret<Vec<u8>>>,
    /// The password of the private key, if it is encrypted: any bytes.
    pub key_password: Option<Secret<Vec<u8>>>,
    /// Pinned public keys as text, of which the server must have one: see [`pin`](super::pin). Turns TLS on.
    /// Without trusted certificates they alone identify the server, and any certificate will do.
    pub pins: Option<String>,
    /// Revocation lists in memory, PEM or DER. Secret, since people may put another file there by
    /// mistake.
    pub crl: Option<Secret<Vec<u8>>>,
    /// The file with revocation lists.
    pub crl_file: Option<String>,
    /// Trust the certificates that the system trusts, besides those given; turns TLS on. The default if
    /// none are given.
    pub system_roots: bool,
    /// How many days before its end a certificate is reported.
    pub expiry_notice: ExpiryNotice,
    /// Accept any server without checking its certificate; turns TLS on. For tests only: the
    /// connection is encrypted, but perhaps not to the server.
    pub insecure_skip_verification: bool,
    /// Accept a certificate for another name, if everything else about it is right.
    pub insecure_skip_name: bool,
}

/// What the fields of `struct mgos_config_mqtt` cannot say about the way to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteOptions {
    /// Further headers of the request for a WebSocket: see [`http_headers`](super::http_headers). Secret, since a token may be among them.
    pub ws_headers: Option<Secret<String>>,
    /// The proxy that leads to the server: see [`Proxy`].
    pub proxy: Option<Secret<String>>,
    /// The proxies that the environment names, if it is to be asked and there is none above.
    pub proxy_variables: Option<ProxyVariables>,
    /// Trusted certificates for an `https://` proxy in memory, PEM or DER; by default those of the system.
    pub proxy_ca: Option<Secret<Vec<u8>>>,
    /// Options of the TCP socket.
    pub socket: SocketOptions,
}

/// One complete server profile. What does not depend on the server is in
/// [`Settings`](super::Settings).
///
/// The fields are those of `struct mgos_config_mqtt` in its order, typed, followed by new ones. An
/// unset string is `None`; the C interface also treats the empty string as unset.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Whether a connection may be made at all.
    pub enable: bool,
    /// The address, see [`Address`]; it may have the user name and the password. The original's default host is dead, so there is none.
    pub server: Option<String>,
    /// The client id; `None` is the device id, see [`Profile::name_client`].
    pub client_id: Option<String>,
    /// The user name.
    pub user: Option<String>,
    /// The password: any bytes.
    pub pass: Option<Secret<Vec<u8>>>,
    /// The first delay before a reconnect.
    pub reconnect_min: Span,
    /// The longest delay before a reconnect. If it is the smaller of the two, it is used for both.
    pub reconnect_max: Span,
    /// The file of the client's certificate; turns TLS on.
    pub ssl_cert: Option<String>,
    /// The file of the private key; `None` looks for it in the file of the certificate.
    pub ssl_key: Option<Secret<String>>,
    /// The file with the trusted certificates; turns TLS on. A text that begins with `sha256/` is a list of pins
    /// instead, see [`TlsOptions::pins`]. `*`, which accepted any certificate in Mongoose OS, is refused: see
    /// [`TlsOptions::insecure_skip_verification`].
    pub ssl_ca_cert: Option<String>,
    /// The names of the cipher suites, between colons.
    pub ssl_cipher_suites: Option<String>,
    /// The identity of the pre-shared key; turns TLS on.
    pub ssl_psk_identity: Option<String>,
    /// The pre-shared key, in hexadecimal digits.
    pub ssl_psk_key: Option<Secret<String>>,
    /// Whether the server starts with a new session at each connect.
    pub clean_session: bool,
    /// The keep-alive interval in seconds; 0 is off.
    pub keep_alive: u16,
    /// The will. The C struct makes one only if both its topic and its message are set.
    pub will: Option<Will>,
    /// The topic of a will without a message: there is no will, unless the connection's options have
    /// its payload.
    pub will_without_message: Option<Will>,
    /// The highest QoS for publishing and subscribing; `None` is no limit.
    pub max_qos: Option<u8>,
    /// The largest packet that is received, in bytes; 0 leaves only the limit of the protocol.
    pub recv_limit: usize,
    /// Connect only when the wall clock is set.
    pub require_time: bool,
    /// Whether the cloud events are raised.
    pub cloud_events: bool,
    /// How many QoS 1 and 2 messages may wait or be in flight; 0 queues nothing without a
    /// connection. The limit of the server in use applies; a lower limit discards no messages.
    pub max_queue_length: usize,
    /// MQTT over WebSocket.
    pub ws_enable: bool,
    /// The path of the WebSocket, for an address without one.
    pub ws_path: Option<String>,
    /// Whether log lines carry their level instead of the number of their stream.
    pub debug_use_log_level: bool,

    /// The version of MQTT.
    pub protocol: Protocol,
    /// How the client proves who it is.
    pub authentication: Authentication,
    /// How often a server may have a password hashed for SCRAM, at most.
    pub scram_max_iterations: u32,
    /// What CONNECT carries in MQTT 5.0 (§3.1.2.11).
    pub connect_properties: PropertyBlock,
    /// How long each step of connecting may take.
    pub timeouts: Timeouts,
    /// What else there is to say about TLS.
    pub tls: TlsOptions,
    /// What else there is to say about the way to the server.
    pub route: RouteOptions,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile {
            enable: false,
            server: None,
            client_id: None,
            user: None,
            pass: None,
            reconnect_min: Span::secs(2),
            reconnect_max: Span::secs(60),
            ssl_cert: None,
            ssl_key: None,
            ssl_ca_cert: None,
            ssl_cipher_suites: None,
            ssl_psk_identity: None,
            ssl_psk_key: None,
            clean_session: true,
            keep_alive: 60,
            will: None,
            will_without_message: None,
            max_qos: Some(2),
            recv_limit: 4 << 20,
            require_time: false,
            cloud_events: true,
            max_queue_length: 1024,
            ws_enable: false,
            ws_path: Some("/mqtt".to_owned()),
            debug_use_log_level: false,
            protocol: Protocol::V311,
            authentication: Authentication::Password,
            scram_max_iterations: 1_000_000,
            connect_properties: PropertyBlock::EMPTY,
            timeouts: Timeouts::default(),
            tls: TlsOptions::default(),
            route: RouteOptions::default(),
        }
    }
}

impl Profile {
    /// Whether the settings ask for TLS. The address can ask for it too: [`Address::scheme`].
    pub fn wants_tls(&self) -> bool {
        self.ssl_ca_cert.is_some()
            || self.ssl_cert.is_some()
            || self.ssl_psk_identity.is_some()
            || self.tls.ca.is_some()
            || self.tls.certificate.is_some()
            || self.tls.pins.is_some()
            || self.tls.system_roots
            || self.tls.insecure_skip_verification
    }

    /// The file with the trusted certificates, if `ssl_ca_cert` is that.
    pub fn ca_file(&self) -> Option<&str> {
        self.ssl_ca_cert.as_deref().filter(|text| !pin::is_list(text))
    }

    /// The pinned public keys, of which the server must have one; empty if any key will do.
    pub fn pins(&self) -> Result<Vec<Pin>, ConfigError> {
        let mut all = Vec::new();
        let in_ca = self.ssl_ca_cert.as_deref().filter(|text| pin::is_list(text));
        for (field, list) in [("ssl_ca_cert", in_ca), ("tls_pins", self.tls.pins.as_deref())] {
            let Some(list) = list else { continue };
            let pins = pin::parse(list).map_err(|word| {
                let problem = format!(
                    "{word:?} is no pin: sha256/ and 44 characters of Base64, or 64 hexadecimal digits, are the \
                     SHA-256 of a public key"
                );
                ConfigError::new(field, problem)
            })?;
            if pins.is_empty() {
                return Err(ConfigError::new(field, "names no pin"));
            }
            all.extend(pins);
        }
        Ok(all)
    }

    /// The server's address, with the path of the WebSocket filled in.
    pub fn address(&self) -> Result<Address, ConfigError> {
        let Some(server) = self.server.as_deref() else {
            return Err(ConfigError::new("server", "no server is set"));
        };
        let refused = |e: AddressError| ConfigError::new("server", e.text()).with_code(e.code());
        let rest = match user_info::take(server).map_err(refused)? {
            Some((_, info)) if self.contradicts(&info) => {
                let problem = "the address names a user or a password, and so do the fields user and pass: use one of the \
                               two";
                return Err(ConfigError::new("server", problem));
            }
            Some((rest, _)) => Some(rest),
            None => None,
        };
        let wanted = Wanted { tls: self.wants_tls(), websocket: self.ws_enable };
        let mut address = Address::parse(rest.as_deref().unwrap_or(server), wanted).map_err(refused)?;
        if address.scheme.is_websocket() && address.path.is_empty() {
            address.path = self.ws_path.clone().unwrap_or_else(|| "/".to_owned());
        }
        Ok(address)
    }

    /// The proxy that leads to this server, if one does.
    pub fn proxy(&self, address: &Address) -> Result<Option<Proxy>, ConfigError> {
        let route = &self.route;
        let (name, text) = match (&route.proxy, &route.proxy_variables) {
            _ if address.scheme == Scheme::Unix => return Ok(None),
            (Some(proxy), _) => ("proxy", &proxy[..]),
            (None, Some(variables)) => match variables.proxy_for(address.scheme, &address.host) {
                Some(found) => found,
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        Proxy::parse(text)
            .map(Some)
            .map_err(|error| ConfigError::new(name, error.text()).with_code(Code::BadAddress))
    }

    fn contradicts(&self, info: &UserInfo) -> bool {
        info.user.is_some() && self.user.is_some() || info.pass.is_some() && self.pass.is_some()
    }

    /// Moves the credentials that the address has into `user` and `pass`. An address that cannot be understood, or that
    /// contradicts those two, stays as it is: [`address`](Self::address) says why.
    pub fn take_user_info(&mut self) {
        let found = self.server.as_deref().and_then(|server| user_info::take(server).ok().flatten());
        let Some((rest, info)) = found.filter(|(_, info)| !self.contradicts(info)) else { return };
        self.server = Some(rest);
        self.user = self.user.take().or(info.user);
        self.pass = self.pass.take().or(info.pass);
    }

    /// Takes `device_id` as the client id if the profile has none. To be called at each connect,
    /// before [`Profile::validate`]: the device id may have been set after the profile was made.
    pub fn name_client(&mut self, device_id: Option<&str>) {
        if self.client_id.is_none() {
            self.client_id = device_id.map(str::to_owned);
        }
    }

    /// The shortest and the longest delay before a reconnect; if they cross, the longest is used
    /// for both.
    pub fn reconnect_bounds(&self) -> (Span, Span) {
        (self.reconnect_min.min(self.reconnect_max), self.reconnect_max)
    }
}

//! Server addresses: the texts that the field `server` accepts.
//!
//! | text                                   | transport                                        |
//! |----------------------------------------|--------------------------------------------------|
//! | `host`, `1.2.3.4`, `fe80::1%eth0`      | as the profile says, its default port            |
//! | `host:port`, `[fe80::1%eth0]:port`     | as the profile says                              |
//! | `tcp://…`                              | as the profile says: the prefix adds nothing     |
//! | `mqtt://…`                             | TCP, port 1883                                   |
//! | `mqtts://…`                            | TLS, port 8883                                   |
//! | `ssl://…`, `tls://…`                   | TLS, port 8883, WebSocket if the profile says so |
//! | `ws://…/path`, `wss://…/path`          | WebSocket, port 80, or 443 with TLS              |
//! | `unix:/path`, `unix:///path`           | a local socket                                   |
//!
//! Behind the slashes of `scheme://` may stand `user:password@`, see [`user_info`](super::user_info). Schemes are
//! written in any case.
//!
//! A host is an IPv4 or IPv6 literal or a name in ASCII; an international name is written in its
//! punycode form (`xn--…`). Every build understands every address of the table; the transports
//! report what was not built.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::address_error::AddressError;

/// The default port without TLS.
pub const PORT_PLAIN: u16 = 1883;
/// The default port with TLS.
pub const PORT_TLS: u16 = 8883;

/// The longest path of a local socket: `sun_path` of the system without the NUL.
const UNIX_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How bytes travel to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// MQTT over TCP.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
    /// MQTT over WebSocket.
    Ws,
    /// MQTT over WebSocket over TLS.
    Wss,
    /// MQTT over a local (unix-domain) socket.
    Unix,
}

impl Scheme {
    /// Whether TLS is part of it.
    pub const fn is_tls(self) -> bool {
        matches!(self, Scheme::Mqtts | Scheme::Wss)
    }

    /// Whether WebSocket is part of it.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Scheme::Ws | Scheme::Wss)
    }

    /// Its name as a URL writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Mqtt => "mqtt",
            Scheme::Mqtts => "mqtts",
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
            Scheme::Unix => "unix",
        }
    }

    const fn of(tls: bool, websocket: bool) -> Scheme {
        match (tls, websocket) {
            (false, false) => Scheme::Mqtt,
            (true, false) => Scheme::Mqtts,
            (false, true) => Scheme::Ws,
            (true, true) => Scheme::Wss,
        }
    }
}

/// What the profile asks for, where an address leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The profile has TLS settings (`ssl_ca_cert`, `ssl_cert` or `ssl_psk_identity`).
    pub tls: bool,
    /// The profile has `ws_enable`.
    pub websocket: bool,
}

/// A server's address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// How to get there.
    pub scheme: Scheme,
    /// A name as it was written, or an IP literal without brackets, `fe80::1%eth0` with its scope.
    /// Empty for [`Scheme::Unix`].
    pub host: String,
    /// The TCP port, never 0; 0 for [`Scheme::Unix`].
    pub port: u16,
    /// The path of a WebSocket URL or of a local socket; empty if the address has none.
    pub path: String,
}

impl Address {
    /// Takes an address apart, of which the [credentials](super::user_info::take) were taken before.
    ///
    /// An address that contradicts `wanted` is refused; neither of the two is silently ignored.
    /// Otherwise `mqtt://` in a profile with a CA file would send the password in clear.
    pub fn parse(text: &str, wanted: Wanted) -> Result<Address, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(AddressError::Blank);
        }
        if let Some(path) = strip_prefix_ignore_case(text, "unix:") {
            return Address::parse_unix(path, wanted);
        }
        let (prefix, rest) = split_prefix(text)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(AddressError::UserInfo);
        }
        let scheme = prefix.scheme(wanted)?;
        let path = check_path(path, prefix)?;
        let (host, port) = split_port(authority)?;
        let host = check_host(host, prefix != Prefix::None)?;
        let port = match port {
            Some(port) => check_port(port)?,
            None => prefix.default_port(scheme),
        };
        Ok(Address { scheme, host, port, path: path.to_owned() })
    }

    /// The server as HTTP names it: with its port, unless that is the one of the scheme.
    pub fn authority(&self) -> String {
        let Address { scheme, host, port, .. } = self;
        let host = match host.split_once('%') {
            // A scope has a meaning on this host only.
            Some((ip, _)) => format!("[{ip}]"),
            None if host.contains(':') => format!("[{host}]"),
            None => host.clone(),
        };
        match (scheme, port) {
            (Scheme::Ws, 80) | (Scheme::Wss, 443) => host,
            _ => format!("{host}:{port}"),
        }
    }

    fn parse_unix(rest: &str, wanted: Wanted) -> Result<Address, AddressError> {
        match wanted {
            Wanted { tls: true, .. } => return Err(AddressError::UnixWithTls),
            Wanted { websocket: true, .. } => return Err(AddressError::NotWebSocket),
            _ => {}
        }
        // The authority of a URL, which a local socket does not have, must be empty.
        let path = match rest.strip_prefix("//") {
            Some(path) if !path.starts_with('/') => return Err(AddressError::UnixHost),
            Some(path) => path,
            None => rest,
        };
        if path.is_empty() {
            return Err(AddressError::UnixPath);
        }
        if path.len() > UNIX_PATH_MAX {
            return Err(AddressError::UnixPathTooLong);
        }
        Ok(Address { scheme: Scheme::Unix, host: String::new(), port: 0, path: path.to_owned() })
    }
}

/// The URL form, which [`Address::parse`] reads back to the same address.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { scheme, host, port, path } = self;
        let name = scheme.name();
        if *scheme == Scheme::Unix {
            // With two slashes at its beginning, a path alone would be read as a host and a path.
            let authority = if path.starts_with("//") { "//" } else { "" };
            return write!(f, "{name}:{authority}{path}");
        }
        match host.split_once('%') {
            // RFC 6874: in a URL the percent sign is itself written as %25.
            Some((ip, scope)) => write!(f, "{name}://[{ip}%25{scope}]:{port}{path}"),
            None if host.contains(':') => write!(f, "{name}://[{host}]:{port}{path}"),
            None => write!(f, "{name}://{host}:{port}{path}"),
        }
    }
}

/// What stands before `://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    None,
    Tcp,
    Mqtt,
    Mqtts,
    Tls,
    Ws,
    Wss,
}

impl Prefix {
    const ALL: [(&'static str, Prefix); 7] = [
        ("tcp", Prefix::Tcp),
        ("mqtt", Prefix::Mqtt),
        ("mqtts", Prefix::Mqtts),
        ("ssl", Prefix::Tls),
        ("tls", Prefix::Tls),
        ("ws", Prefix::Ws),
        ("wss", Prefix::Wss),
    ];

    fn scheme(self, wanted: Wanted) -> Result<Scheme, AddressError> {
        let (tls, websocket) = match self {
            Prefix::None | Prefix::Tcp => (wanted.tls, wanted.websocket),
            Prefix::Tls => (true, wanted.websocket),
            Prefix::Mqtt => (false, false),
            Prefix::Mqtts => (true, false),
            Prefix::Ws => (false, true),
            Prefix::Wss => (true, true),
        };
        if wanted.tls && !tls {
            return Err(AddressError::PlainWithTls);
        }
        if wanted.websocket && !websocket {
            return Err(AddressError::NotWebSocket);
        }
        Ok(Scheme::of(tls, websocket))
    }

    /// Only a WebSocket URL has the ports of the web: with `ws_enable` and a bare host, Mongoose
    /// OS keeps those of MQTT, and applications rely on it.
    fn default_port(self, scheme: Scheme) -> u16 {
        match self {
            Prefix::Ws => 80,
            Prefix::Wss => 443,
            _ if scheme.is_tls() => PORT_TLS,
            _ => PORT_PLAIN,
        }
    }
}

/// Whether two words differ at most in upper and lower case. Not inlined: it is called in loops over tables, and each
/// iteration would get a vectorised comparison of its own.
#[inline(never)]
pub fn same_word(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    same_word(head, prefix).then(|| &text[prefix.len()..])
}

fn split_prefix(text: &str) -> Result<(Prefix, &str), AddressError> {
    let Some((name, rest)) = text.split_once("://") else { return Ok((Prefix::None, text)) };
    match Prefix::ALL.iter().find(|(known, _)| same_word(known, name)) {
        Some((_, prefix)) => Ok((*prefix, rest)),
        None => Err(AddressError::UnknownScheme),
    }
}

/// Whether HTTP can ask for this path and query (RFC 9112, section 3.2.1).
pub fn is_request_target(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

fn check_path(path: &str, prefix: Prefix) -> Result<&str, AddressError> {
    if matches!(prefix, Prefix::Ws | Prefix::Wss) {
        return if path.is_empty() || is_request_target(path) {
            Ok(path)
        } else {
            Err(AddressError::WebSocketPath)
        };
    }
    if path.contains('@') {
        // A password with a slash in it.
        return Err(AddressError::UserInfoEncoding);
    }
    // Many people end a URL with a slash; it means nothing.
    if matches!(path, "" | "/") { Ok("") } else { Err(AddressError::Path) }
}

/// Splits `host:port`; the port is the text after the colon, even if empty.
pub(super) fn split_port(authority: &str) -> Result<(Host<'_>, Option<&str>), AddressError> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (ip, rest) = inner.split_once(']').ok_or(AddressError::OpenBracket)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(AddressError::AfterBracket),
        };
        return Ok((Host::Ipv6(ip), port));
    }
    match authority.split_once(':') {
        None => Ok((Host::Name(authority), None)),
        Some((_, port)) if port.contains(':') => {
            if parse_ipv6(authority).is_some() {
                Ok((Host::Ipv6(authority), None))
            } else {
                Err(AddressError::ManyColons)
            }
        }
        Some((name, port)) => Ok((Host::Name(name), Some(port))),
    }
}

pub(super) enum Host<'a> {
    Name(&'a str),
    Ipv6(&'a str),
}

pub(super) fn check_port(text: &str) -> Result<u16, AddressError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match (text.len(), digits) {
        (0, _) => return Err(AddressError::PortMissing),
        (_, 0) => return Err(AddressError::PortNotANumber),
        (all, some) if some < all => return Err(AddressError::AfterPort),
        _ => {}
    }
    // All digits: what cannot be parsed can only be too large.
    match u16::from_str(text) {
        Ok(0) => Err(AddressError::PortZero),
        Ok(port) => Ok(port),
        Err(_) => Err(AddressError::PortTooLarge),
    }
}

pub(super) fn check_host(host: Host<'_>, is_url: bool) -> Result<String, AddressError> {
    match host {
        Host::Name(name) => check_name(name).map(|()| name.to_owned()),
        Host::Ipv6(text) => {
            let (ip, scope) = parse_ipv6(text).ok_or(AddressError::Ipv6)?;
            // RFC 6874: a URL writes `%25eth0`. A scope that is just `25` is interface 25.
            let scope = scope.map(|s| match s.strip_prefix("25") {
                Some(rest) if is_url && !rest.is_empty() => rest,
                _ => s,
            });
            Ok(scope.map_or_else(|| ip.to_owned(), |scope| format!("{ip}%{scope}")))
        }
    }
}

/// An IPv6 literal, checked, and its scope.
fn parse_ipv6(text: &str) -> Option<(&str, Option<&str>)> {
    let (ip, scope) = match text.split_once('%') {
        Some((ip, scope)) => (ip, Some(scope)),
        None => (text, None),
    };
    Ipv6Addr::from_str(ip).ok()?;
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if scope.is_some_and(|s| s.is_empty() || !s.bytes().all(known)) {
        return None;
    }
    Some((ip, scope))
}

fn check_name(name: &str) -> Result<(), AddressError> {
    if name.is_empty() {
        return Err(AddressError::NoHost);
    }
    if !name.is_ascii() {
        return Err(AddressError::NotAscii);
    }
    // A dot at the end marks a complete name.
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > 253 {
        return Err(AddressError::NameTooLong);
    }
    for label in name.split('.') {
        match label.len() {
            0 => return Err(AddressError::EmptyLabel),
            1..=63 => {}
            _ => return Err(AddressError::LabelTooLong),
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return Err(AddressError::NameCharacter);
        }
    }
    // No top-level domain is a number, but resolvers read `1.2.3` as 1.2.0.3: refuse the guess.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) && Ipv4Addr::from_str(name).is_err() {
        return Err(AddressError::Ipv4);
    }
    Ok(())
}

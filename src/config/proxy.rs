//! Which proxy leads to a server: named in the options, or by the environment.

use super::address::{Scheme, check_host, check_port, same_word, split_port};
use super::address_error::AddressError;
use super::profile::Secret;
use super::user_info;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP CONNECT.
    Http,
    /// The same over TLS.
    Https,
    /// SOCKS5.
    Socks5,
}

/// A proxy's address, taken apart: `http://`, `https://`, `socks5://`, `socks5h://`, with `user:password@` or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// How it is spoken to.
    pub kind: ProxyKind,
    /// Its name, or its IP literal.
    pub host: String,
    /// Its port: default 80, 443 or 1080.
    pub port: u16,
    /// The user there, and the password, which may be empty.
    pub user: Option<(String, Secret<Vec<u8>>)>,
}

/// Why a text is no proxy. The sentences never quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// Another scheme, or none.
    Scheme,
    /// Something behind the port.
    Path,
    /// SOCKS5 has one byte for the length of each.
    LongCredentials,
    /// HTTP Basic separates the two with a colon.
    ColonInUser,
    /// As in a server's address.
    Address(AddressError),
}

impl ProxyError {
    /// The sentence.
    pub fn text(self) -> &'static str {
        match self {
            ProxyError::Scheme => "a proxy begins with http://, https://, socks5:// or socks5h://",
            ProxyError::Path => "a proxy ends after its port",
            ProxyError::LongCredentials => "user name and password for SOCKS5 are 1 to 255 bytes long each",
            ProxyError::ColonInUser => "a user name for an HTTP proxy has no colon",
            ProxyError::Address(error) => error.text(),
        }
    }
}

impl Proxy {
    /// Takes it apart.
    pub fn parse(text: &str) -> Result<Proxy, ProxyError> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(ProxyError::Address(AddressError::Blank));
        }
        let found = user_info::take(text).map_err(ProxyError::Address)?;
        let (text, info) = found.map_or((text.to_owned(), None), |(rest, info)| (rest, Some(info)));
        let (scheme, rest) = text.split_once("://").ok_or(ProxyError::Scheme)?;
        let kinds = [
            ("http", ProxyKind::Http, 80),
            ("https", ProxyKind::Https, 443),
            ("socks5", ProxyKind::Socks5, 1080),
            ("socks5h", ProxyKind::Socks5, 1080),
        ];
        let known = kinds.into_iter().find(|(name, ..)| same_word(name, scheme));
        let (_, kind, default_port) = known.ok_or(ProxyError::Scheme)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(ProxyError::Path);
        }
        let parts = || {
            let (host, port) = split_port(authority)?;
            Ok((check_host(host, true)?, port.map_or(Ok(default_port), check_port)?))
        };
        let (host, port) = parts().map_err(ProxyError::Address)?;
        let user = info
            .filter(|info| info.user.is_some() || info.pass.is_some())
            .map(|info| (info.user.unwrap_or_default(), info.pass.unwrap_or_else(|| Secret(Vec::new()))));
        if let Some((user, password)) = &user {
            let fits = |len: usize| (1..=255).contains(&len);
            match kind {
                ProxyKind::Socks5 if !fits(user.len()) || !fits(password.len()) => {
                    return Err(ProxyError::LongCredentials);
                }
                ProxyKind::Http | ProxyKind::Https if user.contains(':') => {
                    return Err(ProxyError::ColonInUser);
                }
                _ => {}
            }
        }
        Ok(Proxy { kind, host, port, user })
    }
}

/// What the environment says, as it was when the options were set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyVariables {
    /// `http_proxy`: for ws.
    pub http: Option<Secret<String>>,
    /// `https_proxy`: for wss and mqtts.
    pub https: Option<Secret<String>>,
    /// `all_proxy`: for everything that has none of its own.
    pub all: Option<Secret<String>>,
    /// `no_proxy`: which servers are reached without one.
    pub no: String,
}

impl ProxyVariables {
    /// Asks the environment. Lower case goes first; `HTTP_PROXY` is not read, since a web server sets it from a header.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> ProxyVariables {
        let get = |names: [&str; 2]| {
            names.into_iter().filter(|name| !name.is_empty()).find_map(&get).filter(|value| !value.is_empty())
        };
        ProxyVariables {
            http: get(["http_proxy", ""]).map(Secret),
            https: get(["https_proxy", "HTTPS_PROXY"]).map(Secret),
            all: get(["all_proxy", "ALL_PROXY"]).map(Secret),
            no: get(["no_proxy", "NO_PROXY"]).unwrap_or_default(),
        }
    }

    /// The proxy for this server: the name of the variable, and its value.
    pub fn proxy_for(&self, scheme: Scheme, host: &str) -> Option<(&'static str, &str)> {
        if self.is_excepted(host) {
            return None;
        }
        let own = match scheme {
            Scheme::Ws => ("http_proxy", &self.http),
            Scheme::Wss | Scheme::Mqtts => ("https_proxy", &self.https),
            Scheme::Mqtt => ("all_proxy", &self.all),
            Scheme::Unix => return None,
        };
        [own, ("all_proxy", &self.all)]
            .into_iter()
            .find_map(|(name, value)| Some((name, value.as_ref()?.as_str())))
    }

    /// Whether `no_proxy` names the server: itself, its domain with or without a dot before it, `*`, or for an IP address a
    /// network as `192.0.2.0/24`.
    fn is_excepted(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.no.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()).any(|word| {
            if word == "*" || same_word(word, host) {
                return true;
            }
            if let Ok(address) = host.parse() {
                return in_network(word, address);
            }
            let domain = word.strip_prefix("*.").or_else(|| word.strip_prefix('.')).unwrap_or(word);
            let Some(at) = host.len().checked_sub(domain.len()) else { return false };
            let behind_a_dot = at == 0 || host.as_bytes()[at - 1] == b'.';
            host.is_char_boundary(at) && behind_a_dot && same_word(&host[at..], domain)
        })
    }
}

fn in_network(word: &str, address: core::net::IpAddr) -> bool {
    use core::net::IpAddr;
    let (network, bits) = match word.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (word, Some(128)),
    };
    let network = network.trim_start_matches('[').trim_end_matches(']');
    match (network.parse(), address, bits) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address), Some(bits)) => {
            let shift = 32 - bits.min(32);
            u64::from(network.to_bits()) >> shift == u64::from(address.to_bits()) >> shift
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address), Some(bits)) => {
            let shift = 128 - bits.min(128);
            network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_and_what_is_none() {
        let user = |user: &str, pass: &[u8]| Some((user.to_owned(), Secret(pass.to_vec())));
        for (text, kind, host, port, credentials) in [
            ("http://h", ProxyKind::Http, "h", 80, None),
            ("HTTPS://h:8/", ProxyKind::Https, "h", 8, None),
            ("socks5://u:p%40@[::1]:9", ProxyKind::Socks5, "::1", 9, user("u", b"p@")),
            ("socks5h://1.2.3.4", ProxyKind::Socks5, "1.2.3.4", 1080, None),
            ("http://u@h", ProxyKind::Http, "h", 80, user("u", b"")),
        ] {
            let expected = Proxy { kind, host: host.into(), port, user: credentials };
            assert_eq!(Proxy::parse(text), Ok(expected), "{text}");
        }
        let long = format!("socks5://u:{}@h", "p".repeat(256));
        for (text, error) in [
            ("h:8080", ProxyError::Scheme),
            ("socks4://h", ProxyError::Scheme),
            ("", ProxyError::Scheme),
            ("http://h/path", ProxyError::Path),
            ("http://h?x", ProxyError::Path),
            ("http://a%3Ab:c@h", ProxyError::ColonInUser),
            ("socks5://u@h", ProxyError::LongCredentials),
            (&long, ProxyError::LongCredentials),
            ("http://", ProxyError::Address(AddressError::NoHost)),
            ("http://h:0", ProxyError::Address(AddressError::PortZero)),
            ("http://h h", ProxyError::Address(AddressError::Blank)),
            ("http://u:%@h", ProxyError::Address(AddressError::UserInfoEncoding)),
        ] {
            assert_eq!(Proxy::parse(text), Err(error), "{text}");
            assert!(!error.text().is_empty());
        }
    }

    #[test]
    fn variables_go_by_scheme_and_name() {
        let set = |pairs: &'static [(&str, &str)]| {
            ProxyVariables::read(|name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let all = set(&[("http_proxy", "a"), ("HTTPS_PROXY", "b"), ("https_proxy", "c"), ("ALL_PROXY", "d")]);
        for (scheme, value) in [
            (Scheme::Ws, ("http_proxy", "a")),
            (Scheme::Wss, ("https_proxy", "c")),
            (Scheme::Mqtts, ("https_proxy", "c")),
            (Scheme::Mqtt, ("all_proxy", "d")),
        ] {
            assert_eq!(all.proxy_for(scheme, "h"), Some(value));
        }
        assert_eq!(all.proxy_for(Scheme::Unix, ""), None);
        assert_eq!(set(&[("HTTP_PROXY", "evil")]).proxy_for(Scheme::Ws, "h"), None);
        assert_eq!(set(&[("http_proxy", "a")]).proxy_for(Scheme::Wss, "h"), None);
    }

    #[test]
    fn exceptions() {
        let excepted =
            |no: &str, host: &str| ProxyVariables { no: no.into(), ..Default::default() }.is_excepted(host);
        for (no, host) in [
            ("*", "h"),
            ("a, h", "H"),
            ("example.org", "mqtt.example.org"),
            (".example.org", "example.org."),
            ("*.example.org", "a.b.Example.org"),
            ("192.0.2.0/24", "192.0.2.77"),
            ("192.0.2.7", "192.0.2.7"),
            ("0.0.0.0/0", "1.2.3.4"),
            ("[2001:db8::1]", "2001:db8:0::1"),
            ("2001:db8::/32", "2001:db8::5"),
            ("::/0", "::1"),
        ] {
            assert!(excepted(no, host), "{no} {host}");
        }
        for (no, host) in [
            ("", "h"),
            ("ample.org", "example.org"),
            ("org.example", "example.org"),
            ("192.0.2.0/24", "192.0.3.1"),
            ("192.0.2.7", "192.0.2.70"),
            ("2001:db8::/32", "2001:db9::5"),
            ("192.0.2.0/x", "192.0.2.1"),
            ("2.0.2", "192.2.0.2"),
        ] {
            assert!(!excepted(no, host), "{no} {host}");
        }
    }
}

//! SOCKS5.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Dialog, Next, Tunnel, bad_answer, error};
use crate::error::Code;
use crate::transport::LayerError;

const VERSION: u8 = 5;
const NO_CREDENTIALS: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;

/// Which answer is awaited.
pub(super) enum Socks5 {
    Method,
    Credentials,
    Connect,
}

/// The greeting: which ways to prove who we are can be had (RFC 1928, section 3).
pub(super) fn greeting(tunnel: &Tunnel) -> Vec<u8> {
    match tunnel.user {
        Some(_) => vec![VERSION, 2, NO_CREDENTIALS, USER_AND_PASSWORD],
        None => vec![VERSION, 1, NO_CREDENTIALS],
    }
}

/// RFC 1929, section 2. The lengths were checked with the configuration.
fn credentials(user: &str, password: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, user.len() as u8];
    bytes.extend(user.as_bytes());
    bytes.push(password.len() as u8);
    bytes.extend(password);
    bytes
}

/// RFC 1928, section 4. A name goes as it is: the proxy resolves it.
fn connect(tunnel: &Tunnel) -> Vec<u8> {
    let mut bytes = vec![VERSION, 1, 0];
    if let Ok(ip) = tunnel.host.parse::<Ipv4Addr>() {
        bytes.push(1);
        bytes.extend(ip.octets());
    } else if let Ok(ip) = tunnel.host.parse::<Ipv6Addr>() {
        bytes.push(4);
        bytes.extend(ip.octets());
    } else {
        // A host name has at most 253 characters.
        bytes.extend([3, tunnel.host.len() as u8]);
        bytes.extend(tunnel.host.as_bytes());
    }
    bytes.extend(tunnel.port.to_be_bytes());
    bytes
}

impl Dialog for Socks5 {
    fn heard(&mut self, tunnel: &Tunnel, bytes: &[u8]) -> Result<(usize, Next), LayerError> {
        match self {
            Socks5::Method => {
                let &[version, ref rest @ ..] = bytes else { return Ok((0, Next::More)) };
                if version != VERSION {
                    return Err(not_socks(bytes));
                }
                match (rest.first(), &tunnel.user) {
                    (None, _) => Ok((0, Next::More)),
                    (Some(&NO_CREDENTIALS), _) => {
                        *self = Socks5::Connect;
                        Ok((2, Next::Say(connect(tunnel))))
                    }
                    (Some(&USER_AND_PASSWORD), Some((user, password))) => {
                        *self = Socks5::Credentials;
                        Ok((2, Next::Say(credentials(user, password))))
                    }
                    (Some(0xFF), None) => {
                        let help =
                            "it wants a user name and a password: proxy is socks5://user:password@host:port";
                        Err(error(
                            Code::ProxyCredentials,
                            format!("the proxy does not serve everybody: {help}"),
                        ))
                    }
                    (Some(0xFF), Some(_)) => {
                        let text = "the proxy wants credentials of another kind than user name and password";
                        Err(error(Code::ProxyCredentials, text.into()))
                    }
                    (Some(_), _) => Err(bad_answer("it chose a way of authentication that was not offered")),
                }
            }
            Socks5::Credentials => match bytes {
                // Some write their version of SOCKS there.
                [1 | VERSION, 0, ..] => {
                    *self = Socks5::Connect;
                    Ok((2, Next::Say(connect(tunnel))))
                }
                [1 | VERSION, _, ..] => {
                    let text = "the proxy does not accept this user name and password";
                    Err(error(Code::ProxyCredentials, text.into()))
                }
                [] | [1 | VERSION] => Ok((0, Next::More)),
                _ => Err(bad_answer("it is no answer to a user name and a password")),
            },
            Socks5::Connect => {
                let len = match bytes {
                    [VERSION, 0, 0, 1, ..] => 4 + 4 + 2,
                    [VERSION, 0, 0, 4, ..] => 4 + 16 + 2,
                    [VERSION, 0, 0, 3, len, ..] => 4 + 1 + usize::from(*len) + 2,
                    [VERSION, 0, 0, 3] | [VERSION, 0, 0] | [VERSION, 0] | [VERSION] | [] => {
                        return Ok((0, Next::More));
                    }
                    [VERSION, reply, ..] if *reply != 0 => return Err(refused(tunnel, *reply)),
                    _ => return Err(bad_answer("it is no answer to a request of SOCKS5")),
                };
                Ok(if bytes.len() < len { (0, Next::More) } else { (len, Next::Open) })
            }
        }
    }
}

fn refused(tunnel: &Tunnel, reply: u8) -> LayerError {
    let Tunnel { host, port, .. } = tunnel;
    let (code, what) = match reply {
        1 => (Code::ProxyRefused, "it has failed"),
        2 => (Code::ProxyRefused, "its rules do not permit that"),
        3 => (Code::ConnectUnreachable, "the network is unreachable"),
        4 => (Code::ConnectUnreachable, "the host is unreachable, or its name cannot be resolved"),
        5 => (Code::ConnectRefused, "nothing listens there"),
        6 => (Code::ConnectTimeout, "there was no answer in time"),
        7 => (Code::ProxyRefused, "it does not know the command"),
        8 => (Code::ProxyRefused, "it does not know this kind of address"),
        _ => (Code::ProxyRefused, "it does not say why"),
    };
    error(code, format!("the proxy did not connect to {host}:{port}: {what} (reply {reply} of SOCKS5)"))
}

fn not_socks(bytes: &[u8]) -> LayerError {
    bad_answer(match bytes {
        [b'H', b'T', b'T', b'P', ..] | [b'H', ..] => "it is HTTP: write http:// before the proxy",
        [0 | 4, ..] => "it is SOCKS version 4, which resolves no names: use one with version 5",
        _ => "it is no SOCKS5; is this a SOCKS proxy, and at this port?",
    })
}

//! HTTP CONNECT.

use super::{Dialog, Next, Tunnel, bad_answer, error};
use crate::base64;
use crate::error::Code;
use crate::transport::LayerError;

/// So long may an answer be.
const ANSWER: usize = 16 * 1024;
/// So many headers may it have.
const HEADERS: usize = 100;

pub(super) struct Http;

/// The request.
pub(super) fn request(tunnel: &Tunnel) -> Vec<u8> {
    let Tunnel { host, port, user, .. } = tunnel;
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut text = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some((user, password)) = user {
        let pair = [user.as_bytes(), b":", password].concat();
        text += &format!("Proxy-Authorization: Basic {}\r\n", base64::encode(&pair));
    }
    text += "\r\n";
    text.into_bytes()
}

impl Dialog for Http {
    fn heard(&mut self, tunnel: &Tunnel, bytes: &[u8]) -> Result<(usize, Next), LayerError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let len = match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if bytes.len() >= ANSWER => {
                return Err(bad_answer("its headers are longer than 16 KiB"));
            }
            Ok(httparse::Status::Partial) => return Ok((0, Next::More)),
            Err(httparse::Error::TooManyHeaders) => return Err(bad_answer("it has more than 100 headers")),
            Err(_) if bytes.starts_with(&[0x15]) => {
                return Err(bad_answer("it is a TLS alert: write https:// before the proxy"));
            }
            Err(problem) => {
                let what =
                    format!("it is no valid HTTP ({problem}); is this an HTTP proxy, and at this port?");
                return Err(bad_answer(&what));
            }
        };
        match response.code.unwrap_or_default() {
            200..=299 => Ok((len, Next::Open)),
            // An interim answer (RFC 9110, section 15.2).
            100..=199 => Ok((len, Next::More)),
            status => Err(refused(tunnel, status, &response)),
        }
    }
}

fn refused(tunnel: &Tunnel, status: u16, response: &httparse::Response<'_, '_>) -> LayerError {
    let Tunnel { host, port, user, .. } = tunnel;
    let reason = response.reason.filter(|reason| !reason.is_empty());
    let reason = reason.map_or_else(String::new, |reason| format!(" ({})", reason.escape_debug()));
    let (code, help) = match status {
        407 => (Code::ProxyCredentials, wanted(response, user.is_some())),
        403 | 405 | 501 => (
            Code::ProxyRefused,
            format!("it does not permit connections to {host}:{port}; many proxies permit port 443 only"),
        ),
        404 | 502 | 503 => (
            Code::ProxyRefused,
            format!("it could not reach {host}:{port}: is the name right, and does the server run?"),
        ),
        504 => (Code::ProxyRefused, format!("{host}:{port} did not answer it in time")),
        400 => (
            Code::ProxyRefused,
            "it did not understand the request: is it a web server instead of a proxy?".into(),
        ),
        300..=399 => {
            (Code::ProxyRefused, "it points somewhere else: is it a web server instead of a proxy?".into())
        }
        _ => (Code::ProxyRefused, "nothing more is known".into()),
    };
    error(code, format!("the proxy answered CONNECT with HTTP status {status}{reason}: {help}"))
}

/// What it wants with status 407.
fn wanted(response: &httparse::Response<'_, '_>, has_user: bool) -> String {
    let mut schemes: Vec<String> = Vec::new();
    for header in
        response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("Proxy-Authenticate"))
    {
        let word = header.value.split(|byte| *byte == b' ').next().unwrap_or_default();
        schemes.push(String::from_utf8_lossy(word).escape_debug().to_string());
    }
    let basic = schemes.is_empty() || schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
    match (basic, has_user) {
        (true, true) => "it does not accept this user name and password".into(),
        (true, false) => {
            "it wants a user name and a password: proxy is http://user:password@host:port".into()
        }
        (false, _) => format!("it wants credentials by {}, and only Basic is supported", schemes.join(", ")),
    }
}

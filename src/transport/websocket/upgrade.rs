//! The request that makes a WebSocket of an HTTP connection, and its answer (RFC 6455, section 4).

use std::fmt;

use super::frame::Masks;
use crate::base64;
use crate::config::{Secret, Shown};
use crate::error::{Code, Phase};
use crate::transport::LayerError;

/// So long may an answer be.
pub(super) const ANSWER: usize = 16 * 1024;
/// So many headers may it have.
const HEADERS: usize = 100;
/// What the server appends to the key (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The subprotocol (MQTT 3.1.1, section 6.0.0).
const PROTOCOL: &str = "mqtt";

/// What the server is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The server as the header Host names it.
    pub host: String,
    /// The path, with its query.
    pub path: String,
    /// Further headers, checked: lines of `Name: value`, each with its CR LF.
    pub headers: Secret<String>,
}

/// Without the query, in which clouds put signatures, and without the headers.
impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebSocket at {} of {}", Shown(&self.path), self.host)
    }
}

/// The key of a request: 16 bytes in Base64 that no other request has.
pub(super) fn key(numbers: &mut Masks) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&numbers.number().to_ne_bytes());
    bytes[8..].copy_from_slice(&numbers.number().to_ne_bytes());
    base64::encode(&bytes)
}

/// What proves that the answer is one to this key.
fn accept(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    base64::encode(&hash.digest().bytes())
}

fn error(code: Code, text: String) -> LayerError {
    LayerError { code, phase: Phase::WebSocket, text, alert: None }
}

fn bad_answer(what: &str) -> LayerError {
    error(Code::WebSocketBadAnswer, format!("{}: {what}", Code::WebSocketBadAnswer.text()))
}

impl Upgrade {
    /// The request.
    pub(super) fn request(&self, key: &str) -> Vec<u8> {
        let Upgrade { host, path, headers } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n{}\r\n",
            **headers
        )
        .into_bytes()
    }

    /// Looks at the answer, as far as it has come: how long it is, and what is worth a line in the log. `None`: more of it
    /// has to come.
    pub(super) fn answer(&self, key: &str, bytes: &[u8]) -> Result<Option<(usize, Answer)>, LayerError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let len = match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if bytes.len() >= ANSWER => {
                return Err(bad_answer("its headers are longer than 16 KiB"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(bad_answer("it has more than 100 headers"));
            }
            Err(problem) => return Err(not_http(bytes, problem)),
        };
        let status = response.code.unwrap_or_default();
        if status != 101 {
            let reason = response.reason.unwrap_or_default();
            return Err(self.refused(status, reason, response.headers));
        }
        if response.version != Some(1) {
            return Err(bad_answer("it is in HTTP/1.0, and a WebSocket needs HTTP/1.1"));
        }
        let headers = &*response.headers;
        if !has_word(headers, "Upgrade", "websocket") {
            return Err(bad_answer("status 101 without the header Upgrade: websocket"));
        }
        if !has_word(headers, "Connection", "upgrade") {
            return Err(bad_answer("status 101 without the header Connection: Upgrade"));
        }
        match only(headers, "Sec-WebSocket-Accept") {
            Some(found) if found == accept(key).as_bytes() => {}
            Some(_) => {
                let what = "its Sec-WebSocket-Accept does not belong to the key of the request; something between here and \
                            the server may answer in its place, with an old answer";
                return Err(bad_answer(what));
            }
            None => return Err(bad_answer("it does not have one header Sec-WebSocket-Accept")),
        }
        if all(headers, "Sec-WebSocket-Extensions").any(|value| !value.trim_ascii().is_empty()) {
            return Err(bad_answer("it chose an extension, and none was offered"));
        }
        let mut protocols = all(headers, "Sec-WebSocket-Protocol");
        let answer = match (protocols.next(), protocols.next()) {
            (None, _) => Answer::WithoutProtocol,
            (Some(one), None) if one == PROTOCOL.as_bytes() => Answer::Mqtt,
            _ => {
                return Err(bad_answer(
                    "it chose another subprotocol than mqtt, the only one that was offered",
                ));
            }
        };
        Ok(Some((len, answer)))
    }

    /// Another status than 101.
    fn refused(&self, status: u16, reason: &str, headers: &[httparse::Header<'_>]) -> LayerError {
        let path = Shown(&self.path);
        let help = match status {
            200..=299 => format!(
                "an ordinary web server answers there: is {path} the path of its WebSocket (ws_path)?"
            ),
            300..=399 => match only(headers, "Location").and_then(|to| std::str::from_utf8(to).ok()) {
                Some(to) => format!("it points to {:?}: set that as the server", Shown(to).to_string()),
                None => "it points somewhere else".into(),
            },
            400 | 426 => {
                "it may want another version or subprotocol, or a proxy in between does not know WebSocket"
                    .into()
            }
            401 | 403 => "it wants credentials in a header (ws_headers) or in the query of the path".into(),
            404 | 405 | 410 => format!("is {path} the path of its WebSocket (ws_path)?"),
            407 => "a proxy in between wants credentials".into(),
            429 | 503 => "it is busy: try again later".into(),
            500..=599 => "the server, or what is behind it, has failed".into(),
            _ => "nothing is known about this status".into(),
        };
        let reason = if reason.is_empty() { String::new() } else { format!(" ({})", reason.escape_debug()) };
        error(
            Code::WebSocketRefused,
            format!("the server answered the WebSocket request with HTTP status {status}{reason}: {help}"),
        )
    }
}

/// How the server accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With the subprotocol.
    Mqtt,
    /// Without one, though MQTT wants it ([MQTT-6.0.0-4]).
    WithoutProtocol,
}

fn all<'a>(headers: &'a [httparse::Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The value, if there is one header of that name.
fn only<'a>(headers: &'a [httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    let mut values = all(headers, name);
    let first = values.next()?;
    values.next().is_none().then(|| first.trim_ascii())
}

/// Whether a header that is a list has this word.
fn has_word(headers: &[httparse::Header<'_>], name: &str, word: &str) -> bool {
    let is_it = |part: &[u8]| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes());
    all(headers, name).any(|value| value.split(|byte| *byte == b',').any(is_it))
}

/// What is no HTTP at all.
fn not_http(bytes: &[u8], problem: httparse::Error) -> LayerError {
    match bytes {
        [0x15, ..] => error(
            Code::TlsExpected,
            "the server answered with a TLS alert: it wants TLS on this port; write wss:// before the server"
                .into(),
        ),
        [b'H', b'T', b'T', b'P', ..] => bad_answer(&format!("it is no valid HTTP ({problem})")),
        _ => error(
            Code::WebSocketNotSpoken,
            format!("{}: its answer is no HTTP", Code::WebSocketNotSpoken.text()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn the_proof_of_the_example() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// mqtt3: MQTT-6.0.0-3
    /// mqtt5: MQTT-6.0.0-3
    #[test]
    fn the_request() {
        let upgrade = Upgrade {
            host: "h:8083".into(),
            path: "/mqtt?a=b".into(),
            headers: Secret("Authorization: Bearer t\r\n".into()),
        };
        let text = String::from_utf8(upgrade.request("KEY")).unwrap();
        assert!(text.starts_with("GET /mqtt?a=b HTTP/1.1\r\nHost: h:8083\r\n"), "{text}");
        assert!(text.ends_with("Sec-WebSocket-Protocol: mqtt\r\nAuthorization: Bearer t\r\n\r\n"), "{text}");
        assert_eq!(format!("{upgrade:?}"), "WebSocket at /mqtt?*** of h:8083");
        let mut masks = Masks::new();
        assert!(key(&mut masks) != key(&mut masks) && key(&mut masks).len() == 24);
    }
}

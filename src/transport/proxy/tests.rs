//! What a proxy answers, cut anywhere: the way is open, or the error says why not.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};

use mio::{Registry, Token};

use super::{Protocol, Tunnel, wrap};
use crate::config::Secret;
use crate::error::{Code, Phase};
use crate::transport::{Endpoint, LayerError, Stream, Transport};

#[derive(Default)]
struct Wire {
    /// What the proxy says, each after so many bytes of ours.
    says: VecDeque<(usize, Vec<u8>)>,
    comes: VecDeque<u8>,
    heard: Vec<u8>,
    piece: usize,
    ended: bool,
}

#[derive(Clone)]
struct Socket(Arc<Mutex<Wire>>);

impl Socket {
    fn with<T>(&self, look: impl FnOnce(&mut Wire) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Transport for Socket {
    fn register(&mut self, _: &Registry, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) {}

    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.with(|wire| {
            while let Some((after, _)) = wire.says.front()
                && wire.heard.len() >= *after
                && let Some((_, bytes)) = wire.says.pop_front()
            {
                wire.comes.extend(bytes);
            }
            match wire.comes.len().min(buf.len()).min(wire.piece) {
                0 if wire.ended => Ok(0),
                0 => Err(ErrorKind::WouldBlock.into()),
                n => {
                    wire.comes.drain(..n).zip(buf).for_each(|(byte, to)| *to = byte);
                    Ok(n)
                }
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|wire| {
            let n = wire.piece.min(bytes.len());
            wire.heard.extend(&bytes[..n]);
            Ok(n)
        })
    }

    fn shutdown(&mut self) {}

    fn peer(&self) -> Option<Endpoint> {
        None
    }
}

fn tunnel(protocol: Protocol, host: &str, user: Option<(&str, &[u8])>) -> Arc<Tunnel> {
    let user = user.map(|(user, password)| (user.to_owned(), Secret(password.to_vec())));
    Arc::new(Tunnel { protocol, user, host: host.into(), port: 1883 })
}

/// How the conversation ends: what we said, and what came from the server behind it.
fn talk(
    tunnel: &Arc<Tunnel>,
    says: &[(usize, &[u8])],
    piece: usize,
) -> Result<(Vec<u8>, Vec<u8>), LayerError> {
    let says = says.iter().map(|(after, bytes)| (*after, bytes.to_vec())).collect();
    let socket = Socket(Arc::new(Mutex::new(Wire { says, piece, ended: true, ..Wire::default() })));
    let mut stream = wrap(Stream::Other(Box::new(socket.clone())), tunnel);
    for _ in 0..100_000 {
        match stream.handshake() {
            Ok(true) => {
                let mut behind = Vec::new();
                let mut buffer = [0; 16];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    behind.extend(&buffer[..n]);
                }
                return Ok((socket.with(|wire| wire.heard.clone()), behind));
            }
            Ok(false) => {}
            Err(error) => return Err(LayerError::of(&error).unwrap_or_else(|| panic!("{error}")).clone()),
        }
    }
    panic!("it never ends")
}

const PIECES: [usize; 3] = [1, 5, usize::MAX];

#[test]
fn http_opens_the_way() {
    let open = |host: &str, user, says: &[u8]| {
        let tunnel = tunnel(Protocol::Http, host, user);
        let all: Vec<_> = PIECES.map(|piece| talk(&tunnel, &[(1, says)], piece).unwrap()).into();
        assert!(all.iter().all(|one| *one == all[0]));
        (String::from_utf8(all[0].0.clone()).unwrap(), all[0].1.clone())
    };
    let (said, behind) = open("h", None, b"HTTP/1.1 200 Connection established\r\n\r\n");
    assert_eq!(said, "CONNECT h:1883 HTTP/1.1\r\nHost: h:1883\r\n\r\n");
    assert_eq!(behind, b"");
    let (said, behind) =
        open("::1", Some(("us er", b"pass:\xff")), b"HTTP/1.0 204 x\r\nA: b\r\n\r\n\x20\x02");
    assert!(
        said.contains("CONNECT [::1]:1883 ")
            && said.contains("\r\nProxy-Authorization: Basic dXMgZXI6cGFzczr/\r\n\r\n")
    );
    assert_eq!(behind, b"\x20\x02", "what the server said first is not lost");
    let (_, behind) = open("h", None, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx");
    assert_eq!(behind, b"x");
}

#[test]
fn socks_opens_the_way() {
    let v4: &[u8] = &[5, 0, 0, 1, 1, 2, 3, 4, 0, 9];
    let v6: &[u8] = &[5, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 9];
    let name: &[u8] = &[5, 0, 0, 3, 2, b'h', b'h', 0, 9];
    for bound in [v4, v6, name] {
        for piece in PIECES {
            let answer = [bound, b"first"].concat();
            let says: &[(usize, &[u8])] = &[(3, &[5, 0]), (3 + 7 + 5, &answer)];
            let (said, behind) = talk(&tunnel(Protocol::Socks5, "h.org", None), says, piece).unwrap();
            assert_eq!(said, b"\x05\x01\x00\x05\x01\x00\x03\x05h.org\x07\x5b");
            assert_eq!(behind, b"first");
        }
    }
    let user: Option<(&str, &[u8])> = Some(("u", b"pw"));
    for version in [1, 5] {
        let says: &[(usize, &[u8])] = &[(4, &[5, 2]), (4 + 6, &[version, 0]), (4 + 6 + 10, v4)];
        let (said, _) = talk(&tunnel(Protocol::Socks5, "1.2.3.4", user), says, 3).unwrap();
        assert_eq!(said, b"\x05\x02\x00\x02\x01\x01u\x02pw\x05\x01\x00\x01\x01\x02\x03\x04\x07\x5b");
    }
    // It may do without, and takes an IPv6 address.
    let says: &[(usize, &[u8])] = &[(4, &[5, 0]), (4 + 22, v4)];
    let (said, _) = talk(&tunnel(Protocol::Socks5, "::1", user), says, 3).unwrap();
    assert_eq!(&said[4..], b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x07\x5b");
}

#[track_caller]
fn fails(tunnel: &Arc<Tunnel>, says: &[(usize, &[u8])], code: Code, part: &str) {
    for piece in PIECES {
        let error = talk(tunnel, says, piece).map(drop).unwrap_err();
        assert_eq!((error.code, error.phase), (code, Phase::Proxy), "{}", error.text);
        assert!(error.text.contains(part), "{part:?} is not in {:?}", error.text);
        assert!(!error.text.contains("hunter2"), "{}", error.text);
    }
}

#[test]
fn what_http_refuses() {
    let (plain, user) =
        (tunnel(Protocol::Http, "h", None), tunnel(Protocol::Http, "h", Some(("u", b"hunter2"))));
    let basic = b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    fails(&plain, &[(1, basic)], Code::ProxyCredentials, "http://user:password@host:port");
    fails(&user, &[(1, basic)], Code::ProxyCredentials, "does not accept this user name");
    fails(&plain, &[(1, b"HTTP/1.1 407 x\r\n\r\n")], Code::ProxyCredentials, "wants a user name");
    let other = b"HTTP/1.1 407 x\r\nproxy-authenticate: Negotiate\r\nProxy-Authenticate: NTLM abc\r\n\r\n";
    fails(&user, &[(1, other)], Code::ProxyCredentials, "by Negotiate, NTLM, and only Basic");
    for (status, part) in [
        (400, "is it a web server"),
        (301, "is it a web server"),
        (403, "port 443 only"),
        (405, "port 443 only"),
        (404, "could not reach h:1883"),
        (502, "could not reach h:1883"),
        (503, "could not reach h:1883"),
        (504, "did not answer it in time"),
        (418, "nothing more is known"),
    ] {
        let answer = format!("HTTP/1.1 {status} Why\r\n\r\nbody");
        fails(&plain, &[(1, answer.as_bytes())], Code::ProxyRefused, part);
        fails(&plain, &[(1, answer.as_bytes())], Code::ProxyRefused, &format!("status {status} (Why)"));
    }
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(20_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
    for (answer, part) in [
        (&b""[..], "instead of answering"),
        (b"HTTP/1.1 20", "within its answer"),
        (b"\x05\x00", "no valid HTTP"),
        (b"\x15\x03\x03\0\x02\x02\x28", "https:// before the proxy"),
        (b"SSH-2.0\r\n", "is this an HTTP proxy"),
        (b"HTTP/1.1 abc\r\n\r\n", "no valid HTTP"),
        (long.as_bytes(), "longer than 16 KiB"),
        (many.as_bytes(), "more than 100 headers"),
    ] {
        fails(&plain, &[(1, answer)], Code::ProxyBadAnswer, part);
    }
}

#[test]
fn what_socks_refuses() {
    let (plain, user) =
        (tunnel(Protocol::Socks5, "h", None), tunnel(Protocol::Socks5, "h", Some(("u", b"hunter2"))));
    fails(&plain, &[(3, &[5, 0xFF])], Code::ProxyCredentials, "socks5://user:password@host:port");
    fails(&user, &[(4, &[5, 0xFF])], Code::ProxyCredentials, "of another kind");
    fails(&user, &[(4, &[5, 2]), (14, &[1, 1])], Code::ProxyCredentials, "does not accept this user name");
    fails(&user, &[(4, &[5, 2]), (14, &[7, 0])], Code::ProxyBadAnswer, "no answer to a user name");
    for (bytes, part) in [
        (&[5, 2][..], "not offered"),
        (&[5, 1], "not offered"),
        (&[4, 0], "version 4"),
        (&[0, 91], "version 4"),
        (b"HTTP/1.1 400 x\r\n\r\n", "http:// before the proxy"),
        (b"SSH", "is this a SOCKS proxy"),
        (&[5], "within its answer"),
        (&[], "instead of answering"),
    ] {
        fails(&plain, &[(3, bytes)], Code::ProxyBadAnswer, part);
    }
    for (reply, code, part) in [
        (1, Code::ProxyRefused, "it has failed"),
        (2, Code::ProxyRefused, "rules do not permit"),
        (3, Code::ConnectUnreachable, "network is unreachable"),
        (4, Code::ConnectUnreachable, "host is unreachable"),
        (5, Code::ConnectRefused, "nothing listens there"),
        (6, Code::ConnectTimeout, "no answer in time"),
        (7, Code::ProxyRefused, "the command"),
        (8, Code::ProxyRefused, "kind of address"),
        (99, Code::ProxyRefused, "does not say why (reply 99 of SOCKS5)"),
    ] {
        fails(&plain, &[(3, &[5, 0]), (11, &[5, reply, 0, 1, 0, 0, 0, 0, 0, 0])], code, part);
        fails(&plain, &[(3, &[5, 0]), (11, &[5, reply])], code, "did not connect to h:1883");
    }
    for bad in [&[5, 0, 1, 1][..], &[5, 0, 0, 2], &[4, 0, 0, 1], &[5, 0, 0, 0]] {
        fails(&plain, &[(3, &[5, 0]), (11, bad)], Code::ProxyBadAnswer, "no answer to a request");
    }
    for cut in [&[5][..], &[5, 0], &[5, 0, 0, 3], &[5, 0, 0, 3, 9, 1], &[5, 0, 0, 1, 1, 2, 3, 4, 0]] {
        fails(&plain, &[(3, &[5, 0]), (11, cut)], Code::ProxyBadAnswer, "within its answer");
    }
}

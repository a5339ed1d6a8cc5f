//! Whatever the stream below takes and gives at a time: frames are whole and in order, it is known exactly what has gone
//! out, pings are answered, and each way to end says so.

use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;

use super::*;
use crate::config::Secret;
use crate::transport::websocket::frame::Header;

/// What the stream below takes with the next calls, what it took, and what it gives.
#[derive(Default)]
struct Wire {
    next: VecDeque<usize>,
    bytes: Vec<u8>,
    comes: VecDeque<u8>,
    /// At most so many bytes a read.
    piece: usize,
    ended: bool,
    fails: bool,
}

#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Wire>>);

impl Socket {
    fn with<T>(&self, look: impl FnOnce(&mut Wire) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn give(&self, bytes: &[u8]) {
        self.with(|wire| wire.comes.extend(bytes));
    }

    /// Takes everything from now on.
    fn open(&self) {
        self.with(|wire| wire.next = [usize::MAX; 64].into());
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
        self.with(|wire| match wire.comes.len().min(buf.len()).min(wire.piece.max(1)) {
            0 if wire.ended => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            n => {
                wire.comes.drain(..n).zip(buf).for_each(|(byte, to)| *to = byte);
                Ok(n)
            }
        })
    }

    fn short_read_is_all(&self) -> bool {
        true
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|wire| {
            if wire.fails {
                return Err(ErrorKind::BrokenPipe.into());
            }
            match wire.next.pop_front().unwrap_or(0).min(bytes.len()) {
                0 => Err(ErrorKind::WouldBlock.into()),
                n => {
                    wire.bytes.extend(&bytes[..n]);
                    Ok(n)
                }
            }
        })
    }

    fn shutdown(&mut self) {}

    fn peer(&self) -> Option<Endpoint> {
        None
    }
}

/// The frames of a client, unmasked, and how many bytes of an unfinished one follow.
fn frames(mut bytes: &[u8]) -> (Vec<(Opcode, Vec<u8>)>, Vec<u8>) {
    let mut all = Vec::new();
    loop {
        let mut head: Vec<u8> = bytes.iter().copied().take(10).collect();
        if head.len() > 1 {
            assert!(head[1] & 0x80 != 0, "a client masks");
            head[1] &= 0x7F;
        }
        let header = Header::parse(&head).expect("a valid frame");
        let Some(header) = header.filter(|header| bytes.len() >= header.size + 4) else {
            return (all, Vec::new());
        };
        let mask: Vec<u8> = bytes[header.size..header.size + 4].to_vec();
        let plain: Vec<u8> = bytes[header.size + 4..]
            .iter()
            .take(header.len as usize)
            .zip(mask.iter().cycle())
            .map(|(a, b)| a ^ b)
            .collect();
        if plain.len() < header.len as usize {
            return (all, if header.opcode == Opcode::Binary { plain } else { Vec::new() });
        }
        bytes = &bytes[header.size + 4 + plain.len()..];
        all.push((header.opcode, plain));
    }
}

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Protocol: mqtt\r\n";

/// The key of the request that was sent.
fn sent_key(socket: &Socket) -> String {
    let request = socket.with(|wire| String::from_utf8(std::mem::take(&mut wire.bytes)).unwrap());
    let (_, rest) = request.split_once("Sec-WebSocket-Key: ").unwrap();
    rest.split_once("\r\n").unwrap().0.to_owned()
}

fn accept(key: &str) -> String {
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")).digest();
    crate::base64::encode(&digest.bytes())
}

fn begun(path: &str) -> (Socket, Stream) {
    let socket = Socket::default();
    socket.with(|wire| wire.piece = usize::MAX);
    let upgrade = Arc::new(Upgrade { host: "h".into(), path: path.into(), headers: Secret(String::new()) });
    let stream = wrap(Stream::Other(Box::new(socket.clone())), &upgrade);
    (socket, stream)
}

/// A stream after its handshake; `early` came with the answer.
fn greeted(early: &[u8]) -> (Socket, Stream) {
    let (socket, mut stream) = begun("/mqtt");
    socket.open();
    assert!(!stream.handshake().unwrap());
    let proof = accept(&sent_key(&socket));
    socket.give(format!("{ACCEPTED}Sec-WebSocket-Accept: {proof}\r\n\r\n").as_bytes());
    socket.give(early);
    assert!(stream.handshake().unwrap());
    assert_eq!(stream.describe().unwrap(), "WebSocket, subprotocol mqtt");
    socket.with(|wire| wire.next.clear());
    (socket, stream)
}

/// How an answer is refused; `PROOF` in it is the right one.
fn refusal(path: &str, answer: &str, end: bool) -> LayerError {
    let (socket, mut stream) = begun(path);
    socket.open();
    assert!(!stream.handshake().unwrap());
    let proof = accept(&sent_key(&socket));
    socket.give(answer.replace("PROOF", &proof).as_bytes());
    socket.with(|wire| wire.ended = end);
    let error = match stream.handshake() {
        Err(error) => error,
        Ok(done) => panic!("{done}, not refused: {answer}"),
    };
    LayerError::of(&error).unwrap_or_else(|| panic!("{error}")).clone()
}

/// The answer is refused with this error, and a sentence that has this part.
#[track_caller]
fn refused(answer: &str, code: Code, part: &str) {
    let error = refusal("/mqtt?token=secret", answer, true);
    assert_eq!((error.code, error.phase), (code, Phase::WebSocket), "{answer:?}: {}", error.text);
    assert!(error.text.contains(part), "{part:?} is not in {:?}", error.text);
    assert!(!error.text.contains("secret"), "{}", error.text);
}

#[test]
fn each_status_has_its_remedy() {
    use Code::WebSocketRefused as Refused;
    let mut count = 0;
    let mut check = |answer: &str, code, part: &str| {
        refused(answer, code, part);
        count += 1;
    };
    for status in [200, 201, 204, 299] {
        check(
            &format!("HTTP/1.1 {status} OK\r\nContent-Length: 0\r\n\r\n"),
            Refused,
            "is /mqtt?*** the path",
        );
    }
    for status in [301, 302, 303, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Moved\r\nLocation: wss://u:p@other/x?y\r\n\r\n");
        check(&answer, Refused, "it points to \"wss://***@other/x?***\"");
        check(&format!("HTTP/1.1 {status} Moved\r\n\r\n"), Refused, "points somewhere else");
    }
    for (status, part) in [
        (400, "another version or subprotocol"),
        (401, "ws_headers"),
        (403, "ws_headers"),
        (404, "ws_path"),
        (405, "ws_path"),
        (407, "a proxy"),
        (410, "ws_path"),
        (426, "another version"),
        (429, "busy"),
        (500, "has failed"),
        (502, "has failed"),
        (503, "try again later"),
        (504, "has failed"),
        (418, "nothing is known"),
        (100, "nothing is known"),
        (102, "nothing is known"),
    ] {
        for version in ["1.0", "1.1"] {
            for reason in ["", " Why", " \tx"] {
                let answer = format!("HTTP/{version} {status}{reason}\r\nX: y\r\n\r\nbody");
                check(&answer, Refused, &format!("HTTP status {status}"));
                check(&answer, Refused, part);
            }
        }
    }
    assert!(count >= 200, "{count}");
}

#[test]
fn each_wrong_answer_has_its_error_and_its_remedy() {
    use Code::{TlsExpected, WebSocketBadAnswer as Bad, WebSocketNotSpoken};
    let check = refused;
    let with = |lines: &str| format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n");
    let good = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: PROOF\r\n";
    // The headers of status 101.
    check(&with(""), Bad, "without the header Upgrade");
    check(&with(&good.replace("Upgrade: websocket", "Upgrade: h2c")), Bad, "without the header Upgrade");
    check(&with(&good.replace("Connection: Upgrade", "Connection: close")), Bad, "header Connection");
    check(&with(&good.replace("Connection: Upgrade\r\n", "")), Bad, "header Connection");
    check(&with(&good.replace("PROOF", "AAAA")), Bad, "does not belong to the key");
    check(&with(&good.replace("PROOF", "proof")), Bad, "does not belong to the key");
    check(&with(&good.replace("PROOF", "PROOF=")), Bad, "does not belong to the key");
    check(&with(&good.replace("PROOF", "")), Bad, "does not belong to the key");
    check(
        &with(&good.replace("Sec-WebSocket-Accept: PROOF\r\n", "")),
        Bad,
        "one header Sec-WebSocket-Accept",
    );
    check(&with(&format!("{good}Sec-WebSocket-Accept: PROOF\r\n")), Bad, "one header Sec-WebSocket-Accept");
    check(&with(&format!("{good}Sec-WebSocket-Extensions: permessage-deflate\r\n")), Bad, "an extension");
    for protocol in ["MQTT", "mqttv3.1", "chat", "mqtt, chat", ""] {
        check(&with(&format!("{good}Sec-WebSocket-Protocol: {protocol}\r\n")), Bad, "another subprotocol");
    }
    let two = format!("{good}Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: mqtt\r\n");
    check(&with(&two), Bad, "another subprotocol");
    check(&with(good).replace("HTTP/1.1", "HTTP/1.0"), Bad, "HTTP/1.0");
    // The form.
    check(&with(&"X: y\r\n".repeat(101)), Bad, "more than 100 headers");
    check(&format!("HTTP/1.1 101 S\r\nX: {}", "y".repeat(17_000)), Bad, "longer than 16 KiB");
    for broken in
        ["HTTP/1.1 abc\r\n\r\n", "HTTP/9.9 101 S\r\n\r\n", "HTTP/1.1 101 S\r\nno colon\r\n\r\n", "HTTPX"]
    {
        check(broken, Bad, "no valid HTTP");
    }
    check("HTTP/1.1 101 S\r\nX\0: y\r\n\r\n", Bad, "no valid HTTP");
    for cut in ["H", "HTTP/1.1 101", "HTTP/1.1 101 S\r\nUpgr", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n"] {
        check(cut, Bad, "within its answer");
    }
    check("", WebSocketNotSpoken, "closed the connection instead of answering");
    check("\x15\x03\x01\0\x02\x02\x46", TlsExpected, "wss://");
    for other in ["\x20\x02\0\0", "SSH-2.0-OpenSSH\r\n", "220 smtp\r\n", "<html>", "\0\0\0\0"] {
        check(other, WebSocketNotSpoken, "no HTTP");
    }
}

#[test]
fn an_answer_is_accepted_however_it_is_written_and_cut() {
    for lines in [
        "upgrade:WebSocket\r\nCONNECTION: keep-alive, upgrade\r\nSec-WebSocket-Accept:PROOF\r\nsec-websocket-protocol: mqtt\r\n",
        "Server: x\r\nUpgrade: websocket\r\nConnection: close\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: PROOF \r\n",
    ] {
        for piece in [1, 7, usize::MAX] {
            let (socket, mut stream) = begun("/");
            socket.open();
            assert!(!stream.handshake().unwrap());
            let proof = accept(&sent_key(&socket));
            socket.with(|wire| wire.piece = piece);
            socket.give(format!("HTTP/1.1 101 OK\r\n{lines}\r\n").replace("PROOF", &proof).as_bytes());
            socket.give(&[0x82, 2, 7, 8]);
            assert!(stream.handshake().unwrap());
            let mut buffer = [0; 16];
            let mut all: Vec<u8> = Vec::new();
            while let Ok(n @ 1..) = stream.read(&mut buffer) {
                all.extend(&buffer[..n]);
            }
            assert_eq!(all, [7, 8]);
        }
    }
}

#[test]
fn frames_that_came_with_the_answer_are_not_lost() {
    let (socket, mut stream) = greeted(&[0x82, 3, 1, 2, 3, 0x89, 1, b'p', 0x82, 1, 4]);
    socket.open();
    assert!(stream.has_unread());
    let mut buffer = [0; 4];
    let mut all: Vec<u8> = Vec::new();
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        all.extend(&buffer[..n]);
    }
    assert_eq!(all, [1, 2, 3, 4]);
    assert!(!stream.has_unread());
    assert_eq!(frames(&socket.with(|wire| wire.bytes.clone())).0, [(Opcode::Pong, b"p".to_vec())]);
}

#[test]
fn close_codes_are_explained_and_answered() {
    let close = |code: u16, reason: &str| {
        let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
        [&[0x88, payload.len() as u8][..], &payload].concat()
    };
    for (code, reason, text) in [
        (1000, "", "with code 1000 (normal closure)"),
        (1001, "bye", "with code 1001 (going away): \"bye\""),
        (
            1008,
            "no\nway",
            "with code 1008 (policy violation: the server may want other credentials): \"no\\nway\"",
        ),
        (4711, "", "with code 4711 (a code of the server's own)"),
    ] {
        let (socket, mut stream) = greeted(&[]);
        socket.open();
        socket.give(&[0x82, 1, 9]);
        socket.give(&close(code, reason));
        let mut buffer = [0; 64];
        assert_eq!(stream.read(&mut buffer).unwrap(), 1);
        assert!(stream.has_unread() && !stream.short_read_is_all());
        let error = stream.read(&mut buffer).unwrap_err();
        let error = LayerError::of(&error).unwrap();
        assert_eq!((error.code, error.phase), (Code::ClosedByServer, Phase::None));
        assert!(error.text.ends_with(text), "{}", error.text);
        let answer = (Opcode::Close, code.to_be_bytes().to_vec());
        assert_eq!(frames(&socket.with(|wire| wire.bytes.clone())).0, [answer]);
    }
    // The answer to our own is the end of the stream, and no error.
    let (socket, mut stream) = greeted(&[]);
    socket.open();
    stream.shutdown();
    socket.give(&close(1000, ""));
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    let ours = (Opcode::Close, 1000_u16.to_be_bytes().to_vec());
    assert_eq!(frames(&socket.with(|wire| wire.bytes.clone())).0, [ours]);
}

#[test]
fn a_violation_closes_with_1002_and_says_what_it_was() {
    let (socket, mut stream) = greeted(&[]);
    socket.open();
    socket.give(&[0x81, 1, b'x']);
    let error = stream.read(&mut [0; 8]).unwrap_err();
    let error = LayerError::of(&error).unwrap();
    assert_eq!((error.code, error.phase), (Code::WebSocketProtocol, Phase::WebSocket));
    assert!(error.text.ends_with("it sent a text frame: MQTT travels in binary ones"), "{}", error.text);
    let answer = (Opcode::Close, 1002_u16.to_be_bytes().to_vec());
    assert_eq!(frames(&socket.with(|wire| wire.bytes.clone())).0, [answer]);
}

/// A write that fails because the server closed says why it closed.
#[test]
fn a_failed_write_looks_for_the_reason() {
    let (socket, mut stream) = greeted(&[]);
    socket.give(&[0x88, 6, 0x03, 0xF0, b'n', b'o', b'p', b'e']);
    socket.with(|wire| wire.fails = true);
    assert_eq!(stream.write(b"x").unwrap(), 1);
    let error = stream.flush().unwrap_err();
    assert!(LayerError::of(&error).unwrap().text.contains("1008"), "{error}");
}

/// What a ping brings out in between is not counted before the writer looks.
#[test]
fn a_pong_behind_a_blocked_frame_changes_no_count() {
    let (socket, mut stream) = greeted(&[]);
    socket.with(|wire| wire.next = [10].into());
    assert_eq!(stream.write(&[1; 20]).unwrap(), 20);
    assert_eq!(stream.unsent(), 16, "10 bytes went out, 6 of them header and mask");
    socket.open();
    socket.give(&[0x89, 2, b'h', b'i']);
    assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(stream.unsent(), 16);
    stream.flush().unwrap();
    assert_eq!(stream.unsent(), 0);
    let expected = [(Opcode::Binary, vec![1; 20]), (Opcode::Pong, b"hi".to_vec())];
    assert_eq!(frames(&socket.with(|wire| wire.bytes.clone())).0, expected);
}

/// A server that sends pings and reads nothing does not fill the memory.
#[test]
fn pings_do_not_pile_up() {
    let (socket, mut stream) = greeted(&[]);
    for n in 0..100_u8 {
        socket.give(&[0x89, 1, n]);
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    socket.open();
    stream.flush().unwrap();
    stream.flush().unwrap();
    let expected = [(Opcode::Pong, vec![0]), (Opcode::Pong, vec![99])];
    assert_eq!(frames(&socket.with(|wire| wire.bytes.clone())).0, expected);
}

proptest! {
    /// The same bytes arrive, and what is unsent is what is missing there.
    #[test]
    fn what_has_gone_out_is_known_exactly(
        pieces in proptest::collection::vec((1_usize..40_000, proptest::collection::vec(0_usize..30_000, 0..4), any::<bool>()), 1..12),
    ) {
        let (socket, mut stream) = greeted(&[]);
        let (mut given, mut next) = (Vec::<u8>::new(), 0_u8);
        for (len, takes, ping) in pieces {
            if ping {
                socket.give(&[0x89, 1, 7]);
                let _ = stream.read(&mut [0; 8]);
            }
            socket.with(|wire| wire.next = takes.into());
            let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
            match stream.write(&bytes) {
                Ok(n) => given.extend(&bytes[..n]),
                Err(error) => {
                    prop_assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    next = next.wrapping_sub(len as u8);
                }
            }
            let (whole, part) = frames(&socket.with(|wire| wire.bytes.clone()));
            let data: Vec<u8> =
                whole.into_iter().filter(|(opcode, _)| *opcode == Opcode::Binary).flat_map(|(_, bytes)| bytes).collect();
            let arrived = data.len() + part.len();
            prop_assert_eq!(stream.unsent(), given.len() - arrived);
            prop_assert_eq!(&[&data[..], &part].concat()[..], &given[..arrived]);
        }
        socket.open();
        stream.flush().unwrap();
        prop_assert_eq!(stream.unsent(), 0);
        stream.shrink();
    }
}

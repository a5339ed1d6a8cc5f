//! Whatever the frames and wherever the stream is cut: the same bytes come out, and the same end.

use proptest::prelude::*;

use super::frame::Violation;
use super::incoming::{Incoming, Stop};

/// A frame of a server.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let mut bytes = vec![first];
    match len {
        0..126 => bytes.push(len as u8),
        126..0x1_0000 => {
            bytes.push(126);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// What comes out of a stream that arrives in pieces of these lengths: the payload, the pings, the end.
fn unwrapped(stream: &[u8], pieces: &[usize]) -> (Vec<u8>, Vec<Vec<u8>>, Option<Stop>) {
    let (mut incoming, mut all, mut pings) = (Incoming::default(), Vec::new(), Vec::new());
    let (mut rest, mut pieces) = (stream, pieces.iter().cycle());
    while !rest.is_empty() {
        let n = (*pieces.next().unwrap()).clamp(1, rest.len());
        let mut piece = rest[..n].to_vec();
        rest = &rest[n..];
        let (len, stop) = incoming.unwrap(&mut piece);
        all.extend(&piece[..len]);
        pings.extend(incoming.take_ping().map(|(payload, len)| payload[..usize::from(len)].to_vec()));
        if stop.is_some() {
            return (all, pings, stop);
        }
    }
    (all, pings, None)
}

#[derive(Clone, Debug)]
enum Part {
    /// A message, cut into frames of these lengths, with pings in between.
    Message(Vec<u8>, Vec<usize>, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn part() -> impl Strategy<Value = Part> {
    let bytes = |most: usize| proptest::collection::vec(any::<u8>(), 0..most);
    prop_oneof![
        4 => (prop_oneof![3 => bytes(40), 1 => bytes(300)], proptest::collection::vec(0_usize..200, 1..5), any::<bool>())
            .prop_map(|(bytes, cuts, pings)| Part::Message(bytes, cuts, pings)),
        1 => bytes(126).prop_map(Part::Ping),
        1 => bytes(126).prop_map(Part::Pong),
    ]
}

/// The stream of the parts, and the payload in it.
fn stream_of(parts: &[Part]) -> (Vec<u8>, Vec<u8>) {
    let (mut stream, mut payload) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Message(bytes, cuts, pings) => {
                payload.extend(bytes);
                let (mut rest, mut first) = (&bytes[..], true);
                for cut in cuts {
                    let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                    stream.extend(frame(if first { 2 } else { 0 }, piece));
                    if *pings {
                        stream.extend(frame(0x89, b"between"));
                    }
                    (rest, first) = (behind, false);
                }
                stream.extend(frame(0x80, rest));
            }
            Part::Ping(bytes) => stream.extend(frame(0x89, bytes)),
            Part::Pong(bytes) => stream.extend(frame(0x8A, bytes)),
        }
    }
    (stream, payload)
}

proptest! {
    #[test]
    fn any_frames_in_any_pieces_give_the_same_bytes(
        parts in proptest::collection::vec(part(), 0..12),
        pieces in proptest::collection::vec(1_usize..80, 1..8),
        close in any::<Option<bool>>(),
    ) {
        let (mut stream, payload) = stream_of(&parts);
        let end = close.map(|with_code| match with_code {
            true => (frame(0x88, b"\x03\xF3gone"), Stop::Closed(Some((1011, "gone".to_owned())))),
            false => (frame(0x88, b""), Stop::Closed(None)),
        });
        if let Some((bytes, _)) = &end {
            stream.extend(bytes);
            stream.extend(b"what follows does not count");
        }
        let stop = end.map(|(_, stop)| stop);
        for pieces in [&pieces[..], &[1], &[usize::MAX]] {
            let (found, _, found_stop) = unwrapped(&stream, pieces);
            prop_assert_eq!(&found, &payload);
            prop_assert_eq!(&found_stop, &stop);
        }
    }

    /// Hostile bytes: no panic, never more out than in, and the end does not depend on the pieces.
    #[test]
    fn any_bytes_in_any_pieces_end_the_same(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x82), Just(0), Just(1)], 0..200),
        pieces in proptest::collection::vec(1_usize..9, 1..8),
    ) {
        let whole = unwrapped(&bytes, &[usize::MAX]);
        prop_assert!(whole.0.len() <= bytes.len());
        for pieces in [&pieces[..], &[1]] {
            let (found, _, stop) = unwrapped(&bytes, pieces);
            prop_assert_eq!((&found, &stop), (&whole.0, &whole.2));
        }
    }
}

#[test]
fn every_ping_is_told_and_the_last_of_many_at_once_is_answered() {
    let stream = [frame(0x89, b"one"), frame(0x89, b"two"), frame(0x89, b"")].concat();
    assert_eq!(unwrapped(&stream, &[5]).1, [b"one".to_vec(), b"two".to_vec(), Vec::new()]);
    assert_eq!(unwrapped(&stream, &[usize::MAX]).1, [Vec::<u8>::new()]);
}

/// Streams that a server must not send, each with what is wrong with it: on its own, behind a message, within a message of
/// several frames, and byte by byte.
/// mqtt3: MQTT-6.0.0-1
/// mqtt5: MQTT-6.0.0-1
#[test]
fn what_breaks_the_rules_is_refused() {
    use Violation as V;
    let mut cases: Vec<(Vec<u8>, V)> = Vec::new();
    for reserved in 1..8 {
        for opcode in [0, 2, 8, 9, 10] {
            cases.push((vec![0x80 | reserved << 4 | opcode, 0], V::Reserved));
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push((vec![0x80 | opcode, 0], V::Opcode));
        cases.push((vec![opcode, 0], V::Opcode));
    }
    cases.push((frame(0x81, b"text"), V::Text));
    cases.push((frame(0x01, b"text"), V::Text));
    for opcode in [2, 8, 9, 10] {
        for len in [0, 1, 125, 126, 127] {
            cases.push((vec![0x80 | opcode, 0x80 | len, 0, 0, 0, 0], V::Masked));
        }
    }
    for opcode in [8, 9, 10] {
        cases.push((frame(0x80 | opcode, &[0; 126]), V::LongControl));
        cases.push((frame(0x80 | opcode, &[0; 70_000]), V::LongControl));
        cases.push((frame(opcode, b"x"), V::SplitControl));
        cases.push((frame(opcode, b""), V::SplitControl));
    }
    for len in [0, 1, 125] {
        cases.push((vec![0x82, 126, 0, len], V::Length));
    }
    for len in [0_u64, 125, 126, 65_535] {
        cases.push(([&[0x82, 127][..], &len.to_be_bytes()].concat(), V::Length));
    }
    for len in [1_u64 << 63, u64::MAX] {
        cases.push(([&[0x82, 127][..], &len.to_be_bytes()].concat(), V::Huge));
    }
    for code in (0..1000).step_by(97).chain([999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535]) {
        cases.push((frame(0x88, &(code as u16).to_be_bytes()), V::CloseCode));
    }
    for first in [0, 3, 255] {
        cases.push((frame(0x88, &[first]), V::CloseShort));
    }
    for reason in [&b"\xff"[..], b"\xc3", b"ok\xed\xa0\x80", b"\xf5\x80\x80\x80"] {
        cases.push((frame(0x88, &[b"\x03\xe8", reason].concat()), V::CloseText));
    }
    let inside = [(frame(0x82, b"new"), V::NotContinued), (frame(0x02, b"new"), V::NotContinued)];
    let alone = [(frame(0x80, b"on"), V::NothingToContinue), (frame(0x00, b"on"), V::NothingToContinue)];
    let mut streams = 0;
    let mut check = |before: &[u8], payload: &[u8], case: &[u8], violation| {
        let stream = [before, case].concat();
        for piece in [1, 3, usize::MAX] {
            let (found, _, stop) = unwrapped(&stream, &[piece]);
            assert_eq!((&found[..], stop), (payload, Some(Stop::Broken(violation))), "{case:02x?}");
        }
        streams += 1;
    };
    let (message, open) = (frame(0x82, b"message"), frame(0x02, b"begin"));
    for (case, violation) in &cases {
        check(b"", b"", case, *violation);
        check(&message, b"message", case, *violation);
        // Within a message a frame of the same kind is wrong for the same reason, as long as its header shows that.
        check(&open, b"begin", case, *violation);
    }
    for (case, violation) in &inside {
        check(&open, b"begin", case, *violation);
    }
    for (case, violation) in &alone {
        check(&message, b"message", case, *violation);
        check(b"", b"", case, *violation);
    }
    assert!(streams >= 200, "{streams}");
    let shown: Vec<V> = cases.iter().chain(&inside).chain(&alone).map(|(_, violation)| *violation).collect();
    for violation in V::ALL {
        assert!(shown.contains(violation), "{violation:?} has no case");
    }
}

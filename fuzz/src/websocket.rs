//! Frames of a WebSocket server: wherever the stream is cut, the same bytes come out, and the same end.

use mgos_mqtt::transport::websocket::{Incoming, Stop};

/// What comes out of a stream in pieces of this length: the payload, and why nothing counts any more.
fn unwrapped(stream: &[u8], piece: usize) -> (Vec<u8>, Option<Stop>) {
    let (mut incoming, mut all) = (Incoming::default(), Vec::new());
    for piece in stream.chunks(piece) {
        let mut bytes = piece.to_vec();
        let (len, stop) = incoming.unwrap(&mut bytes);
        assert!(len <= bytes.len());
        all.extend_from_slice(&bytes[..len]);
        if let Some((_, len)) = incoming.take_ping() {
            assert!(len <= 125 && !incoming.has_ping());
        }
        if stop.is_some() {
            return (all, stop);
        }
    }
    (all, None)
}

/// The first byte says where it is cut, the rest is the stream.
pub fn run(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else { return };
    let whole = unwrapped(stream, stream.len().max(1));
    assert_eq!(unwrapped(stream, usize::from(first).max(1)), whole);
    assert_eq!(unwrapped(stream, 1), whole);
}

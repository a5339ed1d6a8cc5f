//! What a frame begins with (RFC 6455, section 5.2), masks, and close codes.

use std::hash::{BuildHasher, RandomState};

use crate::error::{Code, Phase};
use crate::transport::LayerError;

/// The longest beginning of a frame that a server may send: without a mask.
pub(super) const HEADER: usize = 10;
/// The longest beginning of one of ours.
pub(super) const OWN_HEADER: usize = 14;
/// The longest payload of a control frame (section 5.5).
pub(super) const CONTROL: usize = 125;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

macro_rules! violations {
    ($($variant:ident = $text:literal;)*) => {
        /// What a server must not send.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Violation { $(#[doc = $text] $variant,)* }

        impl Violation {
            /// Each of them.
            pub const ALL: &'static [Violation] = &[$(Violation::$variant,)*];

            /// The end of a sentence that begins with "the server sent".
            pub const fn text(self) -> &'static str {
                match self { $(Violation::$variant => $text,)* }
            }
        }
    };
}

violations! {
    Reserved = "a frame with reserved bits, which only an extension uses, and none was asked for";
    Opcode = "a frame with an opcode that does not exist";
    Text = "a text frame: MQTT travels in binary ones";
    Masked = "a masked frame: only a client masks";
    LongControl = "a control frame of more than 125 bytes";
    SplitControl = "a control frame in several pieces";
    Length = "a frame with its length written longer than needed";
    Huge = "a frame with a length of more than 63 bits";
    NothingToContinue = "a continuation, and there is no message that it continues";
    NotContinued = "a new message before the last one was complete";
    CloseCode = "a close frame with a code that must not be sent";
    CloseShort = "a close frame with half a code";
    CloseText = "a close frame with a reason that is not UTF-8";
}

impl Violation {
    pub(super) fn error(self) -> LayerError {
        LayerError {
            code: Code::WebSocketProtocol,
            phase: Phase::WebSocket,
            text: format!("{}: it sent {}", Code::WebSocketProtocol.text(), self.text()),
            alert: None,
        }
    }
}

/// The beginning of a frame of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    /// The last frame of its message.
    pub(super) last: bool,
    /// The length of the payload.
    pub(super) len: u64,
    /// How many bytes this is.
    pub(super) size: usize,
}

impl Header {
    /// The header that `bytes` begin with; `None`: more of it has to come. A violation is reported with the first byte that
    /// shows it.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Violation::Reserved);
        }
        let opcode = match first & 0xF {
            0 => Opcode::Continuation,
            1 => return Err(Violation::Text),
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(Violation::Opcode),
        };
        let last = first & 0x80 != 0;
        let is_control = opcode as u8 >= 8;
        if is_control && !last {
            return Err(Violation::SplitControl);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & 0x80 != 0 {
            return Err(Violation::Masked);
        }
        if is_control && usize::from(second) > CONTROL {
            return Err(Violation::LongControl);
        }
        let (len, size) = match (second, bytes) {
            (126, [_, _, high, low, ..]) => {
                let len = u64::from(u16::from_be_bytes([*high, *low]));
                if len < 126 {
                    return Err(Violation::Length);
                }
                (len, 4)
            }
            (127, [_, _, eight @ ..]) if let Some(eight) = eight.first_chunk() => {
                let len = u64::from_be_bytes(*eight);
                match len {
                    0..0x1_0000 => return Err(Violation::Length),
                    0x8000_0000_0000_0000.. => return Err(Violation::Huge),
                    _ => (len, 10),
                }
            }
            (126 | 127, _) => return Ok(None),
            (len, _) => (u64::from(len), 2),
        };
        Ok(Some(Header { opcode, last, len, size }))
    }
}

/// Appends a frame of a client, which is always masked (section 5.3), whole. The caller has reserved the memory. Returns
/// where its payload begins.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: [u8; 4]) -> usize {
    let mut header = [0x80 | opcode as u8, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let len = payload.len();
    let size = match len {
        0..126 => {
            header[1] |= len as u8;
            2
        }
        126..0x1_0000 => {
            header[1] |= 126;
            header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] |= 127;
            header[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    header[size..size + 4].copy_from_slice(&mask);
    out.extend_from_slice(&header[..size + 4]);
    let begin = out.len();
    out.extend_from_slice(payload);
    apply(mask, &mut out[begin..]);
    begin
}

/// Masks, or takes the mask off. In pieces that the compiler makes vectors of.
fn apply(mask: [u8; 4], bytes: &mut [u8]) {
    let mut pattern = [0; 32];
    for piece in pattern.chunks_exact_mut(4) {
        piece.copy_from_slice(&mask);
    }
    let mut pieces = bytes.chunks_exact_mut(pattern.len());
    for piece in &mut pieces {
        for (byte, mask) in piece.iter_mut().zip(pattern) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in pieces.into_remainder().iter_mut().zip(pattern) {
        *byte ^= mask;
    }
}

/// Numbers that nobody can foresee, as masks have to be: SipHash with a key of the system's. One hash makes two masks.
pub(super) struct Masks {
    key: RandomState,
    count: u64,
    left: Option<[u8; 4]>,
}

impl Masks {
    pub(super) fn new() -> Masks {
        Masks { key: RandomState::new(), count: 0, left: None }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.count += 1;
        self.key.hash_one(self.count)
    }

    pub(super) fn mask(&mut self) -> [u8; 4] {
        if let Some(mask) = self.left.take() {
            return mask;
        }
        let number = self.number();
        self.left = Some(((number >> 32) as u32).to_ne_bytes());
        (number as u32).to_ne_bytes()
    }
}

/// What a close code means (section 7.4.1 and the registry that it founds).
pub(super) fn close_name(code: u16) -> &'static str {
    match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data: the server wants other frames",
        1007 => "invalid data",
        1008 => "policy violation: the server may want other credentials",
        1009 => "message too big for the server",
        1010 => "an extension is missing",
        1011 => "internal error of the server",
        1012 => "the server restarts",
        1013 => "the server is overloaded: try again later",
        1014 => "bad gateway",
        3000 => "unauthorised",
        3003 => "forbidden",
        _ => "a code of the server's own",
    }
}

/// Whether a close frame may carry this code.
pub(super) fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_all_lengths() {
        for (bytes, len, size) in [
            (&[0x82, 0][..], 0, 2),
            (&[0x82, 125], 125, 2),
            (&[0x82, 126, 0, 126], 126, 4),
            (&[0x82, 126, 255, 255], 65_535, 4),
            (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536, 10),
            (&[0x82, 127, 0x7F, 255, 255, 255, 255, 255, 255, 255], u64::MAX >> 1, 10),
        ] {
            let header = Header { opcode: Opcode::Binary, last: true, len, size };
            assert_eq!(Header::parse(bytes), Ok(Some(header)));
            for n in 0..bytes.len() {
                assert_eq!(Header::parse(&bytes[..n]), Ok(None), "{n} of {bytes:?}");
            }
        }
    }

    #[test]
    fn a_frame_of_ours_is_masked_and_as_long_as_it_says() {
        let mask = [1, 2, 3, 4];
        for len in [0, 1, 3, 31, 32, 33, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
            let mut out = vec![0xEE];
            let begin = append(&mut out, Opcode::Binary, &payload, mask);
            assert!(begin - 1 <= OWN_HEADER && out[begin - 4..begin] == mask && out[2] & 0x80 != 0);
            out[2] &= 0x7F;
            let header = Header::parse(&out[1..]).unwrap().unwrap();
            assert_eq!((header.len, header.size + 4), (len as u64, begin - 1));
            let plain: Vec<u8> =
                out[begin..].iter().enumerate().map(|(n, byte)| byte ^ mask[n % 4]).collect();
            assert_eq!(plain, payload);
        }
    }

    #[test]
    fn masks_differ() {
        let (mut one, mut other) = (Masks::new(), Masks::new());
        let all: std::collections::BTreeSet<_> = (0..1000).flat_map(|_| [one.mask(), other.mask()]).collect();
        assert!(all.len() > 1_990, "{}", all.len());
    }
}

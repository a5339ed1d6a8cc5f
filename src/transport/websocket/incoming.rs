//! Frames that come from the server: checked, and unwrapped where they lie.

use super::frame::{CONTROL, HEADER, Header, Opcode, Violation, may_be_sent};

/// After this nothing that comes counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The server closed, with this code and reason, if it said so.
    Closed(Option<(u16, String)>),
    /// It broke the rules.
    Broken(Violation),
}

/// Where the stream of frames is. MQTT does not care for the borders of messages (MQTT 3.1.1, section 6.0.0): what is
/// unwrapped is one stream of bytes.
pub struct Incoming {
    /// The beginning of a header that has not come whole.
    head: [u8; HEADER],
    head_len: u8,
    /// What the present frame is, and how much of its payload is to come.
    opcode: Opcode,
    left: u64,
    /// A message of several frames is not complete.
    unfinished: bool,
    /// The payload of a control frame, as far as it has come.
    control: [u8; CONTROL],
    control_len: u8,
    /// The last ping that came whole and was not answered. Only that one needs to be (RFC 6455, section 5.5.3).
    ping: Option<([u8; CONTROL], u8)>,
}

impl Default for Incoming {
    fn default() -> Self {
        Incoming {
            head: [0; HEADER],
            head_len: 0,
            opcode: Opcode::Binary,
            left: 0,
            unfinished: false,
            control: [0; CONTROL],
            control_len: 0,
            ping: None,
        }
    }
}

impl Incoming {
    /// Takes these bytes as the next ones of the stream, and moves the payload that they carry to their front. Returns its
    /// length, and why nothing counts any more. Payload before that still counts.
    pub fn unwrap(&mut self, bytes: &mut [u8]) -> (usize, Option<Stop>) {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            if self.left == 0 {
                let (taken, header) = match self.header(&bytes[from..]) {
                    Ok(found) => found,
                    Err(violation) => return (to, Some(Stop::Broken(violation))),
                };
                from += taken;
                let Some(header) = header else { break };
                if let Err(violation) = self.begin(header) {
                    return (to, Some(Stop::Broken(violation)));
                }
            }
            let n =
                usize::try_from(self.left).map_or(bytes.len() - from, |left| left.min(bytes.len() - from));
            self.left -= n as u64;
            if matches!(self.opcode, Opcode::Binary | Opcode::Continuation) {
                bytes.copy_within(from..from + n, to);
                to += n;
            } else {
                let at = usize::from(self.control_len);
                self.control[at..at + n].copy_from_slice(&bytes[from..from + n]);
                self.control_len += n as u8;
                if self.left == 0
                    && let Some(stop) = self.control_came()
                {
                    return (to, Some(stop));
                }
            }
            from += n;
        }
        (to, None)
    }

    /// Whether a ping is to be answered.
    pub fn has_ping(&self) -> bool {
        self.ping.is_some()
    }

    /// Its payload.
    pub fn take_ping(&mut self) -> Option<([u8; CONTROL], u8)> {
        self.ping.take()
    }

    /// The header that goes on with `bytes`, and how many of them are its.
    #[inline]
    fn header(&mut self, bytes: &[u8]) -> Result<(usize, Option<Header>), Violation> {
        if self.head_len == 0
            && let Some(header) = Header::parse(bytes)?
        {
            return Ok((header.size, Some(header)));
        }
        for (n, byte) in bytes.iter().enumerate() {
            self.head[usize::from(self.head_len)] = *byte;
            self.head_len += 1;
            if let Some(header) = Header::parse(&self.head[..usize::from(self.head_len)])? {
                self.head_len = 0;
                return Ok((n + 1, Some(header)));
            }
        }
        Ok((bytes.len(), None))
    }

    #[inline]
    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        match (header.opcode, self.unfinished) {
            (Opcode::Binary, true) => return Err(Violation::NotContinued),
            (Opcode::Continuation, false) => return Err(Violation::NothingToContinue),
            (Opcode::Binary | Opcode::Continuation, _) => self.unfinished = !header.last,
            _ => self.control_len = 0,
        }
        (self.opcode, self.left) = (header.opcode, header.len);
        Ok(())
    }

    fn control_came(&mut self) -> Option<Stop> {
        let payload = &self.control[..usize::from(self.control_len)];
        match (self.opcode, payload) {
            (Opcode::Ping, _) => self.ping = Some((self.control, self.control_len)),
            (Opcode::Close, []) => return Some(Stop::Closed(None)),
            (Opcode::Close, [_]) => return Some(Stop::Broken(Violation::CloseShort)),
            (Opcode::Close, [high, low, reason @ ..]) => {
                let code = u16::from_be_bytes([*high, *low]);
                return Some(match std::str::from_utf8(reason) {
                    _ if !may_be_sent(code) => Stop::Broken(Violation::CloseCode),
                    Ok(reason) => Stop::Closed(Some((code, reason.to_owned()))),
                    Err(_) => Stop::Broken(Violation::CloseText),
                });
            }
            _ => {}
        }
        None
    }
}

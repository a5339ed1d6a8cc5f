//! MQTT 3.1 and 3.1.1 as the other side sees it. Written for the simulation alone, so that a mistake of the library's own
//! encoder or decoder does not cancel itself out.

/// A packet, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    Connect { level: u8, client: &'a str, clean: bool, keep_alive: u16, user: Option<&'a str> },
    ConnAck { present: bool, code: u8 },
    Publish { dup: bool, qos: u8, retain: bool, topic: &'a str, id: u16, payload: &'a [u8] },
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    Subscribe { id: u16, filters: Vec<(&'a str, u8)> },
    SubAck { id: u16 },
    Unsubscribe { id: u16, filters: Vec<&'a str> },
    UnsubAck(u16),
    PingReq,
    PingResp,
    Disconnect,
}

/// The length of the packet at the front, and where its body begins; `None` if there is too little to tell.
pub fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (i, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((length + i + 2, i + 2));
        }
    }
    None
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }
    fn id(&mut self) -> Option<u16> {
        self.u16().filter(|id| *id != 0)
    }
    fn text(&mut self) -> Option<&'a str> {
        let n = usize::from(self.u16()?);
        let (text, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

/// Decodes a whole packet whose body begins at `body`; `None` if it is malformed.
pub fn parse(bytes: &[u8], body: usize) -> Option<Packet<'_>> {
    let (kind, flags) = (bytes[0] >> 4, bytes[0] & 15);
    let mut r = Reader(&bytes[body..]);
    if flags != [0, 0, 0, flags, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0][usize::from(kind)] {
        return None;
    }
    let packet = match kind {
        1 => {
            let (name, level) = (r.text()?, r.u8()?);
            if !matches!((name, level), ("MQTT", 4) | ("MQIsdp", 3)) {
                return None;
            }
            let flags = r.u8()?;
            let (keep_alive, client) = (r.u16()?, r.text()?);
            let user = if flags & 0x80 != 0 { Some(r.text()?) } else { None };
            Packet::Connect { level, clean: flags & 2 != 0, keep_alive, client, user }
        }
        2 => Packet::ConnAck { present: r.u8()? == 1, code: r.u8()? },
        3 => {
            let qos = flags >> 1 & 3;
            let topic = r.text()?;
            let id = if qos > 0 { r.id()? } else { 0 };
            let payload = std::mem::take(&mut r.0);
            Packet::Publish { dup: flags & 8 != 0, qos, retain: flags & 1 != 0, topic, id, payload }
        }
        4 => Packet::PubAck(r.id()?),
        5 => Packet::PubRec(r.id()?),
        6 => Packet::PubRel(r.id()?),
        7 => Packet::PubComp(r.id()?),
        8 => {
            let id = r.id()?;
            let mut filters = Vec::new();
            while !r.0.is_empty() {
                filters.push((r.text()?, r.u8()?));
            }
            Packet::Subscribe { id, filters }
        }
        9 => {
            let id = r.id()?;
            r.0 = &[];
            Packet::SubAck { id }
        }
        10 => {
            let id = r.id()?;
            let mut filters = Vec::new();
            while !r.0.is_empty() {
                filters.push(r.text()?);
            }
            Packet::Unsubscribe { id, filters }
        }
        11 => Packet::UnsubAck(r.id()?),
        12 => Packet::PingReq,
        13 => Packet::PingResp,
        14 => Packet::Disconnect,
        _ => return None,
    };
    r.0.is_empty().then_some(packet)
}

/// PUBACK and its like, by packet type.
pub fn ack(kind: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [kind << 4 | if kind == 6 { 2 } else { 0 }, 2, high, low]
}

pub fn publish(out: &mut Vec<u8>, dup: bool, qos: u8, topic: &str, id: u16, payload: &[u8]) {
    let mut left = 2 + topic.len() + if qos > 0 { 2 } else { 0 } + payload.len();
    out.push(0x30 | u8::from(dup) << 3 | qos << 1);
    loop {
        let byte = (left & 0x7f) as u8;
        left >>= 7;
        out.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    if qos > 0 {
        out.extend_from_slice(&id.to_be_bytes());
    }
    out.extend_from_slice(payload);
}

//! MQTT 3.1, 3.1.1 and 5.0 as the other side sees it. Written for the simulation alone, so that a mistake of the library's own
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
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(bytes)
    }
    fn text(&mut self) -> Option<&'a str> {
        let n = usize::from(self.u16()?);
        std::str::from_utf8(self.bytes(n)?).ok()
    }
    /// A block of properties, each of which has to be whole; in MQTT 3 there is none.
    fn properties(&mut self, five: bool) -> Option<()> {
        if !five {
            return Some(());
        }
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut block = Reader(self.bytes(length)?);
        while !block.0.is_empty() {
            match block.u8()? {
                1 | 23 | 25 | 36 | 37 | 40 | 41 | 42 => drop(block.u8()?),
                19 | 33 | 34 | 35 => drop(block.u16()?),
                2 | 17 | 24 | 39 => drop(block.bytes(4)?),
                11 => while block.u8()? & 0x80 != 0 {},
                3 | 8 | 18 | 21 | 26 | 28 | 31 => drop(block.text()?),
                9 | 22 => {
                    let n = usize::from(block.u16()?);
                    block.bytes(n)?;
                }
                38 => {
                    block.text()?;
                    block.text()?;
                }
                _ => return None,
            }
        }
        Some(())
    }
    /// An acknowledgement: its packet id, and the reason code that MQTT 5.0 may add.
    fn ack(&mut self, five: bool) -> Option<(u16, u8)> {
        let id = self.id()?;
        let reason = if five && !self.0.is_empty() { self.u8()? } else { 0 };
        if !self.0.is_empty() {
            self.properties(five)?;
        }
        Some((id, reason))
    }
}

/// Decodes a whole packet of MQTT 3, or 5.0, whose body begins at `body`; `None` if it is malformed, or refuses what the
/// simulation never gives reason to refuse.
pub fn parse(bytes: &[u8], body: usize, five: bool) -> Option<Packet<'_>> {
    let (kind, flags) = (bytes[0] >> 4, bytes[0] & 15);
    let mut r = Reader(&bytes[body..]);
    if flags != [0, 0, 0, flags, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0][usize::from(kind)] {
        return None;
    }
    let packet = match kind {
        1 => {
            let (name, level) = (r.text()?, r.u8()?);
            if !matches!((name, level), ("MQTT", 4 | 5) | ("MQIsdp", 3)) || five != (level == 5) {
                return None;
            }
            let flags = r.u8()?;
            let keep_alive = r.u16()?;
            r.properties(five)?;
            let client = r.text()?;
            let user = if flags & 0x80 != 0 { Some(r.text()?) } else { None };
            Packet::Connect { level, clean: flags & 2 != 0, keep_alive, client, user }
        }
        2 => {
            let (present, code) = (r.u8()? == 1, r.u8()?);
            r.properties(five)?;
            Packet::ConnAck { present, code }
        }
        3 => {
            let qos = flags >> 1 & 3;
            let topic = r.text()?;
            let id = if qos > 0 { r.id()? } else { 0 };
            r.properties(five)?;
            let payload = std::mem::take(&mut r.0);
            Packet::Publish { dup: flags & 8 != 0, qos, retain: flags & 1 != 0, topic, id, payload }
        }
        4..=7 => match (kind, r.ack(five)?) {
            (4, (id, 0)) => Packet::PubAck(id),
            (5, (id, 0)) => Packet::PubRec(id),
            (6, (id, 0)) => Packet::PubRel(id),
            // One that it does not know any more.
            (7, (id, 0 | 0x92)) => Packet::PubComp(id),
            _ => return None,
        },
        8 => {
            let id = r.id()?;
            r.properties(five)?;
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
            r.properties(five)?;
            let mut filters = Vec::new();
            while !r.0.is_empty() {
                filters.push(r.text()?);
            }
            Packet::Unsubscribe { id, filters }
        }
        11 => {
            let id = r.id()?;
            r.0 = if five { &[] } else { r.0 };
            Packet::UnsubAck(id)
        }
        12 => Packet::PingReq,
        13 => Packet::PingResp,
        14 => {
            if five && !r.0.is_empty() {
                r.u8()?;
            }
            if !r.0.is_empty() {
                r.properties(five)?;
            }
            Packet::Disconnect
        }
        _ => return None,
    };
    r.0.is_empty().then_some(packet)
}

/// PUBACK and its like, by packet type.
pub fn ack(kind: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [kind << 4 | if kind == 6 { 2 } else { 0 }, 2, high, low]
}

/// CONNACK, which in MQTT 5.0 has properties, here none.
pub fn connack(five: bool, present: bool, code: u8) -> Vec<u8> {
    let mut bytes = vec![0x20, 2, u8::from(present), code];
    if five {
        bytes[1] = 3;
        bytes.push(0);
    }
    bytes
}

/// What stands in the PUBLISH of a server of MQTT 5.0 before the payload: a user property.
const PROPERTIES: &[u8] = b"\x07\x26\0\x01n\0\x01v";

/// The answer to SUBSCRIBE, with what is granted, or in MQTT 5.0 to UNSUBSCRIBE.
pub fn suback(five: bool, kind: u8, id: u16, codes: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut bytes = vec![kind << 4, 2 + u8::from(five) + codes.len() as u8, high, low];
    bytes.extend(five.then_some(0));
    bytes.extend_from_slice(codes);
    bytes
}

pub fn publish(out: &mut Vec<u8>, five: bool, dup: bool, qos: u8, topic: &str, id: u16, payload: &[u8]) {
    let properties = if five { PROPERTIES } else { &[] };
    let mut left = 2 + topic.len() + if qos > 0 { 2 } else { 0 } + properties.len() + payload.len();
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
    out.extend_from_slice(properties);
    out.extend_from_slice(payload);
}

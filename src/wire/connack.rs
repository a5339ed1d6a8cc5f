//! CONNACK.

use alloc::vec::Vec;

use super::encode::{begin, properties, put_properties};
use super::read::Reader;
use super::{Carrier, EncodeError, Malformed, PacketType, Properties, Version, reason};

const CARRIER: Carrier = Carrier::Packet(PacketType::ConnAck);

/// The server's answer to CONNECT (MQTT 3.1.1 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// The server kept a session for this client (MQTT 3.1.1 §3.2.2.2); always false in MQTT 3.1,
    /// which has no such flag.
    pub session_present: bool,
    /// The return code (MQTT 3.1.1 §3.2.2.3) or reason code (MQTT 5.0 §3.2.2.2); 0 is success.
    /// Codes that MQTT 3.1.1 does not define are kept: the connection is refused in any case.
    pub code: u8,
    /// The properties (MQTT 5.0 §3.2.2.3).
    pub properties: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    /// Decodes the body of a CONNACK.
    ///
    /// A server that does not know MQTT 5.0 refuses a CONNECT of that version with return code 1
    /// in the older form (MQTT 3.1.1 §3.1.2.2). That form is understood, so that the client can
    /// tell why it was refused; its code then is 1, which no MQTT 5.0 packet carries.
    pub fn decode(version: Version, body: &'a [u8]) -> Result<ConnAck<'a>, Malformed> {
        let mut reader = Reader::new(body);
        let flags = reader.u8()?;
        let mut connack =
            ConnAck { session_present: flags & 1 != 0, code: reader.u8()?, properties: Properties::EMPTY };
        if version == Version::V31 {
            // A reserved byte there (MQTT 3.1 §3.2); brokers with one encoder for both set it.
            connack.session_present = false;
            reader.end()?;
            return Ok(connack);
        }
        if flags & !1 != 0 {
            return Err(Malformed::BadConnackFlags);
        }
        if connack.session_present && connack.code != 0 {
            return Err(Malformed::SessionPresentWithError);
        }
        if version == Version::V5 && body != [0, 1] {
            if !reason::valid(PacketType::ConnAck, connack.code) {
                return Err(Malformed::BadReasonCode);
            }
            connack.properties = Properties::read(&mut reader, CARRIER)?;
        }
        reader.end()?;
        Ok(connack)
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.session_present && version == Version::V31 {
            return Err(EncodeError::WrongVersion);
        }
        if self.session_present && self.code != 0 {
            return Err(EncodeError::SessionPresentWithError);
        }
        if version == Version::V5 && !reason::valid(PacketType::ConnAck, self.code) {
            return Err(EncodeError::BadReasonCode);
        }
        begin(out, PacketType::ConnAck, 2 + properties(version, &self.properties, CARRIER)?)?;
        out.push(u8::from(self.session_present));
        out.push(self.code);
        put_properties(out, version, &self.properties);
        Ok(())
    }
}

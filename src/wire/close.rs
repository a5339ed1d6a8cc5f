//! DISCONNECT, and AUTH, which has the same shape.

use alloc::vec::Vec;

use super::encode::{append, begin, encode_empty, properties, put_properties};
use super::header::var_int_len;
use super::read::Reader;
use super::{Carrier, EncodeError, Malformed, PacketType, Properties, PropertyId, Version, reason};

/// The sender is about to close the connection (MQTT 3.1.1 §3.14). Before MQTT 5.0 only the client
/// sends it, without a reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// The reason code; 0 before MQTT 5.0 (MQTT 5.0 §3.14.2.1).
    pub reason: u8,
    /// The properties (MQTT 5.0 §3.14.2.2).
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// Does it say nothing but that the client ends?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reason == reason::SUCCESS && self.properties.is_empty()
    }

    /// Decodes the body of a DISCONNECT.
    pub fn decode(version: Version, body: &'a [u8]) -> Result<Disconnect<'a>, Malformed> {
        let mut reader = Reader::new(body);
        let mut disconnect = Disconnect::default();
        if version == Version::V5 && !reader.is_empty() {
            disconnect.reason = reader.u8()?;
            if !reason::valid(PacketType::Disconnect, disconnect.reason) {
                return Err(Malformed::BadReasonCode);
            }
            // The property length may be left out (MQTT 5.0 §3.14.2.2.1).
            if !reader.is_empty() {
                let carrier = Carrier::Packet(PacketType::Disconnect);
                disconnect.properties = Properties::read(&mut reader, carrier)?;
            }
        }
        reader.end()?;
        Ok(disconnect)
    }

    /// Appends the packet, in its shortest form.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let plain = self.properties.is_empty();
        if self.is_empty() {
            return encode_empty(PacketType::Disconnect, out);
        }
        if version != Version::V5 {
            return Err(EncodeError::WrongVersion);
        }
        if !reason::valid(PacketType::Disconnect, self.reason) {
            return Err(EncodeError::BadReasonCode);
        }
        if plain {
            return append(out, &[PacketType::Disconnect.first_byte(), 1, self.reason]);
        }
        put_reason(PacketType::Disconnect, self.reason, &self.properties, out)
    }
}

/// The size of a DISCONNECT or AUTH with these properties, in bytes; without any it may be shorter.
#[must_use]
pub fn closing_len(properties: &Properties<'_>) -> usize {
    let block = properties.encoded_len();
    let body = 1 + var_int_len(block as u32) + block;
    1 + var_int_len(body as u32) + body
}

/// A step of enhanced authentication, in both directions (MQTT 5.0 §3.15, §4.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success, Continue authentication or Re-authenticate (MQTT 5.0 §3.15.2.1).
    pub reason: u8,
    /// The properties; Authentication Method must be there (MQTT 5.0 §3.15.2.2.2).
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    /// Decodes the body of an AUTH.
    pub fn decode(version: Version, body: &'a [u8]) -> Result<Auth<'a>, Malformed> {
        if version != Version::V5 {
            return Err(Malformed::WrongVersion);
        }
        // Success without properties may be empty (MQTT 5.0 §3.15.2.1).
        if body.is_empty() {
            return Ok(Auth::default());
        }
        let mut reader = Reader::new(body);
        let reason = reader.u8()?;
        if !reason::valid(PacketType::Auth, reason) {
            return Err(Malformed::BadReasonCode);
        }
        let properties = Properties::read(&mut reader, Carrier::Packet(PacketType::Auth))?;
        reader.end()?;
        let auth = Auth { reason, properties };
        if auth.lacks_method() { Err(Malformed::MissingAuthMethod) } else { Ok(auth) }
    }

    /// Appends the packet, in its shortest form.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if version != Version::V5 {
            return Err(EncodeError::WrongVersion);
        }
        if !reason::valid(PacketType::Auth, self.reason) {
            return Err(EncodeError::BadReasonCode);
        }
        if self.lacks_method() {
            return Err(EncodeError::BadProperty);
        }
        if self.reason == reason::SUCCESS && self.properties.is_empty() {
            return append(out, &[PacketType::Auth.first_byte(), 0]);
        }
        put_reason(PacketType::Auth, self.reason, &self.properties, out)
    }

    /// Only the short form may leave the method out, since it has no room for it.
    fn lacks_method(&self) -> bool {
        let short = self.reason == reason::SUCCESS && self.properties.is_empty();
        !short && self.properties.get(PropertyId::AuthenticationMethod).is_none()
    }
}

/// Appends a packet of a reason code and properties.
fn put_reason(
    packet: PacketType,
    reason: u8,
    block: &Properties<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    begin(out, packet, 1 + properties(Version::V5, block, Carrier::Packet(packet))?)?;
    out.push(reason);
    put_properties(out, Version::V5, block);
    Ok(())
}

//! CONNECT and the will inside it.

use alloc::vec::Vec;

use super::encode::{begin, field, properties, put_field, put_properties, put_u16, string};
use super::read::Reader;
use super::{Carrier, EncodeError, Malformed, PacketType, Properties, QoS, Version, topic};

const CARRIER: Carrier = Carrier::Packet(PacketType::Connect);

// The connect flags (MQTT 3.1.1 §3.1.2.3).
const RESERVED: u8 = 0x01;
const CLEAN_SESSION: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_QOS: u8 = 0b11 << WILL_QOS_SHIFT;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// The first packet of a client (MQTT 3.1.1 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version the client speaks, as protocol name and level (MQTT 3.1.1 §3.1.2.1, §3.1.2.2).
    pub version: Version,
    /// Start anew instead of resuming a session (MQTT 3.1.1 §3.1.2.4); Clean Start in MQTT 5.0.
    pub clean_session: bool,
    /// The longest silence of the client in seconds, 0 for no limit (MQTT 3.1.1 §3.1.2.10).
    pub keep_alive: u16,
    /// The properties (MQTT 5.0 §3.1.2.11).
    pub properties: Properties<'a>,
    /// The client identifier (MQTT 3.1.1 §3.1.3.1). Which ones a server takes is the server's
    /// business: its answer is a CONNACK, so no identifier is refused here.
    pub client_id: &'a str,
    /// What the server publishes if the connection is lost (MQTT 3.1.1 §3.1.2.5).
    pub will: Option<Will<'a>>,
    /// The user name (MQTT 3.1.1 §3.1.3.4).
    pub user_name: Option<&'a str>,
    /// The password, any bytes (MQTT 3.1.1 §3.1.3.5).
    pub password: Option<&'a [u8]>,
}

/// The message that the server publishes for a client it lost (MQTT 3.1.1 §3.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it is published (MQTT 3.1.1 §3.1.3.2).
    pub topic: &'a str,
    /// Its payload (MQTT 3.1.1 §3.1.3.3).
    pub payload: &'a [u8],
    /// Its QoS (MQTT 3.1.1 §3.1.2.6).
    pub qos: QoS,
    /// Is it retained (MQTT 3.1.1 §3.1.2.7)?
    pub retain: bool,
    /// The will properties (MQTT 5.0 §3.1.3.2).
    pub properties: Properties<'a>,
}

impl<'a> Connect<'a> {
    /// Decodes the body of a CONNECT, by the version that it names itself.
    pub fn decode(body: &'a [u8]) -> Result<Connect<'a>, Malformed> {
        let mut reader = Reader::new(body);
        let version = read_version(&mut reader)?;
        let flags = reader.u8()?;
        check_flags(version, flags)?;
        let keep_alive = reader.u16()?;
        let block = match version {
            Version::V5 => Properties::read(&mut reader, CARRIER)?,
            _ => Properties::EMPTY,
        };
        let client_id = reader.string()?;
        let will = match flags & WILL {
            0 => None,
            _ => Some(Will::read(&mut reader, version, flags)?),
        };
        // In MQTT 3.1 the remaining length has precedence: a string that was announced by its flag
        // but is not there any more counts as not announced (MQTT 3.1 §3.1).
        let absent = |reader: &Reader<'_>| version == Version::V31 && reader.is_empty();
        let user_name = match flags & USER_NAME != 0 && !absent(&reader) {
            true => Some(reader.string()?),
            false => None,
        };
        let password = match flags & PASSWORD != 0 && !absent(&reader) {
            true => Some(reader.binary()?),
            false => None,
        };
        reader.end()?;
        let clean_session = flags & CLEAN_SESSION != 0;
        Ok(Connect {
            version,
            clean_session,
            keep_alive,
            properties: block,
            client_id,
            will,
            user_name,
            password,
        })
    }

    /// Appends the packet. `version` must be the one that the packet names.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if version != self.version {
            return Err(EncodeError::WrongVersion);
        }
        if version != Version::V5 && self.password.is_some() && self.user_name.is_none() {
            return Err(EncodeError::PasswordWithoutUserName);
        }
        let mut size = 2 + version.protocol_name().len() + 1 + 1 + 2;
        size += properties(version, &self.properties, CARRIER)?;
        size += string(self.client_id)?;
        size += self.will.as_ref().map_or(Ok(0), |will| will.size(version))?;
        size += self.user_name.map_or(Ok(0), string)?;
        size += self.password.map_or(Ok(0), field)?;

        begin(out, PacketType::Connect, size)?;
        put_field(out, version.protocol_name().as_bytes());
        out.push(version.level());
        out.push(self.flags());
        put_u16(out, self.keep_alive);
        put_properties(out, version, &self.properties);
        put_field(out, self.client_id.as_bytes());
        if let Some(will) = &self.will {
            put_properties(out, version, &will.properties);
            put_field(out, will.topic.as_bytes());
            put_field(out, will.payload);
        }
        if let Some(user_name) = self.user_name {
            put_field(out, user_name.as_bytes());
        }
        if let Some(password) = self.password {
            put_field(out, password);
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        let set = |condition: bool, flag: u8| if condition { flag } else { 0 };
        let will = self
            .will
            .map_or(0, |will| WILL | will.qos.bits() << WILL_QOS_SHIFT | set(will.retain, WILL_RETAIN));
        set(self.clean_session, CLEAN_SESSION)
            | will
            | set(self.password.is_some(), PASSWORD)
            | set(self.user_name.is_some(), USER_NAME)
    }
}

impl<'a> Will<'a> {
    fn read(reader: &mut Reader<'a>, version: Version, flags: u8) -> Result<Will<'a>, Malformed> {
        let properties = match version {
            Version::V5 => Properties::read(reader, Carrier::Will)?,
            _ => Properties::EMPTY,
        };
        let topic = reader.string()?;
        topic::valid_name(topic).map_err(topic::TopicError::in_name)?;
        let qos = QoS::from_bits((flags & WILL_QOS) >> WILL_QOS_SHIFT)?;
        Ok(Will { topic, payload: reader.binary()?, qos, retain: flags & WILL_RETAIN != 0, properties })
    }

    fn size(&self, version: Version) -> Result<usize, EncodeError> {
        topic::valid_name(self.topic).map_err(topic::TopicError::in_packet)?;
        let block = properties(version, &self.properties, Carrier::Will)?;
        Ok(block + field(self.topic.as_bytes())? + field(self.payload)?)
    }
}

/// Protocol name and protocol level, which must fit each other.
fn read_version(reader: &mut Reader<'_>) -> Result<Version, Malformed> {
    let name = reader.binary()?;
    let level = reader.u8()?;
    match (name, level) {
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT" | b"MQIsdp", _) => Err(Malformed::BadProtocolLevel),
        _ => Err(Malformed::BadProtocolName),
    }
}

fn check_flags(version: Version, flags: u8) -> Result<(), Malformed> {
    // MQTT 3.1 §3.1 does not use this bit.
    if flags & RESERVED != 0 && version != Version::V31 {
        return Err(Malformed::BadConnectFlags);
    }
    let orphaned = flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0;
    if orphaned || flags & WILL_QOS == WILL_QOS {
        return Err(Malformed::BadWillFlags);
    }
    // MQTT 5.0 §3.1.2.9 allows a password alone.
    if flags & PASSWORD != 0 && flags & USER_NAME == 0 && version != Version::V5 {
        return Err(Malformed::PasswordWithoutUserName);
    }
    Ok(())
}

//! The body of a message's record.

use super::error::{Error, Kind, Result};
use super::record::{Body, MAX_BODY};

const QOS: u8 = 0b11;
const RETAIN: u8 = 1 << 2;
const DEADLINE: u8 = 1 << 3;
const PROPERTIES: u8 = 1 << 4;
const RESERVE_ID: u8 = 1 << 5;

/// A message as the store keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// The topic name, in UTF-8.
    pub topic: &'a [u8],
    /// The properties of MQTT 5.0, encoded, without their length.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: u8,
    /// The server shall retain it.
    pub retain: bool,
    /// It had a packet id from its acceptance on, and gets another one at once after a restart.
    pub reserve_id: bool,
    /// When it was accepted, in seconds since 1970 (UTC).
    pub accepted: u32,
    /// It is not sent for the first time from then on, in milliseconds since 1970 (UTC). 0: it does not expire.
    pub deadline: u64,
}

impl<'a> Message<'a> {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let &Message { topic, properties, payload, qos, retain, reserve_id, accepted, deadline } = self;
        let topic_len = u16::try_from(topic.len())
            .map_err(|_| Error::new(Kind::Usage, "a topic is longer than 65535 bytes"))?;
        let deadline_len = if deadline == 0 { 0 } else { 8 };
        let properties_len = if properties.is_empty() { 0 } else { 4 + properties.len() };
        let size = 7 + topic.len() + deadline_len + properties_len + payload.len();
        if size > MAX_BODY {
            return Err(Error::too_large(size, MAX_BODY));
        }
        out.try_reserve(size).map_err(|_| Error::no_memory())?;
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.push(
            (qos & QOS)
                | flag(retain, RETAIN)
                | flag(deadline != 0, DEADLINE)
                | flag(!properties.is_empty(), PROPERTIES)
                | flag(reserve_id, RESERVE_ID),
        );
        out.extend_from_slice(&accepted.to_le_bytes());
        out.extend_from_slice(&topic_len.to_le_bytes());
        out.extend_from_slice(topic);
        if deadline != 0 {
            out.extend_from_slice(&deadline.to_le_bytes());
        }
        if !properties.is_empty() {
            #[allow(clippy::cast_possible_truncation, reason = "less than MAX_BODY")]
            out.extend_from_slice(&(properties.len() as u32).to_le_bytes());
            out.extend_from_slice(properties);
        }
        out.extend_from_slice(payload);
        Ok(())
    }

    /// The message that a body is; `None` if it is none.
    pub fn decode(body: &'a [u8]) -> Option<Message<'a>> {
        let mut body = Body(body);
        let flags = body.byte()?;
        let accepted = body.u32()?;
        let topic_len = body.u16()?;
        let topic = body.take(usize::from(topic_len))?;
        let deadline = if flags & DEADLINE != 0 { body.u64()? } else { 0 };
        let properties = if flags & PROPERTIES != 0 {
            let len = body.u32()?;
            body.take(len as usize)?
        } else {
            &[]
        };
        let qos = flags & QOS;
        let known = QOS | RETAIN | DEADLINE | PROPERTIES | RESERVE_ID;
        if qos == 3 || flags & !known != 0 || topic.is_empty() {
            return None;
        }
        Some(Message {
            topic,
            properties,
            payload: body.0,
            qos,
            retain: flags & RETAIN != 0,
            reserve_id: flags & RESERVE_ID != 0,
            accepted,
            deadline,
        })
    }
}

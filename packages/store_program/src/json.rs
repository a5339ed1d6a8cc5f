//! A message as a line of JSON:
//!
//! `{"class":0,"token":17,"topic":"a/b","payload":"21.5","qos":1,"retain":false,"accepted":1700000000}`, and with it, where there are
//! any, `"deadline"` (milliseconds since 1970), `"properties"` (Base64) and `"reserve_id"`. A payload that is no text stands in
//! `"payload_base64"`.

use mgos_mqtt_base::base64;
use mgos_mqtt_base::store::{CLASSES, Message};
use serde_json::{Map, Value};

/// The line of a message.
pub(super) fn line(class: u8, token: u64, message: &Message<'_>) -> String {
    let &Message { topic, properties, payload, qos, retain, reserve_id, accepted, deadline } = message;
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| drop(map.insert(name.to_owned(), value));
    put("class", class.into());
    put("token", token.into());
    put("topic", String::from_utf8_lossy(topic).into());
    match core::str::from_utf8(payload) {
        Ok(text) => put("payload", text.into()),
        Err(_) => put("payload_base64", base64::encode(payload).into()),
    }
    put("qos", qos.into());
    put("retain", retain.into());
    put("accepted", accepted.into());
    if deadline != 0 {
        put("deadline", deadline.into());
    }
    if !properties.is_empty() {
        put("properties", base64::encode(properties).into());
    }
    if reserve_id {
        put("reserve_id", true.into());
    }
    Value::Object(map).to_string()
}

/// The class and the body of the message that a line is. Its token is not looked at: it gets a new one.
pub(super) fn parse(line: &str) -> Result<(u8, Vec<u8>), String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let map = value.as_object().ok_or("is not a JSON object")?;
    const KNOWN: [&str; 11] = [
        "class",
        "token",
        "topic",
        "payload",
        "payload_base64",
        "qos",
        "retain",
        "accepted",
        "deadline",
        "properties",
        "reserve_id",
    ];
    if let Some(name) = map.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(format!("there is no field {name}"));
    }
    let number = |name: &str, max: u64| match map.get(name) {
        None => Ok(0),
        Some(value) => value
            .as_u64()
            .filter(|n| *n <= max)
            .ok_or_else(|| format!("{name} must be a number from 0 to {max}")),
    };
    let flag = |name: &str| match map.get(name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| format!("{name} must be true or false")),
    };
    let text = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| format!("{name} must be a string")),
    };
    let bytes = |name: &str| match text(name)? {
        None => Ok(None),
        Some(text) => base64::decode(text).map(Some).ok_or_else(|| format!("{name} is not valid Base64")),
    };
    let topic = text("topic")?.unwrap_or_default();
    if topic.is_empty() || topic.len() > usize::from(u16::MAX) || topic.contains(['+', '#', '\0']) {
        return Err("topic is not a topic name: 1 to 65535 bytes without wildcards and U+0000".to_owned());
    }
    let payload = match (text("payload")?, bytes("payload_base64")?) {
        (Some(_), Some(_)) => {
            return Err("payload and payload_base64 exclude each other: give one".to_owned());
        }
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, bytes) => bytes.unwrap_or_default(),
    };
    let properties = bytes("properties")?.unwrap_or_default();
    let message = Message {
        topic: topic.as_bytes(),
        properties: &properties,
        payload: &payload,
        qos: number("qos", 2)? as u8,
        retain: flag("retain")?,
        reserve_id: flag("reserve_id")?,
        accepted: number("accepted", u64::from(u32::MAX))? as u32,
        deadline: number("deadline", u64::MAX)?,
    };
    let class = number("class", CLASSES as u64 - 1)? as u8;
    let mut body = Vec::new();
    message.encode(&mut body).map_err(|error| error.to_string())?;
    Ok((class, body))
}

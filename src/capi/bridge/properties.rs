//! Properties between C's arrays and the packets, without a copy.

use core::ffi::c_void;
use core::ptr;

use crate::capi::base::boundary::{bytes, explain};
use crate::capi::types::mgos_mqtt_property::mgos_mqtt_property;
use crate::error::Code;
use crate::wire::{
    Carrier, Malformed, PacketType, Properties, Property, PropertyBlock, PropertyId, PropertyKind,
    PropertyList, PropertyValue,
};

/// An array of C's that was checked when it was read.
#[derive(Clone, Copy)]
pub(in crate::capi) struct Array<'a>(&'a [mgos_mqtt_property]);

/// The names of the two fields, for errors.
pub(in crate::capi) type Names = (&'static str, &'static str);

pub(in crate::capi) const PLAIN: Names = ("properties", "num_properties");

impl Array<'_> {
    pub(in crate::capi) const EMPTY: Self = Array(&[]);
}

impl PropertyList for Array<'_> {
    fn at(&self, position: usize) -> Option<Property<'_>> {
        // SAFETY: `read` promises what it points to for as long as the array lives.
        unsafe { property(self.0.get(position)?) }.ok()
    }
}

/// Reads and checks an array that `carrier` is to have.
///
/// # Safety
/// `start` is NULL, or has `n` properties, and they and what they point to are valid and unchanged for `'a`.
pub(in crate::capi) unsafe fn read<'a>(
    start: *const mgos_mqtt_property,
    n: usize,
    carrier: Carrier,
    names: Names,
) -> Result<Array<'a>, Code> {
    if n == 0 {
        return Ok(Array::EMPTY);
    }
    if start.is_null() {
        explain(format_args!("{} is NULL, and {} is {n}", names.0, names.1));
        return Err(Code::NullArgument);
    }
    if n > isize::MAX as usize / size_of::<mgos_mqtt_property>() {
        explain(format_args!("{} is {n}; allowed are 0 to 65535", names.1));
        return Err(Code::BadArgument);
    }
    // SAFETY: not NULL, not too long, and promised by the caller.
    let array = Array(unsafe { core::slice::from_raw_parts(start, n) });
    for (position, one) in array.0.iter().enumerate() {
        // SAFETY: promised by the caller.
        let checked = unsafe { property(one) }.and_then(|(id, _)| match id {
            PropertyId::TopicAlias => Err(Wrong::Says(
                "an alias belongs to one connection, and the message may wait for another one",
            )),
            PropertyId::SubscriptionIdentifier if carrier == Carrier::Packet(PacketType::Publish) => {
                Err(Wrong::Says("only the server tells which subscription a message is for ([MQTT-3.3.4-6])"))
            }
            _ => Ok(()),
        });
        if let Err(why) = checked {
            return Err(refuse(&array, position, carrier, names, why));
        }
    }
    match Properties::from_foreign(&array).fault(carrier) {
        Some((position, why)) => Err(refuse(&array, position, carrier, names, why.into())),
        None => Ok(array),
    }
}

/// The same, as a block that can be kept.
///
/// # Safety
/// As [`read`], until it returns.
pub(in crate::capi) unsafe fn block(
    start: *const mgos_mqtt_property,
    n: usize,
    carrier: Carrier,
    names: Names,
) -> Result<PropertyBlock, Code> {
    // SAFETY: promised by the caller.
    let array = unsafe { read(start, n, carrier, names) }?;
    // It was checked, so what is left is the lack of memory.
    PropertyBlock::new(Properties::from_foreign(&array), carrier).map_err(|_| Code::NoMemory)
}

/// Why a property is not one.
enum Wrong {
    Packet(Malformed),
    Says(&'static str),
}

impl From<Malformed> for Wrong {
    fn from(why: Malformed) -> Wrong {
        Wrong::Packet(why)
    }
}

#[cold]
fn refuse(array: &Array<'_>, position: usize, carrier: Carrier, names: Names, why: Wrong) -> Code {
    let packet = match carrier {
        Carrier::Packet(packet) => packet.name(),
        Carrier::Will => "the will",
    };
    let found = &array.0[position];
    let (name, field) = (PropertyId::from_number(found.id).map_or("unknown", PropertyId::name), names.0);
    let id = found.id;
    match why {
        Wrong::Says(what) => explain(format_args!("{field}[{position}]: {name} ({id}) in {packet}: {what}")),
        Wrong::Packet(Malformed::PropertyNotAllowed) => {
            explain(format_args!("{field}[{position}]: {packet} cannot carry {name} ({id})"));
        }
        Wrong::Packet(Malformed::DuplicateProperty) => {
            explain(format_args!("{field}[{position}]: {packet} can carry {name} ({id}) only once"));
        }
        Wrong::Packet(Malformed::BadPropertyValue) => explain(format_args!(
            "{field}[{position}]: {name} ({id}) in {packet} is {}; allowed are {}",
            found.number,
            allowed(found.id)
        )),
        Wrong::Packet(Malformed::Truncated) => {
            explain(format_args!("{field}[{position}]: {name} ({id}) in {packet} is longer than 65535 bytes"))
        }
        Wrong::Packet(other) => {
            explain(format_args!("{field}[{position}]: {name} ({id}) in {packet}: {}", other.text()));
        }
    }
    Code::BadProperty
}

/// The values that a number can have.
fn allowed(id: u32) -> &'static str {
    match PropertyId::from_number(id).map(|id| (id, id.kind())) {
        Some((_, PropertyKind::Byte)) => "0 and 1",
        Some((_, PropertyKind::VarInt)) => "1 to 268435455",
        Some((PropertyId::ReceiveMaximum | PropertyId::TopicAlias, _)) => "1 to 65535",
        Some((_, PropertyKind::TwoByte)) => "0 to 65535",
        Some((PropertyId::MaximumPacketSize, _)) => "1 to 4294967295",
        _ => "others",
    }
}

/// # Safety
/// What it points to is valid for `'a`.
unsafe fn property<'a>(from: &'a mgos_mqtt_property) -> Result<Property<'a>, Wrong> {
    let id = PropertyId::from_number(from.id).ok_or(Malformed::BadProperty)?;
    let bad_number = Wrong::Packet(Malformed::BadPropertyValue);
    let is_number = matches!(
        id.kind(),
        PropertyKind::Byte | PropertyKind::TwoByte | PropertyKind::FourByte | PropertyKind::VarInt
    );
    if is_number && !(from.value.is_null() && from.value_len == 0) {
        return Err(Wrong::Says("it is a number: set number, not value"));
    }
    if !is_number && from.number != 0 {
        return Err(Wrong::Says("it is not a number: set value and value_len, not number"));
    }
    if id.kind() != PropertyKind::Pair && !(from.name.is_null() && from.name_len == 0) {
        return Err(Wrong::Says("only user properties have a name"));
    }
    // SAFETY: promised by the caller, here and below.
    let value = || unsafe { part(from.value, from.value_len) };
    let text = |bytes: &'a [u8]| core::str::from_utf8(bytes).map_err(|_| Wrong::Says("it is not UTF-8"));
    let value = match id.kind() {
        PropertyKind::Byte => PropertyValue::Byte(u8::try_from(from.number).map_err(|_| bad_number)?),
        PropertyKind::TwoByte => PropertyValue::TwoByte(u16::try_from(from.number).map_err(|_| bad_number)?),
        PropertyKind::FourByte => PropertyValue::FourByte(from.number),
        PropertyKind::VarInt => PropertyValue::VarInt(from.number),
        PropertyKind::Binary => PropertyValue::Binary(value()?),
        PropertyKind::Utf8 => PropertyValue::Utf8(text(value()?)?),
        PropertyKind::Pair => {
            // SAFETY: promised by the caller.
            let name = unsafe { part(from.name, from.name_len) }?;
            PropertyValue::Pair(text(name)?, text(value()?)?)
        }
    };
    Ok((id, value))
}

/// # Safety
/// `start` is NULL or has `len` bytes for `'a`.
unsafe fn part<'a>(start: *const c_void, len: usize) -> Result<&'a [u8], Wrong> {
    // SAFETY: promised by the caller.
    unsafe { bytes(start.cast(), len) }.map_err(|_| Wrong::Says("a pointer is NULL, and its length is not 0"))
}

/// What C sees of a property.
pub(in crate::capi) fn shown((id, value): Property<'_>) -> mgos_mqtt_property {
    let none = ("".as_bytes(), "".as_bytes());
    let (number, (name, value)) = match value {
        PropertyValue::Byte(number) => (u32::from(number), none),
        PropertyValue::TwoByte(number) => (u32::from(number), none),
        PropertyValue::FourByte(number) | PropertyValue::VarInt(number) => (number, none),
        PropertyValue::Binary(bytes) => (0, (none.0, bytes)),
        PropertyValue::Utf8(text) => (0, (none.0, text.as_bytes())),
        PropertyValue::Pair(name, text) => (0, (name.as_bytes(), text.as_bytes())),
    };
    let is_text = !matches!(
        id.kind(),
        PropertyKind::Byte | PropertyKind::TwoByte | PropertyKind::FourByte | PropertyKind::VarInt
    );
    let start = |part: &[u8], has: bool| if has { part.as_ptr().cast() } else { ptr::null() };
    mgos_mqtt_property {
        id: id as u32,
        number,
        name: start(name, id.kind() == PropertyKind::Pair),
        name_len: name.len(),
        value: start(value, is_text),
        value_len: value.len(),
    }
}

/// The next property from a cursor on, for C.
///
/// # Safety
/// `cursor` and `out` are NULL or valid.
pub(in crate::capi) unsafe fn next(
    properties: Properties<'_>,
    cursor: *mut usize,
    out: *mut mgos_mqtt_property,
) -> bool {
    // SAFETY: promised by the caller.
    let (cursor, out) = unsafe { (cursor.as_mut(), out.as_mut()) };
    let (Some(cursor), Some(out)) = (cursor, out) else { return false };
    let found = properties.next_from(cursor);
    let is_there = found.is_some();
    *out = found.map_or(NONE, shown);
    is_there
}

const NONE: mgos_mqtt_property =
    mgos_mqtt_property { id: 0, number: 0, name: ptr::null(), name_len: 0, value: ptr::null(), value_len: 0 };

/// The carrier that a publication's properties are for.
pub(in crate::capi) const PUBLISH: Carrier = Carrier::Packet(PacketType::Publish);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::types::mgos_mqtt_property::*;

    /// Each constant of C is a property of the table, and each property has one.
    #[test]
    fn the_constants_are_those_of_the_table() {
        let text = include_str!("../types/mgos_mqtt_property.rs");
        let mut found: Vec<(String, u32)> = Vec::new();
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("pub const MGOS_MQTT_PROPERTY_") else { continue };
            let (name, number) = rest.split_once(": u32 = ").unwrap();
            found.push((name.into(), number.trim_end_matches(';').parse().unwrap()));
        }
        let wanted: Vec<(String, u32)> = PropertyId::ALL
            .iter()
            .map(|id| {
                let name = id.name().to_uppercase().replace(' ', "_");
                (if name == "USER_PROPERTY" { "USER".into() } else { name }, *id as u32)
            })
            .collect();
        assert_eq!(found, wanted);
        assert_eq!(size_of::<mgos_mqtt_property>(), 8 + 4 * size_of::<usize>());
    }

    #[test]
    fn what_is_read_is_what_is_shown() {
        let user = |name: &'static str, value: &'static str| mgos_mqtt_property {
            id: MGOS_MQTT_PROPERTY_USER,
            name: name.as_ptr().cast(),
            name_len: name.len(),
            value: value.as_ptr().cast(),
            value_len: value.len(),
            ..NONE
        };
        let expiry = mgos_mqtt_property { id: MGOS_MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, number: 7, ..NONE };
        let list = [user("b", "1"), expiry, user("a", "2"), user("b", "")];
        // SAFETY: the array and its strings live.
        let block = unsafe { block(list.as_ptr(), list.len(), PUBLISH, PLAIN) }.unwrap();
        let (mut cursor, mut out) = (0, NONE);
        for wanted in &list {
            // SAFETY: both live.
            assert!(unsafe { next(block.properties(), &mut cursor, &mut out) });
            assert_eq!((out.id, out.number), (wanted.id, wanted.number));
            assert_eq!((out.name_len, out.value_len), (wanted.name_len, wanted.value_len));
        }
        // SAFETY: as above.
        assert!(!unsafe { next(block.properties(), &mut cursor, &mut out) });
        assert_eq!(out.id, 0);
        cursor = usize::MAX;
        // SAFETY: as above; a cursor of nobody finds nothing.
        assert!(!unsafe { next(block.properties(), &mut cursor, &mut out) });
    }
}

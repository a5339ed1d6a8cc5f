//! Property blocks of MQTT 5.0 as a view: over the bytes of a packet, or over a caller's list.

use alloc::vec::Vec;
use core::{fmt, slice};

use super::encode::{put, var_int};
use super::header::var_int_len;
use super::read::Reader;
use super::{Carrier, Malformed, Property, PropertyId, PropertyKind, PropertyValue};

/// The properties of a packet (MQTT 5.0 §2.2.2): a borrowed view, cheap to copy, empty by default.
///
/// Decoding validates a block once and keeps its bytes. A block to be sent is a list of
/// [`Property`], or the bytes of another packet; either is written directly.
#[derive(Clone, Copy)]
pub struct Properties<'a>(Block<'a>);

/// A list of properties that is stored in another form, and read one by one.
pub trait PropertyList {
    /// The property at this position, from 0 on; `None` behind the last one.
    fn at(&self, position: usize) -> Option<Property<'_>>;
}

#[derive(Clone, Copy)]
enum Block<'a> {
    /// The bytes behind the property length; always validated.
    Raw(&'a [u8]),
    /// A caller's list; validated when it is encoded.
    List(&'a [Property<'a>]),
    /// The same in another form; never empty.
    Foreign(&'a dyn PropertyList),
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Properties<'static> = Properties(Block::Raw(&[]));

    /// The properties of a list. They are checked when they are encoded.
    #[must_use]
    pub const fn from_list(list: &'a [Property<'a>]) -> Properties<'a> {
        Properties(Block::List(list))
    }

    /// The properties of a list in another form. They are checked when they are encoded.
    #[must_use]
    pub fn from_foreign(list: &'a dyn PropertyList) -> Properties<'a> {
        if list.at(0).is_none() { Properties::EMPTY } else { Properties(Block::Foreign(list)) }
    }

    /// The properties in the bytes of a block, without its length, as `carrier` may have them.
    pub fn from_raw(block: &'a [u8], carrier: Carrier) -> Result<Properties<'a>, Malformed> {
        let mut check = Check::new(carrier);
        let mut reader = Reader::new(block);
        while !reader.is_empty() {
            check.property(&read_property(&mut reader)?)?;
        }
        check.end()?;
        Ok(Properties(Block::Raw(block)))
    }

    /// The properties in the bytes of a block that was checked before.
    #[inline]
    pub(super) const fn of_checked(block: &'a [u8]) -> Properties<'a> {
        Properties(Block::Raw(block))
    }

    /// The bytes of a block that came; empty for a list.
    #[inline]
    pub const fn raw(&self) -> &'a [u8] {
        match self.0 {
            Block::Raw(block) => block,
            Block::List(_) | Block::Foreign(_) => &[],
        }
    }

    /// Reads a block and its length (MQTT 5.0 §2.2.2.1).
    #[inline]
    pub(super) fn read(reader: &mut Reader<'a>, carrier: Carrier) -> Result<Properties<'a>, Malformed> {
        match reader.var_int()? {
            0 => Ok(Properties::EMPTY),
            length => Properties::from_raw(reader.bytes(length as usize)?, carrier),
        }
    }

    /// The first property that `carrier` cannot have, by its position, and why.
    #[must_use]
    pub fn fault(&self, carrier: Carrier) -> Option<(usize, Malformed)> {
        let mut check = Check::new(carrier);
        let mut count = 0;
        for (position, property) in self.iter().enumerate() {
            if let Err(why) = check.property(&property) {
                return Some((position, why));
            }
            count = position;
        }
        check.end().err().map(|why| (count, why))
    }

    /// The property at `cursor`, which is moved behind it; it begins at 0.
    #[must_use]
    pub fn next_from(&self, cursor: &mut usize) -> Option<Property<'a>> {
        match self.0 {
            Block::Raw(block) => {
                let mut reader = Reader::new(block.get(*cursor..)?);
                let property = read_property(&mut reader).ok()?;
                *cursor = block.len() - reader.rest().len();
                Some(property)
            }
            Block::List(_) | Block::Foreign(_) => {
                let property = self.iter().nth(*cursor)?;
                *cursor += 1;
                Some(property)
            }
        }
    }

    /// Checks the block for a carrier before it is encoded there.
    pub(super) fn check(&self, carrier: Carrier) -> Result<(), Malformed> {
        let mut check = Check::new(carrier);
        for property in self.iter() {
            check.property(&property)?;
        }
        check.end()
    }

    /// Are there none?
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self.0 {
            Block::Raw(block) => block.is_empty(),
            Block::List(list) => list.is_empty(),
            Block::Foreign(_) => false,
        }
    }

    /// The size of the block in bytes, without its length.
    #[inline(always)]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self.0 {
            Block::Raw(block) => block.len(),
            Block::List(list) => list_len(list.iter().copied()),
            Block::Foreign(list) => list_len(PropertiesIter(Cursor::Foreign(list, 0))),
        }
    }

    /// The properties in their order.
    #[must_use]
    pub fn iter(&self) -> PropertiesIter<'a> {
        PropertiesIter(match self.0 {
            Block::Raw(block) => Cursor::Raw(Reader::new(block)),
            Block::List(list) => Cursor::List(list.iter()),
            Block::Foreign(list) => Cursor::Foreign(list, 0),
        })
    }

    /// The first property with this identifier.
    #[must_use]
    pub fn get(&self, id: PropertyId) -> Option<PropertyValue<'a>> {
        self.iter().find(|(found, _)| *found == id).map(|(_, value)| value)
    }

    /// The first property with this identifier, if it is a number of any size.
    #[must_use]
    pub fn number(&self, id: PropertyId) -> Option<u32> {
        match self.get(id)? {
            PropertyValue::Byte(number) => Some(u32::from(number)),
            PropertyValue::TwoByte(number) => Some(u32::from(number)),
            PropertyValue::FourByte(number) | PropertyValue::VarInt(number) => Some(number),
            _ => None,
        }
    }

    /// Where the value of the first property with this identifier is in the bytes of the block.
    #[must_use]
    pub fn value_at(&self, id: PropertyId) -> Option<usize> {
        let mut at = 0;
        for (found, value) in self.iter() {
            if found == id {
                return Some(at + 1);
            }
            at += 1 + value_len(&value);
        }
        None
    }

    /// The first property with this identifier, if it is a string.
    #[must_use]
    pub fn text(&self, id: PropertyId) -> Option<&'a str> {
        match self.get(id)? {
            PropertyValue::Utf8(text) => Some(text),
            _ => None,
        }
    }

    /// The first property with this identifier, if it is binary data.
    #[must_use]
    pub fn bytes(&self, id: PropertyId) -> Option<&'a [u8]> {
        match self.get(id)? {
            PropertyValue::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Appends the block without its length; the room for it is reserved.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self.0 {
            Block::Raw(block) => out.extend_from_slice(block),
            Block::List(_) | Block::Foreign(_) => {
                let start = out.len();
                out.resize(start + self.encoded_len(), 0);
                self.write(&mut out[start..]);
            }
        }
    }

    /// Writes the block without its length to the front of `room`, and returns the rest of it.
    ///
    /// Always inlined: a message without properties is to pay nothing for them.
    #[inline(always)]
    pub(super) fn write<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        if self.is_empty() { room } else { self.write_some(room) }
    }

    #[cold]
    fn write_some<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        match self.0 {
            Block::Raw(block) => put(room, block),
            Block::List(list) => list.iter().fold(room, put_property),
            Block::Foreign(_) => self.iter().fold(room, |room, property| put_property(room, &property)),
        }
    }
}

/// Reads one property, without checking whether it may be there.
fn read_property<'a>(reader: &mut Reader<'a>) -> Result<Property<'a>, Malformed> {
    let id = PropertyId::from_number(reader.var_int()?).ok_or(Malformed::BadProperty)?;
    let value = match id.kind() {
        PropertyKind::Byte => PropertyValue::Byte(reader.u8()?),
        PropertyKind::TwoByte => PropertyValue::TwoByte(reader.u16()?),
        PropertyKind::FourByte => PropertyValue::FourByte(reader.u32()?),
        PropertyKind::VarInt => PropertyValue::VarInt(reader.var_int()?),
        PropertyKind::Binary => PropertyValue::Binary(reader.binary()?),
        PropertyKind::Utf8 => PropertyValue::Utf8(reader.string()?),
        PropertyKind::Pair => PropertyValue::Pair(reader.string()?, reader.string()?),
    };
    Ok((id, value))
}

fn put_property<'r>(room: &'r mut [u8], (id, value): &Property<'_>) -> &'r mut [u8] {
    let field = |room, bytes: &[u8]| put(put(room, &(bytes.len() as u16).to_be_bytes()), bytes);
    // The identifier is a variable byte integer, but none is above 42: one byte.
    let room = put(room, &[*id as u8]);
    match *value {
        PropertyValue::Byte(number) => put(room, &[number]),
        PropertyValue::TwoByte(number) => put(room, &number.to_be_bytes()),
        PropertyValue::FourByte(number) => put(room, &number.to_be_bytes()),
        PropertyValue::VarInt(number) => {
            let (bytes, len) = var_int(number);
            put(room, &bytes[..len])
        }
        PropertyValue::Binary(bytes) => field(room, bytes),
        PropertyValue::Utf8(text) => field(room, text.as_bytes()),
        PropertyValue::Pair(name, text) => field(field(room, name.as_bytes()), text.as_bytes()),
    }
}

#[cold]
fn list_len<'a>(list: impl Iterator<Item = Property<'a>>) -> usize {
    // Saturating: a list may name the same long string any number of times.
    list.fold(0, |sum, (_, value)| sum.saturating_add(1 + value_len(&value)))
}

fn value_len(value: &PropertyValue<'_>) -> usize {
    match *value {
        PropertyValue::Byte(_) => 1,
        PropertyValue::TwoByte(_) => 2,
        PropertyValue::FourByte(_) => 4,
        PropertyValue::VarInt(number) => var_int_len(number),
        PropertyValue::Binary(bytes) => 2 + bytes.len(),
        PropertyValue::Utf8(text) => 2 + text.len(),
        PropertyValue::Pair(name, text) => 4 + name.len() + text.len(),
    }
}

/// The rules of a block, one property after the other.
struct Check {
    carrier: Carrier,
    /// One bit for each identifier seen so far; the highest is 42.
    seen: u64,
}

impl Check {
    fn new(carrier: Carrier) -> Check {
        Check { carrier, seen: 0 }
    }

    fn property(&mut self, (id, value): &Property<'_>) -> Result<(), Malformed> {
        if !id.allowed_in(self.carrier) {
            return Err(Malformed::PropertyNotAllowed);
        }
        if self.has(*id) && !id.repeatable_in(self.carrier) {
            return Err(Malformed::DuplicateProperty);
        }
        self.seen |= 1 << *id as u8;
        // Never the case in bytes; a caller's list may hold anything.
        if value.kind() != id.kind() {
            return Err(Malformed::BadPropertyValue);
        }
        check_fields(value)?;
        id.check_value(value)
    }

    fn has(&self, id: PropertyId) -> bool {
        self.seen & 1 << id as u8 != 0
    }

    /// Authentication data without an authentication method (MQTT 5.0 §3.1.2.11.10).
    fn end(&self) -> Result<(), Malformed> {
        let data = self.has(PropertyId::AuthenticationData);
        if data && !self.has(PropertyId::AuthenticationMethod) {
            return Err(Malformed::MissingAuthMethod);
        }
        Ok(())
    }
}

/// Checks what decoding ensures and a caller's list may violate: lengths and U+0000.
fn check_fields(value: &PropertyValue<'_>) -> Result<(), Malformed> {
    let (first, second): (&[u8], &[u8]) = match value {
        PropertyValue::Binary(bytes) => (bytes, &[]),
        PropertyValue::Utf8(text) => (text.as_bytes(), text.as_bytes()),
        PropertyValue::Pair(name, text) => (name.as_bytes(), text.as_bytes()),
        _ => return Ok(()),
    };
    let most = usize::from(u16::MAX);
    if first.len() > most || second.len() > most {
        return Err(Malformed::Truncated);
    }
    // Binary data may hold any byte.
    let strings = value.kind() != PropertyKind::Binary;
    if strings && (first.contains(&0) || second.contains(&0)) {
        return Err(Malformed::NulInString);
    }
    Ok(())
}

/// Iterates over a property block; see [`Properties::iter`].
#[derive(Clone)]
pub struct PropertiesIter<'a>(Cursor<'a>);

#[derive(Clone)]
enum Cursor<'a> {
    Raw(Reader<'a>),
    List(slice::Iter<'a, Property<'a>>),
    Foreign(&'a dyn PropertyList, usize),
}

impl<'a> Iterator for PropertiesIter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        match &mut self.0 {
            // A raw block is always a validated one: the only error left is its end.
            Cursor::Raw(reader) => read_property(reader).ok(),
            Cursor::List(list) => list.next().copied(),
            Cursor::Foreign(list, position) => {
                let property = list.at(*position);
                *position += usize::from(property.is_some());
                property
            }
        }
    }
}

impl<'a> IntoIterator for &Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertiesIter<'a>;

    fn into_iter(self) -> PropertiesIter<'a> {
        self.iter()
    }
}

impl Default for Properties<'_> {
    fn default() -> Self {
        Properties::EMPTY
    }
}

/// Equal means the same properties in the same order, however they are stored.
impl PartialEq for Properties<'_> {
    fn eq(&self, other: &Properties<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Properties<'_> {}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

//! A cursor over the body of one packet.

use super::Malformed;
use super::header::var_int_len;

/// The rest of a packet's body. Reading beyond its end is [`Malformed::Truncated`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(body: &'a [u8]) -> Reader<'a> {
        Reader { rest: body }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    #[inline]
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    #[inline]
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::TrailingBytes) }
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*chunk)
    }

    #[inline]
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.chunk().map(u8::from_be_bytes)
    }

    /// A two byte integer (MQTT 3.1.1 §1.5.2).
    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.chunk().map(u16::from_be_bytes)
    }

    /// A four byte integer (MQTT 5.0 §1.5.3).
    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.chunk().map(u32::from_be_bytes)
    }

    /// A variable byte integer in its shortest form (MQTT 5.0 §1.5.5).
    #[inline]
    pub(super) fn var_int(&mut self) -> Result<u32, Malformed> {
        match self.u8()? {
            byte @ 0..=0x7f => Ok(u32::from(byte)),
            byte => self.long_var_int(byte),
        }
    }

    fn long_var_int(&mut self, first: u8) -> Result<u32, Malformed> {
        let mut value = u32::from(first & 0x7f);
        for taken in 1..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << (7 * taken);
            if byte & 0x80 == 0 {
                let shortest = var_int_len(value) == taken + 1;
                return if shortest { Ok(value) } else { Err(Malformed::OverlongInteger) };
            }
        }
        Err(Malformed::OverlongInteger)
    }

    /// A packet identifier, which is never 0 (MQTT 3.1.1 §2.3.1).
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<u16, Malformed> {
        match self.u16()? {
            0 => Err(Malformed::ZeroPacketId),
            id => Ok(id),
        }
    }

    /// Binary data with a two byte length (MQTT 5.0 §1.5.6).
    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    /// A UTF-8 encoded string (MQTT 3.1.1 §1.5.3).
    pub(super) fn string(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.binary()?;
        let string = core::str::from_utf8(bytes).map_err(|_| Malformed::BadUtf8)?;
        if bytes.contains(&0) { Err(Malformed::NulInString) } else { Ok(string) }
    }
}

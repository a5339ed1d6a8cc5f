//! Property blocks as bytes: of a packet that came, and of one that is kept to be sent.

use alloc::vec::Vec;

use super::encode::property_error;
use super::{Carrier, EncodeError, Properties};

/// The bytes of a property block that was checked when its packet was decoded: what an event has of it. Empty in MQTT 3.x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawProperties<'a>(&'a [u8]);

impl<'a> RawProperties<'a> {
    /// No properties.
    pub const EMPTY: RawProperties<'static> = RawProperties(&[]);

    /// These bytes, of a block that was checked.
    #[inline(always)]
    pub const fn of_checked(block: &'a [u8]) -> RawProperties<'a> {
        RawProperties(block)
    }

    /// The properties in their order.
    #[must_use]
    pub fn properties(self) -> Properties<'a> {
        Properties::of_checked(self.0)
    }

    /// Are there none?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, without the length of the block.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// A property block of its own: checked for what may carry it, and encoded. Empty by default, without memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertyBlock(Vec<u8>);

impl PropertyBlock {
    /// No properties.
    pub const EMPTY: PropertyBlock = PropertyBlock(Vec::new());

    /// A copy of these properties, as `carrier` may have them.
    pub fn new(properties: Properties<'_>, carrier: Carrier) -> Result<PropertyBlock, EncodeError> {
        properties.check(carrier).map_err(property_error)?;
        let mut block = Vec::new();
        block.try_reserve_exact(properties.encoded_len()).map_err(|_| EncodeError::NoMemory)?;
        properties.put(&mut block);
        Ok(PropertyBlock(block))
    }

    /// A copy of what came; empty without memory for it.
    pub fn copy(raw: RawProperties<'_>) -> PropertyBlock {
        let mut block = Vec::new();
        if block.try_reserve_exact(raw.0.len()).is_ok() {
            block.extend_from_slice(raw.0);
        }
        PropertyBlock(block)
    }

    /// The properties in their order.
    #[must_use]
    pub fn properties(&self) -> Properties<'_> {
        self.raw().properties()
    }

    /// As an event has them.
    #[must_use]
    pub fn raw(&self) -> RawProperties<'_> {
        RawProperties(&self.0)
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

//! Tokens: the names of accepted messages.
//!
//! A token is the number of the message, counted from 1 for the life of the session, and the slot that holds
//! it, so that it is found without a table. With 40 bits a thousand messages a second are numbered for 34 years.

const SLOT_BITS: u32 = 24;

/// The slot of messages that have none: those of QoS 0.
pub(crate) const NO_SLOT: u32 = (1 << SLOT_BITS) - 1;

pub(crate) const fn of(number: u64, slot: u32) -> u64 {
    number << SLOT_BITS | slot as u64
}

pub(crate) const fn slot(token: u64) -> u32 {
    token as u32 & NO_SLOT
}

/// The place of a message in the order of acceptance.
pub(crate) const fn number(token: u64) -> u64 {
    token >> SLOT_BITS
}

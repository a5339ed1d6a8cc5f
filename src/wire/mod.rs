//! Bytes to MQTT packets and back: no state, no time, no I/O, `core` and `alloc` only.
//!
//! One type per packet of the specification; the protocol [`Version`] decides how it is encoded,
//! so there is no second set of types for MQTT 5.0. Decoding borrows from the bytes it reads and
//! allocates nothing. Encoding appends to a `Vec<u8>` whose room is reserved, fallibly, before the
//! first byte is written: after an error the vector is what it was.
//!
//! A reader of a byte stream asks [`Header::parse`] how long the next packet is, waits for that
//! many bytes, and gives them to [`Packet::decode`], or straight to the packet's own `decode`.
//!
//! "MQTT 3.1" is the protocol specification V3.1 of 2010, "MQTT 3.1.1" and "MQTT 5.0" are the
//! OASIS standards. Strictness follows the newer text except where the older one explicitly says
//! to ignore a field.

#![forbid(unsafe_code)]

extern crate alloc;

mod ack;
mod close;
mod connack;
mod connect;
mod encode;
mod header;
mod malformed;
mod packet;
mod properties;
mod property;
mod property_block;
mod publish;
mod read;
pub mod reason;
mod suback;
mod subscribe;
pub mod topic;
mod types;
mod unsubscribe;

pub use ack::{Ack, PLAIN_ACK, ack, encode_ack};
pub use close::{Auth, Disconnect, closing_len};
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use encode::{EncodeError, encode_empty};
pub use header::{Header, MAX_REMAINING};
pub use malformed::Malformed;
pub use packet::Packet;
pub use properties::{Properties, PropertiesIter, PropertyList};
pub use property::{Carrier, Property, PropertyId, PropertyKind, PropertyValue};
pub use property_block::{PropertyBlock, RawProperties};
pub use publish::{Outgoing, PlainPublish, Publish, PublishHead, Received, publish_len};
pub use suback::{SubAck, UnsubAck};
pub use subscribe::{RetainHandling, Subscribe, SubscribeFilters, SubscribeOptions};
pub use types::{PacketType, QoS, Version};
pub use unsubscribe::{Unsubscribe, UnsubscribeFilters};

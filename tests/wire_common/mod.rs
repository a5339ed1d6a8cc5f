//! What the tests of `wire` share.

use mgos_mqtt::wire::{Header, Malformed, Packet, Version};

pub(crate) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// Decodes the one whole packet that `bytes` are.
pub(crate) fn decode(version: Version, bytes: &[u8]) -> Result<Packet<'_>, Malformed> {
    let header = Header::parse_as(version, bytes)?.ok_or(Malformed::Truncated)?;
    Packet::decode(version, &header, &bytes[usize::from(header.header_len)..])
}

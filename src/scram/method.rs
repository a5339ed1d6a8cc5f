//! What SCRAM-SHA-256 is called, and what it demands.

/// Its name as an authentication method of MQTT 5.0 (RFC 7677).
pub const METHOD: &str = "SCRAM-SHA-256";

/// How often a server has to hash at least (RFC 7677, section 4).
pub const FEWEST_ITERATIONS: u32 = 4096;

//! The packets of MQTT.
//!
//! | file              | what |
//! |-------------------|------|
//! | `malformed.rs`    | every way in which a packet can be malformed |
//! | `plain.rs`        | the fast recognition of plain packets |
//! | `round_trip.rs`   | what is written is what is read, over generated packets and bytes |
//! | `second_codec.rs` | another codec agrees on them |
//! | `topic.rs`        | topic names, topic filters, and which match |
//! | `vectors.rs`      | each packet byte by byte |

#[path = "../wire_common/mod.rs"]
mod wire_common;

mod malformed;
mod plain;
mod round_trip;
mod second_codec;
mod topic;
mod vectors;

//! MQTT 5.0 through the client: with a server whose every packet a test writes, and with mosquitto.
//!
//! | file         | what |
//! |--------------|------|
//! | `rig.rs`     | the client, and the server's end of its link |
//! | `connect.rs` | CONNECT, CONNACK, DISCONNECT, and what the server announces |
//! | `aliases.rs` | topic aliases that the client gives, and messages whose time runs out |
//! | `auth.rs`    | AUTH, and DISCONNECT with a reason and properties |
//! | `redirect.rs` | servers that send the client to another one |
//! | `renewal.rs` | credentials that end while the connection is up |
//! | `scram.rs`   | SCRAM-SHA-256, with a server that does it as well, and with hostile ones |
//! | `version.rs` | the newest version that a server speaks |
//! | `limits.rs`  | what the server allows |
//! | `stream.rs`  | messages that follow one another, and the bytes on the wire |
//! | `subscribe.rs` | options and identifiers of subscriptions |
//! | `request.rs` | requests and responses |
//! | `real.rs`    | with mosquitto |

mod aliases;
mod auth;
mod connect;
mod limits;
mod real;
mod redirect;
mod renewal;
mod request;
mod rig;
#[cfg(feature = "scram")]
mod scram;
mod stream;
mod subscribe;
mod version;

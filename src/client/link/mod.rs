//! From a configuration to a connection that is up, and to its end.
//!
//! | file             | what |
//! |------------------|------|
//! | `options.rs`     | the options of a connection |
//! | `inherit.rs`     | a connection configured as another one |
//! | `renewal.rs`     | credentials that end while the connection is up |
//! | `credentials.rs` | hooks that make CONNECT, or a part of it |
//! | `course.rs`      | whether it is to be up, and what each call does to that |
//! | `network.rs`     | the application says that the network has changed |
//! | `attempt.rs`     | connecting: from the name to CONNECT and its answer; and the end |
//! | `race.rs`        | opening a connection to one of the server's endpoints |
//! | `report.rs`      | what is told of a failed attempt and of a lost link |
//! | `configure.rs`   | its main profile, certificate, will, hook, limits |
//! | `redirect.rs`    | a server that sends the client to another one |
//! | `version.rs`     | the version of an attempt, if it is left open |
//! | `scram.rs`       | SCRAM-SHA-256 in CONNECT and AUTH |
//! | `closing.rs`     | closing in order |
//! | `layers.rs`      | the layers between the socket and MQTT: their handshakes |
//! | `secure.rs`      | the TLS part of connecting |

pub(in crate::client) mod attempt;
pub(in crate::client) mod closing;
pub(in crate::client) mod configure;
pub(in crate::client) mod course;
pub(in crate::client) mod credentials;
#[cfg(feature = "capi")]
pub(in crate::client) mod inherit;
pub(in crate::client) mod layers;
mod network;
pub(in crate::client) mod options;
pub(in crate::client) mod race;
pub(in crate::client) mod redirect;
pub(in crate::client) mod renewal;
pub(in crate::client) mod report;
pub(in crate::client) mod scram;
pub(in crate::client) mod secure;
pub(in crate::client) mod version;

//! MQTT 5.0 through the client: with a server whose every packet a test writes, and with mosquitto.
//!
//! | file         | what |
//! |--------------|------|
//! | `rig.rs`     | the client, and the server's end of its link |
//! | `connect.rs` | CONNECT, CONNACK, DISCONNECT, and what the server announces |
//! | `real.rs`    | with mosquitto |

mod connect;
mod real;
mod rig;

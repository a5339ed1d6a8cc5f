//! The client in virtual time: the clock moves only when the test moves it, or from one deadline of the loop to the next.
//!
//! | file           | what |
//! |----------------|------|
//! | `addresses.rs` | a name with several addresses: when each is tried |
//! | `course.rs`    | what the calls that open and close a connection promise, in every order |
//! | `expiry.rs`    | messages that expire |
//! | `fleet.rs`     | many devices that lose one server together |
//! | `paths.rs`     | a name service that is down, a network that changes, a server that does not want us |
//! | `reconnect.rs` | when a connection is tried again, and where |
//! | `redirect.rs`  | a server that sends the client on, and what the client is to do by then |
//! | `renewal.rs`   | credentials that end, with a clock that is set late, or that they do not fit |
//! | `scripted.rs`  | the server of `fleet.rs`, `paths.rs`, `redirect.rs` and `renewal.rs`, and the time |

#[path = "../driver_support/mod.rs"]
mod driver_support;

mod addresses;
mod course;
mod expiry;
mod fleet;
mod paths;
mod reconnect;
mod redirect;
mod renewal;
mod scripted;

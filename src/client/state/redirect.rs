//! Where a server has sent the client.

use crate::config::Address;

/// The way from the configured server to another one.
#[derive(Default)]
pub(in crate::client) struct Redirected {
    /// The server that is configured, of the present attempt or connection.
    pub(in crate::client) home: Option<Address>,
    /// The address that the next attempt is for, if that server is still the configured one then.
    pub(in crate::client) next: Option<String>,
    /// The present attempt, or the connection, is one to another server than is configured.
    pub(in crate::client) is_elsewhere: bool,
    /// How many servers in a row have sent the client on.
    pub(in crate::client) hops: u8,
}

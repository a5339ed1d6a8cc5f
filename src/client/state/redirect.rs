//! Where a server has sent the client.

/// The way from the configured server to another one.
#[derive(Default)]
pub(in crate::client) struct Redirected {
    /// The address that the next attempt is for.
    pub(in crate::client) next: Option<String>,
    /// The present attempt, or the connection, is one to another server than is configured.
    pub(in crate::client) is_elsewhere: bool,
    /// How many servers in a row have sent the client on.
    pub(in crate::client) hops: u8,
}

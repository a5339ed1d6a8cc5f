//! What CONNECT is made of, and the hook that may change it.

use crate::config::{Secret, Will};
use crate::wire::PropertyBlock;

/// A certificate in memory, PEM or DER, and its key; without one it is in the PEM of the certificate.
#[derive(Clone)]
pub struct OwnCertificate {
    /// The certificate, with those that lead to its issuer.
    pub certificate: Secret<Vec<u8>>,
    /// Its private key.
    pub key: Option<Secret<Vec<u8>>>,
}

/// What CONNECT is made of; a connect hook may change all of it.
#[derive(Clone, Debug)]
pub struct ConnectParams {
    /// Protocol version.
    pub version: crate::wire::Version,
    /// The client id; may be empty.
    pub client_id: String,
    /// Start without the session that the server may have kept.
    pub clean_session: bool,
    /// Seconds; 0 is off.
    pub keep_alive: u16,
    /// Its properties in MQTT 5.0.
    pub connect_properties: PropertyBlock,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Secret<Vec<u8>>>,
    /// The will; its QoS was checked.
    pub will: Option<Will>,
}

/// Runs when CONNECT is about to be sent, on the thread that drives the loop, with no lock held. It sends
/// CONNECT itself by [`send_connect`](crate::client::Conn::send_connect), at once or later from any thread; until the CONNACK time-out.
pub trait ConnectHook<C>: Send + Sync {
    /// `params` is what would be sent without a hook.
    fn about_to_connect(&self, conn: &C, params: &ConnectParams);
}

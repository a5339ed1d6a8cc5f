//! The hook that is asked for credentials, and the question that is open.

use std::sync::Arc;

use crate::client::state::params::ConnectParams;
use crate::config::Secret;
use crate::time::Time;

/// Runs when CONNECT is about to be made, on the thread that drives the loop, with no lock held. It answers by
/// [`answer_credentials`](crate::client::Conn::answer_credentials), at once or later from any thread, until the CONNACK time-out.
pub trait CredentialsHook<C>: Send + Sync {
    /// Asks for the credentials of an attempt.
    fn ask(&self, conn: &C, attempt: u64);
}

/// What a credentials hook answers.
#[derive(Clone)]
pub struct Credentials {
    /// The user name.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret<Vec<u8>>>,
    /// Until when they are used again for the same server without asking, in seconds since 1970; 0: asked each time. Before
    /// that, a connection that is up gets new ones.
    pub valid_until: f64,
    /// The authentication data of CONNECT, and of the AUTH that renews it, for the authentication method of the
    /// configuration (MQTT 5.0 §4.12).
    pub auth_data: Option<Secret<Vec<u8>>>,
}

/// What a connection with a credentials hook knows.
pub(in crate::client) struct Asking<C> {
    pub(in crate::client) hook: Arc<dyn CredentialsHook<C>>,
    /// Those of the last answer that are still good, and the server that they are for.
    pub(in crate::client) known: Option<(Option<String>, Credentials)>,
    pub(in crate::client) pending: Option<Pending>,
    /// When it is looked whether the present connection needs new ones.
    pub(in crate::client) renew_at: Option<Time>,
}

/// A question without an answer, or with one that no turn has seen.
pub(in crate::client) struct Pending {
    pub(in crate::client) attempt: u64,
    /// What CONNECT is made of; `None` if they are for the connection that is up.
    pub(in crate::client) params: Option<Box<ConnectParams>>,
    /// `Some(None)`: the attempt is given up.
    pub(in crate::client) answer: Option<Option<Credentials>>,
}

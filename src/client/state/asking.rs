//! The hook that is asked for credentials, and the question that is open.

use std::sync::Arc;

use crate::client::state::params::ConnectParams;
use crate::config::Secret;
use crate::time::{Span, Time};

/// Runs when CONNECT is about to be made, or before that the request for a WebSocket, on the thread that drives the loop, with
/// no lock held. It answers by [`answer_credentials`](crate::client::Conn::answer_credentials), at once or later from any thread,
/// until the time-out of what it is asked for.
pub trait CredentialsHook<C>: Send + Sync {
    /// Asks for the credentials of an attempt.
    fn ask(&self, conn: &C, attempt: u64);
}

/// What a credentials hook answers.
#[derive(Clone, Default)]
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
    /// The path and query of the request for a WebSocket, instead of those of the server's address.
    pub ws_path: Option<Secret<String>>,
    /// Its further headers, lines of `Name: value`, instead of those of the profile.
    pub ws_headers: Option<Secret<String>>,
}

/// What a connection with a credentials hook knows.
pub(in crate::client) struct Asking<C> {
    pub(in crate::client) hook: Arc<dyn CredentialsHook<C>>,
    /// Those of the last answer that are still good, and the server that they are for.
    pub(in crate::client) known: Option<(Option<String>, Credentials)>,
    pub(in crate::client) pending: Option<Pending>,
    /// Those that the request for a WebSocket was made with: CONNECT follows with the same.
    pub(in crate::client) given: Option<Credentials>,
    /// When it is looked whether the present connection needs new ones.
    pub(in crate::client) renew_at: Option<Time>,
    /// It does when so much of their time is left.
    pub(in crate::client) renewed_with: Span,
}

impl<C> Asking<C> {
    /// What was answered last, if that is still good for this server; otherwise it is forgotten.
    pub(in crate::client) fn still_good(&mut self, server: &Option<String>, now: f64) -> Option<Credentials> {
        self.known.take_if(|(of, known)| of != server || now >= known.valid_until);
        self.known.as_ref().map(|(_, known)| known.clone())
    }
}

/// A question without an answer, or with one that no turn has seen.
pub(in crate::client) struct Pending {
    pub(in crate::client) attempt: u64,
    pub(in crate::client) purpose: Purpose,
    /// `Some(None)`: the attempt is given up.
    pub(in crate::client) answer: Option<Option<Credentials>>,
}

/// What credentials are asked for.
pub(in crate::client) enum Purpose {
    /// For the request for a WebSocket, and for CONNECT after it.
    #[cfg_attr(not(feature = "websocket"), expect(dead_code, reason = "there are no WebSockets"))]
    Request,
    /// For CONNECT, which is made of this.
    Connect(Box<ConnectParams>),
    /// For the connection that is up.
    Renewal,
}

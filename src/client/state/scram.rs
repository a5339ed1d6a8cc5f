//! An authentication by SCRAM that the library does itself.

use crate::driver::Task;
use crate::scram::{Answer, Hello, Login};

/// Who the client is on this connection, and how far the exchange is.
pub(in crate::client) struct Scram {
    pub(in crate::client) login: Login,
    pub(in crate::client) step: Step,
}

/// What the client does next.
pub(in crate::client) enum Step {
    /// Nothing: the exchange has not begun, or the server has the client's proof.
    Rest,
    /// It waits for the server's challenge.
    Said(Hello),
    /// A helper thread makes its proof.
    Proves(Task<Answer>),
}

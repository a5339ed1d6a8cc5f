//! A library without SCRAM-SHA-256: nothing begins.

use core::convert::Infallible;

use zeroize::Zeroizing;

use crate::error::{Code, Trouble};

/// A user name and its password.
pub struct Login {
    _none: Infallible,
}

impl Login {
    /// Always [`Code::NotBuilt`].
    pub fn new(_: &str, _: &[u8]) -> Result<Login, Trouble> {
        let text = "SCRAM-SHA-256 needs a library that was built with it (feature scram)".into();
        Err(Trouble { code: Code::NotBuilt, text })
    }

    /// There is none.
    pub fn hello(&self) -> Result<Hello, Trouble> {
        match self._none {}
    }
}

/// There is none.
pub struct Hello {
    none: Infallible,
}

impl Hello {
    /// There is none.
    pub fn message(&self) -> &[u8] {
        match self.none {}
    }

    /// There is none.
    pub fn challenged(self, _: &Login, _: &[u8], _: u32) -> Result<Challenge, Trouble> {
        match self.none {}
    }
}

/// There is none.
pub struct Challenge {
    none: Infallible,
}

impl Challenge {
    /// There is none.
    pub fn answer(self) -> Answer {
        match self.none {}
    }
}

/// What the client sends, and what the server has to send then.
pub struct Answer {
    /// The client's last message.
    pub message: Zeroizing<Vec<u8>>,
    /// The server's, if it knows the password.
    pub proof: Vec<u8>,
}

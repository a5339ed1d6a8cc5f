//! What is wrong with a configuration, and where: a code for programs, a sentence for people.

use core::fmt;

use crate::error::Code;

/// One problem of a configuration.
///
/// Its text reads `mqtt.keep_alive: expected a number, found a string (line 4, column 19)`; each
/// of the three parts is left out where it is not known. A text never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The number of the error.
    pub code: Code,
    /// The dotted name of the field, e.g. `mqtt.keep_alive`; empty if no single field is to blame.
    pub key: String,
    /// The sentence, without a full stop.
    pub problem: String,
    /// Where in the text it was noticed.
    pub at: Option<Position>,
}

/// A place in a text. Both count from 1; columns count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The byte in the line at which the parser stopped: the last one of the value it refused.
    pub column: usize,
}

impl ConfigError {
    /// A problem of one field, with the code `BAD_CONFIG`.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> ConfigError {
        ConfigError { code: Code::BadConfig, key: key.into(), problem: problem.into(), at: None }
    }

    /// The same problem under another code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> ConfigError {
        self.code = code;
        self
    }

    /// The same problem of a field of this section: `keep_alive` becomes `mqtt.keep_alive`.
    #[must_use]
    pub fn in_section(mut self, section: &str) -> ConfigError {
        self.key = if self.key.is_empty() { section.to_owned() } else { format!("{section}.{}", self.key) };
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)?;
        if let Some(Position { line, column }) = self.at {
            write!(f, " (line {line}, column {column})")?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfigError {}

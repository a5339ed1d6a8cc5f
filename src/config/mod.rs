//! Server profiles, addresses, and the JSON text they are written in.
//!
//! A configuration comes as text (`text`) or as a C struct; both become a [`Section`], which holds
//! exactly what they can say, described by one table ([`schema`]). A section becomes a [`Profile`],
//! which holds what the client works with, typed and checked.

pub mod address;
mod address_error;
mod error;
mod profile;
mod settings;

pub use address::{Address, Scheme};
pub use address_error::AddressError;
pub use error::{ConfigError, Position};
pub use profile::{Profile, Protocol, Secret, Timeouts, Will};
pub use settings::{Backoff, OnSessionLoss, Overflow, Resubscribe, Settings};

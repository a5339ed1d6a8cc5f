//! Server profiles, addresses, and their JSON text.
//!
//! A configuration comes as text (`text`) or as a C struct. Both become a [`Section`], which has
//! exactly their fields, described by one table ([`schema`]). A section becomes a [`Profile`],
//! which is what the client works with, typed and checked.

pub mod accessors;
pub mod address;
mod address_error;
#[cfg(test)]
mod address_tests;
mod check;
mod document;
mod emit;
mod error;
mod from_section;
pub mod http_headers;
mod key;
mod options;
pub mod pin;
mod profile;
pub mod proxy;
pub mod reference;
pub mod schema;
mod settings;
mod shown;
mod socket;
pub mod text;
#[cfg(test)]
mod text_tests;
pub mod user_info;

pub use address::{Address, Scheme, is_request_target};
pub use address_error::AddressError;
pub use document::Document;
pub use emit::Style;
pub use error::{ConfigError, Position};
pub use key::{Change, Key};
pub use options::ProfileOptions;
pub use pin::Pin;
pub use profile::{
    Authentication, ExpiryNotice, Profile, Protocol, RouteOptions, Secret, Timeouts, TlsOptions, Will,
};
pub use reference::Redirect;
pub use schema::{Section, SectionId};
pub use settings::{Backoff, OnSessionLoss, Overflow, ReceiveOverflow, Resubscribe, Retry, Settings};
pub use shown::Shown;
pub use socket::SocketOptions;

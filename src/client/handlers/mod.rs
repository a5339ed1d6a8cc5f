//! Who is told of what.
//!
//! | file                | what |
//! |---------------------|------|
//! | `registered.rs`     | the handlers and subscriptions of a connection |
//! | `topics.rs`         | finding the filters that match a topic |
//! | `recipients.rs`         | those that are told of one event |
//! | `callback.rs`       | what the application registers |
//! | `event.rs`          | what handlers are told |
//! | `filter_results.rs` | the server's answers to a call for several filters |

pub(in crate::client) mod callback;
pub(in crate::client) mod event;
pub(in crate::client) mod filter_results;
pub(in crate::client) mod recipients;
pub(in crate::client) mod registered;
pub(in crate::client) mod topics;

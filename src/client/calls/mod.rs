//! The calls of the application, except for connecting.
//!
//! | file                | what |
//! |---------------------|------|
//! | `wait.rs`           | waiting for something to become true |
//! | `request.rs`        | requests, and their responses |
//! | `subscribe.rs`      | calls for several filters, each with one end |
//! | `receive.rs`        | the queue of messages that are fetched |
//! | `publish.rs`        | what is sent: publish, raw packets, and when it is written |
//! | `outcomes.rs`       | how publishes ended: told, waited for, asked |
//! | `handlers.rs`       | registering and removing handlers |
//! | `connect_result.rs` | being told of the result of one attempt |

pub(in crate::client) mod connect_result;
pub(in crate::client) mod handlers;
pub(in crate::client) mod outcomes;
pub(in crate::client) mod publish;
pub(in crate::client) mod receive;
pub(in crate::client) mod request;
pub(in crate::client) mod subscribe;
pub(in crate::client) mod wait;

//! The MQTT client state machine, without sockets, clocks or threads.
//!
//! A [`Session`] outlives connections: it keeps the queue of outgoing messages, the packet ids, the
//! wanted subscriptions and the inbound QoS 2 ids while the transport comes and goes.
//!
//! The contract is one input, one step:
//!
//! * bytes from the server go into [`Session::input`], which consumes at most one packet and returns
//!   at most one [`Event`]. Events carry offsets into the bytes, never borrows, so the caller can
//!   release its lock while it tells the application.
//! * after the application was told, [`Session::handled`] says so; only then an acknowledgement is
//!   appended. Whoever needs longer than the handlers [holds](Session::hold) it, and lets go later.
//! * the clock comes in as a parameter; [`Session::deadline`] says when [`Session::timeout`] has
//!   something to do.
//! * everything to be sent is appended to one [`Output`]; the caller hands it to the transport and
//!   reports progress with [`Session::wrote`].
//! * how publishes ended is told by [`Session::take_completion`], and how subscribing by
//!   [`Session::take_answer`], each exactly once.
//!
//! No user code runs in here, nothing blocks, and no message allocates once buffers have grown.
//!
//! The files, from the top down: each uses only what stands below it (tests/rooms.rs).
//!
//! | file              | what |
//! |-------------------|------|
//! | `input.rs`        | bytes from the server to events, one packet a step |
//! | `connection.rs`   | the life of a connection: CONNECT, CONNACK, DISCONNECT, its end |
//! | `settings.rs`     | what its owner says how a session is to work |
//! | `auth.rs`         | AUTH, in both directions |
//! | `counts.rs`       | what was counted, and what a session holds right now |
//! | `raw.rs`          | packets that an application sends by itself |
//! | `keep_alive.rs`   | PINGREQ, answers that do not come, quiet moments |
//! | `outbound/`       | what is sent: accepted, written, acknowledged, and how it ended |
//! | `subscribe.rs`    | asking for filters, and the answers |
//! | `watch.rs`        | when to look for what is late |
//! | `inbound/`        | what comes: messages, their acknowledgements, and who holds those back |
//! | `fast_path.rs`    | what keeps a session from its fast paths |
//! | `state/`          | what a session knows |
//! | `limits.rs`       | what it may use, its policies, and what its server allows |
//! | `output.rs`       | the bytes that wait to be written |
//! | `event.rs`        | what it tells its caller, and what the caller says to it |

mod auth;
mod connection;
mod counts;
mod event;
mod fast_path;
mod inbound;
mod input;
mod keep_alive;
mod limits;
mod outbound;
mod output;
mod raw;
mod settings;
mod state;
mod subscribe;
#[cfg(test)]
mod tests;
mod watch;

pub use counts::{Counts, Levels};
pub use event::{
    Acknowledged, Completion, Dropped, Ended, Event, Failure, Incoming, Outcome, Overdue, Poison, Step,
    Verdict,
};
pub use inbound::LentTopic;
pub use limits::{Limits, OnSessionLoss, Overflow};
pub use outbound::{Accepted, Known, OverLimit, Publication};
pub use output::Output;
pub use raw::RawAck;
pub use state::Session;
pub use state::counts::{LATENCY_BUCKETS, Latency};
pub use state::inbound::Hold;
pub use state::subscriptions::{Request, SubscribeResult};
pub use state::tickets::{Answer, Ticket};

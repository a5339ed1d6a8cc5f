//! Between C and the client: what stands behind the opaque types, and how values of one become those of the other.
//!
//! | file                          | what |
//! |-------------------------------|------|
//! | `lookup.rs`                   | the loop that C means |
//! | `fork.rs`                     | what a fork means for all of this |
//! | `poll_callback.rs`            | functions that the loop calls at the end of each iteration |
//! | `raw.rs`                      | packets that an application writes itself |
//! | `logging.rs`, `stderr_log.rs` | where a log goes; the log function that comes with the library |
//! | `defaults.rs`                 | the default loop and the global connection |
//! | `options.rs`                  | `struct mgos_mqtt_options` as the client's settings |
//! | `profiles.rs`                 | C configurations as the client's server profiles |
//! | `create_loop.rs`              | making a loop |
//! | `builtin_handler.rs`          | the first handler of every connection: it keeps `nc` up to date |
//! | `event_bus.rs`                | who listens to the events of the system |
//! | `requests.rs`                 | requests and responses |
//! | `publication.rs`              | publications and their outcomes |
//! | `filters.rs`                  | lists of topic filters, and the answers to them |
//! | `events.rs`                   | reading events; who gets which |
//! | `fetched.rs`                  | messages that were fetched |
//! | `statistics.rs`               | the client's counts as `struct mgos_mqtt_stats` |
//! | `connection.rs`               | what the calls for one connection and those for the global one have in common |
//! | `connecting.rs`               | wills, credentials, and why there is nothing to connect to |
//! | `properties.rs`               | properties of MQTT 5.0 between C's arrays and the packets |
//! | `strings.rs`                  | comparing and copying `struct mg_str` |
//! | `transport.rs`                | the functions of a transport |
//! | `callbacks.rs`                | C functions as handlers of the client |
//! | `handle.rs`                   | what stands behind the handles of loops and connections |
//! | `nc.rs`                       | the `nc` of Mongoose |
//! | `hook_strings.rs`             | what a connect hook is shown |

pub(super) mod builtin_handler;
pub(super) mod callbacks;
pub(super) mod connecting;
pub(super) mod connection;
pub(super) mod create_loop;
pub(super) mod defaults;
pub(super) mod event_bus;
pub(super) mod events;
pub(super) mod fetched;
pub(super) mod filters;
pub(super) mod fork;
pub(super) mod handle;
pub(super) mod hook_strings;
pub(super) mod logging;
pub(super) mod lookup;
pub(super) mod nc;
pub(super) mod options;
pub(super) mod poll_callback;
pub(super) mod profiles;
pub(super) mod properties;
pub(super) mod publication;
pub(super) mod raw;
pub(super) mod requests;
pub(super) mod statistics;
pub(super) mod stderr_log;
pub(super) mod strings;
pub(super) mod transport;

//! What the connections of one loop share.

use std::sync::Arc;

use crate::client::handlers::callback::Builtin;
use crate::client::state::log::Log;
use crate::client::state::profiles::Common;
use crate::driver::Loop;
use crate::transport::{Dial, Endpoint, SendQueue, tls};

/// A loop, its log, and what connections, which are `C`, ask of the world.
pub struct Context<C> {
    /// The loop that drives the connections.
    pub driver: Loop,
    /// Where log records go.
    pub log: Log,
    /// Opens a stream. It runs under the connection's lock: it must not call the connection.
    pub dial: Arc<Dial>,
    /// What is not acknowledged of the bytes that a socket was given. Without an answer, what the kernel has taken counts
    /// as delivered.
    pub send_queue: SendQueue,
    /// The TLS configurations that its connections share.
    pub tls: tls::Configs,
    /// Seconds since 1970 as the device believes, for `require_time` and the validity of certificates.
    pub wall_clock: fn() -> f64,
    /// The client id of connections that have none configured.
    pub default_client_id: fn() -> Option<String>,
    /// Where a new connection's random numbers begin. They spread reconnects over time, and name clients of MQTT
    /// 3.1 that have no name; nothing secret hangs on them.
    pub random_seed: fn() -> u64,
    /// What its connections have in common.
    pub common: Common,
    /// The library's own handler of each of them.
    pub builtin_handler: Builtin<C>,
}

impl<C> Context<C> {
    /// A context around a loop, with TCP, the system's clock and no default client id.
    pub fn new(driver: Loop) -> Self {
        Context {
            driver,
            log: Log::new(),
            dial: Arc::new(Endpoint::open),
            send_queue: |_| None,
            tls: tls::Configs::default(),
            wall_clock: system_clock,
            default_client_id: || None,
            random_seed: system_seed,
            common: Common::default(),
            builtin_handler: Builtin::default(),
        }
    }
}

fn system_clock() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// A seed from the operating system, by way of the standard library's hash keys.
fn system_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

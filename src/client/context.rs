//! What the connections of one loop share.

use super::log::Log;
use crate::driver::Loop;
use crate::transport::tls;

/// A loop, its log, and what connections ask of the world.
pub struct Context {
    /// The loop that drives the connections.
    pub driver: Loop,
    /// Where log records go.
    pub log: Log,
    /// The TLS configurations that its connections share.
    pub tls: tls::Configs,
    /// Seconds since 1970 as the device believes, for `require_time` and the validity of certificates.
    pub wall_clock: fn() -> f64,
    /// The client id of connections that have none configured.
    pub default_client_id: fn() -> Option<String>,
}

impl Context {
    /// A context around a loop, with the system's clock and no default client id.
    pub fn new(driver: Loop) -> Self {
        let tls = tls::Configs::default();
        Context { driver, log: Log::new(), tls, wall_clock: system_clock, default_client_id: || None }
    }
}

fn system_clock() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

//! The endpoint that a connection reached last.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::Profile;
use crate::transport::Endpoint;

/// Where a server that has a name was reached last, or the proxy that leads to it.
pub(in crate::client) struct Known {
    pub(in crate::client) endpoint: Endpoint,
    /// With this profile.
    pub(in crate::client) by: Arc<Profile>,
    /// The present link leads there.
    pub(in crate::client) is_linked: bool,
}

impl Known {
    /// The address, for an attempt with this profile: if it goes to the same server in the same way.
    pub(in crate::client) fn address_for(&self, profile: &Profile) -> Option<SocketAddr> {
        let Endpoint::Socket(mut known) = self.endpoint else { return None };
        if profile.server != self.by.server || profile.route != self.by.route {
            return None;
        }
        let address = profile.address().ok()?;
        // TLS may have another port.
        known.set_port(profile.proxy(&address).ok()?.map_or(address.port, |proxy| proxy.port));
        profile.route.socket.reaches(&known.ip()).then_some(known)
    }
}

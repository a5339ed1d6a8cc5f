//! The version of an attempt with [`Protocol::Auto`]: the newest that the server is not known to refuse. Each version is an
//! attempt of its own, which follows at once and leaves the schedule as it is.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::Report;
use crate::client::state::log::Level;
use crate::client::state::version::Versions;
use crate::config::Protocol;
use crate::error::{Code, Phase};
use crate::time::Time;
use crate::wire::Version;

impl State {
    /// The version of the present attempt.
    pub(in crate::client) fn version_to_try(&mut self, now: Time) -> Version {
        match self.profile.protocol {
            Protocol::V31 => Version::V31,
            Protocol::V311 => Version::V311,
            Protocol::V5 => Version::V5,
            Protocol::Auto => {
                let server = self.profile.server.as_deref();
                let known = self.extras.versions.as_ref().filter(|versions| versions.holds(server, now));
                if let Some(versions) = known {
                    return versions.next();
                }
                let versions = Versions::new(self.profile.server.clone());
                let next = versions.next();
                self.extras.make().versions = Some(Box::new(versions));
                next
            }
        }
    }

    /// The version that the server of the present profile accepted, if that was left to the two of them.
    pub(in crate::client) fn settled_version(&self) -> Option<Version> {
        self.extras.versions.as_ref().filter(|_| self.profile.protocol == Protocol::Auto)?.settled()
    }

    /// CONNACK accepted us.
    pub(in crate::client) fn version_accepted(&mut self, now: Time) {
        if self.profile.protocol == Protocol::Auto
            && let Some(versions) = self.extras.get_mut().and_then(|extras| extras.versions.as_mut())
        {
            versions.accepted(now);
        }
    }

    /// The version of the CONNECT that was sent on the present link.
    pub(in crate::client) fn connect_version(&self) -> Option<Version> {
        let sent = matches!(self.link, crate::client::state::Link::Open(_)) && !self.session.awaits_connect();
        sent.then(|| self.session.version())
    }
}

impl Conn {
    /// An attempt failed. Whether the next one comes at once, with an older version.
    pub(in crate::client) fn falls_back(
        &self,
        st: &mut State,
        sent: Option<Version>,
        report: &Report,
    ) -> bool {
        let Some(sent) = sent.filter(|_| st.profile.protocol == Protocol::Auto && st.closing.is_none())
        else {
            return false;
        };
        let Some(versions) = st.extras.get_mut().and_then(|extras| extras.versions.as_mut()) else {
            return false;
        };
        let older = match report.code {
            Code::RefusedVersion => versions.refused(),
            Code::ClosedByServer | Code::ConnectionReset if report.phase == Phase::Connect => {
                versions.closed()
            }
            _ => {
                versions.failed();
                false
            }
        };
        if older {
            let next = versions.next();
            let text =
                format_args!("the server does not speak MQTT {}: MQTT {} is next", name(sent), name(next));
            self.note(st, Level::Info, text);
        }
        older
    }
}

const fn name(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

//! A server that sends the client to another one (MQTT 5.0 §4.11): the next attempt is for that, at once, if the option
//! allows it. It is one attempt; after that, the configured server has its turn again, which may send the client there
//! once more. So nothing is remembered that a server could have said by mistake.

use std::sync::Arc;

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::Report;
use crate::client::state::log::Level;
use crate::config::reference::choose;
use crate::config::{Profile, Redirect, Shown};
use crate::wire::{PropertyId, Version, reason};

/// So many servers in a row may send the client on.
const MOST_HOPS: u8 = 3;

impl State {
    /// Adds to the report about a server's last word what follows from it, and remembers that for the next attempt.
    pub(in crate::client) fn heed_reference(&mut self, report: &mut Report) {
        let code = report.connack.or(report.reason);
        let sends = matches!(code, Some(reason::USE_ANOTHER_SERVER | reason::SERVER_MOVED));
        let properties = report.properties.properties();
        let Some(reference) = properties.text(PropertyId::ServerReference) else { return };
        if !sends || self.session.version() != Version::V5 {
            return;
        }
        let redirected = self.extras.redirected.as_ref();
        let hops = redirected.map_or(0, |redirected| redirected.hops);
        // However many have sent the client on, its domain is that of the configured server.
        let home = redirected.and_then(|redirected| redirected.home.clone());
        let Some(home) = home.or_else(|| self.profile.address().ok()) else { return };
        let to = if hops >= MOST_HOPS {
            Err("since three servers in a row have sent the client on")
        } else {
            choose(&home, reference, self.settings.redirect)
        };
        match to {
            Ok(to) => {
                let redirected = self.extras.make().redirected.get_or_insert_default();
                redirected.next = Some(to.to_string());
                redirected.home = Some(home);
                redirected.hops = hops + 1;
                report.text += ", which is tried next";
            }
            Err(why) => {
                report.text += ": not followed, ";
                report.text += why;
            }
        }
    }

    /// Where the last attempt was sent: for the one that begins, or for none.
    pub(in crate::client) fn take_redirect(&mut self) -> Option<String> {
        self.extras.get_mut().and_then(|extras| extras.redirected.as_mut())?.next.take()
    }

    /// Puts the server of the attempt that begins into its profile, if it was sent `on` from the one that is configured. Its
    /// own name is what its certificate is verified for.
    pub(in crate::client) fn follow_redirect(&mut self, profile: &mut Arc<Profile>, on: Option<String>) {
        if self.settings.redirect != Redirect::Never {
            self.extras.make().redirected.get_or_insert_default();
        }
        let Some(redirected) = self.extras.get_mut().and_then(|extras| extras.redirected.as_mut()) else {
            return;
        };
        let home = profile.address().ok();
        // What another server has said must not lead the credentials that are configured now anywhere.
        let next = on.filter(|_| home.is_some() && home == redirected.home);
        redirected.home = home;
        redirected.is_elsewhere = next.is_some();
        if next.is_some() {
            let profile = Arc::make_mut(profile);
            profile.server = next;
            profile.tls.server_name = None;
        } else {
            redirected.hops = 0;
        }
    }

    /// There are other profiles: what the servers of the old ones have said is nothing to them.
    pub(in crate::client) fn forget_servers(&mut self) {
        self.take_redirect();
        if let Some(extras) = self.extras.get_mut() {
            extras.versions = None;
        }
    }

    /// Whether the present link is to another server than is configured.
    pub(in crate::client) fn is_elsewhere(&self) -> bool {
        self.extras.redirected.as_ref().is_some_and(|redirected| redirected.is_elsewhere)
    }

    /// Whether the next attempt is for another server.
    pub(in crate::client) fn is_sent_on(&self) -> bool {
        self.extras.redirected.as_ref().is_some_and(|redirected| redirected.next.is_some())
    }
}

impl Conn {
    /// The link has ended, and its handlers were told: the other server is next, if the connection is still wanted.
    pub(in crate::client) fn go_on_elsewhere(&self, st: &mut State) {
        let wanted = st.course.is_wanted();
        let Some(redirected) = st.extras.get_mut().and_then(|extras| extras.redirected.as_mut()) else {
            return;
        };
        redirected.is_elsewhere = false;
        if !wanted {
            redirected.next = None;
        }
        if let Some(server) = &redirected.next {
            let text = format!("the server sends the client to {}", Shown(server));
            st.course.hurry();
            self.note(st, Level::Info, format_args!("{text}"));
        }
    }
}

//! What an application configured of a connection, for another one that is to be the same.

use std::sync::Arc;

use crate::client::Conn;
use crate::client::link::configure::session_limits;
use crate::client::state::log_topics::LogTopics;
use crate::client::state::params::OwnCertificate;
use crate::client::state::profiles::Servers;
use crate::config::{self, Secret, Settings};

/// Servers, options, and whatever else a call has set that is neither a function of the application nor a message.
pub struct Configured {
    profiles: Servers,
    settings: Arc<Settings>,
    password: Option<Box<Secret<Vec<u8>>>>,
    max_qos: Option<i8>,
    will: Option<Box<Option<config::Will>>>,
    own: Option<Box<OwnCertificate>>,
    log_topics: Option<LogTopics>,
}

impl Conn {
    /// How it is configured now.
    pub fn configured(&self) -> Configured {
        let st = self.lock();
        Configured {
            profiles: st.profiles.clone(),
            settings: st.settings.clone(),
            password: st.extras.password.clone(),
            max_qos: st.max_qos,
            will: st.extras.will.clone(),
            own: st.extras.own.clone(),
            log_topics: st.extras.log_topics.as_ref().map(|log| log.topics().clone()),
        }
    }

    /// Configures a connection that is new as another one is.
    pub fn configure(&self, from: Configured) {
        let Configured { profiles, settings, password, max_qos, will, own, log_topics } = from;
        // It does not fail: nobody else knows this connection yet, and the topics were valid.
        let _ = self.set_log_topics(log_topics);
        let mut st = self.lock();
        let limits = session_limits(&settings, &st.profile);
        st.session.set_limits(self.context.common.limits.share(limits));
        (st.profiles, st.settings, st.max_qos) = (profiles, settings, max_qos);
        if password.is_some() || will.is_some() || own.is_some() {
            let extras = st.extras.make();
            (extras.password, extras.will, extras.own) = (password, will, own);
        }
    }
}

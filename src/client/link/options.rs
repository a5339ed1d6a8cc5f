//! The options of a connection: kept beside its profiles, and merged with one of them at each attempt to connect.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::link::configure::session_limits;
use crate::client::state::log::Level;
use crate::client::state::profiles::{
    ClientIdentity, Now, Own, ProfileSource, Server, Servers, UserCredentials,
};
use crate::config::{ConfigError, Profile, Secret, Settings};
use crate::error::Code;

impl Conn {
    /// Replaces all options, and all profiles unless there are none. Limits and policies hold at once, the rest from
    /// the next attempt on. Fails, and nothing changes, if a profile cannot be connected with under them, or if a
    /// server that was talked to under TLS would be talked to in clear.
    pub fn set_options(&self, settings: Settings, profiles: Vec<ProfileSource>) -> Result<(), ConfigError> {
        settings.validate()?;
        let common = &self.context.common;
        let servers = (!profiles.is_empty()).then(|| Servers::new(profiles, common));
        let mut st = self.usable()?;
        for server in servers.as_ref().unwrap_or(&st.profiles).iter() {
            // A profile that is read at each attempt may still change before the next one.
            if let Server::Fixed(profile, client) = server {
                settings.check(&client.with(profile))?;
            }
        }
        if servers.is_none() && st.extras.own.is_none() {
            let now = st.profiles.iter().filter_map(|server| server.now().ok());
            let in_clear = |(profile, _): Now| st.settings.would_lose_tls(&settings, &profile);
            if now.into_iter().any(in_clear) {
                return Err(st.settings.tls_would_be_lost(&settings));
            }
        }
        let Own { settings, password } = Own::new(settings, common);
        if password.is_some() || st.extras.get().is_some() {
            st.extras.try_make()?.password = password;
        }
        let lost = st.settings.profile.protection_lost(&settings.profile);
        if !lost.is_empty() {
            let text =
                format_args!("the new options are without {}, which the old ones had", lost.join(", "));
            self.note(&mut st, Level::Warn, text);
        }
        if let Some(servers) = servers {
            st.profiles = servers;
            st.reconnect.select(0);
            st.forget_servers();
            st.forget_fail_back();
        }
        if settings.redirect != st.settings.redirect {
            // What the old ones allowed, these may not.
            st.take_redirect();
        }
        let limits = session_limits(&settings, &st.profile);
        st.session.set_limits(common.limits.share(limits));
        st.settings = settings;
        // What waited for the window may go now.
        st.session.pump();
        self.output_grew(&mut st);
        self.schedule(&mut st);
        Ok(())
    }
}

impl Conn {
    /// Whether the options have a password.
    pub fn has_password_option(&self) -> Result<bool, Code> {
        Ok(self.usable()?.extras.password.is_some())
    }

    /// What an attempt at the main server would connect with, and the options that are not in there.
    pub fn effective(&self) -> (Profile, Settings) {
        use crate::config::ProfileOptions;
        let st = self.lock();
        let (profile, client) = st.profiles.first().and_then(|main| main.now().ok()).unwrap_or_default();
        let mut merged = self.context.common.merged(&st.settings, &profile).unwrap();
        if let Some(will) = &st.extras.will {
            std::sync::Arc::make_mut(&mut merged).will.clone_from(will);
        }
        let settings = Settings { profile: ProfileOptions::default(), ..Settings::clone(&st.settings) };
        (st.whole(&merged, &client), settings)
    }
}

impl State {
    /// User name and password for the present profile.
    pub(in crate::client) fn user_credentials(&self, client: &ClientIdentity) -> UserCredentials {
        let mut user_credentials = client.user_credentials();
        if let Some(password) = &self.extras.password {
            user_credentials.pass = Some(Secret::clone(password));
        }
        user_credentials
    }

    /// All that an attempt with this merged profile connects with.
    pub(in crate::client) fn whole(&self, merged: &Profile, client: &ClientIdentity) -> Profile {
        let UserCredentials { user, pass } = self.user_credentials(client);
        Profile { user, pass, ..client.with(merged) }
    }
}

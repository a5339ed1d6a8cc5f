//! Calls that change what a connection is to do: its main profile, certificate, will, hook, limits.

use std::sync::Arc;

use crate::bugs::{Bug, bug};
use crate::client::Conn;
use crate::client::state::params::{ConnectHook, OwnCertificate};
use crate::client::state::profiles::{ProfileSource, Server, Servers};
use crate::config::{self, ConfigError, Profile, Resubscribe, Secret, Settings};
use crate::error::Code;
use crate::session::{Limits, OnSessionLoss, Overflow};
use crate::time::Time;
use crate::transport::custom::Custom;
use crate::transport::tls_settings::Sign;

impl Conn {
    /// Replaces the main profile, over which the options go as over the old one. A connection that is up or on its way
    /// is closed and opened again with the new one; with a disabled profile it is closed and stays down. Fails without
    /// changing anything if no connection is possible with it.
    pub fn set_profile(&self, profile: ProfileSource) -> Result<(), ConfigError> {
        let profile = Server::new(profile, &self.context.common);
        let mut st = self.usable()?;
        if bug(Bug::OptionDropped) {
            st.settings = Arc::default();
        }
        let (snapshot, client) = profile.now().map_err(|text| ConfigError::new("", text))?;
        if let Server::Fixed(..) = profile {
            st.settings.check(&st.whole(&snapshot, &client))?;
        }
        let merged = self.context.common.merged(&st.settings, &snapshot);
        if snapshot.enable {
            merged.clone()?.address()?;
        }
        let snapshot = merged.unwrap_or(snapshot);
        match st.profiles.first_mut() {
            Some(first) => *first = profile,
            None => st.profiles = Servers::One([profile]),
        }
        st.reconnect.select(0);
        st.forget_servers();
        // The schedule was that of the old profile; the new one starts its own.
        st.forget_fail_back();
        let limits = session_limits(&st.settings, &snapshot);
        st.session.set_limits(self.context.common.limits.share(limits));
        // What is published from now on goes out under the new profile; the rest of it comes with the next
        // attempt.
        st.limit_qos(snapshot.max_qos);
        self.apply_profile(&mut st, snapshot.enable);
        Ok(())
    }

    /// Replaces the client's certificate and key from the next attempt on, whichever server that is for; in a handler
    /// of [`Connecting`](crate::client::Event::Connecting) from the present one on. `None`: those of the profiles again.
    pub fn set_certificate(&self, own: Option<OwnCertificate>) -> Result<(), Code> {
        let mut st = self.usable()?;
        let extras = st.extras.try_make()?;
        extras.own = own.map(Box::new);
        extras.own_is_new = true;
        Ok(())
    }

    /// Sets the password of an encrypted key, instead of the configured one: for the next attempt, and in a handler
    /// that is told of one, for that.
    pub fn set_key_password(&self, password: Option<Secret<Vec<u8>>>) -> Result<(), Code> {
        let mut st = self.usable()?;
        let extras = st.extras.try_make()?;
        extras.key_password = password;
        extras.own_is_new = true;
        Ok(())
    }

    /// Sets who signs instead of the client's key, from the next attempt on; `None`: the key again. The old one is
    /// dropped outside the lock.
    pub fn set_signer(&self, signer: Option<Arc<dyn Sign>>) -> Result<(), Code> {
        let old = std::mem::replace(&mut self.usable()?.extras.try_make()?.signer, signer);
        drop(old);
        Ok(())
    }

    /// Streams are opened, read and written by `custom` from the next attempt on; `None`: they are sockets. The old one is
    /// dropped outside the lock.
    pub fn set_custom_transport(&self, custom: Option<Arc<dyn Custom>>) -> Result<(), Code> {
        let old = {
            let mut st = self.usable()?;
            match custom {
                Some(custom) => st.extras.try_make()?.custom.replace(custom),
                None => st.extras.get_mut().and_then(|extras| extras.custom.take()),
            }
        };
        drop(old);
        Ok(())
    }

    /// The index of the profile in use.
    pub fn active_profile(&self) -> usize {
        self.lock().reconnect.active()
    }

    /// The main profile as it is now, if there is one; without the options.
    pub fn main_profile(&self) -> Result<Option<Arc<Profile>>, Code> {
        let Some(main) = self.usable()?.profiles.first().cloned() else { return Ok(None) };
        let (profile, client) = main.now().map_err(|_| Code::BadConfig)?;
        Ok(Some(Arc::new(client.with(&profile))))
    }

    /// The will from the next attempt on, whichever the server, instead of the profile's; `None` for none.
    pub fn set_will(&self, will: Option<config::Will>) -> Result<(), Code> {
        self.usable()?.extras.try_make()?.will = Some(Box::new(will));
        Ok(())
    }

    /// Sets or clears the connect hook; the old one is dropped outside the lock.
    pub fn set_hook(&self, hook: Option<Arc<dyn ConnectHook<Conn>>>) -> Result<(), Code> {
        let old = std::mem::replace(&mut self.usable()?.extras.try_make()?.hook, hook);
        drop(old);
        Ok(())
    }

    /// Overrides the profile's highest QoS; `None` takes the profile's again. Negative is unlimited.
    pub fn set_max_qos(&self, max_qos: Option<i32>) -> Result<(), Code> {
        // There is none above 2.
        self.usable()?.max_qos = max_qos.map(|most| most.clamp(-1, 2) as i8);
        Ok(())
    }

    /// Asks for one [`Timer`](crate::client::Event::Timer) at `at`; `None` takes it back.
    pub fn set_timer(&self, at: Option<Time>) -> Result<(), Code> {
        let mut st = self.usable()?;
        if at.is_some() || st.extras.get().is_some() {
            st.extras.try_make()?.timer_at = at;
        }
        self.schedule(&mut st);
        Ok(())
    }

    /// Changes that limit for this connection, until the next attempt reads the configuration again. 0
    /// is without limit.
    pub fn set_receive_limit(&self, bytes: usize) -> Result<(), Code> {
        let mut st = self.usable()?;
        let limits = Limits { max_incoming: no_limit_if_zero(bytes), ..st.session.limits().clone() };
        st.session.set_limits(self.context.common.limits.share(limits));
        Ok(())
    }
}

/// What of the configuration concerns the session.
pub(in crate::client) fn session_limits(settings: &Settings, profile: &Profile) -> Limits {
    Limits {
        window: settings.in_flight_window,
        max_queue: profile.max_queue_length,
        max_outgoing_bytes: no_limit_if_zero(settings.max_outgoing_bytes),
        max_incoming: no_limit_if_zero(profile.recv_limit),
        keep_oversize: settings.keep_oversize,
        overflow: match settings.overflow {
            config::Overflow::Refuse => Overflow::RefuseNew,
            config::Overflow::DropOldest => Overflow::DropOldest,
        },
        on_session_loss: match settings.on_session_loss {
            config::OnSessionLoss::Resend => OnSessionLoss::Resend,
            config::OnSessionLoss::Report => OnSessionLoss::Report,
        },
        outcome_history: settings.outcome_history,
        always_subscribe: settings.resubscribe == Resubscribe::Always,
        keep_session: !profile.clean_session,
        ack_timeout: settings.ack_timeout,
        topic_aliases: settings.topic_aliases,
        poison_after: settings.poison_after,
        adaptive_keep_alive: settings.adaptive_keep_alive,
    }
}

pub(in crate::client) fn no_limit_if_zero(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}

//! Server profiles and settings as connections keep them: what many have in common is there once.
//!
//! The connections of a gateway, or of a fleet in one process, mostly differ in who they are to the server and in
//! nothing else. So that is kept apart, and the rest is shared with the connection that was made before, if it is
//! equal.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};

use crate::config::{ConfigError, Profile, Secret, Settings};
use crate::session::Limits;
use crate::sync::Mutex;

/// The profile that was merged last. The connections of a fleet have the same profile and the same options.
#[derive(Default)]
pub(in crate::client) struct Merged(Mutex<Option<Last>>);

/// The pointers are compared only. An address stays taken as long as a weak reference is left.
pub(in crate::client) struct Last {
    pub(in crate::client) profile: Weak<Profile>,
    pub(in crate::client) settings: Weak<Settings>,
    pub(in crate::client) merged: Weak<Profile>,
}

impl Common {
    /// What an attempt with this profile connects with under these options.
    pub(in crate::client) fn merged(
        &self,
        settings: &Arc<Settings>,
        profile: &Arc<Profile>,
    ) -> Result<Arc<Profile>, ConfigError> {
        if settings.profile.is_empty() {
            return Ok(profile.clone());
        }
        let mut last = self.merged.0.lock();
        let same = |last: &&Last| {
            last.profile.as_ptr() == Arc::as_ptr(profile) && last.settings.as_ptr() == Arc::as_ptr(settings)
        };
        if let Some(merged) = last.as_ref().filter(same).and_then(|last| last.merged.upgrade()) {
            return Ok(merged);
        }
        let merged = Arc::new(settings.profile.merge(profile)?);
        *last = Some(Last {
            profile: Arc::downgrade(profile),
            settings: Arc::downgrade(settings),
            merged: Arc::downgrade(&merged),
        });
        Ok(merged)
    }
}

/// Options taken apart: what many connections may have in common, and the password, which is one's alone.
pub(in crate::client) struct Own {
    pub(in crate::client) settings: Arc<Settings>,
    pub(in crate::client) password: Option<Box<Secret<Vec<u8>>>>,
}

impl Own {
    pub(in crate::client) fn new(mut settings: Settings, common: &Common) -> Own {
        let password = settings.profile.password.take().map(Box::new);
        Own { settings: common.settings.share(settings), password }
    }
}

/// A server profile: either fixed, or read anew for each attempt to connect.
#[derive(Clone)]
pub enum ProfileSource {
    /// As it was given.
    Fixed(Arc<Profile>),
    /// Asked for at each attempt; the error's text goes into the report.
    Live(Arc<Read>),
}

type Read = dyn Fn() -> Result<Profile, String> + Send + Sync;

/// Who a client is to the server: the part of a profile that is its alone.
#[derive(Clone, Default)]
pub(in crate::client) struct ClientIdentity {
    pub(in crate::client) client_id: Option<Box<str>>,
    user_credentials: Option<Box<UserCredentials>>,
}

/// How it proves that.
#[derive(Clone, Default)]
pub(in crate::client) struct UserCredentials {
    pub(in crate::client) user: Option<String>,
    pub(in crate::client) pass: Option<Secret<Vec<u8>>>,
}

impl ClientIdentity {
    /// Takes it out of a profile. What is left there is the same for many.
    fn take(profile: &mut Profile) -> ClientIdentity {
        profile.take_user_info();
        let client_id = profile.client_id.take().map(String::into_boxed_str);
        let user_credentials = UserCredentials { user: profile.user.take(), pass: profile.pass.take() };
        let user_credentials = (user_credentials.user.is_some() || user_credentials.pass.is_some())
            .then(|| Box::new(user_credentials));
        ClientIdentity { client_id, user_credentials }
    }

    /// User name and password.
    pub(in crate::client) fn user_credentials(&self) -> UserCredentials {
        self.user_credentials.as_deref().cloned().unwrap_or_default()
    }

    /// The whole profile again.
    pub(in crate::client) fn with(&self, common: &Profile) -> Profile {
        let UserCredentials { user, pass } = self.user_credentials();
        Profile { client_id: self.client_id.clone().map(String::from), user, pass, ..common.clone() }
    }
}

/// What a profile says now, but for who we are; and that.
pub(in crate::client) type Now = (Arc<Profile>, Arc<ClientIdentity>);

/// A profile source as a connection keeps it.
#[derive(Clone)]
pub(in crate::client) enum Server {
    Fixed(Arc<Profile>, Arc<ClientIdentity>),
    Live(Arc<Read>),
}

impl Server {
    pub(in crate::client) fn new(source: ProfileSource, common: &Common) -> Server {
        match source {
            ProfileSource::Fixed(profile) => {
                let mut profile = Arc::unwrap_or_clone(profile);
                let client = ClientIdentity::take(&mut profile);
                Server::Fixed(common.profiles.share(profile), Arc::new(client))
            }
            ProfileSource::Live(read) => Server::Live(read),
        }
    }

    /// The profile as it is now: what connections have in common, and who this one is.
    pub(in crate::client) fn now(&self) -> Result<Now, String> {
        match self {
            Server::Fixed(profile, client) => Ok((profile.clone(), client.clone())),
            Server::Live(read) => {
                let mut profile = read()?;
                let client = ClientIdentity::take(&mut profile);
                Ok((Arc::new(profile), Arc::new(client)))
            }
        }
    }
}

/// The profiles of a connection, the main one first. Most have one.
#[derive(Clone)]
pub(in crate::client) enum Servers {
    One([Server; 1]),
    Several(Box<[Server]>),
}

impl Servers {
    pub(in crate::client) fn new(sources: Vec<ProfileSource>, common: &Common) -> Servers {
        let mut all: Vec<Server> = sources.into_iter().map(|source| Server::new(source, common)).collect();
        match all.len() {
            1 => all.pop().map_or(Servers::Several(Box::default()), |only| Servers::One([only])),
            _ => Servers::Several(all.into()),
        }
    }
}

impl Deref for Servers {
    type Target = [Server];

    fn deref(&self) -> &[Server] {
        match self {
            Servers::One(one) => one,
            Servers::Several(all) => all,
        }
    }
}

impl DerefMut for Servers {
    fn deref_mut(&mut self) -> &mut [Server] {
        match self {
            Servers::One(one) => one,
            Servers::Several(all) => all,
        }
    }
}

/// What the connections of a loop have in common.
#[derive(Default)]
pub struct Common {
    profiles: Shared<Profile>,
    pub(in crate::client) settings: Shared<Settings>,
    pub(in crate::client) limits: Shared<Limits>,
    pub(in crate::client) merged: Merged,
}

/// Values that are shared by those who have the same one after the other.
pub(in crate::client) struct Shared<T>(Mutex<Weak<T>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Shared(Mutex::default())
    }
}

impl<T: PartialEq> Shared<T> {
    /// This value; the one that was here last, if it is equal and still in use.
    pub(in crate::client) fn share(&self, value: T) -> Arc<T> {
        let mut last = self.0.lock();
        if let Some(last) = last.upgrade().filter(|last| **last == value) {
            return last;
        }
        let value = Arc::new(value);
        *last = Arc::downgrade(&value);
        value
    }
}

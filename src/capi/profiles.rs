//! From C configurations to the client's profiles.

use std::sync::Arc;

use super::boundary::config_code;
use super::config::c_struct::profile_from_c;
use super::config::system;
use super::mgos_config::mgos_config_mqtt;
use crate::client::ProfileSource;
use crate::config::{Profile, SectionId};
use crate::error::Code;

/// A section of the system configuration, read anew at each attempt.
pub(super) fn live(section: SectionId) -> ProfileSource {
    ProfileSource::Live(Arc::new(move || system::snapshot(section).map_err(|error| error.to_string())))
}

/// The profile that a C configuration describes: a copy, or the live section if it is the system
/// configuration's own.
///
/// # Safety
/// `cfg` is valid; its strings are NULL or C strings.
pub(super) unsafe fn source(cfg: *const mgos_config_mqtt) -> Result<ProfileSource, Code> {
    match system::is_sys_pointer(cfg) {
        Some(section) => Ok(live(section)),
        None => {
            // SAFETY: promised by the caller.
            let profile = unsafe { fixed(cfg) }?;
            check(&profile)?;
            Ok(ProfileSource::Fixed(Arc::new(profile)))
        }
    }
}

/// Refuses what no connection can be made with. A client id may still come from the device's.
pub(super) fn check(profile: &Profile) -> Result<(), Code> {
    let mut named = profile.clone();
    named.name_client(Some("device"));
    named.validate().map_err(config_code)
}

/// A copy of a C configuration.
///
/// # Safety
/// As [`source`].
pub(super) unsafe fn fixed(cfg: *const mgos_config_mqtt) -> Result<Profile, Code> {
    // SAFETY: promised by the caller.
    unsafe { profile_from_c(cfg) }.map_err(config_code)
}

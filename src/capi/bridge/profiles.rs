//! From C configurations to the client's profiles.

use std::sync::Arc;

use crate::capi::base::boundary::config_code;
use crate::capi::config::c_struct::profile_from_c;
use crate::capi::config::system;
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::client::ProfileSource;
use crate::config::{ConfigError, Profile, SectionId};
use crate::error::Code;

/// A section of the system configuration, read again at each attempt.
pub(in crate::capi) fn live(section: SectionId) -> ProfileSource {
    ProfileSource::Live(Arc::new(move || system::snapshot(section).map_err(|error| error.to_string())))
}

/// The profile that a C configuration describes: a copy, or the live section if it is the system
/// configuration's own. Whether a connection is possible with it is checked by the connection, which knows its
/// options.
///
/// # Safety
/// `cfg` is valid; its strings are NULL or C strings.
pub(in crate::capi) unsafe fn source(cfg: *const mgos_config_mqtt) -> Result<ProfileSource, Code> {
    match system::is_sys_pointer(cfg) {
        Some(section) => Ok(live(section)),
        // SAFETY: promised by the caller.
        None => match unsafe { fixed(cfg) } {
            Ok(profile) => Ok(ProfileSource::Fixed(Arc::new(profile))),
            Err(error) => Err(config_code(error)),
        },
    }
}

/// A copy of a C configuration.
///
/// # Safety
/// As [`source`].
pub(in crate::capi) unsafe fn fixed(cfg: *const mgos_config_mqtt) -> Result<Profile, ConfigError> {
    // SAFETY: promised by the caller.
    unsafe { profile_from_c(cfg) }
}

//! Which version of the library this is, and which features it was built with.
//!
//! The macros say what a program was compiled against, the functions what it runs with. Every
//! function here may be called from any thread, at any time, and inside handlers.

use core::ffi::{CStr, c_char, c_int};

use crate::capi::base::version::{FEATURES, VERSION, VERSION_NUMBER};

/// The version of the library the program runs with, e.g. "0.1.0".
///
/// The text belongs to the library, is never NULL and lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of the library the program runs with, as major * 1000000 + minor * 1000 + patch.
///
/// A program that was compiled against a newer header than the library it runs with sees
/// `mgos_mqtt_version_number() < MGOS_MQTT_VERSION_NUMBER`.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_version_number() -> c_int {
    VERSION_NUMBER
}

/// Whether a feature was built into the library: "tls", "pq", "psk", "websocket", "proxy", "scram", "capi".
///
/// Headers and exported functions are the same whichever features were built; a function whose
/// feature is missing fails with its own error. Names are lower case and compared exactly; false
/// for a name this version does not know, and for NULL.
///
/// # Safety
/// `feature` is NULL or points to a string that ends with a NUL byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_has(feature: *const c_char) -> bool {
    if feature.is_null() {
        return false;
    }
    // SAFETY: not NULL, and the caller promises the terminating NUL.
    let wanted = unsafe { CStr::from_ptr(feature) }.to_bytes();
    !wanted.is_empty() && FEATURES.split(',').any(|built| built.as_bytes() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_text_agree() {
        let number = mgos_mqtt_version_number();
        let text = format!("{}.{}.{}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000);
        assert_eq!(VERSION.to_str(), Ok(text.as_str()));
    }

    #[test]
    fn features_are_exact_names() {
        // SAFETY: NULL, or a C string literal.
        let has =
            |name: Option<&CStr>| unsafe { mgos_mqtt_has(name.map_or(core::ptr::null(), CStr::as_ptr)) };
        assert!(has(Some(c"capi")));
        for unknown in [c"", c",", c"cap", c"capi,", c"default", c"CAPI", c"no such thing"] {
            assert!(!has(Some(unknown)), "{unknown:?}");
        }
        assert!(!has(None));
    }
}

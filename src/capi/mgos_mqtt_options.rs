//! Everything about a connection that `struct mgos_config_mqtt` has no field for: binary wills and passwords,
//! time-outs, limits in bytes, policies, more than two servers, TLS from memory.

use core::ffi::{c_int, c_void};
use std::sync::Arc;

use crate::capi::base::boundary::{config_code, status, value};
use crate::capi::base::field::memory;
use crate::capi::bridge::callbacks::{Owner, SignFunction, UserData};
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::lookup::loop_of;
use crate::capi::bridge::options::read;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_loop::{mgos_mqtt_loop, mgos_mqtt_ud_free_fn_t};
use crate::capi::types::mgos_mqtt_options::{mgos_mqtt_options, mgos_mqtt_sign_fn_t};
use crate::client::OwnCertificate;
use crate::config::Secret;
use crate::error::Code;

/// Creates a connection on a loop (NULL: the default loop) with options (NULL: the defaults, and no
/// server). No network I/O happens before mgos_mqtt_conn_connect(). `conn_id` names the connection in the
/// log.
///
/// Returns NULL if something in the options is not valid: mgos_mqtt_last_error() has MGOS_MQTT_BAD_STRUCTURE,
/// MGOS_MQTT_BAD_ARGUMENT, MGOS_MQTT_BAD_CONFIG and others.
///
/// # Safety
/// `loop` is NULL or a living loop; `options` is NULL or has `options->size` bytes, and what it points to is
/// valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_create_on(
    r#loop: *mut mgos_mqtt_loop,
    conn_id: c_int,
    options: *const mgos_mqtt_options,
) -> *mut mgos_mqtt_conn {
    value(core::ptr::null_mut(), || {
        let home = loop_of(r#loop)?;
        // SAFETY: promised by the caller.
        let (profiles, settings) = unsafe { read(options) }?;
        Ok(Handle::create(home, conn_id, profiles, settings)?.as_ptr())
    })
}

/// Replaces all options of a connection: a field that is 0 or NULL here goes back to its default. Limits and policies
/// apply at once, the rest from the next attempt to connect on.
///
/// Options belong to the connection and not to its servers: they override whatever configuration it has at an
/// attempt, and no other call changes them (such as mgos_mqtt_conn_set_config() or mgos_mqtt_conn_set_server()).
/// Without `profiles` the connection's servers stay as they are; with them, all its servers are replaced.
///
/// Returns 0 or a negative error; then nothing changed, and mgos_mqtt_last_error_text() names the field.
/// MGOS_MQTT_BAD_CONFIG is also returned if no connection to one of its servers were possible with these options, or
/// if a server that is reached under TLS now would lose it, because the option that turned TLS on is missing. Other
/// options that protect the link, and are missing now, are named in a warning in the log.
///
/// # Safety
/// `c` is NULL or a living connection; `options` as for mgos_mqtt_conn_create_on().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_options(
    c: *mut mgos_mqtt_conn,
    options: *const mgos_mqtt_options,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        if options.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: promised by the caller.
        let (profiles, settings) = unsafe { read(options) }?;
        handle.conn()?.set_options(settings, profiles).map_err(config_code)
    })
}

/// Replaces the client's certificate and private key by others in memory, for every server of the connection: from
/// the next attempt to connect on, or, called in a handler of MGOS_MQTT_EV_CONNECTING, from that attempt on. A
/// connection that is up is not affected. Files need no such call: they are read at each attempt.
///
/// PEM or DER as in `tls_cert` and `tls_key` of the options; both are copied. If the key is NULL, it is in the PEM
/// of the certificate; if both are NULL, the configured ones are used again. If something is wrong with them, the
/// attempt fails with that error. Returns 0 or a negative error.
///
/// # Safety
/// `c` is NULL or a living connection; the pointers are NULL or have that many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_certificate(
    c: *mut mgos_mqtt_conn,
    cert: *const c_void,
    cert_len: usize,
    key: *const c_void,
    key_len: usize,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let certificate = unsafe { memory!(cert, cert_len).copy() }?.map(Secret);
        // SAFETY: promised by the caller.
        let key = unsafe { memory!(key, key_len).copy() }?.map(Secret);
        let own = match (certificate, key) {
            (Some(certificate), key) => Some(OwnCertificate { certificate, key }),
            (None, None) => None,
            (None, Some(_)) => return Err(Code::NullArgument),
        };
        handle.conn()?.set_certificate(own)
    })
}

/// Sets the password of an encrypted private key, instead of `tls_key_password` of the options: from the next attempt
/// to connect on, or, called in a handler of MGOS_MQTT_EV_CONNECTING (which can ask somebody for it), from that attempt
/// on.
///
/// It is copied, kept until another is set or the connection is freed, and then wiped; with NULL, that of the options
/// is used again. With a wrong password the attempt fails. Callable from every thread and in handlers. Returns 0 or a
/// negative error.
///
/// # Safety
/// `c` is NULL or a living connection; `password` is NULL or has that many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_key_password(
    c: *mut mgos_mqtt_conn,
    password: *const c_void,
    password_len: usize,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let password = unsafe { memory!(password, password_len).copy() }?.map(Secret);
        handle.conn()?.set_key_password(password)
    })
}

/// Sets the function that signs with the client's private key, for keys that nobody may read: from the next attempt to
/// connect on, for every server of the connection. NULL removes it. The certificate is configured as usual (`ssl_cert`,
/// `tls_cert`, mgos_mqtt_conn_set_certificate()), a key is not. It is called once in each handshake in which the server
/// asks for a certificate; a resumed one needs none.
///
/// Setting a function replaces the one before; `ud_free`, if not NULL, takes `ud` back after its last call. Callable
/// from every thread and in handlers. Returns 0, or MGOS_MQTT_NOT_BUILT without TLS; on an error `ud` stays yours.
///
/// # Safety
/// `c` is NULL or a living connection; `fn` can be called with `ud` until another is set or the connection has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_sign_fn(
    c: *mut mgos_mqtt_conn,
    r#fn: mgos_mqtt_sign_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    let data = UserData::new(ud, ud_free);
    status(|| {
        let handle = Handle::of(c).inspect_err(|_| data.disarm())?;
        let conn = handle.conn().inspect_err(|_| data.disarm())?;
        if cfg!(not(feature = "tls")) {
            data.disarm();
            return Err(Code::NotBuilt);
        }
        let Some(function) = r#fn else {
            // Nothing is kept that `ud` could belong to.
            data.disarm();
            return conn.set_signer(None);
        };
        let signer = Arc::new(SignFunction { owner: Owner::of(&handle), function, data });
        conn.set_signer(Some(signer.clone())).inspect_err(|_| signer.data.disarm())
    })
}

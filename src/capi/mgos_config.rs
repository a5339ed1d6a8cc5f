//! The configuration of one MQTT server, as a structure: its defaults, its JSON text, copy and free.
//!
//! A program fills a struct mgos_config_mqtt in one of three ways. It takes the defaults and sets
//! fields:
//!
//!     struct mgos_config_mqtt cfg;
//!     mgos_config_mqtt_set_defaults(&cfg);
//!     cfg.enable = 1;
//!     cfg.server = "broker.example.org:1883";
//!
//! or reads a text with mgos_config_mqtt_parse_ex(), or takes over the system configuration with
//! mgos_config_mqtt_copy(mgos_sys_config_get_mqtt(), &cfg). Functions that take a configuration
//! copy what they need before they return.
//!
//! Strings. In a structure that mgos_config_mqtt_parse*() or mgos_config_mqtt_copy() filled, every
//! string was allocated with malloc(), or is a compiled-in default, which
//! mgos_config_is_default_str() recognises; mgos_config_mqtt_free() releases the former and leaves
//! the latter alone. A structure that a program filled itself with literals must not be given to
//! mgos_config_mqtt_free(). NULL and "" both mean that a string is not set.
//!
//! Threads. Every function here may be called from any thread and in every handler; the structure
//! belongs to the caller, who keeps two threads from using one at the same time. Nothing here blocks
//! but reading and writing a file.
//!
//! Errors. What returns bool returns false, what returns a pointer NULL, and
//! mgos_mqtt_last_error() tells the reason. A NULL where a pointer is needed is such an error, never
//! a crash.
//!
//! The structure is frozen: it never gets another field and never changes its size. What is newer
//! stands in struct mgos_mqtt_options.

use core::ffi::{c_char, c_int};
use core::ptr;

use super::boundary::{bytes, config_code, copy_out, value};
use super::config::{c_struct, c_text, file};
use super::mgos_mg_str::mg_str;
use crate::config::{Section, Style};
use crate::error::Code;

/// The configuration of one MQTT server.
///
/// Flags are ints, of which 0 is false and everything else true. Strings are UTF-8 but for `pass`
/// and `will_message`, which may be any bytes without a NUL.
///
/// A structure of zero bytes (memset) is used as it is written: not enabled, no keep-alive, no
/// delay between reconnects, QoS 0. Start with mgos_config_mqtt_set_defaults() instead.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgos_config_mqtt {
    /// Whether connections may be made. Default: false.
    pub enable: c_int,
    /// The address: `host`, `host:port`, `[IPv6 address]:port`, or a URL that begins with mqtt://,
    /// mqtts://, tcp://, ssl://, tls://, ws:// or wss://. Without a port it is 1883, with TLS 8883.
    /// Default: none, as that of Mongoose OS, iot.eclipse.org, does not exist any more.
    pub server: *const c_char,
    /// The client id. Not set: the device id, see mgos_sys_config_get_device_id(); if that is not
    /// set either the server chooses one, which needs `clean_session`. Default: not set.
    pub client_id: *const c_char,
    /// The user name. Default: not set.
    pub user: *const c_char,
    /// The password; needs `user`. Default: not set.
    pub pass: *const c_char,
    /// The shortest delay before a reconnect, in seconds, 0 to 2147483. Delays double up to
    /// `reconnect_timeout_max`. Default: 2.
    pub reconnect_timeout_min: f64,
    /// The longest delay before a reconnect, in seconds, 0 to 2147483. If it is smaller than
    /// `reconnect_timeout_min`, it wins. Default: 60.
    pub reconnect_timeout_max: f64,
    /// The file of the client's certificate and of those that lead to its issuer, in PEM. Turns TLS on.
    /// Default: not set.
    pub ssl_cert: *const c_char,
    /// The file of the private key, PKCS#8, PKCS#1 or SEC1, in PEM or DER, not encrypted. Not set: the key
    /// is in the file `ssl_cert`. Default: not set.
    pub ssl_key: *const c_char,
    /// The file of the certificates that are trusted, in PEM or DER. Turns TLS on. `*`, which accepted
    /// every certificate in Mongoose OS, is refused with an error. Default: not set, which for an
    /// mqtts:// address means those of the system.
    pub ssl_ca_cert: *const c_char,
    /// The names of the cipher suites that are allowed, between colons or commas, as IANA or mbedTLS
    /// write them; one that the library does not have is an error. Default: not set, which is all.
    pub ssl_cipher_suites: *const c_char,
    /// The identity of the pre-shared key. Turns TLS on. Default: not set.
    pub ssl_psk_identity: *const c_char,
    /// The pre-shared key in hexadecimal digits. Default: not set.
    pub ssl_psk_key: *const c_char,
    /// Whether the server forgets the session of this client at each connect. Default: true.
    pub clean_session: c_int,
    /// After how many seconds without traffic the connection is probed, 0 to 65535. 0: never.
    /// Default: 60.
    pub keep_alive: c_int,
    /// The topic of the message that the server publishes when it loses us. There is a will only if
    /// `will_message` is set as well. Default: not set.
    pub will_topic: *const c_char,
    /// The will itself. Default: not set.
    pub will_message: *const c_char,
    /// Whether the will is retained. Its QoS is 0; struct mgos_mqtt_options can say more. Default:
    /// false.
    pub will_retain: c_int,
    /// The highest QoS that is used for publish and subscribe, whatever is asked for: 0, 1 or 2;
    /// negative: no limit. Default: 2.
    pub max_qos: c_int,
    /// The largest packet that is received, in bytes; 0: no limit but that of MQTT. A larger one is
    /// skipped and reported, and the connection goes on. Default: 4194304 (Mongoose OS: 3072).
    pub recv_mbuf_limit: c_int,
    /// Whether to connect only when the wall clock is set, as the check of a certificate needs it.
    /// Default: false.
    pub require_time: c_int,
    /// Whether cloud events are raised when the connection comes and goes. Default: true.
    pub cloud_events: c_int,
    /// How many messages of QoS 1 and 2 may wait or be in flight. 0 or less: none is queued while
    /// offline. Default: 1024 (Mongoose OS: 5).
    pub max_queue_length: c_int,
    /// Whether MQTT runs over WebSocket. Default: false.
    pub ws_enable: c_int,
    /// The path of the WebSocket. Default: "/mqtt".
    pub ws_path: *const c_char,
    /// Whether log messages that are published carry their level instead of 1 for standard output
    /// and 2 for standard error. Default: false.
    pub debug_use_log_level: c_int,
}

/// Fills `cfg` with the defaults. Whatever was there is overwritten and not released.
///
/// # Safety
/// `cfg` is NULL, which does nothing, or points to a structure to write, which need not be
/// initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_set_defaults(cfg: *mut mgos_config_mqtt) {
    value((), || {
        if cfg.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { cfg.write(c_struct::defaults()) };
        Ok(())
    });
}

/// Fills `cfg` with the defaults, and then with what the text says.
///
/// `json` is the object of one section, `{"enable": true, "server": "broker:1883"}`, whose keys are
/// the names of the fields; flags are true or false. Whatever was in `cfg` is overwritten and not
/// released; release the result with mgos_config_mqtt_free().
///
/// Returns false for a text that is not valid; `cfg` then has the defaults.
/// mgos_config_mqtt_parse_ex() also tells what is wrong with it.
///
/// # Safety
/// `cfg` is NULL, which returns false, or points to a structure to write; `json` is readable for
/// its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_parse(json: mg_str, cfg: *mut mgos_config_mqtt) -> bool {
    // SAFETY: promised by the caller.
    unsafe { mgos_config_mqtt_parse_ex(json.p, json.len, cfg, ptr::null_mut(), 0) }
}

/// As mgos_config_mqtt_parse(), and if the text is not valid writes a sentence about it to `err`:
///
///     keep_alive: expected a number, found a string (line 4, column 20)
///
/// The sentence is cut to fit into `err_len` bytes and ends with a NUL; after a success it is empty.
/// `err` may be NULL. A text has at most 1 MiB. An unknown key, a key that comes twice and a number
/// out of its range are errors.
///
/// # Safety
/// `json` is readable for `len` bytes; `cfg` is NULL, which returns false, or points to a structure
/// to write; `err` is NULL or has room for `err_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_parse_ex(
    json: *const c_char,
    len: usize,
    cfg: *mut mgos_config_mqtt,
    err: *mut c_char,
    err_len: usize,
) -> bool {
    // SAFETY: promised by the caller.
    unsafe { mgos_config_mqtt_set_defaults(cfg) };
    value(false, || {
        // SAFETY: promised by the caller.
        let json = unsafe { bytes(json.cast(), len) };
        let parsed = json.map_err(Into::into).and_then(c_struct::parse);
        // SAFETY: promised by the caller.
        unsafe { report(&parsed, err, err_len) };
        if cfg.is_null() {
            return Err(Code::NullArgument);
        }
        let section = parsed.map_err(config_code)?;
        let filled = c_struct::from_section(&section)?;
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { cfg.write(filled) };
        Ok(true)
    })
}

/// As mgos_config_mqtt_parse(), with the content of a file.
///
/// Returns false also if the file cannot be read or has more than 1 MiB.
///
/// # Safety
/// `fname` is NULL, which returns false, or ends with a NUL; `cfg` is NULL, which returns false, or
/// points to a structure to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_parse_f(fname: *const c_char, cfg: *mut mgos_config_mqtt) -> bool {
    // SAFETY: promised by the caller.
    unsafe { mgos_config_mqtt_set_defaults(cfg) };
    value(false, || {
        // SAFETY: promised by the caller.
        let path = unsafe { file::path(fname) }?;
        if cfg.is_null() {
            return Err(Code::NullArgument);
        }
        let section = c_struct::parse(&file::read(&path)?).map_err(config_code)?;
        let filled = c_struct::from_section(&section)?;
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { cfg.write(filled) };
        Ok(true)
    })
}

/// Writes `cfg` to a file as JSON, with the passwords, so that mgos_config_mqtt_parse_f() reads back
/// the same; `pretty` writes one field in each line.
///
/// The new content is written to a second file beside it, which then takes its place: after a power
/// failure there is the old content or the new one. Only the owner can read the file.
///
/// Returns false if a string is not UTF-8, a number cannot be written in JSON, or the file cannot be
/// written.
///
/// # Safety
/// `cfg` is NULL, which returns false, or a configuration; `fname` is NULL, which returns false, or
/// ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_emit_f(
    cfg: *const mgos_config_mqtt,
    pretty: bool,
    fname: *const c_char,
) -> bool {
    value(false, || {
        // SAFETY: promised by the caller.
        let path = unsafe { file::path(fname) }?;
        // SAFETY: promised by the caller.
        let section = unsafe { section_of(cfg) }?;
        let text = section.to_json(Style { pretty, secrets: true }).map_err(config_code)?;
        file::write(&path, text.as_bytes())?;
        Ok(true)
    })
}

/// The JSON text of `cfg`. With `with_secrets` false, `pass`, `ssl_key` and `ssl_psk_key` are
/// written as "***": such a text is for a log, not to be parsed again.
///
/// Returns a string that the caller releases with free(); NULL if a string is not UTF-8, a number
/// cannot be written in JSON, or there is no memory.
///
/// # Safety
/// `cfg` is NULL, which returns NULL, or a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_to_json(
    cfg: *const mgos_config_mqtt,
    pretty: bool,
    with_secrets: bool,
) -> *mut c_char {
    value(ptr::null_mut(), || {
        // SAFETY: promised by the caller.
        let section = unsafe { section_of(cfg) }?;
        let text = section.to_json(Style { pretty, secrets: with_secrets }).map_err(config_code)?;
        c_text::allocate(text.as_bytes())
    })
}

/// Copies a configuration with its strings. Whatever was in `dst` is overwritten and not released;
/// release the copy with mgos_config_mqtt_free(). A configuration may be copied onto itself, which
/// changes nothing.
///
/// Returns false if there is no memory; `dst` is then unchanged.
///
/// # Safety
/// `src` is NULL, which returns false, or a configuration; `dst` is NULL, which returns false, or
/// points to a structure to write, which need not be initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_copy(
    src: *const mgos_config_mqtt,
    dst: *mut mgos_config_mqtt,
) -> bool {
    value(false, || {
        if src.is_null() || dst.is_null() {
            return Err(Code::NullArgument);
        }
        if ptr::eq(src, dst) {
            return Ok(true);
        }
        // SAFETY: not NULL, and a configuration as promised by the caller.
        let copy = unsafe { c_struct::copy(&*src) }?;
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { dst.write(copy) };
        Ok(true)
    })
}

/// Releases the strings of a configuration that mgos_config_mqtt_parse*() or
/// mgos_config_mqtt_copy() filled, and sets them to NULL. The structure itself stays the caller's, and
/// may be given here again. NULL does nothing.
///
/// # Safety
/// `cfg` is NULL, or every string in it is NULL, a compiled-in default, or was allocated with
/// malloc() and is used nowhere else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_free(cfg: *mut mgos_config_mqtt) {
    value((), || {
        // SAFETY: NULL or valid, as promised by the caller.
        if let Some(cfg) = unsafe { cfg.as_mut() } {
            // SAFETY: promised by the caller.
            unsafe { c_struct::free(cfg) };
        }
        Ok(())
    });
}

/// Whether `s` is a string that was compiled into the library as the default of a field: it lives as
/// long as the process and must not be given to free(). The pointer is compared, not the text; false
/// for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_config_is_default_str(s: *const c_char) -> bool {
    value(false, || Ok(c_text::is_default(s)))
}

/// The section that a configuration given by C stands for.
///
/// # Safety
/// `cfg` is NULL or a configuration.
unsafe fn section_of(cfg: *const mgos_config_mqtt) -> Result<Section, Code> {
    // SAFETY: NULL or valid, as promised by the caller.
    let cfg = unsafe { cfg.as_ref() }.ok_or(Code::NullArgument)?;
    // SAFETY: its strings are C strings, as promised by the caller.
    unsafe { c_struct::to_section(cfg) }.map_err(config_code)
}

/// Writes the sentence of an error, or nothing, to a buffer given by C.
///
/// # Safety
/// `err` is NULL or has room for `err_len` bytes.
pub(super) unsafe fn report<T>(
    result: &Result<T, crate::config::ConfigError>,
    err: *mut c_char,
    err_len: usize,
) {
    let text = result.as_ref().err().map_or(String::new(), ToString::to_string);
    // SAFETY: promised by the caller.
    unsafe { copy_out(&text, err, err_len) };
}

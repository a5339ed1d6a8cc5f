//! Every option and every call that changes something else: none of these calls drops an option.
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "all are calls of the C API with a living connection and what its headers ask for"
)]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use std::sync::{Arc, Mutex};

use super::config::c_struct;
use crate::capi::base::boundary::with_error_text;
use crate::capi::base::sized::Growing;
use crate::capi::bridge::handle::Handle;
use crate::capi::mgos_mqtt_conn::*;
use crate::capi::mgos_mqtt_connect::*;
use crate::capi::mgos_mqtt_loop::*;
use crate::capi::mgos_mqtt_options::*;
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::capi::types::mgos_mqtt_conn::*;
use crate::capi::types::mgos_mqtt_loop::*;
use crate::capi::types::mgos_mqtt_options::*;
use crate::capi::types::mgos_mqtt_property::*;
use crate::client::ProfileSource;
use crate::config::{Profile, Settings};
use crate::error::Code;

type Set = fn(&mut mgos_mqtt_options);

/// One option, with a value that is not its default.
struct Choice {
    name: &'static str,
    set: Set,
    /// Gives it a value that is not allowed; false if there is none.
    spoil: fn(&mut mgos_mqtt_options) -> bool,
}

trait Spoil {
    fn spoil(&mut self) -> bool;
}

impl Spoil for c_int {
    fn spoil(&mut self) -> bool {
        *self = c_int::MIN;
        true
    }
}

impl Spoil for usize {
    fn spoil(&mut self) -> bool {
        false
    }
}

impl Spoil for *const c_char {
    fn spoil(&mut self) -> bool {
        *self = c"\xff".as_ptr();
        true
    }
}

impl Spoil for *const c_void {
    /// NULL is spoiled by its length.
    fn spoil(&mut self) -> bool {
        true
    }
}

macro_rules! choices {
    ($($name:ident $(with $len:ident)? $(at $version:literal)? = $value:expr;)*) => {{
        let choices: Vec<Choice> = vec![$(Choice {
            name: stringify!($name),
            set: |options| {
                let value = $value;
                $(options.protocol_version = $version;)?
                $(options.$len = value.len();)?
                options.$name = choices!(@put value $($len)?);
            },
            spoil: |options| {
                $(options.$len = 1;)?
                options.$name.spoil()
            },
        }),*];
        // A field that is missing in the list below does not compile here: "pattern requires `..`".
        let mgos_mqtt_options { size: _, profiles: _, num_profiles: _, $($name: _, $($len: _,)?)* } =
            mgos_mqtt_options::zeros();
        choices
    }};
    (@put $value:ident) => { $value };
    (@put $value:ident $len:ident) => { $value.as_ptr().cast() };
}

/// A property that lives long enough for any call.
fn number(id: u32, number: u32) -> mgos_mqtt_property {
    mgos_mqtt_property { id, number, name: null(), name_len: 0, value: null(), value_len: 0 }
}

impl Spoil for *const mgos_mqtt_property {
    fn spoil(&mut self) -> bool {
        true
    }
}

fn choices() -> Vec<Choice> {
    choices! {
        protocol_version = 3;
        password with password_len = b"\0\xff";
        will_payload with will_payload_len = b"\0gone";
        will_qos = 2;
        retry = 2;
        fixed_delay = 1;
        jitter_percent = -1;
        stable_after_ms = -1;
        fail_back_ms = 1;
        dns_timeout_ms = 1;
        tcp_timeout_ms = -1;
        tls_timeout_ms = 1;
        connack_timeout_ms = 1;
        pingresp_timeout_ms = 1;
        in_flight_window = 1;
        max_outgoing_bytes = 1;
        overflow = 1;
        on_session_loss = 1;
        outcome_history = -1;
        resubscribe = 1;
        oversize_keep = 1;
        receive_queue_length = 1;
        receive_queue_bytes = 1;
        receive_overflow = 1;
        refuse_retries = -1;
        refuse_delay_ms = -1;
        poll_tick_ms = -1;
        tls_server_name = c"name".as_ptr();
        tls_alpn = c"mqtt".as_ptr();
        tls_min_version = 13;
        tls_system_roots = 1;
        tls_ca with tls_ca_len = b"ca";
        tls_cert with tls_cert_len = b"cert";
        tls_key with tls_key_len = b"key";
        tls_pins = c"0000000000000000000000000000000000000000000000000000000000000000".as_ptr();
        tls_crl with tls_crl_len = b"crl";
        tls_crl_file = c"crl.pem".as_ptr();
        tls_expiry_days = -1;
        tls_insecure_skip_verification = 1;
        tls_insecure_skip_name = 1;
        tls_key_password with tls_key_password_len = b"password";
        ack_timeout_ms = 1;
        poison_after = 1;
        close_timeout_ms = 1;
        slow_callback_ms = -1;
        tls_post_quantum = -1;
        topic_aliases = 2;
        authentication at 5 = 1;
        scram_max_iterations = 5000;
        redirect = 1;
        properties with num_properties at 5 = [number(MGOS_MQTT_PROPERTY_RECEIVE_MAXIMUM, 7)];
        will_properties with num_will_properties at 5 = [number(MGOS_MQTT_PROPERTY_WILL_DELAY_INTERVAL, 7)];
        ws_headers = c"Authorization: Bearer t".as_ptr();
        ws_timeout_ms = 1;
        proxy = c"http://u:p@proxy".as_ptr();
        proxy_from_environment = 1;
        proxy_ca with proxy_ca_len = b"ca";
        proxy_timeout_ms = 1;
        source_address = c"127.0.0.2".as_ptr();
        source_interface = c"lo".as_ptr();
        tcp_keepalive_idle_ms = 1;
        tcp_keepalive_interval_ms = 1;
        tcp_keepalive_count = 1;
        tcp_user_timeout_ms = 1;
        dscp = 1;
        socket_send_buffer = 1;
        socket_receive_buffer = 1;
        first_delay_ms = 1;
        adaptive_keep_alive = 1;
    }
}

/// A call that changes something else.
struct Setter {
    name: &'static str,
    call: fn(*mut mgos_mqtt_conn) -> c_int,
}

const SETTERS: [Setter; 13] = [
    Setter {
        name: "set_server",
        call: |c| unsafe { mgos_mqtt_conn_set_server(c, c"two".as_ptr(), null(), c"u2".as_ptr(), null()) },
    },
    Setter {
        name: "set_config",
        call: |c| unsafe { done(mgos_mqtt_conn_set_config(c, &config(c"two".as_ptr()))) },
    },
    Setter {
        name: "set_config, live",
        call: |c| {
            let profile = unsafe { c_struct::profile_from_c(&config(c"live".as_ptr())) }.unwrap();
            let live = ProfileSource::Live(Arc::new(move || Ok(profile.clone())));
            Handle::of(c).unwrap().conn().unwrap().set_profile(live).map_or(-1, |()| 0)
        },
    },
    Setter { name: "no will", call: |c| unsafe { mgos_mqtt_conn_set_will(c, null(), null(), 0, 0, false) } },
    Setter {
        name: "set_will",
        call: |c| unsafe { mgos_mqtt_conn_set_will(c, c"t".as_ptr(), c"x".as_ptr().cast(), 1, 1, true) },
    },
    Setter {
        name: "set_max_qos",
        call: |c| {
            unsafe { mgos_mqtt_conn_set_max_qos(c, 1) };
            0
        },
    },
    Setter {
        name: "set_certificate",
        call: |c| unsafe { mgos_mqtt_conn_set_certificate(c, c"own".as_ptr().cast(), 3, null(), 0) },
    },
    Setter {
        name: "set_key_password",
        call: |c| unsafe { mgos_mqtt_conn_set_key_password(c, c"own".as_ptr().cast(), 3) },
    },
    Setter {
        name: "set_connect_fn",
        call: |c| {
            unsafe { mgos_mqtt_conn_set_connect_fn(c, None, null_mut()) };
            0
        },
    },
    Setter { name: "on_connect", call: |c| unsafe { mgos_mqtt_conn_on_connect(c, None, null_mut(), None) } },
    Setter { name: "connect", call: |c| unsafe { done(mgos_mqtt_conn_connect(c)) } },
    Setter {
        name: "reconnect",
        call: |c| {
            unsafe { mgos_mqtt_conn_reconnect(c) };
            0
        },
    },
    Setter {
        name: "disconnect",
        call: |c| {
            unsafe { mgos_mqtt_conn_disconnect(c) };
            0
        },
    },
];

fn done(done: bool) -> c_int {
    if done { 0 } else { -1 }
}

/// A configuration with everything that some option needs beside it.
fn config(server: *const c_char) -> mgos_config_mqtt {
    mgos_config_mqtt {
        enable: 1,
        server,
        client_id: c"id".as_ptr(),
        user: c"user".as_ptr(),
        pass: c"text".as_ptr(),
        will_topic: c"will".as_ptr(),
        will_message: c"text".as_ptr(),
        ssl_cert: c"cert.pem".as_ptr(),
        ssl_ca_cert: c"ca.pem".as_ptr(),
        ..c_struct::defaults()
    }
}

fn options(set: Option<Set>) -> mgos_mqtt_options {
    let mut options =
        mgos_mqtt_options { size: size_of::<mgos_mqtt_options>(), ..mgos_mqtt_options::zeros() };
    if let Some(set) = set {
        set(&mut options);
    }
    options
}

/// A connection with one server and these options.
struct Made(*mut mgos_mqtt_conn);

impl Made {
    fn new(set: Option<Set>) -> Made {
        let cfg = config(c"one".as_ptr());
        let options = mgos_mqtt_options { profiles: &cfg, num_profiles: 1, ..options(set) };
        // SAFETY: valid options, the default loop.
        Made(unsafe { mgos_mqtt_conn_create_on(null_mut(), 1, &options) }).good()
    }

    /// The options first, and the server later.
    fn late(set: Option<Set>) -> Made {
        // SAFETY: valid options, the default loop.
        let made = Made(unsafe { mgos_mqtt_conn_create_on(null_mut(), 1, &options(set)) }).good();
        // SAFETY: a living connection, a valid configuration.
        assert!(unsafe { mgos_mqtt_conn_set_config(made.0, &config(c"one".as_ptr())) });
        made
    }

    fn good(self) -> Made {
        with_error_text(|text| assert!(!self.0.is_null(), "{text}"));
        self
    }

    fn set_options(&self, set: Set) {
        // SAFETY: a living connection, valid options.
        assert_eq!(unsafe { mgos_mqtt_conn_set_options(self.0, &options(Some(set))) }, 0);
    }

    fn effective(&self) -> (Profile, Settings) {
        Handle::of(self.0).unwrap().conn().unwrap().effective()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // SAFETY: a living connection, once.
        unsafe { mgos_mqtt_conn_free(self.0) };
    }
}

// field: F-40
#[test]
fn no_setter_drops_an_option() {
    for Choice { name, set, .. } in choices() {
        let plain = Made::new(None).effective();
        let with = Made::new(Some(set)).effective();
        assert_ne!(plain, with, "{name} changes nothing: is it read in src/capi/bridge/options.rs?");
        assert_eq!(Made::late(Some(set)).effective(), with, "{name} before the server");
        for setter in &SETTERS {
            let what = || format!("{name}, then {}", setter.name);
            let first = Made::new(Some(set));
            assert_eq!((setter.call)(first.0), 0, "{}", what());
            let late = Made::late(Some(set));
            assert_eq!((setter.call)(late.0), 0, "{}", what());
            // The same in the other order, in which the option comes last.
            let last = Made::new(None);
            assert_eq!((setter.call)(last.0), 0, "{}", what());
            let without = last.effective();
            last.set_options(set);
            assert_eq!(first.effective(), last.effective(), "{}", what());
            assert_eq!(late.effective(), last.effective(), "{}", what());
            // A will by a call is instead of all that is configured.
            let hidden = name.starts_with("will_") && setter.name.contains("will");
            let (mut profile, settings) = first.effective();
            if name.ends_with("properties") || name == "authentication" {
                // They come with a version.
                profile.protocol = without.0.protocol;
            }
            assert_eq!((profile, settings) == without, hidden, "{}", what());
        }
    }
}

/// Options replace all that there were: two after each other are as the second alone.
#[test]
fn options_replace_each_other_and_leave_the_servers() {
    let all = choices();
    for pair in all.windows(2) {
        let made = Made::new(Some(pair[0].set));
        made.set_options(pair[1].set);
        let what = || format!("{}, then {}", pair[0].name, pair[1].name);
        assert_eq!(made.effective(), Made::new(Some(pair[1].set)).effective(), "{}", what());
    }
}

/// What was logged, and how.
static LOGGED: Mutex<Vec<(c_int, String)>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_log(level: c_int, _: c_int, text: *const c_char, _: *mut c_void) {
    // SAFETY: a C string.
    let text = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
    LOGGED.lock().unwrap().push((level, text));
}

// field: F-40
#[test]
fn options_that_protect_the_link_do_not_go_unnoticed() {
    let home = mgos_mqtt_loop_create();
    let mut cfg = config(c"one".as_ptr());
    (cfg.ssl_ca_cert, cfg.ssl_cert) = (null(), null());
    let with = |set: Set| mgos_mqtt_options { profiles: &cfg, num_profiles: 1, ..options(Some(set)) };
    // SAFETY: valid options on a living loop, here and below.
    let made = Made(unsafe {
        mgos_mqtt_conn_create_on(
            home,
            1,
            &with(|o| (o.tls_system_roots, o.tls_min_version, o.in_flight_window) = (1, 13, 7)),
        )
    })
    .good();
    let set = |options: mgos_mqtt_options| unsafe { mgos_mqtt_conn_set_options(made.0, &options) };
    let before = made.effective();
    // Nothing of it happens without the option that TLS hangs on.
    assert_eq!(set(options(Some(|o| o.in_flight_window = 9))), Code::BadConfig.number());
    with_error_text(|text| {
        assert!(text.starts_with("tls_min_version, tls_system_roots: is missing in these options"), "{text}");
        assert!(text.ends_with("write mqtt:// before the server"), "{text}");
    });
    assert_eq!(made.effective(), before);
    unsafe { mgos_mqtt_loop_set_log(home, MGOS_MQTT_LOG_WARN, Some(on_log), null_mut(), None) };
    assert_eq!(set(options(Some(|o| (o.tls_system_roots, o.in_flight_window) = (1, 9)))), 0);
    assert_eq!(made.effective().1.in_flight_window, 9);
    unsafe { mgos_mqtt_loop_poll(home, 0) };
    let warning = "the new options are without tls_min_version, which the old ones had";
    let logged = LOGGED.lock().unwrap().clone();
    assert!(matches!(&logged[..], [(MGOS_MQTT_LOG_WARN, text)] if text.ends_with(warning)), "{logged:?}");
    // A server that is named anew is as it is named.
    assert_eq!(set(with(|o| o.in_flight_window = 3)), 0);
    drop(made);
    assert_eq!(unsafe { mgos_mqtt_loop_free(home) }, 0);
}

#[test]
fn a_password_of_the_options_is_not_changed_beside_them() {
    let made = Made::new(Some(|o| (o.password, o.password_len) = (c"x".as_ptr().cast(), 1)));
    let before = made.effective();
    // SAFETY: a living connection and constants.
    let code = unsafe {
        mgos_mqtt_conn_set_server(made.0, c"two".as_ptr(), null(), c"user".as_ptr(), c"secret".as_ptr())
    };
    assert_eq!(code, Code::BadConfig.number());
    with_error_text(|text| {
        assert!(text.contains("mgos_mqtt_conn_set_options()") && !text.contains("secret"), "{text}");
    });
    assert_eq!(made.effective(), before);
}

// field: F-63
#[test]
fn a_value_that_is_not_allowed_is_named() {
    for Choice { name, spoil, .. } in choices() {
        let mut options = options(None);
        if !spoil(&mut options) {
            continue;
        }
        assert!(unsafe { mgos_mqtt_conn_create_on(null_mut(), 1, &options) }.is_null(), "{name}");
        with_error_text(|text| {
            assert!(text.strip_prefix(name).is_some_and(|rest| rest.starts_with(" is ")), "{name}: {text}");
        });
    }
}

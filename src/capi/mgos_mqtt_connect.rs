//! Connecting with an answer: to whom, what comes of it, told once or waited for; and the three places for one function
//! each that Electric Imp and NodeMCU have.
//!
//! Every attempt has exactly one result, automatic ones too: MGOS_MQTT_EV_CONNECT_RESULT, with mgos_mqtt_event_error()
//! and, if the server answered, its code in mgos_mqtt_event_code(). It goes to the handlers of mgos_mqtt_conn_on(), then
//! to mgos_mqtt_conn_on_connect(), then to those who asked for one result by mgos_mqtt_conn_connect_once() or
//! mgos_mqtt_conn_connect_wait(). Whether a connection tries again by itself is `retry` of the options.
//!
//! What a connection is doing right now, and what it waits for: mgos_mqtt_conn_state(). Credentials that are made for each
//! attempt, and may take their time: mgos_mqtt_conn_set_credentials_fn().

use core::ffi::{c_char, c_int, c_void};
use core::mem::offset_of;
use std::sync::Arc;

use super::boundary::{self, bytes, config_code, explain, optional, status, text, timeout};
use super::callbacks::{ConnectPair, CredentialsFunction, Owner, UserData, new_event_handler};
use super::field::refuse;
use super::handle::Handle;
use super::mgos_mqtt_conn::mgos_mqtt_conn;
use super::mgos_mqtt_event::mgos_mqtt_event_fn_t;
use super::mgos_mqtt_loop::mgos_mqtt_ud_free_fn_t;
use super::sized::{self, Growing};
use crate::client::{Conn, Credentials, CredentialsHook, ProfileSource, Slot, Stage};
use crate::config::{Profile, Secret, Will};
use crate::error::Code;
use crate::wire::topic;

/// Says where to connect to, and as whom: the connection's main server is replaced, the rest of its configuration and its
/// backup servers are kept. To be followed by one of the calls that connect; a connection that is up or on its way is
/// closed in order and opened again with the new server, as by mgos_mqtt_conn_set_config().
///
/// `server` is an address with or without a scheme: "host", "host:1883", "tcp://host:1883", "mqtts://host". NULL for it
/// or another argument leaves that as it is; an empty client id, user or password is none. All of it is copied. If
/// the system configuration was read live, it is not any more.
///
/// The options of the connection stay and go over the new server as over the old one. With a password there,
/// `password` must be NULL here.
///
/// Returns 0; MGOS_MQTT_BAD_ADDRESS, MGOS_MQTT_BAD_CONFIG and others, and nothing changed.
///
/// # Safety
/// `c` is NULL or a living connection, as for all functions below; the others are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_server(
    c: *mut mgos_mqtt_conn,
    server: *const c_char,
    client_id: *const c_char,
    user: *const c_char,
    password: *const c_char,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let conn = handle.conn()?;
        // SAFETY: promised by the caller.
        let [server, client_id, user, password] =
            [server, client_id, user, password].map(|argument| unsafe { optional(argument) });
        if password?.is_some() && conn.has_password_option()? {
            explain(format_args!(
                "the options of this connection have a password, which goes over that of every server: give the new \
                 one to mgos_mqtt_conn_set_options()"
            ));
            return Err(Code::BadConfig);
        }
        let mut profile = conn.main_profile()?.map_or_else(Profile::default, |main| Profile::clone(&main));
        profile.enable = true;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if let Some(server) = server? {
            profile.server = some(server);
        }
        if let Some(client_id) = client_id? {
            profile.client_id = some(client_id);
        }
        if let Some(user) = user? {
            profile.user = some(user);
        }
        if let Some(password) = password? {
            profile.pass = some(password).map(|password| Secret(password.into_bytes()));
        }
        conn.set_profile(ProfileSource::Fixed(Arc::new(profile))).map_err(config_code)
    })
}

/// The will: what the server publishes when the connection ends without DISCONNECT (MQTT 3.1.1, section 3.1.2.5),
/// instead of the one of the configuration. It goes to the server with CONNECT, so it holds from the next connection on;
/// one that is up keeps the will that it has. `topic` NULL: no will.
///
/// `payload` may hold any bytes, at most 65,535; `qos` is usually 0 and `retain` false. Both are copied. Returns 0;
/// MGOS_MQTT_BAD_TOPIC, MGOS_MQTT_BAD_QOS, MGOS_MQTT_TOO_LARGE, and nothing changed.
///
/// # Safety
/// `topic` is NULL or a C string, `payload` has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_will(
    c: *mut mgos_mqtt_conn,
    topic: *const c_char,
    payload: *const c_void,
    len: usize,
    qos: c_int,
    retain: bool,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let will = match topic.is_null() {
            true => None,
            // SAFETY: promised by the caller.
            false => Some(unsafe { will(topic, payload, len, qos, retain) }?),
        };
        handle.conn()?.set_will(will)
    })
}

/// # Safety
/// As mgos_mqtt_conn_set_will().
unsafe fn will(
    topic: *const c_char,
    payload: *const c_void,
    len: usize,
    qos: c_int,
    retain: bool,
) -> Result<Will, Code> {
    // SAFETY: promised by the caller.
    let topic = unsafe { text(topic) }?;
    topic::valid_name(topic).map_err(|problem| {
        explain(format_args!("the will's topic is {topic:?}: {}", problem.text()));
        Code::BadTopic
    })?;
    let qos = boundary::qos(qos).map_err(|code| refuse(code, "qos", qos, "0, 1 and 2"))? as u8;
    if len > usize::from(u16::MAX) {
        explain(format_args!("the will has {len} bytes, and the limit of MQTT is {}", u16::MAX));
        return Err(Code::TooLarge);
    }
    // SAFETY: promised by the caller.
    let payload = unsafe { bytes(payload.cast(), len) }?;
    Ok(Will { topic: topic.into(), payload: payload.into(), qos, retain })
}

/// As mgos_mqtt_conn_connect(), and tells once how the attempt ends that begins now or is under way: exactly one of the
/// two functions is called, exactly once, with an event MGOS_MQTT_EV_CONNECT_RESULT; either may be NULL. `ok` when the
/// server accepted the connection, at once if it is up; `fail` when the attempt failed, mgos_mqtt_event_error()
/// says why: also MGOS_MQTT_CLOSED_BY_CLIENT if the application ended it, and MGOS_MQTT_INCOMPLETE if it freed the
/// connection.
///
/// An attempt that the application is ending already, by mgos_mqtt_conn_disconnect() or by a new configuration, is not
/// meant: they are told of the one that follows it. So in a handler that is told of a failure, which may ask for the
/// next attempt here. Later attempts are not told to them: whether there are any is `retry` of the options.
///
/// Returns 0, or why there is nothing to try, as mgos_mqtt_conn_connect() does; then neither is called.
///
/// # Safety
/// The functions can be called with `ud` once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_connect_once(
    c: *mut mgos_mqtt_conn,
    ok: mgos_mqtt_event_fn_t,
    fail: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let pair = ConnectPair { owner: Owner::of(&handle), ok, fail, data: UserData::new(ud, None) };
        let conn = handle.conn()?;
        say_why_disabled(conn, conn.connect_once(Box::new(pair)))
    })
}

/// As mgos_mqtt_conn_connect(), and waits, at most `timeout_ms` milliseconds (negative: without limit), for the result of
/// the attempt that begins now or is under way. How it waits: see mgos_mqtt_conn_subscribe_wait() in
/// mgos_mqtt_subscribe.h.
///
/// Returns 0 when the connection is up, at once if it is already; else the error of that one attempt (more is in
/// mgos_mqtt_conn_last_error()), whether or not further ones follow; or why there is nothing to try.
/// MGOS_MQTT_TIMED_OUT: the attempt goes on; mgos_mqtt_conn_disconnect() ends it. MGOS_MQTT_CLOSED_BY_CLIENT and
/// MGOS_MQTT_INCOMPLETE: another thread ended it or freed the connection. MGOS_MQTT_BUSY inside a callback; then nothing
/// was begun.
///
/// # Safety
/// See mgos_mqtt_conn_set_server().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_connect_wait(c: *mut mgos_mqtt_conn, timeout_ms: c_int) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let conn = handle.conn()?;
        conn.may_wait()?;
        let waited = conn.connect_wait(timeout(timeout_ms));
        if waited == Err(Code::TimedOut) {
            explain(format_args!("the time given for the call is over, still {}", conn.status().text()));
        }
        say_why_disabled(conn, waited)
    })
}

/// As mgos_mqtt_conn_disconnect(), and waits, at most `timeout_ms` milliseconds (negative: without limit), until the
/// connection is closed and its handlers were told. That takes as long as the server takes to get what was sent to it,
/// see `close_timeout_ms` of the options, and then to close its side, at most a second.
///
/// Returns 0, also if there was none; MGOS_MQTT_UNDELIVERED if the connection is closed and the server has not acknowledged
/// everything (where the system tells; else, if the system did not take it): mgos_mqtt_last_error_text() says how much;
/// MGOS_MQTT_TIMED_OUT if it is still closing, which goes on, and mgos_mqtt_conn_abort() cuts short; MGOS_MQTT_BUSY
/// inside a callback, and nothing was done.
///
/// # Safety
/// See mgos_mqtt_conn_set_server().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_disconnect_wait(c: *mut mgos_mqtt_conn, timeout_ms: c_int) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let conn = handle.conn()?;
        conn.may_wait()?;
        conn.disconnect_wait(timeout(timeout_ms)).inspect_err(|code| match code {
            Code::Undelivered => explain(format_args!("{}", conn.report().text)),
            Code::TimedOut => match conn.undelivered() {
                0 => {}
                left => {
                    explain(format_args!("{}: the server has not acknowledged {left} bytes", code.text()))
                }
            },
            _ => {}
        })
    })
}

/// The one function that is told how each attempt ends, automatic ones too: MGOS_MQTT_EV_CONNECT_RESULT, also when it
/// failed.
///
/// This and the next two are places for one function each, beside the handlers and called after them. The last one set
/// is the one that is called; NULL clears the place. They may be set at any time, also from inside the function itself:
/// the one that was there is not called any more, and `ud_free`, if not NULL, takes its `ud` back after its last call.
/// Returns 0; on an error `ud` stays yours.
///
/// # Safety
/// The functions can be called with `ud` until another is set or the connection has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_on_connect(
    c: *mut mgos_mqtt_conn,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    set_slot(c, Slot::Connect, r#fn, UserData::new(ud, ud_free))
}

/// The one function that is told when a connection that was up is closed, whoever closed it: MGOS_MQTT_EV_CLOSE, with the
/// reason in mgos_mqtt_event_error(). See mgos_mqtt_conn_on_connect().
///
/// # Safety
/// See mgos_mqtt_conn_on_connect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_on_offline(
    c: *mut mgos_mqtt_conn,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    set_slot(c, Slot::Offline, r#fn, UserData::new(ud, ud_free))
}

/// The one function that is given every message: MGOS_MQTT_EV_MESSAGE, whether or not a subscription or a handler got
/// it before. See mgos_mqtt_conn_on_connect().
///
/// # Safety
/// See mgos_mqtt_conn_on_connect().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_on_message(
    c: *mut mgos_mqtt_conn,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    set_slot(c, Slot::Message, r#fn, UserData::new(ud, ud_free))
}

fn set_slot(c: *mut mgos_mqtt_conn, slot: Slot, function: mgos_mqtt_event_fn_t, data: UserData) -> c_int {
    status(|| {
        let handle = Handle::of(c).inspect_err(|_| data.disarm())?;
        let callback = match function {
            Some(_) => Some(new_event_handler(&handle, function, data)?.1),
            // Nothing is kept that `ud` could belong to.
            None => {
                data.disarm();
                None
            }
        };
        handle.conn()?.set_slot(slot, callback)
    })
}

// -- credentials --------------------------------------------------------------------------------

/// Is asked for the credentials of an attempt to connect, when the server has accepted the TCP connection (and TLS is
/// up), on the thread that drives the loop. It must not block: it answers by mgos_mqtt_conn_answer() with the same
/// `attempt`, at once or later from any thread, within the CONNACK time-out (`connack_timeout_ms` of the options).
/// An attempt that is not answered by then fails with MGOS_MQTT_HOOK_TIMEOUT.
pub type mgos_mqtt_credentials_fn_t =
    Option<unsafe extern "C" fn(c: *mut mgos_mqtt_conn, attempt: u64, ud: *mut c_void)>;

/// What goes into CONNECT instead of the user name and the password of the configuration.
///
///     struct mgos_mqtt_credentials credentials = {.size = sizeof(credentials), .user = "device-7"};
#[repr(C)]
pub struct mgos_mqtt_credentials {
    /// `sizeof(struct mgos_mqtt_credentials)`.
    pub size: usize,
    /// The user name; NULL for none.
    pub user: *const c_char,
    /// The password, any bytes; NULL for none.
    pub password: *const c_void,
    /// Its length, at most 65,535.
    pub password_len: usize,
    /// Until when they hold, in seconds since 1970: later attempts at the same server use them until then without asking
    /// again, unless the server refuses them. 0: they are for this attempt only.
    pub valid_until: f64,
}

// SAFETY: plain numbers and pointers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_credentials {
    const NAME: &'static str = "mgos_mqtt_credentials";
    const FIRST: usize = size_of::<mgos_mqtt_credentials>();
}

/// Sets the function that is asked for credentials before each CONNECT; NULL takes it away. It has one place, the last
/// one set wins, and what an earlier one answered is forgotten. `ud_free`, if not NULL, takes `ud` back after its last
/// call. If there is a connect hook (mgos_mqtt_conn_set_connect_fn()) too, that is called with the answer in its `opts`.
///
/// Returns 0; on an error `ud` stays yours.
///
/// # Safety
/// `fn` can be called with `ud` until another is set or the connection has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_credentials_fn(
    c: *mut mgos_mqtt_conn,
    r#fn: mgos_mqtt_credentials_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    let data = UserData::new(ud, ud_free);
    status(|| {
        let handle = Handle::of(c).inspect_err(|_| data.disarm())?;
        let hook = match r#fn {
            Some(function) => {
                let hook = CredentialsFunction { owner: Owner::of(&handle), function, data };
                Some(Arc::new(hook) as Arc<dyn CredentialsHook>)
            }
            // Nothing is kept that `ud` could belong to.
            None => {
                data.disarm();
                None
            }
        };
        handle.conn()?.set_credentials_hook(hook)
    })
}

/// Answers the credentials function for the attempt with this number; NULL gives the attempt up, and the reconnect policy
/// goes on. From any thread, inside the function or later. All of it is copied.
///
/// Returns 0; MGOS_MQTT_STALE if the attempt is over or was answered: nothing happens then, and the next attempt asks
/// anew. An answer that cannot be used (MGOS_MQTT_BAD_UTF8, MGOS_MQTT_TOO_LARGE, MGOS_MQTT_NULL_ARGUMENT, MGOS_MQTT_BAD_STRUCTURE)
/// ends its attempt at once.
///
/// # Safety
/// `credentials` is NULL or has `credentials->size` bytes, and what it points to is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_answer(
    c: *mut mgos_mqtt_conn,
    attempt: u64,
    credentials: *const mgos_mqtt_credentials,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let conn: &Conn = handle.conn()?;
        let answer = match credentials.is_null() {
            true => None,
            // SAFETY: not NULL, and promised by the caller.
            false => Some(
                unsafe { read_credentials(credentials) }
                    .inspect_err(|code| conn.refuse_answer(attempt, *code))?,
            ),
        };
        conn.answer_credentials(attempt, answer)
    })
}

/// # Safety
/// As mgos_mqtt_conn_answer(), and not NULL.
unsafe fn read_credentials(credentials: *const mgos_mqtt_credentials) -> Result<Credentials, Code> {
    // SAFETY: promised by the caller.
    let read = unsafe { sized::read(credentials) }?;
    // SAFETY: promised by the caller.
    let user = unsafe { optional(read.user) }?.map(str::to_owned);
    const LONGEST: usize = u16::MAX as usize;
    for (field, len) in [("user", user.as_ref().map_or(0, String::len)), ("password_len", read.password_len)]
    {
        if len > LONGEST {
            explain(format_args!("{field}: {len} bytes are more than the {LONGEST} that CONNECT can carry"));
            return Err(Code::TooLarge);
        }
    }
    // SAFETY: promised by the caller.
    let password = unsafe { bytes(read.password.cast(), read.password_len) }?;
    let password = (!read.password.is_null()).then(|| Secret(password.to_vec()));
    Ok(Credentials { user, password, valid_until: read.valid_until })
}

// -- what it is doing ---------------------------------------------------------------------------

/// mgos_mqtt_conn_state(): nothing, and nothing is planned; `text` says why.
pub const MGOS_MQTT_STATE_IDLE: c_int = 0;
/// It waits `wait_ms` for the next attempt.
pub const MGOS_MQTT_STATE_WAITING: c_int = 1;
/// It waits for the name service.
pub const MGOS_MQTT_STATE_RESOLVING: c_int = 2;
/// It opens the TCP connection to `address`.
pub const MGOS_MQTT_STATE_OPENING: c_int = 3;
/// It is in the TLS handshake.
pub const MGOS_MQTT_STATE_HANDSHAKING: c_int = 4;
/// A connect hook has to send CONNECT, or a credentials function to answer.
pub const MGOS_MQTT_STATE_AWAITING_HOOK: c_int = 5;
/// CONNECT was sent, and the server has not answered.
pub const MGOS_MQTT_STATE_AWAITING_CONNACK: c_int = 6;
/// It is up.
pub const MGOS_MQTT_STATE_UP: c_int = 7;
/// It is being closed in order.
pub const MGOS_MQTT_STATE_CLOSING: c_int = 8;

// The header generation takes numbers only; that they are the client's is checked here.
const _: () = {
    assert!(MGOS_MQTT_STATE_IDLE == Stage::Idle as c_int);
    assert!(MGOS_MQTT_STATE_WAITING == Stage::Waiting as c_int);
    assert!(MGOS_MQTT_STATE_RESOLVING == Stage::Resolving as c_int);
    assert!(MGOS_MQTT_STATE_OPENING == Stage::Opening as c_int);
    assert!(MGOS_MQTT_STATE_HANDSHAKING == Stage::Handshaking as c_int);
    assert!(MGOS_MQTT_STATE_AWAITING_HOOK == Stage::AwaitingHook as c_int);
    assert!(MGOS_MQTT_STATE_AWAITING_CONNACK == Stage::AwaitingConnack as c_int);
    assert!(MGOS_MQTT_STATE_UP == Stage::Up as c_int);
    assert!(MGOS_MQTT_STATE_CLOSING == Stage::Closing as c_int);
};

/// What a connection is doing. All texts are copies, ended with a NUL and cut where they do not fit.
#[repr(C)]
pub struct mgos_mqtt_state {
    /// To be set by the caller to `sizeof(struct mgos_mqtt_state)`.
    pub size: usize,
    /// MGOS_MQTT_STATE_*.
    pub state: c_int,
    /// WAITING: how many milliseconds are left; otherwise 0.
    pub wait_ms: u32,
    /// The number of the attempt under way or of the last one, from 1 on; 0 before the first.
    pub attempt: u64,
    /// The last error of the link, MGOS_MQTT_*; 0 if there was none. More is in mgos_mqtt_conn_last_error().
    pub error: c_int,
    /// Whether the application wants the connection to be up, as it said last.
    pub wanted: bool,
    /// What it is doing and what it waits for, as a sentence.
    pub text: [c_char; 256],
    /// The address of the server, "192.0.2.1:1883", as far as it is known; else empty.
    pub address: [c_char; 64],
    /// The server as configured.
    pub server: [c_char; 256],
    /// The sentence of the last error.
    pub reason: [c_char; 512],
}

// SAFETY: plain numbers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_state {
    const NAME: &'static str = "mgos_mqtt_state";
    const FIRST: usize = offset_of!(mgos_mqtt_state, text);
}

/// A C copy of `text`, cut between characters where it does not fit.
fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut copy = [0; N];
    let fits = (0..N.min(text.len() + 1)).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    for (to, from) in copy.iter_mut().zip(&text.as_bytes()[..fits]) {
        *to = *from as c_char;
    }
    copy
}

/// What a connection is doing at this moment, what it waits for, and its last error. `state->size` must be set; a
/// smaller structure of an older header is filled as far as it goes. From any thread, and inside every handler.
///
/// Returns 0, or MGOS_MQTT_NULL_ARGUMENT, MGOS_MQTT_BAD_STRUCTURE.
///
/// # Safety
/// `state` is NULL or has `state->size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_state(c: *mut mgos_mqtt_conn, state: *mut mgos_mqtt_state) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let found = handle.conn()?.status();
        let wait = found.wait.map_or(0, |wait| wait.as_millis_ceil());
        let full = mgos_mqtt_state {
            size: 0,
            state: found.stage as c_int,
            wait_ms: u32::try_from(wait).unwrap_or(u32::MAX),
            attempt: found.attempt,
            error: found.report.code.number(),
            wanted: found.wanted,
            text: fixed(&found.text()),
            address: fixed(&found.address.map(|address| address.to_string()).unwrap_or_default()),
            server: fixed(&found.server),
            reason: fixed(&found.report.text),
        };
        // SAFETY: promised by the caller.
        unsafe { sized::write(state, full) }
    })
}

/// Says which of the reasons for [`Code::Disabled`] it is.
pub(super) fn say_why_disabled(conn: &Conn, result: Result<(), Code>) -> Result<(), Code> {
    if result == Err(Code::Disabled)
        && let Some(why) = conn.why_disabled()
    {
        explain(format_args!("the connection is disabled: {why}"));
    }
    result
}

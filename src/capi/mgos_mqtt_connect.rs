//! Connecting with an answer: which server to connect to, and how the attempt ended, as a callback or by waiting; and
//! the three places for one function each that Electric Imp and NodeMCU have.
//!
//! Every attempt, automatic or not, has exactly one result: MGOS_MQTT_EV_CONNECT_RESULT, with mgos_mqtt_event_error()
//! and, if the server answered, its code in mgos_mqtt_event_code(). It goes to the handlers of mgos_mqtt_conn_on(),
//! then to the function of mgos_mqtt_conn_on_connect(), then to the callers of mgos_mqtt_conn_connect_once() and
//! mgos_mqtt_conn_connect_wait(). `retry` of the options says whether a connection tries again by itself.
//!
//! What a connection is doing right now, and what it waits for: mgos_mqtt_conn_state(). Credentials that are made for each
//! attempt, and may take their time: mgos_mqtt_conn_set_credentials_fn().

use core::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use crate::capi::base::boundary::{config_code, explain, optional, status, timeout};
use crate::capi::base::field::Number;
use crate::capi::base::sized;
use crate::capi::bridge::callbacks::{ConnectPair, CredentialsFunction, Owner, UserData};
use crate::capi::bridge::connecting::{
    fixed, read_auth, read_credentials, read_disconnect, say_why_disabled, server_info, set_slot, will,
};
use crate::capi::bridge::handle::{HANDLES, Handle};
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_connect::{
    MGOS_MQTT_NETWORK_PROBE, MGOS_MQTT_NETWORK_RECONNECT, mgos_mqtt_auth, mgos_mqtt_credentials,
    mgos_mqtt_credentials_fn_t, mgos_mqtt_disconnect, mgos_mqtt_server_info, mgos_mqtt_state,
};
use crate::capi::types::mgos_mqtt_event::mgos_mqtt_event_fn_t;
use crate::capi::types::mgos_mqtt_loop::mgos_mqtt_ud_free_fn_t;
use crate::client::{Conn, ProfileSource, Slot};
use crate::config::{Profile, Secret, user_info};
use crate::error::Code;

/// Sets the server to connect to, and the client id and credentials to use there. The connection's main server is
/// replaced; the rest of its configuration and its backup servers are kept. Call one of the functions that connect
/// afterwards; a connection that is up or being opened is closed in order and opened again with the new server, as by
/// mgos_mqtt_conn_set_config().
///
/// `server` is an address with or without a scheme: "host", "host:1883", "tcp://host:1883", "mqtts://host",
/// "ws://host/path", "wss://host/path", "unix:///run/mqtt.sock". Behind the slashes of a scheme it may have user name and
/// password, percent-encoded (RFC 3986): "mqtt://user:pass%40word@host"; `user` and `password` are then NULL, and what the
/// connection had of both is replaced.
///
/// NULL for any argument leaves that as it is; an empty client id, user or password means none. Everything is copied. A
/// connection that read the system configuration live does not do so any more.
///
/// The options of the connection stay, and apply to the new server as to the old one. If they have a
/// password, there must be none here.
///
/// Returns 0. On an error (MGOS_MQTT_BAD_ADDRESS, MGOS_MQTT_BAD_CONFIG and others) nothing changes.
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
        let info = server?.and_then(|server| user_info::take(server).ok().flatten()).map(|(_, info)| info);
        let in_address = info.as_ref().is_some_and(|info| info.pass.is_some());
        if (password?.is_some() || in_address) && conn.has_password_option()? {
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
        if info.is_some() {
            (profile.user, profile.pass) = (None, None);
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

/// Sets the will, the message that the server publishes when the connection ends without DISCONNECT (MQTT 3.1.1,
/// section 3.1.2.5), instead of the configured one. It is part of CONNECT, so it applies from the next connection on;
/// one that is up keeps its will. With NULL for `topic` there is no will.
///
/// `payload` may hold any bytes, at most 65,535; `qos` is usually 0 and `retain` false. Topic and payload are
/// copied. Returns 0; on an error (MGOS_MQTT_BAD_TOPIC, MGOS_MQTT_BAD_QOS, MGOS_MQTT_TOO_LARGE) nothing changes.
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

/// As mgos_mqtt_conn_connect(), and reports how the attempt that begins now or is under way ends: exactly one of the
/// two functions is called, exactly once, with an event MGOS_MQTT_EV_CONNECT_RESULT; either may be NULL. `ok` is called
/// when the server accepts the connection, or at once if it is up; `fail` when the attempt fails.
/// mgos_mqtt_event_error() says why it failed: MGOS_MQTT_CLOSED_BY_CLIENT if the application ended it,
/// MGOS_MQTT_INCOMPLETE if it freed the connection.
///
/// If the application is already ending the present attempt, by mgos_mqtt_conn_disconnect() or by a new configuration,
/// the result reported is that of the attempt that follows. The same holds in a handler that is told of a failure,
/// which may ask for the next attempt here. Later attempts are not reported; `retry` of the options says whether there
/// are any.
///
/// Returns 0, or the reason why there is nothing to try, as mgos_mqtt_conn_connect() does; then neither
/// function is called.
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
/// Returns 0 when the connection is up, at once if it already is; otherwise the error of that one attempt (more is in
/// mgos_mqtt_conn_last_error()), whether or not further ones follow, or the reason why there is nothing to try.
/// MGOS_MQTT_TIMED_OUT: the attempt goes on; mgos_mqtt_conn_disconnect() ends it. MGOS_MQTT_CLOSED_BY_CLIENT and
/// MGOS_MQTT_INCOMPLETE: another thread ended it or freed the connection. MGOS_MQTT_BUSY inside a callback: nothing
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
/// connection is closed and its handlers were told. That takes as long as the server needs to receive what was sent to
/// it (limited by `close_timeout_ms` of the options), and then to close its side, at most a second.
///
/// Returns 0, also if there was no connection; MGOS_MQTT_UNDELIVERED if the connection is closed but the server has not
/// acknowledged all bytes (on systems that do not report that: if the system did not take them all), and
/// mgos_mqtt_last_error_text() says how many are missing; MGOS_MQTT_TIMED_OUT if it is still closing, which goes on
/// unless mgos_mqtt_conn_abort() ends it; MGOS_MQTT_BUSY inside a callback: nothing was done.
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

/// Disconnects as mgos_mqtt_conn_disconnect(), and tells the server more (MQTT 5.0, section 3.14): a reason code, and
/// properties.
///
///     struct mgos_mqtt_disconnect how = mgos_mqtt_disconnect_init();
///     how.reason = MGOS_MQTT_REASON_DISCONNECT_WITH_WILL;
///     mgos_mqtt_conn_disconnect_with(c, &how);
///
/// Returns 0, or an error, and then the connection stays: MGOS_MQTT_NOT_CONNECTED, MGOS_MQTT_NEEDS_V5,
/// MGOS_MQTT_BAD_ARGUMENT (not a reason that a client can give), MGOS_MQTT_BAD_PROPERTY, MGOS_MQTT_BAD_STRUCTURE.
///
/// # Safety
/// See mgos_mqtt_conn_set_server(); `how` is NULL or valid, with `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_disconnect_with(
    c: *mut mgos_mqtt_conn,
    how: *const mgos_mqtt_disconnect,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let (reason, properties) = unsafe { read_disconnect(how) }?;
        let conn = handle.conn()?;
        if !conn.is_connected() {
            return Err(Code::NotConnected);
        }
        if !conn.speaks_v5() {
            return Err(Code::NeedsV5);
        }
        conn.disconnect_with(reason, properties).inspect_err(|code| {
            if *code == Code::BadArgument {
                let text = "properties: Session Expiry Interval (17) cannot be given, since the session ends with the \
                            connection (MQTT 5.0 [MQTT-3.14.2-2])";
                explain(format_args!("{text}"));
            }
        })
    })
}

/// Enhanced authentication (MQTT 5.0, section 4.12): sends AUTH. It begins with the properties AUTHENTICATION METHOD and
/// AUTHENTICATION DATA of CONNECT, `properties` of the options. Each step of the server comes as MGOS_MQTT_EV_AUTH, and is
/// answered with this function, in the handler or later, from any thread, within the CONNACK time-out. A connection that is
/// up authenticates again with MGOS_MQTT_REASON_REAUTHENTICATE: its messages go on meanwhile, and the server ends it if it
/// is not convinced.
///
/// With `authentication` of the options (SCRAM) the library answers the server itself, and this function only begins anew,
/// with MGOS_MQTT_REASON_REAUTHENTICATE and without method and data among the properties.
///
/// Returns 0, or MGOS_MQTT_STALE (the attempt that `attempt` names is over), MGOS_MQTT_BUSY (it is not the client's turn),
/// MGOS_MQTT_NOT_CONNECTED, MGOS_MQTT_BAD_ARGUMENT (another reason, or another method than that of CONNECT),
/// MGOS_MQTT_BAD_PROPERTY, MGOS_MQTT_BAD_STRUCTURE.
///
/// # Safety
/// See mgos_mqtt_conn_set_server(); `auth` is NULL or valid, with `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_authenticate(
    c: *mut mgos_mqtt_conn,
    auth: *const mgos_mqtt_auth,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let (attempt, reason, properties) = unsafe { read_auth(auth) }?;
        handle.conn()?.authenticate_for(attempt, reason, &properties).inspect_err(|code| match code {
            Code::BadArgument => explain(format_args!(
                "properties: the authentication method has to be that of CONNECT, and CONNECT must have one"
            )),
            Code::BadProperty => {
                explain(format_args!(
                    "properties: the method and the data are the library's with SCRAM-SHA-256"
                ));
            }
            _ => {}
        })
    })
}

/// What was settled with the server of a connection that is up: the version of MQTT, and what the server allows.
/// `info->size` must be set; a smaller structure of an older header is filled as far as it goes. The same comes with the
/// event MGOS_MQTT_EV_CONNECT_RESULT, by mgos_mqtt_event_property(). Callable from any thread and inside every handler.
///
/// Returns 0, or MGOS_MQTT_NOT_CONNECTED, MGOS_MQTT_NULL_ARGUMENT, MGOS_MQTT_BAD_STRUCTURE.
///
/// # Safety
/// See mgos_mqtt_conn_set_server(); `info` is NULL or has `info->size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_server_info(
    c: *mut mgos_mqtt_conn,
    info: *mut mgos_mqtt_server_info,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        if info.is_null() {
            return Err(Code::NullArgument);
        }
        let conn = handle.conn()?;
        if !conn.is_connected() {
            return Err(Code::NotConnected);
        }
        let (version, connack) = conn.server_word()?;
        // SAFETY: promised by the caller.
        unsafe { sized::write(info, server_info(version, connack.properties())) }
    })
}

/// Sets the one function that is told how each attempt ends, automatic or not: MGOS_MQTT_EV_CONNECT_RESULT, for
/// success and failure.
///
/// This and the next two are places for one function each, called after the handlers. Setting a function replaces the
/// one before; NULL clears the place. That may be done at any time, even inside the function itself: the old function
/// is not called any more, and its `ud_free`, if not NULL, takes back its `ud` after its last call. Returns 0; on an
/// error `ud` stays yours.
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

/// Sets the one function that is told when a connection that was up is closed, whoever closed it: MGOS_MQTT_EV_CLOSE,
/// with the reason in mgos_mqtt_event_error(). See mgos_mqtt_conn_on_connect().
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

/// Sets the one function that is given every message, MGOS_MQTT_EV_MESSAGE, whether or not a subscription or a
/// handler got it before. See mgos_mqtt_conn_on_connect().
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

/// Sets the function that is asked for credentials before each CONNECT, over WebSocket already before its request, for both
/// together; NULL removes it. It may answer later: until `connack_timeout_ms`, or `ws_timeout_ms`. There is one such function:
/// setting one replaces the one before, and what that answered is forgotten. `ud_free`, if not NULL, takes `ud` back
/// after its last call. If there is a connect hook as well (mgos_mqtt_conn_set_connect_fn()), it is called with the
/// answer in its `opts`.
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
        let conn = handle.conn().inspect_err(|_| data.disarm())?;
        let Some(function) = r#fn else {
            // Nothing is kept that `ud` could belong to.
            data.disarm();
            return conn.set_credentials_hook(None);
        };
        let hook = Arc::new(CredentialsFunction { owner: Owner::of(&handle), function, data });
        conn.set_credentials_hook(Some(hook.clone())).inspect_err(|_| hook.data.disarm())
    })
}

/// Answers the credentials function for the attempt with this number; NULL gives the attempt up, and the reconnect
/// policy goes on. Callable from any thread, inside the function or later. Everything is copied.
///
/// Returns 0, or MGOS_MQTT_STALE if the attempt is over or was already answered: then nothing happens, and the next
/// attempt asks again. An answer that cannot be used (MGOS_MQTT_BAD_UTF8, MGOS_MQTT_TOO_LARGE, MGOS_MQTT_NULL_ARGUMENT,
/// MGOS_MQTT_BAD_STRUCTURE, MGOS_MQTT_BAD_ARGUMENT for `ws_path` and `ws_headers`) ends its attempt at once.
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

/// What a connection is doing at this moment, what it waits for, and its last error. `state->size` must be set; a
/// smaller structure of an older header is filled as far as it goes. Callable from any thread and inside every
/// handler.
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
            address: fixed(&found.endpoint.as_ref().map(ToString::to_string).unwrap_or_default()),
            server: fixed(&found.server),
            reason: fixed(&found.report.text),
            protocol_version: found.version.map_or(0, |version| version as c_int),
        };
        // SAFETY: promised by the caller.
        unsafe { sized::write(state, full) }
    })
}

/// Says that the network has changed, as a system tells it when an interface or its address comes or goes. Callable from any
/// thread and inside every callback. `c` NULL says it to every connection of this process.
///
/// A connection that waits for its next attempt begins it at once; an attempt that is under way begins anew, with
/// MGOS_MQTT_NETWORK_CHANGED as the result of the first. One that is up, with `how`
///  - MGOS_MQTT_NETWORK_PROBE: asks its server by PINGREQ whether the link is still there. If no answer comes within three
///    seconds, or `pingresp_timeout_ms` if that is less, it is lost (MGOS_MQTT_KEEP_ALIVE_TIMEOUT), and opened anew at once, as
///    it is if it breaks before the answer comes;
///  - MGOS_MQTT_NETWORK_RECONNECT: is closed at once, without DISCONNECT (MGOS_MQTT_NETWORK_CHANGED), and opened anew: where the
///    application knows that its address is another one now. The server may publish the will.
///
/// One that is being closed to be opened again is closed without waiting any longer. In a handler that is told of an end, it is
/// as mgos_mqtt_conn_connect() there, but for a connection that nobody wants open: that does nothing. Returns 0, or an error for a `c` that is not alive.
///
/// # Safety
/// `c` is NULL or a living connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_network_changed(c: *mut mgos_mqtt_conn, how: c_int) -> c_int {
    status(|| {
        let anew = Number { name: "how", value: how }.one_of(
            &[(MGOS_MQTT_NETWORK_PROBE, false), (MGOS_MQTT_NETWORK_RECONNECT, true)],
            "0 (MGOS_MQTT_NETWORK_PROBE) and 1 (MGOS_MQTT_NETWORK_RECONNECT)",
        )?;
        if !c.is_null() {
            return Handle::of(c)?.conn()?.network_changed(anew);
        }
        for handle in HANDLES.all(Handle::is_ours) {
            // One that has been freed meanwhile has nothing to do.
            let _ = handle.conn().and_then(|conn| conn.network_changed(anew));
        }
        Ok(())
    })
}

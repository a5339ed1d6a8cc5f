//! C functions as handlers of the client: each kind of C callback is one small struct here.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::capi::base::system::wall_clock;
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::hook_strings::HookStrings;
use crate::capi::bridge::nc::Nc;
use crate::capi::types::mgos_mg_str::mg_str;
use crate::capi::types::mgos_mongoose::*;
use crate::capi::types::mgos_mqtt::sub_handler_t;
use crate::capi::types::mgos_mqtt_conn::{mgos_mqtt_conn, mgos_mqtt_connect_fn_t};
use crate::capi::types::mgos_mqtt_event::{mgos_mqtt_event, mgos_mqtt_event_fn_t};
use crate::capi::types::mgos_mqtt_loop::{mgos_mqtt_log_fn_t, mgos_mqtt_ud_free_fn_t};
use crate::client::{
    Callback, Conn, ConnectHook, ConnectParams, CredentialsHook, Event, Identity, Kind, Level, Message, Sink,
    Subscriber,
};
use crate::error::Code;
use crate::session::Acknowledged;
use crate::sync::entering_user_code;
use crate::transport::tls_settings::Sign;

/// The handle of the connection that a callback belongs to. Valid whenever the callback runs: a connection drops
/// its callbacks before its handle.
#[derive(Clone, Copy)]
pub(in crate::capi) struct Owner(*const Handle);

// SAFETY: Handle is Sync, and see above for its life.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

/// The `nc` of that connection, which lives as long.
#[derive(Clone, Copy)]
pub(in crate::capi) struct OwnNc(*const Nc);

// SAFETY: Nc is Sync, and see above for its life.
unsafe impl Send for OwnNc {}
// SAFETY: as above.
unsafe impl Sync for OwnNc {}

impl OwnNc {
    pub(in crate::capi) fn of(handle: &Handle) -> Result<OwnNc, Code> {
        Ok(OwnNc(handle.make_nc()?))
    }

    #[inline]
    fn nc(&self) -> &Nc {
        // SAFETY: see the type.
        unsafe { &*self.0 }
    }
}

impl Owner {
    pub(in crate::capi) fn of(handle: &Handle) -> Owner {
        Owner(handle)
    }

    fn handle(&self) -> &Handle {
        // SAFETY: see the type.
        unsafe { &*self.0 }
    }
}

/// The application's argument, and the function that takes it back.
pub(in crate::capi) struct UserData {
    ud: *mut c_void,
    free: mgos_mqtt_ud_free_fn_t,
    armed: AtomicBool,
}

// SAFETY: the library only passes the pointer on; the application was told on which thread it comes back.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    pub(in crate::capi) fn new(ud: *mut c_void, free: mgos_mqtt_ud_free_fn_t) -> UserData {
        UserData { ud, free, armed: AtomicBool::new(true) }
    }

    pub(in crate::capi) fn ud(&self) -> *mut c_void {
        self.ud
    }

    pub(in crate::capi) fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(free) = self.free
            && *self.armed.get_mut()
        {
            entering_user_code();
            // SAFETY: the application gave the function for this pointer, and this is the one time.
            unsafe { free(self.ud) }
        }
    }
}

pub(in crate::capi) fn identity(function: *const (), ud: *mut c_void) -> Identity {
    Identity(function as usize, ud as usize)
}

/// The kinds that a handler of mgos_mqtt_conn_add_handler() gets.
pub(in crate::capi) const CONNECTION_KINDS: u32 = Kind::Poll.bit()
    | Kind::Timer.bit()
    | Kind::ConnAck.bit()
    | Kind::Message.bit()
    | Kind::PubAck.bit()
    | Kind::PubRec.bit()
    | Kind::PubRel.bit()
    | Kind::PubComp.bit()
    | Kind::SubAck.bit()
    | Kind::UnsubAck.bit()
    | Kind::Disconnect.bit()
    | Kind::Close.bit();

/// The kinds that a handler of mgos_mqtt_conn_sub() gets.
pub(in crate::capi) const SUBSCRIPTION_KINDS: u32 =
    Kind::Message.bit() | Kind::SubAck.bit() | Kind::PubAck.bit() | Kind::PubComp.bit() | Kind::Close.bit();

/// A handler of Mongoose events.
pub(in crate::capi) struct EventHandler {
    pub(in crate::capi) own: OwnNc,
    pub(in crate::capi) function:
        unsafe extern "C" fn(nc: *mut mg_connection, ev: c_int, ev_data: *mut c_void, ud: *mut c_void),
    pub(in crate::capi) data: UserData,
}

impl EventHandler {
    #[inline(never)]
    fn tell(&self, conn: &Conn, ev: c_int, ev_data: *mut c_void) {
        self.tell_here(conn, ev, ev_data);
    }

    /// [`tell`](Self::tell), inlined into its caller.
    #[inline(always)]
    fn tell_here(&self, conn: &Conn, ev: c_int, ev_data: *mut c_void) {
        let nc = self.own.nc();
        // SAFETY: callbacks run on the thread that drives the loop.
        unsafe { nc.before_handler(conn) };
        entering_user_code();
        // SAFETY: the application's function with its own argument; `ev_data` is what the header says
        // for this event and lives until the call returns.
        unsafe { (self.function)(nc.as_ptr(), ev, ev_data, self.data.ud) };
        // SAFETY: as above.
        unsafe { nc.after_handler(conn) };
    }

    fn packet(&self, conn: &Conn, ev: c_int, mut message: mg_mqtt_message) {
        message.cmd = ev - MG_MQTT_EVENT_BASE;
        self.tell(conn, ev, ptr::from_mut(&mut message).cast());
    }
}

const NO_MESSAGE: mg_mqtt_message = mg_mqtt_message {
    cmd: 0,
    qos: 0,
    len: 0,
    topic: mg_str::BLANK,
    payload: mg_str::BLANK,
    connack_ret_code: 0,
    message_id: 0,
    protocol_version: 0,
    connect_flags: 0,
    keep_alive_timer: 0,
    protocol_name: mg_str::BLANK,
    client_id: mg_str::BLANK,
    will_topic: mg_str::BLANK,
    will_message: mg_str::BLANK,
    user_name: mg_str::BLANK,
    password: mg_str::BLANK,
};

/// The size of packets that are nothing but a packet id.
const ACK_LEN: c_int = 4;

fn acknowledgement(ack: &Acknowledged) -> mg_mqtt_message {
    mg_mqtt_message { message_id: ack.packet_id, len: ACK_LEN, ..NO_MESSAGE }
}

impl Callback<Conn> for EventHandler {
    fn message(&self, conn: &Conn, message: &Message<'_>) {
        let mut message = mg_mqtt_message {
            cmd: MG_EV_MQTT_PUBLISH - MG_MQTT_EVENT_BASE,
            qos: message.qos as c_int,
            len: c_int::try_from(message.packet_len()).unwrap_or(c_int::MAX),
            topic: mg_str::of(message.topic.as_bytes()),
            payload: mg_str::of(message.payload),
            message_id: message.packet_id,
            ..NO_MESSAGE
        };
        self.tell_here(conn, MG_EV_MQTT_PUBLISH, ptr::from_mut(&mut message).cast());
    }

    fn call(&self, conn: &Conn, event: &Event<'_>) {
        match event {
            Event::Poll => {
                let mut now = wall_clock() as libc::time_t;
                self.tell(conn, MG_EV_POLL, ptr::from_mut(&mut now).cast());
            }
            Event::Timer => {
                let mut at = self.own.nc().set_timer(0.0);
                self.tell(conn, MG_EV_TIMER, ptr::from_mut(&mut at).cast());
            }
            Event::ConnAck(_) => {
                self.packet(conn, MG_EV_MQTT_CONNACK, mg_mqtt_message { len: 4, ..NO_MESSAGE })
            }
            Event::Message(message) => self.message(conn, message),
            Event::PubAck(ack, ..) => self.packet(conn, MG_EV_MQTT_PUBACK, acknowledgement(ack)),
            Event::PubRec(ack, _) => self.packet(conn, MG_EV_MQTT_PUBREC, acknowledgement(ack)),
            Event::PubComp(ack, ..) => self.packet(conn, MG_EV_MQTT_PUBCOMP, acknowledgement(ack)),
            Event::PubRel(id) => self.packet(
                conn,
                MG_EV_MQTT_PUBREL,
                mg_mqtt_message { message_id: *id, len: ACK_LEN, ..NO_MESSAGE },
            ),
            Event::SubAck { packet_id, codes, .. } => self.packet(
                conn,
                MG_EV_MQTT_SUBACK,
                mg_mqtt_message {
                    message_id: *packet_id,
                    len: ACK_LEN.saturating_add(c_int::try_from(codes.len()).unwrap_or(c_int::MAX)),
                    payload: mg_str::of(codes),
                    ..NO_MESSAGE
                },
            ),
            Event::UnsubAck(id, _) => self.packet(
                conn,
                MG_EV_MQTT_UNSUBACK,
                mg_mqtt_message { message_id: *id, len: ACK_LEN, ..NO_MESSAGE },
            ),
            Event::Disconnect => {
                self.packet(conn, MG_EV_MQTT_DISCONNECT, mg_mqtt_message { len: 2, ..NO_MESSAGE });
            }
            Event::Close(_) => self.tell(conn, MG_EV_CLOSE, ptr::null_mut()),
            Event::Connecting
            | Event::ConnectResult { .. }
            | Event::Oversize { .. }
            | Event::SetAside(..)
            | Event::Poison { .. }
            | Event::Subscribed(_)
            | Event::Unsubscribed(_)
            | Event::Outcome(_)
            | Event::Response { .. }
            | Event::Auth { .. }
            | Event::Expiry { .. } => {}
        }
    }

    fn disarm(&self) {
        self.data.disarm();
    }
}

/// A handler of mgos_mqtt_sub(): messages only.
pub(in crate::capi) struct MessageHandler {
    pub(in crate::capi) own: OwnNc,
    pub(in crate::capi) function: unsafe extern "C" fn(
        nc: *mut mg_connection,
        topic: *const c_char,
        topic_len: c_int,
        msg: *const c_char,
        msg_len: c_int,
        ud: *mut c_void,
    ),
    pub(in crate::capi) data: UserData,
}

impl Callback<Conn> for MessageHandler {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        if let Event::Message(message) = event {
            self.message(conn, message);
        }
    }

    fn message(&self, conn: &Conn, message: &Message<'_>) {
        let nc = self.own.nc();
        // SAFETY: callbacks run on the thread that drives the loop.
        unsafe { nc.before_handler(conn) };
        // MQTT packets are at most 256 MiB, so the lengths fit an int.
        entering_user_code();
        // SAFETY: the application's function with its own argument; topic and payload live until the
        // call returns.
        unsafe {
            (self.function)(
                nc.as_ptr(),
                message.topic.as_bytes().as_ptr().cast(),
                message.topic.as_bytes().len() as c_int,
                message.payload.as_ptr().cast(),
                message.payload.len() as c_int,
                self.data.ud,
            );
        }
        // SAFETY: as above.
        unsafe { nc.after_handler(conn) };
    }

    fn disarm(&self) {
        self.data.disarm();
    }
}

/// A function that is called with the library's own events.
type EventFunction =
    unsafe extern "C" fn(c: *mut mgos_mqtt_conn, ev: *const mgos_mqtt_event, ud: *mut c_void);

#[inline(always)]
fn tell(owner: &Owner, function: EventFunction, event: &Event<'_>, data: &UserData) {
    let handle = owner.handle();
    entering_user_code();
    // SAFETY: the application's function with its own argument; the event, opaque to it, lives until the
    // call returns.
    unsafe { function(handle.as_ptr(), ptr::from_ref(event).cast(), data.ud) };
    // SAFETY: callbacks run on the thread that drives the loop.
    unsafe { handle.after_handler() };
}

/// A handler of the library's own events.
pub(in crate::capi) struct NewEventHandler {
    pub(in crate::capi) owner: Owner,
    pub(in crate::capi) function: EventFunction,
    pub(in crate::capi) data: UserData,
}

impl Callback<Conn> for NewEventHandler {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        tell(&self.owner, self.function, event, &self.data);
    }

    fn disarm(&self) {
        self.data.disarm();
    }
}

/// The pair of functions, one of which is called when an attempt ends.
pub(in crate::capi) struct ConnectPair {
    pub(in crate::capi) owner: Owner,
    pub(in crate::capi) ok: mgos_mqtt_event_fn_t,
    pub(in crate::capi) fail: mgos_mqtt_event_fn_t,
    pub(in crate::capi) data: UserData,
}

impl Callback<Conn> for ConnectPair {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        let function = match event {
            Event::ConnectResult { error: Code::Ok, .. } => self.ok,
            _ => self.fail,
        };
        if let Some(function) = function {
            tell(&self.owner, function, event, &self.data);
        }
    }
}

/// Holds the place of a subscription without a function of its own.
pub(in crate::capi) struct NoMessages {
    pub(in crate::capi) data: UserData,
}

impl Callback<Conn> for NoMessages {
    fn call(&self, _: &Conn, _: &Event<'_>) {}

    fn disarm(&self) {
        self.data.disarm();
    }
}

/// The connect hook of Mongoose OS.
pub(in crate::capi) struct MgosHook {
    pub(in crate::capi) own: OwnNc,
    pub(in crate::capi) function: mgos_mqtt_connect_fn_t,
    pub(in crate::capi) data: UserData,
}

impl ConnectHook<Conn> for MgosHook {
    fn about_to_connect(&self, conn: &Conn, params: &ConnectParams) {
        let Some(function) = self.function else { return };
        let nc = self.own.nc();
        let strings = HookStrings::of(params);
        let (qos, retain) = params.will.as_ref().map_or((0, false), |will| (will.qos, will.retain));
        let pointer = |s: Option<&Vec<u8>>| s.map_or(ptr::null(), |s| s.as_ptr().cast::<c_char>());
        let clean = if params.clean_session { MG_MQTT_CLEAN_SESSION } else { 0 };
        let retain = if retain { MG_MQTT_WILL_RETAIN } else { 0 };
        let client_id = pointer(Some(&strings.client_id));
        let mut opts = mg_send_mqtt_handshake_opts {
            flags: (clean | retain | (c_int::from(qos) << 3)) as u8,
            keep_alive: params.keep_alive,
            will_topic: pointer(strings.will.as_ref().map(|w| &w.0)),
            will_message: pointer(strings.will.as_ref().map(|w| &w.1)),
            user_name: pointer(strings.user.as_ref()),
            password: pointer(strings.password.as_deref()),
        };
        // The texts stay where they are when their owner moves.
        nc.prepare(params, strings);
        // SAFETY: callbacks run on the thread that drives the loop.
        unsafe { nc.before_handler(conn) };
        entering_user_code();
        // SAFETY: the application's function with its own argument; the strings live until the attempt is over.
        unsafe { function(nc.as_ptr(), client_id, &mut opts, self.data.ud) };
        // SAFETY: as above.
        unsafe { nc.after_handler(conn) };
    }
}

/// The function that is asked for credentials.
pub(in crate::capi) struct CredentialsFunction {
    pub(in crate::capi) owner: Owner,
    pub(in crate::capi) function: unsafe extern "C" fn(c: *mut mgos_mqtt_conn, attempt: u64, ud: *mut c_void),
    pub(in crate::capi) data: UserData,
}

impl CredentialsHook<Conn> for CredentialsFunction {
    fn ask(&self, _: &Conn, attempt: u64) {
        let handle = self.owner.handle();
        entering_user_code();
        // SAFETY: the application's function with its own argument.
        unsafe { (self.function)(handle.as_ptr(), attempt, self.data.ud) };
        // SAFETY: callbacks run on the thread that drives the loop.
        unsafe { handle.after_handler() };
    }
}

type SignFn = unsafe extern "C" fn(
    *mut mgos_mqtt_conn,
    c_int,
    *const c_void,
    usize,
    *mut c_void,
    *mut usize,
    *mut c_void,
) -> c_int;

/// A function that signs for the client.
pub(in crate::capi) struct SignFunction {
    pub(in crate::capi) owner: Owner,
    pub(in crate::capi) function: SignFn,
    pub(in crate::capi) data: UserData,
}

impl core::fmt::Debug for SignFunction {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SignFunction")
    }
}

impl Sign for SignFunction {
    fn sign(&self, scheme: u16, message: &[u8]) -> Result<Vec<u8>, String> {
        // RSA with 8,192 bits.
        const LONGEST: usize = 1024;
        let mut signature = vec![0; LONGEST];
        let mut len = LONGEST;
        let handle = self.owner.handle();
        let (c, text, room) = (handle.as_ptr(), message.as_ptr().cast(), signature.as_mut_ptr().cast());
        let (scheme, ud, n) = (c_int::from(scheme), self.data.ud, &raw mut len);
        entering_user_code();
        // SAFETY: the application's function with its own argument; the rest lives until it returns.
        let answer = unsafe { (self.function)(c, scheme, text, message.len(), room, n, ud) };
        // SAFETY: callbacks run on the thread that drives the loop.
        unsafe { handle.after_handler() };
        match answer {
            0 if (1..=LONGEST).contains(&len) => {
                signature.truncate(len);
                Ok(signature)
            }
            0 => Err(format!("it returned 0 and a signature of {len} bytes; possible are 1 to {LONGEST}")),
            other => Err(format!("it returned {other}")),
        }
    }
}

/// The log function of a loop.
pub(in crate::capi) struct LogFunction {
    pub(in crate::capi) function: mgos_mqtt_log_fn_t,
    pub(in crate::capi) data: UserData,
}

impl Sink for LogFunction {
    fn log(&self, level: Level, connection: i32, text: &str) {
        let Some(function) = self.function else { return };
        let visible = text.split('\0').next().unwrap_or_default().as_bytes();
        let mut text = Vec::new();
        // Without memory for it, a record is left out.
        if text.try_reserve_exact(visible.len() + 1).is_err() {
            return;
        }
        text.extend_from_slice(visible);
        text.push(0);
        entering_user_code();
        // SAFETY: the application's function with its own argument; the text lives until it returns.
        unsafe { function(level as c_int, connection, text.as_ptr().cast(), self.data.ud) };
    }
}

/// The function, or an error for NULL: then the user data stays the caller's.
fn given<F>(function: Option<F>, data: &UserData) -> Result<F, Code> {
    function.ok_or(Code::NullArgument).inspect_err(|_| data.disarm())
}

/// A handler of Mongoose's events, and its identity.
pub(in crate::capi) fn event_handler(
    owner: &Handle,
    handler: mg_event_handler_t,
    data: UserData,
) -> Result<(Identity, Box<dyn Callback<Conn>>), Code> {
    let function = given(handler, &data)?;
    let own = OwnNc::of(owner).inspect_err(|_| data.disarm())?;
    let identity = identity(function as *const (), data.ud);
    Ok((identity, Box::new(EventHandler { own, function, data })))
}

/// As [`event_handler`], for mgos_mqtt_sub().
pub(in crate::capi) fn message_handler(
    owner: &Handle,
    handler: sub_handler_t,
    data: UserData,
) -> Result<(Identity, Box<dyn Callback<Conn>>), Code> {
    let function = given(handler, &data)?;
    let own = OwnNc::of(owner).inspect_err(|_| data.disarm())?;
    let identity = identity(function as *const (), data.ud);
    Ok((identity, Box::new(MessageHandler { own, function, data })))
}

/// As [`event_handler`], for the library's own events.
pub(in crate::capi) fn new_event_handler(
    owner: &Handle,
    handler: mgos_mqtt_event_fn_t,
    data: UserData,
) -> Result<(Identity, Box<dyn Callback<Conn>>), Code> {
    let function = given(handler, &data)?;
    let identity = identity(function as *const (), data.ud);
    Ok((identity, Box::new(NewEventHandler { owner: Owner::of(owner), function, data })))
}

/// Who gets the messages of a subscription: `handler`, wrapped by `make`; without one, the handlers of the connection.
pub(in crate::capi) fn subscriber<H>(
    handler: Option<H>,
    kinds: u32,
    data: UserData,
    make: impl FnOnce(Option<H>, UserData) -> Result<(Identity, Box<dyn Callback<Conn>>), Code>,
) -> Result<Subscriber, Code> {
    if handler.is_none() {
        let identity = identity(ptr::null(), data.ud);
        return Ok(Subscriber { identity, kinds: 0, callback: Box::new(NoMessages { data }) });
    }
    let (identity, callback) = make(handler, data)?;
    Ok(Subscriber { identity, kinds, callback })
}

/// A function that is called once when a call ends.
pub(in crate::capi) fn completion(
    owner: &Handle,
    function: EventFunction,
    ud: *mut c_void,
) -> Box<dyn Callback<Conn>> {
    Box::new(NewEventHandler { owner: Owner::of(owner), function, data: UserData::new(ud, None) })
}

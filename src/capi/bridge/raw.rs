//! Packets that an application writes itself, through the `nc` of Mongoose.

use core::ffi::{CStr, c_char, c_int};

use crate::capi::base::boundary::{status, text};
use crate::capi::bridge::handle::{Handle, conn_of};
use crate::capi::bridge::nc::Nc;
use crate::capi::types::mgos_mongoose::{
    MG_MQTT_CLEAN_SESSION, MG_MQTT_WILL_RETAIN, mg_connection, mg_send_mqtt_handshake_opts,
};
use crate::client::ConnectParams;
use crate::config::{Secret, Will};
use crate::error::Code;
use crate::session::RawAck;
use crate::wire::{QoS, Version, topic};

/// # Safety
/// The strings are NULL or C strings.
pub(in crate::capi) unsafe fn handshake(
    handle: &Handle,
    client_id: *const c_char,
    opts: &mg_send_mqtt_handshake_opts,
) -> Result<ConnectParams, Code> {
    use crate::capi::base::boundary::optional;
    let flags = c_int::from(opts.flags);
    // SAFETY: promised by the caller, for this and the next four.
    let client_id = unsafe { optional(client_id) }?.unwrap_or("");
    // SAFETY: see above.
    let user = unsafe { optional(opts.user_name) }?.map(str::to_owned);
    let password = (!opts.password.is_null())
        // SAFETY: not NULL, and see above.
        .then(|| Secret(unsafe { CStr::from_ptr(opts.password) }.to_bytes().to_vec()));
    let will = match (opts.will_topic.is_null(), opts.will_message.is_null()) {
        (false, false) => {
            // SAFETY: see above.
            let name = unsafe { text(opts.will_topic) }?;
            topic::valid_name(name).map_err(|_| Code::BadTopic)?;
            // SAFETY: not NULL, and see above.
            let message = unsafe { CStr::from_ptr(opts.will_message) }.to_bytes();
            let qos = QoS::try_from(((flags & 0x18) >> 3) as u8).map_err(|_| Code::BadQos)?;
            let (topic, payload) = (name.to_owned(), message.to_vec());
            let retain = flags & MG_MQTT_WILL_RETAIN != 0;
            Some(Will { topic, payload, qos: qos.bits(), retain, ..Will::default() })
        }
        _ => None,
    };
    let prepared = handle.nc().and_then(Nc::prepared);
    let mut params = ConnectParams {
        version: prepared.as_ref().map_or(Version::V311, |p| p.version),
        client_id: client_id.to_owned(),
        clean_session: flags & MG_MQTT_CLEAN_SESSION != 0,
        keep_alive: opts.keep_alive,
        user,
        password,
        will,
        connect_properties: prepared.as_ref().map(|p| p.connect_properties.clone()).unwrap_or_default(),
    };
    // A password or will with NUL bytes does not survive as a C string. If the hook left its
    // visible part unchanged, the whole original is used.
    if let Some(prepared) = prepared {
        let cut = |bytes: &[u8]| bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec();
        let visible = prepared.password.as_ref().map(|password| Secret(cut(password)));
        if visible == params.password {
            params.password = prepared.password;
        }
        if let (Some(ours), Some(theirs)) = (prepared.will, params.will.as_mut()) {
            // A hook cannot say anything about these.
            theirs.properties = ours.properties;
            if cut(&ours.payload) == theirs.payload {
                theirs.payload = ours.payload;
            }
        }
    }
    Ok(params)
}

/// # Safety
/// `nc` is NULL or a connection of this library.
pub(in crate::capi) unsafe fn acknowledge(nc: *mut mg_connection, kind: RawAck, message_id: u16) {
    status(|| {
        // SAFETY: promised by the caller.
        unsafe { conn_of(nc) }?.conn()?.raw_ack(kind, message_id)
    });
}

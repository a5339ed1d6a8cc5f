//! Lists of topic filters, and the answers to them.

use core::ffi::{c_char, c_int, c_void};
use core::fmt;
use std::sync::Arc;

use crate::capi::base::boundary::{explain, qos, text};
use crate::capi::base::field::{refuse, wrong_text};
use crate::capi::base::sized;
use crate::capi::bridge::callbacks::{self, UserData, identity, new_event_handler};
use crate::capi::bridge::events::{SUBSCRIPTION_KINDS, options};
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::properties::{self, PLAIN};
use crate::capi::types::mgos_mqtt_event::mgos_mqtt_event_fn_t;
use crate::capi::types::mgos_mqtt_subscribe::{mgos_mqtt_filter, mgos_mqtt_subscription};
use crate::client::{Conn, Event, FilterResult, FilterResults, Identity, Subscriber};
use crate::error::Code;
use crate::session::Request;
use crate::wire::{
    Carrier, MAX_REMAINING, PacketType, Properties, PropertyBlock, PropertyId, PropertyValue, QoS, topic,
};

pub(in crate::capi) fn results<'e>(event: &Event<'e>) -> Option<&'e FilterResults> {
    match *event {
        Event::Subscribed(results) | Event::Unsubscribed(results) => Some(results),
        _ => None,
    }
}

pub(in crate::capi) fn code(result: &FilterResult) -> c_int {
    result.code.map_or(-1, c_int::from)
}

/// Writes -1 for each filter.
///
/// # Safety
/// `codes` is NULL or has `n` entries.
pub(in crate::capi) unsafe fn no_codes(codes: *mut c_int, n: usize) {
    if !codes.is_null() {
        for i in 0..n {
            // SAFETY: promised by the caller.
            unsafe { codes.add(i).write(-1) };
        }
    }
}

/// # Safety
/// `filters` is NULL or has `n` entries, whose strings are NULL or C strings that stay for `'a`.
pub(in crate::capi) unsafe fn wanted<'a>(
    filters: *const mgos_mqtt_filter,
    n: usize,
) -> Result<Vec<(&'a str, QoS)>, Code> {
    // SAFETY: promised by the caller.
    let filters = unsafe { array(filters, n) }?;
    let one = |(i, entry): (usize, &mgos_mqtt_filter)| {
        // SAFETY: promised by the caller.
        let filter = unsafe { filter(entry.filter, format_args!("filters[{i}].filter")) }?;
        let qos = qos(entry.qos)
            .map_err(|code| refuse(code, &format!("filters[{i}].qos"), entry.qos, "0, 1 and 2"))?;
        Ok((filter, qos))
    };
    filters.iter().enumerate().map(one).collect()
}

/// # Safety
/// `filters` is NULL or has `n` entries, which are NULL or C strings that stay for `'a`.
pub(in crate::capi) unsafe fn names<'a>(
    filters: *const *const c_char,
    n: usize,
) -> Result<Vec<&'a str>, Code> {
    // SAFETY: promised by the caller.
    let filters = unsafe { array(filters, n) }?;
    let one = |(i, name): (usize, &*const c_char)| {
        // SAFETY: promised by the caller.
        unsafe { filter(*name, format_args!("filters[{i}]")) }
    };
    filters.iter().enumerate().map(one).collect()
}

/// A subscription with what MQTT 5.0 has for it.
///
/// # Safety
/// `from` is NULL or valid, with its strings, for `'a`.
pub(in crate::capi) unsafe fn subscription<'a>(
    conn: &Conn,
    from: *const mgos_mqtt_subscription,
) -> Result<(&'a str, Request), Code> {
    const SUBSCRIBE: Carrier = Carrier::Packet(PacketType::Subscribe);
    // SAFETY: promised by the caller.
    let from = unsafe { sized::read(from) }?;
    // SAFETY: promised by the caller.
    let filter = unsafe { filter(from.filter, format_args!("filter")) }?;
    let options = options(conn, from.qos)?;
    // SAFETY: promised by the caller.
    let array = unsafe { properties::read(from.properties, from.num_properties, SUBSCRIBE, PLAIN) }?;
    if from.identifier > MAX_REMAINING {
        return Err(refuse(Code::BadArgument, "identifier", from.identifier, "0 (none) to 268435455"));
    }
    let mut list: Vec<_> = Properties::from_foreign(&array).iter().collect();
    if from.identifier > 0 {
        if list.iter().any(|(id, _)| *id == PropertyId::SubscriptionIdentifier) {
            explain(format_args!(
                "identifier is set, and properties has another Subscription Identifier (11)"
            ));
            return Err(Code::BadProperty);
        }
        list.push((PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(from.identifier)));
    }
    if list.is_empty() {
        return Ok((filter, options.into()));
    }
    if !conn.speaks_v5() {
        return Err(Code::NeedsV5);
    }
    // They were checked, so what is left is the lack of memory.
    let block = PropertyBlock::new(Properties::from_list(&list), SUBSCRIBE).map_err(|_| Code::NoMemory)?;
    Ok((filter, Request { options, properties: Some(Arc::new(block)) }))
}

/// A topic filter; an error about it names it.
///
/// # Safety
/// `start` is NULL or a C string that stays for `'a`.
pub(in crate::capi) unsafe fn filter<'a>(
    start: *const c_char,
    name: fmt::Arguments<'_>,
) -> Result<&'a str, Code> {
    // SAFETY: promised by the caller.
    let filter = unsafe { text(start) }.map_err(|code| wrong_text(&name.to_string(), code))?;
    topic::valid_filter(filter).map_err(|problem| {
        explain(format_args!("{name} is {filter:?}: {}", problem.text()));
        Code::BadFilter
    })?;
    Ok(filter)
}

/// # Safety
/// `start` is NULL or has `n` entries that stay for `'a`.
pub(in crate::capi) unsafe fn array<'a, T>(start: *const T, n: usize) -> Result<&'a [T], Code> {
    if start.is_null() {
        return Err(Code::NullArgument);
    }
    let most = isize::MAX as usize / size_of::<T>();
    if n == 0 || n > most {
        return Err(refuse(Code::BadArgument, "n", n, format_args!("1 to {most}")));
    }
    // SAFETY: not NULL, and the caller promises the entries.
    Ok(unsafe { core::slice::from_raw_parts(start, n) })
}

/// The identity of the subscriptions made with a function and its argument.
pub(in crate::capi) fn subscription_of(function: mgos_mqtt_event_fn_t, ud: *mut c_void) -> Identity {
    identity(function.map_or(core::ptr::null(), |function| function as *const ()), ud)
}

pub(in crate::capi) fn subscriber(
    handle: &Handle,
    function: mgos_mqtt_event_fn_t,
    data: UserData,
) -> Result<Subscriber, Code> {
    callbacks::subscriber(function, SUBSCRIPTION_KINDS, data, |f, data| new_event_handler(handle, f, data))
}

//! From `struct mgos_mqtt_options` to the settings of a connection. One line here for each field.

use core::ffi::c_int;
use std::sync::Arc;

use crate::capi::base::boundary::{config_code, explain};
use crate::capi::base::field::{field, memory, text};
use crate::capi::base::sized;
use crate::capi::bridge::profiles::fixed;
use crate::capi::bridge::properties::{self, Names, PLAIN};
use crate::capi::types::mgos_mqtt_options::*;
use crate::client::ProfileSource;
use crate::config::proxy::ProxyVariables;
use crate::config::{
    Authentication, Backoff, ExpiryNotice, OnSessionLoss, Overflow, ProfileOptions, Protocol,
    ReceiveOverflow, Redirect, Resubscribe, Retry, RouteOptions, Secret, Settings, SocketOptions, Timeouts,
    TlsOptions,
};
use crate::error::Code;
use crate::wire::{Carrier, PacketType};

/// The profiles and everything else that options say.
///
/// # Safety
/// `options` is NULL or valid, as for mgos_mqtt_conn_create_on().
pub(in crate::capi) unsafe fn read(
    options: *const mgos_mqtt_options,
) -> Result<(Vec<ProfileSource>, Settings), Code> {
    if options.is_null() {
        return Ok((Vec::new(), Settings::default()));
    }
    // SAFETY: not NULL, and promised by the caller.
    let options = unsafe { sized::read(options) }?;
    // SAFETY: the caller promises what the options point to.
    let settings = unsafe { settings(&options) }?;
    settings.validate().map_err(config_code)?;
    let mut profiles = Vec::new();
    if options.num_profiles > 0 && options.profiles.is_null() {
        explain(format_args!("profiles is NULL, and num_profiles is {}", options.num_profiles));
        return Err(Code::NullArgument);
    }
    for i in 0..options.num_profiles {
        // SAFETY: the caller promises that many.
        let cfg = unsafe { options.profiles.add(i) };
        // SAFETY: as above.
        let profile = unsafe { fixed(cfg) }.and_then(|profile| settings.check(&profile).map(|()| profile));
        let profile = profile.map_err(|error| match options.num_profiles {
            1 => config_code(error),
            _ => config_code(error.in_section(&format!("profiles[{i}]"))),
        })?;
        profiles.push(ProfileSource::Fixed(Arc::new(profile)));
    }
    Ok((profiles, settings))
}

/// # Safety
/// What the options point to is valid.
unsafe fn settings(options: &mgos_mqtt_options) -> Result<Settings, Code> {
    let default = Settings::default();
    Ok(Settings {
        max_outgoing_bytes: or_default(options.max_outgoing_bytes, default.max_outgoing_bytes),
        in_flight_window: field!(options.in_flight_window)
            .count(default.in_flight_window, u16::MAX.into())?,
        overflow: field!(options.overflow).choice([
            (MGOS_MQTT_OVERFLOW_REFUSE, Overflow::Refuse),
            (MGOS_MQTT_OVERFLOW_DROP_OLDEST, Overflow::DropOldest),
        ])?,
        resubscribe: field!(options.resubscribe).choice([
            (MGOS_MQTT_RESUBSCRIBE_ALWAYS, Resubscribe::Always),
            (MGOS_MQTT_RESUBSCRIBE_WHEN_LOST, Resubscribe::WhenSessionLost),
        ])?,
        on_session_loss: field!(options.on_session_loss).choice([
            (MGOS_MQTT_SESSION_LOSS_RESEND, OnSessionLoss::Resend),
            (MGOS_MQTT_SESSION_LOSS_REPORT, OnSessionLoss::Report),
        ])?,
        retry: field!(options.retry).choice([
            (MGOS_MQTT_RETRY_ALWAYS, Retry::Always),
            (MGOS_MQTT_RETRY_ONCE_UP, Retry::OnceUp),
            (MGOS_MQTT_RETRY_NEVER, Retry::Never),
        ])?,
        backoff: field!(options.fixed_delay).choice([
            (MGOS_MQTT_DELAY_DOUBLES, Backoff::Doubling),
            (MGOS_MQTT_DELAY_FIXED, Backoff::Fixed),
            (MGOS_MQTT_DELAY_DECORRELATED, Backoff::Decorrelated),
        ])?,
        jitter_percent: field!(options.jitter_percent).count_or_off(default.jitter_percent, 0, 100)?,
        first_delay: field!(options.first_delay_ms).ms(default.first_delay)?,
        outcome_history: field!(options.outcome_history).count_or_off(
            default.outcome_history,
            0,
            c_int::MAX,
        )?,
        stable_after: field!(options.stable_after_ms).ms(default.stable_after)?,
        fail_back: field!(options.fail_back_ms).ms(default.fail_back)?,
        close: field!(options.close_timeout_ms).ms(default.close)?,
        poll_tick: field!(options.poll_tick_ms).ms(default.poll_tick)?,
        slow_callback: field!(options.slow_callback_ms).ms(default.slow_callback)?,
        keep_oversize: options.oversize_keep,
        refuse_retries: field!(options.refuse_retries).count_or_off(default.refuse_retries, 0, c_int::MAX)?,
        refuse_delay: field!(options.refuse_delay_ms).ms(default.refuse_delay)?,
        receive_queue_length: or_default(options.receive_queue_length, default.receive_queue_length),
        receive_queue_bytes: or_default(options.receive_queue_bytes, default.receive_queue_bytes),
        receive_overflow: field!(options.receive_overflow).choice([
            (MGOS_MQTT_RECEIVE_DROP_NEW, ReceiveOverflow::DropNew),
            (MGOS_MQTT_RECEIVE_DROP_OLDEST, ReceiveOverflow::DropOldest),
        ])?,
        ack_timeout: field!(options.ack_timeout_ms).ms(default.ack_timeout)?,
        topic_aliases: field!(options.topic_aliases).count_or_off(0, 0, MOST_ALIASES)?,
        poison_after: field!(options.poison_after).count_or_off(default.poison_after, 0, c_int::MAX)?,
        redirect: field!(options.redirect).choice([
            (MGOS_MQTT_REDIRECT_NEVER, Redirect::Never),
            (MGOS_MQTT_REDIRECT_SAME_DOMAIN, Redirect::SameDomain),
            (MGOS_MQTT_REDIRECT_ANY, Redirect::Any),
        ])?,
        adaptive_keep_alive: field!(options.adaptive_keep_alive).choice([(0, false), (1, true)])?,
        // SAFETY: promised by the caller.
        profile: unsafe { profile(options) }?,
    })
}

/// What overrides each profile. If nothing is set the profiles stay as they are, so that they can be shared.
///
/// # Safety
/// What the options point to is valid.
unsafe fn profile(options: &mgos_mqtt_options) -> Result<ProfileOptions, Code> {
    let protocols = [
        (0, None),
        (MGOS_MQTT_PROTOCOL_AUTO, Some(Protocol::Auto)),
        (MGOS_MQTT_PROTOCOL_3_1, Some(Protocol::V31)),
        (MGOS_MQTT_PROTOCOL_3_1_1, Some(Protocol::V311)),
        (MGOS_MQTT_PROTOCOL_5, Some(Protocol::V5)),
    ];
    let timeouts = timeouts(options)?;
    let protocol = field!(options.protocol_version).one_of(&protocols, PROTOCOLS)?;
    // SAFETY: promised by the caller.
    let (connect_properties, will_properties) = unsafe {
        const CONNECT: Carrier = Carrier::Packet(PacketType::Connect);
        const OF_WILL: Names = ("will_properties", "num_will_properties");
        let connect = properties::block(options.properties, options.num_properties, CONNECT, PLAIN)?;
        let of_will = (options.will_properties, options.num_will_properties);
        (connect, properties::block(of_will.0, of_will.1, Carrier::Will, OF_WILL)?)
    };
    let has = [("properties", &connect_properties), ("will_properties", &will_properties)];
    if let Some((field, _)) = has.iter().find(|(_, block)| !block.is_empty())
        && protocol != Some(Protocol::V5)
    {
        explain(format_args!("{field} is set, and protocol_version is not 5 (MQTT 5.0)"));
        return Err(Code::NeedsV5);
    }
    // SAFETY: promised by the caller.
    let tls = unsafe { tls(options) }?;
    Ok(ProfileOptions {
        protocol,
        authentication: field!(options.authentication).one_of(
            &[
                (MGOS_MQTT_AUTHENTICATION_PASSWORD, None),
                (MGOS_MQTT_AUTHENTICATION_SCRAM_SHA_256, Some(Authentication::ScramSha256)),
            ],
            "0 (the password in CONNECT) and 1 (SCRAM-SHA-256)",
        )?,
        scram_max_iterations: Some(field!(options.scram_max_iterations).count(0, c_int::MAX)?)
            .filter(|most| *most > 0),
        // SAFETY: promised by the caller.
        password: unsafe { memory!(options.password, password_len).copy() }?.map(Secret),
        // SAFETY: promised by the caller.
        will_payload: unsafe { memory!(options.will_payload, will_payload_len).copy() }?,
        will_qos: Some(field!(options.will_qos).qos()? as u8).filter(|qos| *qos > 0),
        will_properties: Some(will_properties).filter(|block| !block.is_empty()),
        connect_properties: Some(connect_properties).filter(|block| !block.is_empty()),
        timeouts: Some(timeouts).filter(|timeouts| *timeouts != Timeouts::default()),
        tls: Some(tls).filter(|tls| *tls != TlsOptions::default()),
        // SAFETY: promised by the caller.
        route: Some(unsafe { route(options) }?).filter(|route| *route != RouteOptions::default()),
    })
}

const PROTOCOLS: &str = "0 (the default), 1 (auto), 3 (MQTT 3.1), 4 (MQTT 3.1.1) and 5 (MQTT 5.0)";

fn timeouts(options: &mgos_mqtt_options) -> Result<Timeouts, Code> {
    let default = Timeouts::default();
    Ok(Timeouts {
        dns: field!(options.dns_timeout_ms).ms(default.dns)?,
        tcp: field!(options.tcp_timeout_ms).ms(default.tcp)?,
        tls: field!(options.tls_timeout_ms).ms(default.tls)?,
        proxy: field!(options.proxy_timeout_ms).ms(default.proxy)?,
        websocket: field!(options.ws_timeout_ms).ms(default.websocket)?,
        connack: field!(options.connack_timeout_ms).ms(default.connack)?,
        pingresp: field!(options.pingresp_timeout_ms).ms_or_default()?,
    })
}

/// # Safety
/// What the options point to is valid.
unsafe fn route(options: &mgos_mqtt_options) -> Result<RouteOptions, Code> {
    Ok(RouteOptions {
        // SAFETY: promised by the caller.
        ws_headers: unsafe { text!(options.ws_headers).copy() }?.map(Secret),
        // SAFETY: promised by the caller.
        proxy: unsafe { text!(options.proxy).copy() }?.map(Secret),
        proxy_variables: match field!(options.proxy_from_environment).choice([(0, false), (1, true)])? {
            true => Some(ProxyVariables::read(|name| std::env::var(name).ok())),
            false => None,
        },
        // SAFETY: promised by the caller.
        proxy_ca: unsafe { memory!(options.proxy_ca, proxy_ca_len).copy() }?.map(Secret),
        // SAFETY: promised by the caller.
        socket: unsafe { socket(options) }?,
    })
}

/// # Safety
/// What the options point to is valid.
unsafe fn socket(options: &mgos_mqtt_options) -> Result<SocketOptions, Code> {
    // SAFETY: promised by the caller.
    let [address, interface] =
        [text!(options.source_address), text!(options.source_interface)].map(|text| unsafe { text.copy() });
    Ok(SocketOptions {
        source_address: address?.map(|text| SocketOptions::source(&text)).transpose().map_err(config_code)?,
        source_interface: interface?,
        keepalive_idle: field!(options.tcp_keepalive_idle_ms).ms_or_default()?,
        keepalive_interval: field!(options.tcp_keepalive_interval_ms).ms_or_default()?,
        keepalive_count: Some(field!(options.tcp_keepalive_count).count(0, 127)?).filter(|count| *count > 0),
        user_timeout: field!(options.tcp_user_timeout_ms).ms_or_default()?,
        dscp: field!(options.dscp).count(0, 63)?,
        send_buffer: field!(options.socket_send_buffer).count(0, c_int::MAX / 2)?,
        receive_buffer: field!(options.socket_receive_buffer).count(0, c_int::MAX / 2)?,
    })
}

/// # Safety
/// What the options point to is valid.
unsafe fn tls(options: &mgos_mqtt_options) -> Result<TlsOptions, Code> {
    // SAFETY: promised by the caller.
    let [server_name, alpn, pins, crl_file] = [
        text!(options.tls_server_name),
        text!(options.tls_alpn),
        text!(options.tls_pins),
        text!(options.tls_crl_file),
    ]
    .map(|text| unsafe { text.copy() });
    // SAFETY: promised by the caller.
    let [ca, certificate, key, crl, key_password] = [
        memory!(options.tls_ca, tls_ca_len),
        memory!(options.tls_cert, tls_cert_len),
        memory!(options.tls_key, tls_key_len),
        memory!(options.tls_crl, tls_crl_len),
        memory!(options.tls_key_password, tls_key_password_len),
    ]
    .map(|memory| unsafe { memory.copy() });
    Ok(TlsOptions {
        server_name: server_name?,
        pins: pins?,
        crl: crl?.map(Secret),
        crl_file: crl_file?,
        expiry_notice: {
            let default = ExpiryNotice::default().0.map_or(NEVER, i64::from);
            let days = field!(options.tls_expiry_days).count_or_off(default, NEVER, c_int::MAX)?;
            ExpiryNotice(u32::try_from(days).ok())
        },
        alpn: alpn?.map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default(),
        only_tls13: field!(options.tls_min_version).one_of(
            &[(0, false), (MGOS_MQTT_TLS_1_2, false), (MGOS_MQTT_TLS_1_3, true)],
            "0 (the default), 12 (TLS 1.2) and 13 (TLS 1.3)",
        )?,
        no_post_quantum: field!(options.tls_post_quantum)
            .one_of(&[(0, false), (MGOS_MQTT_OFF, true)], "0 (the default) and -1 (off)")?,
        ca: ca?.map(Secret),
        certificate: certificate?.map(Secret),
        key: key?.map(Secret),
        key_password: key_password?.map(Secret),
        system_roots: field!(options.tls_system_roots).choice([(0, false), (1, true)])?,
        insecure_skip_verification: field!(options.tls_insecure_skip_verification)
            .choice([(0, false), (1, true)])?,
        insecure_skip_name: field!(options.tls_insecure_skip_name).choice([(0, false), (1, true)])?,
    })
}

/// One of the numbers of two bytes is none.
const MOST_ALIASES: c_int = 65_534;

/// A number of days that never come.
const NEVER: i64 = -1;

/// A limit: 0 is the default.
fn or_default(limit: usize, default: usize) -> usize {
    if limit == 0 { default } else { limit }
}

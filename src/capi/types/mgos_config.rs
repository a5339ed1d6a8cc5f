//! The types of `mgos_config.h`.

use core::ffi::{c_char, c_int};

/// The configuration of one MQTT server.
///
/// Flags are ints, of which 0 is false and everything else true. Strings are UTF-8 but for `pass`
/// and `will_message`, which may be any bytes without a NUL.
///
/// A structure of zero bytes (memset) means what it says: not enabled, no keep-alive, no delay
/// between reconnects, QoS 0. Start with mgos_config_mqtt_set_defaults() instead.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgos_config_mqtt {
    /// Whether connections may be made. Default: false.
    pub enable: c_int,
    /// The address: `host`, `host:port`, `[IPv6 address]:port`, or a URL that begins with mqtt://,
    /// mqtts://, tcp://, ssl://, tls://, ws:// or wss://, or unix:/// and the path of a local socket. Without a port it
    /// is 1883, with TLS 8883, in a ws:// URL 80 and in a wss:// URL 443. A URL may have user name and password,
    /// percent-encoded: mqtt://user:pass%40word@host; `user` and `pass` are then not set.
    /// Default: none, since the default of Mongoose OS, iot.eclipse.org, no longer exists.
    pub server: *const c_char,
    /// The client id. If not set, the device id is used, see mgos_sys_config_get_device_id(); if
    /// that is not set either, the server chooses one, which needs `clean_session`. Default: not
    /// set.
    pub client_id: *const c_char,
    /// The user name. Default: not set.
    pub user: *const c_char,
    /// The password; before MQTT 5.0 it needs `user`. Default: not set.
    pub pass: *const c_char,
    /// The shortest delay before a reconnect, in seconds, 0 to 2147483. Delays double up to
    /// `reconnect_timeout_max`. Default: 2.
    pub reconnect_timeout_min: f64,
    /// The longest delay before a reconnect, in seconds, 0 to 2147483. If it is smaller than
    /// `reconnect_timeout_min`, it is used for both. Default: 60.
    pub reconnect_timeout_max: f64,
    /// The file with the client's certificate and the intermediate certificates up to its issuer, in
    /// PEM or DER. Turns TLS on. Default: not set.
    pub ssl_cert: *const c_char,
    /// The file with the private key, PKCS#8, PKCS#1 or SEC1, in PEM or DER; an encrypted one needs
    /// `tls_key_password` of struct mgos_mqtt_options. If not set, the key is in the file `ssl_cert`.
    /// Default: not set.
    pub ssl_key: *const c_char,
    /// The file with the trusted certificates, in PEM or DER; or a list of pins, each `sha256/` and
    /// Base64, see `tls_pins` of struct mgos_mqtt_options. Turns TLS on. `*`, which accepted every
    /// certificate in Mongoose OS, is refused with an error. Default: not set; for an mqtts:// address
    /// the certificates that the system trusts are then used.
    pub ssl_ca_cert: *const c_char,
    /// The names of the allowed cipher suites, separated by colons or commas, as IANA or mbedTLS
    /// write them; a suite that the library does not have is an error. Default: not set, which
    /// allows all.
    pub ssl_cipher_suites: *const c_char,
    /// The identity of the pre-shared key. Turns TLS on. Default: not set.
    pub ssl_psk_identity: *const c_char,
    /// The pre-shared key in hexadecimal digits. Default: not set.
    pub ssl_psk_key: *const c_char,
    /// Whether the server forgets the session of this client at each connect. Default: true.
    pub clean_session: c_int,
    /// The keep-alive: after how many seconds without traffic the connection is probed, 0 to 65535.
    /// 0: never. Default: 60.
    pub keep_alive: c_int,
    /// The topic of the will, the message that the server publishes when it loses this client.
    /// There is a will only if `will_message` is set as well. Default: not set.
    pub will_topic: *const c_char,
    /// The payload of the will. Default: not set.
    pub will_message: *const c_char,
    /// Whether the will is retained. Its QoS is 0; struct mgos_mqtt_options can say more. Default:
    /// false.
    pub will_retain: c_int,
    /// The highest QoS for publishing and subscribing; a higher one is lowered to it. 0, 1 or 2;
    /// negative: no limit. Default: 2.
    pub max_qos: c_int,
    /// The largest packet that is received, in bytes; 0: no limit except that of MQTT. A larger one
    /// is skipped and reported, and the connection stays up. Default: 4194304 (Mongoose OS: 3072).
    pub recv_mbuf_limit: c_int,
    /// Whether to connect only after the wall clock was set, which checking a certificate needs.
    /// Default: false.
    pub require_time: c_int,
    /// Whether cloud events are raised when the connection comes up and goes down. Default: true.
    pub cloud_events: c_int,
    /// How many messages of QoS 1 and 2 may wait or be in flight. 0 or less: no message is queued
    /// without a connection. Default: 1024 (Mongoose OS: 5).
    pub max_queue_length: c_int,
    /// Whether MQTT runs over WebSocket. Default: false.
    pub ws_enable: c_int,
    /// The path of the WebSocket. Default: "/mqtt".
    pub ws_path: *const c_char,
    /// Whether published log lines carry their level instead of 1 for standard output and 2 for
    /// standard error. Default: false.
    pub debug_use_log_level: c_int,
}

//! The types of `mgos_mqtt_options.h`.

use core::ffi::{c_char, c_int, c_void};
use core::mem::offset_of;

use crate::capi::base::sized::Growing;
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_property::mgos_mqtt_property;

/// Turns off what a field of the options does or limits: "without limit" for a time-out, "never" or "none" for the
/// rest. Each field says whether it accepts this value.
pub const MGOS_MQTT_OFF: c_int = -1;

/// `protocol_version`: MQTT 3.1.
pub const MGOS_MQTT_PROTOCOL_3_1: c_int = 3;
/// `protocol_version`: MQTT 3.1.1.
pub const MGOS_MQTT_PROTOCOL_3_1_1: c_int = 4;
/// `protocol_version`: MQTT 5.0.
pub const MGOS_MQTT_PROTOCOL_5: c_int = 5;
/// `protocol_version`: the newest of these that the server speaks.
pub const MGOS_MQTT_PROTOCOL_AUTO: c_int = 1;

/// `redirect`: a server cannot send the client to another one.
pub const MGOS_MQTT_REDIRECT_NEVER: c_int = 0;
/// `redirect`: within the domain of the configured server.
pub const MGOS_MQTT_REDIRECT_SAME_DOMAIN: c_int = 1;
/// `redirect`: anywhere.
pub const MGOS_MQTT_REDIRECT_ANY: c_int = 2;

/// `authentication`: CONNECT carries the user name and the password.
pub const MGOS_MQTT_AUTHENTICATION_PASSWORD: c_int = 0;
/// `authentication`: SCRAM-SHA-256.
pub const MGOS_MQTT_AUTHENTICATION_SCRAM_SHA_256: c_int = 1;

/// `retry`: the connection always tries again by itself.
pub const MGOS_MQTT_RETRY_ALWAYS: c_int = 0;
/// `retry`: once it was up; a first attempt that fails is the last.
pub const MGOS_MQTT_RETRY_ONCE_UP: c_int = 1;
/// `retry`: never.
pub const MGOS_MQTT_RETRY_NEVER: c_int = 2;

/// `fixed_delay`: waits double, and backup servers are used.
pub const MGOS_MQTT_DELAY_DOUBLES: c_int = 0;
/// `fixed_delay`: always the shortest wait, and only the first server.
pub const MGOS_MQTT_DELAY_FIXED: c_int = 1;
/// `fixed_delay`: each wait is chosen at random, and backup servers are used.
pub const MGOS_MQTT_DELAY_DECORRELATED: c_int = 2;

/// `overflow`: a full queue refuses the new message.
pub const MGOS_MQTT_OVERFLOW_REFUSE: c_int = 0;
/// `overflow`: a full queue drops the oldest message that was not sent.
pub const MGOS_MQTT_OVERFLOW_DROP_OLDEST: c_int = 1;

/// `on_session_loss`: messages in flight are sent again.
pub const MGOS_MQTT_SESSION_LOSS_RESEND: c_int = 0;
/// `on_session_loss`: messages in flight are given up, with the outcome MGOS_MQTT_OUTCOME_LOST.
pub const MGOS_MQTT_SESSION_LOSS_REPORT: c_int = 1;

/// `resubscribe`: after every CONNACK.
pub const MGOS_MQTT_RESUBSCRIBE_ALWAYS: c_int = 0;
/// `resubscribe`: only if the server lost the session, or may have.
pub const MGOS_MQTT_RESUBSCRIBE_WHEN_LOST: c_int = 1;

/// `receive_overflow`: the new QoS 0 message is dropped.
pub const MGOS_MQTT_RECEIVE_DROP_NEW: c_int = 0;
/// `receive_overflow`: the oldest QoS 0 message is dropped.
pub const MGOS_MQTT_RECEIVE_DROP_OLDEST: c_int = 1;

/// `tls_min_version`: TLS 1.2.
pub const MGOS_MQTT_TLS_1_2: c_int = 12;
/// `tls_min_version`: TLS 1.3.
pub const MGOS_MQTT_TLS_1_3: c_int = 13;

/// A function that signs with the client's private key, which only it can use: a key in a secure element, a TPM or a
/// smart card. See mgos_mqtt_conn_set_sign_fn().
///
/// `scheme` is a SignatureScheme of TLS (RFC 8446, section 4.2.3), one that fits the client's certificate: 0x0403
/// ecdsa_secp256r1_sha256, 0x0503 ecdsa_secp384r1_sha384, 0x0807 ed25519, 0x0804 to 0x0806 rsa_pss_rsae_sha256 to
/// _sha512; with TLS 1.2 also 0x0401, 0x0501, 0x0601 rsa_pkcs1_sha256 to _sha512. `message` is what has to be signed, not its
/// hash: the function hashes it. The signature goes to `signature`, which has room for `*signature_len` bytes; its length goes
/// to `*signature_len`. ECDSA signatures are in DER (an ECDSA-Sig-Value). Returns 0, or another number if there is no
/// signature: then the attempt to connect fails with MGOS_MQTT_TLS_BAD_KEY, and the number is in its text.
///
/// It runs on the thread that drives the loop, with no lock held, and the loop stands still until it returns. It may call
/// every function of the library except those that poll or wait.
pub type mgos_mqtt_sign_fn_t = Option<
    unsafe extern "C" fn(
        c: *mut mgos_mqtt_conn,
        scheme: c_int,
        message: *const c_void,
        message_len: usize,
        signature: *mut c_void,
        signature_len: *mut usize,
        ud: *mut c_void,
    ) -> c_int,
>;

/// Options of a connection.
///
/// Begin with mgos_mqtt_options_init(), which sets `size` and makes the rest 0, then set what matters:
///
///     struct mgos_mqtt_options options = mgos_mqtt_options_init();
///     options.retry = MGOS_MQTT_RETRY_NEVER;
///
/// In every field 0 or NULL means the default; where something can be switched off, MGOS_MQTT_OFF does it. The
/// structure may grow: a program compiled with an older header works with a newer library, and a structure that sets a
/// field which the library does not know is refused with MGOS_MQTT_BAD_STRUCTURE.
///
/// Options override whatever configuration the connection has when it connects, even one set later; see
/// mgos_mqtt_conn_set_options(). A value that is not allowed is refused with MGOS_MQTT_BAD_ARGUMENT, and
/// mgos_mqtt_last_error_text() names the field, the value and what is allowed.
///
/// Everything is copied before a call returns.
#[repr(C)]
pub struct mgos_mqtt_options {
    /// `sizeof(struct mgos_mqtt_options)`.
    pub size: usize,
    /// Complete server profiles, the main server first. They are used in turn, as
    /// mgos_mqtt_conn_create2() says. The system configuration is not read live through this field.
    pub profiles: *const mgos_config_mqtt,
    /// How many; default 0, a connection without a server.
    pub num_profiles: usize,

    /// CONNECT. The version of MQTT, MGOS_MQTT_PROTOCOL_*: default 3.1.1. The library never falls
    /// back to another one by itself, unless it is MGOS_MQTT_PROTOCOL_AUTO: then MQTT 5.0 is tried first, and after that
    /// 3.1.1 and 3.1, if the server's CONNACK refuses the version, or if it closes two connections in a row instead of
    /// sending one, as some do. Each version is an attempt with its own MGOS_MQTT_EV_CONNECT_RESULT; the next one follows
    /// at once, whatever `retry` says, and those who wait for one result get that of the last. What was settled is in
    /// mgos_mqtt_event_protocol_version() and in `protocol_version` of struct mgos_mqtt_state. It is used again for a day,
    /// or until the server or its configuration is set anew. What needs MQTT 5.0 is refused until it was settled.
    pub protocol_version: c_int,
    /// A binary password, instead of the text `pass` of each configuration; NULL for none.
    pub password: *const c_void,
    /// Its length.
    pub password_len: usize,
    /// A binary payload for the will, instead of the text `will_message` of each configuration, which must have a
    /// `will_topic`; NULL for none.
    pub will_payload: *const c_void,
    /// Its length.
    pub will_payload_len: usize,
    /// The QoS of the will, whichever of the two its payload comes from: default MGOS_MQTT_AT_MOST_ONCE (MQTT
    /// 3.1.1, section 3.1.2.6).
    pub will_qos: c_int,

    /// RECONNECTING. Whether the connection tries again by itself after a failed attempt or a loss: default
    /// MGOS_MQTT_RETRY_ALWAYS; MGOS_MQTT_RETRY_ONCE_UP: only if it has been up since mgos_mqtt_conn_connect();
    /// MGOS_MQTT_RETRY_NEVER. If it does not, it stays down until it is told to connect, and no other server is tried.
    pub retry: c_int,
    /// The waits between attempts: default MGOS_MQTT_DELAY_DOUBLES, from `reconnect_timeout_min` to
    /// `reconnect_timeout_max`, with backup servers; or MGOS_MQTT_DELAY_FIXED, always `reconnect_timeout_min`, and only
    /// the first server; or MGOS_MQTT_DELAY_DECORRELATED, each at random between `reconnect_timeout_min` and three times
    /// the wait before, up to `reconnect_timeout_max`, with backup servers: many devices that lost one server do not come
    /// back to it in waves. `jitter_percent` does not count then.
    ///
    /// The longest wait comes at once, whatever is set here, after a server that says that it is busy (MQTT 5.0: 0x89,
    /// 0x97, 0x9F), and when another client has taken the session over (MQTT 5.0: 0x8E; before that, five connections in a
    /// row that were lost before `stable_after_ms`). A warning tells of it.
    pub fixed_delay: c_int,
    /// By how many percent the wait before a reconnect varies at random: default 10, MGOS_MQTT_OFF is
    /// not at all.
    pub jitter_percent: c_int,
    /// After how long on a backup server the main one is tried again: default never. The connection to the backup
    /// is closed for that; if the main server does not answer, the backup is used again at once.
    pub fail_back_ms: c_int,

    /// TIME-OUTS. Where the system reports acknowledged bytes (Linux), the time for an answer begins when the server's
    /// system has received the question: on a slow link that may be long after it was sent. How long the name service
    /// may take: default 10,000 ms, MGOS_MQTT_OFF is without limit.
    pub dns_timeout_ms: c_int,
    /// How long opening the TCP connection may take, for all addresses of the name together. IPv6 and IPv4 take turns
    /// (RFC 8305): as long as one does not answer, the next is tried beside it every 250 ms, or sooner if there is little
    /// time for many; the first that is open wins. Default 10,000 ms, MGOS_MQTT_OFF is without limit.
    pub tcp_timeout_ms: c_int,
    /// How long the TLS handshake may take: default 10,000 ms, MGOS_MQTT_OFF is without limit.
    pub tls_timeout_ms: c_int,
    /// How long the server may take for CONNACK, a connect hook's time included: default 10,000 ms, MGOS_MQTT_OFF is
    /// without limit.
    pub connack_timeout_ms: c_int,
    /// How long the server may take for PINGRESP: default the keep-alive, at most 10,000 ms.
    pub pingresp_timeout_ms: c_int,

    /// PUBLISHING. How many QoS 1 and 2 messages may be unacknowledged at a time: default 20, at most 65,535.
    pub in_flight_window: c_int,
    /// How many bytes of topics, payloads and unwritten packets may wait to be sent: default 1 MiB. A message that
    /// does not fit is refused with MGOS_MQTT_QUEUE_FULL, or MGOS_MQTT_TOO_LARGE if it never would.
    pub max_outgoing_bytes: usize,
    /// What happens when the queue is full: default MGOS_MQTT_OVERFLOW_REFUSE, the new message is refused; or
    /// MGOS_MQTT_OVERFLOW_DROP_OLDEST, the oldest that was not sent makes room.
    pub overflow: c_int,
    /// What happens to messages in flight when the server lost the session: default MGOS_MQTT_SESSION_LOSS_RESEND, they are
    /// sent again (a message may then arrive twice); or MGOS_MQTT_SESSION_LOSS_REPORT, they are given up.
    pub on_session_loss: c_int,
    /// How many of the last outcomes mgos_mqtt_conn_outcome() can still tell: default 1,024, MGOS_MQTT_OFF is
    /// none. Each takes eight bytes, allocated when they are needed.
    pub outcome_history: c_int,

    /// SUBSCRIBING AND RECEIVING. When the filters are subscribed again: default MGOS_MQTT_RESUBSCRIBE_ALWAYS, after
    /// every CONNACK; or MGOS_MQTT_RESUBSCRIBE_WHEN_LOST, only if the server lost the session, or if that cannot be
    /// known: with MQTT 3.1, and after a change of server.
    pub resubscribe: c_int,
    /// How many bytes of the payload of a message over the receive limit (`recv_mbuf_limit`) are delivered, at most
    /// that limit, instead of MGOS_MQTT_EV_OVERSIZE. mgos_mqtt_event_size() tells how many there were; `len` of
    /// struct mg_mqtt_message is the length of the whole packet. The message is acknowledged when all of it has
    /// come. Default 0: none are delivered.
    pub oversize_keep: usize,
    /// How many messages may wait for mgos_mqtt_conn_receive(): default 1,024. The same number of refused messages
    /// may wait to be delivered again. With MQTT 5.0 the server is told so by RECEIVE MAXIMUM, from the first connection on
    /// that begins after mgos_mqtt_conn_subscribe_queue(), unless `properties` have another: it sends no more QoS 1 and 2
    /// messages before some are acknowledged, so that they always fit.
    pub receive_queue_length: usize,
    /// How many bytes of topics and payloads they may have together: default 4 MiB. The same limit applies to
    /// refused messages. One message is always accepted, however large.
    pub receive_queue_bytes: usize,
    /// Which QoS 0 message is dropped when that queue is full: default MGOS_MQTT_RECEIVE_DROP_NEW; or
    /// MGOS_MQTT_RECEIVE_DROP_OLDEST. For QoS 1 and 2 the oldest QoS 0 messages make room in any case.
    pub receive_overflow: c_int,
    /// How often a message that a handler refused (mgos_mqtt_msg_refuse()) is delivered again: default 3, MGOS_MQTT_OFF is
    /// never.
    pub refuse_retries: c_int,
    /// How long after each refusal: default 1,000 ms, MGOS_MQTT_OFF is at once.
    pub refuse_delay_ms: c_int,

    /// EVENTS. The interval at which an idle connection gets MG_EV_POLL, if it has a handler for that:
    /// default 1,000 ms, MGOS_MQTT_OFF is never.
    pub poll_tick_ms: c_int,

    /// TLS; see docs/tls.md. The name for which the server's certificate must be valid, and which is sent to the server
    /// (SNI): default the host of `server`.
    pub tls_server_name: *const c_char,
    /// The application protocols to offer (ALPN), between commas, the favourite first; for brokers that share port
    /// 443 with others. NULL for none.
    pub tls_alpn: *const c_char,
    /// The lowest version of TLS: default MGOS_MQTT_TLS_1_2, or MGOS_MQTT_TLS_1_3. Nothing below 1.2 is ever spoken.
    pub tls_min_version: c_int,
    /// 1: trust the certificates that the system trusts, besides those given here or in the configuration. This
    /// is the default for an mqtts:// address when none are given. Turns TLS on.
    pub tls_system_roots: c_int,
    /// Trusted certificates in memory, PEM (any number) or DER (one), besides those of `ssl_ca_cert`; NULL for none.
    /// Turns TLS on.
    pub tls_ca: *const c_void,
    /// Its length.
    pub tls_ca_len: usize,
    /// The client's certificate in memory, instead of `ssl_cert`: PEM, with the intermediate certificates up to
    /// its issuer, or DER. Turns TLS on.
    pub tls_cert: *const c_void,
    /// Its length.
    pub tls_cert_len: usize,
    /// The private key in memory, instead of `ssl_key`: PKCS#8, PKCS#1 or SEC1, PEM or DER, encrypted or not (see
    /// `tls_key_password`). NULL: it is in the PEM of the certificate.
    pub tls_key: *const c_void,
    /// Its length.
    pub tls_key_len: usize,
    /// Pins, separated by commas: the server must have one of these public keys. Give several, so that a key can
    /// be replaced. A pin is the SHA-256 of the key as it stands in the certificate (subjectPublicKeyInfo):
    /// `sha256/` and Base64, or 64 hexadecimal digits. If trusted certificates are given as well, both checks must
    /// pass. Otherwise the pin alone decides: the certificate's issuer, names and dates do not matter. NULL for
    /// none. Turns TLS on.
    pub tls_pins: *const c_char,
    /// Certificate revocation lists in memory, PEM (any number) or DER (one): one of each issuer, from the
    /// server's up to the trusted one. A list that is past its next update still counts. NULL for none.
    pub tls_crl: *const c_void,
    /// Its length.
    pub tls_crl_len: usize,
    /// A file with such lists, besides `tls_crl`; read at each attempt to connect.
    pub tls_crl_file: *const c_char,
    /// How many days before a certificate expires, the client's or the server's,
    /// MGOS_MQTT_EV_TLS_EXPIRY begins to report it: default 30, MGOS_MQTT_OFF is never.
    pub tls_expiry_days: c_int,
    /// 1: accept any server, without checking its certificate. For tests only: somebody in between can read and
    /// change everything, passwords included. A warning is logged at each connect. Turns TLS on. Default 0.
    pub tls_insecure_skip_verification: c_int,
    /// The password of the private key, wherever the key comes from, if it is encrypted: PKCS#8 (PBES2) or the
    /// traditional form of OpenSSL, with AES-128, AES-256 or Triple DES. NULL for none. To ask for it when it is
    /// needed, see mgos_mqtt_conn_set_key_password().
    pub tls_key_password: *const c_void,
    /// Its length.
    pub tls_key_password_len: usize,

    /// RECONNECTING, again. How long a connection has to be up for the waits between attempts to start from the
    /// shortest again: default 30,000 ms, MGOS_MQTT_OFF is not at all. A connection that is lost sooner is followed by
    /// the next longer wait, so that a server that accepts and then closes is not contacted all the time; it is no
    /// reason to change to another server. After five such connections in a row a warning is logged.
    pub stable_after_ms: c_int,

    /// ANSWERS. How long the server may take to acknowledge a PUBLISH of QoS 1 or 2 (by PUBACK or PUBREC), and to
    /// answer a SUBSCRIBE or an UNSUBSCRIBE: default without limit. Some servers never answer what they do not permit.
    /// On each connection the time begins when the packet has arrived at the server, so a slow link on which bytes
    /// still move is not timed out. That the time is over is noticed at most an eighth of it later.
    ///
    /// Only the wait ends: the message has the outcome MGOS_MQTT_OUTCOME_TIMED_OUT (error MGOS_MQTT_ACK_TIMEOUT), a
    /// call that subscribes or unsubscribes ends with MGOS_MQTT_ACK_TIMEOUT, and where nobody waits, as for
    /// mgos_mqtt_sub(), a warning is logged. The request itself stays, and a late answer still counts.
    ///
    /// Everything else goes on. The connection stays. The message stays in the session, as MQTT demands: its packet id
    /// is in use, and it counts in the queue and in the in-flight window, until the server acknowledges it. After a
    /// reconnect it is sent again, unless the server lost the session: then it is given up, whatever `on_session_loss`
    /// says. So it may still arrive. Handlers get a late PUBACK or PUBCOMP like any other, but it changes no outcome.
    /// After PUBREC the time never runs out: the server has the message.
    pub ack_timeout_ms: c_int,
    /// After how many closed connections a message of QoS 1 or 2 is set aside: if the server closes the connection this
    /// many times in a row after receiving it, with nothing acknowledged in between, its outcome is
    /// MGOS_MQTT_OUTCOME_REJECTED with reason 0. Default 0: never, it is sent again and again. See MGOS_MQTT_EV_POISON.
    pub poison_after: c_int,
    /// How long closing in order may go on without the server acknowledging any bytes (where the system does not report
    /// that: without the system taking any): default 10,000 ms, MGOS_MQTT_OFF is without limit. In all, closing takes
    /// at most six times that, or as long as mgos_mqtt_conn_disconnect_wait() waits. This applies to every way of
    /// closing or reopening a connection that sends DISCONNECT, but not to freeing it.
    pub close_timeout_ms: c_int,
    /// EVENTS, again. How long the callbacks of one turn of the connection may take before a warning is logged, since
    /// the loop neither sends nor receives meanwhile: default 1,000 ms, MGOS_MQTT_OFF is never.
    pub slow_callback_ms: c_int,
    /// TLS, again. The post-quantum key exchange X25519MLKEM768: by default it is offered with TLS 1.3, beside the
    /// classical ones, if the library was built with it (mgos_mqtt_has("pq")). What is recorded today then stays secret
    /// from the quantum computers of tomorrow. MGOS_MQTT_OFF: not offered, which makes the handshake 1,184 bytes shorter.
    pub tls_post_quantum: c_int,
    /// CONNECT, again, with MGOS_MQTT_PROTOCOL_5 alone (else MGOS_MQTT_NEEDS_V5). The properties of CONNECT, see
    /// mgos_mqtt_property.h; NULL for none. The library obeys them as well: a RECEIVE MAXIMUM, for instance, is a limit that
    /// the server must keep. Without SESSION EXPIRY INTERVAL the session is kept for ever if `clean_session` is 0, and ends
    /// with the connection otherwise.
    pub properties: *const mgos_mqtt_property,
    /// How many.
    pub num_properties: usize,
    /// The properties of the will of the configuration (not of mgos_mqtt_conn_set_will()); NULL for none.
    pub will_properties: *const mgos_mqtt_property,
    /// How many.
    pub num_will_properties: usize,

    /// WEBSOCKET. Further headers of the request for a WebSocket, `Name: value` each, with a line break between them: a
    /// token, for instance. Those of the WebSocket itself, of Host and of the length cannot be set. NULL for none.
    pub ws_headers: *const c_char,
    /// How long the server may take to answer that request: default 10,000 ms, MGOS_MQTT_OFF is without limit.
    pub ws_timeout_ms: c_int,

    /// PROXIES. The proxy that leads to the server, whatever else is spoken to that: "http://proxy:3128" (CONNECT),
    /// "https://proxy:443" (the same over TLS) or "socks5://proxy:1080", each with `user:password@` before the name if it
    /// wants that, percent-encoded. The proxy resolves the name of the server. NULL for none. Secret, as its password is:
    /// no text shows it.
    pub proxy: *const c_char,
    /// 1: if `proxy` is NULL, the environment names one: `https_proxy` for TLS, `http_proxy` for ws://, `all_proxy` for
    /// those and for everything else, except for the servers in `no_proxy`. It is read when the options are set. Default 0:
    /// the environment is not asked.
    pub proxy_from_environment: c_int,
    /// Trusted certificates in memory for an "https://" proxy, PEM (any number) or DER (one); NULL: those of the system.
    pub proxy_ca: *const c_void,
    /// Its length.
    pub proxy_ca_len: usize,
    /// How long the proxy may take to connect, and before that for a TLS handshake: default 10,000 ms each,
    /// MGOS_MQTT_OFF is without limit.
    pub proxy_timeout_ms: c_int,

    /// PUBLISHING, again. How many topics at a time have a topic alias (MQTT 5.0): they are sent in full once, and by two
    /// bytes after that. The one that was used least recently makes room for a new one. The server may accept fewer. Default
    /// 0, none; at most 65,534.
    pub topic_aliases: c_int,

    /// THE TCP SOCKET that leads to the server, or to the proxy before it. What the system refuses ends the attempt with
    /// MGOS_MQTT_SOCKET_OPTION and its name; what is 0 or NULL stays as the system has it. Local sockets have none of these.
    ///
    /// The IP address that the socket is bound to, such as "192.0.2.1". Addresses of the server that are of the other family
    /// are not tried.
    pub source_address: *const c_char,
    /// The network interface that everything goes through, whatever the routes say: "wwan0". Linux only.
    pub source_interface: *const c_char,
    /// TCP keep-alive, which notices a broken path even while MQTT has nothing to send; any of these three fields switches it
    /// on. The time without traffic until the first probe, in ms, rounded up to whole seconds; at most 32,767 s.
    pub tcp_keepalive_idle_ms: c_int,
    /// The time from one probe to the next, likewise.
    pub tcp_keepalive_interval_ms: c_int,
    /// How many probes without an answer end the connection, 1 to 127.
    pub tcp_keepalive_count: c_int,
    /// How long bytes may stay unacknowledged before the system ends the connection, in ms (TCP_USER_TIMEOUT, RFC 5482).
    /// Linux only.
    pub tcp_user_timeout_ms: c_int,
    /// The class of service of its packets (DSCP, RFC 2474), 1 to 63: 46, for instance, is expedited forwarding.
    pub dscp: c_int,
    /// The system's send buffer, in bytes, as setsockopt(SO_SNDBUF): the system may double it, or have a limit.
    pub socket_send_buffer: c_int,
    /// The system's receive buffer, likewise (SO_RCVBUF).
    pub socket_receive_buffer: c_int,

    /// RECONNECTING, again. Many devices that are switched on together, or lose one server, spread their attempts: a random
    /// part of this many ms comes before the first attempt of a connection, unless mgos_mqtt_conn_connect() is called
    /// once more, and is added to the wait after the loss of a connection that was up for `stable_after_ms`. With
    /// MGOS_MQTT_DELAY_DECORRELATED that wait is at random up to this, and those behind it go on from there. 500 devices,
    /// for instance, that lose one server, and have 10,000 here, make no more than about 100 attempts a second. Default 0.
    pub first_delay_ms: c_int,

    /// AUTHENTICATION. How the client proves who it is, with the user name and the password that it has from its
    /// configuration, its credentials function or its connect hook: default MGOS_MQTT_AUTHENTICATION_PASSWORD, CONNECT carries
    /// both. MGOS_MQTT_AUTHENTICATION_SCRAM_SHA_256 (RFC 5802, RFC 7677), with MGOS_MQTT_PROTOCOL_5 alone (else
    /// MGOS_MQTT_NEEDS_V5): CONNECT carries neither. Client and server prove to each other that they know the password, and
    /// nobody who listens learns it; a server without that proof is not connected to (MGOS_MQTT_AUTHENTICATION_FAILED). The
    /// library exchanges AUTH by itself, on a helper thread where it takes long; MGOS_MQTT_EV_AUTH only tells that an
    /// authentication that mgos_mqtt_conn_authenticate() began anew has ended well. User name and password are printable
    /// ASCII. There is no channel binding: to know the server, use TLS as well. Needs a library that was built with it
    /// (mgos_mqtt_has("scram")), else MGOS_MQTT_NOT_BUILT.
    pub authentication: c_int,
    /// How often a server may have the password hashed for SCRAM, at most: default 1,000,000, which takes some tenths of a
    /// second, and 4096 at least. A server that wants more, or less than 4096, is refused: MGOS_MQTT_AUTHENTICATION_FAILED.
    pub scram_max_iterations: c_int,

    /// TLS, again. 1: the server's certificate may be for any name; its issuer, its dates and whether it was revoked are checked
    /// as usual. Whoever has a certificate of a trusted issuer can then read and change everything, passwords included, so
    /// it is fit for tests and for an authority of one's own that certifies nobody but servers. A warning is logged at each
    /// connect. Default 0.
    pub tls_insecure_skip_name: c_int,

    /// REDIRECTION (MQTT 5.0, section 4.11). Where a server may send the client, by a CONNACK or DISCONNECT with reason 0x9C
    /// or 0x9D and a SERVER REFERENCE: default MGOS_MQTT_REDIRECT_NEVER. MGOS_MQTT_REDIRECT_SAME_DOMAIN: to the host that is
    /// configured, with any port, or to a name below its domain (for mqtt.example.com, names that end in .example.com; for
    /// example.com, those that end in that). Under a public suffix, as in example.co.uk, configure a name below your own.
    /// MGOS_MQTT_REDIRECT_ANY: wherever it says, and the credentials go along.
    ///
    /// What is spoken stays the same: TLS is never given up, and the new server's certificate is verified for its own name
    /// (`tls_server_name` is for the configured one). The attempt follows at once, whatever `retry` says, and those who wait
    /// for one result get that of the last. Three servers in a row may send the client on. After that attempt, or when that
    /// connection has ended, the configured server is next again. The event that tells of the end, CONNECT_RESULT or CLOSE,
    /// has the reason and the reference, and mgos_mqtt_conn_last_error_text() says whether it was followed.
    pub redirect: c_int,

    /// KEEP-ALIVE, again. 1: finds out and remembers how long the path to the server stays open without traffic, and sends
    /// PINGREQ as late as that allows, never later than `keep_alive`, which CONNECT tells the server. It begins with
    /// `keep_alive`; each time that no answer came after so much silence, although the server is there again within a
    /// minute, it tries less, and after three answers in a row more, until it knows within an eighth. A line of the log tells of
    /// it; mgos_mqtt_network_changed() begins anew. Default 0.
    pub adaptive_keep_alive: c_int,
}

// SAFETY: plain numbers and pointers, and no header ever had less than everything before TLS.
unsafe impl Growing for mgos_mqtt_options {
    const NAME: &'static str = "mgos_mqtt_options";
    const FIRST: usize = offset_of!(mgos_mqtt_options, tls_server_name);
}

//! Every error of the library: its number, its name, its sentence, and the phase of a connection
//! it belongs to.
//!
//! Numbers are part of the ABI: they are never reused and never renumbered. They start below -1000
//! so that none can be mistaken for an `errno`, for -1, or for a return code of MQTT, which is kept
//! separately as the server sent it.

use alloc::string::String;
use core::ffi::CStr;
use core::fmt;

const fn c_str(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("an error text has a NUL inside"),
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $text:literal;)*) => {
        /// What went wrong. `Code::Ok` is 0, every error is negative.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* #[doc = $text] $variant = $number,)* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The name of the C constant without its prefix, e.g. `QUEUE_FULL`.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// One sentence about it, ASCII.
            pub const fn text(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// The name of the C constant, as a C string.
            pub const fn c_name(self) -> &'static CStr {
                match self { $(Code::$variant => c_str(concat!("MGOS_MQTT_", $name, "\0")),)* }
            }

            /// The sentence, as a C string.
            pub const fn c_text(self) -> &'static CStr {
                match self { $(Code::$variant => c_str(concat!($text, "\0")),)* }
            }
        }
    };
}

codes! {
    Ok = 0, "OK", "success";

    // The caller's side.
    NullArgument = -1001, "NULL_ARGUMENT", "a pointer argument is NULL";
    BadArgument = -1002, "BAD_ARGUMENT", "an argument has a value that is not allowed";
    BadUtf8 = -1003, "BAD_UTF8", "a string is not valid UTF-8, or contains U+0000";
    BadQos = -1004, "BAD_QOS", "QoS must be 0, 1 or 2";
    BadTopic = -1005, "BAD_TOPIC", "a topic name must be 1 to 65535 bytes long and without wildcards";
    BadFilter = -1006, "BAD_FILTER", "a topic filter is empty, too long, or has a misplaced wildcard";
    BadStructure = -1007, "BAD_STRUCTURE", "the size field of a structure is not one this library knows";
    BadAddress = -1008, "BAD_ADDRESS", "the server address cannot be understood";
    BadConfig = -1009, "BAD_CONFIG", "the configuration is not valid";
    BadFormat = -1010, "BAD_FORMAT", "the JSON format string has an unsupported conversion";
    TooLarge = -1011, "TOO_LARGE", "the message exceeds a size limit";
    NotConnected = -1012, "NOT_CONNECTED", "there is no connection to a server";
    Disabled = -1013, "DISABLED", "the connection is disabled by its configuration";
    QueueFull = -1014, "QUEUE_FULL", "the outgoing queue is full";
    NoMoreMsgids = -1015, "NO_MORE_MSGIDS", "all 65535 packet ids are in use";
    MaxInflight = -1016, "MAX_INFLIGHT", "the in-flight window is full";
    Busy = -1017, "BUSY", "not possible here: inside a handler, or another thread drives the loop";
    TimedOut = -1018, "TIMED_OUT", "the time given for the call is over";
    Forked = -1019, "FORKED", "the process was forked after this object was made";
    NotBuilt = -1020, "NOT_BUILT", "this feature was left out when the library was built";
    NoMemory = -1021, "NO_MEMORY", "out of memory";
    Incomplete = -1022, "INCOMPLETE", "discarded before it was complete, because its connection was freed";
    Cancelled = -1023, "CANCELLED", "cancelled by the application";
    Forgotten = -1024, "FORGOTTEN", "too long ago: the outcome is no longer kept";
    NotFound = -1025, "NOT_FOUND", "there is no such entry";
    Panic = -1026, "PANIC", "an internal error: please report it";
    NoResources = -1027, "NO_RESOURCES", "the system has no more sockets, threads or buffers";
    PacketIdInUse = -1028, "PACKET_ID_IN_USE", "this packet id is already in use";
    AlreadySent = -1029, "ALREADY_SENT", "too late: the message is on its way";
    Expired = -1030, "EXPIRED", "the message was not sent in the time given";
    NeedsV5 = -1038, "NEEDS_V5", "this exists in MQTT 5.0 only, and the connection speaks another version";
    BadProperty = -1040, "BAD_PROPERTY", "a property of MQTT 5.0 is not allowed here, or not with this value";
    Stale = -1036, "STALE", "too late: the message came on a connection that has ended";
    ReceiveFull = -1037, "RECEIVE_FULL", "the receive queue had no room for a message that must not be lost";

    ServerLimit = -1039, "SERVER_LIMIT", "the server does not allow that, as its CONNACK says";

    // Before the server answered.
    DnsFailed = -1101, "DNS_FAILED", "the server's name cannot be resolved";
    DnsTimeout = -1102, "DNS_TIMEOUT", "the name service did not answer in time";
    ConnectRefused = -1111, "CONNECT_REFUSED", "nothing listens at the server's address and port";
    ConnectUnreachable = -1112, "CONNECT_UNREACHABLE", "there is no route to the server";
    ConnectTimeout = -1113, "CONNECT_TIMEOUT", "the server did not accept the connection in time";
    ConnectFailed = -1114, "CONNECT_FAILED", "the connection could not be opened";
    SocketOption = -1116, "SOCKET_OPTION", "a socket cannot be made as its options ask for";
    TimeNotSet = -1115, "TIME_NOT_SET", "the clock is not set yet and the configuration requires it";

    // The proxy.
    ProxyRefused = -1121, "PROXY_REFUSED", "the proxy does not connect to the server";
    ProxyCredentials = -1122, "PROXY_CREDENTIALS", "the proxy wants other credentials";
    ProxyBadAnswer = -1123, "PROXY_BAD_ANSWER", "the proxy's answer is not valid";
    ProxyTimeout = -1124, "PROXY_TIMEOUT", "the proxy did not answer in time";
    ProxyTls = -1125, "PROXY_TLS", "there is no secure connection to the proxy";

    // WebSocket.
    WebSocketRefused = -1131, "WEBSOCKET_REFUSED", "the server refused the request for a WebSocket";
    WebSocketNotSpoken = -1132, "WEBSOCKET_NOT_SPOKEN", "the server does not speak WebSocket on this port";
    WebSocketBadAnswer = -1133, "WEBSOCKET_BAD_ANSWER", "the server's answer to the request for a WebSocket is not valid";
    WebSocketTimeout = -1134, "WEBSOCKET_TIMEOUT", "the server did not answer the request for a WebSocket in time";
    WebSocketProtocol = -1135, "WEBSOCKET_PROTOCOL", "the server violated the protocol of WebSocket";

    // CONNECT and CONNACK.
    ConnackTimeout = -1141, "CONNACK_TIMEOUT", "the server did not answer CONNECT in time";
    NotConnack = -1142, "NOT_CONNACK", "the first packet of the server was not a CONNACK";
    MalformedConnack = -1144, "MALFORMED_CONNACK", "the server's CONNACK is malformed";
    UnexpectedSession = -1145, "UNEXPECTED_SESSION", "the server says that it kept a session, and a clean one was asked for";
    HookTimeout = -1146, "HOOK_TIMEOUT", "the hook that was to send or answer for CONNECT did not do so in time";
    HookAborted = -1143, "HOOK_ABORTED", "the connect hook gave the attempt up";
    RefusedVersion = -1151, "REFUSED_VERSION", "the server does not support this version of MQTT";
    RefusedIdentifier = -1152, "REFUSED_IDENTIFIER", "the server does not accept the client id";
    RefusedUnavailable = -1153, "REFUSED_UNAVAILABLE", "the server is unavailable";
    RefusedCredentials = -1154, "REFUSED_CREDENTIALS", "user name or password is wrong";
    RefusedNotAuthorized = -1155, "REFUSED_NOT_AUTHORIZED", "the server does not authorise this client";
    RefusedOther = -1156, "REFUSED_OTHER", "the server refused the connection with an unknown code";
    AuthenticationFailed = -1157, "AUTHENTICATION_FAILED", "the enhanced authentication with the server failed";

    // While connected.
    KeepAliveTimeout = -1161, "KEEP_ALIVE_TIMEOUT", "the server did not answer PINGREQ in time";
    ClosedByServer = -1162, "CLOSED_BY_SERVER", "the server closed the connection";
    ConnectionReset = -1163, "CONNECTION_RESET", "the connection was reset";
    IoFailed = -1164, "IO_FAILED", "reading or writing failed";
    ClosedByClient = -1165, "CLOSED_BY_CLIENT", "the application closed the connection";
    Reconfigured = -1166, "RECONFIGURED", "the connection was closed to apply a new configuration";
    NetworkChanged = -1168, "NETWORK_CHANGED", "the connection was closed because the network has changed";
    Undelivered = -1167, "UNDELIVERED", "closed before the server acknowledged all that it was sent";
    CredentialsExpired = -1169, "CREDENTIALS_EXPIRED", "the connection was closed to use new credentials, as the old ones end";
    Protocol = -1171, "PROTOCOL", "the server violated the protocol";
    Oversize = -1172, "OVERSIZE", "a message larger than the receive limit was skipped";
    SubscribeRefused = -1173, "SUBSCRIBE_REFUSED", "the server refused the subscription";
    SessionLost = -1174, "SESSION_LOST", "the server no longer knew the session";
    PublishRefused = -1175, "PUBLISH_REFUSED", "the server refused the message";

    AckTimeout = -1176, "ACK_TIMEOUT", "the server did not acknowledge in the time given by ack_timeout_ms";

    // What later layers report.
    StoreFailed = -1181, "STORE_FAILED", "the message store failed";
    TlsFailed = -1191, "TLS_FAILED", "the TLS handshake failed";
    TlsTimeout = -1192, "TLS_TIMEOUT", "the TLS handshake was not completed in time";
    TlsClosed = -1193, "TLS_CLOSED", "the server closed the connection during the TLS handshake";
    TlsNotSpoken = -1194, "TLS_NOT_SPOKEN", "the server does not speak TLS on this port";
    TlsExpected = -1195, "TLS_EXPECTED", "the server speaks TLS on this port, and TLS is not configured";
    TlsVersion = -1196, "TLS_VERSION", "there is no TLS version that both sides support";
    TlsCipher = -1197, "TLS_CIPHER", "there is no cipher suite that both sides support";
    TlsWrongName = -1198, "TLS_WRONG_NAME", "the server's certificate is for another name";
    TlsExpired = -1199, "TLS_EXPIRED", "the server's certificate has expired";
    TlsNotYetValid = -1200, "TLS_NOT_YET_VALID", "the server's certificate is not valid yet";
    TlsUntrusted = -1201, "TLS_UNTRUSTED", "the issuer of the server's certificate is not trusted";
    TlsSelfSigned = -1202, "TLS_SELF_SIGNED", "the server's certificate is self-signed and not trusted";
    TlsBadCertificate = -1203, "TLS_BAD_CERTIFICATE", "the server's certificate cannot be accepted";
    TlsClientCertificate = -1204, "TLS_CLIENT_CERTIFICATE", "the server wants another certificate of this client";
    TlsBadFile = -1205, "TLS_BAD_FILE", "a certificate or key cannot be read";
    TlsBadKey = -1206, "TLS_BAD_KEY", "the private key is missing, or does not belong to the certificate";
    TlsBadSuite = -1207, "TLS_BAD_SUITE", "a cipher suite of the configuration is not known";
    TlsBadPsk = -1208, "TLS_BAD_PSK", "the server has another key for the identity of the pre-shared key";
    TlsPskIdentity = -1209, "TLS_PSK_IDENTITY", "the server does not know the identity of the pre-shared key";
    TlsRevoked = -1210, "TLS_REVOKED", "the server's certificate was revoked";
    TlsPin = -1211, "TLS_PIN", "the server has none of the pinned public keys";
}

impl Code {
    /// The code with this number, if there is one.
    pub fn from_number(number: i32) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| *c as i32 == number)
    }

    /// The number as C sees it.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Code {}

/// Why something cannot be done, with its sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The error.
    pub code: Code,
    /// The sentence.
    pub text: String,
}

impl From<Code> for Trouble {
    fn from(code: Code) -> Trouble {
        Trouble { code, text: code.text().into() }
    }
}

/// Where in the life of a connection an error happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Phase {
    /// Nothing happened yet.
    None = 0,
    /// A call's own arguments or state.
    Usage = 1,
    /// Name resolution.
    Dns = 2,
    /// Opening the TCP connection.
    Tcp = 3,
    /// An HTTP or SOCKS proxy.
    Proxy = 4,
    /// The TLS handshake.
    Tls = 5,
    /// The WebSocket upgrade.
    WebSocket = 6,
    /// CONNECT was sent, CONNACK is awaited.
    Connect = 7,
    /// The connection was up and the peer went silent.
    KeepAlive = 8,
    /// The connection was up, and the peer violated the protocol.
    Protocol = 9,
    /// The message store.
    Store = 10,
    /// The connection was up, and was lost.
    Up = 11,
}

impl Phase {
    /// The phase's name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::None => "none",
            Phase::Usage => "usage",
            Phase::Dns => "dns",
            Phase::Tcp => "tcp",
            Phase::Proxy => "proxy",
            Phase::Tls => "tls",
            Phase::WebSocket => "websocket",
            Phase::Connect => "connect",
            Phase::KeepAlive => "keep-alive",
            Phase::Protocol => "protocol",
            Phase::Store => "store",
            Phase::Up => "up",
        }
    }
}

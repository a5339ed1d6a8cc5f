//! Translates our errors into the numbers of the systems from which programs are ported to this
//! library.
//!
//! Their numbers collide (-1 to -5 mean different things in Electric Imp and in NodeMCU, and 4 means yet
//! another in CONNACK), so the library has numbers of its own, and each function here translates them for one
//! system. Where a system has no exact number for an error, it gets the one that its documentation suggests.

use crate::error::Code;

/// What Electric Imp's methods return: the MQTTASYNC numbers, and 0x80 of a SUBACK.
#[allow(missing_docs, reason = "they are explained where C sees them")]
pub mod electric_imp {
    pub const SUCCESS: i32 = 0;
    pub const FAILURE: i32 = -1;
    pub const PERSISTENCE_ERROR: i32 = -2;
    pub const DISCONNECTED: i32 = -3;
    pub const MAX_MESSAGES_INFLIGHT: i32 = -4;
    pub const BAD_UTF8_STRING: i32 = -5;
    pub const NULL_PARAMETER: i32 = -6;
    pub const TOPICNAME_TRUNCATED: i32 = -7;
    pub const BAD_STRUCTURE: i32 = -8;
    pub const BAD_QOS: i32 = -9;
    pub const NO_MORE_MSGIDS: i32 = -10;
    pub const OPERATION_INCOMPLETE: i32 = -11;
    pub const MAX_BUFFERED_MESSAGES: i32 = -12;
    pub const BAD_SUBSCRIBE: i32 = 0x80;
}

/// Zerynth's exceptions. They have only names there; the numbers are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Zerynth {
    /// No exception.
    None = 0,
    /// `MQTTError`.
    Error = 1,
    /// `MQTTConnectionBadVersion`.
    ConnectionBadVersion = 2,
    /// `MQTTConnectionBadIdentifier`.
    ConnectionBadIdentifier = 3,
    /// `MQTTConnectionServerUnavailable`.
    ConnectionServerUnavailable = 4,
    /// `MQTTConnectionBadCredentials`.
    ConnectionBadCredentials = 5,
    /// `MQTTConnectionNotAuthorized`.
    ConnectionNotAuthorized = 6,
    /// `MQTTPublishTimeout`.
    PublishTimeout = 7,
    /// `MQTTPublishGenericError`.
    PublishGenericError = 8,
}

impl Zerynth {
    /// All of them, by number.
    pub const ALL: [Zerynth; 9] = {
        use Zerynth::*;
        [
            None,
            Error,
            ConnectionBadVersion,
            ConnectionBadIdentifier,
            ConnectionServerUnavailable,
            ConnectionBadCredentials,
            ConnectionNotAuthorized,
            PublishTimeout,
            PublishGenericError,
        ]
    };

    /// The name of the exception; empty for none.
    pub const fn c_name(self) -> &'static core::ffi::CStr {
        match self {
            Zerynth::None => c"",
            Zerynth::Error => c"MQTTError",
            Zerynth::ConnectionBadVersion => c"MQTTConnectionBadVersion",
            Zerynth::ConnectionBadIdentifier => c"MQTTConnectionBadIdentifier",
            Zerynth::ConnectionServerUnavailable => c"MQTTConnectionServerUnavailable",
            Zerynth::ConnectionBadCredentials => c"MQTTConnectionBadCredentials",
            Zerynth::ConnectionNotAuthorized => c"MQTTConnectionNotAuthorized",
            Zerynth::PublishTimeout => c"MQTTPublishTimeout",
            Zerynth::PublishGenericError => c"MQTTPublishGenericError",
        }
    }
}

/// The number that a method of Electric Imp would return.
pub fn as_electric_imp(code: Code) -> i32 {
    use electric_imp::*;
    match code {
        Code::Ok => SUCCESS,
        Code::StoreFailed => PERSISTENCE_ERROR,
        Code::NotConnected
        | Code::Disabled
        | Code::ClosedByClient
        | Code::Reconfigured
        | Code::CredentialsExpired
        | Code::NetworkChanged => DISCONNECTED,
        Code::Undelivered => OPERATION_INCOMPLETE,
        Code::MaxInflight => MAX_MESSAGES_INFLIGHT,
        Code::BadUtf8 => BAD_UTF8_STRING,
        Code::NullArgument => NULL_PARAMETER,
        Code::BadTopic | Code::BadFilter => TOPICNAME_TRUNCATED,
        Code::BadStructure => BAD_STRUCTURE,
        Code::BadQos => BAD_QOS,
        Code::NoMoreMsgids => NO_MORE_MSGIDS,
        Code::Incomplete | Code::Cancelled | Code::Expired | Code::SessionLost => OPERATION_INCOMPLETE,
        Code::QueueFull => MAX_BUFFERED_MESSAGES,
        Code::SubscribeRefused => BAD_SUBSCRIBE,
        _ => FAILURE,
    }
}

/// The `resultCode` of Electric Imp's `onconnect`: that of CONNACK, or -1 for every error before
/// it.
pub fn as_electric_imp_connect(code: Code) -> i32 {
    connack(code).unwrap_or(electric_imp::FAILURE)
}

/// The `reason` of NodeMCU's failure callback; `None` for errors with which no attempt to connect
/// ends.
pub fn as_nodemcu(code: Code) -> Option<i32> {
    if let Some(code) = connack(code) {
        return Some(code);
    }
    match code {
        Code::ConnectTimeout | Code::TlsTimeout => Some(-1),
        Code::ConnackTimeout => Some(-2),
        Code::DnsFailed | Code::DnsTimeout => Some(-3),
        Code::NotConnack | Code::MalformedConnack | Code::UnexpectedSession => Some(-4),
        Code::RefusedOther | Code::Protocol | Code::AuthenticationFailed => Some(-4),
        // Any other error of an attempt: no connection to the server is possible.
        Code::ConnectRefused | Code::ConnectUnreachable | Code::ConnectFailed => Some(-5),
        Code::ClosedByServer | Code::ConnectionReset | Code::IoFailed => Some(-5),
        Code::BadAddress | Code::BadConfig | Code::Disabled | Code::TimeNotSet | Code::NotBuilt => Some(-5),
        Code::HookAborted
        | Code::HookTimeout
        | Code::ClosedByClient
        | Code::Reconfigured
        | Code::CredentialsExpired
        | Code::NoResources => Some(-5),
        code if is_tls(code) => Some(-5),
        _ => None,
    }
}

/// The exception that Zerynth would raise.
pub fn as_zerynth(code: Code) -> Zerynth {
    match code {
        Code::Ok => Zerynth::None,
        Code::RefusedVersion => Zerynth::ConnectionBadVersion,
        Code::RefusedIdentifier => Zerynth::ConnectionBadIdentifier,
        Code::RefusedCredentials => Zerynth::ConnectionBadCredentials,
        Code::RefusedNotAuthorized => Zerynth::ConnectionNotAuthorized,
        // "The server is not reachable or does not respond."
        Code::RefusedUnavailable | Code::DnsFailed | Code::DnsTimeout => Zerynth::ConnectionServerUnavailable,
        Code::ConnectRefused | Code::ConnectUnreachable | Code::ConnectTimeout | Code::ConnectFailed => {
            Zerynth::ConnectionServerUnavailable
        }
        Code::ConnackTimeout | Code::TlsTimeout | Code::KeepAliveTimeout => {
            Zerynth::ConnectionServerUnavailable
        }
        Code::ClosedByServer | Code::ConnectionReset | Code::IoFailed => Zerynth::ConnectionServerUnavailable,
        Code::TimedOut | Code::Expired => Zerynth::PublishTimeout,
        Code::NotConnected | Code::QueueFull | Code::MaxInflight | Code::NoMoreMsgids => {
            Zerynth::PublishGenericError
        }
        Code::TooLarge | Code::BadTopic | Code::BadFormat => Zerynth::PublishGenericError,
        Code::Cancelled | Code::SessionLost | Code::Forgotten => Zerynth::PublishGenericError,
        Code::PublishRefused | Code::AlreadySent => Zerynth::PublishGenericError,
        _ => Zerynth::Error,
    }
}

/// The CONNACK code that an error stands for.
fn connack(code: Code) -> Option<i32> {
    match code {
        Code::Ok => Some(0),
        Code::RefusedVersion => Some(1),
        Code::RefusedIdentifier => Some(2),
        Code::RefusedUnavailable => Some(3),
        Code::RefusedCredentials => Some(4),
        Code::RefusedNotAuthorized => Some(5),
        _ => None,
    }
}

fn is_tls(code: Code) -> bool {
    code.name().starts_with("TLS_")
}

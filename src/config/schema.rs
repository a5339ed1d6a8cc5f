//! The one table of the 26 fields of `struct mgos_config_mqtt`, in the order of the struct.
//!
//! The JSON text, the defaults, the C accessors and the C struct all follow it: they are derived
//! from it, or a test compares them with it. A field is known by its [`Field`], its index here.

use core::ffi::CStr;
use core::fmt;

/// The sections that hold a server profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum SectionId {
    /// The primary server.
    Mqtt = 0,
    /// The backup server.
    Mqtt1 = 1,
}

impl SectionId {
    /// Both, in order.
    pub const ALL: [SectionId; 2] = [SectionId::Mqtt, SectionId::Mqtt1];

    /// Its name in a text.
    pub const fn name(self) -> &'static str {
        match self {
            SectionId::Mqtt => "mqtt",
            SectionId::Mqtt1 => "mqtt1",
        }
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `int` in C, `true` or `false` in a text.
    Bool(bool),
    /// `int` in C.
    Int(i32),
    /// `double` in C.
    Double(f64),
    /// `const char *` in C; never `Some("")`.
    Text(Option<String>),
}

impl Value {
    /// A text; the empty one means unset.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(Some(text.into()).filter(|t| !t.is_empty()))
    }
}

/// The default of a field, which also gives its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fallback {
    /// Of a [`Value::Bool`].
    Bool(bool),
    /// Of a [`Value::Int`].
    Int(i32),
    /// Of a [`Value::Double`].
    Double(f64),
    /// Of a [`Value::Text`], as C sees it.
    Text(Option<&'static CStr>),
}

/// The description of one field.
#[derive(Debug)]
pub struct FieldInfo {
    /// Its name.
    pub key: &'static str,
    /// Its default.
    pub default: Fallback,
    /// The smallest and the largest number.
    pub range: (f64, f64),
    /// Whether it is hidden where people may read it.
    pub secret: bool,
}

impl FieldInfo {
    /// The default as a value.
    pub fn default_value(&self) -> Value {
        match self.default {
            Fallback::Bool(b) => Value::Bool(b),
            Fallback::Int(i) => Value::Int(i),
            Fallback::Double(d) => Value::Double(d),
            Fallback::Text(t) => Value::Text(t.map(|t| t.to_string_lossy().into_owned())),
        }
    }

    /// Whether it is true or false.
    pub fn is_flag(&self) -> bool {
        matches!(self.default, Fallback::Bool(_))
    }

    /// What is wrong with this number, if anything.
    pub fn check_number(&self, number: f64) -> Result<(), String> {
        let (min, max) = self.range;
        if number.is_nan() {
            return Err("NaN is not a number".to_owned());
        }
        if (min..=max).contains(&number) {
            return Ok(());
        }
        let number = if number.abs() < 1e15 { format!("{number}") } else { format!("{number:e}") };
        Err(format!("{number} is not between {min} and {max}"))
    }
}

/// How a Rust type holds the value of a field.
trait Slot {
    fn load(&self) -> Value;
    /// Whether `value` was of the type.
    fn store(&mut self, value: Value) -> bool;
    fn wipe(&mut self);
}

macro_rules! slot {
    ($type:ty, $variant:ident) => {
        impl Slot for $type {
            fn load(&self) -> Value {
                Value::$variant(self.clone())
            }

            fn store(&mut self, value: Value) -> bool {
                let Value::$variant(value) = value else { return false };
                *self = value;
                true
            }

            fn wipe(&mut self) {
                zeroize::Zeroize::zeroize(self);
            }
        }
    };
}

slot!(bool, Bool);
slot!(i32, Int);
slot!(f64, Double);
slot!(Option<String>, Text);

macro_rules! schema {
    ($($(#[$doc:meta])* $field:ident, $key:ident: $type:ty = $kind:ident($default:expr)
        $(, $min:literal ..= $max:literal)? $(, $secret:ident)?;)*) => {
        /// A field, in the order of the struct; its number is its index in [`FIELDS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Field { $($(#[$doc])* $field,)* }

        impl Field {
            /// All of them, in order.
            pub const ALL: [Field; FIELD_COUNT] = [$(Field::$field,)*];
        }

        /// The description of each field, in order.
        pub static FIELDS: [FieldInfo; FIELD_COUNT] = [$(FieldInfo {
            key: stringify!($key),
            default: Fallback::$kind($default),
            range: schema!(@range $($min, $max)?),
            secret: schema!(@secret $($secret)?),
        },)*];

        /// The content of a section: the Rust counterpart of `struct mgos_config_mqtt`.
        #[derive(Clone, PartialEq)]
        pub struct Section { $($(#[$doc])* pub $key: $type,)* }

        impl Section {
            /// The value of a field.
            pub fn get(&self, field: Field) -> Value {
                match field { $(Field::$field => self.$key.load(),)* }
            }

            /// Wipes the secrets from memory, for a section that is no longer needed.
            pub fn wipe_secrets(&mut self) {
                $(if Field::$field.info().secret {
                    self.$key.wipe();
                })*
            }

            /// Sets a field; false, and nothing is changed, if `value` is of another type.
            #[must_use]
            pub fn set(&mut self, field: Field, value: Value) -> bool {
                match field { $(Field::$field => self.$key.store(value),)* }
            }
        }

        impl Default for Section {
            fn default() -> Section {
                let mut section = Section { $($key: Default::default(),)* };
                for field in Field::ALL {
                    // The macro takes type and default from one line; a test checks the rest.
                    let _ = section.set(field, field.info().default_value());
                }
                section
            }
        }
    };
    (@range) => { (i32::MIN as f64, i32::MAX as f64) };
    (@range $min:literal, $max:literal) => { ($min as f64, $max as f64) };
    (@secret) => { false };
    (@secret secret) => { true };
}

/// How many fields there are.
pub const FIELD_COUNT: usize = 26;

schema! {
    /// Whether a connection may be made at all.
    Enable, enable: bool = Bool(false);
    /// The server's address, see [`address`](super::address). No default: that of Mongoose OS no
    /// longer exists.
    Server, server: Option<String> = Text(None);
    /// The client id; unset is the device id.
    ClientId, client_id: Option<String> = Text(None);
    /// The user name.
    User, user: Option<String> = Text(None);
    /// The password.
    Pass, pass: Option<String> = Text(None), secret;
    /// The first delay before a reconnect, in seconds. The upper limit of both delays is that of
    /// an `int` of milliseconds, about 24 days.
    ReconnectTimeoutMin, reconnect_timeout_min: f64 = Double(2.0), 0 ..= 2_147_483;
    /// The longest delay before a reconnect, in seconds.
    ReconnectTimeoutMax, reconnect_timeout_max: f64 = Double(60.0), 0 ..= 2_147_483;
    /// The file of the client's certificate; turns TLS on.
    SslCert, ssl_cert: Option<String> = Text(None);
    /// The file of the private key; unset looks for it in the file of the certificate.
    SslKey, ssl_key: Option<String> = Text(None), secret;
    /// The file with the trusted certificates; turns TLS on. `*` is refused.
    SslCaCert, ssl_ca_cert: Option<String> = Text(None);
    /// The names of the cipher suites, between colons.
    SslCipherSuites, ssl_cipher_suites: Option<String> = Text(None);
    /// The identity of the pre-shared key; turns TLS on.
    SslPskIdentity, ssl_psk_identity: Option<String> = Text(None);
    /// The pre-shared key in hexadecimal digits.
    SslPskKey, ssl_psk_key: Option<String> = Text(None), secret;
    /// Whether the server starts with a new session at each connect.
    CleanSession, clean_session: bool = Bool(true);
    /// The keep-alive interval in seconds; 0 is off.
    KeepAlive, keep_alive: i32 = Int(60), 0 ..= 65_535;
    /// The topic of the will. There is a will only if its message is set as well.
    WillTopic, will_topic: Option<String> = Text(None);
    /// The message of the will.
    WillMessage, will_message: Option<String> = Text(None);
    /// Whether the server keeps the will.
    WillRetain, will_retain: bool = Bool(false);
    /// The highest QoS that is used; negative is no limit.
    MaxQos, max_qos: i32 = Int(2), -32_768 ..= 2;
    /// The largest packet that is received, in bytes; 0 is no limit. (Mongoose OS: 3,072.)
    RecvMbufLimit, recv_mbuf_limit: i32 = Int(4_194_304), 0 ..= 2_147_483_647;
    /// Connect only when the wall clock is set.
    RequireTime, require_time: bool = Bool(false);
    /// Whether the cloud events are raised.
    CloudEvents, cloud_events: bool = Bool(true);
    /// How many QoS 1 and 2 messages may wait or be in flight; 0 or less queues nothing while
    /// offline. (Mongoose OS: 5.)
    MaxQueueLength, max_queue_length: i32 = Int(1_024);
    /// MQTT over WebSocket.
    WsEnable, ws_enable: bool = Bool(false);
    /// The path of the WebSocket.
    WsPath, ws_path: Option<String> = Text(Some(c"/mqtt"));
    /// Whether log lines carry their level instead of the number of their stream.
    DebugUseLogLevel, debug_use_log_level: bool = Bool(false);
}

impl Field {
    /// Its description.
    pub fn info(self) -> &'static FieldInfo {
        &FIELDS[self as usize]
    }

    /// Its name.
    pub fn key(self) -> &'static str {
        self.info().key
    }

    /// The field of this name.
    pub fn of_key(key: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|f| f.key() == key)
    }

    /// The field with this number.
    pub fn of_number(number: i32) -> Option<Field> {
        Field::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// Field by field, without the secrets.
impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_map();
        for field in Field::ALL {
            match self.get(field) {
                Value::Text(Some(_)) if field.info().secret => out.entry(&field.key(), &"***"),
                Value::Text(Some(text)) if field == Field::Server => {
                    out.entry(&field.key(), &super::Shown(&text).to_string())
                }
                value => out.entry(&field.key(), &value),
            };
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_types_and_defaults_are_those_of_mongoose_os_but_for_four() {
        // Table 2.1 of the specification; marked are the defaults of our own.
        const NULL: Fallback = Fallback::Text(None);
        let expected = [
            ("enable", Fallback::Bool(false)),
            ("server", NULL), // "iot.eclipse.org:1883": the host is dead
            ("client_id", NULL),
            ("user", NULL),
            ("pass", NULL),
            ("reconnect_timeout_min", Fallback::Double(2.0)),
            ("reconnect_timeout_max", Fallback::Double(60.0)),
            ("ssl_cert", NULL),
            ("ssl_key", NULL),
            ("ssl_ca_cert", NULL),
            ("ssl_cipher_suites", NULL),
            ("ssl_psk_identity", NULL),
            ("ssl_psk_key", NULL),
            ("clean_session", Fallback::Bool(true)),
            ("keep_alive", Fallback::Int(60)),
            ("will_topic", NULL),
            ("will_message", NULL),
            ("will_retain", Fallback::Bool(false)),
            ("max_qos", Fallback::Int(2)),
            ("recv_mbuf_limit", Fallback::Int(4 << 20)), // 3072
            ("require_time", Fallback::Bool(false)),
            ("cloud_events", Fallback::Bool(true)),
            ("max_queue_length", Fallback::Int(1024)), // 5
            ("ws_enable", Fallback::Bool(false)),
            ("ws_path", Fallback::Text(Some(c"/mqtt"))),
            ("debug_use_log_level", Fallback::Bool(false)),
        ];
        assert_eq!(FIELDS.each_ref().map(|f| (f.key, f.default)), expected);
    }

    #[test]
    fn default_get_set_and_names_agree() {
        let mut section = Section::default();
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, index);
            assert_eq!(section.get(field), field.info().default_value());
            assert_eq!(Field::of_key(field.key()), Some(field));
            assert_eq!(Field::of_number(index as i32), Some(field));
            let other = match section.get(field) {
                Value::Bool(b) => Value::Bool(!b),
                Value::Int(i) => Value::Int(i - 1),
                Value::Double(d) => Value::Double(d + 0.5),
                Value::Text(_) => Value::text("other"),
            };
            let wrong = if matches!(other, Value::Int(_)) { Value::Bool(true) } else { Value::Int(1) };
            assert!(!section.set(field, wrong));
            assert_eq!(section.get(field), field.info().default_value());
            assert!(section.set(field, other.clone()));
            assert_eq!(section.get(field), other);
        }
        assert_eq!((Field::of_key(""), Field::of_number(-1), Field::of_number(26)), (None, None, None));
        assert_eq!(Value::text(""), Value::Text(None));
    }

    #[test]
    fn ranges() {
        let check = |field: Field, n: f64| field.info().check_number(n);
        assert_eq!(check(Field::KeepAlive, 65_535.0), Ok(()));
        assert_eq!(check(Field::KeepAlive, 65_536.0), Err("65536 is not between 0 and 65535".into()));
        assert_eq!(check(Field::MaxQos, -1.0), Ok(()));
        assert_eq!(check(Field::MaxQos, 3.0), Err("3 is not between -32768 and 2".into()));
        assert_eq!(check(Field::ReconnectTimeoutMin, f64::NAN), Err("NaN is not a number".into()));
        assert_eq!(
            check(Field::ReconnectTimeoutMax, f64::INFINITY),
            Err("inf is not between 0 and 2147483".into())
        );
        assert_eq!(check(Field::ReconnectTimeoutMin, -0.5), Err("-0.5 is not between 0 and 2147483".into()));
    }

    #[test]
    fn debug_hides_secrets() {
        let section = Section {
            server: Some("mqtt://u:hunter2@h".into()),
            pass: Some("hunter2".into()),
            ssl_key: Some("hunter2".into()),
            ssl_psk_key: Some("hunter2".into()),
            ..Section::default()
        };
        assert!(!format!("{section:?}").contains("hunter2"));
    }
}

//! The types of `mgos_mqtt_property.h`.

use core::ffi::c_void;

/// A property of a packet of MQTT 5.0 (section 2.2.2). Which fields it uses depends on `id`; the others are 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgos_mqtt_property {
    /// MGOS_MQTT_PROPERTY_*.
    pub id: u32,
    /// The value, if it is a number.
    pub number: u32,
    /// MGOS_MQTT_PROPERTY_USER: the name, UTF-8 without U+0000. Need not end with a NUL byte.
    pub name: *const c_void,
    /// Its length in bytes.
    pub name_len: usize,
    /// The value, if it is a string (UTF-8 without U+0000) or binary data. Need not end with a NUL byte.
    pub value: *const c_void,
    /// Its length in bytes.
    pub value_len: usize,
}

/// Number, 0 or 1: the payload is UTF-8. PUBLISH, will.
pub const MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR: u32 = 1;

/// Number, seconds: how long the server keeps the message for subscribers that it has not reached. PUBLISH, will.
pub const MGOS_MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL: u32 = 2;

/// String: what the payload is, by convention a MIME type. PUBLISH, will.
pub const MGOS_MQTT_PROPERTY_CONTENT_TYPE: u32 = 3;

/// String: the topic for the answer. PUBLISH, will.
pub const MGOS_MQTT_PROPERTY_RESPONSE_TOPIC: u32 = 8;

/// Binary data by which the answer is recognised. PUBLISH, will.
pub const MGOS_MQTT_PROPERTY_CORRELATION_DATA: u32 = 9;

/// Number, 1 to 268,435,455. SUBSCRIBE; in a PUBLISH of the server it tells which subscriptions matched, any number of
/// times.
pub const MGOS_MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER: u32 = 11;

/// Number, seconds: how long the server keeps the session when the connection has ended; 0xFFFFFFFF is for ever. CONNECT,
/// CONNACK, DISCONNECT.
pub const MGOS_MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL: u32 = 17;

/// String: the client id that the server chose. CONNACK.
pub const MGOS_MQTT_PROPERTY_ASSIGNED_CLIENT_IDENTIFIER: u32 = 18;

/// Number, seconds: the keep-alive that the server demands. CONNACK.
pub const MGOS_MQTT_PROPERTY_SERVER_KEEP_ALIVE: u32 = 19;

/// String: the method of enhanced authentication. CONNECT, CONNACK, AUTH.
pub const MGOS_MQTT_PROPERTY_AUTHENTICATION_METHOD: u32 = 21;

/// Binary data of that method. CONNECT, CONNACK, AUTH.
pub const MGOS_MQTT_PROPERTY_AUTHENTICATION_DATA: u32 = 22;

/// Number, 0 or 1: with 0 the server sends no reason strings and user properties beside failures. CONNECT.
pub const MGOS_MQTT_PROPERTY_REQUEST_PROBLEM_INFORMATION: u32 = 23;

/// Number, seconds: how long after the end of the connection the will is sent. Will.
pub const MGOS_MQTT_PROPERTY_WILL_DELAY_INTERVAL: u32 = 24;

/// Number, 0 or 1: with 1 the server is asked for RESPONSE INFORMATION. CONNECT.
pub const MGOS_MQTT_PROPERTY_REQUEST_RESPONSE_INFORMATION: u32 = 25;

/// String: where response topics of this client may begin. CONNACK.
pub const MGOS_MQTT_PROPERTY_RESPONSE_INFORMATION: u32 = 26;

/// String: another server to use. CONNACK, DISCONNECT of the server.
pub const MGOS_MQTT_PROPERTY_SERVER_REFERENCE: u32 = 28;

/// String: the reason in words, for logs. CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH.
pub const MGOS_MQTT_PROPERTY_REASON_STRING: u32 = 31;

/// Number, 1 to 65,535: how many QoS 1 and 2 messages may be unacknowledged. CONNECT, CONNACK.
pub const MGOS_MQTT_PROPERTY_RECEIVE_MAXIMUM: u32 = 33;

/// Number, 0 to 65,535: the highest topic alias that is accepted. CONNECT, CONNACK.
pub const MGOS_MQTT_PROPERTY_TOPIC_ALIAS_MAXIMUM: u32 = 34;

/// Number, 1 to 65,535: stands for the topic. PUBLISH; not to be given by the application, whose messages may outlive the
/// connection that an alias belongs to: see `topic_alias` of struct mgos_mqtt_publication.
pub const MGOS_MQTT_PROPERTY_TOPIC_ALIAS: u32 = 35;

/// Number, 0 or 1: the highest QoS of the server, if it is not 2. CONNACK.
pub const MGOS_MQTT_PROPERTY_MAXIMUM_QOS: u32 = 36;

/// Number, 0 or 1: whether the server retains messages. CONNACK.
pub const MGOS_MQTT_PROPERTY_RETAIN_AVAILABLE: u32 = 37;

/// A name and a value, both strings, for the application: any number of them, in their order. All packets but PINGREQ and
/// PINGRESP.
pub const MGOS_MQTT_PROPERTY_USER: u32 = 38;

/// Number, bytes, not 0: larger packets are not accepted. CONNECT, CONNACK.
pub const MGOS_MQTT_PROPERTY_MAXIMUM_PACKET_SIZE: u32 = 39;

/// Number, 0 or 1: whether the server accepts wildcards in filters. CONNACK.
pub const MGOS_MQTT_PROPERTY_WILDCARD_SUBSCRIPTION_AVAILABLE: u32 = 40;

/// Number, 0 or 1: whether the server accepts subscription identifiers. CONNACK.
pub const MGOS_MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER_AVAILABLE: u32 = 41;

/// Number, 0 or 1: whether the server accepts shared subscriptions. CONNACK.
pub const MGOS_MQTT_PROPERTY_SHARED_SUBSCRIPTION_AVAILABLE: u32 = 42;

/// Initialisers, which Rust does not have for C.
pub fn property_functions_text() -> String {
    r#"/* A property whose value is a number. */
static inline struct mgos_mqtt_property mgos_mqtt_property_number(uint32_t id, uint32_t number) {
  struct mgos_mqtt_property property = {0, 0, NULL, 0, NULL, 0};
  property.id = id;
  property.number = number;
  return property;
}

/* A property whose value is a C string, which has to live as long as the property is used. */
static inline struct mgos_mqtt_property mgos_mqtt_property_string(uint32_t id, const char *value) {
  struct mgos_mqtt_property property = {0, 0, NULL, 0, NULL, 0};
  property.id = id;
  property.value = value;
  property.value_len = value != NULL ? strlen(value) : 0;
  return property;
}

/* A property whose value is binary data, which has to live as long as the property is used. */
static inline struct mgos_mqtt_property mgos_mqtt_property_binary(uint32_t id, const void *value, size_t len) {
  struct mgos_mqtt_property property = {0, 0, NULL, 0, NULL, 0};
  property.id = id;
  property.value = value;
  property.value_len = len;
  return property;
}

/* A user property: two C strings, which have to live as long as the property is used. */
static inline struct mgos_mqtt_property mgos_mqtt_property_user(const char *name, const char *value) {
  struct mgos_mqtt_property property = mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_USER, value);
  property.name = name;
  property.name_len = name != NULL ? strlen(name) : 0;
  return property;
}"#
    .into()
}

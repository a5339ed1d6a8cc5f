//! The types of `mgos_mqtt_compat.h`.

use core::ffi::c_int;

use crate::vocabulary::{Zerynth, electric_imp};

/// Electric Imp.
pub const MGOS_MQTT_AS_ELECTRIC_IMP: c_int = 1;

/// Mongoose OS.
pub const MGOS_MQTT_AS_MONGOOSE_OS: c_int = 2;

/// NodeMCU.
pub const MGOS_MQTT_AS_NODEMCU: c_int = 3;

/// Zerynth.
pub const MGOS_MQTT_AS_ZERYNTH: c_int = 4;

/// Electric Imp: the call succeeded.
pub const MGOS_MQTT_EI_SUCCESS: c_int = 0;

/// Electric Imp: the socket has failed, or any error that has no other number.
pub const MGOS_MQTT_EI_FAILURE: c_int = -1;

/// Electric Imp: the message store failed.
pub const MGOS_MQTT_EI_PERSISTENCE_ERROR: c_int = -2;

/// Electric Imp: the client is not connected.
pub const MGOS_MQTT_EI_DISCONNECTED: c_int = -3;

/// Electric Imp: too many messages are in flight.
pub const MGOS_MQTT_EI_MAX_MESSAGES_INFLIGHT: c_int = -4;

/// Electric Imp: a string is not UTF-8.
pub const MGOS_MQTT_EI_BAD_UTF8_STRING: c_int = -5;

/// Electric Imp: a parameter is null.
pub const MGOS_MQTT_EI_NULL_PARAMETER: c_int = -6;

/// Electric Imp: the topic cannot be used as it is.
pub const MGOS_MQTT_EI_TOPICNAME_TRUNCATED: c_int = -7;

/// Electric Imp: a structure is not one that the library knows.
pub const MGOS_MQTT_EI_BAD_STRUCTURE: c_int = -8;

/// Electric Imp: the QoS is not 0, 1 or 2.
pub const MGOS_MQTT_EI_BAD_QOS: c_int = -9;

/// Electric Imp: all 65,535 packet ids are in use.
pub const MGOS_MQTT_EI_NO_MORE_MSGIDS: c_int = -10;

/// Electric Imp: discarded before it was complete.
pub const MGOS_MQTT_EI_OPERATION_INCOMPLETE: c_int = -11;

/// Electric Imp: the queue is full.
pub const MGOS_MQTT_EI_MAX_BUFFERED_MESSAGES: c_int = -12;

/// Electric Imp: the server refused the subscription (the code of SUBACK).
pub const MGOS_MQTT_EI_BAD_SUBSCRIBE: c_int = 0x80;

/// NodeMCU: nothing listens at the address, or no connection is possible with what does.
pub const MGOS_MQTT_NM_CONN_FAIL_SERVER_NOT_FOUND: c_int = -5;

/// NodeMCU: the first packet was not a CONNACK.
pub const MGOS_MQTT_NM_CONN_FAIL_NOT_A_CONNACK_MSG: c_int = -4;

/// NodeMCU: the name cannot be resolved.
pub const MGOS_MQTT_NM_CONN_FAIL_DNS: c_int = -3;

/// NodeMCU: no CONNACK in time.
pub const MGOS_MQTT_NM_CONN_FAIL_TIMEOUT_RECEIVING: c_int = -2;

/// NodeMCU: no connection in time.
pub const MGOS_MQTT_NM_CONN_FAIL_TIMEOUT_SENDING: c_int = -1;

/// NodeMCU: accepted.
pub const MGOS_MQTT_NM_CONNACK_ACCEPTED: c_int = 0;

/// NodeMCU: CONNACK 1.
pub const MGOS_MQTT_NM_CONNACK_REFUSED_PROTOCOL_VER: c_int = 1;

/// NodeMCU: CONNACK 2.
pub const MGOS_MQTT_NM_CONNACK_REFUSED_ID_REJECTED: c_int = 2;

/// NodeMCU: CONNACK 3.
pub const MGOS_MQTT_NM_CONNACK_REFUSED_SERVER_UNAVAILABLE: c_int = 3;

/// NodeMCU: CONNACK 4.
pub const MGOS_MQTT_NM_CONNACK_REFUSED_BAD_USER_OR_PASS: c_int = 4;

/// NodeMCU: CONNACK 5.
pub const MGOS_MQTT_NM_CONNACK_REFUSED_NOT_AUTHORIZED: c_int = 5;

/// Zerynth: no exception.
pub const MGOS_MQTT_ZY_NONE: c_int = 0;

/// Zerynth: MQTTError.
pub const MGOS_MQTT_ZY_ERROR: c_int = 1;

/// Zerynth: MQTTConnectionBadVersion.
pub const MGOS_MQTT_ZY_CONNECTION_BAD_VERSION: c_int = 2;

/// Zerynth: MQTTConnectionBadIdentifier.
pub const MGOS_MQTT_ZY_CONNECTION_BAD_IDENTIFIER: c_int = 3;

/// Zerynth: MQTTConnectionServerUnavailable.
pub const MGOS_MQTT_ZY_CONNECTION_SERVER_UNAVAILABLE: c_int = 4;

/// Zerynth: MQTTConnectionBadCredentials.
pub const MGOS_MQTT_ZY_CONNECTION_BAD_CREDENTIALS: c_int = 5;

/// Zerynth: MQTTConnectionNotAuthorized.
pub const MGOS_MQTT_ZY_CONNECTION_NOT_AUTHORIZED: c_int = 6;

/// Zerynth: MQTTPublishTimeout.
pub const MGOS_MQTT_ZY_PUBLISH_TIMEOUT: c_int = 7;

/// Zerynth: MQTTPublishGenericError.
pub const MGOS_MQTT_ZY_PUBLISH_GENERIC_ERROR: c_int = 8;

/// What the functions below return if a system has no number for an error.
pub const MGOS_MQTT_NO_EQUIVALENT: c_int = -10000;

const _: () = {
    assert!(MGOS_MQTT_EI_MAX_BUFFERED_MESSAGES == electric_imp::MAX_BUFFERED_MESSAGES);
    assert!(MGOS_MQTT_EI_BAD_SUBSCRIBE == electric_imp::BAD_SUBSCRIBE);
    assert!(MGOS_MQTT_ZY_PUBLISH_GENERIC_ERROR == Zerynth::PublishGenericError as c_int);
};

/// Zerynth's `network_timeout`.
pub(in crate::capi) const ZERYNTH_TIMEOUT_MS: c_int = 6000;

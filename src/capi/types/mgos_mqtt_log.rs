//! The types of `mgos_mqtt_log.h`.

use crate::client::DEFAULT_THRESHOLD;

/// With this many unsent bytes, lines are left out, unless mgos_mqtt_conn_set_log_topics() says otherwise.
pub const MGOS_MQTT_LOG_PUSHBACK_THRESHOLD: usize = 2048;

const _: () = assert!(MGOS_MQTT_LOG_PUSHBACK_THRESHOLD == DEFAULT_THRESHOLD);

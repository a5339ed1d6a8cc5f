//! The types and constants of the headers, for each header the file of the same name.
//!
//! | file                     | what |
//! |--------------------------|------|
//! | `mgos_mqtt_log.rs`       | where a log goes |
//! | `mgos_sys_config.rs`     | sections of the system configuration |
//! | `mgos_mqtt_error.rs`     | error numbers, phases, the error of a link |
//! | `mgos_mqtt_compat.rs`    | numbers of other systems |
//! | `mgos_json.rs`           | printers |
//! | `mgos_mqtt_stats.rs`     | statistics |
//! | `mgos_mqtt_publish.rs`   | publications and outcomes |
//! | `mgos_mqtt_options.rs`   | options |
//! | `mgos_mqtt_request.rs`   | requests, and where responses go |
//! | `mgos_mqtt_subscribe.rs` | lists of filters |
//! | `mgos_mqtt_receive.rs`   | messages that were fetched |
//! | `mgos_config.rs`         | the configuration of a server |
//! | `mgos_event.rs`          | the event bus of Mongoose OS |
//! | `mgos_mqtt_connect.rs`   | credentials, the state of a connection |
//! | `mgos_mqtt_event.rs`     | events, and the functions that get them |
//! | `mgos_mqtt.rs`           | the handler of `mgos_mqtt_sub()` |
//! | `mgos_mqtt_loop.rs`      | loops, and the functions that take user data back |
//! | `mgos_mqtt_conn.rs`      | connections, QoS, the connect hook |
//! | `mgos_mqtt_property.rs`  | properties of MQTT 5.0 |
//! | `mgos_mqtt_transport.rs` | the functions of a transport |
//! | `mgos_mqtt_reason.rs`    | reason codes of MQTT 5.0 |
//! | `mgos_mongoose.rs`       | `nc`, its events and flags |
//! | `mgos_mg_str.rs`         | `struct mg_str` |

pub mod mgos_config;
pub mod mgos_event;
pub mod mgos_json;
pub mod mgos_mg_str;
pub mod mgos_mongoose;
pub mod mgos_mqtt;
pub mod mgos_mqtt_compat;
pub mod mgos_mqtt_conn;
pub mod mgos_mqtt_connect;
pub mod mgos_mqtt_error;
pub mod mgos_mqtt_event;
pub mod mgos_mqtt_log;
pub mod mgos_mqtt_loop;
pub mod mgos_mqtt_options;
pub mod mgos_mqtt_property;
pub mod mgos_mqtt_publish;
pub mod mgos_mqtt_reason;
pub mod mgos_mqtt_receive;
pub mod mgos_mqtt_request;
pub mod mgos_mqtt_stats;
pub mod mgos_mqtt_subscribe;
pub mod mgos_mqtt_transport;
pub mod mgos_sys_config;

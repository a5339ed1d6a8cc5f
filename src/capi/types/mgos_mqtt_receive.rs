//! The types of `mgos_mqtt_receive.h`.

/// A message that was fetched. Opaque.
pub struct mgos_mqtt_msg(());

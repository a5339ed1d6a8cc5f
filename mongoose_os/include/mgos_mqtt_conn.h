/* The library's mgos_mqtt_conn.h, with what the original brought along. */

#ifndef MONGOOSE_OS_MGOS_MQTT_CONN_H
#define MONGOOSE_OS_MGOS_MQTT_CONN_H

/* `include_next` is no C: the library's own header has the same name. */
#pragma GCC system_header
#include_next <mgos_mqtt_conn.h>

#include <mgos_sys_config.h>
#include <mongoose.h>

#endif

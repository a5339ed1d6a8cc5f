/* What is there is said by macros: MGOS_HAVE_MQTT and MGOS_HAVE_<LIBRARY>. */

#ifndef MGOS_FEATURES_H
#define MGOS_FEATURES_H

#include <mgos_mqtt.h>

#endif

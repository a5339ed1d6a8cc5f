#pragma once

#include <stdbool.h>

#include "common/mg_str.h"
#include "mgos_event.h"

#define MGOS_SHADOW_BASE MGOS_EVENT_BASE('S', 'H', 'D')

enum mgos_shadow_event { MGOS_SHADOW_CONNECTED = MGOS_SHADOW_BASE, MGOS_SHADOW_UPDATE_DELTA };

#ifdef __cplusplus
extern "C" {
#endif

bool mgos_shadow_updatef(const char *fmt, ...);

#ifdef __cplusplus
}
#endif

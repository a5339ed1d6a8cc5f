/* The library's mgos_config.h, with the configuration of the application. */

#ifndef MONGOOSE_OS_MGOS_CONFIG_H
#define MONGOOSE_OS_MGOS_CONFIG_H

/* `include_next` is no C: the library's own header has the same name. */
#pragma GCC system_header
#include_next <mgos_config.h>

#include <mgos_sys_config.h>

#endif

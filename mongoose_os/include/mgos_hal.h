/* The older name of what is now in several headers. */

#ifndef MGOS_HAL_H
#define MGOS_HAL_H

#include <mgos_system.h>
#include <mgos_time.h>

#endif

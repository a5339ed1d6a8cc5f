/* The library's mgos_mongoose.h, with what the original brought along, and with timers in mongoose_poll(). */

#ifndef MONGOOSE_OS_MGOS_MONGOOSE_H
#define MONGOOSE_OS_MGOS_MONGOOSE_H

/* `include_next` is no C: the library's own header has the same name. */
#pragma GCC system_header
#include_next <mgos_mongoose.h>

#include <mongoose.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One iteration of the default loop, with the timers and callbacks that are due; waits at most `ms` milliseconds, and not
   beyond the next timer. 0, or a negative error. */
int mgos_mongoose_os_poll(int ms);

#ifdef __cplusplus
}
#endif

#undef mongoose_poll
#define mongoose_poll mgos_mongoose_os_poll

#endif

/* The time of day, in seconds since 1970: cs_time() is mg_time(). */

#ifndef CS_COMMON_CS_TIME_H_
#define CS_COMMON_CS_TIME_H_

#include <mgos_mongoose.h>

#define cs_time mgos_mg_time

#endif

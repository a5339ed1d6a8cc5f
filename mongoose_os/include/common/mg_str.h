/* The strings of Mongoose: those of the library. */

#ifndef CS_COMMON_MG_STR_H_
#define CS_COMMON_MG_STR_H_

#include <mgos_mg_str.h>

#endif

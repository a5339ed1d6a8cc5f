/* The headers of the C library that files of Mongoose OS expect to be there. */

#ifndef CS_COMMON_PLATFORM_H_
#define CS_COMMON_PLATFORM_H_

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define CS_P_UNIX 1
#ifndef CS_PLATFORM
#define CS_PLATFORM CS_P_UNIX
#endif

/* Formats of Mongoose for integers of a given width. */
#ifndef INT64_FMT
#define INT64_FMT PRId64
#endif
#ifndef SIZE_T_FMT
#define SIZE_T_FMT "zu"
#endif
#ifndef INT64_X_FMT
#define INT64_X_FMT PRIx64
#endif

#endif

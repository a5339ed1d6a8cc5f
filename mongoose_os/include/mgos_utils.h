/* This and that. */

#ifndef MGOS_UTILS_H
#define MGOS_UTILS_H

#include <mgos_system.h>
#include <mgos_time.h>

#ifndef MIN
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#ifndef MAX
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

#ifndef UNUSED_ARG
#define UNUSED_ARG __attribute__((unused))
#endif
#ifndef WEAK
#define WEAK __attribute__((weak))
#endif
#ifndef NORETURN
#define NORETURN __attribute__((noreturn))
#endif
#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A random number from `from` up to, but not including, `to`. */
float mgos_rand_range(float from, float to);

#ifdef __cplusplus
}
#endif

#endif

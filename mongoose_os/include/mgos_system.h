/* The system: memory, restart, callbacks from other threads, locks. */

#ifndef MGOS_SYSTEM_H
#define MGOS_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef void (*mgos_cb_t)(void *arg);

#define MGOS_INVOKE_CB_F_FROM_ISR (1 << 0)
#define MGOS_INVOKE_CB_F_BG_TASK (1 << 1)

struct mgos_rlock_type;

#ifdef __cplusplus
extern "C" {
#endif

/* The machine's memory in bytes: all; what is available; the least that was available when one of these was called. */
size_t mgos_get_heap_size(void);
size_t mgos_get_free_heap_size(void);
size_t mgos_get_min_free_heap_size(void);

/* The file system of the working directory, in bytes. */
size_t mgos_get_fs_size(void);
size_t mgos_get_free_fs_size(void);

/*
 * Restarts the application, after MGOS_EVENT_REBOOT was raised and the connection was closed with DISCONNECT: by execv() of the same
 * program with the same arguments, or by exit() with the status of mgos_system_set_restart_exit_code(). Does not return.
 *
 * Inside a handler of a connection nothing can be sent any more: the connection just ends, and the server publishes the will, as
 * with every restart of the original. mgos_system_restart_after() restarts outside of handlers, and closes in order.
 */
void mgos_system_restart(void) __attribute__((noreturn));

/* Restarts after so many milliseconds; raises MGOS_EVENT_REBOOT_AFTER at once. */
void mgos_system_restart_after(int delay_ms);

/* Whether a restart ends the program with this status, for a supervisor that starts it again; a negative one means execv(), as in
   the beginning. */
void mgos_system_set_restart_exit_code(int status);

void mgos_msleep(uint32_t msecs);
void mgos_usleep(uint32_t usecs);

/*
 * Calls `cb(arg)` on the thread of the loop, in its next iteration. Callable from any thread and in signal handlers: it takes no lock
 * and no memory, and leaves errno alone. Calls run in the order in which they were asked for. False if 1024 or more are waiting,
 * or without file descriptors. The flags make no difference.
 */
bool mgos_invoke_cb(mgos_cb_t cb, void *arg, uint32_t flags);

/* Recursive locks. NULL without memory. */
struct mgos_rlock_type *mgos_rlock_create(void);
void mgos_rlock(struct mgos_rlock_type *l);
void mgos_runlock(struct mgos_rlock_type *l);
void mgos_rlock_destroy(struct mgos_rlock_type *l);

/* There is no watchdog, and there are no interrupts: these do nothing. */
void mgos_wdt_feed(void);
void mgos_wdt_enable(void);
void mgos_wdt_disable(void);
void mgos_wdt_set_timeout(int secs);
void mgos_ints_disable(void);
void mgos_ints_enable(void);

/* A number in base 2 to 16 as text; its length. `out` needs 34 bytes. */
int mgos_itoa(int value, char *out, int base);
int mgos_utoa(unsigned int value, char *out, int base);

#ifdef __cplusplus
}
#endif

#endif

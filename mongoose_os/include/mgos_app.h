/* The application: it has mgos_app_init(), and the library has main(). */

#ifndef MGOS_APP_H
#define MGOS_APP_H

enum mgos_app_init_result {
  MGOS_APP_INIT_SUCCESS = 0,
  MGOS_APP_INIT_ERROR = -2
};

#ifdef __cplusplus
extern "C" {
#endif

/* Written by the application: registers its handlers and timers. Anything but MGOS_APP_INIT_SUCCESS ends the program. */
enum mgos_app_init_result mgos_app_init(void);

/*
 * Runs the application: configuration, libraries, mgos_app_init(), MGOS_EVENT_INIT_DONE, the network's events, and then the loop
 * until SIGTERM or SIGINT. Then MGOS_EVENT_REBOOT is raised, what was published is written, and the connection is closed
 * with DISCONNECT; a second signal does not wait for that.
 *
 * `argv[1]` is the directory of the application's files (conf0.json to conf9.json, certificates), which becomes the working
 * directory; without it, it is the one where the program was started.
 *
 * It drives the default loop itself: the application does not give that a thread of its own (mgos_mqtt_loop_start()).
 *
 * Returns the exit status: 0, or 1 if the application or a library could not be set up. A program that has no main() gets
 * one that calls this.
 */
int mgos_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif

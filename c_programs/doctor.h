/* The parts of mgos_mqtt_doctor. */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "connection.h"
#include "settings.h"

enum verdict { FINE, NOTE, FAULT, SKIPPED };

struct doctor {
  struct settings *settings;
  struct client client;
  int faults, notes, steps;
  bool expiry_told; /* in how many days the server's certificate expires is known */
  int expiry_days;
};

/* One step, told at once. `ms` below 0: without a time. `remedy` NULL: nothing to do. */
void report_begin(const struct doctor *d);
void report_step(struct doctor *d, const char *step, enum verdict verdict, double ms, const char *remedy, const char *format, ...);
void report_end(const struct doctor *d);

/* What helps against an error of the library, in a sentence; never NULL. */
const char *remedy_of(int error);

/* Looks the server's name up and opens a TCP connection to each of its addresses. */
void check_network(struct doctor *d);

/* Connects; false if that is not possible. Then what the server allows, and what can be exchanged with it. */
bool check_connect(struct doctor *d);
void check_certificate(struct doctor *d);
void check_server_limits(struct doctor *d);
void check_messages(struct doctor *d);
/* Whether the connection is still up; a fault if not. */
bool check_up(struct doctor *d);
void check_retained(struct doctor *d);
void check_will(struct doctor *d);
void check_keep_alive(struct doctor *d);

/* Another connection with the same settings but for its client id; NULL, with the error of the library, if it is not
 * accepted in time. `change` may change the options. */
struct mgos_mqtt_conn *connect_another(struct doctor *d, void (*change)(struct mgos_mqtt_options *, struct mgos_config_mqtt *),
                                       char *why, size_t size);

/* Drives the loop until `*done`, at most so many seconds. False if the time is over. */
bool wait_for(const bool *done, double seconds);

#endif

/*
 * A connection of the library under test that remembers what it was told. All devices live on one loop, which
 * the test drives by AWAIT: nothing happens between two calls of that.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <mgos_mqtt.h>
#include <mgos_mqtt_options.h>

#include "support.h"

#define AWAIT_MS 20000

struct message {
  char *topic;
  unsigned char *payload;
  size_t len;
  int qos;
  bool retain, dup;
};

struct device {
  struct mgos_mqtt_conn *conn;
  int ups, closes, failures; /* CONNECT_RESULT good, CLOSE, CONNECT_RESULT bad */
  int last_error;
  bool session_present; /* of the last CONNACK */
  int subacks, unsubacks;
  int granted; /* of the last SUBACK */
  int pubacks, pubcomps;
  int aliased; /* messages that came with a topic alias */
  unsigned acked[65536]; /* how often a packet id was acknowledged */
  struct message *messages;
  size_t count;
};

extern struct mgos_mqtt_loop *test_loop;

/* Waits until a condition holds; otherwise the test function returns false. */
#define AWAIT(condition)                                                          \
  do {                                                                            \
    int64_t end_ = now_ms() + AWAIT_MS;                                           \
    while (!(condition)) {                                                        \
      if (now_ms() > end_) return complain(__FILE__, __LINE__, #condition, true); \
      mgos_mqtt_loop_poll(test_loop, 20);                                         \
    }                                                                             \
  } while (0)

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) return complain(__FILE__, __LINE__, #condition, false); \
  } while (0)

/* Says what did not hold; always false. */
bool complain(const char *file, int line, const char *condition, bool waited);

/* The configuration of a device for the broker under test, to be changed before device_create(). */
struct device_options {
  struct mgos_config_mqtt cfg;
  struct mgos_mqtt_options more;
  char server[128];
  char client_id[64];
  struct mgos_mqtt_property property; /* of CONNECT, in MQTT 5.0 */
};
/* Whether devices speak MQTT 5.0 unless they are told otherwise: DEVICE_VERSION. */
bool device_speaks_5(void);
/* The address of a port of the loopback interface, by the way that the environment names (with_broker.sh): DEVICE_SCHEME and
 * DEVICE_PATH of a URL, or DEVICE_SOCKET, a local socket instead of the port DEVICE_SOCKET_PORT. */
void device_address(char *to, size_t size, int port);
void device_defaults(struct device_options *options, int port, const char *user, const char *pass,
                     const char *client_id);
/* NULL if the library refuses it. Ended by devices_free(). */
struct device *device_create(struct device_options *options);
/* As an application that ends: the connection is freed, the memory of what it received stays. */
void device_end(struct device *device);
/* Ends all devices, and frees them. */
void devices_free(void);

/* Subscribes with the handler that remembers messages. */
bool device_subscribe(struct device *device, const char *filter, int qos);
bool device_unsubscribe(struct device *device, const char *filter);
uint16_t device_publish(struct device *device, const char *topic, const void *payload, size_t len, int qos,
                        bool retain);
uint16_t device_publish_text(struct device *device, const char *topic, const char *text, int qos,
                             bool retain);
/* Forgets the messages so far. */
void device_clear(struct device *device);
/* How many messages have this topic and text. */
size_t device_count(const struct device *device, const char *topic, const char *text);

#endif

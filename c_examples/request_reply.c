/* Asks a question over MQTT and gets the answer, or learns that none came in time. MQTT 3.1.1 has no
 * replies of its own, so the request carries what is needed: the topic for the answer, and a number by which
 * it is recognised. Both sides are in this program.
 *
 *   cc request_reply.c $(pkg-config --cflags --libs mgos_mqtt) -o request_reply
 *   ./request_reply 127.0.0.1:1883
 *
 * Expected output:
 *   asked for temperature: 21.5
 *   asked for humidity: 48
 *   asked for pressure: no answer in time
 */
#include <mgos_mqtt.h>
#include <stdio.h>
#include <string.h>

#define REQUESTS "examples/device/request"

/* -- the side that answers ------------------------------------------------------------------- */

/* A request is "<topic for the answer> <number> <question>". A NUL follows each message that a handler
 * gets, so it can be read as a C string. */
static void on_request(struct mg_connection *nc, const char *topic, int topic_len, const char *msg,
                       int msg_len, void *ud) {
  char reply_to[64], question[32], reply[64];
  const char *value = NULL;
  int number, len;
  (void) nc, (void) topic, (void) topic_len, (void) msg_len, (void) ud;
  if (sscanf(msg, "%63s %d %31s", reply_to, &number, question) != 3) return; /* not for us */
  if (strcmp(question, "temperature") == 0) value = "21.5";
  if (strcmp(question, "humidity") == 0) value = "48";
  if (value == NULL) return; /* a device that cannot answer stays silent */
  len = snprintf(reply, sizeof(reply), "%d %s", number, value);
  mgos_mqtt_pub(reply_to, reply, (size_t) len, 1, false);
}

/* -- the side that asks ---------------------------------------------------------------------- */

static char reply_topic[64];
static int awaited; /* the number of the request whose answer is awaited, 0 for none */
static char answer[32];

static void on_reply(struct mg_connection *nc, const char *topic, int topic_len, const char *msg, int msg_len,
                     void *ud) {
  char text[32];
  int number;
  (void) nc, (void) topic, (void) topic_len, (void) msg_len, (void) ud;
  if (sscanf(msg, "%d %31s", &number, text) != 2 || number != awaited)
    return; /* an answer that came too late */
  strcpy(answer, text);
  awaited = 0;
}

/* Drives the loop until the answer is there. Not to be called inside a handler. */
static bool ask(const char *question, double timeout) {
  static int last_number;
  double deadline = mg_time() + timeout;
  char request[128];
  int len = snprintf(request, sizeof(request), "%s %d %s", reply_topic, ++last_number, question);
  awaited = last_number;
  if (mgos_mqtt_pub(REQUESTS, request, (size_t) len, 1, false) == 0) return false;
  while (awaited != 0 && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 50);
  return awaited == 0;
}

int main(int argc, char **argv) {
  static const char *const questions[] = {"temperature", "humidity", "pressure"};
  double deadline;
  int i;

  mgos_sys_config_set_mqtt_server(argc > 1 ? argv[1] : "127.0.0.1:1883");
  mgos_sys_config_set_mqtt_enable(1);
  /* Who asks takes a topic that nobody else uses. */
  snprintf(reply_topic, sizeof(reply_topic), "examples/reply/%.0f", mg_time() * 1e6);
  mgos_mqtt_sub(reply_topic, on_reply, NULL);
  mgos_mqtt_sub(REQUESTS, on_request, NULL);

  deadline = mg_time() + 10;
  while (!mgos_mqtt_global_is_connected() && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  if (!mgos_mqtt_global_is_connected()) {
    char why[200] = "no answer";
    mgos_mqtt_conn_last_error_text(mgos_mqtt_global(), why, sizeof(why));
    fprintf(stderr, "not connected: %s\n", why);
    return 1;
  }
  for (i = 0; i < 3; i++) {
    bool answered = ask(questions[i], i < 2 ? 5 : 0.5);
    printf("asked for %s: %s\n", questions[i], answered ? answer : "no answer in time");
  }
  mgos_mqtt_global_disconnect();
  deadline = mg_time() + 5;
  while (mgos_mqtt_global_is_connected() && mg_time() < deadline) mgos_mqtt_loop_poll(NULL, 100);
  return 0;
}

/* MQTT 5.0 as C sees it: properties and reason codes in both directions, against exact bytes and against mosquitto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_property.h>
#include <mgos_mqtt_publish.h>
#include <mgos_mqtt_reason.h>
#include <mgos_mqtt_receive.h>
#include <mgos_mqtt_subscribe.h>
#include "broker.h"
#include "peer.h"

/* Sets the version, and makes the connection anew. */
static void speak_5(struct client *client) {
  client->options.protocol_version = MGOS_MQTT_PROTOCOL_5;
  client_renew(client);
}

/* Up with MQTT 5.0; `connack` are the properties of CONNACK with their length. */
static void up_5(struct client *client, const char *connack) {
  speak_5(client);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 @ 00 00 %s", connack);
  assert_true(mgos_mqtt_conn_connect(client->c));
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

/* "3=text/plain 38=a:1 2=60", of a property at a time. */
static void show(char *text, size_t size, const struct mgos_mqtt_property *property) {
  size_t used = strlen(text);
  if (property->value == NULL) {
    snprintf(text + used, size - used, "%u=%u ", (unsigned) property->id, (unsigned) property->number);
  } else if (property->name == NULL) {
    snprintf(text + used, size - used, "%u=%.*s ", (unsigned) property->id, (int) property->value_len,
             (const char *) property->value);
  } else {
    snprintf(text + used, size - used, "%u=%.*s:%.*s ", (unsigned) property->id, (int) property->name_len,
             (const char *) property->name, (int) property->value_len, (const char *) property->value);
  }
}

static const char *properties_of(const struct mgos_mqtt_event *ev) {
  static char text[512];
  struct mgos_mqtt_property property;
  size_t cursor = 0;
  text[0] = '\0';
  while (mgos_mqtt_event_property(ev, &cursor, &property)) show(text, sizeof(text), &property);
  assert_int_equal(property.id, 0);
  assert_false(mgos_mqtt_event_property(ev, &cursor, &property));
  return text;
}

/* That of the last AUTH. */
static uint64_t attempt_of_auth;

/* Every event, with its code, error and properties. */
static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  struct client *client = ud;
  uint32_t kind = mgos_mqtt_event_kind(ev);
  const char *name = kind == MGOS_MQTT_EV_CONNECT_RESULT ? "RESULT"
                     : kind == MGOS_MQTT_EV_CLOSE        ? "CLOSE"
                     : kind == MGOS_MQTT_EV_MESSAGE      ? "MESSAGE"
                     : kind == MGOS_MQTT_EV_SUBACK       ? "SUBACK"
                     : kind == MGOS_MQTT_EV_UNSUBACK     ? "UNSUBACK"
                     : kind == MGOS_MQTT_EV_PUBACK       ? "PUBACK"
                     : kind == MGOS_MQTT_EV_PUBCOMP      ? "PUBCOMP"
                     : kind == MGOS_MQTT_EV_OUTCOME      ? "OUTCOME"
                     : kind == MGOS_MQTT_EV_AUTH         ? "AUTH"
                                                         : "?";
  (void) c;
  if (kind == MGOS_MQTT_EV_AUTH) attempt_of_auth = mgos_mqtt_event_attempt_number(ev);
  trace(client, "%s[%d,%s]%s", name, mgos_mqtt_event_code(ev),
        mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"), properties_of(ev));
}

static void watch(struct client *client, uint32_t kinds) {
  assert_int_equal(mgos_mqtt_conn_on(client->c, kinds, on_event, client, NULL), 0);
}

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct mgos_mqtt_publication publication(int qos, const struct mgos_mqtt_property *properties, size_t n) {
  struct mgos_mqtt_publication message = mgos_mqtt_publication_init();
  message.topic = "t";
  message.payload = "x";
  message.payload_len = 1;
  message.qos = qos;
  message.properties = properties;
  message.num_properties = n;
  return message;
}

static void properties_of_a_publish_go_out_in_their_order(void **state) {
  struct client *client = *state;
  const struct mgos_mqtt_property properties[] = {
      mgos_mqtt_property_user("b", "1"),
      mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, 0x10203),
      mgos_mqtt_property_user("a", ""),
      mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_CONTENT_TYPE, "text/plain"),
      mgos_mqtt_property_binary(MGOS_MQTT_PROPERTY_CORRELATION_DATA, "\0\1", 2),
      mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, "r"),
      mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR, 1),
      mgos_mqtt_property_user("b", "1"),
  };
  struct mgos_mqtt_publication message = publication(0, properties, N(properties));
  up_5(client, "00");
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), 0);
  peer_expect(client->peer,
              "30 @ ='t' 31  26 ='b' ='1'  02 00010203  26 ='a' =''  03 ='text/plain'  09 0002 0001  08 ='r'"
              "  01 01  26 ='b' ='1'  'x'");
  message.qos = 1;
  message.num_properties = 1;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), 0);
  peer_expect(client->peer, "32 @ ='t' 0001 07 26 ='b' ='1' 'x'");
  message.num_properties = 0;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), 0);
  peer_expect(client->peer, "32 @ ='t' 0002 00 'x'");
  peer_done(client->peer, client->loop);
}

/* They wait with their message, and go out again with it. */
static void properties_wait_for_a_connection(void **state) {
  struct client *client = *state;
  const struct mgos_mqtt_property user = mgos_mqtt_property_user("b", "1");
  struct mgos_mqtt_publication message = publication(1, &user, 1);
  speak_5(client);
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), 0);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 03 00 00 00");
  peer_expect(client->peer, "32 @ ='t' 0001 07 26 ='b' ='1' 'x'");
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 03 00 00 00");
  /* In a new session it is a new message. */
  peer_expect(client->peer, "32 @ ='t' 0001 07 26 ='b' ='1' 'x'");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
}

static void what_a_handler_reads(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_error_info info = mgos_mqtt_error_info_init();
  char text[300];
  const struct mgos_mqtt_property none = mgos_mqtt_property_number(0, 0);
  struct mgos_mqtt_publication message = publication(1, &none, 0);
  speak_5(client);
  watch(client, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE | MGOS_MQTT_EV_MESSAGE | MGOS_MQTT_EV_PUBACK |
                    MGOS_MQTT_EV_OUTCOME);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 @ 00 00 0e 13 000a 12 ='me' 26 ='k' 0000");
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "RESULT[0,OK]19=10 18=me 38=k:  ");
  peer_send(client->peer, "30 @ ='m' 15 0b 07 26 ='z' ='1' 0b 8001 26 ='a' ='2' 01 01 'payload'");
  expect_trace(client, "MESSAGE[-1,OK]11=7 38=z:1 11=128 38=a:2 1=1  ");
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), 0);
  peer_expect(client->peer, "32 @ ='t' 0001 00 'x'");
  peer_send(client->peer, "40 @ 0001 97 06 1f ='hey'");
  expect_trace(client, "PUBACK[151,OK]31=hey  OUTCOME[151,PUBLISH_REFUSED] ");
  peer_send(client->peer, "e0 @ 8b 0d 1f ='bye' 26 ='a' ='1'");
  peer_close(client->peer);
  mgos_mqtt_conn_on_connect(client->c, NULL, NULL, NULL);
  UNTIL(client->loop, strstr(client->trace, "CLOSE[") != NULL);
  assert_non_null(strstr(client->trace, "CLOSE[139,CLOSED_BY_SERVER]31=bye 38=a:1  "));
  assert_int_equal(mgos_mqtt_conn_last_error(client->c, &info), 0);
  assert_int_equal(info.reason, MGOS_MQTT_REASON_SERVER_SHUTTING_DOWN);
  mgos_mqtt_conn_last_error_text(client->c, text, sizeof(text));
  assert_non_null(strstr(text, "Server shutting down"));
  assert_non_null(strstr(text, "bye"));
}

/* One that is refused before anything is sent: the sentence names property, place, packet and value. */
/* mqtt5: MQTT-1.5.4-1 MQTT-1.5.4-2 MQTT-3.3.2-13 MQTT-3.3.2-14 MQTT-3.3.2-19 MQTT-3.3.4-6 */
static void a_bad_property_is_named(void **state) {
  struct client *client = *state;
  static char long_text[65537];
  const struct {
    struct mgos_mqtt_property property;
    const char *text;
  } table[] = {
      {mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_RECEIVE_MAXIMUM, 7),
       "properties[1]: PUBLISH cannot carry Receive Maximum (33)"},
      {mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, 7),
       "properties[1]: PUBLISH can carry Message Expiry Interval (2) only once"},
      {mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR, 2),
       "properties[1]: Payload Format Indicator (1) in PUBLISH is 2; allowed are 0 and 1"},
      {mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR, 257),
       "properties[1]: Payload Format Indicator (1) in PUBLISH is 257; allowed are 0 and 1"},
      {mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_TOPIC_ALIAS, 1),
       "properties[1]: Topic Alias (35) in PUBLISH: an alias belongs to one connection, and the message may wait for "
       "another one"},
      {mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER, 1),
       "properties[1]: Subscription Identifier (11) in PUBLISH: only the server tells which subscription a message is "
       "for ([MQTT-3.3.4-6])"},
      {mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, "a/#"),
       "properties[1]: Response Topic (8) in PUBLISH: a topic name contains a wildcard ([MQTT-3.3.2-2])"},
      {mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, "\xff"),
       "properties[1]: Response Topic (8) in PUBLISH: it is not UTF-8"},
      {mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_CONTENT_TYPE, "\xff"),
       "properties[1]: Content Type (3) in PUBLISH: it is not UTF-8"},
      {mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR, "1"),
       "properties[1]: Payload Format Indicator (1) in PUBLISH: it is a number: set number, not value"},
      {mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_CONTENT_TYPE, 1),
       "properties[1]: Content Type (3) in PUBLISH: it is not a number: set value and value_len, not number"},
      {mgos_mqtt_property_binary(MGOS_MQTT_PROPERTY_CORRELATION_DATA, NULL, 1),
       "properties[1]: Correlation Data (9) in PUBLISH: a pointer is NULL, and its length is not 0"},
      {mgos_mqtt_property_binary(MGOS_MQTT_PROPERTY_CORRELATION_DATA, long_text, 65536),
       "properties[1]: Correlation Data (9) in PUBLISH is longer than 65535 bytes"},
      {mgos_mqtt_property_binary(MGOS_MQTT_PROPERTY_CONTENT_TYPE, "a\0b", 3),
       "properties[1]: Content Type (3) in PUBLISH: a string contains U+0000 ([MQTT-1.5.3-2])"},
      {mgos_mqtt_property_number(99, 1),
       "properties[1]: unknown (99) in PUBLISH: there is no property with this identifier (MQTT 5.0 §2.2.2.2)"},
  };
  struct mgos_mqtt_property properties[2];
  struct mgos_mqtt_publication message = publication(0, properties, 2);
  char text[300];
  size_t i;
  properties[0] = mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_MESSAGE_EXPIRY_INTERVAL, 1);
  up_5(client, "00");
  for (i = 0; i < N(table); i++) {
    uint64_t token = 1;
    properties[1] = table[i].property;
    assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, &token), MGOS_MQTT_BAD_PROPERTY);
    assert_int_equal(token, 0);
    mgos_mqtt_last_error_text(text, sizeof(text));
    assert_string_equal(text, table[i].text);
  }
  message.properties = NULL;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), MGOS_MQTT_NULL_ARGUMENT);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_string_equal(text, "properties is NULL, and num_properties is 2");
  /* Nothing of all that was sent. */
  message.num_properties = 0;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), 0);
  peer_expect(client->peer, "30 @ ='t' 00 'x'");
  peer_done(client->peer, client->loop);
}

static void a_message_has_the_alias_that_it_is_to_have(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_publication message = publication(0, NULL, 0);
  up_5(client, "03  22 0002");
  message.topic_alias = 2;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), 0);
  peer_expect(client->peer, "30 @ ='t' 03 23 0002 'x'");
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), 0);
  peer_expect(client->peer, "30 @ ='' 03 23 0002 'x'");
  /* More than the server accepts. */
  message.topic_alias = 3;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), 0);
  peer_expect(client->peer, "30 @ ='t' 00 'x'");
  peer_done(client->peer, client->loop);
}

static void an_older_version_has_no_properties(void **state) {
  struct client *client = *state;
  const struct mgos_mqtt_property user = mgos_mqtt_property_user("b", "1");
  struct mgos_mqtt_publication message = publication(1, &user, 1);
  struct mgos_mqtt_options options = client->options;
  char text[300];
  /* Whether it is up or not. */
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), MGOS_MQTT_NEEDS_V5);
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), MGOS_MQTT_NEEDS_V5);
  message.num_properties = 0;
  message.topic_alias = 1;
  assert_int_equal(mgos_mqtt_conn_publish(client->c, &message, NULL), MGOS_MQTT_NEEDS_V5);
  options.properties = &user;
  options.num_properties = 1;
  assert_null(mgos_mqtt_conn_create_on(client->loop, 1, &options));
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_NEEDS_V5);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_string_equal(text, "properties is set, and protocol_version is not 5 (MQTT 5.0)");
  options.protocol_version = MGOS_MQTT_PROTOCOL_5;
  options.will_properties = &user;
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &options), 0);
  options.will_properties = NULL;
  options.num_will_properties = 1;
  assert_int_equal(mgos_mqtt_conn_set_options(client->c, &options), MGOS_MQTT_NULL_ARGUMENT);
  settle(client);
}

static void properties_of_connect_and_will(void **state) {
  struct client *client = *state;
  const struct mgos_mqtt_property connect[] = {
      mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, 600),
      mgos_mqtt_property_user("k", "v"),
  };
  const struct mgos_mqtt_property will[] = {
      mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_WILL_DELAY_INTERVAL, 5),
      mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_CONTENT_TYPE, "c"),
  };
  client->cfg.client_id = "me";
  client->cfg.keep_alive = 60;
  client->cfg.will_topic = "w";
  client->cfg.will_message = "gone";
  client->options.properties = connect;
  client->options.num_properties = N(connect);
  client->options.will_properties = will;
  client->options.num_will_properties = N(will);
  speak_5(client);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 05 06 003c 0c 11 00000258 26 ='k' ='v' ='me' 09 18 00000005 03 ='c' ='w' ='gone'");
  peer_send(client->peer, "20 03 00 00 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  peer_done(client->peer, client->loop);
}

static void a_disconnect_that_says_more(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_disconnect how = mgos_mqtt_disconnect_init();
  const struct mgos_mqtt_property expiry = mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_SESSION_EXPIRY_INTERVAL, 9);
  const struct mgos_mqtt_property user = mgos_mqtt_property_user("k", "v");
  char text[300];
  assert_int_equal(mgos_mqtt_conn_disconnect_with(client->c, &how), MGOS_MQTT_NOT_CONNECTED);
  up_5(client, "00");
  how.reason = MGOS_MQTT_REASON_NOT_AUTHORIZED;
  assert_int_equal(mgos_mqtt_conn_disconnect_with(client->c, NULL), MGOS_MQTT_NULL_ARGUMENT);
  how.reason = MGOS_MQTT_REASON_GRANTED_QOS_1;
  assert_int_equal(mgos_mqtt_conn_disconnect_with(client->c, &how), MGOS_MQTT_BAD_ARGUMENT);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_memory_equal(text, "reason is 1; allowed are ", 25);
  /* The session ends with the connection: it cannot be kept any more. */
  how.reason = MGOS_MQTT_REASON_DISCONNECT_WITH_WILL;
  how.properties = &expiry;
  how.num_properties = 1;
  assert_int_equal(mgos_mqtt_conn_disconnect_with(client->c, &how), MGOS_MQTT_BAD_ARGUMENT);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_non_null(strstr(text, "Session Expiry Interval (17) cannot be given"));
  assert_true(mgos_mqtt_conn_is_connected(client->c));
  how.properties = &user;
  assert_int_equal(mgos_mqtt_conn_disconnect_with(client->c, &how), 0);
  peer_expect(client->peer, "e0 @ 04 07 26 ='k' ='v'");
  peer_expect_end(client->peer);
  peer_done(client->peer, client->loop);
}

static void before_mqtt_5_a_disconnect_says_nothing(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_disconnect how = mgos_mqtt_disconnect_init();
  struct mgos_mqtt_subscription wanted = mgos_mqtt_subscription_init();
  struct mgos_mqtt_server_info info = mgos_mqtt_server_info_init();
  client_up(client);
  assert_int_equal(mgos_mqtt_conn_disconnect_with(client->c, &how), MGOS_MQTT_NEEDS_V5);
  wanted.filter = "a";
  wanted.identifier = 1;
  assert_int_equal(mgos_mqtt_conn_subscribe_with(client->c, &wanted, NULL, NULL, NULL), MGOS_MQTT_NEEDS_V5);
  wanted.identifier = 0;
  wanted.qos = MGOS_MQTT_SUBSCRIBE_NO_LOCAL;
  assert_int_equal(mgos_mqtt_conn_subscribe_with(client->c, &wanted, NULL, NULL, NULL), MGOS_MQTT_BAD_QOS);
  assert_int_equal(mgos_mqtt_conn_server_info(client->c, &info), 0);
  assert_int_equal(info.protocol_version, MGOS_MQTT_PROTOCOL_3_1_1);
  assert_int_equal(info.maximum_qos, 2);
  assert_false(info.subscription_identifiers_available);
  wanted.qos = 1;
  assert_int_equal(mgos_mqtt_conn_subscribe_with(client->c, &wanted, NULL, NULL, NULL), 0);
  peer_expect(client->peer, "82 @ 0001 ='a' 01");
  peer_done(client->peer, client->loop);
}

static void a_subscription_with_everything(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_subscription wanted = mgos_mqtt_subscription_init();
  const struct mgos_mqtt_property user = mgos_mqtt_property_user("k", "v");
  const struct mgos_mqtt_property id = mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_SUBSCRIPTION_IDENTIFIER, 1);
  char text[300];
  up_5(client, "00");
  wanted.filter = "a/#";
  wanted.qos = 1 | MGOS_MQTT_SUBSCRIBE_NO_LOCAL | MGOS_MQTT_SUBSCRIBE_NO_RETAINED;
  wanted.identifier = 300;
  wanted.properties = &user;
  wanted.num_properties = 1;
  assert_int_equal(mgos_mqtt_conn_subscribe_with(client->c, &wanted, on_event, client, NULL), 0);
  peer_expect(client->peer, "82 @ 0001 0a 26 ='k' ='v' 0b ac02 ='a/#' 25");
  peer_send(client->peer, "90 @ 0001 00 01; 30 @ ='a/b' 03 0b ac02 'x'");
  expect_trace(client, "SUBACK[1,OK] MESSAGE[-1,OK]11=300  ");
  /* The bits alone go with every call that takes a QoS. */
  assert_int_equal(mgos_mqtt_conn_subscribe(client->c, "b", 2 | MGOS_MQTT_SUBSCRIBE_RETAIN_AS_PUBLISHED |
                                                                MGOS_MQTT_SUBSCRIBE_RETAINED_IF_NEW,
                                            on_event, client, NULL),
                   0);
  peer_expect(client->peer, "82 @ 0002 00 ='b' 1a");
  peer_send(client->peer, "90 @ 0002 00 87");
  expect_trace(client, "SUBACK[135,OK] ");
  wanted.qos = 3;
  assert_int_equal(mgos_mqtt_conn_subscribe_with(client->c, &wanted, NULL, NULL, NULL), MGOS_MQTT_BAD_QOS);
  wanted.qos = 48;
  assert_int_equal(mgos_mqtt_conn_subscribe_with(client->c, &wanted, NULL, NULL, NULL), MGOS_MQTT_BAD_QOS);
  wanted.qos = 0;
  wanted.identifier = 268435456;
  assert_int_equal(mgos_mqtt_conn_subscribe_with(client->c, &wanted, NULL, NULL, NULL), MGOS_MQTT_BAD_ARGUMENT);
  wanted.identifier = 1;
  wanted.properties = &id;
  assert_int_equal(mgos_mqtt_conn_subscribe_with(client->c, &wanted, NULL, NULL, NULL), MGOS_MQTT_BAD_PROPERTY);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_string_equal(text, "identifier is set, and properties has another Subscription Identifier (11)");
  peer_done(client->peer, client->loop);
}

static void what_the_server_allows(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_server_info info = mgos_mqtt_server_info_init();
  assert_int_equal(mgos_mqtt_conn_server_info(client->c, &info), MGOS_MQTT_NOT_CONNECTED);
  up_5(client, "00");
  assert_int_equal(mgos_mqtt_conn_server_info(client->c, &info), 0);
  assert_int_equal(info.protocol_version, MGOS_MQTT_PROTOCOL_5);
  assert_int_equal(info.keep_alive, -1);
  assert_int_equal(info.session_expiry, -1);
  assert_int_equal(info.receive_maximum, 65535);
  assert_int_equal(info.maximum_qos, 2);
  assert_true(info.retain_available && info.wildcards_available && info.subscription_identifiers_available);
  assert_true(info.shared_subscriptions_available);
  assert_string_equal(info.client_id, "");
  peer_close(client->peer);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer,
            "20 @ 00 00 27 11 ffffffff 13 0007 21 0003 22 0004 27 00001000 24 01 25 00 28 00 29 00 2a 00 12 ='me'"
            " 1a ='r/'");
  peer_done(client->peer, client->loop);
  UNTIL(client->loop, mgos_mqtt_conn_server_info(client->c, &info) == 0 && info.keep_alive == 7);
  assert_int_equal(info.session_expiry, 0xffffffffll);
  assert_int_equal(info.receive_maximum, 3);
  assert_int_equal(info.topic_alias_maximum, 4);
  assert_int_equal(info.maximum_packet_size, 4096);
  assert_int_equal(info.maximum_qos, 1);
  assert_false(info.retain_available || info.wildcards_available || info.subscription_identifiers_available);
  assert_false(info.shared_subscriptions_available);
  assert_string_equal(info.client_id, "me");
  assert_string_equal(info.response_information, "r/");
}

/* The server asks twice, the client answers in its handler and later; then once more on the connection that is up. */
static void step_by_step(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_auth auth = mgos_mqtt_auth_init();
  struct mgos_mqtt_state now = mgos_mqtt_state_init();
  struct mgos_mqtt_property steps[] = {
      mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_AUTHENTICATION_METHOD, "m"),
      mgos_mqtt_property_binary(MGOS_MQTT_PROPERTY_AUTHENTICATION_DATA, "1", 1),
  };
  client->options.properties = steps;
  client->options.num_properties = 2;
  speak_5(client);
  auth.properties = steps;
  auth.num_properties = 2;
  auth.reason = MGOS_MQTT_REASON_CONTINUE_AUTHENTICATION;
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &auth), MGOS_MQTT_BAD_ARGUMENT);
  watch(client, MGOS_MQTT_EV_AUTH);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "f0 @ 18 08 15 ='m' 16 ='2'");
  assert_true(mgos_mqtt_conn_connect(client->c));
  expect_trace(client, "AUTH[24,OK]21=m 22=2  ");
  assert_int_equal(mgos_mqtt_conn_state(client->c, &now), 0);
  assert_true(attempt_of_auth == now.attempt);
  auth.attempt = now.attempt + 1;
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &auth), MGOS_MQTT_STALE);
  auth.attempt = now.attempt;
  auth.reason = MGOS_MQTT_REASON_SUCCESS;
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &auth), MGOS_MQTT_BAD_ARGUMENT);
  auth.reason = MGOS_MQTT_REASON_CONTINUE_AUTHENTICATION;
  steps[1].value = "3";
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &auth), 0);
  peer_expect(client->peer, "f0 @ 18 08 15 ='m' 16 ='3'");
  peer_send(client->peer, "20 @ 00 00 08 15 ='m' 16 ='4'");
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &auth), MGOS_MQTT_BUSY);
  auth.reason = MGOS_MQTT_REASON_REAUTHENTICATE;
  auth.attempt = 0;
  assert_int_equal(mgos_mqtt_conn_authenticate(client->c, &auth), 0);
  peer_expect(client->peer, "f0 @ 19 08 15 ='m' 16 ='3'");
  peer_send(client->peer, "f0 @ 00 08 15 ='m' 16 ='5'");
  expect_trace(client, "AUTH[0,OK]21=m 22=5  ");
}

static void ask_for_a_token(struct mgos_mqtt_conn *c, uint64_t attempt, void *ud) {
  struct mgos_mqtt_credentials credentials = mgos_mqtt_credentials_init();
  (void) ud;
  credentials.auth_data = "token";
  credentials.auth_data_len = 5;
  assert_int_equal(mgos_mqtt_conn_answer(c, attempt, &credentials), 0);
}

static void the_credentials_function_has_authentication_data(void **state) {
  struct client *client = *state;
  const struct mgos_mqtt_property method = mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_AUTHENTICATION_METHOD, "m");
  client->options.properties = &method;
  client->options.num_properties = 1;
  speak_5(client);
  assert_int_equal(mgos_mqtt_conn_set_credentials_fn(client->c, ask_for_a_token, NULL, NULL), 0);
  peer_accept(client->peer);
  peer_expect(client->peer, "10 @ ='MQTT' 05 02 003c 0c 15 ='m' 16 ='token' ='%s'", client->cfg.client_id);
  peer_send(client->peer, "20 03 00 00 00");
  assert_true(mgos_mqtt_conn_connect(client->c));
  UNTIL(client->loop, mgos_mqtt_conn_is_connected(client->c));
}

static void on_version(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) c;
  trace(ud, "%s:%d", mgos_mqtt_error_name(mgos_mqtt_event_error(ev)) + strlen("MGOS_MQTT_"),
        mgos_mqtt_event_protocol_version(ev));
}

/* The versions are tried one after the other, and who waits for the connection waits for the last of these attempts. */
static void the_newest_version_that_the_server_speaks(void **state) {
  struct client *client = *state;
  struct mgos_mqtt_state now = mgos_mqtt_state_init();
  client->options.protocol_version = MGOS_MQTT_PROTOCOL_AUTO;
  client->options.retry = MGOS_MQTT_RETRY_NEVER;
  client_renew(client);
  assert_int_equal(mgos_mqtt_conn_on(client->c, MGOS_MQTT_EV_CONNECT_RESULT, on_version, client, NULL), 0);
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 00 01");
  peer_accept(client->peer);
  peer_take(client->peer, MG_MQTT_CMD_CONNECT, NULL);
  peer_send(client->peer, "20 02 00 00");
  assert_int_equal(mgos_mqtt_conn_state(client->c, &now), 0);
  assert_int_equal(now.protocol_version, 0);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client->c, TEST_DEADLINE_MS), 0);
  assert_string_equal(client->trace, "REFUSED_VERSION:5 OK:4 ");
  assert_int_equal(mgos_mqtt_conn_state(client->c, &now), 0);
  assert_int_equal(now.protocol_version, MGOS_MQTT_PROTOCOL_3_1_1);
  client->trace[0] = '\0';
}

/* The table of MQTT 5.0, section 2.4. */
static void reason_codes_have_names(void **state) {
  (void) state;
  assert_string_equal(mgos_mqtt_reason_name(MGOS_MQTT_REASON_NOT_AUTHORIZED), "MGOS_MQTT_REASON_NOT_AUTHORIZED");
  assert_string_equal(mgos_mqtt_reason_text(0x87), "Not authorized");
  assert_string_equal(mgos_mqtt_reason_name(0), "MGOS_MQTT_REASON_SUCCESS");
  assert_int_equal(MGOS_MQTT_REASON_GRANTED_QOS_0, 0);
  assert_int_equal(MGOS_MQTT_REASON_NORMAL_DISCONNECTION, 0);
  assert_int_equal(MGOS_MQTT_REASON_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, 0xa2);
  assert_string_equal(mgos_mqtt_reason_text(3), "unknown reason code");
  assert_string_equal(mgos_mqtt_reason_name(-1), "unknown reason code");
  assert_string_equal(mgos_mqtt_reason_name(256), "unknown reason code");
  assert_string_equal(mgos_mqtt_property_name(MGOS_MQTT_PROPERTY_USER), "User Property");
  assert_string_equal(mgos_mqtt_property_name(4), "unknown property");
}

/* There and back by mosquitto: to a handler, and fetched. */
static void by_way_of_mosquitto(void **state) {
  struct client *client = *state;
  struct broker broker;
  const struct mgos_mqtt_property properties[] = {
      mgos_mqtt_property_user("z", "1"),
      mgos_mqtt_property_number(MGOS_MQTT_PROPERTY_PAYLOAD_FORMAT_INDICATOR, 1),
      mgos_mqtt_property_user("a", "2"),
      mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_CONTENT_TYPE, "text/plain"),
      mgos_mqtt_property_binary(MGOS_MQTT_PROPERTY_CORRELATION_DATA, "id", 2),
      mgos_mqtt_property_string(MGOS_MQTT_PROPERTY_RESPONSE_TOPIC, "answers"),
      mgos_mqtt_property_user("z", "1"),
  };
  struct mgos_mqtt_publication message = publication(2, properties, N(properties));
  struct mgos_mqtt_msg *msg = NULL;
  struct mgos_mqtt_property property;
  char text[512] = "";
  size_t cursor = 0;
  int users = 0, others = 0;
  broker_start(&broker, NULL);
  client->cfg.server = broker.server;
  speak_5(client);
  assert_int_equal(mgos_mqtt_conn_subscribe_queue(client->c, "t", 2), 0);
  assert_int_equal(mgos_mqtt_conn_connect_wait(client->c, TEST_DEADLINE_MS), 0);
  UNTIL(client->loop, mgos_mqtt_conn_pending_subscriptions(client->c) == 0);
  assert_int_equal(mgos_mqtt_conn_publish_wait(client->c, &message, TEST_DEADLINE_MS, MGOS_MQTT_KEEP, NULL),
                   MGOS_MQTT_OUTCOME_ACKED);
  assert_int_equal(mgos_mqtt_conn_receive(client->c, TEST_DEADLINE_MS, &msg), 0);
  while (mgos_mqtt_msg_property(msg, &cursor, &property)) {
    if (property.id == MGOS_MQTT_PROPERTY_USER) {
      users++;
      show(text, sizeof(text), &property);
    } else {
      others++;
    }
  }
  assert_string_equal(text, "38=z:1 38=a:2 38=z:1 ");
  assert_int_equal(users + others, N(properties));
  assert_int_equal(mgos_mqtt_msg_release(msg), 0);
  mgos_mqtt_conn_disconnect_wait(client->c, TEST_DEADLINE_MS);
  broker_stop(&broker);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)
  const struct CMUnitTest tests[] = {
      TEST(properties_of_a_publish_go_out_in_their_order),
      TEST(properties_wait_for_a_connection),
      TEST(what_a_handler_reads),
      TEST(a_bad_property_is_named),
      TEST(a_message_has_the_alias_that_it_is_to_have),
      TEST(an_older_version_has_no_properties),
      TEST(properties_of_connect_and_will),
      TEST(a_disconnect_that_says_more),
      TEST(before_mqtt_5_a_disconnect_says_nothing),
      TEST(a_subscription_with_everything),
      TEST(what_the_server_allows),
      TEST(the_newest_version_that_the_server_speaks),
      TEST(the_credentials_function_has_authentication_data),
      TEST(step_by_step),
      TEST(reason_codes_have_names),
      TEST(by_way_of_mosquitto),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

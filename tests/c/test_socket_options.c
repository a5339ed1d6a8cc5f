/*
 * The options of the TCP socket: what the system has for the socket of a connection, found among this process's
 * descriptors; and what it refuses, by name. The test is the server; the loop has a thread of its own.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "client.h"
#include "net.h"

static struct mgos_mqtt_loop *loop;
static int listener;
static uint16_t port;
static char server[32];
static struct mgos_mqtt_options options;
static struct mgos_config_mqtt config;
static struct client client;

static int setup(void **state) {
  (void) state;
  listener = net_listen(&port);
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  assert_int_equal(mgos_mqtt_loop_start(loop), 0);
  client_options(&options, &config, server);
  return 0;
}

static int teardown(void **state) {
  (void) state;
  client_free(&client);
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  close(listener);
  return 0;
}

/* For a test that made no connection. */
static int teardown_loop(void **state) {
  (void) state;
  assert_int_equal(mgos_mqtt_loop_free(loop), 0);
  close(listener);
  return 0;
}

static void create_and_connect(void) {
  client_create(&client, loop, NULL, &options);
  assert_true(mgos_mqtt_conn_connect(client.conn));
}

/* The descriptor that is connected to the server; the test's own end has another peer. */
static int client_socket(void) {
  for (int fd = 3; fd < 1024; fd++) {
    struct sockaddr_in peer;
    socklen_t len = sizeof(peer);
    if (getpeername(fd, (struct sockaddr *) &peer, &len) == 0 && peer.sin_family == AF_INET &&
        ntohs(peer.sin_port) == port) {
      return fd;
    }
  }
  fail_msg("no socket is connected to port %d", port);
  return -1;
}

static int value(int fd, int level, int name) {
  int value = -1;
  socklen_t len = sizeof(value);
  assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
  return value;
}

static void the_socket_has_them(void **state) {
  int mine, fd;
  struct sockaddr_in source;
  socklen_t len = sizeof(source);
  char text[INET_ADDRSTRLEN];
  (void) state;
  options.source_address = "127.0.0.5";
  options.tcp_keepalive_idle_ms = 20500;
  options.tcp_keepalive_interval_ms = 3000;
  options.tcp_keepalive_count = 5;
  options.tcp_user_timeout_ms = 9000;
  options.dscp = 46;
  options.socket_send_buffer = 10000;
  options.socket_receive_buffer = 20000;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  assert_int_equal(getpeername(fd, (struct sockaddr *) &source, &len), 0);
  assert_string_equal(inet_ntop(AF_INET, &source.sin_addr, text, sizeof(text)), "127.0.0.5");
  mine = client_socket();
  assert_int_equal(value(mine, SOL_SOCKET, SO_KEEPALIVE), 1);
  assert_int_equal(value(mine, IPPROTO_TCP, TCP_KEEPIDLE), 21);
  assert_int_equal(value(mine, IPPROTO_TCP, TCP_KEEPINTVL), 3);
  assert_int_equal(value(mine, IPPROTO_TCP, TCP_KEEPCNT), 5);
  assert_int_equal(value(mine, IPPROTO_TCP, TCP_USER_TIMEOUT), 9000);
  assert_int_equal(value(mine, IPPROTO_IP, IP_TOS), 46 << 2);
  /* Linux doubles both. */
  assert_int_equal(value(mine, SOL_SOCKET, SO_SNDBUF), 20000);
  assert_int_equal(value(mine, SOL_SOCKET, SO_RCVBUF), 40000);
  /* And what every socket has. */
  assert_int_equal(value(mine, IPPROTO_TCP, TCP_NODELAY), 1);
  close(fd);
}

static void without_them_it_is_as_the_system_has_it(void **state) {
  int mine, fd;
  (void) state;
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  mine = client_socket();
  assert_int_equal(value(mine, SOL_SOCKET, SO_KEEPALIVE), 0);
  assert_int_equal(value(mine, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
  assert_int_equal(value(mine, IPPROTO_IP, IP_TOS), 0);
  close(fd);
}

static void an_interface(void **state) {
  int fd;
  char name[16] = "";
  socklen_t len = sizeof(name);
  (void) state;
  options.source_interface = "lo";
  create_and_connect();
  fd = mqtt_accept(listener);
  assert_true(client_wait(&client, UP, 1));
  assert_int_equal(getsockopt(client_socket(), SOL_SOCKET, SO_BINDTODEVICE, name, &len), 0);
  assert_string_equal(name, "lo");
  close(fd);
}

static void what_the_system_refuses(void **state) {
  (void) state;
  options.source_address = "192.0.2.1";
  create_and_connect();
  assert_true(client_wait(&client, FAILED, 1));
  client_expect_error(&client, MGOS_MQTT_SOCKET_OPTION, MGOS_MQTT_PHASE_TCP,
                      "source_address 192.0.2.1 cannot be set on the socket");
  client_expect_error(&client, MGOS_MQTT_SOCKET_OPTION, MGOS_MQTT_PHASE_TCP,
                      "no interface of this device has that address");
}

static void an_interface_that_is_not_there(void **state) {
  (void) state;
  options.source_interface = "nosuch7";
  create_and_connect();
  assert_true(client_wait(&client, FAILED, 1));
  client_expect_error(&client, MGOS_MQTT_SOCKET_OPTION, MGOS_MQTT_PHASE_TCP, "source_interface nosuch7");
}

static void an_address_of_the_other_family(void **state) {
  (void) state;
  config.server = "[::1]:1";
  options.source_address = "127.0.0.5";
  create_and_connect();
  assert_true(client_wait(&client, FAILED, 1));
  client_expect_error(&client, MGOS_MQTT_SOCKET_OPTION, MGOS_MQTT_PHASE_TCP,
                      "source_address 127.0.0.5 is IPv4, and \"[::1]:1\" has IPv6 addresses only");
}

static void refused(const char *sentence) {
  char text[256];
  assert_null(mgos_mqtt_conn_create_on(loop, 1, &options));
  mgos_mqtt_last_error_text(text, sizeof(text));
  if (strncmp(text, sentence, strlen(sentence)) != 0) fail_msg("%s", text);
}

static void what_cannot_be_meant(void **state) {
  struct mgos_mqtt_options good = options;
  (void) state;
  options.source_address = "eth0";
  refused("source_address: \"eth0\" is not an IP address");
  options = good;
  options.source_interface = "a/b";
  refused("source_interface: \"a/b\" is not the name of a network interface");
  options = good;
  options.dscp = 64;
  refused("dscp is 64; allowed are 0 (the default) and 1 to 63");
  options = good;
  options.tcp_keepalive_count = 128;
  refused("tcp_keepalive_count is 128; allowed are 0 (the default) and 1 to 127");
  options = good;
  options.tcp_keepalive_interval_ms = 32767001;
  refused("tcp_keepalive_interval_ms: more than 32767000 ms");
  options = good;
  options.socket_send_buffer = -1;
  refused("socket_send_buffer is -1");
  options = good;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(the_socket_has_them, setup, teardown),
    cmocka_unit_test_setup_teardown(without_them_it_is_as_the_system_has_it, setup, teardown),
    cmocka_unit_test_setup_teardown(an_interface, setup, teardown),
    cmocka_unit_test_setup_teardown(what_the_system_refuses, setup, teardown),
    cmocka_unit_test_setup_teardown(an_interface_that_is_not_there, setup, teardown),
    cmocka_unit_test_setup_teardown(an_address_of_the_other_family, setup, teardown),
    cmocka_unit_test_setup_teardown(what_cannot_be_meant, setup, teardown_loop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

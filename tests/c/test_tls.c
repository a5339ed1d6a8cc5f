/*
 * TLS from C, against a mosquitto with a listener for each kind of server: what must work works, and each row
 * of the table in docs/tls.md is provoked: its code, its phase, its alert, and the sentence that the table
 * quotes.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker.h"
#include "client.h"
#include "mgos_mqtt_version.h"
#include "net.h"

/* The servers. PLAIN is the broker's first listener, OLD another broker, which ends at TLS 1.2. */
enum {
  SERVER,
  MUTUAL,
  OTHER_NAME,
  EXPIRED,
  FUTURE,
  SELF_SIGNED,
  NOT_A_SERVER,
  SUITE,
  REVOKED,
  PSK,
  LISTENERS,
  PLAIN,
  OLD
};

static struct mgos_mqtt_loop *loop;
static struct broker broker, old;
static const char *certificates; /* their directory */
static char *page;               /* docs/tls.md */
static char provoked[4096];      /* names of codes, between blanks */

/* One connection with its options; texts are kept here. */
static struct mgos_config_mqtt config;
static struct mgos_mqtt_options options;
static struct client client;
static char server[64], ca[256], files[4][256];

/* -- A private root store -- */

/* What the system's first list of trusted certificates is now; NULL: as it is, "": there is no list at all.
 */
static const char *root_store;

static const char *redirected(const char *path) {
  static const char *const lists[] = {"/etc/ssl/", "/etc/pki/", "/data/", "/usr/local/share/certs/"};
  if (root_store == NULL || path == NULL) return path;
  if (*root_store != '\0' && strcmp(path, "/etc/ssl/certs/ca-certificates.crt") == 0) return root_store;
  for (size_t i = 0; *root_store == '\0' && i < sizeof(lists) / sizeof(lists[0]); i++) {
    if (strncmp(path, lists[i], strlen(lists[i])) == 0) return "/no/such/list";
  }
  return path;
}

/* These take the place of the C library's, also for a shared library: the program is searched first. */
int open64(const char *path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list args;
    va_start(args, flags);
    mode = (mode_t) va_arg(args, int);
    va_end(args);
  }
  return openat(AT_FDCWD, redirected(path), flags, mode);
}

int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict buf) {
  return (int) syscall(SYS_statx, dir, redirected(path), flags, mask, buf);
}

/* -- What the tests share -- */

static const char *file(const char *name, int slot) {
  snprintf(files[slot], sizeof(files[slot]), "%s/%s", certificates, name);
  return files[slot];
}

static void *read_file(const char *path, size_t *len) {
  FILE *from = fopen(path, "r");
  char *bytes = calloc(1, 65537);
  assert_non_null(from);
  assert_non_null(bytes);
  *len = fread(bytes, 1, 65536, from);
  assert_in_range(*len, 1, 65535);
  fclose(from);
  return bytes;
}

static void start_brokers(void) {
  char texts[LISTENERS][1024];
  const char *lines[LISTENERS];
  char more[512];
  static const struct {
    const char *name, *more;
  } listeners[PSK] = {
      [SERVER] = {"server", ""},         [MUTUAL] = {"server", "require_certificate true\n"},
      [OTHER_NAME] = {"other-name", ""}, [EXPIRED] = {"expired", ""},
      [FUTURE] = {"future", ""},         [SELF_SIGNED] = {"self-signed", ""},
      [NOT_A_SERVER] = {"client", ""},   [SUITE] = {"server", "ciphers ECDHE-ECDSA-CHACHA20-POLY1305\n"},
      [REVOKED] = {"revoked", ""},
  };
  for (size_t i = 0; i < PSK; i++) {
    snprintf(texts[i], sizeof(texts[i]), "cafile %s/ca.pem\ncertfile %s/%s.pem\nkeyfile %s/%s.key\n%s",
             certificates, certificates, listeners[i].name, certificates, listeners[i].name,
             listeners[i].more);
    lines[i] = texts[i];
  }
  lines[PSK] = "psk_hint device\n";
  snprintf(more, sizeof(more), "psk_file %s/psk\n", certificates);
  broker_start_with(&broker, more, lines, LISTENERS);
  /* mosquitto has no setting for the highest version, but its OpenSSL has. */
  setenv("OPENSSL_CONF", file("tls12.cnf", 0), 1);
  broker_start_with(&old, NULL, lines, 1);
  unsetenv("OPENSSL_CONF");
}

static int setup_group(void **state) {
  size_t len;
  (void) state;
  certificates = getenv("CERTS");
  assert_non_null(certificates);
  assert_non_null(getenv("TLS_PAGE"));
  page = read_file(getenv("TLS_PAGE"), &len);
  start_brokers();
  loop = mgos_mqtt_loop_create();
  assert_non_null(loop);
  return mgos_mqtt_loop_start(loop);
}

static int teardown_group(void **state) {
  (void) state;
  broker_stop(&broker);
  broker_stop(&old);
  free(page);
  return mgos_mqtt_loop_free(loop);
}

static void use_port(uint16_t port) {
  snprintf(server, sizeof(server), "127.0.0.1:%d", port);
}

/* Options for a server, with the right CA; one attempt is all there will be. */
static void options_for(int listener) {
  use_port(listener == PLAIN ? broker.port : listener == OLD ? old.ports[0] : broker.ports[listener]);
  client_options(&options, &config, server);
  config.reconnect_timeout_min = config.reconnect_timeout_max = 3600;
  snprintf(ca, sizeof(ca), "%s/ca.pem", certificates);
  config.ssl_ca_cert = ca;
}

/* It comes up, and a message is acknowledged. */
static void works(void) {
  client_create(&client, loop, NULL, &options);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  if (!client_wait(&client, UP, 1)) {
    char text[512];
    mgos_mqtt_conn_last_error_text(client.conn, text, sizeof(text));
    fail_msg("not connected: %s", text);
  }
  assert_int_not_equal(mgos_mqtt_conn_pub(client.conn, "t", mg_mk_str("secret"), 1, false), 0);
  assert_true(client_wait(&client, PUBACK, 1));
  assert_int_equal(client_count(&client, FAILED), 0);
  client_free(&client);
}

/* Whether the pieces between the "…" of a quotation stand in the text, in this order. */
static bool quotes(const char *text, const char *quotation, const char *end) {
  static const char dots[] = "…";
  while (quotation < end) {
    const char *next = strstr(quotation, dots);
    size_t len;
    char piece[256];
    if (next == NULL || next > end) next = end;
    len = (size_t) (next - quotation);
    assert_true(len < sizeof(piece));
    memcpy(piece, quotation, len);
    piece[len] = '\0';
    text = strstr(text, piece);
    if (text == NULL) return false;
    text += len;
    quotation = next < end ? next + strlen(dots) : end;
  }
  return true;
}

/* The row of a code says this sentence: one of its quotations fits, if it has any. */
static void expect_on_page(const char *name, const char *text) {
  char start[64];
  const char *row, *end, *open;
  bool quoted = false, fits = false;
  snprintf(start, sizeof(start), "\n| `%s` | ", name);
  row = strstr(page, start);
  if (row == NULL) fail_msg("docs/tls.md has no row for %s", name);
  row += strlen(start);
  end = strchr(row, '\n');
  assert_non_null(end);
  while ((open = strchr(row, '"')) != NULL && open < end) {
    const char *close = strchr(open + 1, '"');
    assert_true(close != NULL && close < end);
    quoted = true;
    fits = fits || quotes(text, open + 1, close);
    row = close + 1;
  }
  if (quoted && !fits) fail_msg("docs/tls.md quotes for %s another sentence than: %s", name, text);
}

/* Any alert will do: OpenSSL's versions do not agree. */
#define ANY 0

/* The attempt failed with this code, phase, and alert (-1: none), and a sentence with `part` in it, as the
 * page has it. Ends the connection. */
static void expect_failure(int code, int phase, int alert, const char *part) {
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  char text[1024];
  assert_true(client_wait(&client, FAILED, 1));
  assert_int_equal(client_count(&client, UP), 0);
  assert_int_equal(client.error, code);
  client_expect_error(&client, code, phase, part);
  mgos_mqtt_conn_last_error_text(client.conn, text, sizeof(text));
  assert_int_equal(mgos_mqtt_conn_last_error(client.conn, &info), 0);
  if (alert != ANY) assert_int_equal(info.tls_alert, alert);
  if (strncmp(mgos_mqtt_error_name(code), "MGOS_MQTT_TLS_", 14) == 0) {
    size_t len = strlen(provoked);
    expect_on_page(mgos_mqtt_error_name(code), text);
    snprintf(provoked + len, sizeof(provoked) - len, " %s ", mgos_mqtt_error_name(code));
  }
  client_free(&client);
}

static void fails(int code, int phase, int alert, const char *part) {
  client_create(&client, loop, NULL, &options);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  expect_failure(code, phase, alert, part);
}

/* As before, against a server that says these bytes when it has heard something, and then closes its side, or
 * does nothing more. */
static void fails_at(const char *says, size_t len, bool closes, int code, int phase, int alert,
                     const char *part) {
  uint16_t port;
  int listener = net_listen(&port), fd;
  char hello[8];
  use_port(port);
  client_create(&client, loop, NULL, &options);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  fd = net_accept(listener);
  assert_true(net_read(fd, hello, sizeof(hello)));
  net_write(fd, says, len);
  if (closes) shutdown(fd, SHUT_WR);
  expect_failure(code, phase, alert, part);
  close(fd);
  close(listener);
}

#define TLS MGOS_MQTT_PHASE_TLS

/* -- What works -- */

static void a_ca_file(void **state) {
  (void) state;
  options_for(SERVER);
  works();
  options_for(OLD);
  works();
}

static void a_ca_in_memory(void **state) {
  size_t len;
  void *pem;
  (void) state;
  options_for(SERVER);
  config.ssl_ca_cert = NULL;
  pem = read_file(ca, &len);
  options.tls_ca = pem;
  options.tls_ca_len = len;
  works();
  /* With the NUL of a C string. */
  options.tls_ca_len = len + 1;
  works();
  free(pem);
}

/* The system's list of trusted certificates is one of our own for this test. */
static void the_roots_of_the_system(void **state) {
  char url[80];
  (void) state;
  options_for(SERVER);
  snprintf(url, sizeof(url), "mqtts://%s", server);
  config.server = url;
  config.ssl_ca_cert = NULL;
  root_store = ca;
  works();
  /* Beside named ones, when it is asked for. */
  config.ssl_ca_cert = file("other-ca.pem", 0);
  fails(MGOS_MQTT_TLS_UNTRUSTED, TLS, -1, "other-ca.pem");
  options.tls_system_roots = 1;
  works();
  /* It is not this system's own list that was used. */
  config.ssl_ca_cert = NULL;
  root_store = file("other-ca.pem", 0);
  fails(MGOS_MQTT_TLS_UNTRUSTED, TLS, -1, "the system's trusted certificates (/etc/ssl/certs/");
  root_store = "";
  fails(MGOS_MQTT_TLS_BAD_FILE, TLS, -1, "no list of trusted certificates was found on this system");
  root_store = NULL;
}

static void mutual_tls(void **state) {
  size_t len;
  void *certificate, *key;
  (void) state;
  options_for(MUTUAL);
  config.ssl_cert = file("client.pem", 0);
  config.ssl_key = file("client.key", 1);
  works();
  certificate = read_file(config.ssl_cert, &len);
  options.tls_cert = certificate;
  options.tls_cert_len = len;
  key = read_file(config.ssl_key, &len);
  options.tls_key = key;
  options.tls_key_len = len;
  config.ssl_cert = config.ssl_key = NULL;
  works();
  free(certificate);
  free(key);
}

static void a_self_signed_server_that_is_trusted_itself(void **state) {
  (void) state;
  options_for(SELF_SIGNED);
  config.ssl_ca_cert = file("self-signed.pem", 0);
  works();
}

/* -- The server's certificate -- */

static void another_ca(void **state) {
  (void) state;
  options_for(SERVER);
  config.ssl_ca_cert = file("other-ca.pem", 0);
  fails(MGOS_MQTT_TLS_UNTRUSTED, TLS, -1,
        "the issuer CN=Example CA of the certificate of CN=localhost is not among the trusted certificates "
        "of ");
}

static void another_name(void **state) {
  (void) state;
  options_for(OTHER_NAME);
  fails(MGOS_MQTT_TLS_WRONG_NAME, TLS, -1, "the certificate is for broker.example, not 127.0.0.1");
  options.tls_server_name = "a.example";
  fails(MGOS_MQTT_TLS_WRONG_NAME, TLS, -1, "the certificate is for broker.example, not a.example");
  options.tls_server_name = "broker.example";
  works();
}

static void other_days(void **state) {
  (void) state;
  options_for(EXPIRED);
  fails(MGOS_MQTT_TLS_EXPIRED, TLS, -1,
        "the certificate of CN=localhost expired on 2021-02-03 04:05 UTC; the clock here says 20");
  options_for(FUTURE);
  fails(MGOS_MQTT_TLS_NOT_YET_VALID, TLS, -1,
        "the certificate of CN=localhost is not valid before 2095-01-01 00:00 UTC; the clock here says 20");
}

static void self_signed(void **state) {
  (void) state;
  options_for(SELF_SIGNED);
  fails(MGOS_MQTT_TLS_SELF_SIGNED, TLS, -1,
        "the certificate of CN=localhost is self-signed and not among the trusted certificates of ");
}

static void not_a_certificate_for_a_server(void **state) {
  (void) state;
  options_for(NOT_A_SERVER);
  fails(MGOS_MQTT_TLS_BAD_CERTIFICATE, TLS, -1, "the certificate of CN=device-1 is not one for a server");
}

static void a_revoked_certificate(void **state) {
  (void) state;
  options_for(REVOKED);
  works();
  options.tls_crl_file = file("ca.crl", 0);
  fails(MGOS_MQTT_TLS_REVOKED, TLS, -1, "the certificate of CN=localhost was revoked by CN=Example CA");
  options_for(SERVER);
  options.tls_crl_file = file("ca.crl", 0);
  works();
}

static void a_pinned_key(void **state) {
  size_t len;
  char *pin = read_file(file("server.pin", 0), &len);
  (void) state;
  pin[strcspn(pin, "\n")] = '\0';
  options_for(SERVER);
  options.tls_pins = pin;
  works();
  config.ssl_ca_cert = NULL;
  works();
  options_for(OTHER_NAME);
  config.ssl_ca_cert = NULL;
  options.tls_pins = pin;
  fails(MGOS_MQTT_TLS_PIN, TLS, -1, "the public key of CN=broker.example is not a pinned one; its pin is ");
  free(pin);
}

/* -- Ours -- */

static void no_client_certificate(void **state) {
  (void) state;
  options_for(MUTUAL);
  fails(MGOS_MQTT_TLS_CLIENT_CERTIFICATE, TLS, 116,
        "the server wants a client certificate: set ssl_cert and ssl_key");
  config.ssl_cipher_suites = "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384"; /* of TLS 1.2 */
  fails(MGOS_MQTT_TLS_CLIENT_CERTIFICATE, TLS, 40, "it may want a client certificate");
}

static void a_client_certificate_of_another_ca(void **state) {
  (void) state;
  options_for(MUTUAL);
  config.ssl_cert = file("other-client.pem", 0);
  config.ssl_key = file("other-client.key", 1);
  fails(MGOS_MQTT_TLS_CLIENT_CERTIFICATE, TLS, 48, "the server refused this client's certificate: ");
}

static void files_that_cannot_be_used(void **state) {
  (void) state;
  options_for(SERVER);
  config.ssl_ca_cert = "/no/such/ca.pem";
  fails(MGOS_MQTT_TLS_BAD_FILE, TLS, -1, "ssl_ca_cert: \"/no/such/ca.pem\" cannot be read");
  config.ssl_ca_cert = file("server.key", 0);
  fails(MGOS_MQTT_TLS_BAD_FILE, TLS, -1, "has no certificate in it");
  options_for(SERVER);
  config.ssl_cert = file("client.pem", 0);
  fails(MGOS_MQTT_TLS_BAD_KEY, TLS, -1, "ssl_key is not set, and ssl_cert");
  config.ssl_key = file("server.key", 1);
  fails(MGOS_MQTT_TLS_BAD_KEY, TLS, -1, "does not belong to the certificate");
}

static void accepting_anybody_is_not_a_file(void **state) {
  char text[512];
  (void) state;
  options_for(SERVER);
  config.ssl_ca_cert = "*";
  assert_null(mgos_mqtt_conn_create_on(loop, 1, &options));
  assert_int_equal(mgos_mqtt_last_error(), MGOS_MQTT_BAD_CONFIG);
  mgos_mqtt_last_error_text(text, sizeof(text));
  assert_non_null(strstr(text, "set tls_insecure_skip_verification"));
}

/* As the script has written it into mosquitto's file. */
static void a_pre_shared_key(void **state) {
  (void) state;
  options_for(PSK);
  config.ssl_ca_cert = NULL;
  config.ssl_psk_identity = "device-1";
  config.ssl_psk_key = "00112233445566778899aabbccddeeff";
  if (!mgos_mqtt_has("psk")) {
    fails(MGOS_MQTT_NOT_BUILT, TLS, -1, "without pre-shared keys");
    return;
  }
  works();
  config.ssl_psk_key = "ff112233445566778899aabbccddeeff";
  fails(MGOS_MQTT_TLS_BAD_PSK, TLS, ANY, "the server has another key than ssl_psk_key for the identity");
  config.ssl_psk_identity = "device-2";
  fails(MGOS_MQTT_TLS_PSK_IDENTITY, TLS, ANY, "the server does not know the identity");
}

/* -- What both sides speak -- */

static void no_common_version(void **state) {
  (void) state;
  options_for(OLD);
  options.tls_min_version = 13;
  fails(MGOS_MQTT_TLS_VERSION, TLS, 70, "the server supports no TLS version that is offered, TLS 1.3");
}

static void no_common_cipher_suite(void **state) {
  (void) state;
  options_for(SUITE);
  config.ssl_cipher_suites = "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256";
  fails(MGOS_MQTT_TLS_CIPHER, TLS, 40, "the server supports none of ssl_cipher_suites");
  config.ssl_cipher_suites = "TLS-ECDHE-ECDSA-WITH-CHACHA20-POLY1305-SHA256";
  works();
  config.ssl_cipher_suites = "TLS-RSA-WITH-ROT13";
  fails(MGOS_MQTT_TLS_BAD_SUITE, TLS, -1,
        "\"TLS-RSA-WITH-ROT13\" is not a suite of this library, which has ");
}

static void a_server_without_tls(void **state) {
  (void) state;
  options_for(PLAIN);
  fails(MGOS_MQTT_TLS_NOT_SPOKEN, TLS, -1, "it may not speak TLS on this port");
  fails_at("220 mail.example ESMTP\r\n", 24, false, MGOS_MQTT_TLS_NOT_SPOKEN, TLS, -1,
           "it does not speak TLS on this port");
}

static void tls_where_none_is_configured(void **state) {
  struct mgos_mqtt_error_info info = {.size = sizeof(info)};
  char text[512];
  (void) state;
  options_for(SERVER);
  config.ssl_ca_cert = NULL;
  /* mosquitto says it by an alert, or just closes: that depends on its OpenSSL. */
  client_create(&client, loop, NULL, &options);
  assert_true(mgos_mqtt_conn_connect(client.conn));
  assert_true(client_wait(&client, FAILED, 1));
  mgos_mqtt_conn_last_error(client.conn, &info);
  mgos_mqtt_conn_last_error_text(client.conn, text, sizeof(text));
  assert_int_equal(info.phase, MGOS_MQTT_PHASE_CONNECT);
  if (info.code == MGOS_MQTT_TLS_EXPECTED) {
    assert_non_null(strstr(text, "set ssl_ca_cert, or write mqtts://"));
  } else {
    assert_true(info.code == MGOS_MQTT_CLOSED_BY_SERVER || info.code == MGOS_MQTT_CONNECTION_RESET);
    assert_non_null(strstr(text, "or speak only TLS on this port"));
  }
  client_free(&client);
  fails_at("\x15\x03\x01\x00\x02\x02\x46", 7, true, MGOS_MQTT_TLS_EXPECTED, MGOS_MQTT_PHASE_CONNECT, -1,
           "it wants TLS on this port; set ssl_ca_cert, or write mqtts://");
}

static void a_handshake_that_does_not_end_well(void **state) {
  (void) state;
  options_for(SERVER);
  fails_at("\x16\x03\x03", 3, true, MGOS_MQTT_TLS_CLOSED, TLS, -1, "it may want a client certificate");
  fails_at("\x15\x03\x03\x00\x02\x02\x50", 7, true, MGOS_MQTT_TLS_FAILED, TLS, 80,
           "the server ended the handshake (TLS alert 80, internal_error)");
  options.tls_timeout_ms = 100;
  fails_at("\x16\x03\x03", 3, false, MGOS_MQTT_TLS_TIMEOUT, TLS, -1, "127.0.0.1:");
  fails_at("", 0, false, MGOS_MQTT_TLS_TIMEOUT, TLS, -1, "127.0.0.1:");
}

/* The last test: what the page lists, one of those above has seen. */
static void every_row_of_the_page_was_provoked(void **state) {
  static const char start[] = "\n| `MGOS_MQTT_TLS_";
  int rows = 0;
  (void) state;
  for (const char *row = page; (row = strstr(row, start)) != NULL; row++, rows++) {
    const char *name = row + 4;
    char word[64];
    size_t len = strcspn(name, "`");
    assert_true(len + 3 < sizeof(word));
    snprintf(word, sizeof(word), " %.*s ", (int) len, name);
    if (strstr(word, "PSK") != NULL && !mgos_mqtt_has("psk")) continue;
    if (strstr(provoked, word) == NULL) fail_msg("no test here provokes%sof docs/tls.md", word);
  }
  assert_in_range(rows, 17, 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_ca_file),
      cmocka_unit_test(a_ca_in_memory),
      cmocka_unit_test(the_roots_of_the_system),
      cmocka_unit_test(mutual_tls),
      cmocka_unit_test(a_self_signed_server_that_is_trusted_itself),
      cmocka_unit_test(another_ca),
      cmocka_unit_test(another_name),
      cmocka_unit_test(other_days),
      cmocka_unit_test(self_signed),
      cmocka_unit_test(not_a_certificate_for_a_server),
      cmocka_unit_test(a_revoked_certificate),
      cmocka_unit_test(a_pinned_key),
      cmocka_unit_test(no_client_certificate),
      cmocka_unit_test(a_client_certificate_of_another_ca),
      cmocka_unit_test(files_that_cannot_be_used),
      cmocka_unit_test(accepting_anybody_is_not_a_file),
      cmocka_unit_test(a_pre_shared_key),
      cmocka_unit_test(no_common_version),
      cmocka_unit_test(no_common_cipher_suite),
      cmocka_unit_test(a_server_without_tls),
      cmocka_unit_test(tls_where_none_is_configured),
      cmocka_unit_test(a_handshake_that_does_not_end_well),
      cmocka_unit_test(every_row_of_the_page_was_provoked),
  };
  signal(SIGPIPE, SIG_DFL);
  return cmocka_run_group_tests_name("tls", tests, setup_group, teardown_group);
}

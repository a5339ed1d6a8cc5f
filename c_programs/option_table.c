#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

const char *const option_section_names[NUM_SECTIONS] = {
    "Server", "Session", "TLS", "Will", "Message", "Subscription", "Output", "Program", "Not possible",
};

/* clang-format off */
const struct option_row option_table[] = {
  {'h', "host", "HOST", ALL, SECTION_SERVER, OPT_HOST, "the server's name or address (default: localhost)"},
  {'p', "port", "PORT", ALL, SECTION_SERVER, OPT_PORT, "its port (default: 1883, with TLS 8883; for ws:// 80, for wss:// 443);\n8883 means TLS"},
  {'L', "url", "URL", ALL, SECTION_SERVER, OPT_URL,
   "all in one: mqtt://[user[:password]@]host[:port][/topic];\nalso mqtts://, ws:// and wss://. What has another meaning in a URL\nis written as %XX"},
  {0, "unix", "PATH", ALL, SECTION_SERVER, OPT_UNIX, "the local socket of the server, instead of host and port"},
  {'A', NULL, "ADDRESS", ALL, SECTION_SERVER, OPT_BIND, "the address of this machine from which to connect"},
  {0, "nodelay", NULL, ALL, SECTION_SERVER, OPT_NODELAY, "small packets are not held back; it is always so"},
  {0, "proxy", "URL", ALL, SECTION_SERVER, OPT_PROXY,
   "the proxy that leads to the server: socks5h://, http:// or https://,\nthen [user[:password]@]host[:port]"},
  {0, "ws-path", "PATH", ALL, SECTION_SERVER, OPT_WS_PATH, "the path of the WebSocket (default: /mqtt)"},

  {'i', "id", "ID", ALL, SECTION_SESSION, OPT_ID, "client id (default: the server chooses one)"},
  {'I', "id-prefix", "PREFIX", ALL, SECTION_SESSION, OPT_ID_PREFIX, "client id: this and the number of the process"},
  {'u', "username", "USER", ALL, SECTION_SESSION, OPT_USER, "user name"},
  {'P', "pw", "PASSWORD", ALL, SECTION_SESSION, OPT_PASSWORD, "password; other users of the machine can see it"},
  {0, "pw-file", "FILE", ALL, SECTION_SESSION, OPT_PASSWORD_FILE, "a file with the password in its first line"},
  {'k', "keepalive", "SECONDS", ALL, SECTION_SESSION, OPT_KEEP_ALIVE, "keep-alive (default: 60; 0 is off)"},
  {'c', "disable-clean-session", NULL, TALK, SECTION_SESSION, OPT_KEEP_SESSION,
   "the server keeps the session when this program ends; needs an id"},
  {'x', NULL, "SECONDS", TALK, SECTION_SESSION, OPT_EXPIRY,
   "MQTT 5.0: how long it keeps the session; -1 is for ever\n(default: -1 with -c, else 0)"},
  {'V', "protocol-version", "VERSION", ALL, SECTION_SESSION, OPT_VERSION_OF_MQTT,
   "of MQTT: 31, 311 or 5, also mqttv31, mqttv311, mqttv5\n(default: 311; mgos_mqtt_rr: 5)"},
  {'D', "property", "COMMAND NAME VALUE", ALL, SECTION_SESSION, OPT_PROPERTY,
   "a property of MQTT 5.0, which is then the version: of connect,\npublish, subscribe, disconnect or will, as far as the program sends\nthat; user-property takes a name and a value. May be repeated"},

  {0, "cafile", "FILE", ALL, SECTION_TLS, OPT_CAFILE, "trusted certificates, PEM or DER"},
  {0, "capath", "DIRECTORY", ALL, SECTION_TLS, OPT_CAPATH, "the same: all PEM files of a directory"},
  {0, "tls-use-os-certs", NULL, ALL, SECTION_TLS, OPT_OS_CERTS,
   "trust what the system trusts; the default for TLS if no other\ncertificates are named"},
  {0, "cert", "FILE", ALL, SECTION_TLS, OPT_CERT, "the certificate of this client, PEM"},
  {0, "key", "FILE", ALL, SECTION_TLS, OPT_KEY, "its private key"},
  {0, "keyform", "pem", ALL, SECTION_TLS, OPT_KEYFORM, "what the key is in: pem; engine is not possible"},
  {0, "key-pw-file", "FILE", ALL, SECTION_TLS, OPT_KEY_PASSWORD_FILE, "a file with the password of the key in its first line"},
  {0, "insecure", NULL, ALL, SECTION_TLS, OPT_INSECURE,
   "the certificate may be for another name than the server's; whoever\nhas any certificate of the trusted issuers can then read everything"},
  {0, "ciphers", "LIST", ALL, SECTION_TLS, OPT_CIPHERS,
   "the cipher suites, by their names in the TLS standard, with colons\nbetween them; the names and lists of OpenSSL are not known"},
  {0, "tls-version", "VERSION", ALL, SECTION_TLS, OPT_TLS_VERSION,
   "the lowest that is accepted: tlsv1.2 (the default) or tlsv1.3;\ntlsv1.1 is not possible"},
  {0, "tls-alpn", "PROTOCOL", ALL, SECTION_TLS, OPT_ALPN, "the application protocol (ALPN) to ask for"},
  {0, "tls-server-name", "NAME", ALL, SECTION_TLS, OPT_SERVER_NAME,
   "the name that the certificate must be for (default: the host)"},
  {0, "tls-pins", "PINS", ALL, SECTION_TLS, OPT_PINS,
   "public keys, of which the server must have one: sha256/..., with\ncommas between them; mgos_mqtt_doctor shows them"},
  {0, "tls-crl", "FILE", ALL, SECTION_TLS, OPT_CRL, "lists of revoked certificates"},
  {0, "psk", "KEY", ALL, SECTION_TLS, OPT_PSK, "pre-shared key, in hexadecimal digits"},
  {0, "psk-identity", "IDENTITY", ALL, SECTION_TLS, OPT_PSK_IDENTITY, "and its identity"},

  {0, "will-topic", "TOPIC", TALK, SECTION_WILL, OPT_WILL_TOPIC,
   "what the server publishes if this program vanishes without a\ngood-bye: its topic"},
  {0, "will-payload", "TEXT", TALK, SECTION_WILL, OPT_WILL_PAYLOAD, "its text (default: empty)"},
  {0, "will-qos", "QOS", TALK, SECTION_WILL, OPT_WILL_QOS, "its QoS (default: 0)"},
  {0, "will-retain", NULL, TALK, SECTION_WILL, OPT_WILL_RETAIN, "the server retains it"},

  {'t', "topic", "TOPIC", PUB | RR, SECTION_MESSAGE, OPT_TOPIC, "where to"},
  {'t', "topic", "TOPIC", DOCTOR, SECTION_MESSAGE, OPT_TOPIC, "where to publish (default: below mgos_mqtt_doctor/)"},
  {'e', NULL, "TOPIC", RR, SECTION_MESSAGE, OPT_RESPONSE_TOPIC, "where the answer is expected"},
  {'m', "message", "TEXT", PUB | RR, SECTION_MESSAGE, OPT_MESSAGE, "this text"},
  {'f', "file", "FILE", PUB | RR, SECTION_MESSAGE, OPT_FILE, "the content of a file"},
  {'n', "null-message", NULL, PUB | RR, SECTION_MESSAGE, OPT_NULL_MESSAGE,
   "an empty message; with -r it removes a retained one"},
  {'s', "stdin-file", NULL, PUB | RR, SECTION_MESSAGE, OPT_STDIN_FILE, "all of standard input as one message"},
  {'l', "stdin-line", NULL, PUB, SECTION_MESSAGE, OPT_STDIN_LINE, "each line of standard input as a message of its own"},
  {'q', "qos", "QOS", PUB | RR, SECTION_MESSAGE, OPT_QOS, "0, 1 or 2 (default: 0)"},
  {'r', "retain", NULL, PUB | RR, SECTION_MESSAGE, OPT_RETAIN, "the server retains it"},
  {'M', NULL, "COUNT", PUB, SECTION_MESSAGE, OPT_MAX_INFLIGHT, "how many may be unacknowledged (default: 20)"},
  {0, "repeat", "COUNT", PUB, SECTION_MESSAGE, OPT_REPEAT, "the same message so often; not with -l"},
  {0, "repeat-delay", "SECONDS", PUB, SECTION_MESSAGE, OPT_REPEAT_DELAY, "the time between these (default: 0)"},

  {'t', "topic", "FILTER", SUB, SECTION_SUBSCRIPTION, OPT_TOPIC, "a topic, with + and # if need be. May be repeated"},
  {'q', "qos", "QOS", SUB, SECTION_SUBSCRIPTION, OPT_QOS, "the highest QoS of what is received: 0, 1 or 2 (default: 0)"},
  {'T', "filter-out", "FILTER", SUB, SECTION_SUBSCRIPTION, OPT_FILTER_OUT, "do not print what this matches. May be repeated"},
  {'U', "unsubscribe", "FILTER", SUB, SECTION_SUBSCRIPTION, OPT_UNSUBSCRIBE,
   "take back the subscription of an earlier run with -c. May be\nrepeated"},
  {'R', NULL, NULL, SUB | RR, SECTION_SUBSCRIPTION, OPT_NO_RETAINED, "do not print messages that were retained before"},
  {0, "retained-only", NULL, SUB, SECTION_SUBSCRIPTION, OPT_RETAINED_ONLY, "only these; the first other one ends the program"},
  {0, "remove-retained", NULL, SUB, SECTION_SUBSCRIPTION, OPT_REMOVE_RETAINED,
   "remove each retained message that arrives, except for those of -T"},
  {0, "retain-as-published", NULL, SUB, SECTION_SUBSCRIPTION, OPT_RETAIN_AS_PUBLISHED,
   "MQTT 5.0: messages come with the flag they were published with"},
  {0, "random-filter", "PERCENT", SUB, SECTION_SUBSCRIPTION, OPT_RANDOM_FILTER, "print only so many of the messages: 0.1 to 100"},
  {'C', NULL, "COUNT", SUB, SECTION_SUBSCRIPTION, OPT_COUNT, "end after so many messages"},
  {'E', NULL, NULL, SUB, SECTION_SUBSCRIPTION, OPT_SUBSCRIBED,
   "end when all subscriptions are made; with -c and -i the server then\ncollects messages for the next time"},

  {'v', "verbose", NULL, SUB | RR, SECTION_OUTPUT, OPT_VERBOSE, "the topic before each message"},
  {'N', NULL, NULL, SUB | RR, SECTION_OUTPUT, OPT_NO_LINE_FEED, "no line feed after messages"},
  {'F', NULL, "FORMAT", SUB | RR, SECTION_OUTPUT, OPT_FORMAT, "as the format says, see below"},
  {0, "pretty", NULL, SUB | RR, SECTION_OUTPUT, OPT_PRETTY, "JSON of %j and %J on several lines"},

  {0, "json", NULL, DOCTOR, SECTION_OUTPUT, OPT_JSON, "one JSON object, for programs and bug reports"},

  {'W', NULL, "SECONDS", TALK, SECTION_PROGRAM, OPT_TIMEOUT, "end after this time"},
  {'d', "debug", NULL, ALL, SECTION_PROGRAM, OPT_DEBUG, "say on standard error what happens"},
  {0, "quiet", NULL, ALL, SECTION_PROGRAM, OPT_QUIET, "say nothing, not even errors, except those of usage"},
  {0, "help", NULL, ALL, SECTION_PROGRAM, OPT_HELP, "this text"},
  {0, "version", NULL, ALL, SECTION_PROGRAM, OPT_VERSION, "the version"},

  {0, "tls-engine", "ENGINE", ALL, SECTION_REFUSED, OPT_REFUSED,
   "engines belong to OpenSSL, and TLS is rustls here; a program of your own can sign with a key in hardware by mgos_mqtt_conn_set_sign_fn()"},
  {0, "tls-engine-kpass-sha1", "SHA1", ALL, SECTION_REFUSED, OPT_REFUSED,
   "engines belong to OpenSSL, and TLS is rustls here; the password of a key in a file is given by --key-pw-file"},
  {'S', NULL, NULL, ALL, SECTION_REFUSED, OPT_REFUSED,
   "SRV records are not looked up (Debian's mosquitto programs do not do that, either); name the server with -h"},
};
/* clang-format on */
const size_t num_options = sizeof(option_table) / sizeof(option_table[0]);

const struct option_row *option_find(int program, const char *word, size_t len) {
  size_t i;
  for (i = 0; i < num_options; i++) {
    const struct option_row *row = &option_table[i];
    if ((row->programs & program) == 0) continue;
    if (len == 2 && word[0] == '-' && row->letter != '\0' && word[1] == row->letter) return row;
    if (len > 2 && row->name != NULL && strlen(row->name) == len - 2 && strncmp(word, "--", 2) == 0 &&
        strncmp(word + 2, row->name, len - 2) == 0) {
      return row;
    }
  }
  return NULL;
}

const char *option_spelling(const struct option_row *row, char buf[40]) {
  if (row->letter != '\0') {
    snprintf(buf, 40, "-%c", row->letter);
  } else {
    snprintf(buf, 40, "--%s", row->name);
  }
  return buf;
}

static void print_row(const struct option_row *row) {
  char left[80];
  const char *line = row->help;
  int len = 0;
  if (row->letter != '\0') len = snprintf(left, sizeof(left), "-%c%s", row->letter, row->name != NULL ? ", " : "");
  if (row->name != NULL) len += snprintf(left + len, sizeof(left) - (size_t) len, "--%s", row->name);
  if (row->argument != NULL) snprintf(left + len, sizeof(left) - (size_t) len, " %s", row->argument);
  if (strlen(left) > 27) {
    printf("  %s\n  %-27s ", left, "");
  } else {
    printf("  %-27s ", left);
  }
  while (strchr(line, '\n') != NULL) {
    printf("%.*s\n%-30s", (int) (strchr(line, '\n') - line), line, "");
    line = strchr(line, '\n') + 1;
  }
  printf("%s\n", line);
}

void option_print_help(int program) {
  int section;
  size_t i;
  for (section = 0; section < SECTION_REFUSED; section++) {
    bool titled = false;
    for (i = 0; i < num_options; i++) {
      if ((int) option_table[i].section != section || (option_table[i].programs & program) == 0) continue;
      if (!titled) printf("\n%s:\n", option_section_names[section]);
      titled = true;
      print_row(&option_table[i]);
    }
  }
}

#include <mgos_mqtt_error.h>
#include <mgos_mqtt_version.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "doctor.h"
#include "json.h"
#include "output.h"

static const struct {
  int error;
  const char *remedy;
} remedies[] = {
    {MGOS_MQTT_DNS_FAILED, "check how the name is written (-h), and that this machine has a name service"},
    {MGOS_MQTT_DNS_TIMEOUT, "the name service does not answer: check /etc/resolv.conf and the way to it, or give an address"},
    {MGOS_MQTT_CONNECT_REFUSED, "start the server, or correct the port (-p: usually 1883, with TLS 8883)"},
    {MGOS_MQTT_CONNECT_UNREACHABLE, "check the address, this machine's network and its routes (ip route)"},
    {MGOS_MQTT_CONNECT_TIMEOUT, "a firewall drops the packets, or the address is not in use: check both, and the port"},
    {MGOS_MQTT_PROXY_REFUSED, "the proxy must permit the way to the server's port: ask who runs it"},
    {MGOS_MQTT_PROXY_CREDENTIALS, "correct user name and password in --proxy"},
    {MGOS_MQTT_PROXY_BAD_ANSWER, "what listens there is no proxy of this kind: correct scheme and port of --proxy"},
    {MGOS_MQTT_PROXY_TIMEOUT, "the proxy does not reach the server, or is none: check --proxy and -h"},
    {MGOS_MQTT_WEBSOCKET_REFUSED, "correct --ws-path, or the port"},
    {MGOS_MQTT_WEBSOCKET_NOT_SPOKEN, "use the port at which the server speaks WebSocket, or mqtt:// instead of ws://"},
    {MGOS_MQTT_CONNACK_TIMEOUT, "something listens there that is no MQTT server, or it expects TLS, or it hangs: check the port"},
    {MGOS_MQTT_NOT_CONNACK, "what listens there is no MQTT server (HTTP, perhaps): correct the port; for MQTT over WebSocket use -L ws://"},
    {MGOS_MQTT_REFUSED_VERSION, "use another version of MQTT (-V 311, -V 31 or -V 5)"},
    {MGOS_MQTT_REFUSED_IDENTIFIER, "use another client id (-i)"},
    {MGOS_MQTT_REFUSED_UNAVAILABLE, "the server is starting or overloaded: try later"},
    {MGOS_MQTT_REFUSED_CREDENTIALS, "correct user name and password (-u, -P or --pw-file)"},
    {MGOS_MQTT_REFUSED_NOT_AUTHORIZED, "give user name and password (-u, -P), or have the server permit this client"},
    {MGOS_MQTT_CLOSED_BY_SERVER, "see the server's log; often the client id is not permitted, or another client has the same one"},
    {MGOS_MQTT_CONNECTION_RESET, "see the server's log; if it speaks TLS on this port, use --cafile or mqtts://"},
    {MGOS_MQTT_TLS_NOT_SPOKEN, "use the port at which the server speaks TLS (usually 8883), or no TLS option"},
    {MGOS_MQTT_TLS_CLOSED, "the server may want a client certificate (--cert), or does not speak TLS on this port"},
    {MGOS_MQTT_TLS_EXPECTED, "the server speaks TLS on this port: use --cafile, or mqtts:// for a public one"},
    {MGOS_MQTT_TLS_VERSION, "the server must speak TLS 1.2 or 1.3: update it"},
    {MGOS_MQTT_TLS_CIPHER, "leave --ciphers out, or update the server"},
    {MGOS_MQTT_TLS_WRONG_NAME, "use the name that the certificate has (-h or --tls-server-name), or have it issued again for this one"},
    {MGOS_MQTT_TLS_EXPIRED, "the server's certificate must be renewed; if it is valid, set this machine's clock"},
    {MGOS_MQTT_TLS_NOT_YET_VALID, "set this machine's clock; if it is right, the certificate must be issued again"},
    {MGOS_MQTT_TLS_UNTRUSTED,
     "name the certificate of the authority with --cafile; if that is the right one, the server must also send the "
     "intermediate certificates"},
    {MGOS_MQTT_TLS_SELF_SIGNED, "trust just this certificate: save it and name it with --cafile, or pin its key (--tls-pins)"},
    {MGOS_MQTT_TLS_CLIENT_CERTIFICATE, "give a client certificate that the server trusts (--cert, --key)"},
    {MGOS_MQTT_TLS_BAD_FILE, "correct the name or the content of the file"},
    {MGOS_MQTT_TLS_BAD_KEY, "use the key that belongs to the certificate (--key, --key-pw-file)"},
    {MGOS_MQTT_TLS_REVOKED, "the server must get a new certificate: do not trust this one"},
    {MGOS_MQTT_TLS_PIN, "if the server's key was replaced on purpose, use the new pin; otherwise somebody is in between"},
};

const char *remedy_of(int error) {
  size_t i;
  for (i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++) {
    if (remedies[i].error == error) return remedies[i].remedy;
  }
  return "see the server's log";
}

static const char *const verdicts[] = {"ok", "note", "FAULT", "skipped"};

void report_begin(const struct doctor *d) {
  if (d->settings->json) {
    printf("{\"program\": \"mgos_mqtt_doctor\", \"version\": \"%s\",\n \"steps\": [", mgos_mqtt_version());
  } else {
    printf("%s\n", d->client.server);
  }
}

static void json_text(const char *name, const char *text) {
  struct json j = {false, 0, false};
  printf(", \"%s\": ", name);
  json_string(&j, text, strlen(text));
}

void report_step(struct doctor *d, const char *step, enum verdict verdict, double ms, const char *remedy, const char *format, ...) {
  char text[2048];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof(text), format, ap);
  va_end(ap);
  if (verdict == FAULT) d->faults++;
  if (verdict == NOTE) d->notes++;
  if (d->settings->json) {
    printf("%s\n  {\"step\": \"%s\", \"verdict\": \"%s\"", d->steps > 0 ? "," : "", step, verdict == FAULT ? "fault" : verdicts[verdict]);
    if (ms >= 0) printf(", \"ms\": %.1f", ms);
    json_text("text", text);
    if (remedy != NULL) json_text("remedy", remedy);
    putchar('}');
  } else {
    printf("%-8s%-14s%s", verdicts[verdict], step, text);
    if (ms >= 0) printf(" (%.1f ms)", ms);
    putchar('\n');
    if (remedy != NULL) printf("%-22swhat to do: %s\n", "", remedy);
  }
  output_flush(); /* a failure is told at the end, by output_end() */
  d->steps++;
}

void report_end(const struct doctor *d) {
  if (d->settings->json) {
    printf("\n ],\n \"faults\": %d, \"notes\": %d}\n", d->faults, d->notes);
  } else {
    printf("%d faults, %d notes\n", d->faults, d->notes);
  }
}

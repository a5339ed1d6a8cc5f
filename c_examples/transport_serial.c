/* MQTT over a serial line that loses bytes. The line is a pseudo-terminal; at its other end, in a thread, stands a gateway that
 * reaches the server by TCP. Each end drops a byte now and then, as a bad line does. A frame that is damaged does not pass its
 * check sum; it is not acknowledged, and so it is sent again (stop and wait): MQTT gets all bytes, in their order.
 *
 * The line carries one stream: the example ends with it, and does not connect again.
 *
 * A frame: FLAG, kind, number, payload, check sum (CRC-16 of what is between), FLAG; FLAG and ESC are escaped as in PPP.
 *
 *   cc transport_serial.c $(pkg-config --cflags --libs mgos_mqtt) -pthread -o transport_serial
 *   ./transport_serial 127.0.0.1:1883
 *
 * Expected output:
 *   connected
 *   20 readings came back, in order
 *   closed
 *   bytes were lost on the line
 */
#define _XOPEN_SOURCE 600
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mgos_mqtt_conn.h>
#include <mgos_mqtt_connect.h>
#include <mgos_mqtt_options.h>
#include <mgos_mqtt_transport.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define FLAG 0x7e
#define ESC 0x7d
#define PAYLOAD 64     /* bytes in a frame at most: a short one is more likely to arrive whole */
#define RESEND_MS 20   /* without an acknowledgement */
#define ONE_IN 150     /* bytes is lost */
#define READINGS 20
#define TOPIC "examples/serial"

enum kind { OPEN = 1, DATA, CLOSE, ACK };

/* One end of the line. */
struct line {
  int fd;
  unsigned dice, lost;
  /* What was sent and is not acknowledged. */
  unsigned char kind, number, payload[PAYLOAD];
  size_t len;
  bool waits, closes; /* CLOSE is to be sent as soon as nothing waits */
  long long sent_at;
  /* What came. */
  unsigned char expects, frame[PAYLOAD + 8], in[4096];
  size_t frame_len, in_len;
  bool escaped, is_open, is_closed;
};

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static unsigned crc16(const unsigned char *bytes, size_t n) {
  unsigned crc = 0xffff;
  while (n-- > 0) {
    int bit;
    crc ^= (unsigned) *bytes++ << 8;
    for (bit = 0; bit < 8; bit++) crc = (crc & 0x8000) != 0 ? (crc << 1 ^ 0x1021) & 0xffff : crc << 1 & 0xffff;
  }
  return crc;
}

static void put_frame(struct line *line, unsigned char kind, unsigned char number, const void *payload, size_t len) {
  unsigned char raw[PAYLOAD + 4], out[2 * sizeof(raw) + 2];
  size_t n = 0, i;
  unsigned crc;
  raw[0] = kind;
  raw[1] = number;
  if (len > 0) memcpy(raw + 2, payload, len);
  crc = crc16(raw, len + 2);
  raw[len + 2] = (unsigned char) (crc >> 8);
  raw[len + 3] = (unsigned char) crc;
  out[n++] = FLAG;
  for (i = 0; i < len + 4; i++) {
    if (raw[i] == FLAG || raw[i] == ESC) {
      out[n++] = ESC;
      out[n++] = raw[i] ^ 0x20;
    } else {
      out[n++] = raw[i];
    }
  }
  out[n++] = FLAG;
  for (i = 0; i < n; i++) {
    line->dice = line->dice * 1103515245 + 12345;
    if ((line->dice >> 16) % ONE_IN == 0) {
      line->lost++;
    } else if (write(line->fd, out + i, 1) != 1) {
      line->lost++; /* no room: as good as lost */
    }
  }
}

/* Sends, if nothing is under way; false otherwise. */
static bool line_send(struct line *line, enum kind kind, const void *payload, size_t len) {
  if (line->waits) return false;
  line->kind = (unsigned char) kind;
  line->len = len;
  if (len > 0) memcpy(line->payload, payload, len);
  line->waits = true;
  line->sent_at = now_ms();
  put_frame(line, line->kind, line->number, line->payload, line->len);
  return true;
}

static void line_tick(struct line *line) {
  if (line->closes && line_send(line, CLOSE, NULL, 0)) line->closes = false;
  if (line->waits && now_ms() - line->sent_at >= RESEND_MS) {
    line->sent_at = now_ms();
    put_frame(line, line->kind, line->number, line->payload, line->len);
  }
}

static void got_frame(struct line *line) {
  const unsigned char *frame = line->frame;
  size_t len = line->frame_len;
  if (len < 4 || crc16(frame, len - 2) != (unsigned) (frame[len - 2] << 8 | frame[len - 1])) return;
  len -= 4;
  if (frame[0] == ACK) {
    if (line->waits && frame[1] == line->number) {
      line->waits = false;
      line->number++;
    }
    return;
  }
  if (frame[1] == line->expects) {
    /* Without room it is not acknowledged, and comes again. */
    if (len > sizeof(line->in) - line->in_len) return;
    line->expects++;
    if (frame[0] == OPEN) line->is_open = true;
    if (frame[0] == CLOSE) line->is_closed = true;
    memcpy(line->in + line->in_len, frame + 2, len);
    line->in_len += len;
  } else if ((unsigned char) (frame[1] + 1) != line->expects) {
    return; /* neither the next one nor the last one once more */
  }
  put_frame(line, ACK, frame[1], NULL, 0);
}

static void line_receive(struct line *line) {
  unsigned char bytes[256];
  ssize_t n, i;
  while ((n = read(line->fd, bytes, sizeof(bytes))) > 0) {
    for (i = 0; i < n; i++) {
      if (bytes[i] == FLAG) {
        got_frame(line);
        line->frame_len = 0;
        line->escaped = false;
      } else if (bytes[i] == ESC) {
        line->escaped = true;
      } else if (line->frame_len < sizeof(line->frame)) {
        line->frame[line->frame_len++] = line->escaped ? bytes[i] ^ 0x20 : bytes[i];
        line->escaped = false;
      }
    }
  }
}

static size_t line_take(struct line *line, void *to, size_t room) {
  size_t n = line->in_len < room ? line->in_len : room;
  memcpy(to, line->in, n);
  memmove(line->in, line->in + n, line->in_len - n);
  line->in_len -= n;
  return n;
}

/* -- the gateway ------------------------------------------------------------------------------------------ */

static struct line gateway;
static const char *server_address;

static int dial(const char *address) {
  struct addrinfo hints, *to = NULL;
  char host[128];
  const char *colon = strrchr(address, ':');
  int fd = -1;
  memset(&hints, 0, sizeof(hints));
  hints.ai_socktype = SOCK_STREAM;
  snprintf(host, sizeof(host), "%.*s", colon != NULL ? (int) (colon - address) : 100, address);
  if (getaddrinfo(host, colon != NULL ? colon + 1 : "1883", &hints, &to) != 0) return -1;
  fd = socket(to->ai_family, SOCK_STREAM, 0);
  if (connect(fd, to->ai_addr, to->ai_addrlen) != 0) {
    close(fd);
    fd = -1;
  }
  freeaddrinfo(to);
  return fd;
}

static void *gateway_runs(void *arg) {
  int server = -1;
  bool ended = false;
  (void) arg;
  /* Until the other end has said CLOSE, or for 20 s. */
  for (long long until = now_ms() + 20000; !gateway.is_closed && now_ms() < until;) {
    struct pollfd fds[2] = {{gateway.fd, POLLIN, 0}, {gateway.waits || ended ? -1 : server, POLLIN, 0}};
    unsigned char bytes[PAYLOAD];
    size_t n;
    poll(fds, 2, 5);
    line_receive(&gateway);
    if (gateway.is_open && server < 0 && !ended) ended = (server = dial(server_address)) < 0;
    while (server >= 0 && (n = line_take(&gateway, bytes, sizeof(bytes))) > 0) {
      if (send(server, bytes, n, MSG_NOSIGNAL) != (ssize_t) n) break;
    }
    if (fds[1].revents != 0 && !gateway.waits) {
      ssize_t got = read(server, bytes, sizeof(bytes));
      if (got > 0) line_send(&gateway, DATA, bytes, (size_t) got);
      ended = got <= 0;
    }
    if (ended && line_send(&gateway, CLOSE, NULL, 0)) break;
    line_tick(&gateway);
  }
  /* The last words, until they are acknowledged. */
  for (int i = 0; i < 400; i++) {
    struct pollfd fd = {gateway.fd, POLLIN, 0};
    poll(&fd, 1, 5);
    line_receive(&gateway);
    line_tick(&gateway);
    if (gateway.is_closed && !gateway.waits && i > 50) break;
  }
  if (server >= 0) close(server);
  return NULL;
}

/* -- the device ------------------------------------------------------------------------------------------- */

static struct line device;
static uint64_t the_stream;
static int readings, wrong;
static bool closed;

static int serial_open(void *ud, uint64_t stream, const char *host, int port) {
  (void) ud, (void) host, (void) port; /* the gateway knows where to */
  the_stream = stream;
  line_send(&device, OPEN, NULL, 0);
  return -EAGAIN; /* it is open when the gateway has acknowledged that */
}

static long serial_read(void *ud, uint64_t stream, void *buf, size_t len) {
  size_t n = line_take(&device, buf, len);
  (void) ud, (void) stream;
  if (n > 0) return (long) n;
  return device.is_closed ? 0 : -EAGAIN;
}

static long serial_write(void *ud, uint64_t stream, const void *bytes, size_t len) {
  size_t n = len < PAYLOAD ? len : PAYLOAD;
  (void) ud, (void) stream;
  return line_send(&device, DATA, bytes, n) ? (long) n : -EAGAIN;
}

static void serial_close(void *ud, uint64_t stream) {
  (void) ud, (void) stream;
  device.closes = true;
}

static void on_event(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  char text[16];
  int i;
  (void) ud;
  if (mgos_mqtt_event_kind(ev) == MGOS_MQTT_EV_CLOSE) {
    printf("closed\n");
    closed = true;
    return;
  }
  if (mgos_mqtt_event_error(ev) != 0) return;
  printf("connected\n");
  for (i = 1; i <= READINGS; i++) {
    int len = snprintf(text, sizeof(text), "%d", i);
    mgos_mqtt_conn_pub(c, TOPIC, mg_mk_str_n(text, (size_t) len), 1, false);
  }
}

static void on_message(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
  (void) ud;
  /* A NUL follows the payload. */
  if (atoi(mgos_mqtt_event_payload(ev, NULL)) != ++readings) wrong++;
  if (readings < READINGS) return;
  printf("%d readings came back, %s\n", readings, wrong == 0 ? "in order" : "and not in order");
  mgos_mqtt_conn_disconnect(c);
}

static bool open_line(void) {
  struct termios raw;
  int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return false;
  slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  if (slave < 0 || tcgetattr(slave, &raw) != 0) return false;
  cfmakeraw(&raw);
  if (tcsetattr(slave, TCSANOW, &raw) != 0) return false;
  fcntl(master, F_SETFL, O_NONBLOCK);
  fcntl(slave, F_SETFL, O_NONBLOCK);
  gateway.fd = master;
  device.fd = slave;
  gateway.dice = 7;
  device.dice = 11;
  return true;
}

int main(int argc, char **argv) {
  struct mgos_mqtt_transport transport = mgos_mqtt_transport_init();
  struct mgos_mqtt_conn *c = mgos_mqtt_conn_create(1, NULL);
  pthread_t thread;
  server_address = argc > 1 ? argv[1] : "127.0.0.1:1883";
  transport.open = serial_open;
  transport.read = serial_read;
  transport.write = serial_write;
  transport.close = serial_close;
  if (c == NULL || mgos_mqtt_conn_set_server(c, server_address, NULL, NULL, NULL) != 0 ||
      mgos_mqtt_conn_set_transport(c, &transport, NULL, NULL) != 0) {
    fprintf(stderr, "%s: %s\n", server_address, mgos_mqtt_strerror(mgos_mqtt_last_error()));
    return 1;
  }
  if (!open_line() || pthread_create(&thread, NULL, gateway_runs, NULL) != 0) {
    perror("the line");
    return 1;
  }
  mgos_mqtt_conn_on(c, MGOS_MQTT_EV_CONNECT_RESULT | MGOS_MQTT_EV_CLOSE, on_event, NULL, NULL);
  mgos_mqtt_conn_subscribe_messages(c, TOPIC, 1, on_message, NULL, NULL);
  mgos_mqtt_conn_connect(c);
  for (long long until = now_ms() + 15000; !closed && now_ms() < until;) {
    struct pollfd fds[2] = {{mgos_mqtt_loop_fd(NULL), POLLIN, 0}, {device.fd, POLLIN, 0}};
    int wait = mgos_mqtt_loop_timeout(NULL);
    bool waited = device.waits, had = device.in_len > 0 || device.is_closed;
    poll(fds, 2, wait < 0 || wait > 5 ? 5 : wait);
    line_receive(&device);
    line_tick(&device);
    if (waited && !device.waits) mgos_mqtt_transport_ready(NULL, the_stream, MGOS_MQTT_TRANSPORT_WRITABLE);
    if (!had && (device.in_len > 0 || device.is_closed)) {
      mgos_mqtt_transport_ready(NULL, the_stream, MGOS_MQTT_TRANSPORT_READABLE);
    }
    mgos_mqtt_loop_process(NULL);
  }
  mgos_mqtt_conn_free(c);
  for (long long until = now_ms() + 5000; (device.closes || device.waits) && now_ms() < until;) { /* the gateway is told */
    struct pollfd fd = {device.fd, POLLIN, 0};
    poll(&fd, 1, 5);
    line_receive(&device);
    line_tick(&device);
  }
  pthread_join(thread, NULL);
  printf("%s\n", device.lost + gateway.lost > 0 ? "bytes were lost on the line" : "no byte was lost");
  return closed && wrong == 0 ? 0 : 1;
}

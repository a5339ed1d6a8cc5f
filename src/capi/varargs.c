/*
 * The C half of the variadic functions. A va_list never enters Rust: these functions keep it, and
 * Rust asks for one argument at a time through mgos__fetch(). The exported names are naked Rust
 * functions that jump here (src/capi/json/forward.rs); what they do is in entry.rs.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_out;
struct mgos_mqtt_conn;

/* union Value, in args.rs. */
union mgos__arg {
  int64_t integer;
  double real;
  const void *pointer;
};

/* As in args.rs. */
enum { ARG_INT, ARG_LONG, ARG_LONG_LONG, ARG_SIZE, ARG_DOUBLE, ARG_POINTER, ARG_PRINTER };

typedef int (*mgos__fetch_t)(void *ctx, int kind, union mgos__arg *arg);
typedef int (*mgos__printer_t)(struct json_out *out, va_list *ap);

/* In a structure, so that &args.ap is a va_list * also where va_list is an array. */
struct mgos__args {
  va_list ap;
};

#if defined(__GNUC__) && defined(__ELF__)
/* Hidden here is hidden in the library: Rust's no_mangle alone would export these. */
#define MGOS__PRIVATE __attribute__((visibility("hidden")))
#else
#define MGOS__PRIVATE
#endif

/* Rust, entry.rs. */
MGOS__PRIVATE uint16_t mgos__pub_formatted(struct mgos_mqtt_conn *c, int is_global, const char *topic,
                                           int qos, int retain, const char *fmt, mgos__fetch_t fetch,
                                           void *ctx);
MGOS__PRIVATE int mgos__json_formatted(struct json_out *out, const char *fmt, mgos__fetch_t fetch, void *ctx);
MGOS__PRIVATE char *mgos__json_allocated(const char *fmt, mgos__fetch_t fetch, void *ctx);
MGOS__PRIVATE int mgos__json_array(struct json_out *out, const void *start, size_t total, size_t size,
                                   const char *fmt);

/* C, below; the targets of the jumps. */
MGOS__PRIVATE uint16_t mgos__pubf(const char *topic, int qos, bool retain, const char *fmt, ...);
MGOS__PRIVATE uint16_t mgos__pubv(const char *topic, int qos, bool retain, const char *fmt, va_list ap);
MGOS__PRIVATE uint16_t mgos__conn_pubf(struct mgos_mqtt_conn *c, const char *topic, int qos, bool retain,
                                       const char *fmt, ...);
MGOS__PRIVATE uint16_t mgos__conn_pubv(struct mgos_mqtt_conn *c, const char *topic, int qos, bool retain,
                                       const char *fmt, va_list ap);
MGOS__PRIVATE int mgos__json_printf(struct json_out *out, const char *fmt, ...);
MGOS__PRIVATE int mgos__json_vprintf(struct json_out *out, const char *fmt, va_list ap);
MGOS__PRIVATE char *mgos__json_asprintf(const char *fmt, ...);
MGOS__PRIVATE char *mgos__json_vasprintf(const char *fmt, va_list ap);
MGOS__PRIVATE int mgos__json_printf_array(struct json_out *out, va_list *ap);

/* Takes the next argument. 0, or -1 for a NULL function. */
static int mgos__fetch(void *ctx, int kind, union mgos__arg *arg) {
  struct mgos__args *args = ctx;
  switch (kind) {
    case ARG_INT:
      arg->integer = va_arg(args->ap, int);
      break;
    case ARG_LONG:
      arg->integer = va_arg(args->ap, long);
      break;
    case ARG_LONG_LONG:
      arg->integer = va_arg(args->ap, long long);
      break;
    case ARG_SIZE:
      arg->integer = (int64_t) va_arg(args->ap, size_t);
      break;
    case ARG_DOUBLE:
      arg->real = va_arg(args->ap, double);
      break;
    case ARG_POINTER:
      arg->pointer = va_arg(args->ap, const void *);
      break;
    case ARG_PRINTER: {
      /* It takes its own arguments from the list, so it gets the list itself. */
      mgos__printer_t printer = va_arg(args->ap, mgos__printer_t);
      if (printer == NULL) return -1;
      arg->integer = printer((struct json_out *) arg->pointer, &args->ap);
      break;
    }
    default:
      return -1;
  }
  return 0;
}

static uint16_t publish(struct mgos_mqtt_conn *c, int is_global, const char *topic, int qos, bool retain,
                        const char *fmt, va_list ap) {
  struct mgos__args args;
  uint16_t id;
  va_copy(args.ap, ap);
  id = mgos__pub_formatted(c, is_global, topic, qos, retain ? 1 : 0, fmt, mgos__fetch, &args);
  va_end(args.ap);
  return id;
}

uint16_t mgos__pubv(const char *topic, int qos, bool retain, const char *fmt, va_list ap) {
  return publish(NULL, 1, topic, qos, retain, fmt, ap);
}

uint16_t mgos__pubf(const char *topic, int qos, bool retain, const char *fmt, ...) {
  va_list ap;
  uint16_t id;
  va_start(ap, fmt);
  id = publish(NULL, 1, topic, qos, retain, fmt, ap);
  va_end(ap);
  return id;
}

uint16_t mgos__conn_pubv(struct mgos_mqtt_conn *c, const char *topic, int qos, bool retain, const char *fmt,
                         va_list ap) {
  return publish(c, 0, topic, qos, retain, fmt, ap);
}

uint16_t mgos__conn_pubf(struct mgos_mqtt_conn *c, const char *topic, int qos, bool retain, const char *fmt,
                         ...) {
  va_list ap;
  uint16_t id;
  va_start(ap, fmt);
  id = publish(c, 0, topic, qos, retain, fmt, ap);
  va_end(ap);
  return id;
}

int mgos__json_vprintf(struct json_out *out, const char *fmt, va_list ap) {
  struct mgos__args args;
  int len;
  va_copy(args.ap, ap);
  len = mgos__json_formatted(out, fmt, mgos__fetch, &args);
  va_end(args.ap);
  return len;
}

int mgos__json_printf(struct json_out *out, const char *fmt, ...) {
  va_list ap;
  int len;
  va_start(ap, fmt);
  len = mgos__json_vprintf(out, fmt, ap);
  va_end(ap);
  return len;
}

char *mgos__json_vasprintf(const char *fmt, va_list ap) {
  struct mgos__args args;
  char *text;
  va_copy(args.ap, ap);
  text = mgos__json_allocated(fmt, mgos__fetch, &args);
  va_end(args.ap);
  return text;
}

char *mgos__json_asprintf(const char *fmt, ...) {
  va_list ap;
  char *text;
  va_start(ap, fmt);
  text = mgos__json_vasprintf(fmt, ap);
  va_end(ap);
  return text;
}

int mgos__json_printf_array(struct json_out *out, va_list *ap) {
  const void *start;
  size_t total, size;
  const char *fmt;
  /* Refused there, where the text that is printed so far gets its NUL. */
  if (ap == NULL) return mgos__json_array(out, "", 1, 1, NULL);
  start = va_arg(*ap, const void *);
  total = va_arg(*ap, size_t);
  size = va_arg(*ap, size_t);
  fmt = va_arg(*ap, const char *);
  return mgos__json_array(out, start, total, size, fmt);
}

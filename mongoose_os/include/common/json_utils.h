/* JSON printed into an mbuf. */

#ifndef CS_COMMON_JSON_UTILS_H_
#define CS_COMMON_JSON_UTILS_H_

#include <common/mbuf.h>
#include <common/mg_str.h>
#include <frozen.h>

/* Initialises a struct json_out that appends to a struct mbuf. */
#define JSON_OUT_MBUF(mbuf_ptr)            \
  {                                        \
    mgos_mg_json_printer_mbuf, {           \
      { (char *) (mbuf_ptr), 0, 0 }        \
    }                                      \
  }

#ifdef __cplusplus
extern "C" {
#endif

/* The printer of JSON_OUT_MBUF: `len`, or -1 without memory, with which json_printf() fails, too. */
int mgos_mg_json_printer_mbuf(struct json_out *out, const char *buf, size_t len);

/* Appends a text as the inside of a JSON string, with quotes around it if asked for. */
void mgos_mg_json_emit_str(struct mbuf *b, struct mg_str s, int add_quotes);

#ifdef __cplusplus
}
#endif

#define mg_json_printer_mbuf mgos_mg_json_printer_mbuf
#define mg_json_emit_str mgos_mg_json_emit_str

#endif

/*
 * The names of the frozen library. The exported symbols are mgos_json_*, so that this library links
 * beside another copy of frozen; one file includes the header of one of the two.
 */
#define json_printf mgos_json_printf
#define json_vprintf mgos_json_vprintf
#define json_asprintf mgos_json_asprintf
#define json_vasprintf mgos_json_vasprintf
#define json_printf_array mgos_json_printf_array
#define json_printer_buf mgos_json_printer_buf
#define json_printer_file mgos_json_printer_file
#define json_escape mgos_json_escape

/* Initialises a struct json_out that prints into `len` bytes at `buf`: always NUL-terminated, cut off if too short. */
#define JSON_OUT_BUF(buf, len) \
  {                            \
    json_printer_buf, {        \
      { buf, len, 0 }          \
    }                          \
  }

/* Initialises a struct json_out that prints into a FILE *. */
#define JSON_OUT_FILE(fp)   \
  {                         \
    json_printer_file, {    \
      { (char *) fp, 0, 0 } \
    }                       \
  }

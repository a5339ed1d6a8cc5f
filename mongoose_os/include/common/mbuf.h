/*
 * A growing buffer of bytes.
 *
 *     struct mbuf b;
 *     mbuf_init(&b, 50);
 *     mbuf_append(&b, "abc", 3);
 *     mbuf_free(&b);
 *
 * A call without memory changes nothing and returns 0. One buffer is used by one thread at a time.
 */

#ifndef CS_COMMON_MBUF_H_
#define CS_COMMON_MBUF_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How much larger than needed a buffer becomes when it grows. */
#ifndef MBUF_SIZE_MULTIPLIER
#define MBUF_SIZE_MULTIPLIER 1.5
#endif

struct mbuf {
  char *buf;   /* malloc()ed, or NULL */
  size_t len;  /* bytes in use */
  size_t size; /* bytes allocated */
};

/* Makes a buffer with room for so many bytes; without memory, with none. */
void mgos_mbuf_init(struct mbuf *b, size_t initial_capacity);

/* Releases the bytes and makes the buffer empty. */
void mgos_mbuf_free(struct mbuf *b);

/* Appends bytes, which may be part of the buffer itself; how many were. NULL appends zeros. */
size_t mgos_mbuf_append(struct mbuf *b, const void *data, size_t len);

/* As mbuf_append(); then gives `data` to free(), in any case. */
size_t mgos_mbuf_append_and_free(struct mbuf *b, void *data, size_t len);

/* Inserts bytes at an offset, at most `b->len`; how many were. NULL inserts zeros. */
size_t mgos_mbuf_insert(struct mbuf *b, size_t off, const void *data, size_t len);

/* Removes bytes from the front, at most all. */
void mgos_mbuf_remove(struct mbuf *b, size_t len);

/* Sets how many bytes are allocated, but never less than are in use. */
void mgos_mbuf_resize(struct mbuf *b, size_t new_size);

/* Moves the bytes of one buffer to another, whose own are released. */
void mgos_mbuf_move(struct mbuf *from, struct mbuf *to);

/* Removes all bytes; what is allocated stays. */
void mgos_mbuf_clear(struct mbuf *b);

/* Gives back what is allocated and not used. */
void mgos_mbuf_trim(struct mbuf *b);

#ifdef __cplusplus
}
#endif

#define mbuf_init mgos_mbuf_init
#define mbuf_free mgos_mbuf_free
#define mbuf_append mgos_mbuf_append
#define mbuf_append_and_free mgos_mbuf_append_and_free
#define mbuf_insert mgos_mbuf_insert
#define mbuf_remove mgos_mbuf_remove
#define mbuf_resize mgos_mbuf_resize
#define mbuf_move mgos_mbuf_move
#define mbuf_clear mgos_mbuf_clear
#define mbuf_trim mgos_mbuf_trim

#endif

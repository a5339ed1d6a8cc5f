/* Growing buffers. */

#include <common/mbuf.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void mgos_mbuf_init(struct mbuf *b, size_t initial_capacity) {
  b->buf = initial_capacity > 0 ? malloc(initial_capacity) : NULL;
  b->size = b->buf != NULL ? initial_capacity : 0;
  b->len = 0;
}

void mgos_mbuf_free(struct mbuf *b) {
  if (b == NULL) return;
  free(b->buf);
  mgos_mbuf_init(b, 0);
}

void mgos_mbuf_resize(struct mbuf *b, size_t new_size) {
  char *buf;
  if (new_size < b->len) new_size = b->len;
  if (new_size == b->size) return;
  if (new_size == 0) {
    mgos_mbuf_free(b);
    return;
  }
  buf = realloc(b->buf, new_size);
  if (buf == NULL) return;
  b->buf = buf;
  b->size = new_size;
}

void mgos_mbuf_trim(struct mbuf *b) {
  mgos_mbuf_resize(b, b->len);
}

void mgos_mbuf_clear(struct mbuf *b) {
  b->len = 0;
}

/* Room for `len` more bytes. */
static int reserve(struct mbuf *b, size_t len) {
  size_t wanted, more;
  if (len > SIZE_MAX / 4 || b->len > SIZE_MAX / 4) return 0;
  wanted = b->len + len;
  if (wanted <= b->size) return 1;
  more = (size_t) ((double) wanted * MBUF_SIZE_MULTIPLIER);
  mgos_mbuf_resize(b, more);
  if (b->size < wanted) mgos_mbuf_resize(b, wanted);
  return b->size >= wanted;
}

size_t mgos_mbuf_insert(struct mbuf *b, size_t off, const void *data, size_t len) {
  const char *from = data;
  size_t inside = 0;
  int own;
  if (off > b->len || len == 0) return 0;
  own = from != NULL && b->buf != NULL && (uintptr_t) from >= (uintptr_t) b->buf && (uintptr_t) from < (uintptr_t) (b->buf + b->len);
  if (own) inside = (size_t) (from - b->buf);
  if (!reserve(b, len)) return 0;
  if (own) from = b->buf + inside;
  if (b->len > off) memmove(b->buf + off + len, b->buf + off, b->len - off);
  if (from == NULL) {
    memset(b->buf + off, 0, len);
  } else if (!own || inside + len <= off) {
    memcpy(b->buf + off, from, len);
  } else if (inside >= off) {
    memcpy(b->buf + off, from + len, len); /* it was moved */
  } else {
    memcpy(b->buf + off, from, off - inside);
    memcpy(b->buf + off + (off - inside), b->buf + off + len, len - (off - inside));
  }
  b->len += len;
  return len;
}

size_t mgos_mbuf_append(struct mbuf *b, const void *data, size_t len) {
  return mgos_mbuf_insert(b, b->len, data, len);
}

size_t mgos_mbuf_append_and_free(struct mbuf *b, void *data, size_t len) {
  size_t n = mgos_mbuf_append(b, data, len);
  free(data);
  return n;
}

void mgos_mbuf_remove(struct mbuf *b, size_t len) {
  if (len > b->len) len = b->len;
  if (len == 0) return;
  memmove(b->buf, b->buf + len, b->len - len);
  b->len -= len;
}

void mgos_mbuf_move(struct mbuf *from, struct mbuf *to) {
  if (from == to) return;
  mgos_mbuf_free(to);
  *to = *from;
  mgos_mbuf_init(from, 0);
}

/* Base64 (RFC 4648, section 4). */

#include <common/cs_base64.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void mgos_cs_base64_encode(const unsigned char *src, int len, char *dst) {
  int i;
  for (i = 0; i + 2 < len; i += 3) {
    *dst++ = alphabet[src[i] >> 2];
    *dst++ = alphabet[(src[i] & 3) << 4 | src[i + 1] >> 4];
    *dst++ = alphabet[(src[i + 1] & 15) << 2 | src[i + 2] >> 6];
    *dst++ = alphabet[src[i + 2] & 63];
  }
  if (i < len) {
    int two = i + 1 < len;
    *dst++ = alphabet[src[i] >> 2];
    *dst++ = alphabet[(src[i] & 3) << 4 | (two ? src[i + 1] >> 4 : 0)];
    *dst++ = two ? alphabet[(src[i + 1] & 15) << 2] : '=';
    *dst++ = '=';
  }
  *dst = '\0';
}

static int digit(unsigned char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters: how many bytes they stand for, or 0. */
static int group(const unsigned char *src, char *dst) {
  int a = digit(src[0]), b = digit(src[1]), c = digit(src[2]), d = digit(src[3]);
  int n = src[3] != '=' ? 3 : src[2] != '=' ? 2 : 1;
  if (a < 0 || b < 0 || (n > 1 && c < 0) || (n > 2 && d < 0)) return 0;
  dst[0] = (char) (a << 2 | b >> 4);
  if (n > 1) dst[1] = (char) ((b & 15) << 4 | c >> 2);
  if (n > 2) dst[2] = (char) ((c & 3) << 6 | d);
  return n;
}

int mgos_cs_base64_decode(const unsigned char *src, int len, char *dst, int *dec_len) {
  int read = 0, written = 0;
  while (len - read >= 4) {
    int n = group(src + read, dst + written);
    if (n == 0) break;
    read += 4;
    written += n;
    if (n < 3) break;
  }
  dst[written] = '\0';
  if (dec_len != NULL) *dec_len = written;
  return read;
}

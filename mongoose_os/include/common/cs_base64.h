/* Base64 (RFC 4648). */

#ifndef CS_COMMON_CS_BASE64_H_
#define CS_COMMON_CS_BASE64_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Encodes `len` bytes. `dst` needs room for (len + 2) / 3 * 4 + 1 bytes: a NUL is at the end. */
void mgos_cs_base64_encode(const unsigned char *src, int len, char *dst);

/* Decodes up to the first byte that does not belong there, and returns how many bytes were read; `*dec_len`, if not NULL, gets
   how many were written. `dst` needs room for len / 4 * 3 + 3 bytes: a NUL is at the end. A result less than `len` means
   that the text is not valid. */
int mgos_cs_base64_decode(const unsigned char *src, int len, char *dst, int *dec_len);

#ifdef __cplusplus
}
#endif

#define cs_base64_encode mgos_cs_base64_encode
#define cs_base64_decode mgos_cs_base64_decode
/* Older names. */
#define mg_base64_encode mgos_cs_base64_encode
#define mg_base64_decode mgos_cs_base64_decode

#endif

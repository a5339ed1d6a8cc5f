/* SHA-256 and what is made of it, for servers of tests (FIPS 180-4, RFC 2104, RFC 8018). */
#ifndef TESTS_C_SHA256_H
#define TESTS_C_SHA256_H

#include <stddef.h>
#include <stdint.h>

void sha256(const void *data, size_t len, uint8_t hash[32]);
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t mac[32]);
/* One block of PBKDF2. */
void pbkdf2_sha256(const char *password, const char *salt, unsigned rounds, uint8_t key[32]);
/* 32 bytes in Base64, with a NUL behind them. */
void base64_32(const uint8_t bytes[32], char text[45]);

#endif

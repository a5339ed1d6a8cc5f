#include "sha256.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2};

#define ROT(x, n) ((x) >> (n) | (x) << (32 - (n)))

static void block(uint32_t h[8], const uint8_t *p) {
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++, p += 4) {
    w[i] = (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t s0 = ROT(w[i - 15], 7) ^ ROT(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t s1 = ROT(w[i - 2], 17) ^ ROT(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  memcpy(v, h, sizeof(v));
  for (int i = 0; i < 64; i++) {
    uint32_t s1 = ROT(v[4], 6) ^ ROT(v[4], 11) ^ ROT(v[4], 25);
    uint32_t one = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
    uint32_t s0 = ROT(v[0], 2) ^ ROT(v[0], 13) ^ ROT(v[0], 22);
    uint32_t two = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof(*v));
    v[4] += one;
    v[0] = one + two;
  }
  for (int i = 0; i < 8; i++) h[i] += v[i];
}

void sha256(const void *data, size_t len, uint8_t hash[32]) {
  uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const uint8_t *p = data;
  uint8_t last[128] = {0};
  size_t rest = len % 64, end = rest < 56 ? 64 : 128;
  for (size_t n = len / 64; n > 0; n--, p += 64) block(h, p);
  memcpy(last, p, rest);
  last[rest] = 0x80;
  for (int i = 0; i < 8; i++) last[end - 1 - i] = (uint8_t) ((uint64_t) len * 8 >> 8 * i);
  for (size_t at = 0; at < end; at += 64) block(h, last + at);
  for (int i = 0; i < 32; i++) hash[i] = (uint8_t) (h[i / 4] >> (24 - 8 * (i % 4)));
}

void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t mac[32]) {
  uint8_t outer[96], *inner = malloc(64 + len), k[64] = {0};
  if (inner == NULL) abort();
  if (key_len > 64) {
    sha256(key, key_len, k);
  } else {
    memcpy(k, key, key_len);
  }
  for (int i = 0; i < 64; i++) {
    inner[i] = k[i] ^ 0x36;
    outer[i] = k[i] ^ 0x5c;
  }
  memcpy(inner + 64, data, len);
  sha256(inner, 64 + len, outer + 64);
  sha256(outer, sizeof(outer), mac);
  free(inner);
}

void pbkdf2_sha256(const char *password, const char *salt, unsigned rounds, uint8_t key[32]) {
  char first[128];
  uint8_t u[32];
  size_t len = strlen(salt);
  if (len > sizeof(first) - 4) abort();
  memcpy(first, salt, len);
  memcpy(first + len, "\0\0\0\1", 4);
  hmac_sha256(password, strlen(password), first, len + 4, u);
  memcpy(key, u, 32);
  while (--rounds > 0) {
    hmac_sha256(password, strlen(password), u, 32, u);
    for (int i = 0; i < 32; i++) key[i] ^= u[i];
  }
}

void base64_32(const uint8_t bytes[32], char text[45]) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int i = 0; i < 43; i++) {
    int bit = i * 6, at = bit / 8;
    unsigned two = (unsigned) bytes[at] << 8 | (at < 31 ? bytes[at + 1] : 0);
    text[i] = digits[two >> (10 - bit % 8) & 63];
  }
  text[43] = '=';
  text[44] = '\0';
}

// Content that a seed makes and no two places share, and SHA-256 over it.
// SPDX-License-Identifier: MIT
#ifndef CONTENT_H
#define CONTENT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A pool of random bytes, made by the other side from the seed, lies in a file.
// A stream is pieces: piece i begins with its own number, so that none can be
// lost, doubled or moved unseen, and goes on with a part of the pool.
#define POOL_SPAN  (1u << 20)
#define PIECE      65536u
#define PIECE_HEAD 8u
#define POOL_STEP  40503u // bytes; odd, so that all starts are used

struct content {
    uint8_t *pool; // POOL_SPAN + PIECE bytes
    uint64_t stream;
};

static uint8_t *content_pool(const char *path) {
    size_t len = POOL_SPAN + PIECE;
    uint8_t *pool = malloc(len);
    FILE *f = fopen(path, "rb");
    if (!f || fread(pool, 1, len, f) != len) {
        fprintf(stderr, "no pool in %s\n", path);
        exit(2);
    }
    fclose(f);
    return pool;
}

static const uint8_t *content_at(const struct content *c, uint64_t piece) {
    return c->pool + (piece * POOL_STEP + c->stream) % POOL_SPAN;
}

static uint64_t content_head(const struct content *c, uint64_t piece) {
    return c->stream << 40 | piece; // little-endian, as all machines here are
}

// Writes the len bytes of the stream that begin at pos.
static inline void content_fill(const struct content *c, uint64_t pos,
    uint8_t *buf, size_t len) {
    while (len) {
        uint64_t piece = pos / PIECE;
        uint32_t at = (uint32_t)(pos % PIECE);
        size_t n = PIECE - at < len ? PIECE - at : len;
        if (at < PIECE_HEAD) {
            uint64_t head = content_head(c, piece);
            n = PIECE_HEAD - at < n ? PIECE_HEAD - at : n;
            memcpy(buf, (uint8_t *)&head + at, n);
        } else {
            memcpy(buf, content_at(c, piece) + at - PIECE_HEAD, n);
        }
        buf += n;
        pos += n;
        len -= n;
    }
}

// --- SHA-256 (FIPS 180-4) ---

struct sha256 {
    uint32_t h[8];
    uint64_t bytes;
    uint8_t block[64];
};

static const uint32_t sha256_k[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf,
    0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7,
    0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e,
    0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c,
    0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee,
    0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2};

static inline uint32_t sha256_rot(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static inline void sha256_block(struct sha256 *s, const uint8_t *p) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15];
        uint32_t b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] +
               (sha256_rot(a, 7) ^ sha256_rot(a, 18) ^ a >> 3) +
               (sha256_rot(b, 17) ^ sha256_rot(b, 19) ^ b >> 10);
    }
    uint32_t v[8];
    memcpy(v, s->h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t e = v[4];
        uint32_t a = v[0];
        uint32_t t1 =
            v[7] + (sha256_rot(e, 6) ^ sha256_rot(e, 11) ^ sha256_rot(e, 25)) +
            ((e & v[5]) ^ (~e & v[6])) + sha256_k[i] + w[i];
        uint32_t t2 =
            (sha256_rot(a, 2) ^ sha256_rot(a, 13) ^ sha256_rot(a, 22)) +
            ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) {
        s->h[i] += v[i];
    }
}

static inline void sha256_start(struct sha256 *s) {
    static const uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372,
        0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->h, h, sizeof h);
    s->bytes = 0;
}

static inline void sha256_add(struct sha256 *s, const uint8_t *p, size_t len) {
    while (len) {
        size_t at = s->bytes % 64;
        if (at == 0 && len >= 64) {
            sha256_block(s, p);
            s->bytes += 64;
            p += 64;
            len -= 64;
            continue;
        }
        size_t n = 64 - at < len ? 64 - at : len;
        memcpy(s->block + at, p, n);
        s->bytes += n;
        p += n;
        len -= n;
        if (s->bytes % 64 == 0) {
            sha256_block(s, s->block);
        }
    }
}

// Ends it; out is hexadecimal.
static inline void sha256_end(struct sha256 *s, char out[65]) {
    uint64_t bits = s->bytes * 8;
    uint8_t pad[72] = {0x80};
    size_t n = 64 - (s->bytes + 8) % 64;
    for (size_t i = 0; i < 8; i++) {
        pad[n + i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    sha256_add(s, pad, n + 8);
    for (size_t i = 0; i < 8; i++) {
        snprintf(out + 8 * i, 9, "%08x", (unsigned)s->h[i]);
    }
}

#endif

// What the far side does for the checks of memory and doorbells, before there
// is a link: it looks at near's question every millisecond, rung or not, so
// that a broken doorbell and broken caches can be told apart.
// SPDX-License-Identifier: MIT
#ifndef PORT_ANSWER_H
#define PORT_ANSWER_H

#include <stdint.h>

#define ANSWER_MAGIC   0x54534554u // "TEST", where a link has far's magic
#define ANSWER_SCRATCH 4096u       // offset in either half
#define ANSWER_BYTES   8192u       // of it
#define ANSWER_LEAST   (2u * (ANSWER_SCRATCH + ANSWER_BYTES)) // of the region

enum answer_op {
    ANSWER_READ = 1, // value: digest of [at, at + n) of near's scratch
    ANSWER_WRITE,    // fills [at, at + n) of far's with the pattern of seed
    ANSWER_RING,     // rings n times, after `at` microseconds
    ANSWER_CLOCK,    // ns: far's clock
    ANSWER_ECHO,     // n = 1: until told otherwise, answers each doorbell: puts
                     // near's word into echo and rings
};

// Near's, from its second line on.
struct answer_ask {
    uint32_t op, at, n, seed;
    uint32_t seq; // stored last: a new question
    uint32_t unused[11];
    uint32_t word; // a line of its own, for ANSWER_ECHO
    uint32_t unused2[15];
};

// Far's, from its second line on.
struct answer_tell {
    uint32_t beat; // moves every millisecond
    uint32_t value;
    uint32_t ns_low, ns_high;
    uint32_t rung; // doorbells seen since the beginning
    uint32_t echo;
    uint32_t seq; // of the question that was answered last
    uint32_t unused[9];
};

// Byte i of the pattern of a seed.
static inline uint8_t answer_pattern(uint32_t seed, uint32_t i) {
    uint32_t v = (seed + i) * 2654435761u;
    return (uint8_t)(v >> 24 ^ v >> 11);
}

// FNV-1a
static inline uint32_t answer_digest(uint32_t d, const uint8_t *p, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        d = (d ^ p[i]) * 16777619u;
    }
    return d;
}
#define ANSWER_DIGEST 2166136261u

#endif

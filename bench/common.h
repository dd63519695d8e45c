// What the measuring programs and their peers share.
// SPDX-License-Identifier: MIT
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHUNK 65536u // in which a peer sends and takes a stream
#define HOSTS 250u   // 127.0.0.1 and on that connections go to in turn

// What a near program asks its peer for on a TCP connection: 'w', that it takes
// count bytes and then sends one; 'r', that it sends count bytes; 'b', both at
// the same time; 'p', that it sends back count single bytes.
struct command {
    uint64_t what;
    uint64_t count;
};

// Times, in buckets whose width is less than a hundredth of what they hold: the
// one that a time of 2^40 ns (18 minutes) falls into is within.
#define TIMES_BITS 7u
#define TIMES_SUB  (1u << TIMES_BITS)
#define TIMES_SIZE (TIMES_SUB * 36u)

struct times {
    uint32_t count[TIMES_SIZE];
};

static inline void die(const char *what, const char *why) {
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static inline int must(const char *what, int r) {
    if (r < 0) {
        die(what, strerror(-r));
    }
    return r;
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint32_t times_bucket(uint64_t ns) {
    if (ns < TIMES_SUB) {
        return (uint32_t)ns;
    }
    uint32_t shift = 63u - TIMES_BITS - (uint32_t)__builtin_clzll(ns);
    uint32_t bucket = (shift << TIMES_BITS) + (uint32_t)(ns >> shift);
    return bucket < TIMES_SIZE ? bucket : TIMES_SIZE - 1u;
}

// The shortest time that falls into a bucket.
static inline uint64_t times_floor(uint32_t bucket) {
    if (bucket < 2u * TIMES_SUB) {
        return bucket;
    }
    uint32_t shift = (bucket >> TIMES_BITS) - 1u;
    return (uint64_t)(bucket - (shift << TIMES_BITS)) << shift;
}

static inline void times_add(struct times *t, uint64_t ns) {
    t->count[times_bucket(ns)]++;
}

// A round's line on stdout: nanoseconds, operations, how many of them were
// lost, and then shortest time:count for each bucket of t (may be NULL).
static inline void tell(uint64_t ns, uint64_t ops, uint64_t lost,
    const struct times *t) {
    printf("%llu %llu %llu", (unsigned long long)ns, (unsigned long long)ops,
        (unsigned long long)lost);
    for (uint32_t i = 0; t && i < TIMES_SIZE; i++) {
        if (t->count[i]) {
            printf(" %llu:%u", (unsigned long long)times_floor(i), t->count[i]);
        }
    }
    printf("\n");
    fflush(stdout);
}

static inline void ready(void) {
    printf("ready\n");
    fflush(stdout);
}

// Each line on stdin is a round of that many operations; 0 at the end.
static inline uint64_t next_round(void) {
    char line[32];
    return fgets(line, sizeof line, stdin) ? strtoull(line, NULL, 0) : 0;
}

static inline uint64_t number(int argc, char **argv, int i) {
    if (i >= argc) {
        die("usage", "see the head of its source");
    }
    return strtoull(argv[i], NULL, 0);
}

#endif

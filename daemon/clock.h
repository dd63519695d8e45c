// The clock of the shell.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_CLOCK_H
#define FARSOCKD_CLOCK_H

#include <stdint.h>
#include <time.h>

// Nanoseconds, monotonic.
static inline uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

#endif

// What every port on Linux gives the checks.
// SPDX-License-Identifier: MIT
#ifndef PORT_HOST_H
#define PORT_HOST_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline void host_write(const char *text, size_t n) {
    fwrite(text, 1, n, stdout);
    fflush(stdout);
}

static inline uint64_t host_cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct host_later {
    void (*fn)(void *arg);
    void *arg;
    uint32_t ms;
};

static inline void *host_call(void *arg) {
    struct host_later l = *(struct host_later *)arg;
    struct timespec t = {l.ms / 1000u, (long)(l.ms % 1000u) * 1000000};
    free(arg);
    nanosleep(&t, NULL);
    l.fn(l.arg);
    return NULL;
}

static inline void host_later(void (*fn)(void *arg), void *arg, uint32_t ms) {
    struct host_later *l = malloc(sizeof *l);
    pthread_t t;
    *l = (struct host_later){fn, arg, ms};
    if (pthread_create(&t, NULL, host_call, l) == 0) {
        pthread_detach(t);
    }
}

#endif

// What every port on Linux gives the checks.
// SPDX-License-Identifier: MIT
#ifndef PORT_HOST_H
#define PORT_HOST_H

#include <pthread.h>
#include <stdbool.h>
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

static pthread_t host_thread;
static bool host_started;

// Until the last host_later() has made its call: who changes what that looks at
// must not do so before.
static inline void host_wait(void) {
    if (host_started) {
        pthread_join(host_thread, NULL);
        host_started = false;
    }
}

static inline void host_later(void (*fn)(void *arg), void *arg, uint32_t ms) {
    host_wait();
    struct host_later *l = malloc(sizeof *l);
    *l = (struct host_later){fn, arg, ms};
    host_started = pthread_create(&host_thread, NULL, host_call, l) == 0;
}

#endif

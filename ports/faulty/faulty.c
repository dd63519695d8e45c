// Counting steps, and what happens at them.
// SPDX-License-Identifier: MIT
#include "ports/faulty/faulty.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ports/faulty/layer.h"
#include "ports/faulty/mem.h"

struct faulty *faulty;
static enum faulty_side me = FAULTY_NONE;

void faulty_be(enum faulty_side side) {
    me = side;
}

enum faulty_side faulty_me(void) {
    return me;
}

// Before main(): farsockd's first steps count, too.
__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("FARSOCK_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *m =
        mmap(NULL, sizeof *faulty, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    faulty = m == MAP_FAILED ? NULL : m;
    if (getenv("FARSOCK_FAULTS_FAR")) {
        me = FAULTY_FAR;
    }
}

static void die(struct faulty_steps *s, const char *what) {
    strncpy(s->last, what, sizeof s->last - 1);
    kill(getpid(), SIGKILL);
    for (;;) {
        pause(); // another thread may be on its way, we go no further
    }
}

void faulty_step(const char *what) {
    if (!faulty || me == FAULTY_NONE || !faulty->on) {
        return;
    }
    struct faulty_steps *s = &faulty->side[me];
    uint32_t n = atomic_fetch_add(&s->steps, 1u) + 1u;
    if (n == s->kill_at) {
        die(s, what);
    }
    if (n == s->ring_at) {
        for (uint32_t i = 0; i < s->ring_count; i++) {
            faulty_ring();
        }
    }
}

void faulty_store_bytes(void *to, const void *src, size_t n) {
    faulty_step("copy");
    memcpy(to, src, n / 2u);
    faulty_step("copy's rest");
    memcpy((char *)to + n / 2u, (const char *)src + n / 2u, n - n / 2u);
}

// How often the doorbell shall be rung in place of once.
uint32_t faulty_bell(void) {
    if (!faulty || me == FAULTY_NONE || !faulty->on) {
        return 1;
    }
    struct faulty_steps *s = &faulty->side[me];
    uint32_t n = atomic_fetch_add(&s->bells, 1u) + 1u;
    uint32_t at = s->bell_at;
    uint32_t every = s->bell_every;
    if (at == 0 || n < at || (n > at && (every == 0 || (n - at) % every))) {
        return 1;
    }
    uint32_t fault = s->bell_fault;
    switch (fault) {
        case FAULTY_BELL_LOST:
            return 0;
        case FAULTY_BELL_TWICE:
            return 2;
        case FAULTY_BELL_LATE: {
            struct timespec t = {.tv_nsec = FAULTY_LATE_MS * 1000000L};
            nanosleep(&t, NULL);
            return 1;
        }
        default:
            return 1;
    }
}

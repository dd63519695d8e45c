// What the floors share: two processes, memory and bells.
// SPDX-License-Identifier: MIT
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include "bench/common.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLICE_NS UINT64_C(100000000) // as farsockd's

static int near_bell;
static int far_bell;

static inline long ok(const char *what, long r) {
    if (r < 0) {
        die(what, strerror(errno));
    }
    return r;
}

static inline void ring_bell(int bell) {
    uint64_t one = 1;
    ok("write", write(bell, &one, sizeof one));
}

static inline void sleep_at(int bell) {
    uint64_t n = 0;
    ok("read", read(bell, &n, sizeof n));
}

// Memory that a child shares, and the bells.
static inline void *shared_memory(size_t size) {
    void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED) {
        die("memory", "none");
    }
    near_bell = (int)ok("eventfd", eventfd(0, 0));
    far_bell = (int)ok("eventfd", eventfd(0, 0));
    return mem;
}

// Who is woken goes before far, as before farsockd. For works that are quicker
// so: of reads and datagrams the floor carries less then.
static inline void give_way(void) {
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } a = {.size = sizeof a, .runtime = SLICE_NS};
    syscall(SYS_sched_setattr, 0, &a, 0); // not every kernel does it
}

// Ends with near. cpu: -1 for any.
static inline void become_far(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (cpu >= 0) {
        CPU_SET((size_t)cpu, &set);
        ok("processor", sched_setaffinity(0, sizeof set, &set));
    }
}

// host: the last byte of 127.0.0.x.
static inline int connected(int type, int port, uint32_t host) {
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(0x7f000000u | host),
    };
    int s = (int)ok("socket", socket(AF_INET, type, 0));
    ok("connect", connect(s, (struct sockaddr *)&to, sizeof to));
    return s;
}

#endif

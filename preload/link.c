// The process's link, and what surrounds a call on it.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>

// A wish: what is not used costs no memory, and programs expect more than the
// 1024 of a small core.
#define SOCKETS       4096
#define SOCKETS_LEAST 64
// Address space that a socket takes, as rings are by default.
#define SOCKET_BYTES (512u * 1024u)

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static struct plink *_Atomic current;

// This thread's call, which a handler may look at.
static _Thread_local struct call_state call
    __attribute__((tls_model("initial-exec")));

bool call_was_interrupted(void) {
    return call.restarts ? call.before.ending != fari_signals.ending
                         : call.before.all != fari_signals.all;
}

// Asked before each sleep. A handler that runs between this look and the sleep
// would be overslept: call_wake() sees that it is not.
static bool interrupted(void *arg) {
    (void)arg;
    call.sleeps = true;
    atomic_signal_fence(memory_order_seq_cst);
    if (call_was_interrupted()) {
        return true;
    }
    call.slept = fari_signals.all;
    return false;
}

// As natively: handlers that ran before anything moved had the call begin anew,
// others end it.
static void moved(void *arg) {
    (void)arg;
    if (call.restarts && !call_was_interrupted()) {
        call.before.all = call.slept;
        call.restarts = false;
    }
}

void call_begin(bool restarts) {
    call.sleeps = false;
    if (call.part) {
        moved(NULL);
        return;
    }
    call.before = fari_signals;
    call.slept = call.before.all;
    call.restarts = restarts;
}

void call_part(bool moved) {
    call.part = moved;
}

struct call_state call_suspend(void) {
    return call;
}

void call_resume(const struct call_state *c) {
    call = *c;
}

void call_wake(bool held) {
    struct plink *l = link_if_open();
    if (call.sleeps && l && (held || call_was_interrupted())) {
        int saved = errno;
        far_posix_interrupt(l->posix);
        errno = saved;
    }
}

static void told(void *arg, uint32_t slot) {
    const struct plink *l = arg;
    struct psock *s = atomic_load(&l->by_slot[slot % SLOTS_MAX]);
    if (s) {
        psock_mark(s);
    }
}

static struct far_held *held(void) {
    return &fari_held;
}

static void guard_link(struct far_posix *p) {
    int fds[8];
    int n = far_posix_fds(p, fds, 8);
    for (int i = 0; i < n; i++) {
        guard_add(fds[i]);
    }
}

// As the environment was at the start: programs clear it (nginx does).
static char link_path[sizeof(((struct sockaddr_un *)0)->sun_path)];

__attribute__((constructor)) static void remember_link(void) {
    const char *path = getenv("FARSOCK_LINK");
    if (path && strlen(path) < sizeof link_path) {
        memcpy(link_path, path, strlen(path) + 1);
    }
}

// A program may have a limit on its address space: it gets a quarter of that.
static uint32_t sockets_wished(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_AS, &r) != 0 || r.rlim_cur == RLIM_INFINITY) {
        return SOCKETS;
    }
    rlim_t fit = r.rlim_cur / 4u / SOCKET_BYTES;
    return fit > SOCKETS         ? SOCKETS
           : fit < SOCKETS_LEAST ? SOCKETS_LEAST
                                 : (uint32_t)fit;
}

static struct plink *open_link(void) {
    struct plink *l = calloc(1, sizeof *l);
    struct far_posix_options o = {
        .path = link_path[0] ? link_path : NULL,
        .wait_s = -1,
        .sockets = sockets_wished(),
        .first_fd = guard_floor(),
        .interrupted = interrupted,
        .moved = moved,
        .told = told,
        .held = held,
        .let_go = hold_let_go,
        .arg = l,
    };
    if (l) {
        l->by_slot = calloc(SLOTS_MAX, sizeof *l->by_slot);
    }
    if (!l || !l->by_slot) {
        free(l);
        errno = ENOMEM;
        return NULL;
    }
    int err = far_posix_open(&l->posix, &o);
    if (err != FAR_OK) {
        free(l->by_slot);
        free(l);
        far_done(err == FAR_EINTR ? FAR_EINTR : FAR_ENETDOWN);
        return NULL;
    }
    l->near = far_posix_link(l->posix);
    guard_link(l->posix);
    return l;
}

struct plink *link_if_open(void) {
    return atomic_load_explicit(&current, memory_order_acquire);
}

// The last link that was found dead. Another one is current only after that.
uint32_t link_deaths(void) {
    static struct plink *_Atomic dead;
    static _Atomic uint32_t deaths;
    struct plink *l = link_if_open();
    if (l && !far_link_is_up(l->near) && dead != l) {
        deaths++; // perhaps twice, which does no harm; too late would
        dead = l;
    }
    return deaths;
}

struct plink *link_get(void) {
    struct plink *l = link_if_open();
    if (l && far_link_is_up(l->near)) {
        return l;
    }
    own_lock(&opening);
    l = link_if_open();
    if (!l || !far_link_is_up(l->near)) {
        // Sockets of a link that died keep it; new ones get a new one.
        link_deaths();
        l = open_link();
        if (l) {
            atomic_store_explicit(&current, l, memory_order_release);
        }
    }
    own_unlock(&opening);
    return l;
}

// In the child: the link is its parent's, whose death must be noticed.
void link_forget_after_fork(void) {
    int fd;
    while ((fd = guard_next(0, FD_MAX)) >= 0) {
        guard_remove(fd);
        real()->close(fd);
    }
    pthread_mutex_init(&opening, NULL);
    // Its memory, too: a limit on address space may come before our own link.
    struct plink *l = atomic_exchange(&current, NULL);
    if (l) {
        far_posix_close(l->posix);
    }
}

// Numbers of the link equal those of Linux's generic ABI.
int far_done(int r) {
    if (r >= 0) {
        return r;
    }
    errno = r <= FAR_ELINKDOWN ? ENETDOWN : -r;
    return -1;
}

ssize_t far_done_long(ssize_t r) {
    return r < 0 ? far_done((int)r) : r;
}

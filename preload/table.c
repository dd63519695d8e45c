// Which descriptors are far sockets, and which are the library's own.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#define GUARDS_MAX  1024
#define OWN_FDS     64   // how far below the limit own descriptors begin
#define OWN_FDS_TOP 4096 // but no higher: the kernel's table grows with them

struct psock *_Atomic fari_fds[FD_MAX];

_Atomic int fari_fds_top;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
// Those that are free, the longest first. So many rest: a thread that has just
// looked one up may still use it when another one's fork or close has freed it,
// and shall not meet another socket in it.
#define RESTING 1024u
static struct psock *free_socks;
static struct psock **free_end = &free_socks;
static uint32_t free_count;
static _Atomic int guards[GUARDS_MAX]; // descriptor + 1
static _Atomic int guards_top;

void table_lock(void) {
    own_lock(&lock);
}

void table_unlock(void) {
    own_unlock(&lock);
}

// --- Sockets ---

void psock_in_slot(struct psock *s) {
    atomic_store(&s->link->by_slot[far_slot(s->handle)], s);
}

static struct psock *take_free(void) {
    struct psock *s = NULL;
    table_lock();
    if (free_count > RESTING) {
        s = free_socks;
        free_socks = s->next_free;
        free_count--;
    }
    table_unlock();
    return s;
}

struct psock *psock_new(struct plink *link, int handle, int family, int type,
    int proto) {
    struct psock *s = take_free();
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s) {
            return NULL;
        }
    }
    s->link = link;
    s->handle = handle;
    s->family = family;
    s->type = type;
    s->proto = proto;
    s->nonblock = s->rcvtimeo = s->sndtimeo = false;
    s->shared = false;
    s->ino = 0;
    s->goal = (struct far_addr){0};
    s->refs = 0;
    s->kind = PSOCK_FAR;
    if (link) { // else it is yet to be adopted
        psock_in_slot(s);
    }
    return s;
}

static void psock_free(struct psock *s, bool linger) {
    if (s->kind == PSOCK_FAR && linger) {
        // close(2) ends no earlier for a signal.
        call_begin(true);
        far_close(s->link->near, s->handle, FAR_FOREVER);
    } else if (s->kind == PSOCK_FAR) {
        far_close_nowait(s->link->near, s->handle);
    }
    table_lock();
    s->kind = PSOCK_FREE;
    s->next_free = NULL;
    *free_end = s;
    free_end = &s->next_free;
    free_count++;
    table_unlock();
}

void table_set(int fd, struct psock *s) {
    if ((unsigned)fd < FD_MAX) {
        int top = fari_fds_top;
        while (top <= fd &&
               !atomic_compare_exchange_weak(&fari_fds_top, &top, fd + 1)) {
        }
        atomic_fetch_add(&s->refs, 1);
        atomic_store_explicit(&fari_fds[fd], s, memory_order_release);
    }
}

bool table_drop(int fd, bool linger) {
    if (!psock_at(fd)) {
        return false;
    }
    table_lock();
    struct psock *s = atomic_exchange(&fari_fds[fd], NULL);
    bool last = s && atomic_fetch_sub(&s->refs, 1) == 1;
    if (last) {
        epoll_forget_sock(s);
    }
    table_unlock();
    if (last) {
        psock_free(s, linger);
    }
    return s != NULL;
}

struct psock *psock_hold(int fd) {
    table_lock();
    struct psock *s = psock_at(fd);
    if (s) {
        atomic_fetch_add(&s->refs, 1);
    }
    table_unlock();
    return s;
}

void psock_let_go(struct psock *s) {
    table_lock();
    bool last = atomic_fetch_sub(&s->refs, 1) == 1;
    if (last) {
        epoll_forget_sock(s);
    }
    table_unlock();
    if (last) {
        psock_free(s, false);
    }
}

void table_inherit(void) {
    for (int fd = 0; fd < fari_fds_top; fd++) {
        struct psock *s = psock_at(fd);
        if (s && s->kind == PSOCK_FAR) {
            s->kind = PSOCK_INHERITED;
        }
    }
}

// --- The library's own descriptors ---

int guard_floor(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur < 4 * OWN_FDS) {
        return 0;
    }
    int top = r.rlim_cur < OWN_FDS_TOP ? (int)r.rlim_cur : OWN_FDS_TOP;
    return top - OWN_FDS;
}

void guard_add(int fd) {
    for (int i = 0; i < GUARDS_MAX; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&guards[i], &none, fd + 1)) {
            int top = guards_top;
            while (top <= i &&
                   !atomic_compare_exchange_weak(&guards_top, &top, i + 1)) {
            }
            return;
        }
    }
}

void guard_remove(int fd) {
    for (int i = 0; i < guards_top; i++) {
        int it = fd + 1;
        if (atomic_compare_exchange_strong(&guards[i], &it, 0)) {
            return;
        }
    }
}

int guard_next(int from, int to) {
    int best = -1;
    for (int i = 0; i < guards_top; i++) {
        int fd = guards[i] - 1;
        if (fd >= from && fd <= to && (best < 0 || fd < best)) {
            best = fd;
        }
    }
    return best;
}

bool guard_has(int fd) {
    return fd >= 0 && guard_next(fd, fd) == fd;
}

int guard_lift(int fd) {
    int high = fd < 0 ? -1 : real()->fcntl(fd, F_DUPFD_CLOEXEC, guard_floor());
    if (high < 0) {
        if (fd >= 0) {
            guard_add(fd);
        }
        return fd;
    }
    real()->close(fd);
    guard_add(high);
    return high;
}

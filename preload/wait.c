// Sleeping at far sockets and other descriptors at the same time.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>

#define NS_PER_S 1000000000ull

// --- A descriptor by which other threads wake this one ---

static pthread_key_t bell_key;
static pthread_once_t bell_once = PTHREAD_ONCE_INIT;
static _Thread_local int bell __attribute__((tls_model("initial-exec"))); // + 1

static void drop_bell(void *arg) {
    (void)arg;
    guard_remove(bell - 1);
    real()->close(bell - 1);
    bell = 0;
}

static void make_key(void) {
    pthread_key_create(&bell_key, drop_bell);
}

static int own_bell(void) {
    // After a fork the parent's is closed.
    if (bell == 0 || !guard_has(bell - 1)) {
        pthread_once(&bell_once, make_key);
        bell = guard_lift(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) + 1;
        pthread_setspecific(bell_key, &bell);
    }
    return bell - 1;
}

// --- Waiting ---

struct sleeper {
    struct mixed *m;
    struct plink *link;
    int bell;
};

static int take_link(const struct plink *link) {
    int r = far_posix_ack(link->posix);
    return r == FAR_ELINKDOWN ? r : FAR_OK;
}

static int poll_until(struct pollfd *fds, nfds_t n, uint64_t deadline_ns,
    const sigset_t *mask) {
    struct timespec t = {0};
    if (deadline_ns != FAR_FOREVER) {
        uint64_t now = far_posix_now();
        uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
        t.tv_sec = (time_t)(left / NS_PER_S);
        t.tv_nsec = (long)(left % NS_PER_S);
    }
    return real()->ppoll(fds, n, deadline_ns == FAR_FOREVER ? NULL : &t, mask);
}

static int sleep_at(void *arg, bool lead, uint64_t deadline_ns) {
    struct sleeper *s = arg;
    struct mixed *m = s->m;
    struct pollfd *extra = &m->fds[m->count];
    *extra = (struct pollfd){
        .fd = lead ? far_posix_fd(s->link->posix) : s->bell,
        .events = POLLIN,
    };
    int n = poll_until(m->fds, m->count + 1, deadline_ns, m->mask);
    if (n < 0) {
        m->ready = 0;
        return FAR_EINTR;
    }
    m->ready = n - (extra->revents != 0);
    int r = n == 0 ? FAR_ETIMEDOUT : FAR_OK;
    if (extra->revents && lead) {
        r = take_link(s->link);
    } else if (extra->revents) {
        eventfd_t count;
        eventfd_read(s->bell, &count);
    }
    return m->ready > 0 ? FAR_ETIMEDOUT : r;
}

static void wake_sleeper(void *arg) {
    const struct sleeper *s = arg;
    eventfd_write(s->bell, 1);
}

uint32_t mixed_begin(void) {
    struct plink *l = link_if_open();
    return l ? far_link_events(l->near) : 0;
}

int mixed_wait(struct mixed *m, uint32_t events, uint64_t deadline_ns,
    bool *timed_out) {
    struct sleeper s = {.m = m, .link = link_if_open()};
    m->ready = 0;
    int r = FAR_OK;
    if (s.link && far_link_is_up(s.link->near)) {
        s.bell = own_bell();
        struct far_beside b = {
            .wait = sleep_at,
            .wake = wake_sleeper,
            .arg = &s,
        };
        r = far_link_wait_beside(s.link->near, events, deadline_ns, &b);
        if (r == FAR_OK && m->ready == 0 && call_was_interrupted()) {
            r = FAR_EINTR; // whatever the handler has made ready
        }
    } else if (poll_until(m->fds, m->count, deadline_ns, m->mask) < 0) {
        r = FAR_EINTR;
    } else {
        r = FAR_ETIMEDOUT;
    }
    *timed_out = r == FAR_ETIMEDOUT && m->ready == 0;
    if (r == FAR_EINTR) {
        errno = EINTR;
        return -1;
    }
    return 0;
}

int mixed_look(struct mixed *m, bool idle) {
    struct timespec none = {0};
    const sigset_t *mask = idle ? m->mask : NULL;
    m->ready = m->count ? real()->ppoll(m->fds, m->count, &none, mask) : 0;
    return m->ready;
}

// --- Masks ---

int mask_swap(struct swapped *w, const sigset_t *mask) {
    w->mask = NULL;
    if (!mask) {
        return 0;
    }
    sigset_t most;
    sigemptyset(&w->inside);
    // As much as the kernel looks at.
    if (user_copy(&w->inside, mask, _NSIG / 8) < 0) {
        return -1;
    }
    w->mask = &w->inside;
    sigfillset(&most);
    sigdelset(&most, SIGSEGV); // by which we learn of bad pointers
    sigdelset(&most, SIGBUS);
    return pthread_sigmask(SIG_BLOCK, &most, &w->before);
}

void mask_back(const struct swapped *w) {
    if (w->mask) {
        int saved = errno;
        pthread_sigmask(SIG_SETMASK, &w->before, NULL);
        errno = saved;
    }
}

void mixed_poke(void) {
    struct plink *l = link_if_open();
    if (l) {
        far_posix_interrupt(l->posix);
    }
}

// Servers take an error of accept() for the connection's and look for the next
// one: without end, when farsockd is gone, and with a line in their log each
// time.
#define DEAD_PAUSE_NS 100000000ull

void dead_pause(void) {
    static _Thread_local uint64_t until
        __attribute__((tls_model("initial-exec")));
    uint64_t now = far_posix_now();
    if (now < until) {
        int saved = errno;
        poll_until(NULL, 0, until, NULL);
        errno = saved;
    }
    until = (now < until ? until : now) + DEAD_PAUSE_NS;
}

uint64_t deadline_of_ms(int ms) {
    if (ms < 0) {
        return FAR_FOREVER;
    }
    return ms == 0 ? FAR_NOWAIT
                   : far_posix_now() + (uint64_t)(unsigned)ms * 1000000u;
}

uint64_t deadline_of_timespec(const struct timespec *t) {
    if (!t) {
        return FAR_FOREVER;
    }
    if (t->tv_sec == 0 && t->tv_nsec == 0) {
        return FAR_NOWAIT;
    }
    if (t->tv_sec > INT32_MAX) {
        return FAR_FOREVER;
    }
    return far_posix_now() + (uint64_t)t->tv_sec * NS_PER_S +
           (uint64_t)t->tv_nsec;
}

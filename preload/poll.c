// poll(2) and select(2) over far and other descriptors.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ON_STACK 64 // descriptors; more are allocated

#define READ_BITS  (POLLIN | POLLRDNORM)
#define WRITE_BITS (POLLOUT | POLLWRNORM | POLLWRBAND)

// A socket's bits in the host's form, which is the link's for most.
static short bits_of(struct psock *s, short events, bool arm) {
    if (!psock_use(s)) {
        return POLLERR | POLLHUP;
    }
    uint32_t ask = (uint32_t)events & (FAR_POLLPRI | FAR_POLLRDHUP);
    ask |= events & READ_BITS ? FAR_POLLIN : 0;
    ask |= events & WRITE_BITS ? FAR_POLLOUT : 0;
    uint32_t got = far_ready(s->link->near, s->handle, ask, arm);
    int bits = (int)(got & ~(uint32_t)(FAR_POLLIN | FAR_POLLOUT));
    bits |= got & FAR_POLLIN ? events & READ_BITS : 0;
    bits |= got & FAR_POLLOUT ? events & WRITE_BITS : 0;
    return (short)bits;
}

struct call {
    struct pollfd *fds;
    nfds_t count;
    struct mixed m; // those that are not far
    int far_count;
};

// Asks the far ones; how many are ready.
static int ask_far(struct call *c, bool arm) {
    int ready = 0;
    for (nfds_t i = 0; c->far_count && i < c->count; i++) {
        struct pollfd *p = &c->fds[i];
        struct psock *s = psock_at(p->fd);
        if (s) {
            p->revents = bits_of(s, p->events, arm && ready == 0);
            ready += p->revents != 0;
        } else if (epoll_has_far(p->fd)) {
            bool some = epoll_far_ready(p->fd, arm && ready == 0);
            p->revents = some ? p->events & POLLIN : 0;
            ready += p->revents != 0;
        }
    }
    return ready;
}

// The others' bits; in all how many are ready.
static int merge(struct call *c) {
    int ready = 0;
    for (nfds_t i = 0; i < c->count; i++) {
        struct pollfd *p = &c->fds[i];
        if (c->m.fds[i].fd >= 0) {
            p->revents = (short)(c->m.ready > 0 ? c->m.fds[i].revents : 0) |
                         (epoll_has_far(p->fd) ? p->revents : 0);
        } else if (p->fd < 0) {
            p->revents = 0;
        }
        ready += p->revents != 0;
    }
    return ready;
}

static void glance(void) {
    struct plink *l = link_if_open();
    if (l) {
        far_poll(l->near, NULL, 0, FAR_NOWAIT);
    }
}

static int look_once(struct call *c) {
    ask_far(c, false);
    return mixed_look(&c->m) < 0 ? -1 : merge(c);
}

static int poll_far(struct call *c, uint64_t deadline_ns) {
    if (ask_far(c, false) > 0) {
        return mixed_look(&c->m) < 0 ? -1 : merge(c);
    }
    if (deadline_ns == FAR_NOWAIT) {
        glance();
        return look_once(c);
    }
    for (;;) {
        uint32_t events = mixed_begin();
        bool timed_out = false;
        if (ask_far(c, true) > 0) {
            return mixed_look(&c->m) < 0 ? -1 : merge(c);
        }
        if (mixed_wait(&c->m, events, deadline_ns, &timed_out) < 0) {
            return -1;
        }
        ask_far(c, false);
        int ready = merge(c);
        if (ready > 0 || timed_out) {
            return ready;
        }
    }
}

static bool any_far(const struct pollfd *fds, nfds_t count) {
    for (nfds_t i = 0; i < count; i++) {
        if (psock_at(fds[i].fd) || epoll_has_far(fds[i].fd)) {
            return true;
        }
    }
    return false;
}

// A stream that changed hands while we slept: it has to be asked again.
static bool any_moved(const struct pollfd *fds, nfds_t count) {
    for (nfds_t i = 0; i < count; i++) {
        if ((fds[i].revents & POLLNVAL) && carried_now(fds[i].fd)) {
            return true;
        }
    }
    return false;
}

// At least one is far.
static int poll_once(struct pollfd *fds, nfds_t count, uint64_t deadline_ns,
    const sigset_t *mask) {
    struct pollfd some[ON_STACK + 1];
    struct pollfd *copy = some;
    if (count > ON_STACK) {
        copy = malloc((count + 1) * sizeof *copy);
        if (!copy) {
            errno = ENOMEM;
            return -1;
        }
    }
    struct call c = {
        .fds = fds,
        .count = count,
        .m = {.fds = copy, .count = count, .mask = mask},
    };
    for (nfds_t i = 0; i < count; i++) {
        copy[i] = fds[i];
        copy[i].revents = 0;
        bool far = psock_at(fds[i].fd) != NULL;
        c.far_count += far || epoll_has_far(fds[i].fd);
        copy[i].fd = far ? -1 : fds[i].fd;
    }
    call_begin(false);
    int n = poll_far(&c, deadline_ns);
    if (copy != some) {
        int saved = errno;
        free(copy);
        errno = saved;
    }
    return n;
}

static int poll_mixed(struct pollfd *fds, nfds_t count, uint64_t deadline_ns,
    const sigset_t *mask) {
    int n;
    do {
        n = poll_once(fds, count, deadline_ns, mask);
    } while (n > 0 && any_moved(fds, count));
    return n;
}

static int poll_any(struct pollfd *fds, nfds_t count, int timeout) {
    if (!any_far(fds, count)) {
        return real()->poll(fds, count, timeout);
    }
    return poll_mixed(fds, count, deadline_of_ms(timeout), NULL);
}

static int ppoll_any(struct pollfd *fds, nfds_t count,
    const struct timespec *timeout, const sigset_t *mask) {
    if (!any_far(fds, count)) {
        return real()->ppoll(fds, count, timeout, mask);
    }
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
                       timeout->tv_nsec > 999999999)) {
        errno = EINVAL;
        return -1;
    }
    return poll_mixed(fds, count, deadline_of_timespec(timeout), mask);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout) {
    return poll_any(fds, count, timeout);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count,
    const struct timespec *timeout, const sigset_t *mask) {
    return ppoll_any(fds, count, timeout, mask);
}

// What compilers make of them under _FORTIFY_SOURCE.
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t count,
    const struct timespec *timeout, const sigset_t *mask, size_t size);
void __chk_fail(void) __attribute__((noreturn));

EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout,
    size_t size) {
    if (size / sizeof *fds < count) {
        __chk_fail();
    }
    return poll_any(fds, count, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count,
    const struct timespec *timeout, const sigset_t *mask, size_t size) {
    if (size / sizeof *fds < count) {
        __chk_fail();
    }
    return ppoll_any(fds, count, timeout, mask);
}

// --- select ---

#define WORD_BITS (8 * (int)sizeof(fd_mask))

// Sets may be larger than FD_SETSIZE, so FD_ISSET does not do.
static bool is_in(const fd_set *set, int fd) {
    if (!set) {
        return false;
    }
    fd_mask word;
    memcpy(&word, (const char *)set + (size_t)(fd / WORD_BITS) * sizeof word,
        sizeof word);
    return ((unsigned long)word >> (fd % WORD_BITS)) & 1u;
}

static void put_in(fd_set *set, int fd) {
    fd_mask word;
    char *at = (char *)set + (size_t)(fd / WORD_BITS) * sizeof word;
    memcpy(&word, at, sizeof word);
    word |= (fd_mask)(1ul << (fd % WORD_BITS));
    memcpy(at, &word, sizeof word);
}

static void clear(fd_set *set, int n) {
    if (set) {
        memset(set, 0,
            (size_t)((n + WORD_BITS - 1) / WORD_BITS) * sizeof(fd_mask));
    }
}

struct sets {
    int n;
    fd_set *in, *out, *pri;
};

static bool sets_have_far(const struct sets *s) {
    for (int fd = 0; fd < s->n; fd++) {
        if ((psock_at(fd) || epoll_has_far(fd)) &&
            (is_in(s->in, fd) || is_in(s->out, fd) || is_in(s->pri, fd))) {
            return true;
        }
    }
    return false;
}

static nfds_t to_poll(const struct sets *s, struct pollfd *fds) {
    nfds_t count = 0;
    for (int fd = 0; fd < s->n; fd++) {
        int events = (is_in(s->in, fd) ? POLLIN : 0) |
                     (is_in(s->out, fd) ? POLLOUT : 0) |
                     (is_in(s->pri, fd) ? POLLPRI : 0);
        if (events) {
            fds[count++] = (struct pollfd){.fd = fd, .events = (short)events};
        }
    }
    return count;
}

// What poll told, as select does.
static int from_poll(struct sets *s, const struct pollfd *fds, nfds_t count) {
    int bits = 0;
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].revents & POLLNVAL) {
            errno = EBADF;
            return -1;
        }
    }
    clear(s->in, s->n);
    clear(s->out, s->n);
    clear(s->pri, s->n);
    for (nfds_t i = 0; i < count; i++) {
        short ask = fds[i].events;
        short got = fds[i].revents;
        if ((ask & POLLIN) && (got & (POLLIN | POLLHUP | POLLERR))) {
            put_in(s->in, fds[i].fd);
            bits++;
        }
        if ((ask & POLLOUT) && (got & (POLLOUT | POLLERR))) {
            put_in(s->out, fds[i].fd);
            bits++;
        }
        if ((ask & POLLPRI) && (got & POLLPRI)) {
            put_in(s->pri, fds[i].fd);
            bits++;
        }
    }
    return bits;
}

// Errors and hang-ups end a poll whatever was asked for, but a select only if
// they are what one of its sets shows: then it goes on without that one.
static bool is_idle(const struct pollfd *p) {
    bool in = (p->events & POLLIN) != 0;
    bool out = (p->events & POLLOUT) && (p->revents & (POLLOUT | POLLERR));
    bool pri = (p->events & POLLPRI) && (p->revents & POLLPRI);
    return p->revents && !(p->revents & POLLNVAL) && !in && !out && !pri;
}

static int select_poll(struct pollfd *fds, nfds_t count, uint64_t deadline_ns,
    const sigset_t *mask) {
    for (;;) {
        int n = poll_mixed(fds, count, deadline_ns, mask);
        int idle = 0;
        for (nfds_t i = 0; n > 0 && i < count; i++) {
            if (fds[i].fd >= 0 && is_idle(&fds[i])) {
                fds[i].fd = -1;
                idle++;
            }
        }
        if (n <= 0 || idle < n || deadline_ns == FAR_NOWAIT) {
            return n;
        }
    }
}

static int select_far(struct sets *s, uint64_t deadline_ns,
    const sigset_t *mask) {
    struct pollfd *fds = calloc((size_t)s->n + 1, sizeof *fds);
    if (!fds) {
        errno = ENOMEM;
        return -1;
    }
    nfds_t count = to_poll(s, fds);
    int n = select_poll(fds, count, deadline_ns, mask);
    if (n >= 0) {
        n = from_poll(s, fds, count);
    }
    int saved = errno;
    free(fds);
    errno = saved;
    return n;
}

EXPORT int select(int n, fd_set *in, fd_set *out, fd_set *pri,
    struct timeval *timeout) {
    struct sets s = {n, in, out, pri};
    if (!sets_have_far(&s)) {
        return real()->select(n, in, out, pri, timeout);
    }
    uint64_t deadline_ns = FAR_FOREVER;
    if (timeout) {
        if (timeout->tv_sec < 0 || timeout->tv_usec < 0) {
            errno = EINVAL;
            return -1;
        }
        struct timespec t = {
            .tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000,
            .tv_nsec = timeout->tv_usec % 1000000 * 1000,
        };
        deadline_ns = deadline_of_timespec(&t);
    }
    int r = select_far(&s, deadline_ns, NULL);
    if (timeout && deadline_ns != FAR_FOREVER) {
        // Linux tells how much time was left.
        uint64_t now = far_posix_now();
        uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
        timeout->tv_sec = (time_t)(left / 1000000000u);
        timeout->tv_usec = (suseconds_t)(left % 1000000000u / 1000u);
    }
    return r;
}

EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *pri,
    const struct timespec *timeout, const sigset_t *mask) {
    struct sets s = {n, in, out, pri};
    if (!sets_have_far(&s)) {
        return real()->pselect(n, in, out, pri, timeout, mask);
    }
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0)) {
        errno = EINVAL;
        return -1;
    }
    return select_far(&s, deadline_of_timespec(timeout), mask);
}

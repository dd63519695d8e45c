// poll(2) and select(2) over far and other descriptors.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ports/posix/guard.h"

#define ON_STACK 64   // descriptors; more are allocated
#define MANY     1024 // the least limit that there usually is

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
    const struct pollfd *host; // as fds, without those that are far
    struct mixed m;            // the same, or none
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
        } else if (p->fd >= 0 && c->host[i].fd < 0) {
            // It was far when we began: closed, or changed hands.
            p->revents = POLLNVAL;
            ready++;
        }
    }
    return ready;
}

// The others' bits; in all how many are ready.
static int merge(struct call *c) {
    int ready = 0;
    for (nfds_t i = 0; i < c->count; i++) {
        struct pollfd *p = &c->fds[i];
        if (c->host[i].fd >= 0) {
            p->revents = (short)(c->m.ready > 0 ? c->host[i].revents : 0) |
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
    bool idle = ask_far(c, false) == 0;
    return mixed_look(&c->m, idle) < 0 ? -1 : merge(c);
}

static int poll_far(struct call *c, uint64_t deadline_ns) {
    if (ask_far(c, false) > 0) {
        return mixed_look(&c->m, false) < 0 ? -1 : merge(c);
    }
    if (deadline_ns == FAR_NOWAIT) {
        glance();
        return look_once(c);
    }
    for (;;) {
        uint32_t events = mixed_begin();
        bool timed_out = false;
        if (ask_far(c, true) > 0) {
            return mixed_look(&c->m, false) < 0 ? -1 : merge(c);
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

// Memory for a call: on its stack if that suffices.
struct room {
    struct pollfd few[2 * ON_STACK + 1];
    struct pollfd *fds;
};

static struct pollfd *room_for(struct room *r, nfds_t count) {
    r->fds = r->few;
    if (count > ON_STACK) {
        r->fds = malloc((2 * count + 1) * sizeof *r->fds);
    }
    if (!r->fds) {
        errno = ENOMEM;
    }
    return r->fds;
}

static void room_free(struct room *r) {
    int saved = errno;
    if (r->fds != r->few) {
        free(r->fds);
    }
    errno = saved;
}

// At least one is far. There is room for as many and one more behind fds.
static int poll_once(struct pollfd *fds, nfds_t count, uint64_t deadline_ns,
    const sigset_t *mask) {
    struct pollfd *copy = fds + count;
    struct call c = {
        .fds = fds,
        .count = count,
        .host = copy,
        .m = {.fds = copy, .count = count, .mask = mask},
    };
    bool any = false; // of the host's
    for (nfds_t i = 0; i < count; i++) {
        copy[i] = fds[i];
        copy[i].revents = 0;
        fds[i].revents = 0;
        bool far = psock_at(fds[i].fd) != NULL;
        c.far_count += far || epoll_has_far(fds[i].fd);
        copy[i].fd = far ? -1 : fds[i].fd;
        any |= copy[i].fd >= 0;
    }
    // With a mask the kernel is asked for the sake of signals.
    if (!any && !mask) {
        c.m.fds += count;
        c.m.count = 0;
    }
    call_begin(false);
    return poll_far(&c, deadline_ns);
}

static int poll_mixed(struct pollfd *fds, nfds_t count, uint64_t deadline_ns,
    const sigset_t *mask) {
    int n;
    do {
        n = poll_once(fds, count, deadline_ns, mask);
    } while (n > 0 && any_moved(fds, count));
    return n;
}

// --- poll ---

// The program's array, which may not be there.
struct asked {
    struct pollfd *user;
    nfds_t count;
    const struct pollfd *got;
};

static void give_bits(void *arg) {
    const struct asked *a = arg;
    for (nfds_t i = 0; i < a->count; i++) {
        a->user[i].revents = a->got[i].revents;
    }
}

static int poll_copied(struct asked *a, uint64_t deadline_ns,
    const sigset_t *mask) {
    struct room r;
    struct pollfd *fds = room_for(&r, a->count);
    if (!fds) {
        return -1;
    }
    int n = user_copy(fds, a->user, a->count * sizeof *fds);
    if (n == 0) {
        n = poll_mixed(fds, a->count, deadline_ns, mask);
        a->got = fds;
        if (!far_guard_call(give_bits, a, a->user, a->count * sizeof *fds)) {
            errno = EFAULT;
            n = -1;
        }
    }
    room_free(&r);
    return n;
}

struct search {
    const struct pollfd *fds;
    nfds_t count;
    bool far;
};

static void search_far(void *arg) {
    struct search *s = arg;
    s->far = any_far(s->fds, s->count);
}

// What the kernel refuses at once, and what does not concern us, is its own.
static bool is_ours(const struct pollfd *fds, nfds_t count) {
    struct rlimit limit;
    struct search s = {fds, count, false};
    if (count > FD_MAX ||
        (count > MANY && (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
                             count > limit.rlim_cur))) {
        return false;
    }
    return far_guard_call(search_far, &s, fds, count * sizeof *fds) && s.far;
}

static int poll_any(struct pollfd *fds, nfds_t count, int timeout) {
    if (!is_ours(fds, count)) {
        return real()->poll(fds, count, timeout);
    }
    struct asked a = {.user = fds, .count = count};
    return poll_copied(&a, deadline_of_ms(timeout), NULL);
}

static int ppoll_any(struct pollfd *fds, nfds_t count,
    const struct timespec *timeout, const sigset_t *mask) {
    if (!is_ours(fds, count)) {
        return real()->ppoll(fds, count, timeout, mask);
    }
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
                       timeout->tv_nsec > 999999999)) {
        errno = EINVAL;
        return -1;
    }
    struct asked a = {.user = fds, .count = count};
    uint64_t deadline_ns = deadline_of_timespec(timeout);
    struct swapped w;
    if (mask_swap(&w, mask) < 0) {
        return -1;
    }
    int n = poll_copied(&a, deadline_ns, w.mask);
    mask_back(&w);
    return n;
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
    if (!set) {
        return; // it was not asked for
    }
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

static size_t set_bytes(int n) {
    return (size_t)((n + WORD_BITS - 1) / WORD_BITS) * sizeof(fd_mask);
}

struct set_search {
    const struct sets *s;
    bool far;
};

static void search_set(void *arg) {
    struct set_search *q = arg;
    const struct sets *s = q->s;
    for (int fd = 0; fd < s->n && !q->far; fd++) {
        q->far = (psock_at(fd) || epoll_has_far(fd)) &&
                 (is_in(s->in, fd) || is_in(s->out, fd) || is_in(s->pri, fd));
    }
}

// Sets that are not there are the kernel's to refuse.
static bool sets_have_far(const struct sets *s) {
    struct set_search q = {s, false};
    size_t size = s->n > 0 ? set_bytes(s->n) : 0;
    if (size == 0 || !far_guard_range(s->in, size) ||
        !far_guard_range(s->out, size) || !far_guard_range(s->pri, size)) {
        return false;
    }
    // Nobody knows which of the three it will be, so it is all memory.
    return far_guard_call(search_set, &q, NULL, SIZE_MAX) && q.far;
}

// The program's sets as copies of ours, in place of which the results go back.
static bool copy_sets(struct sets *to, const struct sets *from, fd_mask *mem) {
    size_t size = set_bytes(from->n);
    fd_set *const user[] = {from->in, from->out, from->pri};
    fd_set **const copy[] = {&to->in, &to->out, &to->pri};
    to->n = from->n;
    for (int i = 0; i < 3; i++) {
        char *at = (char *)mem + (size_t)i * size;
        *copy[i] = user[i] ? (fd_set *)(void *)at : NULL;
        if (user[i] && user_copy(at, user[i], size) < 0) {
            return false;
        }
    }
    return true;
}

static bool give_sets(const struct sets *to, const struct sets *from) {
    size_t size = set_bytes(to->n);
    fd_set *const user[] = {to->in, to->out, to->pri};
    fd_set *const copy[] = {from->in, from->out, from->pri};
    for (int i = 0; i < 3; i++) {
        if (user[i] && user_copy(user[i], copy[i], size) < 0) {
            return false;
        }
    }
    return true;
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

static int select_copied(struct sets *s, struct pollfd *fds,
    uint64_t deadline_ns, const sigset_t *mask) {
    nfds_t count = to_poll(s, fds);
    int n = select_poll(fds, count, deadline_ns, mask);
    return n < 0 ? n : from_poll(s, fds, count);
}

static int select_far(const struct sets *user, uint64_t deadline_ns,
    const sigset_t *mask) {
    struct sets s;
    size_t sets = 3 * set_bytes(user->n);
    size_t size = 2 * (size_t)user->n + 1;
    struct pollfd *fds = malloc(size * sizeof *fds + sets);
    if (!fds) {
        errno = ENOMEM;
        return -1;
    }
    int n = -1;
    if (copy_sets(&s, user, (fd_mask *)(void *)(fds + size))) {
        n = select_copied(&s, fds, deadline_ns, mask);
        if (n >= 0 && !give_sets(user, &s)) {
            n = -1;
        }
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
    uint64_t deadline_ns = deadline_of_timespec(timeout);
    struct swapped w;
    if (mask_swap(&w, mask) < 0) {
        return -1;
    }
    int r = select_far(&s, deadline_ns, w.mask);
    mask_back(&w);
    return r;
}

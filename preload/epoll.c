// epoll over far and other descriptors.
// SPDX-License-Identifier: MIT
#include "preload/epoll.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

// The kernel's instance keeps what is not far. The far sockets are in lists
// beside it (watch.c); a wait looks at those that are to be looked at, then
// sleeps at both.

#define EVENTS_MAX (INT_MAX / (int)sizeof(struct epoll_event)) // of one wait

// A socket that showed nothing for so many waits that did not sleep is armed
// all the same. Sooner would have far ring for what is found without that.
#define IDLE 8u

#define ALWAYS     (FAR_POLLERR | FAR_POLLHUP)
#define READ_BITS  (EPOLLIN | EPOLLRDNORM)
#define WRITE_BITS (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)
// A one-shot entry that fired keeps these.
#define MODE_BITS (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)
// What an entry that wakes one waiter only may ask for.
#define EXCLUSIVE_BITS                                                         \
    (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET |        \
        EPOLLEXCLUSIVE)

static struct ep *_Atomic eps[FD_MAX];
static _Atomic int eps_top;
static struct ep *all; // under the table's lock

static struct ep *ep_at(int fd) {
    if ((unsigned)fd >= FD_MAX) {
        return NULL;
    }
    return atomic_load_explicit(&eps[fd], memory_order_acquire);
}

static void note_top(int fd) {
    int top = eps_top;
    while (top <= fd && !atomic_compare_exchange_weak(&eps_top, &top, fd + 1)) {
    }
}

static struct ep *ep_make(int fd) {
    if ((unsigned)fd >= FD_MAX) {
        return NULL;
    }
    table_lock();
    struct ep *e = ep_at(fd);
    if (!e) {
        e = calloc(1, sizeof *e);
        if (e) {
            pthread_mutex_init(&e->lock, NULL);
            e->refs = 1;
            e->poke = -1;
            e->listed_end = &e->listed;
            e->next = all;
            all = e;
            note_top(fd);
            atomic_store_explicit(&eps[fd], e, memory_order_release);
        }
    }
    table_unlock();
    return e;
}

bool epoll_has_far(int epfd) {
    const struct ep *e = ep_at(epfd);
    return e && e->count > 0;
}

// --- The list ---

void epoll_forget_sock(struct psock *s) {
    watch_lock();
    while (s->entries) {
        struct ep *e = s->entries->ep;
        own_lock(&e->lock);
        watch_remove(s->entries);
        own_unlock(&e->lock);
    }
    watch_unlock();
}

static void to_kernel(struct ep *e, int epfd, const struct psock *s) {
    struct entry *next;
    for (struct entry *it = s->entries; it; it = next) {
        struct epoll_event ev = {.events = it->events, .data = it->data};
        next = it->of_sock;
        if (it->ep == e) {
            real()->epoll_ctl(epfd, EPOLL_CTL_ADD, it->fd, &ev);
            e->natives++;
            watch_remove(it);
        }
    }
}

void epoll_to_kernel(struct psock *s) {
    watch_lock();
    for (int epfd = 0; s->entries && epfd < eps_top; epfd++) {
        struct ep *e = ep_at(epfd);
        if (e) {
            own_lock(&e->lock);
            to_kernel(e, epfd, s);
            own_unlock(&e->lock);
        }
    }
    watch_unlock();
}

static void ep_free(struct ep *e) {
    struct ep **at = &all;
    while (*at && *at != e) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = e->next;
    }
    if (e->poke >= 0) {
        guard_remove(e->poke);
        real()->close(e->poke);
    }
    watch_lock();
    own_lock(&e->lock);
    while (e->entries) {
        watch_remove(e->entries);
    }
    own_unlock(&e->lock);
    watch_unlock();
    free(e);
}

void epoll_forget_fd(int fd) {
    if (!ep_at(fd)) {
        return;
    }
    table_lock();
    struct ep *e = atomic_exchange(&eps[fd], NULL);
    // Who waits on it now would find its memory gone.
    if (e && atomic_fetch_sub(&e->refs, 1) == 1 && e->far_waiters == 0 &&
        e->kernel_waiters == 0) {
        ep_free(e);
    }
    table_unlock();
}

void epoll_forget_range(int from, int to) {
    for (int fd = from; fd <= to && fd < eps_top; fd++) {
        epoll_forget_fd(fd);
    }
}

void epoll_dup(int fd, int copy) {
    struct ep *e = ep_at(fd);
    if (e && (unsigned)copy < FD_MAX) {
        atomic_fetch_add(&e->refs, 1);
        note_top(copy);
        atomic_store(&eps[copy], e);
    }
}

// Those who sleep in the kernel's wait know nothing of far sockets: the first
// one of these makes them come back.
static void poke_kernel_waiters(struct ep *e, int epfd) {
    if (e->kernel_waiters == 0) {
        return;
    }
    if (e->poke < 0) {
        e->poke = guard_lift(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    }
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = e};
    real()->epoll_ctl(epfd, EPOLL_CTL_ADD, e->poke, &ev);
}

static int add(struct ep *e, int epfd, int fd, struct psock *s,
    const struct epoll_event *ev) {
    if (watch_find(e, fd, s)) {
        return EEXIST;
    }
    struct entry *it = watch_add(e, fd, s);
    if (!it) {
        return ENOMEM;
    }
    it->events = ev->events | ALWAYS;
    it->data = ev->data;
    poke_kernel_waiters(e, epfd);
    return 0;
}

static int change(struct ep *e, int epfd, int op, int fd, struct psock *s,
    const struct epoll_event *ev) {
    if (op == EPOLL_CTL_ADD) {
        return add(e, epfd, fd, s, ev);
    }
    struct entry *it = watch_find(e, fd, s);
    if (!it) {
        return ENOENT;
    }
    if (op == EPOLL_CTL_DEL) {
        watch_remove(it);
        return 0;
    }
    if (it->events & EPOLLEXCLUSIVE) {
        return EINVAL;
    }
    it->events = ev->events | ALWAYS;
    it->data = ev->data;
    it->told = it->mark = 0; // what is ready now is an edge
    watch_list(it);
    return 0;
}

// Such an entry is never changed, and none becomes one.
static bool exclusive_wrongly(int op, uint32_t events) {
    return (events & EPOLLEXCLUSIVE) &&
           (op == EPOLL_CTL_MOD ||
               (op == EPOLL_CTL_ADD && (events & ~(uint32_t)EXCLUSIVE_BITS)));
}

static int ctl_far(int epfd, int op, int fd, struct psock *s,
    const struct epoll_event *ev) {
    struct ep *e = ep_at(epfd);
    if (!e) {
        struct epoll_event none = {0};
        // ENOENT from an epoll instance, else what is wrong with epfd.
        if (real()->epoll_ctl(epfd, EPOLL_CTL_DEL, fd, &none) < 0 &&
            errno != ENOENT) {
            return -1;
        }
        e = ep_make(epfd);
    }
    if (!e || op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD ||
        exclusive_wrongly(op, ev->events)) {
        errno = !e ? ENOMEM : EINVAL;
        return -1;
    }
    watch_lock();
    own_lock(&e->lock);
    int err = change(e, epfd, op, fd, s, ev);
    bool waited = e->far_waiters > 0;
    own_unlock(&e->lock);
    watch_unlock();
    if (err) {
        errno = err;
        return -1;
    }
    if (waited && op != EPOLL_CTL_DEL) {
        mixed_poke();
    }
    return 0;
}

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev) {
    struct psock *s = psock_at(fd);
    struct epoll_event mine = {0};
    if (s && fd != epfd) {
        if (op != EPOLL_CTL_DEL && user_copy(&mine, ev, sizeof mine) < 0) {
            return -1;
        }
        return ctl_far(epfd, op, fd, s, &mine);
    }
    int rc = real()->epoll_ctl(epfd, op, fd, ev);
    struct ep *e = rc == 0 && op == EPOLL_CTL_ADD ? ep_make(epfd) : NULL;
    if (e && atomic_fetch_add(&e->natives, 1) == 0 && e->far_waiters > 0) {
        mixed_poke(); // they do not look at the kernel's yet
    }
    return rc;
}

EXPORT int epoll_create1(int flags) {
    int fd = real()->epoll_create1(flags);
    if (fd >= 0) {
        ep_make(fd);
    }
    return fd;
}

EXPORT int epoll_create(int size) {
    if (size <= 0) {
        errno = EINVAL;
        return -1;
    }
    return epoll_create1(0);
}

// --- Looking ---

static uint32_t asked_of(const struct entry *it) {
    uint32_t ask = it->events & (EPOLLPRI | EPOLLRDHUP);
    ask |= it->events & READ_BITS ? FAR_POLLIN : 0;
    ask |= it->events & WRITE_BITS ? FAR_POLLOUT : 0;
    return ask;
}

static bool is_off(const struct entry *it) {
    return (it->events & ~(uint32_t)MODE_BITS) == 0 &&
           (it->events & EPOLLONESHOT);
}

// Whether what the bits show is new since it was told last.
static bool is_edge(struct entry *it, uint32_t bits, uint32_t mark, bool keep) {
    uint32_t dry = it->sock->dry;
    uint32_t full = it->sock->full;
    bool edge = (bits & ~it->told) ||
                (mark != it->mark && (bits & ~(uint32_t)FAR_POLLOUT)) ||
                (dry != it->dry && (bits & ~(uint32_t)FAR_POLLOUT)) ||
                (full != it->full && (bits & FAR_POLLOUT));
    it->told &= bits;
    if (edge && keep) {
        it->told = bits;
        it->mark = mark;
        it->dry = dry;
        it->full = full;
    }
    return edge && bits;
}

// The bits to report, 0: none. keep: they are reported now.
static uint32_t look(struct entry *it, bool arm, bool keep) {
    struct psock *s = it->sock;
    if (is_off(it) || s->kind != PSOCK_FAR) {
        return 0;
    }
    struct far_link *l = s->link->near;
    uint32_t ask = asked_of(it);
    if (!(it->events & EPOLLET)) {
        return far_ready(l, s->handle, ask, arm);
    }
    // The mark first: what comes after it is another edge.
    uint32_t mark = far_mark(l, s->handle, arm && (ask & FAR_POLLIN));
    uint32_t bits = far_ready(l, s->handle, ask, false);
    if (arm && (ask & FAR_POLLOUT) && !(bits & FAR_POLLOUT)) {
        bits |= far_ready(l, s->handle, FAR_POLLOUT, true);
    }
    return is_edge(it, bits, mark, keep) ? bits : 0;
}

static uint32_t to_epoll(const struct entry *it, uint32_t bits) {
    uint32_t out = bits & ~(uint32_t)(FAR_POLLIN | FAR_POLLOUT | FAR_POLLNVAL);
    out |= bits & FAR_POLLIN ? it->events & READ_BITS : 0;
    out |= bits & FAR_POLLOUT ? it->events & WRITE_BITS : 0;
    return out;
}

// The next to be looked at, whose turn is over by that.
static struct entry *next_listed(struct ep *e) {
    struct entry *it = e->listed;
    watch_unlist(it);
    return it;
}

// Far sockets that are ready: how many, at most max; -1 with EFAULT. What is
// ready, and what is not armed, stays listed, behind the others.
static int collect(struct ep *e, struct epoll_event *out, int max, bool arm) {
    int n = 0;
    watch_sort(e);
    own_lock(&e->lock);
    for (int left = e->listed_count; left > 0 && n < max; left--) {
        struct entry *it = next_listed(e);
        struct entry before = *it;
        bool armed = (arm && n == 0) || it->idle >= IDLE;
        uint32_t bits = look(it, armed, true);
        uint32_t events = to_epoll(it, bits);
        struct epoll_event ev = {.events = events, .data = it->data};
        if (events && user_copy(&out[n], &ev, sizeof ev) < 0) {
            it->told = before.told; // not told
            it->mark = before.mark;
            it->dry = before.dry;
            it->full = before.full;
            watch_list(it);
            n = n > 0 ? n : -1;
            break;
        }
        if (events) {
            n++;
            if (it->events & EPOLLONESHOT) {
                it->events &= MODE_BITS;
            }
        }
        it->idle = bits || armed ? 0 : it->idle + 1;
        if (bits || (!armed && !is_off(it))) {
            watch_list(it);
        }
    }
    own_unlock(&e->lock);
    return n;
}

bool epoll_far_ready(int epfd, bool arm) {
    struct ep *e = ep_at(epfd);
    bool some = false;
    watch_sort(e);
    own_lock(&e->lock);
    for (int left = e->listed_count; left > 0 && !some; left--) {
        struct entry *it = next_listed(e);
        some = look(it, arm, false) != 0;
        if (some || (!arm && !is_off(it))) {
            watch_list(it);
        }
    }
    own_unlock(&e->lock);
    return some;
}

// --- Forks: no lock of ours is another thread's in the child ---

void epoll_before_fork(void) {
    watch_lock();
    for (struct ep *e = all; e; e = e->next) {
        own_lock(&e->lock);
    }
}

void epoll_after_fork(bool child) {
    for (struct ep *e = all; e; e = e->next) {
        own_unlock(&e->lock);
    }
    if (child) {
        watch_after_fork(all);
    }
    watch_unlock();
}

// --- Waiting ---

struct waiting {
    int epfd;
    struct ep *e;
    struct epoll_event *out;
    int max;
    uint64_t deadline_ns;
    const sigset_t *mask;
};

static int kernel_wait(const struct waiting *w, struct epoll_event *out,
    int max, uint64_t deadline_ns) {
    if (deadline_ns == FAR_FOREVER) {
        return real()->epoll_pwait(w->epfd, out, max, -1, w->mask);
    }
    uint64_t now = far_posix_now();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    uint64_t ms = (left + 999999u) / 1000000u;
    return real()->epoll_pwait(w->epfd, out, max,
        ms < INT32_MAX ? (int)ms : INT32_MAX, w->mask);
}

// Takes our poke out of what the kernel reported; the last one to see it
// removes it.
static int without_poke(const struct waiting *w, int n) {
    struct ep *e = w->e;
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if (w->out[i].data.ptr != e) {
            w->out[kept++] = w->out[i];
        }
    }
    return kept;
}

// No far socket is in it yet. -2: one came.
static int wait_native(const struct waiting *w) {
    struct ep *e = w->e;
    atomic_fetch_add(&e->kernel_waiters, 1);
    int n = -2;
    if (e->count == 0) {
        n = kernel_wait(w, w->out, w->max, w->deadline_ns);
        int kept = n > 0 && e->poke >= 0 ? without_poke(w, n) : n;
        n = n > 0 && kept == 0 ? -2 : kept;
    }
    int saved = errno;
    own_lock(&e->lock);
    if (atomic_fetch_sub(&e->kernel_waiters, 1) == 1 && e->poke >= 0) {
        struct epoll_event none = {0};
        real()->epoll_ctl(w->epfd, EPOLL_CTL_DEL, e->poke, &none);
    }
    own_unlock(&e->lock);
    errno = saved;
    return n;
}

// Both at once; how many, or -1.
static int take(const struct waiting *w, bool arm) {
    struct ep *e = w->e;
    int n = collect(e, w->out, w->max, arm);
    if (e->natives == 0 || n < 0 || n >= w->max) {
        return n;
    }
    int more = real()->epoll_wait(w->epfd, w->out + n, w->max - n, 0);
    return more > 0 ? n + more : n > 0 ? n : more;
}

static int wait_far(const struct waiting *w) {
    struct ep *e = w->e;
    int n = take(w, false);
    if (n != 0 || w->deadline_ns == FAR_NOWAIT) {
        return n;
    }
    for (;;) {
        uint32_t events = mixed_begin();
        struct pollfd fds[2] = {{.fd = w->epfd, .events = POLLIN}};
        bool timed_out = false;
        n = collect(e, w->out, w->max, true);
        if (n != 0) {
            return n;
        }
        struct mixed m = {.fds = fds, .count = 1, .mask = w->mask};
        if (mixed_wait(&m, events, w->deadline_ns, &timed_out) < 0) {
            return -1;
        }
        n = m.ready > 0 ? take(w, false) : collect(e, w->out, w->max, false);
        if (n != 0 || timed_out) {
            return n;
        }
    }
}

static int wait_on(const struct waiting *w) {
    struct ep *e = w->e;
    for (;;) {
        if (e->count == 0) {
            int n = wait_native(w);
            if (n != -2) {
                return n;
            }
            continue;
        }
        if (w->max <= 0 || w->max > EVENTS_MAX) {
            errno = EINVAL;
            return -1;
        }
        if (!user_range((uintptr_t)w->out, (size_t)w->max * sizeof *w->out)) {
            return -1;
        }
        atomic_fetch_add(&e->far_waiters, 1);
        call_begin(false);
        int n = wait_far(w);
        atomic_fetch_sub(&e->far_waiters, 1);
        return n;
    }
}

static int wait_masked(struct waiting *w) {
    struct swapped s;
    if (mask_swap(&s, w->mask) < 0) {
        return -1;
    }
    w->mask = s.mask;
    int n = wait_on(w);
    mask_back(&s);
    return n;
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *out, int max, int timeout,
    const sigset_t *mask) {
    struct ep *e = ep_at(epfd);
    if (!e) {
        return real()->epoll_pwait(epfd, out, max, timeout, mask);
    }
    struct waiting w = {epfd, e, out, max, deadline_of_ms(timeout), mask};
    return wait_masked(&w);
}

EXPORT int epoll_wait(int epfd, struct epoll_event *out, int max, int timeout) {
    return epoll_pwait(epfd, out, max, timeout, NULL);
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *out, int max,
    const struct timespec *timeout, const sigset_t *mask) {
    struct ep *e = ep_at(epfd);
    struct timespec t;
    if (timeout && user_copy(&t, timeout, sizeof t) < 0) {
        return -1;
    }
    if (timeout && (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec > 999999999)) {
        errno = EINVAL;
        return -1;
    }
    uint64_t deadline_ns = deadline_of_timespec(timeout ? &t : NULL);
    struct waiting w = {epfd, e, out, max, deadline_ns, mask};
    return e ? wait_masked(&w) : kernel_wait(&w, out, max, deadline_ns);
}

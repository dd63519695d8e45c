// poll() and select() over far sockets and the host's descriptors.
// SPDX-License-Identifier: MIT
#define FARSOCK_BSD_NO_NAMES
#include "farsock/bsd.h"
#include "ports/posix/bsd.h"

#include "ports/posix/guard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct mixed {
    struct pollfd *fds;
    nfds_t count;
    struct pollfd *host; // those of the host, and the link's
    nfds_t *host_at;     // where they are in fds
    nfds_t host_count;
    struct far_posix *posix;
};

static uint64_t deadline_of(int timeout_ms) {
    if (timeout_ms < 0) {
        return FAR_FOREVER;
    }
    return timeout_ms ? far_posix_now() + (uint64_t)timeout_ms * 1000000u
                      : FAR_NOWAIT;
}

static int ms_until(uint64_t deadline_ns) {
    if (deadline_ns == FAR_FOREVER) {
        return -1;
    }
    uint64_t now = far_posix_now();
    uint64_t ms =
        deadline_ns > now ? (deadline_ns - now + 999999u) / 1000000u : 0;
    return ms > 1000000u ? 1000000 : (int)ms;
}

static int sleep_at_all(void *arg, uint64_t deadline_ns) {
    struct mixed *m = arg;
    m->host[m->host_count] =
        (struct pollfd){.fd = far_posix_fd(m->posix), .events = POLLIN};
    int r = poll(m->host, m->host_count + 1u, ms_until(deadline_ns));
    if (r < 0) {
        return FAR_EINTR;
    }
    if (m->host[m->host_count].revents) {
        far_posix_ack(m->posix);
        return far_link_is_up(far_posix_link(m->posix)) ? FAR_OK
                                                        : FAR_ELINKDOWN;
    }
    // A descriptor of the host's: whoever waits looks again at once.
    return FAR_ETIMEDOUT;
}

// Most have nothing of the host's among many of ours.
static int look_at_host(struct mixed *m) {
    int ready = 0;
    if (m->host_count == 0) {
        return 0;
    }
    poll(m->host, m->host_count, 0);
    for (nfds_t i = 0; i < m->host_count; i++) {
        m->fds[m->host_at[i]].revents = m->host[i].revents;
        ready += m->host[i].revents != 0;
    }
    return ready;
}

static int look(struct mixed *m, bool arm) {
    int ready = 0;
    m->host_count = 0;
    for (nfds_t i = 0; i < m->count; i++) {
        struct pollfd *p = &m->fds[i];
        int sock = 0;
        bool nonblock = false;
        struct far_link *l = bsd_find(p->fd, &sock, &nonblock);
        p->revents = 0;
        if (l) {
            p->revents = (short)far_ready(l, sock,
                (uint32_t)(uint16_t)p->events, arm && !ready);
            ready += p->revents != 0;
        } else if (p->fd >= 0) {
            m->host_at[m->host_count] = i;
            m->host[m->host_count++] = *p;
        }
    }
    return ready + look_at_host(m);
}

static int poll_mixed(struct mixed *m, int timeout_ms) {
    struct far_link *l = far_posix_link(m->posix);
    uint64_t deadline_ns = deadline_of(timeout_ms);
    // Where one is ready nobody sleeps: nothing has to be armed for it.
    int ready = look(m, false);
    while (ready == 0 &&
           (deadline_ns == FAR_FOREVER || far_posix_now() < deadline_ns)) {
        uint32_t events = far_link_events(l);
        ready = look(m, true);
        if (ready > 0) {
            break;
        }
        int err = far_link_wait(l, events, deadline_ns, sleep_at_all, m);
        if (err == FAR_EINTR) {
            errno = EINTR;
            return -1;
        }
        ready = look(m, false);
    }
    return ready;
}

struct search {
    const struct pollfd *fds;
    nfds_t count;
    bool far;
};

static void search_far(void *arg) {
    struct search *s = arg;
    for (nfds_t i = 0; i < s->count && !s->far; i++) {
        int sock = 0;
        bool nonblock = false;
        s->far = bsd_find(s->fds[i].fd, &sock, &nonblock) != NULL;
    }
}

// What the kernel refuses at once, and what does not concern us, is its own.
static bool is_ours(const struct pollfd *fds, nfds_t count) {
    struct rlimit limit;
    struct search s = {fds, count, false};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || count > limit.rlim_cur) {
        return false;
    }
    return far_guard_call(search_far, &s, fds, count * sizeof *fds) && s.far;
}

// The caller's array, which may not be there.
struct results {
    struct pollfd *to;
    const struct pollfd *from;
    nfds_t count;
};

static void give_bits(void *arg) {
    const struct results *r = arg;
    for (nfds_t i = 0; i < r->count; i++) {
        r->to[i].revents = r->from[i].revents;
    }
}

int far_bsd_poll(struct pollfd *fds, nfds_t count, int timeout_ms) {
    if (!is_ours(fds, count)) {
        return poll(fds, count, timeout_ms);
    }
    _Static_assert(sizeof(nfds_t) <= sizeof *fds, "room for host_at");
    struct pollfd *mine = calloc(3u * count + 1u, sizeof *fds);
    if (!mine) {
        return bsd_result(FAR_ENOMEM);
    }
    int r = bsd_result(FAR_EFAULT);
    if (far_guard_copy(mine, fds, count * sizeof *fds)) {
        struct mixed m = {
            .fds = mine,
            .count = count,
            .host = mine + count,
            .host_at = (nfds_t *)(void *)(mine + 2u * count + 1u),
            .posix = bsd_posix(),
        };
        struct results to = {.to = fds, .from = mine, .count = count};
        r = poll_mixed(&m, timeout_ms);
        if (!far_guard_call(give_bits, &to, fds, count * sizeof *fds)) {
            r = bsd_result(FAR_EFAULT);
        }
    }
    int saved = errno;
    free(mine);
    errno = saved;
    return r;
}

// --- select ---

// As the kernel maps poll bits.
#define RD (POLLIN | POLLHUP | POLLERR)
#define WR (POLLOUT | POLLERR)
#define EX POLLPRI

static bool is_in(const fd_set *set, int fd) {
    return set && FD_ISSET(fd, set);
}

static nfds_t to_poll(struct pollfd *p, int n, const fd_set *rd,
    const fd_set *wr, const fd_set *ex) {
    nfds_t count = 0;
    for (int fd = 0; fd < n; fd++) {
        short events = (short)((is_in(rd, fd) ? POLLIN : 0) |
                               (is_in(wr, fd) ? POLLOUT : 0) |
                               (is_in(ex, fd) ? POLLPRI : 0));
        if (events) {
            p[count++] = (struct pollfd){.fd = fd, .events = events};
        }
    }
    return count;
}

static int keep(fd_set *set, const struct pollfd *p, int bits) {
    if (!is_in(set, p->fd)) {
        return 0;
    }
    if (p->revents & bits) {
        return 1;
    }
    FD_CLR(p->fd, set);
    return 0;
}

static size_t set_bytes(int n) {
    size_t bits = 8u * sizeof(fd_mask);
    return ((size_t)n + bits - 1u) / bits * sizeof(fd_mask);
}

// The caller's sets, as copies of ours and back.
static bool copy_set(fd_set *to, const fd_set *from, int n) {
    FD_ZERO(to);
    return !from || far_guard_copy(to, from, set_bytes(n));
}

static int select_copied(int n, fd_set *rd, fd_set *wr, fd_set *ex, int ms) {
    struct pollfd p[FD_SETSIZE];
    nfds_t count = to_poll(p, n, rd, wr, ex);
    int r = far_bsd_poll(p, count, ms);
    int total = 0;
    for (nfds_t i = 0; r >= 0 && i < count; i++) {
        if (p[i].revents & POLLNVAL) {
            return bsd_result(FAR_EBADF);
        }
        total +=
            keep(rd, &p[i], RD) + keep(wr, &p[i], WR) + keep(ex, &p[i], EX);
    }
    return r < 0 ? r : total;
}

int far_bsd_select(int n, fd_set *rd, fd_set *wr, fd_set *ex,
    struct timeval *timeout) {
    fd_set copy[3];
    int ms = -1;
    if (n < 0 || n > FD_SETSIZE ||
        (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0))) {
        return bsd_result(FAR_EINVAL);
    }
    if (timeout) {
        ms = timeout->tv_sec > 1000000 ? 1000000000
                                       : (int)(timeout->tv_sec * 1000 +
                                               (timeout->tv_usec + 999) / 1000);
    }
    if (!copy_set(&copy[0], rd, n) || !copy_set(&copy[1], wr, n) ||
        !copy_set(&copy[2], ex, n)) {
        return bsd_result(FAR_EFAULT);
    }
    int r = select_copied(n, &copy[0], &copy[1], &copy[2], ms);
    if (r >= 0 && ((rd && !far_guard_copy(rd, &copy[0], set_bytes(n))) ||
                      (wr && !far_guard_copy(wr, &copy[1], set_bytes(n))) ||
                      (ex && !far_guard_copy(ex, &copy[2], set_bytes(n))))) {
        return bsd_result(FAR_EFAULT);
    }
    return r;
}

// Socket options.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>

#include "ports/posix/guard.h"

#define VALUE_MAX 1024

static bool is_timeout(int level, int opt) {
    return level == SOL_SOCKET && (opt == SO_RCVTIMEO || opt == SO_SNDTIMEO);
}

// What the wrappers must know of an option that was set.
static void note(struct psock *s, int level, int opt, const void *val) {
    struct timeval t;
    if (is_timeout(level, opt)) {
        memcpy(&t, val, sizeof t);
        bool some = t.tv_sec != 0 || t.tv_usec != 0;
        *(opt == SO_RCVTIMEO ? &s->rcvtimeo : &s->sndtimeo) = some;
    }
}

// Of a stream that is carried over its token the kernel has the level of
// sockets; what TCP and IP should do goes unheard.
static bool is_unheard(int fd, int level) {
    return level != SOL_SOCKET && carried_at(fd);
}

static int give(const void *from, size_t n, void *val, socklen_t *len) {
    socklen_t size = (socklen_t)n;
    return user_copy(val, from, n) < 0 || user_copy(len, &size, sizeof size) < 0
               ? -1
               : 0;
}

// Of these the kernel's own answer would be wrong.
static bool is_ours(int level, int opt) {
    return level != SOL_SOCKET || opt == SO_DOMAIN || opt == SO_PROTOCOL;
}

static int get_carried(const struct carried *c, int level, int opt, void *val,
    socklen_t *len) {
    int v = 0;
    if (level == SOL_SOCKET) {
        v = opt == SO_DOMAIN ? c->family : c->proto;
    }
    socklen_t n;
    if (user_copy(&n, len, sizeof n) < 0) {
        return -1;
    }
    return give(&v, n < sizeof v ? n : sizeof v, val, len);
}

EXPORT int setsockopt(int fd, int level, int opt, const void *val,
    socklen_t len) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return is_unheard(fd, level)
                   ? 0
                   : real()->setsockopt(fd, level, opt, val, len);
    }
    uint64_t room[VALUE_MAX / sizeof(uint64_t)];
    if ((int)len < 0) {
        errno = EINVAL;
        return -1;
    }
    // No option reads more; most read an int, whatever the length says.
    size_t n = far_guard_some(room, val, len < sizeof room ? len : sizeof room);
    if (n < len && n < sizeof(int)) {
        errno = EFAULT;
        return -1;
    }
    if (!psock_use(s)) {
        return -1;
    }
    // timeval and linger have the link's form on 64-bit Linux.
    _Static_assert(sizeof(struct timeval) == 16, "as far_opt_kind");
    call_begin(true);
    int err =
        far_posix_setsockopt(s->link->near, s->handle, level, opt, room, n);
    if (err >= 0) {
        note(s, level, opt, room);
    }
    int r = far_done(err < 0 ? err : 0);
    return now_carried(fd, r) ? setsockopt(fd, level, opt, val, len) : r;
}

EXPORT int getsockopt(int fd, int level, int opt, void *restrict val,
    socklen_t *restrict len) {
    struct psock *s = psock_at(fd);
    const struct carried *c = s ? NULL : carried_at(fd);
    if (c && is_ours(level, opt)) {
        return get_carried(c, level, opt, val, len);
    }
    if (!s) {
        return real()->getsockopt(fd, level, opt, val, len);
    }
    socklen_t had;
    if (user_copy(&had, len, sizeof had) < 0) {
        return -1;
    }
    if ((int)had < 0) {
        errno = EINVAL;
        return -1;
    }
    if (!psock_use(s)) {
        return -1;
    }
    uint64_t room[VALUE_MAX / sizeof(uint64_t)] = {0};
    size_t n = had < sizeof room ? had : sizeof room;
    call_begin(true);
    int err = far_getsockopt(s->link->near, s->handle, level, opt, room, &n);
    if (err < 0 && now_carried(fd, far_done(err))) {
        return getsockopt(fd, level, opt, val, len);
    }
    return err < 0 ? -1 : give(room, n, val, len);
}

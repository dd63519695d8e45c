// Socket options.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>

#define VALUE_MAX 1024

static bool is_timeout(int level, int opt) {
    return level == SOL_SOCKET && (opt == SO_RCVTIMEO || opt == SO_SNDTIMEO);
}

// What the wrappers must know of an option that was set.
static void note(struct psock *s, int level, int opt, const void *val) {
    struct timeval t;
    if (is_timeout(level, opt) && val) {
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

// 0, or -1 if the kernel's own answer is right.
static int get_carried(const struct carried *c, int level, int opt, void *val,
    socklen_t *len) {
    int v = 0;
    if (level == SOL_SOCKET) {
        if (opt != SO_DOMAIN && opt != SO_PROTOCOL) {
            return -1;
        }
        v = opt == SO_DOMAIN ? c->family : c->proto;
    }
    socklen_t n = *len < sizeof v ? *len : sizeof v;
    memcpy(val, &v, n);
    *len = n;
    return 0;
}

EXPORT int setsockopt(int fd, int level, int opt, const void *val,
    socklen_t len) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return is_unheard(fd, level)
                   ? 0
                   : real()->setsockopt(fd, level, opt, val, len);
    }
    if ((int)len < 0 || (!val && len > 0)) {
        errno = (int)len < 0 ? EINVAL : EFAULT;
        return -1;
    }
    if (!psock_use(s)) {
        return -1;
    }
    // timeval and linger have the link's form on 64-bit Linux.
    _Static_assert(sizeof(struct timeval) == 16, "as far_opt_kind");
    call_begin(true);
    int err = far_setsockopt(s->link->near, s->handle, level, opt, val, len);
    if (err >= 0) {
        note(s, level, opt, val);
    }
    return far_done(err < 0 ? err : 0);
}

EXPORT int getsockopt(int fd, int level, int opt, void *restrict val,
    socklen_t *restrict len) {
    struct psock *s = psock_at(fd);
    const struct carried *c = s ? NULL : carried_at(fd);
    if (c && val && len && get_carried(c, level, opt, val, len) == 0) {
        return 0;
    }
    if (!s) {
        return real()->getsockopt(fd, level, opt, val, len);
    }
    if (!len || (!val && *len > 0)) {
        errno = EFAULT;
        return -1;
    }
    if ((int)*len < 0) {
        errno = EINVAL;
        return -1;
    }
    if (!psock_use(s)) {
        return -1;
    }
    uint64_t room[VALUE_MAX / sizeof(uint64_t)] = {0};
    size_t n = *len < sizeof room ? *len : sizeof room;
    call_begin(true);
    int err = far_getsockopt(s->link->near, s->handle, level, opt, room, &n);
    if (err >= 0) {
        if (n && val) {
            memcpy(val, room, n);
        }
        *len = (socklen_t)n;
    }
    return far_done(err < 0 ? err : 0);
}

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

static int give(const void *from, size_t n, void *val, socklen_t *len) {
    socklen_t size = (socklen_t)n;
    return user_copy(val, from, n) < 0 || user_copy(len, &size, sizeof size) < 0
               ? -1
               : 0;
}

// As the program gave it: no option reads more; most read an int, whatever the
// length says. *n is how much there is.
static bool take(uint64_t room[static VALUE_MAX / sizeof(uint64_t)],
    const void *val, socklen_t len, size_t *n) {
    if ((int)len < 0) {
        errno = EINVAL;
        return false;
    }
    *n = far_guard_some(room, val, len < VALUE_MAX ? len : VALUE_MAX);
    if (*n < len && *n < sizeof(int)) {
        errno = EFAULT;
        return false;
    }
    return true;
}

static bool take_room(const socklen_t *len, size_t *n) {
    socklen_t had;
    if (user_copy(&had, len, sizeof had) < 0) {
        return false;
    }
    if ((int)had < 0) {
        errno = EINVAL;
        return false;
    }
    *n = had < VALUE_MAX ? had : VALUE_MAX;
    return true;
}

// --- Of streams that are carried ---

// What concerns the token, at which the program waits, is the kernel's.
static bool is_of_token(int level, int opt) {
    static const int opts[] = {SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_LINGER,
        SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT};
    bool found = false;
    for (size_t i = 0; i < sizeof opts / sizeof *opts; i++) {
        found |= opt == opts[i];
    }
    return level == SOL_SOCKET && found;
}

struct option {
    int level, opt;
    void *val;
    size_t len;
};

static int set_option(struct far_link *l, int sock, void *arg) {
    const struct option *o = arg;
    return far_posix_setsockopt(l, sock, o->level, o->opt, o->val, o->len);
}

static int get_option(struct far_link *l, int sock, void *arg) {
    struct option *o = arg;
    return far_getsockopt(l, sock, o->level, o->opt, o->val, &o->len);
}

static int set_carried(int fd, int level, int opt, const void *val,
    socklen_t len) {
    uint64_t room[VALUE_MAX / sizeof(uint64_t)];
    struct option o = {.level = level, .opt = opt, .val = room};
    if (is_of_token(level, opt)) {
        return real()->setsockopt(fd, level, opt, val, len);
    }
    if (!take(room, val, len, &o.len)) {
        return -1;
    }
    int err = carried_ask(fd, set_option, &o);
    return far_done(err < 0 ? err : 0);
}

static int get_carried(int fd, int level, int opt, void *val, socklen_t *len) {
    uint64_t room[VALUE_MAX / sizeof(uint64_t)] = {0};
    struct option o = {.level = level, .opt = opt, .val = room};
    if (is_of_token(level, opt)) {
        return real()->getsockopt(fd, level, opt, val, len);
    }
    if (!take_room(len, &o.len)) {
        return -1;
    }
    int err = carried_ask(fd, get_option, &o);
    return err < 0 ? far_done(err) : give(room, o.len, val, len);
}

// --- The calls ---

EXPORT int setsockopt(int fd, int level, int opt, const void *val,
    socklen_t len) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return is_carried(fd) ? set_carried(fd, level, opt, val, len)
                              : real()->setsockopt(fd, level, opt, val, len);
    }
    uint64_t room[VALUE_MAX / sizeof(uint64_t)];
    size_t n;
    if (!take(room, val, len, &n) || !psock_use(s)) {
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
    psock_mark(s);
    int r = far_done(err < 0 ? err : 0);
    return now_carried(fd, r) ? setsockopt(fd, level, opt, val, len) : r;
}

EXPORT int getsockopt(int fd, int level, int opt, void *restrict val,
    socklen_t *restrict len) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return is_carried(fd) ? get_carried(fd, level, opt, val, len)
                              : real()->getsockopt(fd, level, opt, val, len);
    }
    uint64_t room[VALUE_MAX / sizeof(uint64_t)] = {0};
    size_t n;
    if (!take_room(len, &n) || !psock_use(s)) {
        return -1;
    }
    call_begin(true);
    int err = far_getsockopt(s->link->near, s->handle, level, opt, room, &n);
    if (err < 0 && now_carried(fd, far_done(err))) {
        return getsockopt(fd, level, opt, val, len);
    }
    return err < 0 ? -1 : give(room, n, val, len);
}

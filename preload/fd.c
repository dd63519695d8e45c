// Descriptors: closing, duplicating, flags.
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <sys/syscall.h>

// --- Closing ---

EXPORT int close(int fd) {
    if (guard_has(fd)) {
        errno = EBADF;
        return -1;
    }
    epoll_forget_fd(fd);
    // In this order: a fork beside us may yet make it a carried one.
    table_drop(fd, true);
    carried_forget(fd, fd);
    return real()->close(fd);
}

static int close_part(unsigned from, unsigned to, int flags) {
    if (!(flags & (int)CLOSE_RANGE_CLOEXEC)) {
        int last = to < FD_MAX ? (int)to : FD_MAX - 1;
        epoll_forget_range((int)from, last);
        for (unsigned fd = from; fd <= to && (int)fd < fari_fds_top; fd++) {
            table_drop((int)fd, true);
        }
        carried_forget((int)from, last);
    }
    return (int)real()->syscall(SYS_close_range, from, to, flags);
}

// Around the library's own.
EXPORT int close_range(unsigned from, unsigned to, int flags) {
    if (from > to) {
        errno = EINVAL;
        return -1;
    }
    for (;;) {
        int own = from < INT_MAX
                      ? guard_next((int)from, to < INT_MAX ? (int)to : INT_MAX)
                      : -1;
        if (own < 0) {
            return close_part(from, to, flags);
        }
        if ((unsigned)own > from &&
            close_part(from, (unsigned)own - 1, flags) < 0) {
            return -1;
        }
        if ((unsigned)own == to) {
            return 0;
        }
        from = (unsigned)own + 1;
    }
}

EXPORT void closefrom(int from) {
    close_range(from < 0 ? 0 : (unsigned)from, UINT_MAX, 0);
}

// --- Duplicating ---

static int copied(int fd, int copy) {
    struct psock *s = psock_at(fd);
    if (copy >= 0 && s) {
        table_lock();
        table_set(copy, s);
        table_unlock();
    }
    if (copy >= 0) {
        carried_dup(fd, copy);
        epoll_dup(fd, copy);
    }
    if (s && (unsigned)copy <= STDERR_FILENO) {
        psock_carry(copy); // stdio is on it
    }
    return copy;
}

EXPORT int dup(int fd) {
    return copied(fd, real()->dup(fd));
}

// What copy was goes first; natively both happen at once.
static bool may_replace(int fd, int copy) {
    if (guard_has(copy) || guard_has(fd)) {
        errno = guard_has(fd) ? EBADF : EBUSY;
        return false;
    }
    if (fd != copy && real()->fcntl(fd, F_GETFD) >= 0) {
        epoll_forget_fd(copy);
        table_drop(copy, true);
        carried_forget(copy, copy);
    }
    return true;
}

EXPORT int dup2(int fd, int copy) {
    if (!may_replace(fd, copy)) {
        return -1;
    }
    int rc = real()->dup2(fd, copy);
    return fd == copy ? rc : copied(fd, rc);
}

EXPORT int dup3(int fd, int copy, int flags) {
    if (fd == copy || (flags & ~O_CLOEXEC)) {
        errno = EINVAL;
        return -1;
    }
    if (!may_replace(fd, copy)) {
        return -1;
    }
    return copied(fd, real()->dup3(fd, copy, flags));
}

// --- fcntl, ioctl ---

static int fcntl_of(int fd, int cmd, void *arg) {
    struct psock *s = psock_at(fd);
    int rc = real()->fcntl(fd, cmd, arg);
    if (rc < 0) {
        return rc;
    }
    if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) {
        return copied(fd, rc);
    }
    if (s && cmd == F_SETFL) {
        s->nonblock = ((uintptr_t)arg & O_NONBLOCK) != 0;
    }
    return rc;
}

EXPORT int fcntl(int fd, int cmd, ...) {
    va_list args;
    va_start(args, cmd);
    void *arg = va_arg(args, void *);
    va_end(args);
    return fcntl_of(fd, cmd, arg);
}

EXPORT int fcntl64(int fd, int cmd, ...) {
    va_list args;
    va_start(args, cmd);
    void *arg = va_arg(args, void *);
    va_end(args);
    return fcntl_of(fd, cmd, arg);
}

static int ioctl_far(struct psock *s, int fd, unsigned long request,
    void *arg) {
    int rc = 0;
    int value = 0;
    switch (request) {
        case FIONBIO:
            rc = real()->ioctl(fd, request, arg);
            if (rc == 0 && user_copy(&value, arg, sizeof value) == 0) {
                s->nonblock = value != 0;
            }
            return rc;
        case FIOCLEX:
        case FIONCLEX:
        case FIOASYNC:
            return real()->ioctl(fd, request, arg);
        default:
            return ioctl_ask(s, request, arg);
    }
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    struct psock *s = psock_at(fd);
    int r = s ? ioctl_far(s, fd, request, arg) : -1;
    return s && !now_carried(fd, r) ? r : real()->ioctl(fd, request, arg);
}

// Many messages in one call: sendmmsg(2) and recvmmsg(2).
// SPDX-License-Identifier: MIT
#include "preload/preload.h"

#include <errno.h>
#include <limits.h>

#define NS_PER_S 1000000000

static bool put_len(struct mmsghdr *m, ssize_t n) {
    unsigned len = (unsigned)n;
    return user_copy(&m->msg_len, &len, sizeof len) == 0;
}

// --- sendmmsg ---

static unsigned send_all(struct psock *s, struct mmsghdr *all, unsigned count,
    int flags) {
    unsigned done = 0;
    while (done < count && done < IOV_MAX) {
        size_t total = 0;
        call_part(done > 0);
        ssize_t n = far_send_msg(s, &all[done].msg_hdr, flags, &total);
        if (n < 0 || !put_len(&all[done], n)) {
            break;
        }
        done++;
        if ((size_t)n < total) {
            break; // what follows would come before the rest of this one
        }
    }
    call_part(false);
    return done;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *all, unsigned count, int flags) {
    struct psock *s = psock_at(fd);
    if (!s) {
        return fari_fds_top == 0 || rights_share_all(all, count)
                   ? real()->sendmmsg(fd, all, count, flags)
                   : -1;
    }
    if (!flags_good(flags)) {
        return -1;
    }
    unsigned done = send_all(s, all, count, flags);
    if (done == 0 && count > 0 && now_carried(fd, -1)) {
        return real()->sendmmsg(fd, all, count, flags);
    }
    return done > 0 || count == 0 ? (int)done : -1;
}

// --- recvmmsg ---

// How long it may take; NULL: for ever. As natively this is looked at after
// each message only; what is left then goes to the program, if any came.
struct span {
    struct timespec t;
    uint64_t since;
};

static bool span_begin(struct span *s, const struct timespec *user) {
    s->since = far_posix_now();
    return user_copy(&s->t, user, sizeof s->t) == 0;
}

static bool span_good(const struct span *s) {
    if (s->t.tv_sec < 0 || s->t.tv_nsec < 0 || s->t.tv_nsec >= NS_PER_S) {
        errno = EINVAL;
        return false;
    }
    return true;
}

static bool span_over(struct span *s) {
    uint64_t now = far_posix_now();
    time_t sec = (time_t)((now - s->since) / NS_PER_S);
    long ns = (long)((now - s->since) % NS_PER_S);
    s->since = now;
    s->t.tv_sec -= sec + (s->t.tv_nsec < ns);
    s->t.tv_nsec += (s->t.tv_nsec < ns ? NS_PER_S : 0) - ns;
    if (s->t.tv_sec < 0) {
        s->t = (struct timespec){0};
    }
    return s->t.tv_sec == 0 && s->t.tv_nsec == 0;
}

// Natively recvmmsg() begins with it, also where data would come first. Far may
// know of one that near has not been told: of a connection that was dissolved.
static int pending_error(struct psock *s, bool ask) {
    int err = 0;
    size_t len = sizeof err;
    if (psock_use(s) && (ask || (far_ready(s->link->near, s->handle, 0, false) &
                                    FAR_POLLERR))) {
        call_begin(true);
        far_getsockopt(s->link->near, s->handle, FAR_SOL_SOCKET, FAR_SO_ERROR,
            &err, &len);
    }
    return err;
}

// Whether a listener can have said so: that there are no bytes, or what is
// wrong with the message.
static bool may_listen(const struct psock *s, int err) {
    return s->type == SOCK_STREAM && (err == ENOTCONN || err == EFAULT ||
                                         err == EMSGSIZE || err == EINVAL);
}

static bool is_urgent(const struct mmsghdr *m) {
    int flags = 0;
    return user_copy(&flags, &m->msg_hdr.msg_flags, sizeof flags) == 0 &&
           (flags & MSG_OOB);
}

static unsigned recv_all(struct psock *s, struct mmsghdr *all, unsigned count,
    int flags, struct span *span) {
    unsigned done = 0;
    while (done < count) { // Linux has a limit for sendmmsg() only
        call_part(done > 0);
        ssize_t n = far_recv_msg(s, &all[done].msg_hdr, flags & ~MSG_WAITFORONE,
            done > 0);
        if (n < 0 || !put_len(&all[done], n)) {
            break;
        }
        done++;
        if (flags & MSG_WAITFORONE) {
            flags |= MSG_DONTWAIT;
        }
        if ((span && span_over(span)) || is_urgent(&all[done - 1])) {
            break;
        }
    }
    call_part(false);
    return done;
}

static int recv_many(struct psock *s, struct mmsghdr *all, unsigned count,
    int flags, struct span *span) {
    bool begins = !(flags & MSG_ERRQUEUE);
    int err = begins ? pending_error(s, count == 0) : 0;
    if (err) {
        errno = err;
        return -1;
    }
    unsigned done = recv_all(s, all, count, flags, span);
    if (done == 0 && count > 0 && begins && may_listen(s, errno)) {
        int saved = errno;
        err = pending_error(s, true);
        errno = err ? err : saved;
    }
    return done > 0 || count == 0 ? (int)done : -1;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *all, unsigned count, int flags,
    struct timespec *timeout) {
    struct psock *s = psock_at(fd);
    struct span span;
    if (!s) {
        int n = real()->recvmmsg(fd, all, count, flags, timeout);
        rights_take_all(all, n);
        return n;
    }
    if (!flags_good(flags) || (timeout && !span_begin(&span, timeout))) {
        return -1;
    }
    int n = timeout && !span_good(&span)
                ? -1
                : recv_many(s, all, count, flags, timeout ? &span : NULL);
    if (now_carried(fd, n)) {
        return real()->recvmmsg(fd, all, count, flags, timeout);
    }
    bool tell = timeout && n > 0;
    return tell && user_copy(timeout, &span.t, sizeof span.t) < 0 ? -1 : n;
}
